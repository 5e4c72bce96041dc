package reverse

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestMutatedJobs takes good jobs apart: whatever becomes of them, the schema takes
// all that is a job, and refuses all that it can tell to be none.
func TestMutatedJobs(t *testing.T) {
	schema := compiled(t)
	var good []string
	for _, path := range []string{"account_scores.yml", "contacts.yml", "factor.yaml", "delete.yml"} {
		job, err := ReadJob("testdata/jobs/good/" + path)
		if err != nil {
			t.Fatal(err)
		}
		good = append(good, job.Text())
	}
	values := []string{`null`, `true`, `0`, `-1`, `1.5`, `1e3`, `101`, `"x"`, `""`, `"10"`, `"2d"`, `"2026-01-31"`, `"insert"`, `"Id"`, `[]`, `["a"]`, `[1, 2]`, `[2, 1]`, `[null, null]`, `{}`, `{"max": 1}`, `{"over": 2}`, `{"a": "B__c"}`}
	keys := []string{"max", "max_percent", "over", "zeroed", "range", "set", "factor", "inputs", "max_age", "owner", "colour", "reserve", "query_file", "Score__c", "score"}
	rapid.Check(t, func(t *rapid.T) {
		var v any
		d := json.NewDecoder(strings.NewReader(rapid.SampledFrom(good).Draw(t, "job")))
		d.UseNumber()
		if err := d.Decode(&v); err != nil {
			t.Fatal(err)
		}
		for range rapid.IntRange(1, 3).Draw(t, "changes") {
			mutate(t, v.(map[string]any), keys, values)
		}
		text := string(writeJSON(v))
		n, err := readJSON(text)
		if err != nil {
			t.Fatal(err)
		}
		f := &file{lines: map[string]int{}}
		f.fill(n, "")
		bad := slices.ContainsFunc(f.problems, func(p problem) bool { return slices.Contains(told, p.Rule) })
		switch err := schema.Validate(plainValue(n)); {
		case err != nil && len(f.problems) == 0:
			t.Fatalf("%s is a job, and the schema says: %v", text, err)
		case err == nil && bad:
			t.Fatalf("%s: the schema takes it: %v", text, f.err())
		}
	})
}

// mutate changes one thing somewhere below m.
func mutate(t *rapid.T, m map[string]any, keys, values []string) {
	for len(m) > 0 {
		key := rapid.SampledFrom(slices.Sorted(maps.Keys(m))).Draw(t, "key")
		if below, ok := m[key].(map[string]any); ok && rapid.Bool().Draw(t, "down") {
			m = below
			continue
		}
		switch rapid.IntRange(0, 2).Draw(t, "how") {
		case 0:
			delete(m, key)
			return
		case 1:
			key = rapid.SampledFrom(keys).Draw(t, "new key")
		}
		var v any
		d := json.NewDecoder(strings.NewReader(rapid.SampledFrom(values).Draw(t, "value")))
		d.UseNumber()
		if err := d.Decode(&v); err != nil {
			t.Fatal(err)
		}
		m[key] = v
		return
	}
}

// TestTextProperty: any job reads back from its text as it was.
func TestTextProperty(t *testing.T) {
	percent := rapid.Custom(func(t *rapid.T) *float64 { p := float64(rapid.IntRange(0, 10000).Draw(t, "p")) / 100; return &p })
	max := rapid.Custom(func(t *rapid.T) *int64 { n := rapid.Int64Min(0).Draw(t, "n"); return &n })
	limit := rapid.Custom(func(t *rapid.T) *Limit {
		return &Limit{Max: max.Draw(t, "max"), MaxPercent: percent.Draw(t, "max_percent")}
	})
	rapid.Check(t, func(t *rapid.T) {
		job := example()
		job.Classes = rapid.SliceOfN(rapid.StringMatching(`[a-z]+`), 1, 3).Draw(t, "classes")
		job.Query = "select '" + strings.ReplaceAll(rapid.StringMatching(`[ -\[\]-~äß€\n\t]*`).Draw(t, "text"), "'", "''") + "' as score"
		job.Owner = "a " + rapid.StringMatching(`[A-Za-z <>&"]*`).Draw(t, "owner")
		job.Guards.Share = limit.Draw(t, "share")
		job.Guards.Fields["Tier__c"] = FieldGuard{Set: rapid.SliceOfN(rapid.String(), 1, 4).Draw(t, "set"), Factor: &Factor{Over: 1.5, Limit: *limit.Draw(t, "factor")},
			Range: &[2]Bound{"", Bound(rapid.StringMatching(`-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,20})?`).Draw(t, "most"))}}
		back, err := ParseJobText(job.Text())
		if err != nil {
			t.Fatalf("%s: %v", job.Text(), err)
		}
		if !reflect.DeepEqual(job, back) {
			t.Fatalf("(-want +got):\n%s", cmp.Diff(job, back))
		}
	})
}

func TestDeepNesting(t *testing.T) {
	for _, text := range []string{strings.Repeat("[", fileMax), strings.Repeat("{a: ", fileMax/4), strings.Repeat("- ", fileMax/2), "name: " + strings.Repeat("\"", fileMax-6)} {
		if _, err := ParseJob([]byte(text), ""); err == nil {
			// and it ends: the parser alone would take hours
			t.Errorf("%.10s… is taken", text)
		}
	}
	if _, err := ParseJob([]byte(strings.Repeat(" ", fileMax+1)), ""); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("got %v", err)
	}
}
