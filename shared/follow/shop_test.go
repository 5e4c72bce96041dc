package follow_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/millrace-data/millrace/shared/chain"
	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/follow"
	"github.com/millrace-data/millrace/shared/gate"
	"github.com/millrace-data/millrace/shared/record"
	"github.com/millrace-data/millrace/shared/reverse"
	"github.com/millrace-data/millrace/shared/warehouse"
	"github.com/millrace-data/millrace/shared/warehouse/duckdb"
)

// The model of these tests joins two tables that are filled by hand: orders, in
// windows of a day, and people, in scans.
func model() follow.Model {
	return follow.Model{Name: "totals", Doc: "Orders by person.", Reads: []string{"shop.orders", "shop.people"},
		Table: record.Table{Schema: "analytics", Name: "totals", Key: []string{"person"}, Columns: []record.Column{
			{Name: "person", Field: "person", Type: record.Text}, {Name: "n", Field: "n", Type: record.Integer}}},
		Query: `SELECT p."id" AS "person", count(o."id") AS "n" FROM "shop"."people" AS p LEFT JOIN "shop"."orders" AS o ON o."person" = p."id" GROUP BY p."id"`,
		Rules: []gate.Rule{gate.Between("n", "0", "3")}}
}

// shop is a warehouse, its messages, and its log.
type shop struct {
	*testing.T
	w     *warehouse.Warehouse
	now   time.Time
	log   bytes.Buffer
	to    *slog.Logger // into log; a handler is made for several goroutines, a buffer is not
	point func(string)

	mu   sync.Mutex
	told []chain.Message
	deaf error // what Publish answers
}

func newShop(t *testing.T) *shop {
	t.Helper()
	w, err := duckdb.Open(t.Context(), duckdb.Options{Path: t.TempDir() + "/w.duckdb", Memory: "256MiB", Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	s := &shop{T: t, w: w, now: time.Date(2026, 3, 1, 6, 0, 0, 0, time.UTC)}
	s.to = slog.New(slog.NewTextHandler(&s.log, nil))
	for _, table := range []record.Table{orders, people} {
		if _, err := w.Ensure(t.Context(), table); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

var (
	orders = record.Table{Schema: "shop", Name: "orders", Mode: record.Append, Open: true, Key: []string{"id"}, Columns: []record.Column{{Name: "id", Type: record.Text}, {Name: "person", Type: record.Text}}}
	people = record.Table{Schema: "shop", Name: "people", Mode: record.ReplaceAll, Open: true, Key: []string{"id"}, Columns: []record.Column{{Name: "id", Type: record.Text}}}
)

func (s *shop) Publish(_ context.Context, m chain.Message) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.deaf != nil {
		return s.deaf
	}
	s.told = append(s.told, m)
	return nil
}

func (s *shop) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// day is the slice of the nth day of orders, scan that of the nth day of people.
func day(n int) warehouse.Slice {
	from := time.Date(2026, 2, n, 0, 0, 0, 0, time.UTC)
	return warehouse.Slice{Function: "shop", Table: "orders", ID: from.Format(time.DateOnly), Purpose: "live", From: from, To: from.AddDate(0, 0, 1)}
}

func scan(n int) warehouse.Slice {
	at := time.Date(2026, 2, n, 3, 0, 0, 0, time.UTC)
	return warehouse.Slice{Function: "shop", Table: "people", ID: "scan-" + at.Format(time.DateOnly), Purpose: "live", From: at, To: at}
}

func (s *shop) claim(sl warehouse.Slice) warehouse.Slice {
	s.Helper()
	s.must(s.w.Plan(s.Context(), []warehouse.Slice{sl}))
	got, err := s.w.Claim(s.Context(), sl.Function, sl.Table, sl.ID, "vendor", time.Minute)
	s.must(err)
	return got
}

// load commits a slice whose rows a query makes, which saves writing parts.
func (s *shop) load(sl warehouse.Slice, query string) {
	s.Helper()
	s.commit(s.claim(sl), query)
}

func (s *shop) commit(sl warehouse.Slice, query string) {
	s.Helper()
	s.now = s.now.Add(time.Minute)
	table := map[string]record.Table{"orders": orders, "people": people}[sl.Table]
	sl.Digest = query
	st, err := s.w.Stage(s.Context(), warehouse.Load{Slice: sl, Table: table, Now: s.now, Computed: &warehouse.Computed{Query: query, State: warehouse.State(nil)}})
	s.must(err)
	defer st.Close()
	_, err = st.Commit(s.Context(), nil)
	s.must(err)
}

const two, twoPeople = `SELECT * FROM (VALUES ('1', 'ann'), ('2', 'ann')) AS v("id", "person")`, `SELECT * FROM (VALUES ('ann'), ('bob')) AS v("id")`

// open makes a follower, as a platform does for each invocation.
func (s *shop) open(m follow.Model) follow.Follower {
	s.Helper()
	f, err := m.Function().Open(env.Map(nil), s.invocation())
	s.must(err)
	return f
}

func (s *shop) invocation() follow.Invocation {
	return follow.Invocation{Warehouse: s.w, Chain: s, Log: s.to, Owner: "test", Lease: time.Minute, Point: s.point,
		Now:    func() time.Time { return s.now },
		Inputs: []reverse.Input{{Function: "shop", Schema: "shop", Table: "orders"}, {Function: "shop", Schema: "shop", Table: "people"}}}
}

// start hands a loaded message to the model, and returns the state it ended in, ""
// where there was nothing to do.
func (s *shop) start(m follow.Model, st follow.Start) (follow.Outcome, error) {
	s.Helper()
	s.now = s.now.Add(time.Minute)
	out, err := s.open(m).Handle(s.Context(), st)
	if len(out) > 1 {
		s.Fatalf("%d outcomes of one model", len(out))
	}
	if len(out) == 0 {
		return follow.Outcome{}, err
	}
	return out[0], err
}

// ends fails unless a start by a message ends in a state.
func (s *shop) ends(want string) follow.Outcome {
	s.Helper()
	o, err := s.start(model(), follow.Start{Table: "shop.orders"})
	if err != nil || o.State != want {
		s.Fatalf("ended %q, %v, %v; want %q", o.State, o.Err, err, want)
	}
	return o
}

// query is the rows of a query as texts.
func (s *shop) query(q string) (out []string) {
	s.Helper()
	rows, err := s.w.DB().QueryContext(s.Context(), q)
	s.must(err)
	defer rows.Close()
	for rows.Next() {
		var v string
		s.must(rows.Scan(&v))
		out = append(out, v)
	}
	s.must(rows.Err())
	return out
}

func (s *shop) totals(want ...string) {
	s.Helper()
	if got := s.query(`SELECT "person" || ' ' || "n" FROM "analytics"."totals" ORDER BY 1`); !slices.Equal(got, want) {
		s.Errorf("totals are %q, want %q", got, want)
	}
}

// both loads a slice of each input.
func (s *shop) both() {
	s.Helper()
	s.load(day(1), two)
	s.load(scan(2), twoPeople)
}

func (s *shop) end(sl warehouse.Slice, state string) {
	s.Helper()
	s.must(s.w.End(s.Context(), s.claim(sl), state, errors.New("the vendor said so")))
}
