package extract

import (
	"context"
	"errors"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/rest"
	"github.com/millrace-data/millrace/shared/warehouse"
)

// One reading may give rows of several tables. The slice is then read under the
// claim, the cursor and the message of one of them, the leading table. The others
// have a ledger row and a manifest of the same slice id each, and are loaded on
// their own; a slice is due until all of them are loaded.

// beside are the tables that are filled by the slices of t.
func beside(all []Table, t Table) (out []Table) {
	for _, b := range all {
		if b.Beside == t.Name {
			out = append(out, b)
		}
	}
	return out
}

// of is the same slice of a table beside the slice's own.
func (s Slice) of(t Table) Slice {
	s.Table, s.Start, s.Replaces = t.Name, "", ""
	return s
}

// ledger is the rows of a table. One that is loaded while a table beside it is not
// is given that one's state.
func (e *Engine) ledger(ctx context.Context, f *Function, t Table, others []Table) ([]warehouse.Slice, error) {
	rows, err := e.Warehouse.Slices(ctx, f.Name, t.Name)
	for _, b := range others {
		if err != nil {
			return nil, err
		}
		var theirs []warehouse.Slice
		theirs, err = e.Warehouse.Slices(ctx, f.Name, b.Name)
		known := map[string]warehouse.Slice{}
		for _, r := range theirs {
			known[r.ID] = r
		}
		for i := range rows {
			r := &rows[i]
			switch b, ok := known[r.ID]; {
			case !ok: // the table is newer than the slice
				r.State, r.LoadedAt = warehouse.Planned, b.LoadedAt
			case b.LoadedAt.IsZero():
				r.State, r.LoadedAt = b.State, b.LoadedAt
			case b.State != warehouse.Loaded && r.State == warehouse.Loaded:
				r.State = b.State
			}
		}
	}
	return rows, err
}

// Beside takes rows of a table that this slice fills too. Only Row, Warn and
// Expect are for its callers; pages and cursors are the slice's.
func (o *Out) Beside(table string) *Out { return o.beside[table] }

// join claims the slice for the tables beside the leading one, which is claimed.
func (e *Engine) join(ctx context.Context, o *Out, others []Table, m *rest.Meter) error {
	for _, t := range others {
		s := o.s.of(t)
		if err := e.Warehouse.Plan(ctx, []warehouse.Slice{s.row()}); err != nil {
			return err
		}
		row, err := e.Warehouse.Claim(ctx, s.Function, s.Table, s.ID, e.Owner, e.lease())
		if err != nil {
			return fault.New(fault.Transient, "table %s beside %s: %v", t.Name, o.t.Name, err)
		}
		row.Cursor = ""
		b, err := e.open(ctx, t, s, row, m)
		if err != nil {
			return err
		}
		if p, ok := o.p.Beside[t.Name]; ok {
			b.p = p
		}
		if o.beside == nil {
			o.beside = map[string]*Out{}
		}
		o.beside[t.Name] = b
	}
	return nil
}

// settle waits until every row so far is encoded, of every table.
func (o *Out) settle() error {
	for _, b := range o.beside {
		if err := b.settle(); err != nil {
			return err
		}
	}
	if len(o.back.filling.ends) > 0 {
		if err := o.hand(false, ""); err != nil {
			return err
		}
	}
	return o.sync()
}

// manifests writes one for each table, the leading one's last: what starts over
// starts with that.
func (o *Out) manifests(ctx context.Context, out *Outcome) error {
	for _, b := range o.beside {
		if err := b.manifest(ctx, out); err != nil || out.State != warehouse.Staged {
			if out.State == warehouse.Failed {
				err = errors.Join(err, o.giveBack(ctx, *out))
			}
			return err
		}
		out.Rows, out.Rejected = out.Rows+b.p.Staged, out.Rejected+b.p.Rejected
	}
	return o.manifest(ctx, out)
}

// giveBack records an outcome other than staged, for every table. The tables beside
// keep nothing: what there is to go on with is in the leading one's cursor.
func (o *Out) giveBack(ctx context.Context, out Outcome) error {
	for _, b := range o.beside {
		row := b.row
		row.Until = out.Until
		if err := o.e.Warehouse.End(ctx, row, out.State, out.Err); err != nil && !errors.Is(err, fault.Stale) {
			return err
		}
	}
	row := o.row
	row.Until = out.Until
	row.Cursor = o.saved // what the last flush stored; parts after it are orphans
	if errors.Is(out.Err, fault.Corrupt) || errors.Is(out.Err, fault.Invalid) {
		row.Cursor = "" // what was staged is in doubt: start over
	}
	return o.e.Warehouse.End(ctx, row, out.State, out.Err)
}
