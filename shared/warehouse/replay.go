package warehouse

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/gate"
	"github.com/millrace-data/millrace/shared/record"
)

// Kept is an open row of millrace.rejects.
type Kept struct {
	ID, Slice, Row, Rule string // Row is a JSON object: as the vendor sent it, or, where Rule has a colon, as the gate took it out
}

// Open returns the open rejects of a table, slice by slice; of one slice or of one
// rule where they are not "".
func (w *Warehouse) Open(ctx context.Context, function, table, slice, rule string) ([]Kept, error) {
	rows, err := w.db.QueryContext(ctx, `SELECT "reject", "slice", `+w.driver.Text(`"row"`)+`, "rule" FROM "millrace"."rejects"
 WHERE "function" = ? AND "table_name" = ? AND (? = '' OR "slice" = ?) AND (? = '' OR "rule" = ?) AND "state" = 'open' ORDER BY "slice", "first_seen", "reject"`,
		function, table, slice, slice, rule, rule)
	if err != nil {
		return nil, w.fail(err, "rejects of %s.%s", function, table)
	}
	defer rows.Close()
	var out []Kept
	for rows.Next() {
		var k Kept
		if err := rows.Scan(text{&k.ID}, text{&k.Slice}, text{&k.Row}, text{&k.Rule}); err != nil {
			return nil, w.fail(err, "rejects of %s.%s", function, table)
		}
		out = append(out, k)
	}
	return out, w.fail(rows.Err(), "rejects of %s.%s", function, table)
}

// Left is a reject that stays open, and why.
type Left struct{ ID, Reason string }

// Offence is a staged line that breaks a rule.
type Offence struct {
	Line int64
	Rule string
}

// Offenders lists the staged lines that Quarantine took out, by their number.
func (s *Staging) Offenders(ctx context.Context) (out []Offence, err error) {
	if s.bad == 0 {
		return nil, nil
	}
	rows, err := s.conn.QueryContext(ctx, `SELECT "line", "rule" FROM `+quote(badTable)+` ORDER BY "line"`)
	if err != nil {
		return nil, s.w.fail(err, "rejects of slice %s of %s", s.l.Slice.ID, s.l.Table.FullName())
	}
	defer rows.Close()
	for rows.Next() {
		var o Offence
		if err := rows.Scan(whole{&o.Line}, text{&o.Rule}); err != nil {
			return nil, s.w.fail(err, "rejects of slice %s of %s", s.l.Slice.ID, s.l.Table.FullName())
		}
		out = append(out, o)
	}
	return out, s.w.fail(rows.Err(), "rejects of slice %s of %s", s.l.Slice.ID, s.l.Table.FullName())
}

// Add moves the staged rows, which were rejects of a committed slice, into the table
// beside the slice's other rows, in ONE transaction with the ledger's totals, the
// rejects' states, a check and the mark. replayed are the rejects that the rows came
// from, left those that stay.
//
// A replayed row is as old as its slice: where a later slice wrote its key, or its
// partition, or the whole table, that stays, and the row counts as loaded like any
// row that was overtaken. fault.Stale means that the slice was claimed meanwhile, or
// is not loaded: who reads it brings its rows.
func (s *Staging) Add(ctx context.Context, replayed []string, left []Left) (res Result, err error) {
	defer s.w.lock(s.l.Table.FullName())()
	s.adds = true
	if err = s.prepare(ctx); err == nil {
		res, err = s.add(ctx, replayed, left)
	}
	return res, s.w.fail(err, "replay rejects of slice %s of %s", s.l.Slice.ID, s.l.Table.FullName())
}

func (s *Staging) add(ctx context.Context, replayed []string, left []Left) (res Result, err error) {
	unsure, err := transaction(ctx, s.conn, func(tx *sql.Tx) (err error) {
		res, err = s.addIn(ctx, tx, replayed, left)
		return err
	})
	if unsure && s.w.committed(ctx, res.Slice) {
		return res, nil
	}
	return res, err
}

func (s *Staging) addIn(ctx context.Context, tx *sql.Tx, replayed []string, left []Left) (res Result, err error) {
	l, n := s.l.Slice, s.l.Slice.RowsStaged-s.bad
	done, err := tx.ExecContext(ctx, `UPDATE `+slicesTable+` SET "rows_staged" = "rows_staged" + ?, "rows_loaded" = "rows_loaded" + ?, "rows_rejected" = "rows_rejected" - ?, "updated_at" = ?`+
		bySlice+` AND "fence" = ? AND "state" = 'loaded' AND "rows_rejected" >= ?`, n, n, n, s.l.Now, l.Function, l.Table, l.ID, l.Fence, n)
	if err = one(done, err, stale(l)); err != nil {
		return res, err
	}
	s.point("in_tx_before_data")
	if err = s.counted(ctx, tx); err == nil {
		err = s.beside(ctx, tx)
	}
	if err == nil {
		err = s.settle(ctx, tx, replayed, left)
	}
	if err == nil {
		res.Slice, err = sliceRow(ctx, tx, l.Function, l.Table, l.ID)
	}
	if err == nil {
		res.Mark, err = remark(ctx, tx, l, s.l.Table.Pass, s.l.Now)
	}
	s.point("in_tx_before_fence")
	return res, err
}

// settle closes the rejects that were replayed and counts an attempt for the others.
func (s *Staging) settle(ctx context.Context, tx *sql.Tx, replayed []string, left []Left) error {
	l := s.l.Slice
	const mine = bySlice + ` AND "reject" = ? AND "state" = 'open'`
	for _, id := range replayed {
		res, err := tx.ExecContext(ctx, `UPDATE "millrace"."rejects" SET "state" = 'replayed', "attempts" = "attempts" + 1, "last_seen" = ?`+mine, s.l.Now, l.Function, l.Table, l.ID, id)
		if err := one(res, err, fault.New(fault.Stale, "reject %s of slice %s is not open any more", id, l.ID)); err != nil {
			return err
		}
	}
	for _, k := range left {
		_, err := tx.ExecContext(ctx, `UPDATE "millrace"."rejects" SET "reason" = ?, "attempts" = "attempts" + 1, "last_seen" = ?`+mine, k.Reason, s.l.Now, l.Function, l.Table, l.ID, k.ID)
		if err != nil {
			return err
		}
	}
	v := gate.Pass
	if len(left) > 0 {
		v = gate.Warned
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO "millrace"."checks" ("function", "table_name", "slice", "fence", "rule", "observed", "expected", "verdict", "checked_at") VALUES (?, ?, ?, ?, 'replay', ?, 'all of them', ?, ?)`,
		l.Function, l.Table, l.ID, l.Fence, fmt.Sprintf("%d of %d rejects replayed", len(replayed), len(replayed)+len(left)), string(v), s.l.Now)
	return err
}

// beside adds the staged rows to what the slice has in the table, without those
// that a later slice has overtaken.
func (s *Staging) beside(ctx context.Context, tx *sql.Tx) error {
	cond, args := s.overtaken()
	if cond != "" {
		if _, err := tx.ExecContext(ctx, fmt.Sprintf("DELETE FROM %s WHERE %s", quote(stagedTable), cond), args...); err != nil {
			return err
		}
	}
	switch s.l.Table.Mode {
	case record.Merge:
		return s.merge(ctx, tx)
	case record.History:
		return s.history(ctx, tx)
	case record.Append, record.ReplacePartition, record.ReplaceAll:
		return s.insert(ctx, tx, s.name().String())
	}
	return fault.New(fault.Invalid, "table %s has no load mode %q", s.l.Table.FullName(), s.l.Table.Mode)
}

// overtaken is the condition of a staged row whose place is taken: in a merge by a
// row of its key that this slice or a later one wrote (where the table says which
// is the newest, merge itself decides), in a history by one of the same time, in a
// partition by another slice, in a whole table by a later scan.
func (s *Staging) overtaken() (cond string, args []any) {
	l, t := s.l.Slice, s.l.Table
	at := l.To
	if at.IsZero() {
		at = l.LoadedAt
	}
	later := fmt.Sprintf(`SELECT "slice" FROM %s WHERE "function" = ? AND "table_name" = ? AND "loaded_at" IS NOT NULL AND coalesce("range_to", "loaded_at") >= %s`, slicesTable, s.stamp(at))
	staged := quote(stagedTable)
	switch {
	case t.Mode == record.Merge && t.Newest == "":
		return fmt.Sprintf(`EXISTS (SELECT 1 FROM %s AS t WHERE %s AND t."_slice" IN (%s))`, s.name(), equal("t", "=", staged, t.Key), later), []any{l.Function, l.Table}
	case t.Mode == record.History:
		return fmt.Sprintf(`EXISTS (SELECT 1 FROM %s AS t WHERE %s AND t."_slice" = ? AND t."_valid_from" = %s)`, s.name(), equal("t", "=", staged, t.Key), s.stamp(s.asOf())), []any{l.ID}
	case t.Mode == record.ReplacePartition:
		return fmt.Sprintf(`EXISTS (SELECT 1 FROM %s AS t WHERE t.%[2]s = %[3]s.%[2]s AND t."_slice" <> ?)`, s.name(), quote(t.Partition), staged), []any{l.ID}
	case t.Mode == record.ReplaceAll:
		return fmt.Sprintf(`EXISTS (SELECT 1 FROM (%s) AS z WHERE z."slice" <> ?)`, later), []any{l.Function, l.Table, l.ID}
	}
	return "", nil
}

// Discarded says which open rejects a person closes: those of a table, or of one of
// its slices or rules where they are not "".
type Discarded struct {
	Function, Table, Slice, Rule string
	Reason                       string // stands beside the first one from then on
	Pass                         bool   // of the table: its rejects hold nothing
	Now                          time.Time
}

// DiscardRejects closes open rejects, in ONE transaction with the mark, which may
// then move on. The rows stay in millrace.rejects. It returns how many they were.
func (w *Warehouse) DiscardRejects(ctx context.Context, d Discarded) (n int64, err error) {
	where := []string{`"state" = 'open'`, `"function" = ?`, `"table_name" = ?`, `(? = '' OR "slice" = ?)`, `(? = '' OR "rule" = ?)`}
	defer w.lock(d.Table)()
	err = w.short(ctx, "discard rejects", func(tx *sql.Tx) error {
		// Writing the ledger makes this wait for commits, which write the mark, too.
		if _, err := tx.ExecContext(ctx, `UPDATE `+slicesTable+` SET "fence" = "fence" WHERE "function" = ? AND "table_name" = ?`, d.Function, d.Table); err != nil {
			return err
		}
		res, err := tx.ExecContext(ctx, `UPDATE "millrace"."rejects" SET "state" = 'discarded', "reason" = "reason" || ?, "last_seen" = ? WHERE `+strings.Join(where, " AND "),
			" (discarded: "+d.Reason+")", d.Now, d.Function, d.Table, d.Slice, d.Slice, d.Rule, d.Rule)
		if err != nil {
			return err
		}
		if n, err = res.RowsAffected(); err == nil && n > 0 {
			_, err = remark(ctx, tx, Slice{Function: d.Function, Table: d.Table}, d.Pass, d.Now)
		}
		return err
	})
	return n, err
}
