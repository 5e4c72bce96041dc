package reverse

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/cockroachdb/apd/v3"
)

// View is what a person reads of a plan before approving it. Its size does not grow
// with the plan.
type View struct {
	Plan    *Plan       `json:"-"`
	Largest []Example   `json:"largest"` // numbers by how much they change for what they were, then what is blanked
	Fields  []FieldView `json:"fields"`  // by name
	Deleted []Change    `json:"deleted"` // records that go, from all over the plan
}

// FieldView is what a plan does to one field of all records that it creates or
// updates.
type FieldView struct {
	Field   string    `json:"field"`
	Changed int64     `json:"changed"` // also: set where there was nothing
	Blanked int64     `json:"blanked"`
	Zeroed  int64     `json:"zeroed"`
	Before  *Span     `json:"before,omitempty"` // nil where the values are neither numbers nor dates
	After   *Span     `json:"after,omitempty"`
	Sample  []Example `json:"sample"` // from all over the plan
}

// Span is the least and the greatest of values, as they are written.
type Span struct {
	Min string `json:"min"`
	Max string `json:"max"`
}

const (
	viewLargest = 10
	viewSample  = 5
)

// View reads a plan once, from its first row to its last.
func (e *Engine) View(ctx context.Context, id string) (*View, error) {
	p, err := e.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	v := &viewer{fields: map[string]*fieldViewer{}, step: max(1, p.Writes()/viewSample)}
	for c, err := range e.changes(ctx, p) {
		if err != nil {
			return nil, err
		}
		if c.Kind == KindDelete {
			v.delete(c)
			continue
		}
		for _, f := range c.Fields {
			v.see(c, f)
		}
	}
	out := &View{Plan: p, Largest: v.top(), Deleted: v.deleted}
	for _, name := range slices.Sorted(maps.Keys(v.fields)) {
		out.Fields = append(out.Fields, v.fields[name].view(name))
	}
	return out, nil
}

type viewer struct {
	fields           map[string]*fieldViewer
	numbers, blanked tally
	step             int64 // of the plan, between rows of the sample
	deleted          []Change
	next             int64 // row from which on deleted takes one
}

func (v *viewer) delete(c Change) {
	if c.N >= v.next && len(v.deleted) < viewSample {
		v.deleted, v.next = append(v.deleted, c), c.N+v.step
	}
}

type fieldViewer struct {
	FieldView
	before, after span
	next          int64 // row from which on the sample takes one
}

func (v *viewer) see(c Change, f FieldChange) {
	fv := v.fields[f.Field]
	if fv == nil {
		fv = &fieldViewer{}
		v.fields[f.Field] = fv
	}
	row := seen{n: c.N, example: Example{Key: c.Key, Field: f.Field, Before: f.Before, After: f.After}}
	if before, after := optional(f.Before), optional(f.After); before != nil && after != nil {
		row.size = relative(before, after)
		v.numbers.keep(row)
		if after.IsZero() && !before.IsZero() {
			fv.Zeroed++
		}
	}
	fv.Changed++
	if f.Before != nil && f.After == nil {
		fv.Blanked++
		v.blanked.keep(row)
	}
	fv.before.see(f.Before)
	fv.after.see(f.After)
	if c.N >= fv.next && len(fv.Sample) < viewSample {
		fv.Sample, fv.next = append(fv.Sample, row.example), c.N+v.step
	}
}

// top is the largest changes.
func (v *viewer) top() (out []Example) {
	for _, t := range []tally{v.numbers, v.blanked} {
		for _, s := range t.rows {
			out = append(out, s.example)
		}
	}
	return out[:min(len(out), viewLargest)]
}

// keep is add for the view, which shows more rows than a block.
func (t *tally) keep(s seen) {
	at, _ := slices.BinarySearchFunc(t.rows, s, func(a, b seen) int {
		if a.before(b) {
			return -1
		}
		return 1
	})
	if at < viewLargest {
		t.rows = slices.Insert(t.rows, at, s)
		t.rows = t.rows[:min(len(t.rows), viewLargest)]
	}
}

// relative is how much a number changes for what it was. From 0, and from what is
// smaller than 1, it is how much it changes.
func relative(before, after *apd.Decimal) *apd.Decimal {
	var by apd.Decimal
	by.Abs(before)
	if one := apd.New(1, 0); by.Cmp(one) < 0 {
		by.Set(one)
	}
	size := change(before, after)
	ctx := apd.BaseContext.WithPrecision(20)
	if _, err := ctx.Quo(size, size, &by); err != nil {
		return apd.New(0, 0)
	}
	return size
}

func (f *fieldViewer) view(name string) FieldView {
	f.Field, f.Before, f.After = name, f.before.span(), f.after.span()
	return f.FieldView
}

// span finds the least and the greatest of values while they are all numbers, or all
// dates.
type span struct {
	least, most     *apd.Decimal
	first, last     string
	numbers, dates  bool
	started, broken bool
}

func (s *span) see(text *string) {
	if text == nil || s.broken {
		return
	}
	d := decimal(*text)
	dated := d == nil && dateForm(*text)
	if !s.started {
		s.started, s.numbers, s.dates = true, d != nil, dated
		s.least, s.most, s.first, s.last = d, d, *text, *text
	}
	if s.numbers != (d != nil) || s.dates != dated || d == nil && !dated {
		s.broken = true
		return
	}
	if dated {
		s.first, s.last = min(s.first, *text), max(s.last, *text)
		return
	}
	if d.Cmp(s.least) < 0 {
		s.least, s.first = d, *text
	}
	if d.Cmp(s.most) > 0 {
		s.most, s.last = d, *text
	}
}

// dateForm reports whether a text is a canonical date or timestamp.
func dateForm(text string) bool {
	return len(text) >= len("2006-01-02") && text[4] == '-' && text[7] == '-' && strings.Trim(text, "0123456789-T:.Z") == ""
}

func (s *span) span() *Span {
	if !s.started || s.broken {
		return nil
	}
	return &Span{Min: s.first, Max: s.last}
}
