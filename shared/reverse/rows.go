package reverse

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"iter"
	"strings"
	"time"

	"github.com/millrace-data/millrace/shared/fault"
)

// A plan's id ends with when it was made and something random.
const (
	stamp     = "20060102T150405Z"
	stampSize = len(stamp)
	tailSize  = 8
)

func planID(sync string, at time.Time) string {
	return sync + "-" + at.UTC().Format(stamp) + "-" + strings.ToLower(rand.Text()[:tailSize])
}

const planColumns = `"plan", "sync", "object", "operation", "undoes", "hash", "job", "state",
 "creates", "updates", "deletes", "blankings", "zeroings", "unchanged", "rejected", "kept", "blocked", "planned_at",
 "approved_by", "approved_at", "approved_hash", "fence", "owner", "lease_until",
 "sent", "failed", "unprocessed", "applied_at", "paused_until", "next", "error"`

// null scans a column that may be null; null is the zero value.
type null[T any] struct{ to *T }

func (n null[T]) Scan(v any) error {
	var x sql.Null[T]
	err := x.Scan(v)
	*n.to = x.V
	return err
}

func scanPlan(row interface{ Scan(dest ...any) error }) (*Plan, error) {
	p := &Plan{}
	var job, blocked string
	err := row.Scan(&p.ID, &p.Sync, null[string]{&p.Object}, null[Operation]{&p.Operation}, null[string]{&p.Undoes}, null[string]{&p.Hash}, null[string]{&job}, null[PlanState]{&p.State},
		null[int64]{&p.Creates}, null[int64]{&p.Updates}, null[int64]{&p.Deletes}, null[int64]{&p.Blankings}, null[int64]{&p.Zeroings}, null[int64]{&p.Unchanged}, null[int64]{&p.Rejected}, null[int64]{&p.Kept}, null[string]{&blocked}, null[time.Time]{&p.PlannedAt},
		null[string]{&p.ApprovedBy}, null[time.Time]{&p.ApprovedAt}, null[string]{&p.ApprovedHash}, null[int64]{&p.Fence}, null[string]{&p.Owner}, null[time.Time]{&p.LeaseUntil},
		null[int64]{&p.Sent}, null[int64]{&p.Failed}, null[int64]{&p.Unprocessed}, null[time.Time]{&p.AppliedAt}, null[time.Time]{&p.PausedUntil}, null[string]{&p.Next}, null[string]{&p.Error})
	if err != nil {
		return nil, err
	}
	for _, t := range []*time.Time{&p.PlannedAt, &p.ApprovedAt, &p.LeaseUntil, &p.AppliedAt, &p.PausedUntil} {
		*t = t.UTC()
	}
	for text, into := range map[string]any{job: &p.Job, blocked: &p.Blocked} {
		if text == "" {
			continue
		}
		if err := json.Unmarshal([]byte(text), into); err != nil {
			return nil, fault.New(fault.Corrupt, "stored plan %s: %w", p.ID, err)
		}
	}
	return p, nil
}

// insertPlan adds the plan's row.
func insertPlan(ctx context.Context, tx *sql.Tx, p *Plan) error {
	job, err := json.Marshal(p.Job)
	if err != nil {
		return err
	}
	blocked, err := json.Marshal(p.Blocked)
	if err != nil {
		return err
	}
	values := []any{p.ID, p.Sync, p.Object, string(p.Operation), orNull(p.Undoes), p.Hash, string(job), string(p.State),
		p.Creates, p.Updates, p.Deletes, p.Blankings, p.Zeroings, p.Unchanged, p.Rejected, p.Kept, string(blocked), p.PlannedAt.UTC(),
		orNull(p.ApprovedBy), orNull(p.ApprovedAt), orNull(p.ApprovedHash), p.Fence, orNull(p.Owner), orNull(p.LeaseUntil),
		p.Sent, p.Failed, p.Unprocessed, orNull(p.AppliedAt), orNull(p.PausedUntil), orNull(p.Next), orNull(p.Error), p.PlannedAt.UTC()}
	_, err = tx.ExecContext(ctx, `INSERT INTO "millrace"."sync_plans" (`+planColumns+`, "updated_at") VALUES (`+strings.Repeat("?, ", len(values)-1)+`?)`, values...)
	return err
}

// orNull is null for a zero value.
func orNull[T comparable](v T) any {
	var zero T
	if v == zero {
		return nil
	}
	return v
}

// Get returns a plan as it is stored, or fault.NotFound.
func (e *Engine) Get(ctx context.Context, id string) (*Plan, error) {
	p, err := scanPlan(e.Warehouse.DB().QueryRowContext(ctx, `SELECT `+planColumns+` FROM "millrace"."sync_plans" WHERE "plan" = ?`, id))
	if err == sql.ErrNoRows {
		return nil, fault.New(fault.NotFound, "there is no plan %q in this warehouse: look at its id with sync history, or make one with sync plan", id)
	}
	return p, e.Warehouse.Explain(err, "plan %s", id)
}

var rowColumns = []string{"plan", "n", "key", "kind", "field", "before", "after", "part", "state", "destination_id", "code", "error", "accepted"}

// changeRows is a change as sync_rows has it: a row per field, and one that names
// the external id where there is no field. Accepted is in the first.
func changeRows(p *Plan, c Change) [][]any {
	fields := c.Fields
	if len(fields) == 0 {
		fields = []FieldChange{{Field: p.Job.ExternalID}}
	}
	rows := make([][]any, len(fields))
	for i, f := range fields {
		rows[i] = []any{p.ID, c.N, c.Key, string(c.Kind), f.Field, pointed(f.Before), pointed(f.After), nil, string(RowPlanned), orNull(c.ID), nil, nil, nil}
	}
	rows[0][len(rowColumns)-1] = pointed(c.Accepted)
	return rows
}

func pointed(s *string) any {
	if s == nil {
		return nil
	}
	return *s
}

// changePage is how many records of a plan are in memory at a time.
const changePage = 2000

// Changes streams what a plan does to each record, in its order.
func (e *Engine) Changes(ctx context.Context, id string) iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		p, err := e.Get(ctx, id)
		if err != nil {
			yield(Change{}, err)
			return
		}
		e.changes(ctx, p)(yield)
	}
}

// changes reads page by page, so that no connection is held while the caller works.
func (e *Engine) changes(ctx context.Context, p *Plan) iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		for from := int64(0); from < p.Writes(); from += changePage {
			page, err := e.page(ctx, p, from, from+changePage)
			if err != nil {
				yield(Change{}, e.Warehouse.Explain(err, "rows of plan %s", p.ID))
				return
			}
			for _, c := range page {
				if !yield(c, nil) {
					return
				}
			}
		}
	}
}

// page is the changes with from < n ≤ to.
func (e *Engine) page(ctx context.Context, p *Plan, from, to int64) (out []Change, err error) {
	rows, err := e.Warehouse.DB().QueryContext(ctx, `SELECT "n", "key", "kind", "field", "before", "after", "destination_id", "accepted" FROM "millrace"."sync_rows" WHERE "plan" = ? AND "n" > ? AND "n" <= ? ORDER BY "n", "field"`, p.ID, from, to)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var c Change
		var f FieldChange
		if err := rows.Scan(&c.N, &c.Key, &c.Kind, &f.Field, &f.Before, &f.After, null[string]{&c.ID}, &c.Accepted); err != nil {
			return nil, err
		}
		if len(out) == 0 || out[len(out)-1].N != c.N {
			out = append(out, c)
		}
		last := &out[len(out)-1]
		if c.Accepted != nil {
			last.Accepted = c.Accepted
		}
		if f.Field != p.Job.ExternalID || f.Before != nil || f.After != nil {
			last.Fields = append(last.Fields, f)
		}
	}
	return out, rows.Err()
}
