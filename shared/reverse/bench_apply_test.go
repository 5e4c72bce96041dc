package reverse_test

import (
	"runtime"
	"testing"
	"time"
)

// BenchmarkApply applies a plan of many new records through jobs. The destination in
// memory takes part of the time; its records are most of the memory.
func BenchmarkApply(b *testing.B) {
	const n = 200_000
	for b.Loop() {
		w := newWorld(b, embedded(b))
		w.Poll = time.Millisecond
		j := job(`SELECT 'k' || range AS "k", range % 1000 AS "score", 'A' AS "tier" FROM range(200000)`)

		p := w.approved(j)
		start := time.Now()
		got, err := w.Apply(b.Context(), p.ID)
		if err != nil || got.Sent != n {
			b.Fatalf("%+v, %v", got, err)
		}
		b.ReportMetric(float64(n)/time.Since(start).Seconds(), "rows/s")
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		b.ReportMetric(float64(m.TotalAlloc)/n, "B/row")
	}
}
