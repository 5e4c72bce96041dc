package reverse

import (
	"context"
	"database/sql"
	"fmt"
	"iter"

	"github.com/millrace-data/millrace/shared/fault"
)

// Rollback makes the plan that undoes one that was applied, from what stood there
// before it: fields are restored that still hold our value, records that we created
// are deleted where all our fields still hold our values and, as far as the destination
// tells, nobody else changed any other; records that we deleted are created again, with
// new ids and the fields of the job. What somebody changed since is left as it is, and
// counted as Kept. Nothing is written: the plan waits for
// an approval, like any other, and can be rolled back itself.
func (e *Engine) Rollback(ctx context.Context, id string) (*Plan, error) {
	old, err := e.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	switch {
	case old.State == PlanApplying || old.State == PlanPaused:
		return nil, fault.New(fault.Refused, "plan %s of sync %s is still being applied: apply it to its end, then roll it back", id, old.Sync)
	case old.State != PlanApplied:
		return nil, fault.New(fault.Refused, "plan %s of sync %s is %s and has written nothing: there is nothing to roll back", id, old.Sync, old.State)
	}
	u := &undoing{e: e, old: old, plan: &Plan{Sync: old.Sync, Object: old.Object, Operation: old.Operation, Undoes: old.ID, Job: old.Job, PlannedAt: e.now()}}
	if u.d, err = e.Connect(ctx); err != nil {
		return nil, err
	}
	defer closeDestination(u.d)
	if u.object, err = u.d.Describe(ctx, old.Object); err != nil {
		return nil, fmt.Errorf("roll back plan %s: %w", id, err)
	}
	if u.conn, err = e.Warehouse.Session(ctx, "roll back plan "+id); err != nil {
		return nil, err
	}
	defer u.conn.Close()
	conn, err := e.Warehouse.Session(ctx, "store the rollback of plan "+id) // the other one has the temporary tables that are read meanwhile
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	l := u.looking()
	if err := l.look(ctx); err != nil {
		return nil, err
	}
	if err := e.store(ctx, conn, u.plan, u.changes(ctx, l)); err != nil {
		return nil, err
	}
	e.Log.Info("rollback planned", "sync", old.Sync, "plan", u.plan.ID, "undoes", id, "rows", u.plan.Writes(), "kept", u.plan.Kept)
	return u.plan, nil
}

// undoing makes the rollback of one plan.
type undoing struct {
	e      *Engine
	old    *Plan
	plan   *Plan
	d      Destination
	conn   *sql.Conn
	object *Object
}

// looking is the rows that were sent, and did what the plan said.
func (u *undoing) looking() looking {
	return looking{e: u.e, d: u.d, conn: u.conn, p: u.old, object: u.object, byKey: KindDelete, edits: u.old.Creates > 0, where: `r."state" = 'sent' AND r."code" IS NULL`}
}

// changes streams what brings the records back, in the plan's order, and counts what
// is kept.
func (u *undoing) changes(ctx context.Context, l looking) iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		var last, sent, found int64
		err := u.e.Warehouse.DB().QueryRowContext(ctx, `SELECT coalesce(max("n"), 0), count(DISTINCT "n") FROM `+rowsTable+` WHERE "plan" = ? AND "state" = 'sent'`, u.old.ID).Scan(null[int64]{&last}, null[int64]{&sent})
		for from := int64(0); err == nil && from < last; from += changePage {
			var page []Change
			if page, err = u.page(ctx, l, from); err != nil {
				break
			}
			found += int64(len(page))
			for _, c := range page {
				if !yield(c, nil) {
					return
				}
			}
		}
		if err != nil {
			yield(Change{}, u.e.Warehouse.Explain(err, "rows of plan %s", u.old.ID))
			return
		}
		u.plan.Kept = sent - found
	}
}

// undone is a row of the old plan beside what is live.
type undone struct {
	c    Change // as it was
	here bool
	mine bool      // nobody else is known to have changed the record after who made it
	live []*string // of the fields
}

func (u *undoing) page(ctx context.Context, l looking, from int64) (out []Change, err error) {
	rows, err := u.conn.QueryContext(ctx, `SELECT r."n", r."key", r."kind", r."destination_id", r."field", r."before", r."after", CASE WHEN h."id" IS NULL THEN 0 ELSE 1 END, CASE WHEN h."value" IS NULL THEN 1 ELSE 0 END, v."value" FROM `+l.joined()+` AND r."n" > ? AND r."n" <= ? ORDER BY r."n", r."field"`,
		append(append([]any{u.old.ID}, l.args...), from, from+changePage)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var one undone
	flush := func() {
		if c, ok := u.undo(one); ok {
			out = append(out, c)
		}
	}
	for rows.Next() {
		var c Change
		var here, mine int64
		var f FieldChange
		var live *string
		if err := rows.Scan(null[int64]{&c.N}, null[string]{&c.Key}, &c.Kind, null[string]{&c.ID}, &f.Field, &f.Before, &f.After, null[int64]{&here}, null[int64]{&mine}, &live); err != nil {
			return nil, err
		}
		if c.N != one.c.N {
			flush()
			one = undone{c: c, here: here == 1, mine: mine == 1}
		}
		if f.Field != u.old.Job.ExternalID {
			one.c.Fields, one.live = append(one.c.Fields, f), append(one.live, live)
		}
	}
	flush()
	return out, rows.Err()
}

// undo is the change that undoes a row, none where what we wrote is not there any
// more.
func (u *undoing) undo(o undone) (Change, bool) {
	back := Change{Key: o.c.Key, ID: o.c.ID}
	switch {
	case o.c.N == 0:
		return back, false
	case o.c.Kind == KindDelete:
		back.Kind, back.ID = KindCreate, ""
		for _, f := range o.c.Fields {
			if f.Before != nil {
				back.Fields = append(back.Fields, FieldChange{Field: f.Field, After: f.Before})
			}
		}
		return back, !o.here && u.old.Job.ExternalID != "Id" // what has no key of ours cannot come back
	case !o.here:
		return back, false
	}
	ours := 0
	for i, f := range o.c.Fields {
		if !same(o.live[i], f.After) {
			continue
		}
		if ours++; o.c.Kind == KindCreate {
			back.Fields = append(back.Fields, FieldChange{Field: f.Field, Before: f.After})
		} else if !same(f.Before, f.After) {
			back.Fields = append(back.Fields, FieldChange{Field: f.Field, Before: f.After, After: f.Before})
		}
	}
	if o.c.Kind == KindCreate {
		back.Kind = KindDelete
		return back, ours == len(o.c.Fields) && o.mine
	}
	back.Kind = KindUpdate
	return back, len(back.Fields) > 0
}

func same(a, b *string) bool { return a == b || a != nil && b != nil && *a == *b }
