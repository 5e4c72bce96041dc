package span_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/millrace-data/millrace/shared/span"
)

const hour = time.Hour

var zero = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

// hours is a set of spans on a short line of whole hours, where every case is likely.
func hours(t *rapid.T) []span.Span {
	return rapid.SliceOf(rapid.Custom(func(t *rapid.T) span.Span {
		from := rapid.IntRange(0, 30).Draw(t, "from")
		return span.Span{From: zero.Add(time.Duration(from) * hour), To: zero.Add(time.Duration(from+rapid.IntRange(-1, 6).Draw(t, "length")) * hour)}
	})).Draw(t, "spans")
}

func in(at time.Time, spans []span.Span) bool {
	for _, s := range spans {
		if !at.Before(s.From) && at.Before(s.To) {
			return true
		}
	}
	return false
}

func TestAlgebra(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		spans := hours(t)
		within := span.Span{From: zero.Add(5 * hour), To: zero.Add(25 * hour)}
		union, gaps := span.Union(spans), span.Gaps(within, spans)
		prefix := span.Prefix(within.From, spans)
		covered := true // from within.From on without a hole
		for h := range 40 {
			at := zero.Add(time.Duration(h) * hour)
			if in(at, union) != in(at, spans) {
				t.Fatalf("hour %d: the union changed what is covered", h)
			}
			if inside := in(at, []span.Span{within}); in(at, gaps) != (inside && !in(at, spans)) {
				t.Fatalf("hour %d: gaps %v of %v", h, gaps, spans)
			}
			if at.Before(within.From) {
				continue
			}
			covered = covered && in(at, spans)
			if covered != at.Before(prefix) {
				t.Fatalf("hour %d: prefix ends at %v, coverage without a hole is %t", h, prefix, covered)
			}
		}
		for i := 1; i < len(union); i++ {
			if !union[i-1].To.Before(union[i].From) {
				t.Fatalf("union is not disjoint: %v", union)
			}
		}
	})
}

func TestCut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		from := zero.Add(time.Duration(rapid.Int64Range(-1e6, 1e6).Draw(t, "from")) * time.Second)
		whole := span.Span{From: from, To: from.Add(time.Duration(rapid.Int64Range(0, 1e6).Draw(t, "length")) * time.Second)}
		every := time.Duration(rapid.Int64Range(1, 100).Draw(t, "every")) * hour
		at := whole.From
		for _, s := range span.Cut(whole, every) {
			if !s.From.Equal(at) || s.Empty() || s.To.Sub(s.From) > every {
				t.Fatalf("cut %v by %v: piece %v after %v", whole, every, s, at)
			}
			if !s.To.Equal(whole.To) && !span.Floor(s.To, every).Equal(s.To) {
				t.Fatalf("piece %v does not end on a multiple of %v", s, every)
			}
			at = s.To
		}
		if !at.Equal(whole.To) && !whole.Empty() {
			t.Fatalf("pieces end at %v, want %v", at, whole.To)
		}
	})
}

func ExamplePrefix() {
	day := func(d int) time.Time { return time.Date(2025, 1, d, 0, 0, 0, 0, time.UTC) }
	loaded := []span.Span{{From: day(2), To: day(3)}, {From: day(1), To: day(2)}, {From: day(4), To: day(5)}}
	fmt.Println("mark:", span.Prefix(day(1), loaded).Format(time.DateOnly))
	for _, gap := range span.Gaps(span.Span{From: day(1), To: day(5)}, loaded) {
		fmt.Println("gap: ", gap.From.Format(time.DateOnly), "to", gap.To.Format(time.DateOnly))
	}
	// Output:
	// mark: 2025-01-03
	// gap:  2025-01-03 to 2025-01-04
}
