package reverse_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/reverse"
	"github.com/millrace-data/millrace/shared/reverse/reversetest"
)

func TestPlanUpsert(t *testing.T) { everywhere(t, planUpsert) }

func planUpsert(w *world) {
	w.mem.Add("Account", reversetest.Fields{"DW_Key__c": "k2", "Score__c": "10.0", "Tier__c": "A"})
	w.mem.Add("Account", reversetest.Fields{"DW_Key__c": "K3", "Score__c": "7", "Tier__c": "A"})
	w.mem.Add("Account", reversetest.Fields{"DW_Key__c": "k4", "Score__c": "1"})
	q := rows("k1,1.50,A", "k2,10,A", "K3,0,-", "k4,2,B")
	p := w.plan(job(q), reverse.PlanOptions{})
	w.want("changes", w.said(p), []string{
		"K3 update Score__c 7→0", "k1 create Score__c ∅→1.5 Tier__c ∅→A", "k4 update Score__c 1→2 Tier__c ∅→B"})
	if p.State != reverse.PlanReady || p.Creates != 1 || p.Updates != 2 || p.Unchanged != 1 || p.Zeroings != 1 {
		w.Errorf("plan %+v", p)
	}
	if again := w.plan(job(q), reverse.PlanOptions{}); again.ID != p.ID {
		w.Errorf("the same plan has two ids: %s, %s", p.ID, again.ID)
	}
	w.apply(p)
	next := w.plan(job(q), reverse.PlanOptions{})
	w.want("after it was applied", w.said(next), []string(nil))
	w.balanced(next, 4)
	if n := w.count(`SELECT count(*) FROM "millrace"."sync_sent"`); n != 4 {
		w.Errorf("%d rows of sync_sent, want 4", n)
	}
	w.mem.Edit("Account", "DW_Key__c", "k1", reversetest.Fields{"Score__c": "99", "Tier__c": "C"})
	w.want("after somebody's edit", w.said(w.plan(job(q), reverse.PlanOptions{})), []string(nil))
	w.want("one field anew, the other somebody's", w.said(w.plan(job(rows("k1,3,A", "k2,10,A", "K3,0,-", "k4,2,B")), reverse.PlanOptions{})), []string{"k1 update Score__c 99→3"})
	w.want("full", w.said(w.plan(job(q), reverse.PlanOptions{Full: true})), []string{"k1 update Score__c 99→1.5 Tier__c C→A"})
}

func TestPlanNulls(t *testing.T) {
	for _, c := range []struct {
		nulls  reverse.Nulls
		before string
		want   []string
	}{
		{"", "A", nil},
		{reverse.IgnoreNulls, "A", nil},
		{reverse.BlankNulls, "A", []string{"k1 update Tier__c A→∅"}},
		{reverse.BlankNulls, "", nil},
	} {
		w := newWorld(t, embedded(t))
		rec := reversetest.Fields{"DW_Key__c": "k1", "Score__c": "1"}
		if c.before != "" {
			rec["Tier__c"] = c.before
		}
		w.mem.Add("Account", rec)
		j := job(rows("k1,1,-"))
		j.Nulls = c.nulls
		p := w.plan(j, reverse.PlanOptions{})
		w.want(fmt.Sprintf("nulls %q over %q", c.nulls, c.before), w.said(p), c.want)
		w.balanced(p, 1)
	}
}

// A null that was ignored was never accepted: when the job begins to empty fields, it
// is news. One that was accepted is not, and somebody's value stays.
func TestPlanNullsBegin(t *testing.T) { everywhere(t, planNullsBegin) }

func planNullsBegin(w *world) {
	w.mem.Add("Account", reversetest.Fields{"DW_Key__c": "k1", "Score__c": "1", "Tier__c": "A"})
	j := job(rows("k1,1,-"))
	w.want("ignored", w.said(w.plan(j, reverse.PlanOptions{})), []string(nil))
	j.Nulls = reverse.BlankNulls
	p := w.plan(j, reverse.PlanOptions{})
	w.want("emptied", w.said(p), []string{"k1 update Tier__c A→∅"})
	w.apply(p)
	w.mem.Edit("Account", "DW_Key__c", "k1", reversetest.Fields{"Tier__c": "B"})
	w.want("somebody's value", w.said(w.plan(j, reverse.PlanOptions{})), []string(nil))
	j.Nulls = reverse.IgnoreNulls
	w.want("ignored again", w.said(w.plan(j, reverse.PlanOptions{})), []string(nil))
}

// A null that is ignored does not forget what was accepted: when the value is back,
// it is no news, and somebody's edit meanwhile stays.
func TestIgnoredNullForgetsNothing(t *testing.T) { everywhere(t, ignoredNullForgetsNothing) }

func ignoredNullForgetsNothing(w *world) {
	w.apply(w.plan(job(rows("k1,5,A")), reverse.PlanOptions{}))
	w.want("null", w.said(w.plan(job(rows("k1,-,A")), reverse.PlanOptions{})), []string(nil))
	w.apply(w.plan(job(rows("k1,-,B")), reverse.PlanOptions{}))
	w.mem.Edit("Account", "DW_Key__c", "k1", reversetest.Fields{"Score__c": "7"})
	w.want("back again", w.said(w.plan(job(rows("k1,5,B")), reverse.PlanOptions{})), []string(nil))
	w.want("news", w.said(w.plan(job(rows("k1,6,B")), reverse.PlanOptions{})), []string{"k1 update Score__c 7→6"})
}

func TestPlanOfOtherOperations(t *testing.T) { everywhere(t, planOfOtherOperations) }

func planOfOtherOperations(w *world) {
	id := w.mem.Add("Account", reversetest.Fields{"DW_Key__c": "k1", "Score__c": "1"})
	q := rows("k1,2,A", "k2,3,B")
	j := job(q)
	j.Operation = reverse.Update
	p := w.plan(j, reverse.PlanOptions{})
	w.want("update", w.said(p), []string{"k1 update Score__c 1→2 Tier__c ∅→A"})
	w.balanced(p, 2)
	j.Operation = reverse.Insert
	p = w.plan(j, reverse.PlanOptions{})
	w.want("insert", w.said(p), []string{"k2 create Score__c ∅→3 Tier__c ∅→B"})
	w.want("rejects, until they are accepted", w.rejects("open"), []string{`exists {"k":"k1","score":"2","tier":"A"}`, `missing {"k":"k2","score":"3","tier":"B"}`})
	w.apply(p)
	j.Query = rows("k1,2,A", "k2,4,C")
	p = w.plan(j, reverse.PlanOptions{})
	w.want("inserted before", w.said(p), []string(nil))
	w.balanced(p, 2)
	j.Operation = reverse.Delete
	p = w.plan(j, reverse.PlanOptions{})
	w.want("delete", w.said(p), []string{"k1 delete Score__c 1→∅ Tier__c ∅→∅", "k2 delete Score__c 3→∅ Tier__c B→∅"})
	w.mem.Remove("Account", "Id", id)
	j.Fields = nil
	p = w.plan(j, reverse.PlanOptions{})
	w.want("delete what is gone, without fields", w.said(p), []string{"k2 delete"})
	w.balanced(p, 2)
}

func TestPlanById(t *testing.T) { everywhere(t, planById) }

func planById(w *world) {
	id := w.mem.Add("Account", reversetest.Fields{"Score__c": "1"})
	j := job(rows(id[:15]+",2,A", id[:12]+"xyz,2,A", "nonsense,1,A", "003000000000001AAA,1,A"))
	j.Operation, j.ExternalID = reverse.Update, "Id"
	p := w.plan(j, reverse.PlanOptions{})
	w.want("changes", w.said(p), []string{id + " update Score__c 1→2 Tier__c ∅→A"})
	w.balanced(p, 4)
	w.apply(p)
	w.want("applied", w.said(w.plan(j, reverse.PlanOptions{})), []string(nil))
	w.mem.Edit("Account", "Id", id, reversetest.Fields{"Score__c": "9"})
	w.want("somebody's edit", w.said(w.plan(j, reverse.PlanOptions{})), []string(nil))
	j.Query = rows(id+",3,A", id[:15]+",4,B")
	p = w.plan(j, reverse.PlanOptions{})
	w.want("one record under two spellings", w.said(p), []string(nil))
	w.balanced(p, 2)
}

func TestPlanRejects(t *testing.T) { everywhere(t, planRejects) }

func planRejects(w *world) {
	for range 2 {
		w.mem.Add("Account", reversetest.Fields{"DW_Key__c": "twice"})
	}
	bad := []string{"-,1,A", ",2,A", "dup,1,A", "DUP,2,A", "dup,3,A", "na,1,#N/A", "num,x,A", "digits,1.005,A", "list,1,Z", "twice,1,A", "a key that is too long for it,1,A"}
	q := rows(append([]string{"good,1,A"}, bad...)...)
	p := w.plan(job(q), reverse.PlanOptions{})
	w.want("changes", w.said(p), []string{"good create Score__c ∅→1 Tier__c ∅→A"})
	if p.Rejected != int64(len(bad)) {
		w.Errorf("%d rejected, want %d", p.Rejected, len(bad))
	}
	w.balanced(p, 12)
	rules := map[string]int{}
	for _, r := range w.rejects("open") {
		rule, _, _ := strings.Cut(r, " ")
		rules[rule]++
	}
	w.want("rules", rules, map[string]int{"empty_key": 1, "duplicate_key": 1, "literal_na": 1, "wrong_type": 1, "too_many_digits": 1, "not_in_picklist": 1, "ambiguous": 1, "too_long": 1})
	before := w.rejects("open")
	w.now = w.now.Add(time.Minute)
	again := w.plan(job(q), reverse.PlanOptions{})
	w.want("rejects of the second plan", w.rejects("open"), before)
	if n := w.count(`SELECT count(*) FROM "millrace"."rejects" WHERE "attempts" = 2 AND "last_seen" > "first_seen" AND "slice" = ?`, again.ID); n != int64(len(before)) {
		w.Errorf("%d rejects were seen twice, want %d", n, len(before))
	}
	w.mem.Add("Account", reversetest.Fields{"DW_Key__c": "num", "Score__c": "5", "Tier__c": "A"})
	w.plan(job(rows("num,5,A", "list,1,B")), reverse.PlanOptions{})
	closed := w.rejects("replayed")
	w.want("closed", closed, []string{`wrong_type {"k":"num","score":"x","tier":"A"}`})
	if len(w.rejects("open")) != len(before)-1 {
		w.Errorf("open rejects %v", w.rejects("open"))
	}
}

func TestPlanIsOrdered(t *testing.T) { everywhere(t, planIsOrdered) }

func planIsOrdered(w *world) {
	j := job(rows("k3,1,B", "k1,2,C", "k2,3,-", "k4,4,B", "k5,5,A"))
	j.OrderBy = "tier"
	var keys []string
	for _, l := range w.said(w.plan(j, reverse.PlanOptions{})) {
		keys = append(keys, l[:2])
	}
	w.want("order", keys, []string{"k5", "k3", "k4", "k1", "k2"})
}

func TestPlanOfNonsense(t *testing.T) {
	w := newWorld(t, embedded(t))
	for _, c := range []struct {
		name string
		edit func(j *reverse.Job)
		kind error
		says string
	}{
		{"no table", func(j *reverse.Job) { j.Query = "select * from nowhere" }, fault.Invalid, "scores"},
		{"no SQL", func(j *reverse.Job) { j.Query = "selectt" }, fault.Invalid, "scores"},
		{"no query", func(j *reverse.Job) { j.Query = " ;" }, fault.Invalid, "query"},
		{"no column", func(j *reverse.Job) { j.Fields = map[string]string{"nope": "Score__c"} }, fault.Invalid, "nope"},
		{"no key", func(j *reverse.Job) { j.Key = "id" }, fault.Invalid, "id"},
		{"no field", func(j *reverse.Job) { j.Fields = map[string]string{"score": "Nope__c"} }, fault.Invalid, "Nope__c"},
		{"a cast that fails", func(j *reverse.Job) {
			j.Query = "select 'k' as k, cast(x as integer) as score, 'A' as tier from (select 'secret' as x union all select '1') as t"
		}, fault.Invalid, "try_cast"},
	} {
		j := job(rows("k1,1,A"))
		c.edit(&j)
		_, err := w.Plan(t.Context(), j, reverse.PlanOptions{})
		if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	j := job(" select * from (" + rows("k1,1,A") + ") as t -- a comment\n ; ")
	if p := w.plan(j, reverse.PlanOptions{}); p.Creates != 1 {
		t.Errorf("a query with a comment and a semicolon: %d creates", p.Creates)
	}
	if n := w.count(`SELECT count(*) FROM duckdb_tables() WHERE temporary`); n != 0 {
		t.Errorf("%d temporary tables are left", n)
	}
}

// Names without quotes are capitals to Snowflake, and ours are not.
func TestPlanSaysWhatCapitalsMean(t *testing.T) {
	if testing.Short() {
		t.Skip("Snowflake's stand-in takes seconds")
	}
	w := newWorld(t, standIn(t))
	w.Inputs = []reverse.Input{{Function: "scores", Schema: "analytics", Table: "scores"}}
	w.exec(`CREATE SCHEMA "analytics"`)
	w.exec(`CREATE TABLE "analytics"."scores" ("k" VARCHAR, "score" BIGINT, "tier" VARCHAR)`)
	if _, err := w.Plan(t.Context(), job("select * from analytics.scores"), reverse.PlanOptions{}); !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), `in quotes: "analytics"."scores"`) {
		t.Errorf("got %v", err)
	}
	if _, err := w.Plan(t.Context(), job("select * from nowhere"), reverse.PlanOptions{}); !errors.Is(err, fault.Invalid) || strings.Contains(err.Error(), "in quotes") {
		t.Errorf("got %v", err)
	}
	w.plan(job(`select * from "analytics"."scores"`), reverse.PlanOptions{})
}

func TestPlanLeavesPeopleTheirRequests(t *testing.T) {
	w := newWorld(t, embedded(t))
	w.mem.Max = 100
	w.mem.Use(79)
	j := job(rows("k1,1,A"))
	_, err := w.Plan(t.Context(), j, reverse.PlanOptions{})
	until, ok := fault.Until(err)
	if !errors.Is(err, fault.Limited) || !ok || !until.Equal(clock.Add(time.Hour)) {
		t.Fatalf("79 of 100 used and 20 kept: %v until %v", err, until)
	}
	if n := w.count(`SELECT count(*) FROM "millrace".sync_plans`); n != 0 {
		t.Error("a plan was stored")
	}
	j.Reserve = 10
	if p := w.plan(j, reverse.PlanOptions{}); p.Creates != 1 {
		t.Errorf("with a smaller reserve: %+v", p)
	}
}

func TestPlanKilledHalfWay(t *testing.T) {
	for _, point := range []string{"after_rows", "before_plan"} {
		w := newWorld(t, embedded(t))
		w.mem.Add("Account", reversetest.Fields{"DW_Key__c": "k2", "Score__c": "2", "Tier__c": "B"})
		j := job(rows("k1,1,A", "k2,2,B", "-,3,C"))
		w.Point = func(name string) {
			if name == point {
				panic(point)
			}
		}
		func() {
			defer func() {
				if r := recover(); r != point {
					t.Fatalf("recovered %v, want %s", r, point)
				}
			}()
			w.plan(j, reverse.PlanOptions{})
		}()
		for _, table := range []string{"sync_plans", "sync_sent", "rejects"} {
			if n := w.count(`SELECT count(*) FROM "millrace".` + table); n != 0 {
				t.Errorf("%s: %d rows in %s", point, n, table)
			}
		}
		w.Point = nil
		w.now = w.now.Add(2 * time.Hour)
		p := w.plan(j, reverse.PlanOptions{})
		w.want(point, w.said(p), []string{"k1 create Score__c ∅→1 Tier__c ∅→A"})
		if n := w.count(`SELECT count(DISTINCT plan) FROM millrace.sync_rows`); n != 1 {
			t.Errorf("%s: rows of %d plans", point, n)
		}
	}
}

func TestPlanFailsWithTheDestination(t *testing.T) {
	w := newWorld(t, embedded(t))
	broken := fault.New(fault.Auth, "the session is gone")
	w.mem.Before = func(c reversetest.Call, n int) error {
		if c == reversetest.Read && n == 2 {
			return broken
		}
		return nil
	}
	var lines []string
	for i := range 4500 {
		lines = append(lines, fmt.Sprintf("k%05d,%d,A", i, i))
	}
	w.exec(`CREATE TABLE big AS ` + rows(lines...))
	if _, err := w.Plan(t.Context(), job("select * from big"), reverse.PlanOptions{}); !errors.Is(err, fault.Auth) {
		t.Errorf("error %v, want the destination's", err)
	}
	if n := w.count(`SELECT count(*) FROM "millrace".sync_plans`); n != 0 {
		t.Error("half a plan is there")
	}
	w.mem.Before = nil
	var seen []int64
	w.Progress = func(done, _ int64) { seen = append(seen, done) }
	p := w.plan(job("select * from big"), reverse.PlanOptions{})
	w.balanced(p, 4500)
	if !slices.Equal(seen, []int64{2000, 4000, 4500}) {
		t.Errorf("progress %v", seen)
	}
}

// What the warehouse encodes of a row is what a plan says was accepted of it,
// whatever is in its texts: otherwise each plan would look at it again.
func TestAcceptedInBothWarehouses(t *testing.T) { everywhere(t, acceptedInBothWarehouses) }

func acceptedInBothWarehouses(w *world) {
	w.exec(`CREATE SCHEMA IF NOT EXISTS "s"`)
	w.exec(`CREATE TABLE "s"."odd" ("k" VARCHAR, "name" VARCHAR, "score" VARCHAR)`)
	for i, v := range []string{"a\\b", "a\nb", "a\r\nb", "\\n", "=", "x=y\nz=", "'\"", "ü€", "\\", " "} {
		w.exec(`INSERT INTO "s"."odd" ("k", "name", "score") VALUES (?, ?, ?)`, fmt.Sprint("k", i), v, "1.0")
	}
	j := job(`SELECT "k", "name", "score" FROM "s"."odd"`)
	j.Fields = map[string]string{"name": "Name", "score": "Score__c"}
	p := w.plan(j, reverse.PlanOptions{})
	if p.Creates != 10 {
		w.Fatalf("%d creates, %d rejected", p.Creates, p.Rejected)
	}
	w.apply(p)
	reads := w.mem.Calls(reversetest.Read)
	w.want("after it was applied", w.said(w.plan(j, reverse.PlanOptions{})), []string(nil))
	if more := w.mem.Calls(reversetest.Read) - reads; more != 0 && !w.whole {
		w.Errorf("%d reads of rows that were accepted as they are", more)
	}
}

// Planners that meet each make a plan that is whole, and the last one waits.
func TestPlannersMeet(t *testing.T) {
	w := newWorld(t, embedded(t))
	var lines []string
	for i := range 200 {
		key := fmt.Sprintf("k%03d", i)
		lines = append(lines, fmt.Sprintf("%s,%d,A", key, i))
		if i%2 == 0 {
			w.mem.Add("Account", reversetest.Fields{"DW_Key__c": key, "Score__c": fmt.Sprint(i), "Tier__c": "A"})
		}
	}
	limit := int64(1000)
	j := job(rows(append(lines, "-,1,A")...))
	j.Guards.Writes = &reverse.Limit{Max: &limit}
	var g errgroup.Group
	plans := make([]*reverse.Plan, 4)
	for i := range plans {
		g.Go(func() (err error) {
			plans[i], err = w.Plan(t.Context(), j, reverse.PlanOptions{})
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	for _, p := range plans {
		w.balanced(p, 201)
		if said := w.said(p); len(said) != 100 {
			t.Errorf("plan %s has %d changes, want 100", p.ID, len(said))
		}
	}
	if n := w.count(`SELECT count(*) FROM millrace.sync_rows WHERE plan NOT IN (SELECT plan FROM millrace.sync_plans)`); n != 0 {
		t.Errorf("%d rows are of no plan", n)
	}
	w.want("next", w.said(w.plan(j, reverse.PlanOptions{})), w.said(plans[0]))
}
