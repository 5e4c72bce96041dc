package snowflake_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/millrace-data/millrace/shared/gate"
	"github.com/millrace-data/millrace/shared/record"
	"github.com/millrace-data/millrace/shared/warehouse"
)

var update = flag.Bool("update", false, "write the golden files anew")

// The golden files are what an administrator of Snowflake reads to know what
// Millrace does there: each is the statements of one action, in order.
func TestGolden(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(t *testing.T, w *warehouse.Warehouse, r *recorder)
	}{
		{"open", func(*testing.T, *warehouse.Warehouse, *recorder) {}},
		{"table_and_claim", func(t *testing.T, w *warehouse.Warehouse, _ *recorder) { claim(t, w, orders(record.Merge)) }},
		{"load_append", loadOnce(record.Append)},
		{"load_merge", loadOnce(record.Merge)},
		{"load_replace_all", loadOnce(record.ReplaceAll)},
		{"load_replace_partition", loadOnce(record.ReplacePartition)},
		{"load_history", loadOnce(record.History)},
		{"load_quarantine", func(t *testing.T, w *warehouse.Warehouse, r *recorder) {
			table := orders(record.Merge)
			l := load(t, w, table, `{"id":"1","amount":"5","_seq":1}`, `{"amount":"-7.25","_seq":2}`)
			r.reset()
			commit(t, w, l, gate.Require("id"), gate.Between("amount", "0", "10.50"))
		}},
		{"new_column", func(t *testing.T, w *warehouse.Warehouse, r *recorder) {
			table := orders(record.Append)
			ensure(t, w, table)
			table.Columns = append(table.Columns, record.Column{Name: "note", Type: record.Text, Nullable: true, Doc: "It's new."})
			r.reset()
			ensure(t, w, table)
		}},
		{"resync", resync},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, r := open(t, "")
			if c.name != "open" {
				r.reset()
			}
			c.do(t, w, r)
			compare(t, c.name, r.text())
		})
	}
}

// An external stage needs no upload: COPY names the manifest's parts.
func TestGoldenExternalStage(t *testing.T) {
	bucket := t.TempDir()
	w, r := open(t, bucket)
	dir := filepath.Join(bucket, "shop", "orders", "2026-01-01", "000001")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	l := loadFrom(t, w, orders(record.Merge), dir, `{"id":"1","amount":"5","_seq":1}`, `{"id":"2","_seq":2}`)
	l = external(l, bucket)
	r.reset()
	res := commit(t, w, l)
	if res.Slice.RowsLoaded != 2 {
		t.Errorf("%d rows loaded, want 2", res.Slice.RowsLoaded)
	}
	compare(t, "load_external_stage", r.text())
}

func compare(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "golden", name+".sql")
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s is not what is sent; look at the change and run go test -update:\n%s", path, got)
	}
}

func loadOnce(mode record.Mode) func(*testing.T, *warehouse.Warehouse, *recorder) {
	return func(t *testing.T, w *warehouse.Warehouse, r *recorder) {
		l := load(t, w, orders(mode), `{"id":"1","amount":"12345678901234567890.12","day":"2026-01-01","_seq":1}`, `{"id":"2","doc":"{\"a\":1}","_seq":2}`)
		r.reset()
		commit(t, w, l, gate.Once("id"))
	}
}

func resync(t *testing.T, w *warehouse.Warehouse, r *recorder) {
	table := orders(record.Merge)
	commit(t, w, load(t, w, table, `{"id":"1","amount":"1","_seq":1}`))
	shadow := table
	shadow.Name += warehouse.ShadowSuffix
	l := load(t, w, shadow, `{"id":"1","amount":"2","_seq":1}`)
	commit(t, w, l)
	r.reset()
	re := warehouse.Resync{Function: "shop", Ledger: table.FullName(), Table: table, Now: clock}
	d, err := w.Compare(t.Context(), re)
	if err != nil {
		t.Fatal(err)
	}
	if d.Changed != 1 {
		t.Errorf("%d keys changed, want 1", d.Changed)
	}
	if err := w.Swap(t.Context(), re, d); err != nil {
		t.Fatal(err)
	}
}

var clock = time.Date(2026, 1, 2, 3, 4, 5, 678900000, time.UTC)

// orders is a table with a column of every sort.
func orders(mode record.Mode) record.Table {
	t := record.Table{Schema: "shop", Name: "orders", Doc: "Orders of the shop.", Mode: mode, Key: []string{"id"}, Columns: []record.Column{
		{Name: "id", Type: record.Text, Doc: "The shop's id."},
		{Name: "amount", Type: record.Number, Precision: 38, Scale: 2, Nullable: true},
		{Name: "day", Type: record.Date, Nullable: true},
		{Name: "doc", Type: record.Document, Nullable: true},
	}}
	if mode == record.ReplacePartition {
		t.Partition = "day"
	}
	return t
}

func ensure(t *testing.T, w *warehouse.Warehouse, table record.Table) {
	t.Helper()
	if _, err := w.Ensure(t.Context(), table); err != nil {
		t.Fatal(err)
	}
}

func claim(t *testing.T, w *warehouse.Warehouse, table record.Table) warehouse.Slice {
	t.Helper()
	ensure(t, w, table)
	sl := warehouse.Slice{Function: "shop", Table: table.FullName(), ID: "2026-01-01", Purpose: "live", From: clock.Truncate(24*time.Hour).AddDate(0, 0, -1), To: clock.Truncate(24 * time.Hour)}
	if err := w.Plan(t.Context(), []warehouse.Slice{sl}); err != nil {
		t.Fatal(err)
	}
	sl, err := w.Claim(t.Context(), sl.Function, sl.Table, sl.ID, "worker", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	return sl
}

// load claims a slice and stages lines for it, one part each.
func load(t *testing.T, w *warehouse.Warehouse, table record.Table, lines ...string) warehouse.Load {
	t.Helper()
	return loadFrom(t, w, table, t.TempDir(), lines...)
}

func loadFrom(t *testing.T, w *warehouse.Warehouse, table record.Table, dir string, lines ...string) warehouse.Load {
	t.Helper()
	l := warehouse.Load{Slice: claim(t, w, table), Table: table, Now: clock}
	for i, line := range lines {
		l.Files = append(l.Files, part(t, dir, i, line))
	}
	l.Slice.RowsSource, l.Slice.RowsStaged, l.Slice.Bytes = int64(len(lines)), int64(len(lines)), 100
	l.Slice.Manifest, l.Slice.Digest = "shop/orders/2026-01-01/000001/manifest.json", "d1"
	if err := w.Staged(t.Context(), l.Slice); err != nil {
		t.Fatal(err)
	}
	return l
}

func part(t *testing.T, dir string, i int, line string) string {
	t.Helper()
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, fmt.Sprintf("p-%03d.ndjson.zst", i))
	if err := os.WriteFile(path, z.EncodeAll([]byte(line+"\n"), nil), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// commit stages, measures, quarantines and commits as the load engine does.
func commit(t *testing.T, w *warehouse.Warehouse, l warehouse.Load, rules ...gate.Rule) warehouse.Result {
	t.Helper()
	s, err := w.Stage(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	_, measures, err := s.Measure(t.Context(), rules)
	if err != nil {
		t.Fatal(err)
	}
	var checks []gate.Check
	var broken []gate.Rule
	for i, rule := range rules {
		c := gate.Judge(rule, measures[i])
		if checks = append(checks, c); c.Verdict == gate.Quarantined {
			broken = append(broken, rule)
		}
	}
	if broken != nil {
		if _, err := s.Quarantine(t.Context(), broken); err != nil {
			t.Fatal(err)
		}
	}
	res, err := s.Commit(t.Context(), checks)
	if err != nil {
		t.Fatal(err)
	}
	return res
}
