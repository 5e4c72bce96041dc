package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestMain lets the test's own binary play the child processes.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && (os.Args[1] == roleVendor || os.Args[1] == roleMeasure) {
		if err := run(context.Background(), os.Args[1:], os.Stdout); err != nil {
			os.Stderr.WriteString(err.Error() + "\n")
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestBenchmarksSmall(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), []string{"--rows", "5000", "--days", "2", "--big", "3000", "--runs", "1", "--json"}, &out); err != nil {
		t.Fatal(err)
	}
	var r report
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	const people = 5000 / 2 / clariFields // in each of Clari's two exports, with a few rows of the calendar
	want := map[string]int64{"rest": 5000, "file": 5000, "zuora": 5000, "clari": 5000 + 2*people + 12, "adaptive": 50_000, "extract": 5000, "page": 3000, "diff": 5000, "plan": 5000, "bulk": 5000}
	alone := []string{"clari", "adaptive", "extract", "page", "plan"} // have no floor
	for _, b := range r.Results {
		if b.Ours == nil || b.Ours.Rows != want[b.Name] {
			t.Errorf("%s: ours is %+v, want %d rows", b.Name, b.Ours, want[b.Name])
		}
		if !slices.Contains(alone, b.Name) && (b.Floor == nil || b.Floor.Rows != want[b.Name] || b.Ratio <= 0) {
			t.Errorf("%s: floor is %+v, ratio %g, want %d rows and a ratio", b.Name, b.Floor, b.Ratio, want[b.Name])
		}
		delete(want, b.Name)
	}
	if len(want) > 0 {
		t.Errorf("not measured: %v", want)
	}
}

func TestTable(t *testing.T) {
	r := report{Machine: "a machine", Results: []result{
		{Name: "rest", Doc: "pages", Ours: &sample{1000, 2, 300, 50}, Floor: &sample{1000, 1, 200, 10}, Ratio: 2},
		{Name: "page", Doc: "one page", Ours: &sample{500, 1, 0, 0}},
	}}
	var out strings.Builder
	if err := r.print(&out); err != nil {
		t.Fatal(err)
	}
	words := strings.Join(strings.Fields(out.String()), " ")
	for _, want := range []string{"rest 1000 2.00 1.00 2.00 500 50 300 200", "page 500 1.00 – – 500 0 – –", "rest: pages", "a machine"} {
		if !strings.Contains(words, want) {
			t.Errorf("the table lacks %q:\n%s", want, out.String())
		}
	}
}

func TestNonsenseIsRefused(t *testing.T) {
	for _, args := range [][]string{{"--rows", "1", "--days", "2"}, {"--runs", "0"}, {"--big", "0"}, {"--only", "nothing"}} {
		if err := run(t.Context(), args, new(bytes.Buffer)); err == nil {
			t.Errorf("bench %v: got no error", args)
		}
	}
}
