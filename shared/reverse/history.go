package reverse

import (
	"context"
	"time"
)

// History returns the plans of a sync, or with "" of all, newest first: who approved
// what, when, and what it did.
func (e *Engine) History(ctx context.Context, sync string) ([]Plan, error) {
	plans, err := e.plans(ctx, `(? = '' OR "sync" = ?) ORDER BY "planned_at" DESC, "plan" DESC`, sync, sync)
	return plans, e.Warehouse.Explain(err, "plans of sync %s", sync)
}

// Waiting returns the plans that an apply has to go on with, oldest first: those
// whose worker is gone, whose pause is over, or that were approved by nobody but
// their guards.
func (e *Engine) Waiting(ctx context.Context) ([]Plan, error) {
	all, err := e.plans(ctx, `("state" = 'applying' AND ("lease_until" IS NULL OR "lease_until" < ?)) OR ("state" = 'paused' AND ("paused_until" IS NULL OR "paused_until" <= ?)) OR ("state" = 'approved' AND "approved_by" = ?) ORDER BY "planned_at", "plan"`,
		time.Now().UTC(), e.now(), auto)
	if err != nil {
		return nil, e.Warehouse.Explain(err, "plans that wait")
	}
	due := all[:0]
	for _, p := range all {
		if p.State != PlanApproved || !e.expired(&p) {
			due = append(due, p)
		}
	}
	return due, nil
}

func (e *Engine) plans(ctx context.Context, where string, args ...any) (out []Plan, err error) {
	rows, err := e.Warehouse.DB().QueryContext(ctx, `SELECT `+planColumns+` FROM `+plansTable+` WHERE `+where, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		p, err := scanPlan(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, *p)
	}
	return out, rows.Err()
}
