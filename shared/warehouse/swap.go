package warehouse

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/millrace-data/millrace/shared/fault"
)

// signature sums up the ledgers of a table and its shadow: whatever is claimed,
// staged or committed in between changes it.
func (w *Warehouse) signature(ctx context.Context, on interface {
	QueryContext(ctx context.Context, q string, args ...any) (*sql.Rows, error)
}, r Resync) (string, error) {
	_, ledger := r.shadow()
	rows, err := on.QueryContext(ctx, `SELECT "table_name", "slice", "state", CAST("attempt" AS VARCHAR), coalesce("manifest", ''), coalesce("digest", ''), coalesce(CAST("updated_at" AS VARCHAR), '') FROM `+slicesTable+
		` WHERE "function" = ? AND "table_name" IN (?, ?) ORDER BY 1, 2`, r.Function, r.Ledger, ledger)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	h := sha256.New()
	for rows.Next() {
		cells, dest := cellsOf(7)
		if err := rows.Scan(dest...); err != nil {
			return "", err
		}
		for _, c := range cells {
			fmt.Fprintf(h, "%d\x00%s\x00", len(c.String), c.String)
		}
	}
	return hex.EncodeToString(h.Sum(nil)), rows.Err()
}

// Swap gives the live table the shadow's content, ledger, mark and rejects in ONE
// transaction, and then drops the shadow. fault.Stale means that a slice of either
// table was claimed or committed since d was made: nothing was done; compare again.
//
// Every fence of the live table is raised: a worker that is reading a slice of it
// cannot commit what it read, and reads it again. Slices that the shadow has take
// the place of the live ones; the others stay known, without rows.
func (w *Warehouse) Swap(ctx context.Context, r Resync, d Difference) error {
	err := w.swapLocked(ctx, r, d)
	if err == nil {
		r.point("after_swap")
		err = w.dropShadow(ctx, r)
	}
	return w.fail(err, "swap %s for its shadow", r.Table.FullName())
}

// swapLocked keeps other commits of this process away while it works.
func (w *Warehouse) swapLocked(ctx context.Context, r Resync, d Difference) error {
	defer w.lock(r.Table.FullName())()
	conn, err := w.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	cols, err := w.align(ctx, conn, r)
	if err != nil {
		return err
	}
	_, err = transaction(ctx, conn, func(tx *sql.Tx) error { return w.swap(ctx, tx, r, d, cols) })
	return err
}

// align gives the live table the columns that only the shadow has, and returns the
// shadow's. It comes before the transaction: DDL.
func (w *Warehouse) align(ctx context.Context, conn *sql.Conn, r Resync) ([]string, error) {
	name, _ := r.shadow()
	fresh, err := w.driver.Columns(ctx, conn, name.Schema, name.Table)
	if err != nil {
		return nil, err
	}
	var cols []string
	for c := range fresh {
		cols = append(cols, quote(c))
	}
	slices.Sort(cols)
	old, err := w.driver.Columns(ctx, conn, r.Table.Schema, r.Table.Name)
	for c, typ := range fresh {
		if err == nil && old[c] == "" {
			err = run(ctx, conn, fmt.Sprintf("ALTER TABLE %s ADD COLUMN IF NOT EXISTS %s %s", r.live(), quote(c), typ))
		}
	}
	return cols, err
}

func (w *Warehouse) swap(ctx context.Context, tx *sql.Tx, r Resync, d Difference, cols []string) error {
	name, ledger := r.shadow()
	// Writing first makes others wait, or fail, who would commit a slice meanwhile.
	if _, err := tx.ExecContext(ctx, `UPDATE `+slicesTable+` SET "fence" = "fence" + 1 WHERE "function" = ? AND "table_name" IN (?, ?)`, r.Function, r.Ledger, ledger); err != nil {
		return err
	}
	now, err := w.signature(ctx, tx, r)
	if err != nil {
		return err
	}
	if now != d.ledger {
		return fault.New(fault.Stale, "slices of it were read or loaded since it was compared: compare again")
	}
	r.point("in_swap_before_data")
	err = w.driver.Replace(ctx, tx, r.live(), func(into string) error {
		list := strings.Join(cols, ", ")
		return run(ctx, tx, fmt.Sprintf("INSERT INTO %s (%s) SELECT %[2]s FROM %[3]s", into, list, name))
	})
	if err != nil {
		return err
	}
	for _, b := range takeover(r) {
		if _, err := tx.ExecContext(ctx, b.q, b.args...); err != nil {
			return err
		}
	}
	if _, err := remark(ctx, tx, Slice{Function: r.Function, Table: r.Ledger}, r.Table.Pass, r.Now); err != nil {
		return err
	}
	r.point("in_swap_before_commit")
	return w.writeResync(ctx, tx, r, d, Swapped, nil)
}

// bound is a statement with its values.
type bound struct {
	q    string
	args []any
}

// takeover turns the ledger of the shadow into that of the live table.
func takeover(r Resync) []bound {
	const mine = ` WHERE "function" = ? AND "table_name" = ?`
	_, ledger := r.shadow()
	live, shadow := []any{r.Function, r.Ledger}, []any{r.Function, ledger}
	move := func(t string) bound {
		return bound{`UPDATE "millrace".` + quote(t) + ` SET "table_name" = ?` + mine, join([]any{r.Ledger}, shadow)}
	}
	const again = `SELECT s."reject" FROM "millrace"."rejects" AS s` + mine + ` AND s."state" = 'open'`
	return []bound{
		// A slice that both have stays what it was asked for, under a fence that nobody holds.
		{`UPDATE ` + slicesTable + ` SET "fence" = "fence" + 1, "lease_until" = NULL, "updated_at" = ?` + mine, join([]any{r.Now}, shadow)},
		{`UPDATE ` + slicesTable + ` SET "fence" = greatest("slices"."fence", l."newest" + 1), "purpose" = l."asked" FROM (SELECT "slice" AS "twin", max("fence") AS "newest", max("purpose") AS "asked" FROM ` + slicesTable + mine + ` GROUP BY "slice") AS l` +
			` WHERE "slices"."function" = ? AND "slices"."table_name" = ? AND "slices"."slice" = l."twin"`, join(live, shadow)},
		{`DELETE FROM ` + slicesTable + mine + ` AND "slice" IN (SELECT s."slice" FROM ` + slicesTable + ` AS s` + mine + `)`, join(live, shadow)},
		// The others stay known: a manifest of theirs that comes late finds a newer fence.
		{`UPDATE ` + slicesTable + ` SET "state" = CASE WHEN "state" IN ('extracting', 'staged') THEN 'planned' ELSE "state" END, "lease_until" = NULL, "cursor" = NULL, "vendor_cursor" = NULL, "manifest" = NULL, "digest" = NULL,
 "rows_source" = 0, "rows_staged" = 0, "rows_rejected" = 0, "rows_loaded" = 0, "updated_at" = ?` + mine, join([]any{r.Now}, live)},
		move("slices"),
		{`DELETE FROM "millrace"."marks"` + mine, shadow},
		// Rejects that came again are open again; the others went through.
		{`UPDATE "millrace"."rejects" SET "last_seen" = ?, "state" = 'open'` + mine + ` AND "state" IN ('open', 'replayed') AND "reject" IN (` + again + `)`, join([]any{r.Now}, live, shadow)},
		{`UPDATE "millrace"."rejects" SET "last_seen" = ?, "state" = 'replayed'` + mine + ` AND "state" IN ('open', 'replayed') AND "reject" NOT IN (` + again + `)`, join([]any{r.Now}, live, shadow)},
		{`DELETE FROM "millrace"."rejects"` + mine + ` AND "reject" IN (SELECT l."reject" FROM "millrace"."rejects" AS l` + mine + `)`, join(shadow, live)},
		move("rejects"),
		{`DELETE FROM "millrace"."drift"` + mine + ` AND "field" || ' ' || "kind" IN (SELECT l."field" || ' ' || l."kind" FROM "millrace"."drift" AS l` + mine + `)`, join(shadow, live)},
		move("drift"), move("checks"), move("runs"),
	}
}

func join(args ...[]any) (out []any) {
	for _, a := range args {
		out = append(out, a...)
	}
	return out
}

// The outcomes of a re-sync in millrace.resyncs, beside Refused.
const (
	Swapped  = "swapped"
	Same     = "same"     // nothing differed
	Compared = "compared" // no swap was asked for
)

// RecordResync writes a comparison that did not end in a swap, with its examples,
// to millrace.resyncs and millrace.differences.
func (w *Warehouse) RecordResync(ctx context.Context, r Resync, d Difference, outcome string, cause error) error {
	return w.short(ctx, "record the re-sync of "+r.Table.FullName(), func(tx *sql.Tx) error {
		return w.writeResync(ctx, tx, r, d, outcome, cause)
	})
}

func (w *Warehouse) writeResync(ctx context.Context, tx *sql.Tx, r Resync, d Difference, outcome string, cause error) error {
	for _, t := range []string{"resyncs", "differences"} {
		_, err := tx.ExecContext(ctx, `DELETE FROM "millrace".`+quote(t)+` WHERE "function" = ? AND "table_name" = ? AND "resync" = ?`, r.Function, r.Ledger, d.ID)
		if err != nil {
			return err
		}
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO "millrace"."resyncs" ("resync", "function", "table_name", "outcome", "rows_live", "rows_shadow", "added", "removed", "changed", "same", "error", "compared_at") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		d.ID, r.Function, r.Ledger, outcome, d.Live, d.Shadow, d.Added, d.Removed, d.Changed, d.Same, nullText(message(cause)), r.Now)
	for _, e := range d.Examples {
		if err == nil {
			_, err = tx.ExecContext(ctx, `INSERT INTO "millrace"."differences" ("resync", "function", "table_name", "kind", "key", "columns") SELECT ?, ?, ?, ?, `+w.driver.Document("?")+`, ?`,
				d.ID, r.Function, r.Ledger, e.Kind, string(e.Key), nullText(strings.Join(e.Columns, ", ")))
		}
	}
	return err
}

// Owe makes slices of the shadow due again, and takes their rows out.
func (w *Warehouse) Owe(ctx context.Context, r Resync, ids []string) error {
	name, ledger := r.shadow()
	defer w.lock(name.Schema + "." + name.Table)()
	return w.short(ctx, "read slices of the shadow of "+r.Table.FullName()+" again", func(tx *sql.Tx) error {
		for _, id := range ids {
			if _, err := tx.ExecContext(ctx, "DELETE FROM "+name.String()+` WHERE "_slice" = ?`, id); err != nil {
				return err
			}
			_, err := tx.ExecContext(ctx, `UPDATE `+slicesTable+` SET "state" = 'planned', "fence" = "fence" + 1, "lease_until" = NULL, "cursor" = NULL, "vendor_cursor" = NULL, "manifest" = NULL, "digest" = NULL, "loaded_at" = NULL, "rows_loaded" = 0`+bySlice,
				r.Function, ledger, id)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Discard forgets the shadow: its ledger first, so that a table without a ledger
// is always a left-over, and safe to drop.
func (w *Warehouse) Discard(ctx context.Context, r Resync) error {
	_, ledger := r.shadow()
	err := w.short(ctx, "discard the shadow of "+r.Table.FullName(), func(tx *sql.Tx) error {
		for _, t := range []string{"slices", "marks", "rejects", "drift", "checks"} {
			if _, err := tx.ExecContext(ctx, `DELETE FROM "millrace".`+quote(t)+` WHERE "function" = ? AND "table_name" = ?`, r.Function, ledger); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return w.fail(w.dropShadow(ctx, r), "drop the shadow of %s", r.Table.FullName())
}

func (w *Warehouse) dropShadow(ctx context.Context, r Resync) error {
	name, _ := r.shadow()
	defer w.lock(name.Schema + "." + name.Table)()
	conn, err := w.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if cols, err := w.driver.Columns(ctx, conn, name.Schema, name.Table); err != nil || len(cols) == 0 {
		return err // nothing is there, perhaps not even the schema
	}
	return run(ctx, conn, "DROP TABLE IF EXISTS "+name.String())
}
