package salesforcetest_test

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/millrace-data/millrace/functions/salesforcesync/salesforce"
	"github.com/millrace-data/millrace/functions/salesforcesync/salesforcetest"
	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/rest/resttest"
	"github.com/millrace-data/millrace/shared/reverse"
	"github.com/millrace-data/millrace/shared/warehouse/duckdb"
)

// TestApplyInBadWeather lets the engine apply a plan of 2100 rows to a twin that
// misbehaves, again and again until it is done, and counts what was accepted.
func TestApplyInBadWeather(t *testing.T) {
	for name, x := range map[string]struct {
		o      salesforcetest.Options
		faults []resttest.Fault
		begin  func(c *client)
	}{
		"sessions of ten requests": {o: salesforcetest.Options{SessionRequests: 10}},
		"a job fails half-way":     {o: salesforcetest.Options{Fates: []salesforcetest.Fate{{Fail: true, Rows: 700}}}},
		"one is garbled too":       {o: salesforcetest.Options{Fates: []salesforcetest.Fate{{Fail: true, Rows: 700, Garbled: true}}}},
		"a job vanishes":           {o: salesforcetest.Options{Fates: []salesforcetest.Fate{{Gone: true}}}},
		"locks":                    {begin: func(c *client) { c.twin.Lock("Account", "DW_Key__c", 2, "k1", "k900", "k2099") }},
		"a lost creation":          {faults: []resttest.Fault{{Method: "POST", Path: "jobs/ingest", Do: resttest.Lost()}}},
		"a lost upload":            {faults: []resttest.Fault{{Method: "PUT", Do: resttest.Lost()}}},
		"an upload cut":            {faults: []resttest.Fault{{Method: "PUT", Do: resttest.CutRequest(100)}}},
		"a lost closing":           {faults: []resttest.Fault{{Method: "PATCH", Path: "jobs/ingest", Do: resttest.Lost()}}},
		"results that break off":   {faults: []resttest.Fault{{Path: "successfulResults", Do: resttest.Cut(2000)}}},
		"results that are a page":  {faults: []resttest.Fault{{Path: "failedResults", Do: resttest.HTML()}}},
		"busy":                     {faults: []resttest.Fault{{Path: "/services/data", Times: 3, Do: resttest.Status(503, "")}}},
		"quota":                    {begin: func(c *client) { c.twin.SetUsage(0, 20) }},
	} {
		t.Run(name, func(t *testing.T) {
			w, err := duckdb.Open(t.Context(), duckdb.Options{Path: filepath.Join(t.TempDir(), "w.duckdb"), Memory: "256MiB", Threads: 1})
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			c := start(t, x.o)
			seed(c, 1000)
			limit := int64(1 << 30)
			e := &reverse.Engine{Warehouse: w, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return *c.clock }, Owner: "test", Poll: time.Millisecond, Scratch: t.TempDir(),
				Connect: salesforce.Connector(env.Map(salesforcetest.Env(c.base)), salesforce.Options{Poll: time.Millisecond, Now: func() time.Time { return *c.clock }})}
			job := reverse.Job{Name: "scores", Owner: "ops@example.com", Object: "Account", Operation: reverse.Upsert, ExternalID: "DW_Key__c", Key: "k",
				Query:  `SELECT 'k' || CAST(i AS VARCHAR) AS k, 'Account ' || CAST(i AS VARCHAR) AS name, CAST(i % 90 + 0.5 AS DECIMAL(5,2)) AS score FROM range(2100) t(i)`,
				Fields: map[string]string{"name": "Name", "score": "Score__c"}, Guards: reverse.Guards{Writes: &reverse.Limit{Max: &limit}}, Expires: 24 * time.Hour}
			p, err := e.Plan(t.Context(), job, reverse.PlanOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := e.Approve(t.Context(), p.ID, "ann@example.com", p.Hash); err != nil {
				t.Fatal(err)
			}
			if x.begin != nil {
				x.begin(c)
			}
			c.twin.Inject(x.faults...)
			for range 10 {
				if p, err = e.Apply(t.Context(), p.ID); err == nil {
					break
				}
				t.Logf("%v", err)
				if errors.Is(err, fault.Limited) {
					c.twin.SetUsage(0, 1000)
				}
				*c.clock = c.clock.Add(time.Hour + time.Minute)
			}
			if err != nil || p.State != reverse.PlanApplied {
				t.Fatalf("the plan is %s: %v", p.State, err)
			}
			if got := fmt.Sprint(p.Sent, p.Failed, p.Unprocessed); got != "2100 0 0" {
				t.Errorf("sent, failed, unprocessed: got %s, want all sent", got)
			}
			once(t, c, 2100)
			if again, err := e.Plan(t.Context(), job, reverse.PlanOptions{}); err != nil || again.Writes() != 0 {
				t.Errorf("a second plan writes %d records, want none: %v", again.Writes(), err)
			}
		})
	}
}
