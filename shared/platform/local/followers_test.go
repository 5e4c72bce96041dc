package local_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-data/millrace/shared/chain"
	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/follow"
	"github.com/millrace-data/millrace/shared/load"
	"github.com/millrace-data/millrace/shared/platform/local"
	"github.com/millrace-data/millrace/shared/record"
	"github.com/millrace-data/millrace/shared/warehouse"
)

// till is a follower in memory: it is started by some tables, and may load another.
type till struct {
	name    string
	follows []string
	fills   string // schema.table; "" = a sync
	do      func(context.Context, follow.Start) ([]follow.Outcome, error)
	needs   string // a variable

	mu       sync.Mutex
	starts   []follow.Start
	at, most atomic.Int64
	in       follow.Invocation
}

func (f *till) function() *follow.Function {
	out := &follow.Function{Name: f.name, Doc: "Counts.", Open: func(cfg env.Lookup, in follow.Invocation) (follow.Follower, error) {
		f.in = in
		if v, _ := cfg(f.needs); f.needs != "" && v == "" {
			return nil, fault.New(fault.Invalid, "configuration: %s is not set", f.needs)
		}
		return f, nil
	}}
	if schema, table, ok := strings.Cut(f.fills, "."); ok {
		out.Tables = []record.Table{{Schema: schema, Name: table, Columns: []record.Column{{Name: "email", PII: "email"}}}}
	}
	return out
}

func (f *till) Follows() []string { return f.follows }

func (f *till) Handle(ctx context.Context, s follow.Start) ([]follow.Outcome, error) {
	f.most.Store(max(f.most.Load(), f.at.Add(1)))
	defer f.at.Add(-1)
	f.mu.Lock()
	f.starts = append(f.starts, s)
	f.mu.Unlock()
	if f.do != nil {
		return f.do(ctx, s)
	}
	return f.tell(ctx)
}

// tell loads what it fills, or ends a sync.
func (f *till) tell(ctx context.Context) ([]follow.Outcome, error) {
	if f.fills == "" {
		return []follow.Outcome{{Name: "daily", State: "applied", Rows: 1}}, nil
	}
	body, err := json.Marshal(load.Loaded{Function: f.name, Table: f.fills, Slice: "s", Rows: 2})
	if err == nil {
		err = f.in.Chain.Publish(ctx, chain.Message{Topic: chain.TopicLoaded, Key: f.fills, Data: body,
			Attributes: map[string]string{"function": f.name, "table": f.fills, "slice": "s"}})
	}
	return []follow.Outcome{{Name: f.fills, State: warehouse.Loaded, Rows: 2}}, err
}

func (f *till) started() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.starts)
}

// street is a cloud with a shop and what follows its tables.
func street(t *testing.T, o local.Options, tills ...*till) *local.Cloud {
	t.Helper()
	o.Functions = []*extract.Function{(&shop{}).function(4)}
	for _, f := range tills {
		o.Followers = append(o.Followers, f.function())
	}
	return open(t, o)
}

// A run of a connector starts what follows its tables, which starts what follows them.
func TestFollowersInTurn(t *testing.T) {
	sums := &till{name: "sums", follows: []string{"shop.sales"}, fills: "analytics.sums"}
	sync := &till{name: "sync", follows: []string{"analytics.sums"}}
	idle := &till{name: "idle", follows: []string{"shop.sales"}, do: func(context.Context, follow.Start) ([]follow.Outcome, error) { return nil, nil }}
	c := street(t, local.Options{}, sums, sync, idle)
	got := run(t, c, extract.Request{})
	want := []local.FollowerReport{
		{Function: "sums", Outcome: local.OK, Tables: []local.SyncReport{{Table: "analytics.sums", State: "loaded", Rows: 2}}},
		{Function: "sync", Outcome: local.OK, Syncs: []local.SyncReport{{Sync: "daily", State: "applied", Rows: 1}}},
	}
	if diff := cmp.Diff(want, got.Followers); diff != "" || got.Outcome != local.OK {
		t.Errorf("%s (-want +got)\n%s", got.Outcome, diff)
	}
	if diff := cmp.Diff([]follow.Start{{Table: "analytics.sums"}}, sync.starts); diff != "" {
		t.Errorf("starts (-want +got)\n%s", diff)
	}
	if n := count(t, c, `millrace.runs WHERE step = 'follow' AND outcome IN ('loaded', 'applied')`); n != 2 {
		t.Errorf("%d runs of followers", n)
	}
	if in := idle.in.Inputs; len(in) != 3 || in[2].Function != "sums" || in[2].FullName() != "analytics.sums" || in[2].Classes["email"] != "email" {
		t.Errorf("inputs are %+v", in)
	}
	if got := run(t, c, extract.Request{}); got.Followers != nil || idle.started() != 1 {
		t.Errorf("nothing was loaded: got %+v, %d starts", got.Followers, idle.started())
	}
}

// While a start is under way, loads go on; the last start sees the last of them, and
// there is one at a time.
func TestLastLoadIsSeen(t *testing.T) {
	hold, seen := make(chan struct{}), make(chan int, 100)
	var c *local.Cloud
	var once sync.Once
	f := &till{name: "sums", follows: []string{"shop.sales"}}
	f.do = func(ctx context.Context, _ follow.Start) ([]follow.Outcome, error) {
		once.Do(func() { <-hold })
		var n int
		err := c.Warehouse().DB().QueryRowContext(ctx, "SELECT count(*) FROM millrace.slices WHERE state = 'loaded' AND table_name = 'sales'").Scan(&n)
		seen <- n
		return nil, err
	}
	loaded := atomic.Int64{}
	c = street(t, local.Options{Loaded: func(o load.Outcome) {
		if o.Table == "sales" && loaded.Add(1) == 30 { // its message is published before
			close(hold)
		}
	}}, f)
	from := june.AddDate(0, 0, -27)
	rep := run(t, c, extract.Request{Tables: []string{"sales"}, From: from, To: noon, Purpose: extract.Backfill})
	if rep.Tables[0].Slices != 30 {
		t.Fatalf("got %+v", rep.Tables)
	}
	close(seen)
	last := 0
	for n := range seen {
		last = n
	}
	if n := f.started(); n < 2 || n > 30 || last != 30 {
		t.Errorf("%d starts, the last one saw %d slices", n, last)
	}
	if f.most.Load() != 1 {
		t.Errorf("%d starts at a time", f.most.Load())
	}
}

// What becomes of a follower is no part of how the connector's run ended.
func TestFollowerFaults(t *testing.T) {
	until := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	refused := fault.New(fault.Refused, "Score__c.zeroed: 4 of 5")
	for _, tc := range []struct {
		name   string
		out    []follow.Outcome
		err    error
		want   string
		starts int
	}{
		{"comes again, but not for ever", nil, fault.New(fault.Transient, "away"), local.Failed, 5},
		{"quota that is back later", nil, fault.LimitedUntil(until, "used up"), local.Paused, 1},
		{"quota without a time", nil, fault.New(fault.Limited, "used up"), local.Failed, 5},
		{"key refused", nil, fault.New(fault.Auth, "the key"), local.Failed, 1},
		{"another worker has it", nil, fault.New(fault.Stale, "another"), "", 1},
		{"blocked", []follow.Outcome{{Name: "daily", State: "blocked", Err: refused}}, nil, local.Refused, 1},
		{"some rows", []follow.Outcome{{Name: "daily", State: "applied", Rows: 3, Err: fault.New(fault.Refused, "2 rows")}}, nil, local.Partial, 1},
		{"one of two", []follow.Outcome{{Name: "daily", State: "applied"}, {Name: "b", State: "blocked", Err: refused}}, nil, local.Partial, 1},
		{"waits for a person", []follow.Outcome{{Name: "daily", State: "ready"}}, nil, local.OK, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := &till{name: "sync", follows: []string{"shop.sales"}, do: func(context.Context, follow.Start) ([]follow.Outcome, error) { return tc.out, tc.err }}
			got := run(t, street(t, local.Options{}, f), extract.Request{})
			is := ""
			if len(got.Followers) == 1 {
				is = got.Followers[0].Outcome
			}
			if is != tc.want || got.Outcome != local.OK || len(got.Errors) > 0 || f.started() != tc.starts {
				t.Errorf("got %q of %+v after %d starts; the run: %s", is, got.Followers, f.started(), got.Outcome)
			}
		})
	}
}

func TestRunFollower(t *testing.T) {
	sums := &till{name: "sums", follows: []string{"shop.sales"}, fills: "analytics.sums"}
	sync := &till{name: "sync", follows: []string{"analytics.sums"}}
	c := street(t, local.Options{}, sums, sync)
	do := func(function string, r extract.Request) *local.Report {
		t.Helper()
		r.Now = noon
		rep, err := c.Run(t.Context(), local.Request{Function: function, Request: r})
		if err != nil {
			t.Fatal(err)
		}
		rep.TookMS = 0
		return rep
	}
	applied := []local.SyncReport{{Sync: "daily", State: "applied", Rows: 1}}
	want := &local.Report{Function: "sums", Outcome: local.OK, Tables: []local.TableReport{{Table: "sums", Slices: 1, RowsSource: 2, RowsStaged: 2, RowsLoaded: 2}},
		Followers: []local.FollowerReport{{Function: "sync", Outcome: local.OK, Syncs: applied}}}
	if diff := cmp.Diff(want, do("sums", extract.Request{})); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	want = &local.Report{Function: "sync", Outcome: local.OK, Tables: []local.TableReport{}, Syncs: applied}
	if diff := cmp.Diff(want, do("sync", extract.Request{Tables: []string{"daily"}})); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if diff := cmp.Diff(follow.Start{Hand: true, At: noon, Only: []string{"daily"}}, sync.starts[1]); diff != "" {
		t.Errorf("start (-want +got)\n%s", diff)
	}
	if _, err := c.Run(t.Context(), local.Request{Function: "sync", Request: extract.Request{From: june}}); !errors.Is(err, fault.Invalid) {
		t.Errorf("a range: got %v, want invalid", err)
	}
}

// By hand a passing fault is tried again, and what cannot be is the run's own error.
func TestRunFollowerFaults(t *testing.T) {
	for _, tc := range []struct {
		name   string
		err    error
		fails  int
		starts int
		kind   error
	}{
		{"passes", fault.New(fault.Transient, "away"), 2, 3, nil},
		{"does not", fault.New(fault.Transient, "away"), 9, 5, fault.Transient},
		{"quota", fault.LimitedUntil(noon, "used up"), 9, 1, fault.Limited},
		{"a job that is wrong", fault.New(fault.Invalid, "job"), 9, 1, fault.Invalid},
	} {
		f := &till{name: "sync"}
		left := tc.fails
		f.do = func(ctx context.Context, _ follow.Start) ([]follow.Outcome, error) {
			if left--; left >= 0 {
				return nil, tc.err
			}
			return f.tell(ctx)
		}
		rep, err := street(t, local.Options{}, f).Run(t.Context(), local.Request{Function: "sync"})
		if tc.kind == nil && (err != nil || rep.Outcome != local.OK) || tc.kind != nil && !errors.Is(err, tc.kind) || f.started() != tc.starts {
			t.Errorf("%s: got %+v, %v after %d starts", tc.name, rep, err, f.started())
		}
	}
}

// A follower that is not configured is left out of a run, and names what it lacks to
// who asks for it.
func TestUnconfiguredFollower(t *testing.T) {
	f := &till{name: "sync", follows: []string{"shop.sales"}, needs: "SYNC_KEY"}
	c := street(t, local.Options{}, f)
	if got := run(t, c, extract.Request{}); got.Outcome != local.OK || got.Followers != nil || f.started() != 0 {
		t.Errorf("got %+v, %d starts", got, f.started())
	}
	_, err := c.Run(t.Context(), local.Request{Function: "sync"})
	for what, err := range map[string]error{"run": err, "deliver": c.Deliver(t.Context(), "sync", []byte(`{"function":"sync"}`)),
		"configured": local.ConfiguredFollower(f.function(), env.Map(nil), nil)} {
		if !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "SYNC_KEY") {
			t.Errorf("%s: got %v, want invalid with SYNC_KEY", what, err)
		}
	}
}

func TestInvokeFollower(t *testing.T) {
	f := &till{name: "sync", follows: []string{"shop.sales"}}
	c := street(t, local.Options{}, f)
	loaded := func(table string) []byte {
		return chain.MessageEvent(chain.Message{Topic: chain.TopicLoaded, ID: "7", Data: []byte(`{"function":"shop","table":"` + table + `","slice":"s"}`),
			Attributes: map[string]string{"table": table}}, "p", "s", noon)
	}
	for name, tc := range map[string]struct {
		event []byte
		did   int
	}{"a table": {loaded("shop.sales"), 1}, "another": {loaded("shop.refunds"), 0}, "a tick": {[]byte(`{"function":"sync"}`), 1}} {
		rep, err := c.Invoke(t.Context(), "sync", tc.event)
		if err != nil || rep.Outcome != local.OK || len(rep.Syncs) != tc.did {
			t.Errorf("%s: got %+v, %v", name, rep, err)
		}
	}
	_, err := c.Invoke(t.Context(), "sync", chain.ArrivalEvent("b", "shop/part-00001.ndjson.zst", "1", noon))
	if !errors.Is(err, fault.Invalid) {
		t.Errorf("an arrival: got %v, want invalid", err)
	}
}
