package salesforcetest_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/millrace-data/millrace/functions/salesforcesync/salesforcetest"
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
