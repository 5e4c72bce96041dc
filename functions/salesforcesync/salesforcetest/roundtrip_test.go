package salesforcetest_test

import (
	"database/sql"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-data/millrace/functions/salesforcesync/salesforce"
	"github.com/millrace-data/millrace/functions/salesforcesync/salesforcetest"
	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/reverse"
	"github.com/millrace-data/millrace/shared/warehouse/duckdb"
)

// sample are values that fit a field, as the twin keeps them; "" is null.
var sample = map[string][]string{
	"Name":         {"a", `quote " comma , 'single' \ back`, "é", "two\nlines", "cr\r\nlf", " spaces ", strings.Repeat("é", 255), "#n/a", "null", "0"},
	"Score__c":     {"", "0", "10", "-0.5", "999.99", "0.01", "100"},
	"Tier__c":      {"", "gold", "silver", "bronze"},
	"Regions__c":   {"", "EMEA", "EMEA;APAC"},
	"Active__c":    {"true", "false"},
	"Renewal__c":   {"", "2026-01-02", "1999-12-31"},
	"Scored_At__c": {"", "2026-01-02T03:04:05.000Z", "2026-01-02T03:04:05.120Z"},
	"ARR__c":       {"", "0", "12345678.9", "1000000", "0.1", "-7"},
	"Seats__c":     {"", "0", "7", "123456789"},
	"Description":  {"", "text", "longer\n\n\"text\"", "=1+1"},
}

var kinds = map[string]string{"Score__c": "DECIMAL(9,3)", "Active__c": "BOOLEAN", "Renewal__c": "DATE", "Scored_At__c": "TIMESTAMP", "ARR__c": "DECIMAL(18,4)", "Seats__c": "BIGINT"}

// pick makes a record of the sample.
func pick(r *rand.Rand) map[string]string {
	out := map[string]string{}
	for _, f := range slices.Sorted(maps.Keys(sample)) {
		out[f] = sample[f][r.IntN(len(sample[f]))]
	}
	return out
}

// TestRoundTrip plans, applies, and rolls back with the engine and its client: what
// the query says is what the organisation has; a second plan has nothing to do; and
// a rollback brings back what was there, but for what somebody changed meanwhile.
func TestRoundTrip(t *testing.T) {
	for seed := range uint64(5) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { roundTrip(t, rand.New(rand.NewPCG(seed, 5))) })
	}
}

type trip struct {
	testing.TB
	c   *client
	e   *reverse.Engine
	job reverse.Job
}

func roundTrip(t *testing.T, r *rand.Rand) {
	w, err := duckdb.Open(t.Context(), duckdb.Options{Path: filepath.Join(t.TempDir(), "w.duckdb"), Memory: "256MiB", Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	c := start(t, salesforcetest.Options{Now: time.Now, Polls: -1})
	fields := slices.Sorted(maps.Keys(sample))
	limit := int64(1 << 30)
	x := trip{t, c, &reverse.Engine{Warehouse: w, Log: slog.New(slog.DiscardHandler), Now: time.Now, Owner: "test", Poll: time.Millisecond, Scratch: t.TempDir(),
		Connect: salesforce.Connector(env.Map(salesforcetest.Env(c.base)), salesforce.Options{Poll: time.Millisecond})},
		reverse.Job{Name: "trip", Owner: "ops@example.com", Object: "Account", Operation: reverse.Upsert, ExternalID: "DW_Key__c", Key: "k", Nulls: reverse.BlankNulls,
			Query: "SELECT * FROM src", Fields: map[string]string{}, Guards: reverse.Guards{Writes: &reverse.Limit{Max: &limit}}, Expires: time.Hour}}
	create := "CREATE TABLE src (k VARCHAR"
	for _, f := range fields {
		x.job.Fields[strings.ToLower(f)] = f
		kind := kinds[f]
		if kind == "" {
			kind = "VARCHAR"
		}
		create += ", " + strings.ToLower(f) + " " + kind
	}
	x.exec(w.DB(), create+")")
	before, want := map[string]map[string]string{}, map[string]map[string]string{}
	for i := range 60 {
		before[fmt.Sprintf("k%d", i)] = pick(r)
		before[fmt.Sprintf("k%d", i)]["DW_Key__c"] = fmt.Sprintf("k%d", i)
		c.twin.Insert("Account", before[fmt.Sprintf("k%d", i)])
	}
	for i := 40; i < 90; i++ {
		key := fmt.Sprintf("k%d", i)
		if want[key] = pick(r); before[key] != nil && r.IntN(2) == 0 {
			want[key] = maps.Clone(before[key]) // the same but for a field
			want[key]["Name"] = "another"
		}
		want[key]["DW_Key__c"] = key
		values, marks := []any{key}, "?"
		for _, f := range fields {
			var v any
			if text := want[key][f]; text != "" {
				v = text
			}
			values, marks = append(values, v), marks+", ?"
		}
		x.exec(w.DB(), "INSERT INTO src VALUES ("+marks+")", values...)
	}
	p := x.plan()
	if x.apply(p); t.Failed() {
		return
	}
	all := maps.Clone(before)
	maps.Copy(all, want)
	x.holds("after apply", all)
	for _, wr := range c.twin.Writes() {
		for f, v := range wr.Fields {
			if wr.Kind == "update" && f != "DW_Key__c" && before[wr.Key][f] == v {
				t.Errorf("%s.%s was %q and was written again", wr.Key, f, v)
			}
		}
	}
	if again := x.plan(); again.Writes() != 0 {
		t.Errorf("a second plan writes %d records", again.Writes())
	}
	back := before
	for i := 40; i < 60; i++ {
		key := fmt.Sprintf("k%d", i)
		if r.IntN(2) == 0 {
			c.twin.Edit("Account", c.twin.Get("Account", "DW_Key__c", key)["Id"], "Description", "somebody's")
			if before[key]["Description"] != "somebody's" {
				back[key]["Description"] = "somebody's"
			}
		}
	}
	undo, err := x.e.Rollback(t.Context(), p.ID)
	if err != nil {
		t.Fatal(err)
	}
	x.apply(undo)
	x.holds("after rollback", back)
}

func (x trip) exec(db *sql.DB, q string, args ...any) {
	x.Helper()
	if _, err := db.ExecContext(x.Context(), q, args...); err != nil {
		x.Fatal(err)
	}
}

func (x trip) plan() *reverse.Plan {
	x.Helper()
	p, err := x.e.Plan(x.Context(), x.job, reverse.PlanOptions{})
	if err != nil {
		x.Fatal(err)
	}
	if p.Rejected != 0 || p.State == reverse.PlanBlocked {
		x.Fatalf("plan: %+v", p)
	}
	return p
}

func (x trip) apply(p *reverse.Plan) {
	x.Helper()
	if _, err := x.e.Approve(x.Context(), p.ID, "ann@example.com", p.Hash); err != nil {
		x.Fatal(err)
	}
	p, err := x.e.Apply(x.Context(), p.ID)
	if err != nil {
		x.Fatal(err)
	}
	if p.Sent != p.Writes() {
		x.Errorf("applied: %d of %d sent, %d failed, %d unprocessed", p.Sent, p.Writes(), p.Failed, p.Unprocessed)
	}
}

// holds compares the accounts with what they should be.
func (x trip) holds(when string, want map[string]map[string]string) {
	x.Helper()
	got := map[string]salesforcetest.Record{}
	for _, r := range x.c.twin.Records("Account") {
		got[r["DW_Key__c"]] = r
	}
	if len(got) != len(want) {
		x.Errorf("%s: %d accounts, want %d", when, len(got), len(want))
	}
	for key, fields := range want {
		for f, v := range fields {
			if got[key][f] != v {
				x.Errorf("%s: %s.%s is %q, want %q", when, key, f, got[key][f], v)
			}
		}
	}
}
