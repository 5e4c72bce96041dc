package reverse

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"sync"
	"time"

	"github.com/millrace-data/millrace/shared/fault"
)

const plansTable = `"millrace"."sync_plans"`

// claim takes the plan under a new fence, for the length of a lease on the real
// clock. There is one writer per object: while another plan of the same object is
// being applied, the answer is fault.Stale. A plan whose rows have all ended comes
// back as it is, without a claim.
func (e *Engine) claim(ctx context.Context, id string) (*Plan, error) {
	p, err := e.Get(ctx, id)
	if err != nil || p.State == PlanApplied {
		return p, err
	}
	if err := alone(ctx, e.Warehouse.DB(), p); err != nil {
		return p, err
	}
	until := time.Now().UTC().Add(e.lease()).Truncate(time.Microsecond)
	err = e.decide(ctx, "claim plan "+id, func(tx *sql.Tx) error {
		// Touch every plan of the object: of two claims at once, one waits for the other
		// or meets it.
		if _, err := tx.ExecContext(ctx, `UPDATE `+plansTable+` SET "updated_at" = "updated_at" WHERE "object" = ?`, p.Object); err != nil {
			return err
		}
		now, err := scanPlan(tx.QueryRowContext(ctx, `SELECT `+planColumns+` FROM `+plansTable+` WHERE "plan" = ?`, id))
		if err != nil {
			return err
		}
		p = now
		if p.Owner == e.Owner && p.LeaseUntil.Equal(until) {
			return nil // an earlier try was committed and its answer lost
		}
		if p.State == PlanApplied {
			return nil // somebody ended it while we waited
		}
		if err := alone(ctx, tx, p); err != nil {
			return err
		}
		if err := e.applicable(p); err != nil {
			return err
		}
		p.State, p.Fence, p.Owner, p.LeaseUntil, p.PausedUntil, p.Error = PlanApplying, p.Fence+1, e.Owner, until, time.Time{}, ""
		_, err = tx.ExecContext(ctx, `UPDATE `+plansTable+` SET "state" = ?, "fence" = ?, "owner" = ?, "lease_until" = ?, "paused_until" = NULL, "error" = NULL, "updated_at" = ? WHERE "plan" = ?`,
			string(p.State), p.Fence, p.Owner, until, e.now(), id)
		return err
	})
	return p, err
}

// decide runs a transaction that may refuse. What it refuses with names the plan and
// says why; nothing is put in front of it.
func (e *Engine) decide(ctx context.Context, what string, do func(tx *sql.Tx) error) error {
	var refused error
	err := e.Warehouse.Transact(ctx, what, func(tx *sql.Tx) error {
		err := do(tx)
		if refused = nil; errors.Is(err, fault.Refused) || errors.Is(err, fault.Stale) {
			refused = err
		}
		return err
	})
	return cmp.Or(refused, err)
}

type querier interface {
	QueryRowContext(ctx context.Context, q string, args ...any) *sql.Row
}

// alone says who else is writing to the plan's object.
func alone(ctx context.Context, on querier, p *Plan) error {
	var other, owner string
	err := on.QueryRowContext(ctx, `SELECT "plan", coalesce("owner", '') FROM `+plansTable+` WHERE "object" = ? AND "lease_until" > ? ORDER BY "lease_until" DESC LIMIT 1`,
		p.Object, time.Now().UTC()).Scan(&other, &owner)
	if err == sql.ErrNoRows {
		return nil
	}
	if err == nil {
		err = fault.New(fault.Stale, "someone else is applying: plan %s writes to %s, in the hands of %s, and one plan at a time does; wait until it ends", other, p.Object, cmp.Or(owner, "another worker"))
	}
	return err
}

// applicable says why a plan cannot be applied. Whoever goes on with a plan need not
// ask its guards again: they were asked before the first write.
func (e *Engine) applicable(p *Plan) error {
	switch p.State {
	case PlanApproved, PlanApplying, PlanPaused:
		return nil
	case PlanBlocked:
		return fault.New(fault.Refused, "plan %s of sync %s is blocked by %s: nothing was written", p.ID, p.Sync, blockedBy(p))
	case PlanReady:
		return fault.New(fault.Refused, "plan %s of sync %s waits for an approval: sync approve %s --by NAME", p.ID, p.Sync, p.ID)
	case PlanStale:
		return outOfDate(p)
	}
	return fault.New(fault.Refused, "plan %s of sync %s is %s", p.ID, p.Sync, p.State)
}

func (e *Engine) lease() time.Duration { return cmp.Or(e.Lease, 2*time.Minute) }

// hold is a claim that is kept up while work goes on.
type hold struct {
	e    *Engine
	p    *Plan
	mu   sync.Mutex // transactions under the fence, one at a time: two would be in each other's way
	left bool       // the claim was given back
}

// keep does the work while the lease is renewed beside it. Who loses the fence is
// cancelled, with that as the cause.
func (h *hold) keep(ctx context.Context, do func(ctx context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(max(h.e.lease()/3, time.Millisecond))
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if err := h.renew(ctx); errors.Is(err, fault.Stale) {
					cancel(err)
				}
			}
		}
	}()
	err := do(ctx)
	lost := context.Cause(ctx)
	cancel(nil)
	<-ended
	if err != nil && errors.Is(lost, fault.Stale) {
		return lost
	}
	return err
}

// renew writes the lease alone.
func (h *hold) renew(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.left {
		return nil
	}
	return h.e.Warehouse.Transact(ctx, "renew the lease of plan "+h.p.ID, func(tx *sql.Tx) error { return h.fenced(ctx, tx) })
}

// fenced renews the lease inside a transaction, and fails it where somebody holds a
// newer fence.
func (h *hold) fenced(ctx context.Context, tx *sql.Tx) error {
	res, err := tx.ExecContext(ctx, `UPDATE `+plansTable+` SET "lease_until" = ?, "updated_at" = ? WHERE "plan" = ? AND "fence" = ? AND "state" = 'applying'`,
		time.Now().UTC().Add(h.e.lease()), h.e.now(), h.p.ID, h.p.Fence)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n == 1 {
		return err
	}
	return fault.New(fault.Stale, "plan %s is in other hands by now", h.p.ID)
}

// write runs a transaction under the fence, on a connection that has temporary
// tables.
func (h *hold) write(ctx context.Context, conn *sql.Conn, what string, do func(tx *sql.Tx) error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.e.within(ctx, conn, what+" of plan "+h.p.ID, func(tx *sql.Tx) error {
		if err := h.fenced(ctx, tx); err != nil {
			return err
		}
		return do(tx)
	})
}

// leave gives the claim back, and says how the plan stands. It also works where the
// caller is being stopped.
func (h *hold) leave(ctx context.Context, state PlanState, until time.Time, why error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 15*time.Second)
	defer cancel()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.left = true
	text := ""
	if why != nil {
		text = why.Error()
	}
	return h.e.Warehouse.Transact(ctx, "leave plan "+h.p.ID, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE `+plansTable+` SET "state" = ?, "lease_until" = NULL, "paused_until" = ?, "error" = ?, "updated_at" = ? WHERE "plan" = ? AND "fence" = ? AND "state" = 'applying'`,
			string(state), orNull(until), orNull(text), h.e.now(), h.p.ID, h.p.Fence)
		return err
	})
}
