package reverse

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"iter"
	"time"

	"github.com/millrace-data/millrace/shared/fault"
)

// store writes the changes and then the plan's own row, which makes the plan exist:
// a process that dies before leaves rows that nobody sees and that a later plan of
// the sync sweeps away. It numbers the changes, sets the plan's id, hash, counts,
// guards and state, and hands back the plan that was there, where the newest one of
// this sync does just the same.
//
// What blocks it already comes in p.Blocked: of a rollback that is all, for the job's
// guards are not for it.
func (e *Engine) store(ctx context.Context, conn *sql.Conn, p *Plan, changes iter.Seq2[Change, error]) error {
	return e.save(ctx, conn, p, changes, beside{})
}

// beside is what goes along with the changes of a plan.
type beside struct {
	records func(ctx context.Context) (int64, error) // of the object; nil = no guard asks
	facts   func(tx *sql.Tx, plan string) error      // to write in the transaction that makes the plan exist, under its id; nil = none
}

// save is store, with what goes beside.
func (e *Engine) save(ctx context.Context, conn *sql.Conn, p *Plan, changes iter.Seq2[Change, error], b beside) error {
	if err := e.sweep(ctx, conn, p.Sync); err != nil {
		return err
	}
	var err error
	if p.PlannedAt, err = e.instant(ctx); err != nil {
		return err
	}
	p.ID = planID(p.Sync, p.PlannedAt)
	w := newWatch(Guards{})
	if p.Undoes == "" {
		w = newWatch(p.Job.Guards)
	}
	if err := e.fill(ctx, conn, p, w, changes); err != nil {
		return err
	}
	e.point("after_rows")
	if err := e.settle(ctx, p, w, b); err != nil {
		return err
	}
	e.point("before_plan")
	return e.within(ctx, conn, "store plan "+p.ID, func(tx *sql.Tx) error {
		same, err := sameAs(ctx, tx, p)
		if err != nil {
			return err
		}
		if b.facts != nil {
			if err := b.facts(tx, cmp.Or(same, p.ID)); err != nil {
				return err
			}
		}
		if same != "" {
			return e.reuse(ctx, tx, p, same)
		}
		return publish(ctx, tx, p)
	})
}

// instant is the present, or just after the plans that were made in this very moment,
// as it is where a test stops the clock: plans have an order.
func (e *Engine) instant(ctx context.Context) (time.Time, error) {
	now := e.Now().UTC().Truncate(time.Microsecond)
	last, err := e.newest(ctx, `SELECT max("planned_at") FROM "millrace"."sync_plans" WHERE "planned_at" >= ? AND "planned_at" < ?`, now, now.Add(time.Second))
	if !last.IsZero() {
		now = last.Add(time.Microsecond)
	}
	return now, e.Warehouse.Explain(err, "plans of this moment")
}

// fill writes the rows, and counts, hashes and watches what goes by.
func (e *Engine) fill(ctx context.Context, conn *sql.Conn, p *Plan, w *watch, changes iter.Seq2[Change, error]) error {
	d, err := newHash(p)
	if err != nil {
		return err
	}
	p.Creates, p.Updates, p.Deletes = 0, 0, 0
	var broken error // the source's own, which is not about the warehouse
	rows := func(yield func([]any, error) bool) {
		for c, err := range changes {
			if err != nil {
				broken = err
				yield(nil, err)
				return
			}
			c = sorted(c)
			c.N = p.Writes() + 1
			d.add(c)
			w.see(c)
			p.count(c.Kind)
			for _, r := range changeRows(p, c) {
				if !yield(r, nil) {
					return
				}
			}
		}
	}
	n, err := e.Warehouse.Fill(ctx, conn, "millrace", "sync_rows", rowColumns, rows)
	if err != nil {
		return cmp.Or(broken, err)
	}
	p.Hash, p.Blankings, p.Zeroings = d.sum(), w.blankings, w.zeroings
	return e.verify(ctx, conn, p, n)
}

// verify makes sure that the warehouse has what was written.
func (e *Engine) verify(ctx context.Context, conn *sql.Conn, p *Plan, rows int64) error {
	var stored, records int64
	err := conn.QueryRowContext(ctx, `SELECT count(*), count(DISTINCT "n") FROM "millrace"."sync_rows" WHERE "plan" = ?`, p.ID).Scan(&stored, &records)
	if err == nil && (stored != rows || records != p.Writes()) {
		return fault.New(fault.Transient, "plan %s of sync %s: %d rows of %d records were written and %d of %d are there: another process removed them; plan again", p.ID, p.Sync, rows, p.Writes(), stored, records)
	}
	return e.Warehouse.Explain(err, "rows of plan %s", p.ID)
}

// settle decides what may become of the plan.
func (e *Engine) settle(ctx context.Context, p *Plan, w *watch, b beside) (err error) {
	var records int64
	if b.records != nil {
		if records, err = b.records(ctx); err != nil {
			return err
		}
	}
	p.Blocked = append(p.Blocked, w.verdict(records)...)
	p.State, p.ApprovedBy, p.ApprovedAt, p.ApprovedHash = PlanReady, "", time.Time{}, ""
	switch {
	case len(p.Blocked) > 0:
		p.State = PlanBlocked
	case p.Job.Approval == ApprovalAuto && p.Undoes == "":
		p.State, p.ApprovedBy, p.ApprovedAt, p.ApprovedHash = PlanApproved, "auto", e.Now().UTC(), p.Hash
	}
	return nil
}

// count adds a change to the plan's totals.
func (p *Plan) count(k Kind) {
	switch k {
	case KindCreate:
		p.Creates++
	case KindUpdate:
		p.Updates++
	case KindDelete:
		p.Deletes++
	}
}

// sameAs is the id of the newest plan of this sync that nobody has applied yet and
// that does what p does, or "". Guards look at more than the changes, such as the
// age of inputs: one whose state would be another now is not the same.
func sameAs(ctx context.Context, tx *sql.Tx, p *Plan) (string, error) {
	last, err := scanPlan(tx.QueryRowContext(ctx, `SELECT `+planColumns+` FROM "millrace"."sync_plans" WHERE "sync" = ? AND coalesce("undoes", '') = ? AND "plan" <> ? ORDER BY "planned_at" DESC, "plan" DESC LIMIT 1`, p.Sync, p.Undoes, p.ID))
	if err == sql.ErrNoRows {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	waits := last.State == PlanBlocked || last.State == PlanReady || last.State == PlanApproved
	expired := p.PlannedAt.Sub(last.PlannedAt) >= cmp.Or(last.Job.Expires, Expires)
	if !waits || expired || last.Hash != p.Hash || guards(last) != guards(p) {
		return "", nil
	}
	return last.ID, nil
}

// Expires is how old a plan may be when it is applied, where the job says nothing.
const Expires = 24 * time.Hour

func guards(p *Plan) (names string) {
	for _, b := range p.Blocked {
		names += b.Guard + "\n"
	}
	return names
}

// reuse drops what was just stored and puts the plan that was there into p, with
// what is counted of the query now.
func (e *Engine) reuse(ctx context.Context, tx *sql.Tx, p *Plan, same string) error {
	if _, err := tx.ExecContext(ctx, `DELETE FROM "millrace"."sync_rows" WHERE "plan" = ?`, p.ID); err != nil {
		return err
	}
	blocked, err := json.Marshal(p.Blocked)
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `UPDATE "millrace"."sync_plans" SET "unchanged" = ?, "rejected" = ?, "kept" = ?, "blocked" = ?, "updated_at" = ? WHERE "plan" = ?`,
		p.Unchanged, p.Rejected, p.Kept, string(blocked), p.PlannedAt, same); err != nil {
		return err
	}
	got, err := scanPlan(tx.QueryRowContext(ctx, `SELECT `+planColumns+` FROM "millrace"."sync_plans" WHERE "plan" = ?`, same))
	if err == nil {
		*p = *got
	}
	return err
}

// publish makes the plan exist, and those before it that still wait out of date.
func publish(ctx context.Context, tx *sql.Tx, p *Plan) error {
	_, err := tx.ExecContext(ctx, `UPDATE "millrace"."sync_plans" SET "state" = 'stale', "next" = ?, "updated_at" = ? WHERE "sync" = ? AND coalesce("undoes", '') = ? AND "state" IN ('blocked', 'ready', 'approved')`,
		p.ID, p.PlannedAt, p.Sync, p.Undoes)
	if err == nil { // where an earlier try was committed and its answer lost
		_, err = tx.ExecContext(ctx, `DELETE FROM "millrace"."sync_plans" WHERE "plan" = ?`, p.ID)
	}
	if err != nil {
		return err
	}
	return insertPlan(ctx, tx, p)
}

// sweep removes the rows of plans of a sync that never came to exist. Those that are
// young may be on their way in another process.
func (e *Engine) sweep(ctx context.Context, conn *sql.Conn, sync string) error {
	_, err := conn.ExecContext(ctx, `DELETE FROM "millrace"."sync_rows" WHERE "plan" > ? AND "plan" < ? AND substr("plan", 1, length("plan") - ?) = ? AND substr("plan", length("plan") - ?, ?) < ?
 AND "plan" NOT IN (SELECT "plan" FROM "millrace"."sync_plans" WHERE "sync" = ?)`,
		sync+"-", sync+".", // the sign after -: most of the table need not be looked at
		stampSize+tailSize+2, sync, stampSize+tailSize, stampSize, e.Now().UTC().Add(-planning).Format(stamp), sync)
	return e.Warehouse.Explain(err, "sweep rows of plans of %s that do not exist", sync)
}

// planning is the longest that making a plan takes; no invocation lives as long.
const planning = time.Hour

// within runs a transaction on conn, again where it met another writer.
func (e *Engine) within(ctx context.Context, conn *sql.Conn, what string, do func(tx *sql.Tx) error) (err error) {
	const tries = 6
	for try := range tries {
		if err = transact(ctx, conn, do); !fault.Retryable(e.Warehouse.Explain(err, "%s", what)) {
			break
		}
		select {
		case <-ctx.Done():
			return e.Warehouse.Explain(ctx.Err(), "%s", what)
		case <-time.After(time.Duration(10<<try) * time.Millisecond):
		}
	}
	return e.Warehouse.Explain(err, "%s", what)
}

func transact(ctx context.Context, conn *sql.Conn, do func(tx *sql.Tx) error) error {
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() {
		if e := tx.Rollback(); e != nil && !errors.Is(e, sql.ErrTxDone) { // the session could still be inside it
			_ = conn.Raw(func(any) error { return driver.ErrBadConn })
		}
	}()
	if err := do(tx); err != nil {
		return err
	}
	return tx.Commit()
}
