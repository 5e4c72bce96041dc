package local_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/millrace-data/millrace/shared/chain"
	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/platform/local"
	"github.com/millrace-data/millrace/shared/record"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreTopFunction("cloud.google.com/go/pubsub/v2.(*messageIterator).streamKeepAliveHandler"), // ends at its next ping, up to 30 s late
		goleak.IgnoreTopFunction("go.opencensus.io/stats/view.(*worker).start"))                             // started by an import
}

var (
	june = time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	noon = june.AddDate(0, 0, 3).Add(12 * time.Hour) // three days are over
)

// shop is a vendor in memory: three rows a day in each of two tables.
type shop struct {
	fail     func(s extract.Slice) error
	reads    atomic.Int64
	at, most atomic.Int64 // readers now, and most ever
}

func (v *shop) Read(ctx context.Context, s extract.Slice, out *extract.Out) error {
	v.reads.Add(1)
	v.most.Store(max(v.most.Load(), v.at.Add(1)))
	defer v.at.Add(-1)
	if v.fail != nil {
		if err := v.fail(s); err != nil {
			return err
		}
	}
	for n := range 3 {
		if err := out.Row(fmt.Appendf(nil, `{"id":"%s-%d","amount":"%d.5"}`, s.ID, n, n)); err != nil {
			return err
		}
	}
	return out.Page("done")
}

type sale struct {
	ID     string          `field:"id" key:"true"`
	Amount *record.Decimal `field:"amount"`
}

func (v *shop) function(workers int) *extract.Function {
	table := func(name string) extract.Table {
		return extract.Table{Slices: extract.Windows(24*time.Hour, 0, 0, june), Table: record.Table{Schema: "shop", Name: name,
			Columns: record.Columns[sale](), Key: record.Key[sale](), Mode: record.Merge}}
	}
	return &extract.Function{Name: "shop", Tables: []extract.Table{table("sales"), table("refunds")}, Workers: workers,
		Open: func(cfg env.Lookup, in extract.Invocation) (extract.Source, error) {
			var c struct {
				Key string `envconfig:"KEY" required:"true" doc:"the shop's key"`
			}
			in.Meter.AddRequest()
			return v, env.Load(cfg, "SHOP", &c)
		}}
}

func vars(t *testing.T, more ...string) map[string]string {
	m := map[string]string{"MILLRACE_HOME": t.TempDir(), "SHOP_KEY": "k"}
	for i := 0; i < len(more); i += 2 {
		m[more[i]] = more[i+1]
	}
	return m
}

func open(t *testing.T, o local.Options) *local.Cloud {
	t.Helper()
	if o.Env == nil {
		o.Env = env.Map(vars(t))
	}
	o.Backoff = time.Millisecond
	c, err := local.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func run(t *testing.T, c *local.Cloud, r extract.Request) *local.Report {
	t.Helper()
	r.Now = noon
	rep, err := c.Run(t.Context(), local.Request{Function: "shop", Request: r})
	if err != nil {
		t.Fatal(err)
	}
	return rep
}

func count(t *testing.T, c *local.Cloud, table string) (n int) {
	t.Helper()
	if err := c.Warehouse().DB().QueryRowContext(t.Context(), "SELECT count(*) FROM "+table).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestRun(t *testing.T) {
	v := &shop{}
	c := open(t, local.Options{Functions: []*extract.Function{v.function(1)}})
	mark := noon.Truncate(24 * time.Hour)
	want := &local.Report{Function: "shop", Outcome: local.OK, Requests: 2, Tables: []local.TableReport{
		{Table: "sales", Slices: 1, RowsSource: 3, RowsStaged: 3, RowsLoaded: 3, Mark: &mark},
		{Table: "refunds", Slices: 1, RowsSource: 3, RowsStaged: 3, RowsLoaded: 3, Mark: &mark},
	}}
	got := run(t, c, extract.Request{})
	got.TookMS = 0
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if got := run(t, c, extract.Request{}); got.Outcome != local.OK || got.Tables[0].Slices != 0 || *got.Tables[0].Mark != mark {
		t.Errorf("nothing due: got %+v", got)
	}
	if v.most.Load() != 1 {
		t.Errorf("%d slices were read at a time, want 1: Workers", v.most.Load())
	}
}

// A backfill with several workers, and only of the table that was named.
func TestBackfill(t *testing.T) {
	v := &shop{}
	c := open(t, local.Options{Functions: []*extract.Function{v.function(4)}})
	got := run(t, c, extract.Request{Tables: []string{"sales"}, From: june, To: noon, Purpose: extract.Backfill})
	if len(got.Tables) != 1 || got.Tables[0].Slices != 3 || got.Tables[0].RowsLoaded != 9 || count(t, c, "shop.sales") != 9 {
		t.Errorf("got %+v", got)
	}
}

func TestOutcomes(t *testing.T) {
	until := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	limited := fault.LimitedUntil(until, "quota used up")
	refused := fault.New(fault.Auth, "the key is refused")
	for _, c := range []struct {
		name           string
		sales, refunds error
		want, kind     string
	}{
		{"all failed", refused, refused, local.Failed, "auth"},
		{"one failed", refused, nil, local.Partial, "auth"},
		{"all paused", limited, limited, local.Paused, "limited"},
		{"one paused", limited, nil, local.Paused, "limited"},
		{"one paused, one failed", limited, refused, local.Failed, "limited"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := &shop{fail: func(s extract.Slice) error {
				return map[string]error{"sales": c.sales, "refunds": c.refunds}[s.Table]
			}}
			got := run(t, open(t, local.Options{Functions: []*extract.Function{v.function(1)}}), extract.Request{})
			if got.Outcome != c.want || len(got.Errors) == 0 || got.Errors[0].Kind != c.kind {
				t.Errorf("got %s %+v, want %s because of %s", got.Outcome, got.Errors, c.want, c.kind)
			}
			if c.want == local.Paused && (got.PausedUntil == nil || !got.PausedUntil.Equal(until)) {
				t.Errorf("paused until %v, want %v", got.PausedUntil, until)
			}
		})
	}
}

// Rows that could not be staged make a run partial, though every slice is loaded.
func TestRejectsArePartial(t *testing.T) {
	v := &shop{}
	f := v.function(1)
	f.Tables = f.Tables[:1]
	inner := f.Open
	f.Open = func(cfg env.Lookup, in extract.Invocation) (extract.Source, error) {
		_, err := inner(cfg, in)
		return sourceFunc(func(_ context.Context, _ extract.Slice, out *extract.Out) error {
			return errors.Join(out.Row([]byte(`{"id":"1","amount":"many"}`)), out.Row([]byte(`{"id":"2","amount":"2"}`)), out.Page("x"))
		}), err
	}
	got := run(t, open(t, local.Options{Functions: []*extract.Function{f}}), extract.Request{})
	if got.Outcome != local.Partial || got.Tables[0].RowsRejected != 1 || got.Tables[0].RowsLoaded != 1 {
		t.Errorf("got %+v", got)
	}
}

type sourceFunc func(context.Context, extract.Slice, *extract.Out) error

func (f sourceFunc) Read(ctx context.Context, s extract.Slice, out *extract.Out) error {
	return f(ctx, s, out)
}

// An event that no handler can deal with comes again a few times; then its slice
// has failed, with the reason, and the run ends. The next run reads it again.
func TestRedeliveryIsBounded(t *testing.T) {
	var loads atomic.Int64
	f := (&shop{}).function(1)
	f.Tables = f.Tables[:1]
	c := open(t, local.Options{Functions: []*extract.Function{f}, Point: func(name string) {
		if name == "in_tx_before_data" {
			loads.Add(1)
		}
	}})
	do := func(q string) {
		if _, err := c.Warehouse().DB().ExecContext(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	do(`CREATE SCHEMA shop`)
	do(`CREATE TABLE shop.sales (id VARCHAR, amount DECIMAL(38,9) CHECK (amount < 0), _extra JSON, _slice VARCHAR, _loaded_at TIMESTAMP)`)
	rep := run(t, c, extract.Request{})
	if rep.Outcome != local.Failed || len(rep.Errors) != 1 || !strings.Contains(rep.Errors[0].Error, "CHECK") {
		t.Fatalf("got %+v, want failed with a reason", rep)
	}
	if loads.Load() != 5 {
		t.Errorf("%d deliveries, want 5", loads.Load())
	}
	do(`DROP TABLE shop.sales`)
	if rep := run(t, c, extract.Request{}); rep.Outcome != local.OK || count(t, c, "shop.sales") != 3 {
		t.Errorf("after it: got %+v", rep)
	}
}

// An invocation that runs out of its time is continued by the next message, from
// the page it had reached.
func TestContinuation(t *testing.T) {
	t.Parallel()
	f := (&shop{}).function(1)
	f.Tables = f.Tables[:1]
	var cursors []string
	f.Open = func(env.Lookup, extract.Invocation) (extract.Source, error) {
		return sourceFunc(func(ctx context.Context, s extract.Slice, out *extract.Out) error {
			cursors = append(cursors, out.Cursor())
			if out.Cursor() != "" {
				return errors.Join(out.Row([]byte(`{"id":"2"}`)), out.Page("end"))
			}
			if err := errors.Join(out.Row([]byte(`{"id":"1"}`)), out.Page("one")); err != nil {
				return err
			}
			<-ctx.Done()
			return ctx.Err()
		}), nil
	}
	c := open(t, local.Options{Functions: []*extract.Function{f}, Deadline: 2 * time.Second})
	rep := run(t, c, extract.Request{})
	if rep.Outcome != local.OK || rep.Tables[0].RowsLoaded != 2 || rep.Tables[0].Slices != 1 {
		t.Errorf("got %+v", rep)
	}
	if diff := cmp.Diff([]string{"", "one"}, cursors); diff != "" {
		t.Errorf("cursors (-want +got)\n%s", diff)
	}
}

// The same event many times at once is one slice in the warehouse.
func TestDuplicateEvents(t *testing.T) {
	v := &shop{}
	f := v.function(4)
	c := open(t, local.Options{Functions: []*extract.Function{f}})
	body, err := json.Marshal(extract.Slice{Function: "shop", Table: "sales", ID: "2026-06-01", Purpose: extract.Backfill, From: june, To: june.AddDate(0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	event := chain.MessageEvent(chain.Message{Topic: chain.TopicSlices, ID: "7", Data: body}, "p", "s", noon)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if err := c.Deliver(t.Context(), "shop", event); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	rep, err := c.Invoke(t.Context(), "shop", event)
	if err != nil || rep.Outcome != local.OK || rep.Tables[0].RowsLoaded != 3 {
		t.Errorf("got %+v, %v", rep, err)
	}
	if n := count(t, c, "shop.sales"); n != 3 {
		t.Errorf("%d rows, want 3", n)
	}
	s, err := c.Warehouse().Slice(t.Context(), "shop", "sales", "2026-06-01")
	if err != nil {
		t.Fatal(err)
	}
	arrival := chain.ArrivalEvent("millrace-local", s.Manifest, "1", noon)
	if rep, err = c.Invoke(t.Context(), "load", arrival); err != nil || rep.Outcome != local.OK || rep.Tables[0].Slices != 1 {
		t.Errorf("the arrival again: got %+v, %v", rep, err)
	}
	if n := count(t, c, "shop.sales"); n != 3 {
		t.Errorf("%d rows after the arrival came again, want 3", n)
	}
}

func TestForeignEvents(t *testing.T) {
	c := open(t, local.Options{Functions: []*extract.Function{(&shop{}).function(1)}})
	message := chain.MessageEvent(chain.Message{Topic: chain.TopicSlices, ID: "7", Data: []byte("{}")}, "p", "s", noon)
	arrival := chain.ArrivalEvent("b", "shop/part-00001.ndjson.zst", "1", noon)
	for _, e := range []struct {
		name, function string
		event          []byte
		want           string
	}{
		{"no function", "till", message, "load"},
		{"no event", "shop", []byte("hello"), "unknown event"},
		{"arrival for a connector", "shop", arrival, "give it to load"},
		{"message for load", "load", message, "give it to the function it names"},
		{"no slice", "shop", message, "no slice of shop"},
	} {
		err := c.Deliver(t.Context(), e.function, e.event)
		if !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), e.want) {
			t.Errorf("%s: got %v, want invalid with %q", e.name, err, e.want)
		}
	}
	if err := c.Deliver(t.Context(), "load", arrival); err != nil {
		t.Errorf("the arrival of a part: got %v, want nil", err)
	}
}

func TestPlaces(t *testing.T) {
	for _, c := range []struct{ name, key, value, want string }{
		{"warehouse", "MILLRACE_WAREHOUSE", "postgres:me:secret@acc", "MILLRACE_WAREHOUSE is postgres:…, but this build offers only duckdb:PATH and snowflake:DSN"},
		{"stage", "MILLRACE_STAGE", "ftp://me:secret@bucket", "file:///FOLDER"},
		{"chain", "MILLRACE_CHAIN", "pubsub:acme", "only local"},
		{"deadline", "MILLRACE_DEADLINE", "soon", "MILLRACE_DEADLINE"},
		{"negative deadline", "MILLRACE_DEADLINE", "-1s", "needs time"},
	} {
		_, err := local.Open(t.Context(), local.Options{Env: env.Map(vars(t, c.key, c.value))})
		if !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: got %v, want invalid with %q", c.name, err, c.want)
		}
	}
	dir := t.TempDir()
	m := vars(t, "MILLRACE_WAREHOUSE", "duckdb:"+filepath.Join(dir, "w.db"), "MILLRACE_STAGE", "file://"+dir+"/st", "MILLRACE_DEADLINE", "30s")
	p, err := local.Locate(env.Map(m), "")
	if err != nil || p.Warehouse != dir+"/w.db" || p.Stage != dir+"/st" || p.Deadline != 30*time.Second || p.Home != m["MILLRACE_HOME"] {
		t.Errorf("got %+v, %v", p, err)
	}
}

func TestUnconfigured(t *testing.T) {
	v := &shop{}
	c := open(t, local.Options{Env: env.Map(map[string]string{"MILLRACE_HOME": t.TempDir()}), Functions: []*extract.Function{v.function(1)}})
	for name, want := range map[string]string{"shop": "SHOP_KEY", "till": "shop, load"} {
		_, err := c.Run(t.Context(), local.Request{Function: name})
		if !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want invalid with %s", err, want)
		}
	}
}
