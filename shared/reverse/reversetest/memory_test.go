package reversetest_test

import (
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"slices"
	"testing"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/reverse"
	"github.com/millrace-data/millrace/shared/reverse/reversetest"
)

var (
	_ reverse.Destination = (*reversetest.Memory)(nil)
	_ reverse.Bulk        = (*reversetest.Memory)(nil)
)

func accounts() *reversetest.Memory {
	return reversetest.New(reverse.Object{Name: "Account", Creatable: true, Updatable: true, Deletable: true, Readable: true, Prefix: "001", Fields: []reverse.Field{
		{Name: "Key__c", Type: reverse.TextType, Key: true, Unique: true, Nullable: true, Creatable: true, Updatable: true},
		{Name: "Score__c", Type: reverse.NumberType, Nullable: true, Creatable: true, Updatable: true},
		{Name: "Name", Type: reverse.TextType, Length: 5, Creatable: true, Updatable: true},
	}})
}

func upsert(key string) reverse.Task {
	return reverse.Task{Object: "Account", Operation: reverse.Upsert, Key: key, Fields: []reverse.Field{{Name: "Score__c"}, {Name: "Name"}}}
}

func row(key, score, name string) reverse.Row {
	return reverse.Row{Key: key, Values: []reverse.Value{{Set: true, Text: &score}, {Set: name != "", Text: &name}}}
}

func each(rows ...reverse.Row) iter.Seq2[reverse.Row, error] {
	return func(yield func(reverse.Row, error) bool) {
		for _, r := range rows {
			if !yield(r, nil) {
				return
			}
		}
	}
}

func TestWrite(t *testing.T) {
	m := accounts()
	m.Add("Account", reversetest.Fields{"Key__c": "k1", "Name": "Ann"})
	got, err := m.Write(t.Context(), upsert("Key__c"), []reverse.Row{row("k1", "1", ""), row("k2", "2", "Ben"), row("k3", "3", ""), row("k4", "4", "far too long"), row("k1", "5", "")})
	if err != nil {
		t.Fatal(err)
	}
	var codes []string
	for _, r := range got {
		codes = append(codes, fmt.Sprintf("%s %s%s %t", r.Key, r.State, r.Code, r.Created))
	}
	slices.Sort(codes)
	want := []string{"k1 failedDUPLICATE_VALUE false", "k1 sent false", "k2 sent true", "k3 failedREQUIRED_FIELD_MISSING false", "k4 failedSTRING_TOO_LONG false"}
	if !slices.Equal(codes, want) {
		t.Errorf("got %q, want %q", codes, want)
	}
	now := m.Records("Account", "Key__c")
	if len(now) != 2 || now["k1"]["Score__c"] != "1" || now["k1"]["Name"] != "Ann" || now["k2"]["Name"] != "Ben" {
		t.Errorf("records are %v", now)
	}
	del := reverse.Task{Object: "Account", Operation: reverse.Delete, Key: "Id"}
	if _, err := m.Write(t.Context(), del, []reverse.Row{{Key: m.ID("Account", "Key__c", "k2")}}); err != nil || len(m.Records("Account", "Id")) != 1 {
		t.Errorf("after the delete: %v, %v", m.Records("Account", "Id"), err)
	}
}

func TestBulk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	m := accounts()
	if err := m.Restore(path); err != nil {
		t.Fatal(err)
	}
	m.Break = func(reversetest.Job) int { return 1 }
	ctx, task := t.Context(), upsert("Key__c")
	id, err := m.Create(ctx, task)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.End(ctx, id, reverse.Closed); !errors.Is(err, fault.Invalid) {
		t.Errorf("a job without upload was started: %v", err)
	}
	if err := m.Upload(ctx, id, task, each(row("a", "1", "A"), row("b", "2", "B"))); err != nil {
		t.Fatal(err)
	}
	if err := m.End(ctx, id, reverse.Closed); err != nil {
		t.Fatal(err)
	}
	again := accounts() // another process
	if err := again.Restore(path); err != nil {
		t.Fatal(err)
	}
	states := []reverse.JobState{}
	for range 2 {
		b, err := again.Look(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		states = append(states, b.State)
	}
	if !slices.Equal(states, []reverse.JobState{reverse.Closed, reverse.Broken}) {
		t.Errorf("states %v", states)
	}
	got := map[string]reverse.RowState{}
	for r, err := range again.Results(ctx, id, task) {
		if err != nil {
			t.Fatal(err)
		}
		got[r.Key] = r.State
	}
	if got["a"] != reverse.RowSent || got["b"] != reverse.RowUnprocessed || len(got) != 2 {
		t.Errorf("results %v", got)
	}
	if err := again.Upload(ctx, id, task, each()); err == nil || again.Jobs()[0].Uploads != 2 {
		t.Error("a second upload was taken")
	}
}

func TestFaults(t *testing.T) {
	m := accounts()
	m.After = reversetest.Lose(reversetest.Write, 1)
	m.Fail = reversetest.Failing(map[string]string{"k": "UNABLE_TO_LOCK_ROW"}, 2)
	if _, err := m.Write(t.Context(), upsert("Key__c"), []reverse.Row{row("other", "1", "A")}); !errors.Is(err, fault.Transient) || m.ID("Account", "Key__c", "other") == "" {
		t.Errorf("the work was to be done and its answer lost: %v", err)
	}
	for n, want := range []bool{true, true, false} {
		got, err := m.Write(t.Context(), upsert("Key__c"), []reverse.Row{row("k", "1", "A")})
		if err != nil || got[0].Again != want || (got[0].State == reverse.RowSent) == want {
			t.Errorf("attempt %d: %+v, %v", n+1, got, err)
		}
	}
	m.Max = 1
	if _, err := m.Describe(t.Context(), "Account"); !errors.Is(err, fault.Limited) {
		t.Errorf("over the limit: %v", err)
	}
}
