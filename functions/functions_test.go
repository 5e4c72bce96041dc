package functions_test

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/millrace-data/millrace/functions"
	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/record"
)

// entry is a function in infra/functions.json, which the clouds' terraform reads.
type entry struct {
	Schedule     string   `json:"schedule"` // cron, UTC
	TimeoutS     int      `json:"timeout_s"`
	MemoryMB     int      `json:"memory_mb"`
	MaxInstances int      `json:"max_instances"`
	Environment  []string `json:"environment"`
	Secrets      []string `json:"secrets"`
}

func TestInfraHasEveryFunction(t *testing.T) {
	f, err := os.Open("../infra/functions.json")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	dec := json.NewDecoder(f)
	dec.DisallowUnknownFields()
	var infra map[string]entry
	if err := dec.Decode(&infra); err != nil {
		t.Fatal(err)
	}
	for _, fn := range functions.All {
		e, ok := infra[fn.Name]
		if !ok {
			t.Errorf("infra/functions.json has no entry %q: without one it is not deployed", fn.Name)
			continue
		}
		delete(infra, fn.Name)
		if e.MaxInstances != fn.Workers {
			t.Errorf("%s: max_instances is %d and Workers %d: the vendor's limit must be one number", fn.Name, e.MaxInstances, fn.Workers)
		}
		if e.Schedule == "" || e.TimeoutS < 60 || e.TimeoutS > 540 || e.MemoryMB < 256 {
			t.Errorf("%s: schedule %q, timeout %d s (60 to 540, the shorter of the clouds' limits), memory %d MB", fn.Name, e.Schedule, e.TimeoutS, e.MemoryMB)
		}
		named(t, fn, append(e.Environment, e.Secrets...))
	}
	for name := range infra {
		t.Errorf("infra/functions.json has %q, which is no function", name)
	}
}

// named fails unless the entry names exactly the variables that the function
// says are missing when it is given none.
func named(t *testing.T, fn *extract.Function, vars []string) {
	t.Helper()
	_, err := fn.Open(env.Map(nil), extract.Invocation{})
	if err == nil {
		t.Errorf("%s opens without configuration", fn.Name)
		return
	}
	for _, v := range vars {
		if !strings.Contains(err.Error(), v) {
			t.Errorf("%s: infra sets %s, which the function does not miss: %v", fn.Name, v, err)
		}
	}
	for _, word := range strings.FieldsFunc(err.Error(), func(r rune) bool { return r != '_' && (r < 'A' || r > 'Z') }) {
		if strings.Contains(word, "_") && !slices.Contains(vars, word) {
			t.Errorf("%s misses %s, which infra does not set", fn.Name, word)
		}
	}
}

func TestDeclarations(t *testing.T) {
	seen := map[string]bool{}
	for _, fn := range functions.All {
		if fn.Doc == "" || fn.Workers < 1 {
			t.Errorf("%s: doc %q, workers %d", fn.Name, fn.Doc, fn.Workers)
		}
		for _, table := range fn.Tables {
			if seen[table.FullName()] {
				t.Errorf("two functions fill %s", table.FullName())
			}
			seen[table.FullName()] = true
			declared(t, table)
		}
	}
}

func declared(t *testing.T, table extract.Table) {
	t.Helper()
	names := map[string]bool{}
	for _, c := range table.Columns {
		if names[c.Name] {
			t.Errorf("%s declares %s twice", table.FullName(), c.Name)
		}
		names[c.Name] = true
	}
	for _, k := range table.Key {
		if !names[k] {
			t.Errorf("%s: key %s is no column", table.FullName(), k)
		}
	}
	if (table.Mode == record.Merge || table.Mode == record.History) && len(table.Key) == 0 {
		t.Errorf("%s is merged and has no key", table.FullName())
	}
	for _, r := range table.Rules {
		for _, c := range r.Columns {
			if !names[c] {
				t.Errorf("%s: rule %s is about %s, which is no column", table.FullName(), r.Name, c)
			}
		}
	}
}
