package salesforcetest_test

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millrace-data/millrace/functions/salesforcesync/salesforce"
	"github.com/millrace-data/millrace/functions/salesforcesync/salesforcetest"
	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/reverse"
	"github.com/millrace-data/millrace/shared/warehouse/duckdb"
)

// TestOperations lets the engine update, insert and delete, by collections and by
// bulk jobs, and roll back each.
func TestOperations(t *testing.T) {
	for _, rows := range []int{30, 2100} {
		for _, op := range []reverse.Operation{reverse.Update, reverse.Insert, reverse.Delete} {
			t.Run(fmt.Sprintf("%s of %d", op, rows), func(t *testing.T) { operation(t, op, rows) })
		}
	}
}

func operation(t *testing.T, op reverse.Operation, rows int) {
	w, err := duckdb.Open(t.Context(), duckdb.Options{Path: filepath.Join(t.TempDir(), "w.duckdb"), Memory: "256MiB", Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	c := start(t, salesforcetest.Options{Now: time.Now, Polls: -1})
	there := rows + 5 // accounts x0, x1, … of others, and those that the plan is about
	if op == reverse.Insert {
		there = 5
	}
	c.twin.Seed("Account", []string{"DW_Key__c", "Name", "Score__c"}, there, func(i int, v []string) {
		v[0], v[1], v[2] = fmt.Sprintf("k%d", i-5), fmt.Sprintf("Account %d", i-5), "1"
		if i < 5 {
			v[0] = fmt.Sprintf("x%d", i)
		}
	})
	before := state(c)
	limit := int64(1 << 30)
	x := trip{t, c, &reverse.Engine{Warehouse: w, Log: slog.New(slog.DiscardHandler), Now: time.Now, Owner: "test", Poll: time.Millisecond, Scratch: t.TempDir(),
		Connect: salesforce.Connector(env.Map(salesforcetest.Env(c.base)), salesforce.Options{Poll: time.Millisecond})},
		reverse.Job{Name: "ops", Owner: "ops@example.com", Object: "Account", Operation: op, ExternalID: "DW_Key__c", Key: "k",
			Query:  fmt.Sprintf(`SELECT 'k' || CAST(i AS VARCHAR) AS k, 'New ' || CAST(i AS VARCHAR) AS name FROM range(%d) t(i)`, rows),
			Fields: map[string]string{"name": "Name"}, Guards: reverse.Guards{Writes: &reverse.Limit{Max: &limit}}, Expires: time.Hour}}
	p := x.plan()
	if p.Writes() != int64(rows) {
		t.Fatalf("the plan writes %d records", p.Writes())
	}
	x.apply(p)
	n, jobs := map[reverse.Operation]int{reverse.Update: there, reverse.Insert: there + rows, reverse.Delete: 5}[op], len(c.twin.Jobs())
	if c.twin.Count("Account") != n || (jobs > 0) != (rows > 2000) || c.twin.WriteCount() != rows {
		t.Errorf("%d accounts, want %d; %d bulk jobs, %d writes", c.twin.Count("Account"), n, jobs, c.twin.WriteCount())
	}
	if r := c.twin.Get("Account", "DW_Key__c", "k3"); op != reverse.Delete && r["Name"] != "New 3" {
		t.Errorf("got %v", r)
	}
	undo, err := x.e.Rollback(t.Context(), p.ID)
	if err != nil {
		t.Fatal(err)
	}
	x.apply(undo)
	if op == reverse.Delete { // it brings back the fields of the job, not the others
		for key := range before {
			before[key] = strings.TrimSuffix(before[key], " 1")
		}
	}
	for key, want := range before {
		if got := state(c)[key]; got != want && !strings.HasPrefix(got, want) {
			t.Fatalf("%s: got %q back, want %q", key, got, want)
		}
		if rows > 100 {
			break // one is like the others, and the state is large
		}
	}
	if c.twin.Count("Account") != len(before) {
		t.Errorf("%d accounts, want %d", c.twin.Count("Account"), len(before))
	}
}

// state is the name and score of each account.
func state(c *client) map[string]string {
	out := map[string]string{}
	for _, r := range c.twin.Records("Account") {
		out[r["DW_Key__c"]] = r["Name"] + " " + r["Score__c"]
	}
	return out
}
