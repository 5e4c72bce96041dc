package zuorarevenue

import (
	"net/http/httptest"
	"testing"
	"time"

	"github.com/millrace-data/millrace/functions/zuorarevenue/zuorarevenuetest"
	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/extract/extracttest"
)

// BenchmarkRead is both hops of 100,000 rows of 40 columns in 10 pages, the twin's
// work included; scripts/bench holds a million of them against a floor.
func BenchmarkRead(b *testing.B) {
	const view, size = "BI3_APPR_DTL", 100_000
	o := zuorarevenuetest.Options{Some: -1, Rows: map[string]int{view: size}}
	o.Columns = map[string][]string{view: zuorarevenuetest.New(o).Columns(view)[:40]}
	server := httptest.NewServer(zuorarevenuetest.New(o))
	defer server.Close()
	conf := zuorarevenuetest.Env(server.URL)
	conf["ZUORA_REVENUE_VIEWS"], conf["ZUORA_REVENUE_PAGE_SIZE"] = view, "10000"
	m := extracttest.New(b, env.Map(conf))
	for b.Loop() {
		slices, err := m.Extract.Tick(b.Context(), Function, extract.Request{Tables: []string{"bi3_appr_dtl"}, Purpose: extract.Backfill, Now: time.Now()})
		if err != nil || len(slices) != 1 {
			b.Fatal(len(slices), err)
		}
		out, err := m.Extract.Handle(b.Context(), Function, m.Slices[len(m.Slices)-1])
		if err != nil || out.Rows != size {
			b.Fatal(out.State, out.Rows, out.Err, err)
		}
		if err := m.Drain(b.Context(), Function); err != nil { // else the slice stays staged
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(size)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}
