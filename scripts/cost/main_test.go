package main

import (
	"bytes"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write infra/COST.md anew")

const page = "../../infra/COST.md"

// The page says what the figures say.
func TestPage(t *testing.T) {
	var b bytes.Buffer
	if err := write(&b); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(page, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(b.String(), string(got)); diff != "" {
		t.Errorf("infra/COST.md is out of date; run go run ./scripts/cost > infra/COST.md (-figures +page):\n%s", diff)
	}
}

// The figures are those of the README's table of measured ones.
func TestFiguresAreTheReadmes(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for row, want := range map[string]string{
		"| REST pages, 20 ms each":    "| 1,000,000 | " + number(bothHops.is) + " s |",
		"| one `.csv.gz` cost report": "| 1,000,000 | 12.0 s |",
		"| the same *":                "| 10,000,000 | 32.3 s |",
	} {
		var line string
		for l := range strings.Lines(string(readme)) {
			if strings.HasPrefix(l, row) {
				line = l
			}
		}
		if !strings.Contains(line, want) {
			t.Errorf("README.md, row %q: got %q, want it to contain %q, which figures.go counts with", row, strings.TrimSpace(line), want)
		}
	}
	if worst.is != 12.0 || firstHop.is != 3.23 {
		t.Errorf("figures.go has %v and %v, want the README's 12.0 and 32.3 / 10", worst.is, firstHop.is)
	}
}

// One sum by hand: 10 M rows × 12 s × 2 cores are 240 vCPU-seconds, and Lambda bills
// 1769 MB for a vCPU.
func TestSums(t *testing.T) {
	var b strings.Builder
	daily().page(&b)
	for _, want := range []string{"= **240 vCPU-seconds**", "| **together** |"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("got %s\nwant it to contain %q", b.String(), want)
		}
	}
	for v, want := range map[float64]string{0.001: "$0.01", 12: "$12.00", 1439.995: "$1,440.00", 0: "$0.00"} {
		if got := dollars(v); got != want {
			t.Errorf("%v: got %s, want %s", v, got, want)
		}
	}
	for v, want := range map[float64]string{0.0000133334: "0.0000133334", 1234567: "1,234,567", 82: "82", 3.23: "3.23", 12.5: "12.5"} {
		if got := number(v); got != want {
			t.Errorf("%v: got %s, want %s", v, got, want)
		}
	}
}
