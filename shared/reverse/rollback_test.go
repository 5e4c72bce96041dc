package reverse_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/reverse"
	"github.com/millrace-data/millrace/shared/reverse/reversetest"
)

// undone plans, approves and applies the rollback of a plan.
func (w *world) undone(id string) *reverse.Plan {
	w.Helper()
	w.mem.Forget()
	p, err := w.Rollback(w.Context(), id)
	if err != nil || p.State != reverse.PlanReady || p.Undoes != id {
		w.Fatalf("roll back %s: %+v, %v", id, p, err)
	}
	if p, err = w.Approve(w.Context(), p.ID, "ben@example.com", p.Hash); err != nil {
		w.Fatal(err)
	}
	return w.done(p.ID)
}

// values are the records' fields by their key, without those that have none.
func (w *world) values() map[string]reversetest.Fields {
	return w.mem.Records("Account", "DW_Key__c")
}

func TestRollback(t *testing.T) {
	everyWay(t, func(t *testing.T, w *world) {
		for i := range 5 {
			w.mem.Add("Account", reversetest.Fields{"DW_Key__c": fmt.Sprintf("k%02d", i), "Score__c": "99.50", "Name": "n"})
		}
		before := w.values()
		p := w.done(w.approved(job(lines(0, 10))).ID)
		w.mem.Edit("Account", "DW_Key__c", "k01", reversetest.Fields{"Score__c": "5", "Name": "other"}) // one of two fields
		w.mem.Edit("Account", "DW_Key__c", "k02", reversetest.Fields{"Score__c": "5", "Tier__c": "C"})
		w.mem.Edit("Account", "DW_Key__c", "k06", reversetest.Fields{"Tier__c": "B"}) // created by us, and somebody's since
		w.mem.Remove("Account", "DW_Key__c", "k07")
		got := w.undone(p.ID)
		if got.Updates != 4 || got.Deletes != 3 || got.Kept != 3 || got.Sent != 7 || got.Operation != reverse.Upsert {
			t.Errorf("got %+v", got)
		}
		want := before
		for _, key := range []string{"k00", "k03", "k04"} {
			want[key]["Score__c"] = "99.5"
		}
		want["k01"] = reversetest.Fields{"DW_Key__c": "k01", "Score__c": "5", "Name": "other"}
		want["k02"] = reversetest.Fields{"DW_Key__c": "k02", "Score__c": "5", "Tier__c": "C", "Name": "n"}
		want["k06"] = reversetest.Fields{"DW_Key__c": "k06", "Score__c": "6", "Tier__c": "B"}
		w.want("records", w.values(), want)
		if next := w.plan(job(lines(0, 10)), reverse.PlanOptions{}); next.Writes() != 0 {
			t.Errorf("the value that was rolled back comes again: %v", w.said(next))
		}
	})
}

func TestRollbackOfRollback(t *testing.T) {
	w := newWorld(t, embedded(t))
	w.mem.Add("Account", reversetest.Fields{"DW_Key__c": "k00", "Score__c": "99", "Tier__c": "B"})
	p := w.done(w.approved(job(lines(0, 3))).ID)
	after := w.values()
	r := w.undone(p.ID)
	if len(w.values()) != 1 {
		t.Fatalf("rolled back to %v", w.values())
	}
	rr := w.undone(r.ID)
	if rr.Creates != 2 || rr.Updates != 1 {
		t.Errorf("got %+v", rr)
	}
	w.want("records", w.values(), after)
	w.undone(rr.ID)
	if len(w.values()) != 1 {
		t.Errorf("rolled back to %v", w.values())
	}
}

func TestRollbackOfDelete(t *testing.T) {
	everyWay(t, func(t *testing.T, w *world) {
		for i := range 3 {
			w.mem.Add("Account", reversetest.Fields{"DW_Key__c": fmt.Sprintf("k%02d", i), "Score__c": "4", "Name": "is not of the job"})
		}
		j := job(lines(0, 3))
		j.Operation = reverse.Delete
		p := w.done(w.approved(j).ID)
		w.mem.Add("Account", reversetest.Fields{"DW_Key__c": "k02", "Score__c": "8"})
		got := w.undone(p.ID)
		if got.Creates != 2 || got.Kept != 1 {
			t.Errorf("got %+v", got)
		}
		w.want("records", w.values(), map[string]reversetest.Fields{"k00": {"DW_Key__c": "k00", "Score__c": "4"}, "k01": {"DW_Key__c": "k01", "Score__c": "4"}, "k02": {"DW_Key__c": "k02", "Score__c": "8"}})
	})
}

func TestRollbackOfWhatFailed(t *testing.T) {
	w := newWorld(t, embedded(t))
	p := w.approved(job(lines(0, 3)))
	if _, err := w.Rollback(t.Context(), p.ID); !errors.Is(err, fault.Refused) {
		t.Errorf("rolled back what was not applied: %v", err)
	}
	if _, err := w.Rollback(t.Context(), "none"); !errors.Is(err, fault.NotFound) {
		t.Errorf("rolled back what is not there: %v", err)
	}
	w.mem.Fail = reversetest.Failing(map[string]string{"k01": "NO"}, 0)
	w.done(p.ID)
	w.mem.Fail = nil
	w.mem.Add("Account", reversetest.Fields{"DW_Key__c": "k01", "Score__c": "1", "Tier__c": "A"}) // by somebody else
	if got := w.undone(p.ID); got.Deletes != 2 || got.Writes() != 2 || w.values()["k01"] == nil {
		t.Errorf("got %+v, left %v", got, w.values())
	}
	empty, err := w.Rollback(t.Context(), p.ID)
	if err != nil || empty.Writes() != 0 || empty.Kept != 2 {
		t.Errorf("rolled back twice: %+v, %v", empty, err)
	}
}

// A record that somebody made between our last look and our write is theirs, though
// the plan was to create it.
func TestRollbackOfWhatWasFound(t *testing.T) {
	w := newWorld(t, embedded(t))
	p := w.approved(job(lines(0, 3)))
	w.mem.Before = func(c reversetest.Call, _ int) error {
		if c == reversetest.Write {
			w.mem.Before = nil
			w.mem.Add("Account", reversetest.Fields{"DW_Key__c": "k00", "Name": "theirs"})
		}
		return nil
	}
	w.done(p.ID)
	if got := w.undone(p.ID); got.Deletes != 2 || got.Kept != 1 || w.values()["k00"]["Name"] != "theirs" {
		t.Errorf("got %+v, left %v", got, w.values())
	}
}

func TestRollbackOutOfDate(t *testing.T) {
	w := newWorld(t, embedded(t))
	for i := range 3 {
		w.mem.Add("Account", reversetest.Fields{"DW_Key__c": fmt.Sprintf("k%02d", i), "Score__c": "4"})
	}
	p := w.done(w.approved(job(lines(0, 3))).ID)
	r, err := w.Rollback(t.Context(), p.ID)
	if err != nil {
		t.Fatal(err)
	}
	if same, err := w.Rollback(t.Context(), p.ID); err != nil || same.ID != r.ID {
		t.Errorf("another plan for the same: %v, %v", same, err)
	}
	if _, err := w.Approve(t.Context(), r.ID, "ben", ""); err != nil {
		t.Fatal(err)
	}
	w.mem.Edit("Account", "DW_Key__c", "k01", reversetest.Fields{"Score__c": "7", "Tier__c": "C"})
	old, err := w.Apply(t.Context(), r.ID)
	if !errors.Is(err, fault.Refused) || old.State != reverse.PlanStale || w.values()["k00"]["Score__c"] != "0" {
		t.Fatalf("got %+v, %v", old, err)
	}
	next, err := w.Get(t.Context(), old.Next)
	if err != nil || next.Undoes != p.ID || next.Updates != 2 || next.Kept != 1 || next.State != reverse.PlanReady {
		t.Errorf("next is %+v, %v", next, err)
	}
}

// A record that we created is not deleted once somebody else changed anything of it,
// before the rollback was planned or after.
func TestRollbackKeepsWhatOthersEdited(t *testing.T) {
	w := newWorld(t, embedded(t))
	o := account()
	o.Creator, o.Editor = "Maker__c", "Editor__c"
	for _, name := range []string{o.Creator, o.Editor} {
		o.Fields = append(o.Fields, reverse.Field{Name: name, Type: reverse.TextType, Length: 18, Nullable: true})
	}
	w.mem = reversetest.New(o)
	w.Connect = w.mem.Connector()
	p := w.done(w.approved(job(lines(0, 4))).ID)
	edit := func(key string) {
		if n := w.mem.Edit("Account", "DW_Key__c", key, reversetest.Fields{"Name": "theirs", "Editor__c": "grace"}); n != 1 {
			t.Fatalf("edited %d of %s", n, key)
		}
	}
	edit("k01")
	r, err := w.Rollback(t.Context(), p.ID)
	if err != nil || r.Deletes != 3 || r.Kept != 1 {
		t.Fatalf("got %+v, %v", r, err)
	}
	if _, err := w.Approve(t.Context(), r.ID, "ben", ""); err != nil {
		t.Fatal(err)
	}
	edit("k02")
	if r, err = w.Apply(t.Context(), r.ID); !errors.Is(err, fault.Refused) || len(w.values()) != 4 {
		t.Fatalf("got %+v, %v, left %v", r, err, w.values())
	}
	if r, err = w.Approve(t.Context(), r.Next, "ben", ""); err != nil || r.Deletes != 2 || r.Kept != 2 {
		t.Fatalf("got %+v, %v", r, err)
	}
	w.done(r.ID)
	if left := w.values(); len(left) != 2 || left["k01"] == nil || left["k02"] == nil {
		t.Errorf("left %v", left)
	}
}

// Above some thousand rows, all records are read at once instead of those that the
// plan names.
func TestManyRows(t *testing.T) {
	w := newWorld(t, embedded(t))
	const n, live = 12_000, 6_000
	for i := range live {
		w.mem.Add("Account", reversetest.Fields{"DW_Key__c": fmt.Sprintf("k%d", i), "Score__c": "-1.0"})
	}
	j := job(fmt.Sprintf(`SELECT 'k' || range AS "k", range AS "score", 'A' AS "tier" FROM range(%d)`, n))
	p := w.approved(j)
	w.Poll = 1
	w.Part = 5_000
	if got := w.done(p.ID); got.Sent != n || got.Creates != n-live {
		t.Errorf("got %+v", got)
	}
	if jobs := w.mem.Jobs(); len(jobs) != 3 {
		t.Errorf("%d jobs", len(jobs))
	}
	now := w.values()
	if len(now) != n || now["k11999"]["Score__c"] != "11999" || now["k7"]["Score__c"] != "7" {
		t.Errorf("%d records, k7 is %v", len(now), now["k7"])
	}
	w.mem.Edit("Account", "DW_Key__c", "k7", reversetest.Fields{"Score__c": "8", "Tier__c": "B"})
	w.mem.Edit("Account", "DW_Key__c", "k11999", reversetest.Fields{"Score__c": "8"})
	if got := w.undone(p.ID); got.Updates != live-1 || got.Deletes != n-live-1 || got.Kept != 2 {
		t.Errorf("got %+v", got)
	}
	if now := w.values(); len(now) != live+1 || now["k8"]["Score__c"] != "-1" || now["k7"]["Score__c"] != "8" {
		t.Errorf("%d records, k8 is %v, k7 is %v", len(now), now["k8"], now["k7"])
	}
	if reads := w.mem.Calls(reversetest.Read); reads > 12 {
		t.Errorf("%d reads", reads)
	}
}
