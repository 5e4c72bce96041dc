package extract_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/extract/extracttest"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/record"
	"github.com/millrace-data/millrace/shared/warehouse"
)

const day = 24 * time.Hour

var now = time.Date(2025, 1, 5, 2, 0, 0, 0, time.UTC)

// counter is a vendor that has pages x perPage numbered rows for every window, and
// does to the reader what before says.
type counter struct {
	pages, perPage int
	before         func(s extract.Slice, page int) error
	requests       int
}

type number struct {
	ID string    `field:"id" key:"true"`
	At time.Time `field:"at"`
	N  int64     `field:"n"`
}

func (c *counter) function() *extract.Function {
	return &extract.Function{Name: "counter", Workers: 1,
		Tables: []extract.Table{{
			Table:  record.Table{Schema: "counter", Name: "numbers", Columns: record.Columns[number](), Key: record.Key[number](), Mode: record.Merge},
			Slices: extract.Windows(day, time.Hour, day, time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)),
		}},
		Open: func(env.Lookup, extract.Invocation) (extract.Source, error) { return c, nil }}
}

func (c *counter) Read(_ context.Context, s extract.Slice, out *extract.Out) error {
	first, _ := strconv.Atoi(out.Cursor())
	for page := first; page < c.pages; page++ {
		c.requests++
		if c.before != nil {
			if err := c.before(s, page); err != nil {
				return err
			}
		}
		for i := range c.perPage {
			n := page*c.perPage + i
			row := fmt.Sprintf(`{"id":"%s-%d","at":%q,"n":%d}`, s.ID, n, s.From.Format(time.RFC3339), n)
			if err := out.Row([]byte(row)); err != nil {
				return err
			}
		}
		if err := out.Page(strconv.Itoa(page + 1)); err != nil {
			return err
		}
	}
	return nil
}

// balanced fails unless the table holds every row of the given number of slices
// exactly once, and the ledger says the same.
func balanced(t *testing.T, m *extracttest.Mill, c *counter, slices int) {
	t.Helper()
	want := c.pages * c.perPage * slices
	got := m.Rows(t, `SELECT count(*), count(DISTINCT id) FROM counter.numbers`)
	if diff := cmp.Diff([]string{fmt.Sprintf("%d|%d", want, want)}, got); diff != "" {
		t.Errorf("rows, distinct rows (-want +got):\n%s", diff)
	}
	if odd := m.Rows(t, `SELECT slice, state, rows_source, rows_staged, rows_rejected, rows_loaded FROM millrace.slices WHERE state <> 'loaded' OR rows_source <> rows_staged + rows_rejected OR rows_source <> rows_loaded + rows_rejected`); len(odd) > 0 {
		t.Errorf("slices that do not balance: %v", odd)
	}
}

func run(t *testing.T, m *extracttest.Mill, c *counter, r extract.Request) {
	t.Helper()
	if r.Now.IsZero() {
		r.Now = now
	}
	if err := m.Run(t.Context(), c.function(), r); err != nil {
		t.Fatal(err)
	}
}

func TestExactlyOnce(t *testing.T) {
	c := &counter{pages: 3, perPage: 4}
	m := extracttest.New(t, env.Map(nil))
	run(t, m, c, extract.Request{})
	balanced(t, m, c, 2) // history [1 Jan, 4 Jan) and 4 Jan
	if len(m.Loaded) != 2 {
		t.Errorf("%d loaded messages, want 2", len(m.Loaded))
	}
	before := m.Rows(t, `SELECT * FROM counter.numbers ORDER BY id`)
	run(t, m, c, extract.Request{})
	if diff := cmp.Diff(before, m.Rows(t, `SELECT * FROM counter.numbers ORDER BY id`)); diff != "" {
		t.Errorf("the second run changed rows (-first +second):\n%s", diff)
	}
	if got := m.Rows(t, `SELECT mark FROM millrace.marks`); got[0] != "2025-01-05 00:00:00" {
		t.Errorf("mark %v, want 2025-01-05", got)
	}
}

func TestMessageTwice(t *testing.T) {
	c := &counter{pages: 2, perPage: 1}
	m := extracttest.New(t, env.Map(nil))
	f := c.function()
	if _, err := m.Extract.Tick(t.Context(), f, extract.Request{Now: now}); err != nil {
		t.Fatal(err)
	}
	m.Slices = append(m.Slices, m.Slices...)
	if err := m.Drain(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	balanced(t, m, c, 2)
	if c.requests != 4 {
		t.Errorf("%d requests for 2 slices of 2 pages, each announced twice: the repeated message was read again", c.requests)
	}
}

func TestManifestTwiceAndLate(t *testing.T) {
	c := &counter{pages: 1, perPage: 3}
	m := extracttest.New(t, env.Map(nil))
	run(t, m, c, extract.Request{})
	old := m.Rows(t, `SELECT manifest FROM millrace.slices WHERE slice = '2025-01-04'`)[0]
	run(t, m, c, extract.Request{}) // the lookback reads the day again, under a newer fence
	published := len(m.Loaded)
	o, err := m.Load.Handle(t.Context(), old, "late")
	if err != nil || o.State != "stale" {
		t.Errorf("the manifest of an older fence: state %q, error %v; want stale", o.State, err)
	}
	if len(m.Loaded) != published {
		t.Error("a stale manifest was announced as loaded")
	}
	newest := m.Rows(t, `SELECT manifest FROM millrace.slices WHERE slice = '2025-01-04'`)[0]
	if o, err := m.Load.Handle(t.Context(), newest, "again"); err != nil || !o.Again {
		t.Errorf("the same manifest again: %+v, error %v; want Again", o, err)
	}
	if len(m.Loaded) != published+1 {
		t.Error("an event that came again must publish again: the first one may have died before it did")
	}
	balanced(t, m, c, 2)
}

func TestDeadlineContinues(t *testing.T) {
	const pages = 6
	pause := 60 * time.Millisecond
	c := &counter{pages: pages, perPage: 5, before: func(extract.Slice, int) error {
		<-time.After(pause) // the vendor takes its time; the deadline is real
		return nil
	}}
	m := extracttest.New(t, env.Map(nil))
	m.Deadline = 5 * pause
	run(t, m, c, extract.Request{})
	balanced(t, m, c, 2)
	continued := 0
	for _, o := range m.Outcomes {
		if o.State == warehouse.Planned {
			continued++
		}
	}
	if continued == 0 {
		t.Fatal("no invocation stopped for its deadline: the test shows nothing")
	}
	if most := 2*pages + continued; c.requests > most {
		t.Errorf("%d requests, want at most %d: a continuation reads at most one page again", c.requests, most)
	}
}

func TestFaults(t *testing.T) {
	until := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	for _, tc := range []struct {
		name  string
		err   error
		state string
		kind  string
	}{
		{"limited", fault.LimitedUntil(until, "quota used up"), warehouse.Paused, "limited"},
		{"auth", fault.New(fault.Auth, "key refused"), warehouse.Failed, "auth"},
		{"corrupt", fault.New(fault.Corrupt, "not what was promised"), warehouse.Failed, "corrupt"},
		{"unnamed", errors.New("connection refused"), warehouse.Failed, "transient"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := &counter{pages: 3, perPage: 2, before: func(_ extract.Slice, page int) error {
				if page == 2 {
					return tc.err
				}
				return nil
			}}
			m := extracttest.New(t, env.Map(nil))
			run(t, m, c, extract.Request{From: now.Add(-2 * day).Truncate(day), To: now.Add(-day).Truncate(day)})
			got := m.Rows(t, `SELECT state, error_kind, error LIKE '%counter.numbers slice 2025-01-03: %', coalesce(paused_until::VARCHAR, ''), loaded_at FROM millrace.slices`)
			paused := ""
			if tc.state == warehouse.Paused {
				paused = until.Format("2006-01-02 15:04:05")
			}
			if diff := cmp.Diff([]string{strings.Join([]string{tc.state, tc.kind, "true", paused, "null"}, "|")}, got); diff != "" {
				t.Errorf("ledger (-want +got):\n%s", diff)
			}
			if n := m.Rows(t, `SELECT count(*) FROM information_schema.tables WHERE table_schema = 'counter'`); n[0] != "0" {
				t.Error("a slice that was not read to its end reached the warehouse")
			}
			if tc.state == warehouse.Paused {
				return
			}
			c.before, c.requests = nil, 0
			run(t, m, c, extract.Request{})
			balanced(t, m, c, 2)
			if tc.name == "unnamed" && c.requests != 1+3 {
				t.Errorf("%d requests after the fault was gone, want 1 for the slice that goes on from its cursor and 3 for the other", c.requests)
			}
		})
	}
}

func TestPausedWaits(t *testing.T) {
	c := &counter{pages: 1, perPage: 1, before: func(extract.Slice, int) error {
		return fault.LimitedUntil(time.Now().Add(time.Hour), "quota used up")
	}}
	m := extracttest.New(t, env.Map(nil))
	run(t, m, c, extract.Request{})
	asked := c.requests
	run(t, m, c, extract.Request{})
	if c.requests != asked {
		t.Errorf("a paused slice asked the vendor again before its time")
	}
	if o := m.Outcomes[len(m.Outcomes)-1]; o.State != warehouse.Paused || o.Until.IsZero() {
		t.Errorf("outcome %+v, want paused with a time", o)
	}
}

func TestStagedIsAnnouncedAgain(t *testing.T) {
	c := &counter{pages: 2, perPage: 2}
	m := extracttest.New(t, env.Map(nil))
	f := c.function()
	if _, err := m.Extract.Tick(t.Context(), f, extract.Request{Now: now}); err != nil {
		t.Fatal(err)
	}
	for _, msg := range m.Slices {
		if _, err := m.Extract.Handle(t.Context(), f, msg); err != nil {
			t.Fatal(err)
		}
	}
	m.Slices, m.Arrivals = nil, nil // the process dies here, and with it the local bucket's notices
	asked := c.requests
	run(t, m, c, extract.Request{})
	balanced(t, m, c, 2)
	if c.requests != asked {
		t.Errorf("%d more requests: what is staged was read again", c.requests-asked)
	}
}

func TestBackfill(t *testing.T) {
	c := &counter{pages: 1, perPage: 2}
	m := extracttest.New(t, env.Map(nil))
	date := func(d int) time.Time { return time.Date(2025, 1, d, 0, 0, 0, 0, time.UTC) }
	mark := func() string { return m.Rows(t, `SELECT mark FROM millrace.marks`)[0] }
	run(t, m, c, extract.Request{From: date(1), To: date(2), Now: date(9)})
	run(t, m, c, extract.Request{From: date(4), To: date(5), Now: date(9)})
	if got := mark(); got != "2025-01-02 00:00:00" {
		t.Errorf("mark %s is past the hole at 2 January", got)
	}
	back := extract.Request{Purpose: extract.Backfill, Now: date(9)}
	back.From, back.To = date(6), date(7)
	run(t, m, c, back)
	if got := mark(); got != "2025-01-02 00:00:00" {
		t.Errorf("mark %s: a backfill beyond the hole moved it", got)
	}
	back.From, back.To = time.Date(2024, 12, 30, 0, 0, 0, 0, time.UTC), time.Date(2024, 12, 31, 0, 0, 0, 0, time.UTC)
	run(t, m, c, back)
	if got := mark(); got != "2025-01-02 00:00:00" {
		t.Errorf("mark %s: a backfill before the live slices moved it", got)
	}
	back.From, back.To = date(2), date(4)
	run(t, m, c, back)
	if got := mark(); got != "2025-01-05 00:00:00" {
		t.Errorf("mark %s, want the end of the coverage that is whole now", got)
	}
	balanced(t, m, c, 6)
}

// brokenOnce is a counter whose second page breaks off after one row, once.
type brokenOnce struct {
	counter
	broken bool
}

func (b *brokenOnce) Read(ctx context.Context, s extract.Slice, out *extract.Out) error {
	if !b.broken && s.ID == "2025-01-04" {
		b.broken = true
		pages := b.pages
		b.pages = 1
		err := b.counter.Read(ctx, s, out)
		b.pages = pages
		if err == nil {
			// Large enough to be staged before the page has ended.
			err = out.Row([]byte(`{"id":"2025-01-04-half","at":"2025-01-04T00:00:00Z","n":1,"pad":"` + strings.Repeat("x", 1<<20) + `"}`))
		}
		if err == nil {
			err = errors.New("connection lost")
		}
		return err
	}
	return b.counter.Read(ctx, s, out)
}

func TestBrokenPage(t *testing.T) {
	b := &brokenOnce{counter: counter{pages: 3, perPage: 2}}
	m := extracttest.New(t, env.Map(nil))
	f := b.function()
	f.Open = func(env.Lookup, extract.Invocation) (extract.Source, error) { return b, nil }
	for range 2 {
		if err := m.Run(t.Context(), f, extract.Request{Now: now}); err != nil {
			t.Fatal(err)
		}
	}
	balanced(t, m, &b.counter, 2)
}

func TestRejectsAreKept(t *testing.T) {
	c := &counter{pages: 1, perPage: 2}
	m := extracttest.New(t, env.Map(nil))
	f := c.function()
	bad := true
	f.Open = func(env.Lookup, extract.Invocation) (extract.Source, error) {
		return source(func(ctx context.Context, s extract.Slice, out *extract.Out) error {
			if bad {
				if err := out.Row([]byte(`{"id":"x","at":"not a time","n":1}`)); err != nil {
					return err
				}
				if err := out.Row([]byte(`{"id":null,"at":"2025-01-04T00:00:00Z","n":1}`)); err != nil {
					return err
				}
			}
			return c.Read(ctx, s, out)
		}), nil
	}
	one := extract.Request{Now: now, From: now.Truncate(day).Add(-day)}
	for _, want := range [][]string{{"1|open", "1|open"}, {"2|open", "2|open"}} {
		if err := m.Run(t.Context(), f, one); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, m.Rows(t, `SELECT attempts, state FROM millrace.rejects`)); diff != "" {
			t.Errorf("rejects (-want +got):\n%s", diff)
		}
	}
	if got := m.Rows(t, `SELECT rows_source, rows_staged, rows_rejected, rows_loaded FROM millrace.slices`); got[0] != "4|2|2|2" {
		t.Errorf("source, staged, rejected, loaded: %v", got)
	}
	bad = false
	if err := m.Run(t.Context(), f, one); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"replayed", "replayed"}, m.Rows(t, `SELECT state FROM millrace.rejects`)); diff != "" {
		t.Errorf("rejects once the vendor has mended its rows (-want +got):\n%s", diff)
	}
	balanced(t, m, c, 1)
}

// source is a function as a Source.
type source func(context.Context, extract.Slice, *extract.Out) error

func (f source) Read(ctx context.Context, s extract.Slice, out *extract.Out) error {
	return f(ctx, s, out)
}
