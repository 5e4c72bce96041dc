package warehouse

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/gate"
	"github.com/millrace-data/millrace/shared/record"
)

// Result is what a commit did.
type Result struct {
	Slice Slice // the ledger row after it
	Mark  Mark
	Again bool // the slice was committed (or refused) by this very manifest before; nothing changed
}

// Commit moves everything in ONE transaction: fence, rows, rejects, checks,
// drift, inbox, ledger row and mark. fault.Stale means that a newer fence was
// given out, or that what was computed is out of date: nothing was written, and
// nothing is lost.
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
	if g := s.l.Table.Gone; g != nil && g.Table != s.l.Table.Name {
		defer s.w.lock(s.l.Table.Schema + "." + g.Table)() // in this order only: that table never waits for this one
	}
	if err = s.prepare(ctx); err == nil {
		res, err = s.transact(ctx, checks, state, cause)
	}
	return res, s.w.fail(err, "commit slice %s of %s", s.l.Slice.ID, s.l.Table.FullName())
}

// prepare makes the temporary tables that the transaction fills or reads: in it
// there may be no DDL.
func (s *Staging) prepare(ctx context.Context) error {
	if err := s.keepRejects(ctx); err != nil {
		return err
	}
	if err := s.findNamed(ctx); err != nil || s.l.Table.Mode != record.History {
		return err
	}
	s.made = append(s.made, versionsTable)
	return run(ctx, s.conn, fmt.Sprintf("CREATE OR REPLACE TEMPORARY TABLE %s (%s)", quote(versionsTable), s.w.definitions(physical(s.l.Table))))
}

// findNamed looks whether both tables of Table.Gone are there: the one that was
// loaded first has nothing to do yet.
func (s *Staging) findNamed(ctx context.Context) error {
	g := s.l.Table.Gone
	s.named = g != nil
	for i := 0; s.named && i < 2; i++ {
		cols, err := s.w.driver.Columns(ctx, s.conn, s.l.Table.Schema, []string{g.Table, g.Named}[i])
		if err != nil {
			return err
		}
		_, s.named = cols[g.Column]
	}
	return nil
}

func (s *Staging) transact(ctx context.Context, checks []gate.Check, state string, cause error) (res Result, err error) {
	unsure, err := transaction(ctx, s.conn, func(tx *sql.Tx) (err error) {
		if res.Again, err = s.guard(ctx, tx, state); err == nil && !res.Again {
			err = s.write(ctx, tx, checks, state, cause)
		}
		if err == nil {
			res.Slice, err = sliceRow(ctx, tx, s.l.Slice.Function, s.l.Slice.Table, s.l.Slice.ID)
		}
		if err == nil {
			res.Mark, err = s.remark(ctx, tx, res)
		}
		return err
	})
	if unsure && s.w.committed(ctx, res.Slice) {
		return res, nil
	}
	return res, err
}

// guard makes sure that this attempt is the newest, and makes others wait for us:
// it writes the ledger row before it looks at it. A manifest loaded by hand into a
// warehouse that never saw its slice brings its ledger row along.
func (s *Staging) guard(ctx context.Context, tx *sql.Tx, state string) (again bool, err error) {
	l := s.l.Slice
	held, row, err := hold(ctx, tx, l)
	if err == sql.ErrNoRows {
		if err = s.w.queue(ctx, tx); err == nil { // then nobody else is bringing it
			held, row, err = hold(ctx, tx, l)
		}
	}
	switch {
	case err == sql.ErrNoRows:
		_, err = tx.ExecContext(ctx, `INSERT INTO `+slicesTable+` ("function", "table_name", "slice", "purpose", "source", "range_from", "range_to", "state", "fence", "attempt", "planned_at", "updated_at") VALUES (?, ?, ?, ?, ?, ?, ?, 'staged', ?, 1, ?, ?)`,
			l.Function, l.Table, l.ID, l.Purpose, nullText(l.Source), nullTime(l.From), nullTime(l.To), l.Fence, s.l.Now, s.l.Now)
		return false, err
	case err != nil:
		return false, err
	case !held || row.Fence != l.Fence:
		return false, stale(l)
	}
	return row.State == Loaded && row.Digest == l.Digest || row.State == Refused && state == Refused && row.Manifest == l.Manifest, nil
}

// hold writes the ledger row where it has l's fence, so that others wait, and then
// reads it.
func hold(ctx context.Context, tx *sql.Tx, l Slice) (held bool, row Slice, err error) {
	res, err := tx.ExecContext(ctx, `UPDATE `+slicesTable+` SET "fence" = "fence"`+bySlice+` AND "fence" = ?`, l.Function, l.Table, l.ID, l.Fence)
	if err = one(res, err, errNone); err != nil && err != errNone {
		return false, row, err
	}
	held = err == nil
	row, err = sliceRow(ctx, tx, l.Function, l.Table, l.ID)
	return held, row, err
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
		if err := s.counted(ctx, tx); err != nil {
			return err
		}
	}
	if err := s.confirm(ctx, tx); err != nil {
		return err
	}
	if err := s.writeKept(ctx, tx, state); err != nil {
		return err
	}
	for _, step := range []func(context.Context, *sql.Tx) error{s.drift, s.inbox} {
		if err := step(ctx, tx); err != nil {
			return err
		}
	}
	rows := make([][]any, len(checks))
	for i, c := range checks {
		rows[i] = []any{s.l.Slice.Function, s.l.Slice.Table, s.l.Slice.ID, s.l.Slice.Fence, c.Rule, c.Observed, c.Expected, string(c.Verdict), s.l.Now, nullText(c.Value)}
	}
	if err := insertRows(ctx, tx, `"millrace"."checks"`, []string{"function", "table_name", "slice", "fence", "rule", "observed", "expected", "verdict", "checked_at", "value"}, rows); err != nil {
		return fmt.Errorf("checks: %w", err)
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

// drift notes what the vendor sends and we did not declare, and the reverse.
func (s *Staging) drift(ctx context.Context, tx *sql.Tx) error {
	l := s.l.Slice
	for kind, fields := range map[string][]string{"new": s.l.New, "missing": s.l.Missing} {
		for _, f := range fields {
			res, err := tx.ExecContext(ctx, `UPDATE "millrace"."drift" SET "last_seen" = ?, "slice" = ? WHERE "function" = ? AND "table_name" = ? AND "field" = ? AND "kind" = ?`,
				s.l.Now, l.ID, l.Function, l.Table, f, kind)
			if err = one(res, err, errNone); err == errNone {
				_, err = tx.ExecContext(ctx, `INSERT INTO "millrace"."drift" ("function", "table_name", "field", "kind", "slice", "first_seen", "last_seen") VALUES (?, ?, ?, ?, ?, ?, ?)`, l.Function, l.Table, f, kind, l.ID, s.l.Now, s.l.Now)
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
	_, err := tx.ExecContext(ctx, `INSERT INTO "millrace"."inbox" ("event", "consumer", "seen_at") SELECT ?, 'load', ? WHERE NOT EXISTS (SELECT 1 FROM "millrace"."inbox" WHERE "event" = ? AND "consumer" = 'load')`,
		s.l.Event, s.l.Now, s.l.Event)
	return err
}
