package salesforce_test

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace-data/millrace/functions/salesforcesync/salesforce"
	"github.com/millrace-data/millrace/functions/salesforcesync/salesforcetest"
	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/reverse"
)

// BenchmarkTwin carries a million rows through one bulk job to the twin, which is how
// long a sync's writing takes where Salesforce costs what the twin does. The metric
// twin-ms is what its handler took; client-ms is all the rest, while nothing of the
// twin ran.
func BenchmarkTwin(b *testing.B) {
	const rows = 1_000_000
	for b.Loop() {
		twin := salesforcetest.New(salesforcetest.Options{Polls: -1})
		var busy atomic.Int64
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			began := time.Now()
			twin.ServeHTTP(w, r)
			busy.Add(int64(time.Since(began)))
		}))
		c, err := salesforce.Open(env.Map(salesforcetest.Env(server.URL)), salesforce.Options{Scratch: b.TempDir()})
		if err != nil {
			b.Fatal(err)
		}
		began := time.Now()
		if n, err := carry(b.Context(), c, million(rows)); n != rows || err != nil {
			b.Fatalf("%d results, %v", n, err)
		}
		all, own := time.Since(began), time.Duration(busy.Load())
		b.ReportMetric(float64(own.Milliseconds()), "twin-ms")
		b.ReportMetric(float64((all - own).Milliseconds()), "client-ms")
		c.Close()
		server.Close()
	}
}

func million(rows int) iter.Seq2[reverse.Row, error] {
	score, tier, name := "12.5", "gold", "Acme, Inc"
	values := []reverse.Value{{Set: true, Text: &score}, {Set: true, Text: &tier}, {Set: true, Text: &name}}
	var keys strings.Builder
	for i := range rows {
		fmt.Fprintf(&keys, "ACME-%07d", i)
	}
	all := keys.String()
	return func(yield func(reverse.Row, error) bool) {
		for i := range rows {
			if !yield(reverse.Row{Key: all[12*i : 12*i+12], Values: values}, nil) {
				return
			}
		}
	}
}

func carry(ctx context.Context, c *salesforce.Client, rows iter.Seq2[reverse.Row, error]) (n int, err error) {
	t := task(reverse.Upsert, "DW_Key__c", "Score__c", "Tier__c", "Name")
	id, err := c.Create(ctx, t)
	if err != nil {
		return 0, err
	}
	if err := c.Upload(ctx, id, t, rows); err != nil {
		return 0, err
	}
	if err := c.End(ctx, id, reverse.Closed); err != nil {
		return 0, err
	}
	for state := reverse.Closed; !state.Ended(); {
		job, err := c.Look(ctx, id)
		if err != nil {
			return 0, err
		}
		state = job.State
	}
	for _, err := range c.Results(ctx, id, t) {
		if err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}
