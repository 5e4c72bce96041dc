package gate_test

import (
	"fmt"
	"testing"

	"github.com/millrace-data/millrace/shared/gate"
)

func TestJudge(t *testing.T) {
	for _, tc := range []struct {
		name string
		rule gate.Rule
		m    gate.Measure
		want gate.Verdict
	}{
		{"no bad rows", gate.Require("id"), gate.Measure{Rows: 3}, gate.Pass},
		{"a bad row", gate.Require("id"), gate.Measure{Rows: 3, Bad: 1}, gate.Quarantined},
		{"a bad row as a wish", gate.OneOf("kind", "x").At(gate.Warn), gate.Measure{Rows: 3, Bad: 1}, gate.Warned},
		{"a bad row is one too many", gate.Between("n", "0", "9").At(gate.Refuse), gate.Measure{Rows: 3, Bad: 1}, gate.Refusal},
		{"enough rows", gate.AtLeast(3), gate.Measure{Rows: 3}, gate.Pass},
		{"too few rows", gate.AtLeast(3), gate.Measure{Rows: 2}, gate.Refusal},
		{"few nulls", gate.MostlySet("x", 50), gate.Measure{Rows: 4, Bad: 2}, gate.Pass},
		{"many nulls", gate.MostlySet("x", 50), gate.Measure{Rows: 4, Bad: 3}, gate.Warned},
		{"nulls of nothing", gate.MostlySet("x", 0), gate.Measure{}, gate.Pass},
		{"rejects: few, though most of the slice", gate.FewRejects(10, 5), gate.Measure{Rows: 3, Bad: 3}, gate.Pass},
		{"rejects: many, though a small part", gate.FewRejects(10, 5), gate.Measure{Rows: 1e7, Bad: 1000}, gate.Pass},
		{"rejects: many and a large part", gate.FewRejects(10, 5), gate.Measure{Rows: 100, Bad: 11}, gate.Refusal},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := gate.Judge(tc.rule, tc.m)
			if c.Verdict != tc.want || c.Observed == "" || c.Expected == "" || c.Rule != tc.rule.Name {
				t.Errorf("got %+v, want %s", c, tc.want)
			}
		})
	}
}

func TestOnlyRowRulesQuarantine(t *testing.T) {
	for _, r := range []gate.Rule{gate.Require("a"), gate.OneOf("a", "x"), gate.Between("a", "1", "2"), gate.Once("a", "b"),
		gate.AtLeast(1), gate.MostlySet("a", 1), gate.FewRejects(1, 1)} {
		if r.Level == gate.Quarantine != r.Row() {
			t.Errorf("%s: level %s, row rule %t", r.Name, r.Level, r.Row())
		}
	}
}

func TestBalance(t *testing.T) {
	if c := gate.Balance(5, 3, 2); c.Verdict != gate.Pass {
		t.Errorf("5 = 3 + 2: %+v", c)
	}
	if c := gate.Balance(5, 3, 1); c.Verdict != gate.Refusal {
		t.Errorf("a row is missing and the verdict is %s", c.Verdict)
	}
}

func ExampleJudge() {
	rule := gate.OneOf("currency", "USD", "EUR")
	fmt.Println(gate.Judge(rule, gate.Measure{Rows: 1000, Bad: 2}).Verdict)
	fmt.Println(gate.Judge(rule.At(gate.Refuse), gate.Measure{Rows: 1000, Bad: 2}).Verdict)
	// Output:
	// quarantine
	// refuse
}
