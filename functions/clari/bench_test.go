package clari_test

import (
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/millrace-data/millrace/functions/clari"
	"github.com/millrace-data/millrace/functions/clari/claritest"
	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/extract/extracttest"
)

// BenchmarkExport stages one document of 500,000 entries, without loading it.
// peak-MiB is the process at its highest, with the ledger's DuckDB (up to 512 MiB)
// and the twin in it; it is an upper bound and no measure of the connector alone.
func BenchmarkExport(b *testing.B) {
	const users, fields = 125_000, 4
	for b.Loop() {
		twin := claritest.New(claritest.Options{Users: users, Fields: fields, Polls: -1, Now: func() time.Time { return noon }})
		srv := httptest.NewServer(twin)
		m := extracttest.New(b, env.Map(twin.Env(srv.URL)))
		if _, err := m.Extract.Tick(b.Context(), clari.Function, extract.Request{Now: noon}); err != nil {
			b.Fatal(err)
		}
		o, err := m.Extract.Handle(b.Context(), clari.Function, m.Slices[0])
		if err != nil || o.State != "staged" || o.Rows < users*fields {
			b.Fatalf("%+v, %v", o, err)
		}
		srv.Close()
	}
	b.ReportMetric(float64(users*fields*b.N)/b.Elapsed().Seconds(), "entries/s")
	b.ReportMetric(peak(), "peak-MiB")
}

// peak is the process's largest resident size in MiB; 0 where it is not told.
func peak() float64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return 0
	}
	kib, err := strconv.ParseFloat(fields[0], 64)
	if err != nil {
		return 0
	}
	return kib / 1024
}
