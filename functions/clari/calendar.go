package clari

import (
	"fmt"
	"time"
)

// calendar is a fiscal calendar of quarters: years begin on the first of a month,
// and are named by the year they end in where that month is not January.
type calendar struct{ start time.Month }

// quarter is a fiscal quarter; Start is its first midnight, UTC.
type quarter struct {
	ID    string // as Clari names it, such as 2026_Q1
	Start time.Time
}

// at is the quarter that a time lies in.
func (c calendar) at(t time.Time) quarter {
	t = t.UTC()
	into := (int(t.Month()) - int(c.start) + 12) % 12 // months since the fiscal year began
	begin := time.Date(t.Year(), t.Month()-time.Month(into%3), 1, 0, 0, 0, 0, time.UTC)
	year := t.Year()
	if c.start > time.January && t.Month() >= c.start {
		year++
	}
	return quarter{fmt.Sprintf("%d_Q%d", year, into/3+1), begin}
}

func (c calendar) next(q quarter) quarter     { return c.at(q.Start.AddDate(0, 3, 0)) }
func (c calendar) previous(q quarter) quarter { return c.at(q.Start.AddDate(0, -3, 0)) }

// between lists the quarters that a range touches; a zero end is open to now.
func (c calendar) between(from, to, now time.Time) (out []quarter) {
	if to.IsZero() || to.After(now) {
		to = now
	}
	for q := c.at(from); q.Start.Before(to); q = c.next(q) {
		out = append(out, q)
	}
	return out
}
