package warehouse

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/gate"
	"github.com/millrace-data/millrace/shared/span"
)

// Result is what a commit did.
type Result struct {
	Slice Slice // the ledger row after it
	Mark  Mark
	Again bool // the slice was committed by this very manifest before; nothing changed
}

// Commit moves everything in ONE transaction: fence, rows, rejects, checks,
// drift, inbox, ledger row and mark. fault.Stale means that a newer fence was
// given out: nothing was written, and nothing is lost.
func (s *Staging) Commit(ctx context.Context, checks []gate.Check) (Result, error) {
	return s.finish(ctx, checks, Loaded, nil)
}

// Refuse records that the gate kept the slice out: checks and rejects stay, no row
// is loaded, the mark does not move.
func (s *Staging) Refuse(ctx context.Context, checks []gate.Check, cause error) (Result, error) {
	return s.finish(ctx, checks, Refused, cause)
}

func (s *Staging) finish(ctx context.Context, checks []gate.Check, state string, cause error) (res Result, err error) {
	defer s.w.lock(s.l.Table.FullName())()
	tx, err := s.conn.BeginTx(ctx, nil)
	if err != nil {
		return res, s.w.fail(err, "commit slice %s", s.l.Slice.ID)
	}
	defer tx.Rollback()
	if res.Again, err = s.guard(ctx, tx); err == nil && !res.Again {
		err = s.write(ctx, tx, checks, state, cause)
	}
	if err == nil {
		res.Slice, err = sliceRow(ctx, tx, s.l.Slice.Function, s.l.Slice.Table, s.l.Slice.ID)
	}
	if err == nil {
		res.Mark, err = s.mark(ctx, tx)
	}
	if err == nil {
		err = tx.Commit()
	}
	return res, s.w.fail(err, "commit slice %s of %s", s.l.Slice.ID, s.l.Table.FullName())
}

// guard makes sure that this attempt is the newest, and makes others wait for us:
// it writes the ledger row. A manifest loaded by hand into a warehouse that never
// saw its slice brings its ledger row along.
func (s *Staging) guard(ctx context.Context, tx *sql.Tx) (again bool, err error) {
	l := s.l.Slice
	row, err := sliceRow(ctx, tx, l.Function, l.Table, l.ID)
	if err == sql.ErrNoRows {
		_, err = tx.ExecContext(ctx, `INSERT INTO `+slicesTable+` ("function", "table_name", "slice", "purpose", "source", "range_from", "range_to", "state", "fence", "attempt", "planned_at", "updated_at") VALUES (?, ?, ?, ?, ?, ?, ?, 'staged', ?, 1, ?, ?)`,
			l.Function, l.Table, l.ID, l.Purpose, nullText(l.Source), nullTime(l.From), nullTime(l.To), l.Fence, s.l.Now, s.l.Now)
		return false, err
	}
	if err != nil {
		return false, err
	}
	if row.Fence == l.Fence && row.State == Loaded && row.Digest == l.Digest {
		return true, nil
	}
	res, err := tx.ExecContext(ctx, `UPDATE `+slicesTable+` SET "updated_at" = ?`+bySlice+` AND "fence" = ?`, s.l.Now, l.Function, l.Table, l.ID, l.Fence)
	return false, one(res, err, stale(l))
}

func (s *Staging) point(name string) {
	if s.l.Point != nil {
		s.l.Point(name)
	}
}

func (s *Staging) write(ctx context.Context, tx *sql.Tx, checks []gate.Check, state string, cause error) error {
	s.point("in_tx_before_data")
	if state == Loaded {
		if err := s.apply(ctx, tx); err != nil {
			return err
		}
	}
	for _, step := range []func(context.Context, *sql.Tx) error{s.rejects, s.drift, s.inbox} {
		if err := step(ctx, tx); err != nil {
			return err
		}
	}
	for _, c := range checks {
		_, err := tx.ExecContext(ctx, `INSERT INTO "millrace"."checks" VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			s.l.Slice.Function, s.l.Slice.Table, s.l.Slice.ID, s.l.Slice.Fence, c.Rule, c.Observed, c.Expected, string(c.Verdict), s.l.Now)
		if err != nil {
			return fmt.Errorf("checks: %w", err)
		}
	}
	s.point("in_tx_before_fence")
	return s.close(ctx, tx, state, cause)
}

// close writes the ledger row, once more under the fence.
func (s *Staging) close(ctx context.Context, tx *sql.Tx, state string, cause error) error {
	l := s.l.Slice
	var loaded int64
	var loadedAt, digest, vendor any
	if state == Loaded {
		loaded, loadedAt, digest, vendor = l.RowsStaged-s.bad, s.l.Now, l.Digest, nullText(l.VendorCursor)
	}
	res, err := tx.ExecContext(ctx, `UPDATE `+slicesTable+` SET "state" = ?, "lease_until" = NULL, "cursor" = NULL, "manifest" = ?, "digest" = COALESCE(?, "digest"), "vendor_cursor" = COALESCE(?, "vendor_cursor"),
 "rows_source" = ?, "rows_staged" = ?, "rows_rejected" = ?, "rows_loaded" = ?, "bytes" = ?, "error_kind" = ?, "error" = ?, "paused_until" = NULL,
 "staged_at" = COALESCE("staged_at", ?), "loaded_at" = COALESCE(?, "loaded_at"), "updated_at" = ?`+bySlice+` AND "fence" = ?`,
		state, l.Manifest, digest, vendor, l.RowsSource, l.RowsStaged-s.bad, l.RowsRejected+s.bad, loaded, l.Bytes,
		nullText(kindName(cause)), nullText(message(cause)), s.l.Now, loadedAt, s.l.Now, l.Function, l.Table, l.ID, l.Fence)
	return one(res, err, stale(l))
}

// rejects keeps the rows that were not loaded: those extract could not stage and
// those the gate took out. A reject seen before counts one attempt more; an open
// one that this attempt of the slice no longer has went through, so it is replayed.
func (s *Staging) rejects(ctx context.Context, tx *sql.Tx) error {
	l := s.l.Slice
	src := fmt.Sprintf(`SELECT "row", "reason", "rule", 'open' AS "state" FROM %s`, rejectView)
	if s.bad > 0 {
		src += fmt.Sprintf(` UNION ALL SELECT CAST(to_json(v) AS VARCHAR), CASE WHEN b.same THEN 'the same row was read more than once' ELSE 'breaks the rule ' || b.rule END, b.rule, CASE WHEN b.same THEN 'discarded' ELSE 'open' END FROM %s v JOIN %s b ON b.line = v.%s`,
			stagedView, badTable, seq(s.l.Table))
	}
	seen := fmt.Sprintf(`SELECT md5("rule" || CAST("row" AS VARCHAR)) AS "reject", max("row") AS "row", max("reason") AS "reason", max("rule") AS "rule", min("state") AS "state" FROM (%s) GROUP BY 1`, src)
	here := `t."function" = ? AND t."table_name" = ? AND t."slice" = ?`
	if _, err := tx.ExecContext(ctx, `CREATE OR REPLACE TEMPORARY TABLE millrace_seen AS `+seen); err != nil {
		return fmt.Errorf("rejects: %w", err)
	}
	for _, q := range []struct {
		sql  string
		args []any
	}{
		{`UPDATE "millrace"."rejects" AS t SET "state" = 'replayed', "last_seen" = ? WHERE ` + here + ` AND t."state" = 'open' AND t."reject" NOT IN (SELECT "reject" FROM millrace_seen)`,
			[]any{s.l.Now, l.Function, l.Table, l.ID}},
		{`UPDATE "millrace"."rejects" AS t SET "last_seen" = ?, "attempts" = "attempts" + 1, "state" = CASE WHEN t."state" = 'replayed' THEN 'open' ELSE t."state" END WHERE ` + here + ` AND t."reject" IN (SELECT "reject" FROM millrace_seen)`,
			[]any{s.l.Now, l.Function, l.Table, l.ID}},
		{`INSERT INTO "millrace"."rejects" SELECT s."reject", ?, ?, ?, CAST(s."row" AS JSON), s."reason", s."rule", ?, ?, 1, s."state" FROM millrace_seen s WHERE NOT EXISTS (SELECT 1 FROM "millrace"."rejects" AS t WHERE ` + here + ` AND t."reject" = s."reject")`,
			[]any{l.Function, l.Table, l.ID, s.l.Now, s.l.Now, l.Function, l.Table, l.ID}},
		{`DROP TABLE millrace_seen`, nil},
	} {
		if _, err := tx.ExecContext(ctx, q.sql, q.args...); err != nil {
			return fmt.Errorf("rejects: %w", err)
		}
	}
	return nil
}

// drift notes what the vendor sends and we did not declare, and the reverse.
func (s *Staging) drift(ctx context.Context, tx *sql.Tx) error {
	l := s.l.Slice
	for kind, fields := range map[string][]string{"new": s.l.New, "missing": s.l.Missing} {
		for _, f := range fields {
			res, err := tx.ExecContext(ctx, `UPDATE "millrace"."drift" SET "last_seen" = ?, "slice" = ? WHERE "function" = ? AND "table_name" = ? AND "field" = ? AND "kind" = ?`,
				s.l.Now, l.ID, l.Function, l.Table, f, kind)
			if err = one(res, err, errNone); err == errNone {
				_, err = tx.ExecContext(ctx, `INSERT INTO "millrace"."drift" VALUES (?, ?, ?, ?, ?, ?, ?)`, l.Function, l.Table, f, kind, l.ID, s.l.Now, s.l.Now)
			}
			if err != nil {
				return fmt.Errorf("drift: %w", err)
			}
		}
	}
	return nil
}

var errNone = fault.New(fault.NotFound, "no row")

func (s *Staging) inbox(ctx context.Context, tx *sql.Tx) error {
	if s.l.Event == "" {
		return nil
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO "millrace"."inbox" SELECT ?, 'load', ? WHERE NOT EXISTS (SELECT 1 FROM "millrace"."inbox" WHERE "event" = ? AND "consumer" = 'load')`,
		s.l.Event, s.l.Now, s.l.Event)
	return err
}

// mark derives the table's mark from the committed slices and stores it. Windows:
// the end of the contiguous prefix from where the live slices begin. Scans: the
// start of the newest one, with the vendor's cursor it left. Objects have none.
func (s *Staging) mark(ctx context.Context, tx *sql.Tx) (m Mark, err error) {
	l := s.l.Slice
	rows, err := tx.QueryContext(ctx, `SELECT "purpose", "range_from", "range_to", "loaded_at", "vendor_cursor" FROM `+slicesTable+
		` WHERE "function" = ? AND "table_name" = ? AND "range_to" IS NOT NULL AND "purpose" <> 'resync' ORDER BY "range_to", "loaded_at"`, l.Function, l.Table)
	if err != nil {
		return m, err
	}
	defer rows.Close()
	var base, scan time.Time
	var covered []span.Span
	for rows.Next() {
		var r Slice
		if err := rows.Scan(text{&r.Purpose}, at{&r.From}, at{&r.To}, at{&r.LoadedAt}, text{&r.VendorCursor}); err != nil {
			return m, err
		}
		if r.window() && r.Purpose == "live" && (base.IsZero() || r.From.Before(base)) {
			base = r.From
		}
		if r.LoadedAt.IsZero() {
			continue
		}
		if r.window() {
			covered = append(covered, span.Span{From: r.From, To: r.To})
		} else {
			scan = r.To
			if r.VendorCursor != "" {
				m.Cursor = r.VendorCursor
			}
		}
	}
	if m.At = scan; !base.IsZero() {
		if m.At = span.Prefix(base, covered); m.At.Equal(base) {
			m.At = time.Time{}
		}
	}
	if err := rows.Err(); err != nil {
		return m, err
	}
	res, err := tx.ExecContext(ctx, `UPDATE "millrace"."marks" SET "mark" = ?, "cursor" = ?, "updated_at" = ? WHERE "function" = ? AND "table_name" = ?`,
		nullTime(m.At), nullText(m.Cursor), s.l.Now, l.Function, l.Table)
	if err = one(res, err, errNone); err == errNone {
		_, err = tx.ExecContext(ctx, `INSERT INTO "millrace"."marks" VALUES (?, ?, ?, ?, ?)`, l.Function, l.Table, nullTime(m.At), nullText(m.Cursor), s.l.Now)
	}
	return m, err
}
