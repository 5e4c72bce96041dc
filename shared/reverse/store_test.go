package reverse

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/warehouse/duckdb"
)

var clock = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

// engine is one on an embedded warehouse of its own.
func engine(t testing.TB) *Engine {
	t.Helper()
	w, err := duckdb.Open(t.Context(), duckdb.Options{Path: filepath.Join(t.TempDir(), "w.duckdb"), Memory: "512MiB", Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return &Engine{Warehouse: w, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return clock }, Owner: "test"}
}

func session(t testing.TB, e *Engine) *sql.Conn {
	t.Helper()
	conn, err := e.Warehouse.Session(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func ptr[T any](v T) *T { return &v }

func scores() Job {
	return Job{Name: "scores", Owner: "ops@example.com", Query: "select 1", Object: "Account", Operation: Upsert, ExternalID: "DW_Key__c", Key: "account_key",
		Fields: map[string]string{"score": "Score__c", "tier": "Tier__c"}, Guards: Guards{Writes: &Limit{Max: ptr(int64(1 << 40))}}, Expires: time.Hour}
}

func planOf(j Job) *Plan {
	return &Plan{Sync: j.Name, Object: j.Object, Operation: j.Operation, Job: j}
}

// some is n changes of every kind, with everything that text can hold.
func some(n int) []Change {
	out := make([]Change, n)
	for i := range out {
		c := Change{N: int64(i + 1), Key: fmt.Sprintf("k%06d", i), ID: fmt.Sprint("id", i), Accepted: ptr("Score__c=1\n")}
		switch i % 3 {
		case 0:
			c.Kind, c.ID, c.Fields = KindCreate, "", []FieldChange{{"Score__c", nil, ptr("1.5")}, {"Tier__c", nil, ptr("a\n'\"\\|;ü")}}
		case 1:
			c.Kind, c.Fields = KindUpdate, []FieldChange{{"Score__c", ptr("7"), ptr("0")}, {"Tier__c", ptr("A"), nil}}
		case 2:
			c.Kind, c.Accepted = KindDelete, nil
		}
		out[i] = c
	}
	return out
}

func each[T any](list []T, after error) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for _, v := range list {
			if !yield(v, nil) {
				return
			}
		}
		var zero T
		if after != nil {
			yield(zero, after)
		}
	}
}

func stored(t testing.TB, e *Engine, id string) (out []Change) {
	t.Helper()
	for c, err := range e.Changes(t.Context(), id) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, c)
	}
	return out
}

func count(t testing.TB, e *Engine, query string, args ...any) (n int64) {
	t.Helper()
	if err := e.Warehouse.DB().QueryRowContext(t.Context(), query, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestStoredPlanReadsBack(t *testing.T) {
	e := engine(t)
	p, want := planOf(scores()), some(2*changePage+7)
	p.Unchanged, p.Rejected = 5, 6
	if err := e.store(t.Context(), session(t, e), p, each(want, nil)); err != nil {
		t.Fatal(err)
	}
	got, err := e.Get(t.Context(), p.ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(p, got); diff != "" {
		t.Errorf("plan (-stored +read):\n%s", diff)
	}
	if diff := cmp.Diff(want, stored(t, e, p.ID)); diff != "" {
		t.Errorf("changes (-stored +read):\n%s", diff)
	}
	if got.State != PlanReady || got.Writes() != int64(len(want)) || got.Blankings != 1336 || got.Zeroings != 1336 {
		t.Errorf("plan is %s with %d writes, %d blankings, %d zeroings", got.State, got.Writes(), got.Blankings, got.Zeroings)
	}
	if h, err := e.hashOf(t.Context(), got); err != nil || h != p.Hash {
		t.Errorf("hash of what is stored %s, %v, want %s", h, err, p.Hash)
	}
}

// Whatever somebody edits of what would be written shows in the hash; how far a row
// is does not.
func TestHashIsOverWhatIsWritten(t *testing.T) {
	e := engine(t)
	p := planOf(scores())
	if err := e.store(t.Context(), session(t, e), p, each(some(6), nil)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		set  string
		same bool
	}{
		{`"after" = '2' WHERE "n" = 1 AND "field" = 'Score__c'`, false},
		{`"after" = '' WHERE "n" = 2 AND "field" = 'Tier__c'`, false},
		{`"before" = NULL WHERE "n" = 2`, false},
		{`"key" = 'other' WHERE "n" = 3`, false},
		{`"destination_id" = 'other' WHERE "n" = 2`, false},
		{`"kind" = 'update' WHERE "n" = 1`, false},
		{`"field" = 'Name' WHERE "n" = 1 AND "field" = 'Score__c'`, false},
		{`"destination_id" = 'new' WHERE "n" = 1`, true},
		{`"state" = 'sent', "part" = 1, "code" = 'x', "error" = 'y'`, true},
	} {
		copied := "a" + p.ID
		for _, q := range []string{
			`DELETE FROM millrace.sync_rows WHERE plan = '` + copied + `'`,
			`INSERT INTO millrace.sync_rows SELECT '` + copied + `', * EXCLUDE (plan) FROM millrace.sync_rows WHERE plan = '` + p.ID + `'`,
			`UPDATE millrace.sync_rows SET ` + c.set + map[bool]string{true: " AND", false: " WHERE"}[strings.Contains(c.set, "WHERE")] + ` "plan" = '` + copied + `'`,
		} {
			if _, err := e.Warehouse.DB().ExecContext(t.Context(), q); err != nil {
				t.Fatal(q, err)
			}
		}
		q := *p
		q.ID = copied
		if h, err := e.hashOf(t.Context(), &q); err != nil || (h == p.Hash) != c.same {
			t.Errorf("%s: hash is the same: %v, %v", c.set, h == p.Hash, err)
		}
	}
}

func TestPlanThatFailsHalfWayIsNotThere(t *testing.T) {
	e := engine(t)
	conn, p, broken := session(t, e), planOf(scores()), errors.New("broken")
	if err := e.store(t.Context(), conn, p, each(some(5000), broken)); !errors.Is(err, broken) {
		t.Fatalf("error %v, want the source's", err)
	}
	if _, err := e.Get(t.Context(), p.ID); !errors.Is(err, fault.NotFound) {
		t.Errorf("half a plan: %v, want fault.NotFound", err)
	}
	orphans := `SELECT count(*) FROM millrace.sync_rows WHERE plan = ?`
	dead := p.ID
	if n := count(t, e, orphans, dead); n == 0 {
		t.Fatal("no rows are left over: the test shows nothing")
	}
	other := scores()
	other.Name = "scores-2026" // whose ids begin like those of the other
	e.Now = func() time.Time { return clock.Add(2 * planning) }
	for _, j := range []Job{other, scores()} {
		if n := count(t, e, orphans, dead); n == 0 {
			t.Error("the plan of another sync swept")
		}
		p = planOf(j)
		if err := e.store(t.Context(), conn, p, each(some(3), nil)); err != nil {
			t.Fatal(err)
		}
	}
	if n := count(t, e, orphans, dead); n != 0 {
		t.Errorf("%d rows of the dead plan are left after the next one", n)
	}
	if got := stored(t, e, p.ID); len(got) != 3 {
		t.Errorf("%d changes, want 3", len(got))
	}
}

func TestSamePlanIsNotMadeTwice(t *testing.T) {
	e := engine(t)
	conn := session(t, e)
	make := func(j Job, n int) *Plan {
		t.Helper()
		p := planOf(j)
		if err := e.store(t.Context(), conn, p, each(some(n), nil)); err != nil {
			t.Fatal(err)
		}
		return p
	}
	first := make(scores(), 4)
	if again := make(scores(), 4); again.ID != first.ID {
		t.Errorf("the same plan twice: %s and %s", first.ID, again.ID)
	}
	if n := count(t, e, `SELECT count(DISTINCT plan) FROM millrace.sync_rows`); n != 1 {
		t.Errorf("rows of %d plans, want 1", n)
	}
	second := make(scores(), 5)
	old, err := e.Get(t.Context(), first.ID)
	if err != nil || second.ID == first.ID || old.State != PlanStale || old.Next != second.ID {
		t.Errorf("after another plan the first is %s, next %s, %v; want stale, next %s", old.State, old.Next, err, second.ID)
	}
	e.Now = func() time.Time { return second.PlannedAt.Add(time.Hour) }
	if third := make(scores(), 5); third.ID == second.ID {
		t.Error("an expired plan is handed out again")
	}
	undo := scores()
	p := planOf(undo)
	p.Undoes = second.ID
	if err := e.store(context.Background(), conn, p, each(some(5), nil)); err != nil || p.Undoes != second.ID || p.State != PlanReady {
		t.Errorf("rollback %+v, %v", p, err)
	}
}

func TestApprovalAuto(t *testing.T) {
	e := engine(t)
	conn, j := session(t, e), scores()
	j.Approval = ApprovalAuto
	for _, c := range []struct {
		name string
		plan Plan
		want PlanState
	}{
		{"within the guards", Plan{}, PlanApproved},
		{"blocked", Plan{Blocked: []Block{{Guard: "writes"}}}, PlanBlocked},
		{"rollback", Plan{Undoes: "x"}, PlanReady},
	} {
		p := c.plan
		p.Sync, p.Object, p.Operation, p.Job = j.Name, j.Object, j.Operation, j
		if err := e.store(t.Context(), conn, &p, each(some(1), nil)); err != nil {
			t.Fatal(err)
		}
		if p.State != c.want || (p.ApprovedBy == "auto") != (c.want == PlanApproved) || p.ApprovedBy != "" && p.ApprovedHash != p.Hash {
			t.Errorf("%s: %s by %q for %q", c.name, p.State, p.ApprovedBy, p.ApprovedHash)
		}
	}
}
