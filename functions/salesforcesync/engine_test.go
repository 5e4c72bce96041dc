package salesforcesync_test

import (
	"fmt"
	"log/slog"
	"net/http/httptest"
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

const accounts = 600

// org is an organisation with accounts, and the engine that syncs into it.
func org(t *testing.T, o salesforcetest.Options) (*salesforcetest.Server, *reverse.Engine) {
	t.Helper()
	twin := salesforcetest.New(o)
	srv := httptest.NewServer(twin)
	t.Cleanup(srv.Close)
	for i := range accounts / 2 {
		twin.Insert("Account", map[string]string{"Name": fmt.Sprint("Account ", i), "DW_Key__c": fmt.Sprintf("k%03d", i), "Score__c": "99.5", "Tier__c": "bronze"})
	}
	w, err := duckdb.Open(t.Context(), duckdb.Options{Path: filepath.Join(t.TempDir(), "w.duckdb"), Memory: "256MiB", Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return twin, &reverse.Engine{Warehouse: w, Connect: salesforce.Connector(env.Map(salesforcetest.Env(srv.URL)), salesforce.Options{Scratch: t.TempDir()}),
		Log: slog.New(slog.DiscardHandler), Now: time.Now, Owner: "test", Poll: time.Millisecond}
}

func scores() reverse.Job {
	most := int64(accounts)
	return reverse.Job{Name: "account_scores", Owner: "ops@example.com", Object: "Account", Operation: reverse.Upsert, ExternalID: "DW_Key__c", Key: "k", Fields: map[string]string{"name": "Name", "score": "Score__c", "tier": "Tier__c"},
		Query:  fmt.Sprintf(`SELECT 'k' || lpad(CAST(range AS VARCHAR), 3, '0') AS "k", 'New ' || range AS "name", (range %% 100) / 2.0 AS "score", 'gold' AS "tier" FROM range(%d)`, accounts),
		Guards: reverse.Guards{Writes: &reverse.Limit{Max: &most}}}
}

// through applies a plan until it is at its end.
func through(t *testing.T, e *reverse.Engine, p *reverse.Plan) *reverse.Plan {
	t.Helper()
	if _, err := e.Approve(t.Context(), p.ID, "ann@example.com", p.Hash); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		got, err := e.Apply(t.Context(), p.ID)
		if err == nil && got.State == reverse.PlanApplied {
			if got.Sent+got.Failed+got.Unprocessed != got.Writes() {
				t.Errorf("%d sent, %d failed, %d unprocessed of %d", got.Sent, got.Failed, got.Unprocessed, got.Writes())
			}
			return got
		}
		if k := fault.Of(err); k != fault.Transient && k != fault.Limited && k != fault.Auth {
			t.Fatalf("apply: %s: %v", got.State, err)
		}
	}
	t.Fatal("the plan comes to no end")
	return nil
}

// Whatever goes wrong on the way, every row is written once, and a rollback brings
// back what stood there.
func TestThereAndBack(t *testing.T) {
	lost := func(method, path string) []resttest.Fault {
		return []resttest.Fault{{Method: method, Path: path, Do: resttest.Lost()}}
	}
	for name, set := range map[string]struct {
		o      salesforcetest.Options
		faults []resttest.Fault
		direct bool // by collections
	}{
		"bulk":                      {},
		"collections":               {direct: true},
		"collections, answer lost":  {direct: true, faults: lost("PATCH", "/composite/")},
		"job failed half-way":       {o: salesforcetest.Options{Fates: []salesforcetest.Fate{{Fail: true, Rows: 70}}}},
		"unprocessed are garbled":   {o: salesforcetest.Options{Fates: []salesforcetest.Fate{{Fail: true, Rows: 70, Garbled: true}}}},
		"job gone":                  {o: salesforcetest.Options{Fates: []salesforcetest.Fate{{Gone: true}}}},
		"creation lost":             {faults: lost("POST", "/jobs/ingest")},
		"upload lost":               {faults: lost("PUT", "/batches")},
		"start lost":                {faults: lost("PATCH", "/jobs/ingest")},
		"sessions end all the time": {o: salesforcetest.Options{SessionRequests: 3}},
	} {
		t.Run(name, func(t *testing.T) {
			twin, e := org(t, set.o)
			if !set.direct {
				e.Bulk, e.Part = 100, 250
			}
			p, err := e.Plan(t.Context(), scores(), reverse.PlanOptions{})
			if err != nil {
				t.Fatal(err)
			}
			before := twin.WriteCount()
			twin.Inject(set.faults...)
			got := through(t, e, p)
			if got.Sent != accounts {
				t.Errorf("%d sent, %d failed, %d unprocessed", got.Sent, got.Failed, got.Unprocessed)
			}
			if n := twin.WriteCount() - before; n != accounts {
				t.Errorf("%d writes of %d rows", n, accounts)
			}
			if r := twin.Get("Account", "DW_Key__c", "k599"); r["Name"] != "New 599" || r["Tier__c"] != "gold" {
				t.Errorf("k599 is %v", r)
			}
			twin.Edit("Account", twin.Get("Account", "DW_Key__c", "k007")["Id"], "Score__c", "12")
			twin.Edit("Account", twin.Get("Account", "DW_Key__c", "k555")["Id"], "Industry", "Energy") // created by us, and somebody's since
			back, err := e.Rollback(t.Context(), p.ID)
			if err != nil {
				t.Fatal(err)
			}
			if back.Updates != accounts/2 || back.Deletes != accounts/2-1 || back.Kept != 1 {
				t.Errorf("the rollback: %+v", back)
			}
			if got := through(t, e, back); got.Sent != accounts-1 {
				t.Errorf("rolled back %d, %d failed, %d unprocessed", got.Sent, got.Failed, got.Unprocessed)
			}
			if n := twin.Count("Account"); n != accounts/2+1 {
				t.Errorf("%d accounts are left", n)
			}
			if r := twin.Get("Account", "DW_Key__c", "k007"); r["Name"] != "Account 7" || r["Score__c"] != "12" || r["Tier__c"] != "bronze" {
				t.Errorf("k007 is %v", r)
			}
		})
	}
}
