package clari

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func date(s string) time.Time {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		panic(err)
	}
	return t
}

func TestQuarter(t *testing.T) {
	for _, c := range []struct {
		start     time.Month
		day       string
		id, begin string
	}{
		{time.January, "2025-12-31", "2025_Q4", "2025-10-01"},
		{time.January, "2026-01-01", "2026_Q1", "2026-01-01"},
		{time.January, "2024-02-29", "2024_Q1", "2024-01-01"},
		{time.February, "2020-02-01", "2021_Q1", "2020-02-01"}, // from the sheet
		{time.February, "2021-01-01", "2021_Q4", "2020-11-01"}, // from the sheet: January was somebody's bug
		{time.February, "2021-01-31", "2021_Q4", "2020-11-01"},
		{time.February, "2026-04-30", "2027_Q1", "2026-02-01"},
		{time.February, "2026-05-01", "2027_Q2", "2026-05-01"},
		{time.April, "2026-03-31", "2026_Q4", "2026-01-01"},
		{time.July, "2026-06-30", "2026_Q4", "2026-04-01"},
		{time.July, "2026-07-01", "2027_Q1", "2026-07-01"},
		{time.December, "2026-11-30", "2026_Q4", "2026-09-01"},
		{time.December, "2026-12-01", "2027_Q1", "2026-12-01"},
		{time.December, "2027-01-15", "2027_Q1", "2026-12-01"},
	} {
		want := quarter{c.id, date(c.begin)}
		if got := (calendar{c.start}).at(date(c.day)); got != want {
			t.Errorf("year from %s, %s: got %v, want %v", c.start, c.day, got, want)
		}
	}
}

// Quarters follow each other without a gap, whatever month the year begins in.
func TestQuartersFollow(t *testing.T) {
	for start := time.January; start <= time.December; start++ {
		c := calendar{start}
		for day := date("2023-01-01"); day.Before(date("2028-01-01")); day = day.AddDate(0, 0, 1) {
			q := c.at(day)
			if next := c.next(q); day.Before(q.Start) || !day.Before(next.Start) || c.previous(next) != q {
				t.Fatalf("year from %s: %s lies in %v, followed by %v", start, day.Format(time.DateOnly), q, next)
			}
		}
	}
}

func TestBetween(t *testing.T) {
	c := calendar{time.February}
	var got []string
	for _, q := range c.between(date("2025-01-31"), date("2025-08-01"), date("2026-01-01")) {
		got = append(got, q.ID)
	}
	if diff := cmp.Diff([]string{"2025_Q4", "2026_Q1", "2026_Q2"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
