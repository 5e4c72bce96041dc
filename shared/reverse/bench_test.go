package reverse_test

import (
	"context"
	"fmt"
	"iter"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/millrace-data/millrace/shared/reverse"
)

const benchRows = 1_000_000

// generated is a destination whose records are made when they are read: all that
// the query has had, with the values that it had, so that it takes no memory.
type generated struct {
	reverse.Destination
	object reverse.Object
	rows   int64 // of its records; 0 = it is empty
}

func (g *generated) Describe(context.Context, string) (*reverse.Object, error) { return &g.object, nil }
func (g *generated) Count(context.Context, string) (int64, error)              { return g.rows, nil }
func (g *generated) Budget() reverse.Budget                                    { return reverse.Budget{} }

func (g *generated) connect(context.Context) (reverse.Destination, error) { return g, nil }

func (g *generated) record(i int64) reverse.Record {
	values := make([]*string, 2)
	for f, v := range []string{"ABC"[i%3 : i%3+1], strconv.FormatInt(i%100, 10)} {
		values[1-f] = &v
	}
	return reverse.Record{ID: fmt.Sprintf("001%012dAAA", i), Key: fmt.Sprintf("key-%08d", i), Values: values}
}

func (g *generated) Read(_ context.Context, q reverse.Query) iter.Seq2[reverse.Record, error] {
	return func(yield func(reverse.Record, error) bool) {
		for _, k := range q.Keys {
			if i, err := strconv.ParseInt(k[len("key-"):], 10, 64); err == nil && i < g.rows && !yield(g.record(i), nil) {
				return
			}
		}
		for i := range g.rows {
			if q.Keys == nil && !yield(g.record(i), nil) {
				return
			}
		}
	}
}

// million is a job over that many generated rows; one in a hundred says something
// else than the records where differ is set.
func million(w *world, n int64, differ bool) reverse.Job {
	w.Helper()
	score := "i % 100"
	if differ {
		score = "i % 100 + (CASE WHEN i % 100 = 50 THEN 1000 ELSE 0 END)"
	}
	w.exec(`CREATE OR REPLACE TABLE wanted AS SELECT printf('key-%08d', i) AS k, CAST(` + score + ` AS DECIMAL(18,2)) AS score, substr('ABC', CAST(i % 3 + 1 AS INTEGER), 1) AS tier FROM range(` + fmt.Sprint(n) + `) AS t(i)`)
	return job("select k, score, tier from wanted")
}

// heap watches how large the heap becomes until stop is called.
func heap() (stop func() (most uint64)) {
	runtime.GC()
	done, out := make(chan struct{}), make(chan uint64)
	go func() {
		var most uint64
		var m runtime.MemStats
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapAlloc)
			select {
			case <-tick.C:
			case <-done:
				out <- most
				return
			}
		}
	}()
	return func() uint64 { close(done); return <-out }
}

// BenchmarkDiff finds the one row in a hundred of a million that the destination has
// not accepted as it is, and plans it; DuckDB has 512 MiB.
func BenchmarkDiff(b *testing.B) {
	w := newWorld(b, embedded(b))
	g := &generated{object: account(), rows: benchRows}
	w.Connect = g.connect
	if p := w.plan(million(w, benchRows, false), reverse.PlanOptions{}); p.Unchanged != benchRows {
		b.Fatalf("%d rows are as they should, want all", p.Unchanged)
	}
	j := million(w, benchRows, true)
	w.exec("CHECKPOINT")
	stop := heap()
	b.ReportAllocs()
	for b.Loop() {
		w.now = w.now.Add(48 * time.Hour)
		if p := w.plan(j, reverse.PlanOptions{}); p.Updates != benchRows/100 || p.Unchanged != benchRows-benchRows/100 {
			b.Fatalf("%d updates, %d unchanged", p.Updates, p.Unchanged)
		}
	}
	b.ReportMetric(float64(stop())/(1<<20), "heap-MiB")
}

// BenchmarkPlan plans a million new records.
func BenchmarkPlan(b *testing.B) {
	w := newWorld(b, embedded(b))
	w.Connect = (&generated{object: account()}).connect
	j := million(w, benchRows, false)
	stop := heap()
	for b.Loop() {
		w.now = w.now.Add(48 * time.Hour)
		if p := w.plan(j, reverse.PlanOptions{}); p.Creates != benchRows {
			b.Fatalf("%d creates", p.Creates)
		}
	}
	b.ReportMetric(float64(stop())/(1<<20), "heap-MiB")
}
