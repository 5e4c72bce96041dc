// Package span is the algebra of half-open UTC windows [From, To): union, gaps,
// the contiguous prefix that a mark is derived from, and alignment to a cadence.
package span

import (
	"slices"
	"time"
)

// Span is the window [From, To). It is empty unless From is before To.
type Span struct{ From, To time.Time }

// Empty reports whether no instant lies in s.
func (s Span) Empty() bool { return !s.From.Before(s.To) }

// Union returns the same instants as spans, sorted, disjoint and not touching.
func Union(spans []Span) []Span {
	in := slices.DeleteFunc(slices.Clone(spans), Span.Empty)
	slices.SortFunc(in, func(a, b Span) int { return a.From.Compare(b.From) })
	var out []Span
	for _, s := range in {
		if n := len(out); n > 0 && !s.From.After(out[n-1].To) {
			if s.To.After(out[n-1].To) {
				out[n-1].To = s.To
			}
			continue
		}
		out = append(out, s)
	}
	return out
}

// Gaps returns what of within is not covered, in order.
func Gaps(within Span, covered []Span) []Span {
	var out []Span
	at := within.From
	for _, s := range Union(covered) {
		if !s.To.After(at) {
			continue
		}
		if !s.From.Before(within.To) {
			break
		}
		if s.From.After(at) {
			out = append(out, Span{at, s.From})
		}
		at = s.To
	}
	if at.Before(within.To) {
		out = append(out, Span{at, within.To})
	}
	return out
}

// Prefix returns the end of the contiguous coverage that begins at base, or base
// itself where base is not covered. It is the only way a mark is ever made.
func Prefix(base time.Time, covered []Span) time.Time {
	for _, s := range Union(covered) {
		if s.From.After(base) {
			return base
		}
		if s.To.After(base) {
			return s.To
		}
	}
	return base
}

// Floor is the last multiple of every since the Unix epoch that is not after t.
func Floor(t time.Time, every time.Duration) time.Time {
	return time.UnixMilli(floorDiv(t.UnixMilli(), every.Milliseconds()) * every.Milliseconds()).UTC()
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// Cut divides s into windows of every, aligned to the Unix epoch; the first and
// the last may be shorter where s is not aligned.
func Cut(s Span, every time.Duration) []Span {
	var out []Span
	for at := s.From; at.Before(s.To); {
		end := Floor(at, every).Add(every)
		if end.After(s.To) {
			end = s.To
		}
		out = append(out, Span{at, end})
		at = end
	}
	return out
}
