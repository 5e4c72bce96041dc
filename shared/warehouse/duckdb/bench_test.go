package duckdb_test

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/millrace-data/millrace/shared/gate"
	"github.com/millrace-data/millrace/shared/record"
	"github.com/millrace-data/millrace/shared/warehouse"
	"github.com/millrace-data/millrace/shared/warehouse/duckdb"
)

const (
	benchRows  = 1_000_000
	benchParts = 8
)

// payments is a table of ten columns like a payment provider's.
func payments(mode record.Mode) record.Table {
	t := record.Table{Schema: "bench", Name: "payments", Mode: mode, Key: []string{"id"}, Open: true}
	for _, c := range strings.Fields("id customer currency status method description") {
		t.Columns = append(t.Columns, record.Column{Name: c, Type: record.Text, Nullable: true})
	}
	return record.Table{Schema: t.Schema, Name: t.Name, Mode: t.Mode, Key: t.Key, Open: true, Columns: append(t.Columns,
		record.Column{Name: "amount", Type: record.Number, Precision: 38, Scale: 9},
		record.Column{Name: "quantity", Type: record.Integer},
		record.Column{Name: "captured", Type: record.Boolean},
		record.Column{Name: "created_at", Type: record.Timestamp})}
}

// paymentParts writes payments as benchParts parts; ids begin at from. Those of a later
// version all say something else, and come in another order.
func paymentParts(b *testing.B, from, rows, version int) (files []string) {
	b.Helper()
	dir := b.TempDir()
	for p := range benchParts {
		path := filepath.Join(dir, fmt.Sprintf("%d.ndjson.zst", p))
		f, err := os.Create(path)
		if err != nil {
			b.Fatal(err)
		}
		z, err := zstd.NewWriter(f)
		if err != nil {
			b.Fatal(err)
		}
		w := bufio.NewWriter(z)
		for n := p * rows / benchParts; n < (p+1)*rows/benchParts; n++ {
			i := from + n
			if version > 0 {
				i = from + n*7919%rows
			}
			h := uint64(i) * 0x9E3779B97F4A7C15
			fmt.Fprintf(w, `{"id":"pay_%016x","customer":"cus_%08x","currency":"%s","status":"succeeded","method":"card","description":"Invoice %d of the month","amount":"%d.%02d","quantity":"%d","captured":"true","created_at":"2026-01-%02d 12:%02d:%02d.%06d","_seq":%d}`+"\n",
				h, h>>40, []string{"EUR", "USD", "GBP"}[i%3], i, h>>50, i%100, i%7+version, i%28+1, i%60, i/60%60, i, n+1)
		}
		for _, close := range []func() error{w.Flush, z.Close, f.Close} {
			if err := close(); err != nil {
				b.Fatal(err)
			}
		}
		files = append(files, path)
	}
	return files
}

func open(b *testing.B) *warehouse.Warehouse {
	b.Helper()
	w, err := duckdb.Open(b.Context(), duckdb.Options{Path: filepath.Join(b.TempDir(), "w.duckdb")})
	if err != nil {
		b.Fatal(err)
	}
	return w
}

// load stages, measures the rules that every table has, and commits.
func load(b *testing.B, w *warehouse.Warehouse, t record.Table, id string, rows int64, files []string) {
	b.Helper()
	l := warehouse.Load{Table: t, Files: files, Now: time.Now(), Slice: warehouse.Slice{Function: "bench", Table: t.FullName(), ID: id, Purpose: "live", Fence: 1, Digest: id, RowsSource: rows, RowsStaged: rows}}
	st, err := w.Stage(b.Context(), l)
	if err != nil {
		b.Fatal(err)
	}
	defer st.Close()
	if _, _, err := st.Measure(b.Context(), []gate.Rule{gate.Require("id"), gate.Once("id")}); err != nil {
		b.Fatal(err)
	}
	if _, err := st.Commit(b.Context(), nil); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkLoad measures a slice of a million payments from staging to commit,
// beside what DuckDB needs for one plain INSERT of the same files (insert).
func BenchmarkLoad(b *testing.B) {
	files, next, changed := paymentParts(b, 0, benchRows, 0), paymentParts(b, benchRows, benchRows, 0), paymentParts(b, 0, benchRows*11/10, 1)
	b.Run("insert", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			w := open(b)
			t := payments(record.Append)
			if _, err := w.Ensure(b.Context(), t); err != nil {
				b.Fatal(err)
			}
			runtime.GC()
			b.StartTimer()
			_, err := w.DB().ExecContext(b.Context(), `INSERT INTO bench.payments SELECT *, 'a', now() FROM read_json(['`+strings.Join(files, "','")+`'], format='newline_delimited', compression='zstd', columns={id:'VARCHAR',customer:'VARCHAR',currency:'VARCHAR',status:'VARCHAR',method:'VARCHAR',description:'VARCHAR',amount:'DECIMAL(38,9)',quantity:'BIGINT',captured:'BOOLEAN',created_at:'TIMESTAMP'})`)
			if err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			w.Close()
			b.StartTimer()
		}
	})
	for _, mode := range []record.Mode{record.Append, record.Merge} {
		for _, into := range []string{"empty", "disjoint", "same", "changed"} {
			b.Run(string(mode)+"/"+into, func(b *testing.B) {
				for b.Loop() {
					b.StopTimer()
					w := open(b)
					t := payments(mode)
					if _, err := w.Ensure(b.Context(), t); err != nil {
						b.Fatal(err)
					}
					switch into {
					case "disjoint":
						load(b, w, t, "before", benchRows, next)
					case "same", "changed":
						load(b, w, t, "before", benchRows, files)
					}
					slice, rows := files, int64(benchRows)
					if into == "changed" {
						slice, rows = changed, benchRows*11/10
					}
					b.StartTimer()
					load(b, w, t, "slice", rows, slice)
					b.StopTimer()
					w.Close()
					b.StartTimer()
				}
			})
		}
	}
}
