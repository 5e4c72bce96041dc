package functions_test

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Alerts are named in three places: a map of thresholds, policies of their own, and
// what Snowflake sends mail about.
var (
	thresholds = regexp.MustCompile(`(?ms)^  thresholds = \{\n(.*?)^  \}`)
	threshold  = regexp.MustCompile(`(?m)^    ([a-z]+(?:-[a-z]+)*)\s+= \{`)
	mentioned  = regexp.MustCompile(`(?:var\.runbooks\}|infra/runbooks)/([a-z-]+)\.md`)
	linked     = regexp.MustCompile(`\]\(([a-z-]+)\.md\)`)
)

// alerts are the runbooks that the files of a folder want.
func alerts(t *testing.T, glob string) []string {
	t.Helper()
	files, err := filepath.Glob(glob)
	if err != nil || len(files) == 0 {
		t.Fatalf("no files at %s: %v", glob, err)
	}
	found := map[string]bool{}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range thresholds.FindAllSubmatch(text, -1) {
			for _, m := range threshold.FindAllSubmatch(block[1], -1) {
				found[string(m[1])] = true
			}
		}
		for _, m := range mentioned.FindAllSubmatch(text, -1) {
			found[string(m[1])] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// Whoever is woken by an alert has a page that says what to do, and no page is about
// an alert that there is not.
func TestEveryAlertHasARunbook(t *testing.T) {
	gcp, aws := alerts(t, "../infra/gcp/*.tf"), alerts(t, "../infra/aws/*.tf")
	if !slices.Equal(gcp, aws) || len(gcp) < 8 {
		t.Errorf("the clouds have different alerts:\ngcp %q\naws %q", gcp, aws)
	}
	want := slices.Compact(slices.Sorted(slices.Values(slices.Concat(gcp, alerts(t, "../infra/snowflake/*.sql")))))
	pages, err := filepath.Glob("../infra/runbooks/*.md")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range pages {
		name := strings.TrimSuffix(filepath.Base(p), ".md")
		got = append(got, name)
		text, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(string(text), "# "+name+": ") || !strings.Contains(string(text), "\n**Done when** ") {
			t.Errorf("%s: it begins with its alert's name and ends with when it is done", p)
		}
		for _, m := range linked.FindAllSubmatch(text, -1) {
			if _, err := os.Stat("../infra/runbooks/" + string(m[1]) + ".md"); err != nil {
				t.Errorf("%s refers to %s.md: %v", p, m[1], err)
			}
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("runbooks %q, alerts %q: they must be the same", got, want)
	}
}
