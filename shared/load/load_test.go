package load_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-data/millrace/shared/chain"
	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/extract/extracttest"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/gate"
	"github.com/millrace-data/millrace/shared/record"
	"github.com/millrace-data/millrace/shared/stage"
)

type item struct {
	ID   string  `field:"id" key:"true"`
	Kind *string `field:"kind"`
}

type rows []string

func (r rows) Read(_ context.Context, _ extract.Slice, out *extract.Out) error {
	for _, row := range r {
		if err := out.Row([]byte(row)); err != nil {
			return err
		}
	}
	return nil
}

func function(r rows, rules ...gate.Rule) *extract.Function {
	return &extract.Function{Name: "items", Workers: 1,
		Tables: []extract.Table{{Rules: rules, Slices: extract.Scans(time.Hour, 0),
			Table: record.Table{Schema: "items", Name: "items", Columns: record.Columns[item](), Key: record.Key[item](), Mode: record.Merge}}},
		Open: func(env.Lookup, extract.Invocation) (extract.Source, error) { return r, nil }}
}

var now = time.Date(2025, 1, 5, 2, 0, 0, 0, time.UTC)

// staged runs the first hop only and returns the manifest's key.
func staged(t *testing.T, m *extracttest.Mill, f *extract.Function) string {
	t.Helper()
	if _, err := m.Extract.Tick(t.Context(), f, extract.Request{Now: now, Tables: []string{"items"}, Purpose: extract.Backfill}); err != nil {
		t.Fatal(err)
	}
	for _, msg := range m.Slices {
		if _, err := m.Extract.Handle(t.Context(), f, msg); err != nil {
			t.Fatal(err)
		}
	}
	key := m.Arrivals[len(m.Arrivals)-1]
	m.Slices, m.Arrivals = nil, nil
	return key
}

func TestStaleBeforeWork(t *testing.T) {
	m := extracttest.New(t, env.Map(nil))
	f := function(rows{`{"id":"a"}`})
	old := staged(t, m, f)
	man, err := m.Stage.ReadManifest(t.Context(), old)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Warehouse.Claim(t.Context(), "items", "items", man.Slice, "another", time.Minute); err != nil {
		t.Fatal(err)
	}
	for _, p := range man.Parts { // were they needed, their absence would show
		if err := m.Stage.Delete(t.Context(), p.Key); err != nil {
			t.Fatal(err)
		}
	}
	o, err := m.Load.Handle(t.Context(), old, "e1")
	if err != nil || o.State != "stale" {
		t.Errorf("state %q, error %v; want stale without work", o.State, err)
	}
}

// TestBadParts damages what lies in the stage. Nothing may be loaded, the ledger
// says why, and the next run reads the slice anew.
func TestBadParts(t *testing.T) {
	for _, tc := range []struct {
		name string
		harm func(t *testing.T, m *extracttest.Mill, key string)
		says string
	}{
		{"digest", func(t *testing.T, m *extracttest.Mill, key string) {
			man := manifest(t, m, key)
			b, err := m.Stage.Get(t.Context(), man.Parts[0].Key)
			if err != nil {
				t.Fatal(err)
			}
			b[len(b)/2] ^= 1
			if err := m.Stage.Put(t.Context(), man.Parts[0].Key, b); err != nil {
				t.Fatal(err)
			}
		}, "part-00001"},
		{"missing", func(t *testing.T, m *extracttest.Mill, key string) {
			if err := m.Stage.Delete(t.Context(), manifest(t, m, key).Parts[0].Key); err != nil {
				t.Fatal(err)
			}
		}, "part-00001"},
		{"manifest edited", func(t *testing.T, m *extracttest.Mill, key string) {
			b, err := m.Stage.Get(t.Context(), key)
			if err != nil {
				t.Fatal(err)
			}
			if err := m.Stage.Put(t.Context(), key, []byte(strings.Replace(string(b), `"rows_source": 2`, `"rows_source": 3`, 1))); err != nil {
				t.Fatal(err)
			}
		}, "digest"},
		{"manifest is not one", func(t *testing.T, m *extracttest.Mill, key string) {
			if err := m.Stage.Put(t.Context(), key, []byte(`{"version":1,"surprise":true}`)); err != nil {
				t.Fatal(err)
			}
		}, "manifest"},
		{"fewer rows than promised", func(t *testing.T, m *extracttest.Mill, key string) {
			man := manifest(t, m, key)
			man.RowsSource, man.RowsStaged = 3, 3
			if _, err := m.Stage.WriteManifest(t.Context(), filepath.ToSlash(filepath.Dir(key)), man, time.Now().Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
		}, "2 rows, the manifest says 3"},
		{"totals that do not balance", func(t *testing.T, m *extracttest.Mill, key string) {
			man := manifest(t, m, key)
			man.RowsSource = 5
			if _, err := m.Stage.WriteManifest(t.Context(), filepath.ToSlash(filepath.Dir(key)), man, time.Now().Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
		}, "balance"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := extracttest.New(t, env.Map(nil))
			f := function(rows{`{"id":"a"}`, `{"id":"b"}`})
			key := staged(t, m, f)
			tc.harm(t, m, key)
			o, err := m.Load.Handle(t.Context(), key, "e1")
			if err != nil || o.State != "failed" || !strings.Contains(o.Err.Error(), tc.says) {
				t.Fatalf("outcome %+v, error %v; want failed with words about %q", o, err, tc.says)
			}
			if !errors.Is(o.Err, fault.Corrupt) && !errors.Is(o.Err, fault.NotFound) {
				t.Errorf("kind %v of %v, want corrupt or not found", fault.Of(o.Err), o.Err)
			}
			got := m.Rows(t, `SELECT state, loaded_at, error IS NOT NULL FROM millrace.slices`)
			if diff := cmp.Diff([]string{"failed|null|true"}, got); diff != "" {
				t.Errorf("ledger (-want +got):\n%s", diff)
			}
			if o, err := m.Load.Handle(t.Context(), staged(t, m, f), "e2"); err != nil || o.State != "loaded" || o.Rows != 2 {
				t.Errorf("the next attempt: %+v, error %v; want 2 rows loaded", o, err)
			}
		})
	}
}

func manifest(t *testing.T, m *extracttest.Mill, key string) *stage.Manifest {
	t.Helper()
	man, err := m.Stage.ReadManifest(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	return man
}

func TestGate(t *testing.T) {
	good := `{"id":"a","kind":"x"}`
	for _, tc := range []struct {
		name    string
		rows    rows
		rules   []gate.Rule
		state   string
		loaded  []string
		rejects []string // rule, state
	}{
		{"all well", rows{good, `{"id":"b"}`}, nil, "loaded", []string{"a|x", "b|null"}, nil},
		{"key is null", rows{good, `{"kind":"y"}`}, nil, "loaded", []string{"a|x"}, []string{"not_null:id|open"}},
		{"key twice, the last wins", rows{`{"id":"a","kind":"old"}`, good}, nil, "loaded", []string{"a|x"}, []string{"unique:id|open"}},
		{"the same row twice", rows{good, good}, nil, "loaded", []string{"a|x"}, []string{"unique:id|discarded"}},
		{"accepted values", rows{good, `{"id":"b","kind":"z"}`, `{"id":"c"}`}, []gate.Rule{gate.OneOf("kind", "x", "y")}, "loaded", []string{"a|x", "c|null"}, []string{"accepted:kind|open"}},
		{"accepted values or nothing", rows{good, `{"id":"b","kind":"z"}`}, []gate.Rule{gate.OneOf("kind", "x").At(gate.Refuse)}, "refused", nil, nil},
		{"accepted values as a wish", rows{good, `{"id":"b","kind":"z"}`}, []gate.Rule{gate.OneOf("kind", "x").At(gate.Warn)}, "loaded", []string{"a|x", "b|z"}, nil},
		{"range", rows{good, `{"id":"b","kind":"y"}`, `{"id":"c","kind":"zz"}`}, []gate.Rule{gate.Between("kind", "x", "y")}, "loaded", []string{"a|x", "b|y"}, []string{"range:kind|open"}},
		{"too few rows", rows{good}, []gate.Rule{gate.AtLeast(2)}, "refused", nil, nil},
		{"too many nulls", rows{good, `{"id":"b"}`}, []gate.Rule{gate.MostlySet("kind", 10).At(gate.Refuse)}, "refused", nil, nil},
		{"too many rejects", rows{good, `{}`, `{}`}, []gate.Rule{gate.FewRejects(1, 50)}, "refused", nil, []string{"not_null:id|open"}},
		{"empty", rows{}, nil, "loaded", nil, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := extracttest.New(t, env.Map(nil))
			key := staged(t, m, function(tc.rows, tc.rules...))
			o, err := m.Load.Handle(t.Context(), key, "e1")
			if err != nil || o.State != tc.state {
				t.Fatalf("outcome %+v, error %v; want %s", o, err, tc.state)
			}
			if diff := cmp.Diff(tc.loaded, m.Rows(t, `SELECT id, kind FROM items.items ORDER BY id`)); diff != "" {
				t.Errorf("rows (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.rejects, m.Rows(t, `SELECT DISTINCT rule, state FROM millrace.rejects`)); diff != "" {
				t.Errorf("rejects (-want +got):\n%s", diff)
			}
			if odd := m.Rows(t, `SELECT * FROM millrace.slices WHERE rows_source <> rows_staged + rows_rejected OR state = 'loaded' AND rows_source <> rows_loaded + rows_rejected`); len(odd) > 0 {
				t.Errorf("totals do not balance: %v", odd)
			}
			if n := m.Rows(t, `SELECT count(*) > 0 FROM millrace.checks`); n[0] != "true" {
				t.Error("no checks were recorded")
			}
			if said := len(m.Loaded) == 1; said != (tc.state == "loaded") {
				t.Errorf("%d loaded messages after %s", len(m.Loaded), tc.state)
			}
		})
	}
}

// failing is a chain that is down.
type failing struct{}

func (failing) Publish(context.Context, chain.Message) error { return errors.New("topic is gone") }

func TestPublishFails(t *testing.T) {
	m := extracttest.New(t, env.Map(nil))
	key := staged(t, m, function(rows{`{"id":"a"}`}))
	up := m.Load.Chain
	m.Load.Chain = failing{}
	if _, err := m.Load.Handle(t.Context(), key, "e1"); err == nil {
		t.Fatal("a commit that nobody was told of must be delivered again")
	}
	m.Load.Chain = up
	if o, err := m.Load.Handle(t.Context(), key, "e1"); err != nil || !o.Again || len(m.Loaded) != 1 {
		t.Errorf("delivered again: %+v, error %v, %d messages; want Again and one message", o, err, len(m.Loaded))
	}
	if n := m.Rows(t, `SELECT count(*) FROM millrace.inbox`); n[0] != "1" {
		t.Errorf("%s events in the inbox, want 1", n[0])
	}
}
