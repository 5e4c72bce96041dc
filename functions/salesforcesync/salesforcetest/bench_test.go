package salesforcetest_test

import (
	"fmt"
	"iter"
	"runtime"
	"strings"
	"testing"

	"github.com/millrace-data/millrace/functions/salesforcesync/salesforce"
	"github.com/millrace-data/millrace/functions/salesforcesync/salesforcetest"
	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/reverse"
)

// BenchmarkMillion is what a million records cost the twin: seeded, then changed by
// bulk jobs of half a million rows each, whose results are read.
func BenchmarkMillion(b *testing.B) {
	for b.Loop() {
		c := start(b, salesforcetest.Options{Polls: -1})
		seed(c, 1_000_000)
		for part := range 2 {
			var data strings.Builder
			data.WriteString("DW_Key__c,Score__c\n")
			for i := range 500_000 {
				fmt.Fprintf(&data, "k%d,%d.5\n", part*500_000+i, i%100)
			}
			id, job := c.run("Account", "upsert", "DW_Key__c", data.String())
			if number(job, "numberRecordsProcessed") != "500000" || number(job, "numberRecordsFailed") != "0" {
				b.Fatal(job)
			}
			if status, _ := c.call("GET", "jobs/ingest/"+id+"/successfulResults", ""); status != 200 {
				b.Fatal(status)
			}
		}
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		b.ReportMetric(float64(m.HeapAlloc)/1e6, "MB")
		runtime.KeepAlive(c.twin)
	}
}

// BenchmarkJob is a bulk job of half a million rows: by plain requests of data that is
// there already, and by the client, which writes the rows and reads their results.
func BenchmarkJob(b *testing.B) {
	const rows = 500_000
	b.Run("raw", func(b *testing.B) {
		c := start(b, salesforcetest.Options{Polls: -1})
		seed(c, rows)
		var data strings.Builder
		data.WriteString("DW_Key__c,Score__c\n")
		for i := range rows {
			fmt.Fprintf(&data, "k%d,%d.5\n", i, i%100)
		}
		for b.Loop() {
			id, _ := c.run("Account", "upsert", "DW_Key__c", data.String())
			for _, what := range []string{"successfulResults", "failedResults", "unprocessedrecords"} {
				c.call("GET", "jobs/ingest/"+id+"/"+what, "")
			}
		}
	})
	b.Run("client", func(b *testing.B) {
		c := start(b, salesforcetest.Options{Polls: -1})
		seed(c, rows)
		d, err := salesforce.Open(env.Map(salesforcetest.Env(c.base)), salesforce.Options{})
		if err != nil {
			b.Fatal(err)
		}
		defer d.Close()
		k := reverse.Task{Object: "Account", Operation: reverse.Upsert, Key: "DW_Key__c", Fields: []reverse.Field{{Name: "Score__c", Type: reverse.NumberType}}}
		for b.Loop() {
			id, err := d.Create(b.Context(), k)
			if err == nil {
				err = d.Upload(b.Context(), id, k, halves(rows))
			}
			if err == nil {
				err = d.End(b.Context(), id, reverse.Closed)
			}
			n := 0
			for r, e := range d.Results(b.Context(), id, k) {
				if err = e; err != nil || r.State != reverse.RowSent {
					break
				}
				n++
			}
			if err != nil || n != rows {
				b.Fatal(n, err)
			}
		}
	})
}

// halves are rows k0, k1, … with a score.
func halves(rows int) iter.Seq2[reverse.Row, error] {
	return func(yield func(reverse.Row, error) bool) {
		for i := range rows {
			text := fmt.Sprintf("%d.5", i%100)
			if !yield(reverse.Row{Key: fmt.Sprintf("k%d", i), Values: []reverse.Value{{Set: true, Text: &text}}}, nil) {
				return
			}
		}
	}
}
