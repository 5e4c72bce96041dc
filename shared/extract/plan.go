package extract

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/millrace-data/millrace/shared/chain"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/rest"
	"github.com/millrace-data/millrace/shared/span"
	"github.com/millrace-data/millrace/shared/warehouse"
)

// Request asks for slices.
type Request struct {
	Tables   []string  // none = all of the function
	From, To time.Time // half-open; zero = what is due by mark, coverage and lookback
	Purpose  Purpose   // "" = Live
	IKnow    bool      // asks for what a connector advises against
	Now      time.Time // the run's clock
}

// Tick plans what a request asks for, writes it to the ledger and publishes one
// message per slice. It returns the slices, in the order in which they were sent.
func (e *Engine) Tick(ctx context.Context, f *Function, r Request) ([]Slice, error) {
	if r.Purpose == "" {
		r.Purpose = Live
	}
	src, err := f.Open(e.Env, Invocation{Meter: &rest.Meter{}, Scratch: e.Scratch, Now: r.Now})
	if err != nil {
		return nil, err
	}
	defer closeSource(src)
	all := f.Chosen(src)
	tables, err := f.asked(all, r.Tables)
	if err != nil {
		return nil, err
	}
	var out []Slice
	var rows []warehouse.Slice
	for _, t := range tables {
		due, err := e.due(ctx, f, t, src, r)
		if err != nil {
			return nil, err
		}
		if len(due) == 0 { // a table with nothing in it is a table all the same
			if err := e.skeleton(ctx, append(beside(all, t), t)); err != nil {
				return nil, err
			}
		}
		for _, s := range due {
			rows = append(rows, s.row())
			for _, b := range beside(all, t) {
				rows = append(rows, s.of(b).row())
			}
		}
		out = append(out, due...)
	}
	if err := e.Warehouse.Plan(ctx, rows); err != nil {
		return nil, err
	}
	for _, s := range out {
		if err := e.publish(ctx, s, time.Time{}); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (e *Engine) publish(ctx context.Context, s Slice, notBefore time.Time) error {
	body, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return e.Chain.Publish(ctx, chain.Message{Topic: chain.TopicSlices, Data: body, NotBefore: notBefore,
		Attributes: map[string]string{"function": s.Function, "table": s.Table}})
}

// skeleton makes the tables that are not there yet.
func (e *Engine) skeleton(ctx context.Context, tables []Table) error {
	for _, t := range tables {
		if _, err := e.Warehouse.Ensure(ctx, t.Table); err != nil {
			return err
		}
	}
	return nil
}

// asked are the tables that have slices of their own, of those that a request
// names. One that is filled beside another stands for that one.
func (f *Function) asked(all []Table, names []string) (out []Table, err error) {
	if len(names) == 0 {
		return slices.DeleteFunc(slices.Clone(all), func(t Table) bool { return t.Beside != "" }), nil
	}
	for _, n := range names {
		t, err := f.table(all, n)
		if err == nil && t.Beside != "" {
			t, err = f.table(all, t.Beside)
		}
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(out, func(o Table) bool { return o.Name == t.Name }) {
			out = append(out, t)
		}
	}
	return out, nil
}

func (f *Function) table(all []Table, name string) (Table, error) {
	var known []string
	for _, t := range all {
		if t.Name == name || t.FullName() == name {
			return t, nil
		}
		known = append(known, t.Name)
	}
	for _, t := range f.Tables {
		if t.Name == name || t.FullName() == name {
			return Table{}, fault.New(fault.Invalid, "the configuration of function %s leaves out table %q; it takes %v", f.Name, name, known)
		}
	}
	return Table{}, fault.New(fault.Invalid, "function %s has no table %q; it has %v", f.Name, name, known)
}

// due lists the slices of one table that a request asks for, oldest first.
func (e *Engine) due(ctx context.Context, f *Function, t Table, src Source, r Request) ([]Slice, error) {
	rows, err := e.ledger(ctx, f, t, beside(f.Chosen(src), t))
	if err != nil {
		return nil, err
	}
	mark, err := e.Warehouse.Mark(ctx, f.Name, t.Name)
	if err != nil {
		return nil, err
	}
	p := planner{t: t, r: r, rows: rows, cursor: mark.Cursor}
	var out []Slice
	switch t.Slices.Kind {
	case "windows":
		out = p.windows()
	case "scans":
		out = p.scans()
	case "objects":
		out, err = p.objects(ctx, src)
	default:
		err = fault.New(fault.Invalid, "table %s of %s has no slicing", t.Name, f.Name)
	}
	for i := range out {
		out[i].Function, out[i].Table, out[i].Now = f.Name, t.Name, r.Now
		if known, ok := p.row(out[i].ID); ok {
			out[i].Attempt = known.Attempt
		}
	}
	return out, err
}

// planner decides for one table. It is given everything and does no I/O, but for
// the listing of objects.
type planner struct {
	t      Table
	r      Request
	rows   []warehouse.Slice // the table's ledger
	cursor string            // the vendor's, as the last committed scan left it
}

func (p *planner) row(id string) (warehouse.Slice, bool) {
	for _, r := range p.rows {
		if r.ID == id {
			return r, true
		}
	}
	return warehouse.Slice{}, false
}

// windows: asked for by name, those; else what live slices owe, the gaps between
// where they begin and now, and the lookback.
func (p *planner) windows() []Slice {
	s := p.t.Slices
	end := span.Floor(p.r.Now.Add(-s.Settle), s.Every) // windows that are over and settled
	if !p.r.To.IsZero() && p.r.To.Before(end) {
		end = p.r.To
	}
	if !p.r.From.IsZero() {
		return p.cut(span.Span{From: p.r.From, To: end})
	}
	var out []Slice
	var have []span.Span
	var base time.Time
	for _, r := range p.rows {
		if w := (span.Span{From: r.From, To: r.To}); !w.Empty() {
			if r.Purpose == string(Live) && (base.IsZero() || r.From.Before(base)) {
				base = r.From
			}
			owed := r.LoadedAt.IsZero() && (r.Purpose == string(Live) || p.t.shadowOf != "")
			if owed {
				out = append(out, Slice{ID: r.ID, Purpose: Purpose(r.Purpose), From: r.From, To: r.To})
			}
			if owed || !r.LoadedAt.IsZero() {
				have = append(have, w)
			}
			if p.undone(r) {
				out = append(out, Slice{ID: r.ID, Purpose: Purpose(r.Purpose), From: r.From, To: r.To})
			}
		}
	}
	recent := span.Floor(end.Add(-s.Lookback), s.Every)
	if base.IsZero() { // the first run ever
		base = s.Since
		if h := (span.Span{From: base, To: recent}); !h.Empty() {
			out, have = append(out, p.window(h)), append(have, h)
		}
	}
	for _, gap := range span.Gaps(span.Span{From: base, To: end}, have) {
		out = append(out, p.cut(gap)...)
	}
	if recent.Before(base) {
		recent = base
	}
	for _, again := range p.cut(span.Span{From: recent, To: end}) {
		if r, ok := p.row(again.ID); ok && !r.LoadedAt.IsZero() && !p.undone(r) {
			out = append(out, again)
		}
	}
	slices.SortStableFunc(out, func(a, b Slice) int { return a.From.Compare(b.From) })
	return out
}

// undone reports whether a slice that is loaded was to be read again, and was not:
// its lookback may have passed while the vendor was away.
func (p *planner) undone(r warehouse.Slice) bool {
	return !r.LoadedAt.IsZero() && r.State != warehouse.Loaded
}

func (p *planner) cut(s span.Span) (out []Slice) {
	for _, w := range span.Cut(s, p.t.Slices.Every) {
		out = append(out, p.window(w))
	}
	return out
}

// window names a slice by its day where it is one, else by both ends.
func (p *planner) window(w span.Span) Slice {
	const day = 24 * time.Hour
	id := w.From.UTC().Format(time.RFC3339) + "_" + w.To.UTC().Format(time.RFC3339)
	if w.To.Sub(w.From) == day && span.Floor(w.From, day).Equal(w.From) {
		id = w.From.UTC().Format(time.DateOnly)
	}
	return Slice{ID: id, Purpose: p.r.Purpose, From: w.From.UTC(), To: w.To.UTC()}
}

// scans: the scan that is owed or due, else the tail. A backfill by dates has
// nothing to ask of a table without dates, unless the table is named.
func (p *planner) scans() []Slice {
	now := p.r.Now.UTC()
	id := "scan-" + span.Floor(now, 24*time.Hour).Format(time.DateOnly)
	if p.r.Purpose != Live {
		if len(p.r.Tables) == 0 {
			return nil
		}
		return []Slice{{ID: id, Purpose: p.r.Purpose, From: now, To: now}}
	}
	var last time.Time
	var owed *warehouse.Slice
	for i, r := range p.rows {
		switch {
		case r.From.Before(r.To) || len(r.ID) < 5 || r.ID[:5] != "scan-":
		case r.LoadedAt.IsZero():
			owed = &p.rows[i] // of several the newest counts: rows come oldest first
		case r.To.After(last):
			last = r.To
		}
	}
	if owed != nil && owed.To.After(last) {
		return []Slice{{ID: owed.ID, Purpose: Live, From: owed.From, To: owed.To}}
	}
	if last.IsZero() || !now.Before(last.Add(p.t.Slices.Every)) {
		return []Slice{{ID: id, Purpose: Live, From: now, To: now}}
	}
	if p.t.Slices.Tail == 0 {
		return nil
	}
	at := span.Floor(now, p.t.Slices.Tail)
	return []Slice{{ID: "tail-" + at.Format(time.RFC3339), Purpose: Live, From: now, To: now, Tail: true, Start: p.cursor}}
}

// objects: those the ledger does not have as loaded; a backfill reads the ones of
// its window again.
func (p *planner) objects(ctx context.Context, src Source) (out []Slice, err error) {
	l, ok := src.(Lister)
	if !ok {
		return nil, fault.New(fault.Invalid, "table %s is cut by objects but its source lists none", p.t.Name)
	}
	var found []Object
	for o, err := range l.Objects(ctx, p.wish()) {
		if err != nil {
			return nil, err
		}
		found = append(found, o)
	}
	slices.SortStableFunc(found, func(a, b Object) int { return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.Name, b.Name)) })
	for i, o := range found {
		id := o.id()
		row, known := p.row(id)
		if !o.Created.IsZero() && ((!p.r.From.IsZero() && o.Created.Before(p.r.From)) || (!p.r.To.IsZero() && !o.Created.Before(p.r.To))) {
			continue
		}
		if known && !row.LoadedAt.IsZero() && !p.undone(row) && !o.Again && p.r.Purpose == Live {
			continue
		}
		out = append(out, Slice{ID: id, Purpose: p.r.Purpose, Object: &found[i], Replaces: p.older(o.Name, id)})
	}
	return out, nil
}

func (p *planner) wish() Wish {
	w := Wish{Table: p.t.Name, Purpose: p.r.Purpose, From: p.r.From, To: p.r.To, IKnow: p.r.IKnow, Now: p.r.Now.UTC()}
	for _, r := range p.rows {
		k := Known{Name: cmp.Or(r.Source, r.ID), Loaded: !r.LoadedAt.IsZero() && !p.undone(r), Started: cursorOf(r) != "", Digest: r.VendorCursor}
		k.ETag = strings.TrimPrefix(strings.TrimPrefix(r.ID, k.Name), "@")
		w.Known = append(w.Known, k)
	}
	return w
}

// cursorOf is the Source's cursor in a row of the ledger.
func cursorOf(r warehouse.Slice) string {
	var p progress
	_ = json.Unmarshal([]byte(r.Cursor), &p) // what is not ours is read anew: see open
	return p.Cursor
}

// id is how the ledger calls the slice of an object.
func (o Object) id() string {
	if o.ETag == "" {
		return o.Name
	}
	return o.Name + "@" + o.ETag
}

// older is the slice of another version of an object that is loaded, "" if none is.
func (p *planner) older(name, id string) string {
	for _, r := range p.rows {
		if r.Source == name && r.ID != id && !r.LoadedAt.IsZero() {
			return r.ID
		}
	}
	return ""
}

// row is the slice as the ledger keeps it.
func (s Slice) row() warehouse.Slice {
	r := warehouse.Slice{Function: s.Function, Table: s.Table, ID: s.ID, Purpose: string(s.Purpose), From: s.From, To: s.To}
	if s.Object != nil {
		r.Source = s.Object.Name
	}
	return r
}
