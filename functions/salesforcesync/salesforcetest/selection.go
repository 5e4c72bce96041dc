package salesforcetest

import (
	"cmp"
	"math/big"
	"slices"
)

// run gives the numbers of the records that a query finds.
func (q *selection) run(deleted bool) []int32 {
	out := []int32{}
	some, found := q.candidates(deleted)
	if !found {
		some = make([]int32, len(q.t.recs))
		for i := range some {
			some[i] = int32(i)
		}
	}
	for _, n := range some {
		if q.matches(int(n), deleted) {
			out = append(out, n)
		}
	}
	if q.order >= 0 {
		slices.SortStableFunc(out, func(a, b int32) int { return q.compare(int(a), int(b)) })
	}
	if q.limit >= 0 && len(out) > q.limit {
		out = out[:q.limit]
	}
	return out
}

// candidates uses an index, where a condition allows it.
func (q *selection) candidates(deleted bool) (out []int32, ok bool) {
	for _, c := range q.conds {
		byID := q.t.Fields[c.field].system == "Id"
		if c.op != "=" && c.op != "IN" || slices.Contains(c.values, "") || !byID && (q.t.index[c.field] == nil || deleted) {
			continue
		}
		for _, v := range c.values {
			if n := q.t.find(v); byID && n >= 0 {
				out = append(out, int32(n))
			} else if !byID {
				out = append(out, q.t.byKey(c.field, v)...)
			}
		}
		slices.Sort(out)
		return slices.Compact(out), true
	}
	return nil, false
}

func (q *selection) matches(n int, deleted bool) bool {
	if q.t.recs[n].deleted && !deleted {
		return false
	}
	for _, c := range q.conds {
		f := &q.t.Fields[c.field]
		value := f.fold(q.t.value(n, c.field))
		if c.op == "IN" {
			if !c.set[value] {
				return false
			}
			continue
		}
		if !f.holds(c.op, value, f.fold(c.values[0])) {
			return false
		}
	}
	return true
}

// holds compares two folded values. Null is equal to null, and neither less nor more.
func (f *Field) holds(op, value, want string) bool {
	switch op {
	case "=":
		return value == want
	case "!=":
		return value != want
	}
	by := f.compare(value, want)
	return value != "" && want != "" && (by < 0 && op[0] == '<' || by > 0 && op[0] == '>' || by == 0 && len(op) == 2)
}

func (f *Field) compare(a, b string) int {
	if f.isNumber() && a != "" && b != "" {
		x, _ := new(big.Rat).SetString(a)
		y, _ := new(big.Rat).SetString(b)
		return x.Cmp(y)
	}
	return cmp.Compare(a, b)
}

func (q *selection) compare(a, b int) int {
	f := &q.t.Fields[q.order]
	x, y := f.fold(q.t.value(a, q.order)), f.fold(q.t.value(b, q.order))
	switch {
	case (x == "") != (y == ""):
		if (x == "") == q.last {
			return 1
		}
		return -1
	case q.desc:
		return f.compare(y, x)
	}
	return f.compare(x, y)
}
