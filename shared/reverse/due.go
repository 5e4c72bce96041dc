package reverse

import (
	"context"
	"database/sql"
	"strings"
	"time"
)

// Planned is when the last plan of a sync was made, a rollback left out; zero where
// there is none.
func (e *Engine) Planned(ctx context.Context, sync string) (time.Time, error) {
	t, err := e.newest(ctx, `SELECT max("planned_at") FROM "millrace"."sync_plans" WHERE "sync" = ? AND "undoes" IS NULL`, sync)
	return t, e.Warehouse.Explain(err, "last plan of sync %s", sync)
}

// LoadedAt is when a table of [Engine].Inputs was last committed; zero where it never
// was, or no function of this build fills it.
func (e *Engine) LoadedAt(ctx context.Context, table string) (time.Time, error) {
	for _, in := range e.Inputs {
		if strings.EqualFold(in.FullName(), table) {
			t, err := e.newest(ctx, `SELECT max("updated_at") FROM "millrace"."slices" WHERE "function" = ? AND "table_name" = ? AND "state" = 'loaded'`, in.Function, in.Table)
			return t, e.Warehouse.Explain(err, "last load of %s", table)
		}
	}
	return time.Time{}, nil
}

// Busy is until when another worker may be writing to an object at most; zero where
// none is.
func (e *Engine) Busy(ctx context.Context, object string) (time.Time, error) {
	now := time.Now().UTC() // of leases, which run on the real clock
	t, err := e.newest(ctx, `SELECT max("lease_until") FROM "millrace"."sync_plans" WHERE "object" = ? AND "state" = 'applying' AND "lease_until" > ?`, object, now)
	return t, e.Warehouse.Explain(err, "plans that are being applied to %s", object)
}

func (e *Engine) newest(ctx context.Context, query string, args ...any) (time.Time, error) {
	var t sql.NullTime
	err := e.Warehouse.DB().QueryRowContext(ctx, query, args...).Scan(&t)
	return t.Time.UTC(), err
}
