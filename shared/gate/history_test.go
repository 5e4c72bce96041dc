package gate_test

import (
	"strings"
	"testing"
	"time"

	"github.com/millrace-data/millrace/shared/gate"
)

func TestJudgePast(t *testing.T) {
	at := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	volume := gate.Volume(8, 20, 500)
	mondays := []string{"10310", "9870", "10000", "10100"}
	for _, tc := range []struct {
		name string
		rule gate.Rule
		m    gate.Measure
		want gate.Verdict
		says string
	}{
		{"as ever", volume, gate.Measure{Value: "10050", Past: mondays, Peers: "Mondays"}, gate.Pass, "10,050 rows; the last 4 Mondays had 9,870 to 10,310, median 10,050"},
		{"much less", volume, gate.Measure{Value: "1204", Past: mondays, Peers: "Mondays"}, gate.Warned, "1,204 rows"},
		{"much more", volume.At(gate.Refuse), gate.Measure{Value: "20000", Past: mondays}, gate.Refusal, "20,000 rows"},
		{"many rows, but few percent", volume, gate.Measure{Value: "11050", Past: mondays}, gate.Pass, ""},
		{"many percent, but few rows", volume, gate.Measure{Value: "1", Past: []string{"300", "300", "300", "300"}}, gate.Pass, ""},
		{"at both limits", volume, gate.Measure{Value: "3000", Past: []string{"2500", "2500", "2500", "2500"}}, gate.Pass, ""},
		{"beyond both limits", volume, gate.Measure{Value: "3001", Past: []string{"2500", "2500", "2500", "2500"}}, gate.Warned, ""},
		{"nothing at all", volume, gate.Measure{Value: "0", Past: mondays}, gate.Warned, "0 rows"},
		{"warming up", volume.At(gate.Refuse), gate.Measure{Value: "0", Past: mondays[:3]}, gate.Pass, "warming up: 3 of 4"},
		{"a short memory warms up sooner", gate.Volume(2, 20, 5).At(gate.Refuse), gate.Measure{Value: "0", Past: mondays[:2]}, gate.Refusal, ""},
		{"a sum within", gate.SumWithin("cost", 4, 10), gate.Measure{Value: "109.99", Past: []string{"100", "100", "100", "100.00"}}, gate.Pass, "109.99 in cost"},
		{"a sum beyond", gate.SumWithin("cost", 4, 10), gate.Measure{Value: "110.01", Past: []string{"100", "100", "100", "100"}}, gate.Warned, ""},
		{"credits are compared by size", gate.SumWithin("cost", 4, 10), gate.Measure{Value: "-105", Past: []string{"-100", "-100", "-100", "-100"}}, gate.Pass, "-105 in cost"},
		{"a sum of nothing", gate.SumWithin("cost", 4, 10), gate.Measure{Past: []string{"1", "1", "1", "1"}}, gate.Warned, "0 in cost"},
		{"the source's total", gate.Reconcile("cost", "1234.50"), gate.Measure{Value: "1234.500000000"}, gate.Pass, "1,234.5, says the source"},
		{"another total", gate.Reconcile("cost", "1234.50"), gate.Measure{Value: "1234.49"}, gate.Refusal, ""},
		{"a total without rejected rows", gate.Reconcile("cost", "5"), gate.Measure{Value: "4", Bad: 2}, gate.Warned, "without 2 rows"},
		{"a total that is no number", gate.Reconcile("cost", "five"), gate.Measure{Value: "5"}, gate.Refusal, ""},
		{"fresh", gate.Fresh("at", time.Hour), gate.Measure{Rows: 1, At: at, Newest: at.Add(-time.Hour)}, gate.Pass, ""},
		{"stale", gate.Fresh("at", time.Hour), gate.Measure{Rows: 1, At: at, Newest: at.Add(-time.Hour - 1)}, gate.Warned, "newest 2026-01-01T22:59:59Z"},
		{"fresh by no value", gate.Fresh("at", time.Hour), gate.Measure{Rows: 1, At: at}, gate.Warned, "no value"},
		{"fresh by no rows", gate.Fresh("at", time.Hour), gate.Measure{At: at}, gate.Pass, "no rows"},
		{"a lost reference", gate.RefersTo([]string{"a"}, "s.t", []string{"b"}).At(gate.Quarantine), gate.Measure{Rows: 3, Bad: 1}, gate.Quarantined, "1 of 3"},
		{"a lost table", gate.RefersTo([]string{"a"}, "s.t", []string{"b"}).At(gate.Refuse), gate.Measure{Rows: 3, Absent: "s.t is not there"}, gate.Warned, "s.t is not there"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := gate.Judge(tc.rule, tc.m)
			if text := c.Observed + "; " + c.Expected; c.Verdict != tc.want || c.Observed == "" || c.Expected == "" || !strings.Contains(text, tc.says) {
				t.Errorf("got %s: %s; want %s with %q", c.Verdict, text, tc.want, tc.says)
			}
		})
	}
}

func TestShrinkLetsATableGrow(t *testing.T) {
	rule := gate.Shrink(1, 50, 10).At(gate.Refuse)
	for value, want := range map[string]gate.Verdict{"1000": gate.Pass, "100": gate.Pass, "51": gate.Pass, "50": gate.Pass, "49": gate.Refusal, "0": gate.Refusal} {
		c := gate.Judge(rule, gate.Measure{Value: value, Past: []string{"100"}, Peers: "runs"})
		if c.Verdict != want {
			t.Errorf("%s after 100: %s (%s), want %s", value, c.Verdict, c.Expected, want)
		}
	}
	if c := gate.Judge(rule, gate.Measure{Value: "1", Past: []string{"8"}}); c.Verdict != gate.Pass {
		t.Errorf("7 rows fewer, where 10 are accepted: %+v", c)
	}
}
