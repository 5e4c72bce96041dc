package reverse

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/millrace-data/millrace/shared/fault"
)

// applier is one apply of one plan, by one worker.
type applier struct {
	*hold
	d       Destination
	bulk    Bulk // nil where the destination has none
	conn    *sql.Conn
	object  *Object
	key     Field   // the job's external id
	fields  []Field // see task
	resumed bool    // some of the plan may be written
	stopAt  time.Time
	done    map[RowState]int64 // rows of the plan, when the last part ended
}

// Apply writes an approved plan, once, or goes on with one that was left. Before the
// first write it makes sure that the stored rows are those that were approved, that
// the plan is not too old, and that the destination still stands as the plan says;
// where it does not, nothing is written, the plan is out of date, and another one
// takes its place: the error is fault.Refused.
//
// Where it has to stop before the end, what is done stays done, and the error says
// why: Limited where the destination's requests are used up and the plan is paused;
// Transient where the time is, or the destination is in trouble; Stale where somebody
// else has the plan. The plan that comes back says how far it is in any case.
func (e *Engine) Apply(ctx context.Context, id string) (*Plan, error) {
	p, err := e.claim(ctx, id)
	if err != nil || p.State != PlanApplying {
		return p, err
	}
	h := &hold{e: e, p: p}
	started := e.now()
	err = h.keep(ctx, func(ctx context.Context) error { return (&applier{hold: h}).apply(ctx) })
	now, getErr := e.Get(context.WithoutCancel(ctx), id)
	if getErr != nil {
		return p, cmp.Or(err, getErr)
	}
	e.Log.Info("sync applied", "sync", p.Sync, "plan", id, "state", string(now.State), "sent", now.Sent, "failed", now.Failed, "unprocessed", now.Unprocessed, "took_ms", e.now().Sub(started).Milliseconds())
	return now, err
}

// apply does what is left of the plan and says how it stands.
func (a *applier) apply(ctx context.Context) error {
	err := a.begun(ctx)
	if err == nil {
		err = a.work(ctx)
	}
	var old *outdated
	switch {
	case err == nil, errors.Is(err, fault.Stale):
		return err
	case errors.As(err, &old):
		return a.replace(ctx, old)
	case errors.Is(err, fault.Limited):
		return a.pause(ctx, err)
	}
	state := PlanApplying
	if !a.resumed {
		state = PlanApproved // nothing was written, nor begun
	}
	return errors.Join(err, a.leave(ctx, state, time.Time{}, err))
}

// work connects and does all steps.
func (a *applier) work(ctx context.Context) (err error) {
	if a.d, err = a.e.Connect(ctx); err != nil {
		return err
	}
	defer closeDestination(a.d)
	a.bulk, _ = a.d.(Bulk)
	if a.conn, err = a.e.Warehouse.Session(ctx, "apply plan "+a.p.ID); err != nil {
		return err
	}
	defer a.conn.Close()
	a.stopAt = margin(ctx)
	if err := a.begin(ctx); err != nil {
		return err
	}
	left, err := a.unfinished(ctx)
	for _, p := range left {
		if err == nil {
			err = a.finish(ctx, p)
		}
	}
	if err != nil {
		return err
	}
	if err := a.rest(ctx); err != nil {
		return err
	}
	return a.close(ctx)
}

// begun finds out whether some of the plan may be written. Until that is known, it
// may be.
func (a *applier) begun(ctx context.Context) error {
	var parts int64
	a.resumed = true
	if err := a.e.Warehouse.DB().QueryRowContext(ctx, `SELECT count(*) FROM `+jobsTable+` WHERE "plan" = ?`, a.p.ID).Scan(null[int64]{&parts}); err != nil {
		return a.e.Warehouse.Explain(err, "parts of plan %s", a.p.ID)
	}
	a.resumed = parts > 0
	return nil
}

// begin makes sure that the plan may be written as it is stored.
func (a *applier) begin(ctx context.Context) (err error) {
	hash, err := a.e.hashOf(ctx, a.p)
	switch {
	case err != nil:
		return err
	case hash != a.p.Hash || hash != a.p.ApprovedHash:
		return &outdated{why: fmt.Sprintf("its stored rows are not those that %s approved", cmp.Or(a.p.ApprovedBy, "somebody"))}
	case !a.resumed && a.e.expired(a.p):
		return &outdated{why: fmt.Sprintf("it is from %s, and older than plans of this sync may be", a.p.PlannedAt.Format(time.RFC3339)), again: true}
	}
	if a.object, err = a.d.Describe(ctx, a.p.Object); err != nil {
		return fmt.Errorf("plan %s: describe %s: %w", a.p.ID, a.p.Object, err)
	}
	a.key, _ = a.object.called(a.p.Job.ExternalID)
	if !a.resumed {
		if err := a.room(ctx); err != nil {
			return err
		}
	}
	return a.compare(ctx)
}

// compare looks at the records of all rows that no request has had yet. Of a plan
// that was begun, rows whose record changed are left out; of any other, one is
// enough to make it out of date.
func (a *applier) compare(ctx context.Context) error {
	moved, err := a.moved(ctx, `r."state" IN ('planned', 'retry')`)
	if err != nil || moved == 0 {
		return err
	}
	if !a.resumed {
		return &outdated{why: fmt.Sprintf("records that are no longer as they were when it was made: %d of %d", moved, a.p.Writes()), again: true}
	}
	return a.leaveOut(ctx)
}

// moved counts the rows whose record is not as the plan expects, in seenTable.
func (a *applier) moved(ctx context.Context, where string, args ...any) (n int64, err error) {
	l := looking{e: a.e, d: a.d, conn: a.conn, p: a.p, object: a.object, byKey: KindCreate, edits: a.p.Undoes != "" && a.p.Deletes > 0, where: where, args: args}
	if err := l.look(ctx); err != nil {
		return 0, err
	}
	err = a.conn.QueryRowContext(ctx, `SELECT count(*) FROM `+seenTable+` WHERE "before" = 0`).Scan(null[int64]{&n})
	return n, a.e.Warehouse.Explain(err, "compare plan %s with what is live", a.p.ID)
}

// leaveOut ends the rows whose record changed while the plan was on its way.
func (a *applier) leaveOut(ctx context.Context) error {
	return a.write(ctx, a.conn, "leave out rows", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE `+rowsTable+` SET "state" = 'unprocessed', "error" = ? WHERE "plan" = ? AND "state" IN ('planned', 'retry', 'sending') AND "n" IN (SELECT "n" FROM `+seenTable+` WHERE "before" = 0)`,
			"the record changed at the destination before its turn: it is in the next plan, if it still differs", a.p.ID)
		return err
	})
}

// rest cuts what waits into parts and sends them, one after the other.
func (a *applier) rest(ctx context.Context) error {
	for {
		c, ok, err := a.nextClass(ctx)
		if err != nil || !ok {
			return err
		}
		if c.state == RowRetry {
			if err := a.wait(ctx, a.poll()<<min(c.attempt-1, 5)); err != nil {
				return err
			}
		}
		for {
			if err := a.room(ctx); err != nil {
				return err
			}
			p, err := a.cut(ctx, c)
			if err != nil {
				return err
			}
			if p == nil {
				break
			}
			a.resumed = true
			if err := a.finish(ctx, p); err != nil {
				return err
			}
		}
	}
}

// room says when to stop before another request is made for new rows: at the end of
// the time, or where the rest of the requests is for people.
func (a *applier) room(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("plan %s: %w", a.p.ID, err)
	}
	if !a.stopAt.IsZero() && time.Now().After(a.stopAt) {
		return fault.New(fault.Transient, "plan %s of sync %s is not at its end and its time is: apply it again, and it goes on where it stopped", a.p.ID, a.p.Sync)
	}
	b, kept := a.d.Budget(), int64(cmp.Or(a.p.Job.Reserve, reserve))
	if b.Max > 0 && b.Used > b.Max*(100-kept)/100 {
		return fault.New(fault.Limited, "plan %s of sync %s: %d of %d requests of the period are used, and %d percent are left to people", a.p.ID, a.p.Sync, b.Used, b.Max, kept)
	}
	return nil
}

// margin is when to stop: with time in hand to write down how things stand.
func margin(ctx context.Context) time.Time {
	end, ok := ctx.Deadline()
	if !ok {
		return time.Time{}
	}
	return end.Add(-min(20*time.Second, time.Until(end)/4))
}

// poll is how long to wait at first.
func (a *applier) poll() time.Duration { return cmp.Or(a.e.Poll, 2*time.Second) }

// wait waits, unless the time ends meanwhile.
func (a *applier) wait(ctx context.Context, d time.Duration) error {
	d = min(d, time.Minute)
	if !a.stopAt.IsZero() && time.Now().Add(d).After(a.stopAt) {
		return fault.New(fault.Transient, "plan %s of sync %s waits for the destination and its time is at an end: apply it again, and it goes on where it stopped", a.p.ID, a.p.Sync)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return fmt.Errorf("plan %s: %w", a.p.ID, context.Cause(ctx))
	case <-t.C:
		return nil
	}
}

// pause keeps what is done until the destination takes requests again.
func (a *applier) pause(ctx context.Context, why error) error {
	until, ok := fault.Until(why)
	if !ok {
		until = a.e.now().Add(recharge) // nobody says when requests of a day come back
		why = fault.LimitedUntil(until, "%w", why)
	}
	if err := a.leave(ctx, PlanPaused, until, why); err != nil {
		return errors.Join(why, err)
	}
	return why
}

// close ends a plan all of whose rows have ended, and makes sure that they balance.
func (a *applier) close(ctx context.Context) error {
	return a.write(ctx, a.conn, "close", func(tx *sql.Tx) error {
		done, err := a.totals(ctx, tx)
		if err != nil {
			return err
		}
		if sum := done[RowSent] + done[RowFailed] + done[RowUnprocessed]; sum != a.p.Writes() {
			return fault.New(fault.Corrupt, "plan %s: %d rows were planned, and %d sent, %d failed and %d unprocessed", a.p.ID, a.p.Writes(), done[RowSent], done[RowFailed], done[RowUnprocessed])
		}
		_, err = tx.ExecContext(ctx, `UPDATE `+plansTable+` SET "state" = 'applied', "lease_until" = NULL, "paused_until" = NULL, "error" = NULL, "applied_at" = ?, "updated_at" = ?, "sent" = ?, "failed" = ?, "unprocessed" = ? WHERE "plan" = ? AND "fence" = ?`,
			a.e.now(), a.e.now(), done[RowSent], done[RowFailed], done[RowUnprocessed], a.p.ID, a.p.Fence)
		return err
	})
}

// totals counts the plan's records by state.
func (a *applier) totals(ctx context.Context, tx *sql.Tx) (map[RowState]int64, error) {
	rows, err := tx.QueryContext(ctx, `SELECT "state", count(DISTINCT "n") FROM `+rowsTable+` WHERE "plan" = ? GROUP BY "state"`, a.p.ID)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := map[RowState]int64{}
	for rows.Next() {
		var s RowState
		var n int64
		if err := rows.Scan(&s, null[int64]{&n}); err != nil {
			return nil, err
		}
		out[s] = n
	}
	return out, rows.Err()
}

// outdated is why a plan must not be begun.
type outdated struct {
	why   string
	again bool // make another plan in its place
}

func (o *outdated) Error() string { return o.why }

// replace makes the plan stale, and another one in its place. A plan that was begun
// keeps its state: what it wrote must be found.
func (a *applier) replace(ctx context.Context, old *outdated) error {
	why := fault.New(fault.Refused, "plan %s of sync %s is not applied: %s", a.p.ID, a.p.Sync, old.why)
	if a.resumed {
		return errors.Join(why, a.leave(ctx, PlanApplying, time.Time{}, old))
	}
	if err := a.leave(ctx, PlanStale, time.Time{}, old); err != nil || !old.again {
		return errors.Join(why, err)
	}
	next, err := a.e.again(ctx, a.p)
	if err != nil {
		return fault.New(fault.Refused, "%w; another plan in its place: %v", why, err)
	}
	if err := a.e.succeed(ctx, a.p.ID, next.ID); err != nil {
		return errors.Join(why, err)
	}
	return fault.New(fault.Refused, "%w; look at plan %s, which takes its place", why, next.ID)
}

// succeed names the plan that takes another's place.
func (e *Engine) succeed(ctx context.Context, id, next string) error {
	return e.Warehouse.Transact(ctx, "name the plan after "+id, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE `+plansTable+` SET "next" = ?, "updated_at" = ? WHERE "plan" = ?`, next, e.now(), id)
		return err
	})
}

// again plans anew what an out of date plan was for.
func (e *Engine) again(ctx context.Context, p *Plan) (*Plan, error) {
	if p.Undoes != "" {
		return e.Rollback(ctx, p.Undoes)
	}
	return e.Plan(ctx, p.Job, PlanOptions{})
}
