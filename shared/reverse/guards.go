package reverse

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cockroachdb/apd/v3"
)

// examplesMax is how many rows a block shows.
const examplesMax = 5

// watch holds a plan's changes against its guards while they go by. What it keeps
// does not grow with the plan: counts, and a few examples of each guard.
type watch struct {
	guards              Guards
	creates             tally
	updates             tally
	deletes             tally
	writes              tally
	blankings, zeroings int64 // of all fields, guarded or not
	fields              map[string]*fieldWatch
}

type fieldWatch struct {
	guard                              FieldGuard
	over                               *apd.Decimal // of the factor
	least, most                        *apd.Decimal // of a range of numbers
	set                                map[string]bool
	zeroed, blanked, factor, out, odds tally
}

func newWatch(g Guards) *watch {
	w := &watch{guards: g, fields: map[string]*fieldWatch{}}
	for name, guard := range g.Fields {
		f := &fieldWatch{guard: guard}
		if guard.Factor != nil {
			f.over = ofFloat(guard.Factor.Over)
		}
		if r := guard.Range; r != nil {
			f.least, f.most = decimal(string(r[0])), decimal(string(r[1]))
		}
		if guard.Set != nil {
			f.set = map[string]bool{}
			for _, v := range guard.Set {
				f.set[plain(v)] = true
			}
		}
		w.fields[name] = f
	}
	return w
}

// see takes in one change. Changes come once each.
func (w *watch) see(c Change) {
	row := seen{n: c.N, example: Example{Key: c.Key}}
	w.writes.add(row)
	switch c.Kind {
	case KindCreate:
		w.creates.add(row)
	case KindUpdate:
		w.updates.add(row)
	case KindDelete:
		w.deletes.add(row)
		return // what is lost with a record is no change of a field
	}
	for _, f := range c.Fields {
		w.field(c, f)
	}
}

func (w *watch) field(c Change, f FieldChange) {
	guard := w.fields[f.Field]
	blanked := f.Before != nil && f.After == nil
	var before, after *apd.Decimal
	if guard != nil || f.After != nil && zeroText(*f.After) {
		before, after = optional(f.Before), optional(f.After)
	}
	zeroed := after != nil && after.IsZero() && before != nil && !before.IsZero()
	if blanked {
		w.blankings++
	}
	if zeroed {
		w.zeroings++
	}
	if guard == nil {
		return
	}
	for _, t := range []struct {
		hit bool
		in  *tally
	}{
		{blanked && guard.guard.Blanked != nil, &guard.blanked},
		{zeroed && guard.guard.Zeroed != nil, &guard.zeroed},
		{guard.jumps(before, after), &guard.factor},
		{guard.outside(f.After, after), &guard.out},
		{guard.odd(f.After), &guard.odds},
	} {
		if t.hit {
			t.in.add(seen{n: c.N, size: change(before, after), example: Example{Key: c.Key, Field: f.Field, Before: f.Before, After: f.After}})
		}
	}
}

// jumps reports whether a number becomes more than Over times as large or as small,
// or changes its sign.
func (f *fieldWatch) jumps(before, after *apd.Decimal) bool {
	if f.over == nil || before == nil || after == nil || before.IsZero() || after.IsZero() {
		return false
	}
	if before.Negative != after.Negative {
		return true
	}
	var b, a, most apd.Decimal
	b.Abs(before)
	a.Abs(after)
	if b.Cmp(&a) > 0 {
		a, b = b, a
	}
	apd.BaseContext.Mul(&most, &b, f.over)
	return a.Cmp(&most) > 0
}

// outside reports whether a new value is not within the range. A text that is not
// what the range is of is outside.
func (f *fieldWatch) outside(text *string, value *apd.Decimal) bool {
	r := f.guard.Range
	if r == nil || text == nil {
		return false
	}
	if r[0].date() || r[1].date() {
		if len(*text) < len(time.DateOnly) {
			return true
		}
		day := Bound((*text)[:len(time.DateOnly)]) // a timestamp is within its day
		return !day.date() || r[0] != "" && day < r[0] || r[1] != "" && day > r[1]
	}
	return value == nil || f.least != nil && value.Cmp(f.least) < 0 || f.most != nil && value.Cmp(f.most) > 0
}

// odd reports whether a new value is not in the set: as a whole, or each part of a
// multipicklist.
func (f *fieldWatch) odd(text *string) bool {
	if f.set == nil || text == nil || f.set[*text] || f.set[plain(*text)] {
		return false
	}
	parts := strings.Split(*text, ";")
	return len(parts) == 1 || slices.ContainsFunc(parts, func(p string) bool { return !f.set[p] })
}

// verdict is what blocks the plan; records is how many the object has.
func (w *watch) verdict(records int64) []Block {
	var out []Block
	g, total := w.guards, w.writes.count
	block := func(guard string, l *Limit, t *tally, of int64, w words) {
		if l != nil && l.over(t.count, of) {
			out = append(out, Block{Guard: guard, Observed: w.observed(t.count, of, l), Allowed: w.allowed(l), Examples: t.examples()})
		}
	}
	block("writes", g.Writes, &w.writes, total, words{one: "record would be written", many: "records would be written", whole: true})
	block("creates", g.Creates, &w.creates, total, words{one: "record would be created", many: "records would be created"})
	block("updates", g.Updates, &w.updates, total, words{one: "record would be updated", many: "records would be updated"})
	block("deletes", g.Deletes, &w.deletes, total, words{one: "record would be deleted", many: "records would be deleted"})
	touched := w.updates.with(w.deletes)
	block("share", g.Share, &touched, records, words{one: "record that is there would be touched", many: "records that are there would be touched", of: "records of the object"})
	for _, name := range slices.Sorted(maps.Keys(w.fields)) {
		f := w.fields[name]
		block(name+".zeroed", f.guard.Zeroed, &f.zeroed, total, values(name, "would become 0"))
		block(name+".blanked", f.guard.Blanked, &f.blanked, total, values(name, "would become empty"))
		if f.guard.Factor != nil {
			block(name+".factor", &f.guard.Factor.Limit, &f.factor, total,
				values(name, "would become more than "+written(f.over)+" times as large or as small, or change the sign"))
		}
		none := &Limit{}
		block(name+".range", none, &f.out, total, f.rangeWords(name))
		block(name+".set", none, &f.odds, total, f.setWords(name))
	}
	return out
}

// over reports whether a count is more than the limit allows, of a total.
func (l *Limit) over(count, total int64) bool {
	switch {
	case l.MaxPercent == nil && l.Max == nil:
		return count > 0
	case l.MaxPercent == nil:
		return count > *l.Max
	case l.Max != nil && count <= *l.Max:
		return false
	}
	var hundredfold, allowed apd.Decimal
	apd.BaseContext.Mul(&hundredfold, apd.New(count, 0), apd.New(100, 0))
	apd.BaseContext.Mul(&allowed, ofFloat(*l.MaxPercent), apd.New(max(total, 0), 0))
	return hundredfold.Cmp(&allowed) > 0
}

// tally counts rows and keeps the largest changes among them, or else the first.
type tally struct {
	count int64
	rows  []seen
}

// seen is a row as an example. size is nil where no numbers are compared.
type seen struct {
	n       int64
	size    *apd.Decimal
	example Example
}

func (t *tally) add(s seen) {
	t.count++
	if len(t.rows) == examplesMax && !s.before(t.rows[examplesMax-1]) {
		return
	}
	at, _ := slices.BinarySearchFunc(t.rows, s, func(a, b seen) int {
		if a.before(b) {
			return -1
		}
		return 1
	})
	t.rows = slices.Insert(t.rows, at, s)
	t.rows = t.rows[:min(len(t.rows), examplesMax)]
}

// with is two tallies as one.
func (t tally) with(o tally) tally {
	out := tally{rows: slices.Clone(t.rows)}
	for _, s := range o.rows {
		out.add(s)
	}
	out.count = t.count + o.count
	return out
}

func (t *tally) examples() (out []Example) {
	for _, s := range t.rows {
		out = append(out, s.example)
	}
	return out
}

// before reports whether a row is the better example.
func (s seen) before(o seen) bool {
	c := 0
	switch {
	case s.size != nil && o.size != nil:
		c = o.size.Cmp(s.size)
	case s.size != nil:
		c = -1
	case o.size != nil:
		c = 1
	}
	return c < 0 || c == 0 && s.n < o.n
}

// digitsMax is how long a number may be that is counted with: longer than any that a
// database holds, and short enough that no text makes us slow.
const digitsMax = 400

// decimal reads a number exactly; nil where the text is none.
func decimal(text string) *apd.Decimal {
	if text == "" || len(text) > digitsMax {
		return nil
	}
	d, _, err := apd.NewFromString(text)
	if err != nil || d.Form != apd.Finite || d.Exponent > digitsMax || d.Exponent < -digitsMax {
		return nil
	}
	return d
}

func optional(text *string) *apd.Decimal {
	if text == nil {
		return nil
	}
	return decimal(*text)
}

// ofFloat is a float as it was written in a file.
func ofFloat(f float64) *apd.Decimal {
	d, _, err := apd.NewFromString(strconv.FormatFloat(f, 'g', -1, 64))
	if err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
		return apd.New(0, 0) // a guard that cannot be read lets nothing pass
	}
	return d
}

// change is how much a number changes; a null counts as 0.
func change(before, after *apd.Decimal) *apd.Decimal {
	if before == nil && after == nil {
		return nil
	}
	var d, b, a apd.Decimal
	if before != nil {
		b.Set(before)
	}
	if after != nil {
		a.Set(after)
	}
	apd.BaseContext.Sub(&d, &a, &b)
	return d.Abs(&d)
}

// plain is a number without what does not count, such as 5 for 5.0; other text as it is.
func plain(s string) string {
	d := decimal(s)
	if d == nil {
		return s
	}
	return written(d)
}

func written(d *apd.Decimal) string {
	var r apd.Decimal
	r.Reduce(d)
	return r.Text('f')
}

// zeroText reports whether a text may be a 0; cheap, since every value is asked.
func zeroText(s string) bool { return s != "" && strings.Trim(s, "0.-+eE") == "" }
