package functions_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-data/millrace/functions"
	"github.com/millrace-data/millrace/functions/load"
	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/follow"
	"github.com/millrace-data/millrace/shared/record"
	"github.com/millrace-data/millrace/shared/rest"
)

// What the engines take for granted of every connector.
func TestAll(t *testing.T) {
	seen := map[string]bool{load.Name: true}
	for _, f := range functions.All {
		if seen[f.Name] || f.Name == "" {
			t.Errorf("function name %q is taken or empty", f.Name)
		}
		seen[f.Name] = true
		if f.Doc == "" || f.Workers < 1 || len(f.Tables) == 0 {
			t.Errorf("%s: got doc %q, %d workers, %d tables", f.Name, f.Doc, f.Workers, len(f.Tables))
		}
		for _, table := range f.Tables {
			checkTable(t, table)
			checkSlices(t, f, table)
			if seen[table.FullName()] {
				t.Errorf("%s is filled twice", table.FullName())
			}
			seen[table.FullName()] = true
		}
		_, err := f.Open(env.Map(nil), extract.Invocation{Meter: &rest.Meter{}, Scratch: t.TempDir()})
		if !errors.Is(err, fault.Invalid) {
			t.Errorf("%s without configuration: got %v, want invalid", f.Name, err)
		}
	}
}

// What platforms take for granted of every function that tables start.
func TestFollowers(t *testing.T) {
	seen := map[string]bool{load.Name: true}
	for _, f := range functions.All {
		seen[f.Name] = true
		for _, table := range f.Tables {
			seen[table.FullName()] = true
		}
	}
	for _, f := range functions.Followers {
		if seen[f.Name] || f.Name == "" || f.Doc == "" {
			t.Errorf("function name %q is taken or empty, or its doc is: %q", f.Name, f.Doc)
		}
		seen[f.Name] = true
		for _, table := range f.Tables {
			if seen[table.FullName()] {
				t.Errorf("%s is filled twice", table.FullName())
			}
			seen[table.FullName()] = true
		}
		_, err := f.Open(env.Map(nil), follow.Invocation{Inputs: functions.Inputs(functions.All, functions.Followers), Now: time.Now})
		if err != nil && !errors.Is(err, fault.Invalid) {
			t.Errorf("%s without configuration: got %v, want invalid or nothing", f.Name, err)
		}
		if got, err := functions.FindFollower(f.Name); got != f || err != nil {
			t.Errorf("%s: got %v, %v", f.Name, got, err)
		}
	}
	if _, err := functions.FindFollower("clippy"); !errors.Is(err, fault.Invalid) {
		t.Errorf("got %v, want invalid", err)
	}
}

// A sync finds every table with its classes.
func TestInputs(t *testing.T) {
	mine := record.Table{Schema: "analytics", Name: "sums", Columns: []record.Column{{Name: "id"}, {Name: "who", PII: "email"}}}
	in := functions.Inputs(functions.All, []*follow.Function{{Name: "sums", Tables: []record.Table{mine}}})
	last := in[len(in)-1]
	if len(in) < 30 || last.Function != "sums" || last.FullName() != "analytics.sums" || len(last.Classes) != 1 || last.Classes["who"] != "email" {
		t.Errorf("got %d inputs, the last is %+v", len(in), last)
	}
}

func checkTable(t *testing.T, table extract.Table) {
	t.Helper()
	keyed := table.Mode == record.Merge || table.Mode == record.History
	if keyed && len(table.Key) == 0 {
		t.Errorf("%s is merged by a key that it lacks", table.FullName())
	}
	for _, k := range table.Key {
		if _, ok := table.Column(k); !ok {
			t.Errorf("%s has no column %q, which its key names", table.FullName(), k)
		}
	}
	var names []string
	for _, c := range table.Columns {
		if slices.Contains(names, c.Name) {
			t.Errorf("%s has column %s twice", table.FullName(), c.Name)
		}
		names = append(names, c.Name)
	}
}

// checkSlices: a table is cut, or filled beside one that is.
func checkSlices(t *testing.T, f *extract.Function, table extract.Table) {
	t.Helper()
	leads := slices.ContainsFunc(f.Tables, func(l extract.Table) bool { return l.Name == table.Beside && l.Beside == "" })
	if cut := table.Slices.Kind != ""; cut == (table.Beside != "") || table.Beside != "" && !leads {
		t.Errorf("%s: slices %q, filled beside %q", table.FullName(), table.Slices.Kind, table.Beside)
	}
}

func TestFind(t *testing.T) {
	for _, f := range functions.All {
		if got, err := functions.Find(f.Name); got != f || err != nil {
			t.Errorf("%s: got %v, %v", f.Name, got, err)
		}
	}
	_, err := functions.Find("clippy")
	if !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), functions.All[0].Name) {
		t.Errorf("got %v, want invalid with the known names", err)
	}
}
