package reverse

import "context"

// PlanWhole is Plan that reads all records at once however few rows changed.
func (e *Engine) PlanWhole(ctx context.Context, job Job, o PlanOptions) (*Plan, error) {
	return e.planned(ctx, job, o, 0)
}
