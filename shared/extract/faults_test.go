package extract_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/extract/extracttest"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/rest"
	"github.com/millrace-data/millrace/shared/stage"
	"github.com/millrace-data/millrace/shared/warehouse"
)

var oneDay = extract.Request{Now: now, From: now.Truncate(day).Add(-day), To: now.Truncate(day)}

// blocked puts a folder where the n-th attempt wants to write an object, so that
// the write fails at its very end, as on a disk that is full.
func blocked(t *testing.T, dir, slice string, fence int64, object string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(dir, "stage", stage.Dir("counter", "numbers", slice, fence), object, "x"), 0o755); err != nil {
		t.Fatal(err)
	}
}

// The stage fails where a part is closed, in the middle of the slice or at its
// end, or where the manifest is written: nothing is visible, the ledger says what
// and why, and the next run loads every row once.
func TestStageFails(t *testing.T) {
	slice := oneDay.From.Format(time.DateOnly)
	for _, c := range []struct {
		object  string
		flush   time.Duration
		request int // of the next run
	}{
		{"part-00001.ndjson.zst", time.Hour, 4},
		{"part-00003.ndjson.zst", 1, 1 + 1}, // two pages of four are kept
		{"manifest.json", 1, 0},
	} {
		t.Run(c.object, func(t *testing.T) {
			dir := t.TempDir()
			m, err := extracttest.Open(t.Context(), dir, env.Map(nil))
			if err != nil {
				t.Fatal(err)
			}
			defer m.Warehouse.Close()
			m.Extract.FlushEvery = c.flush
			n := &counter{pages: 4, perPage: 2}
			blocked(t, dir, slice, 1, c.object)
			run(t, m, n, oneDay)
			got := m.Rows(t, `SELECT state, error LIKE '%numbers slice `+slice+`: %`+c.object+`%', loaded_at FROM millrace.slices`)
			if len(got) != 1 || got[0] != "failed|true|null" {
				t.Errorf("ledger: %v, %v", got, m.Outcomes[0].Err)
			}
			if o := m.Outcomes[0]; o.State != warehouse.Failed || o.Err == nil || len(m.Arrivals)+len(m.Loads) > 0 {
				t.Errorf("outcome %+v, arrivals %v; want a failure that nobody loads", o, m.Arrivals)
			}
			if runs := m.Rows(t, `SELECT outcome FROM millrace.runs`); runs[0] != "failed" {
				t.Errorf("millrace.runs says %v", runs)
			}
			n.requests = 0
			run(t, m, n, oneDay)
			balanced(t, m, n, 1)
			if n.requests > c.request {
				t.Errorf("%d requests, want at most %d: what was staged is kept", n.requests, c.request)
			}
		})
	}
}

// A cursor that is not readable fails the slice once, and not for ever.
func TestCursorDamaged(t *testing.T) {
	m := extracttest.New(t, env.Map(nil))
	n := &counter{pages: 2, perPage: 2, before: func(extract.Slice, int) error { return errors.New("connection lost") }}
	run(t, m, n, oneDay)
	if _, err := m.Warehouse.DB().ExecContext(t.Context(), `UPDATE millrace.slices SET cursor = '{"parts":'`); err != nil {
		t.Fatal(err)
	}
	n.before = nil
	run(t, m, n, oneDay)
	if o := m.Outcomes[1]; o.State != warehouse.Failed || !errors.Is(o.Err, fault.Corrupt) || !strings.Contains(o.Err.Error(), "run the function again") {
		t.Errorf("got %+v, want a failure that says what to do", o)
	}
	run(t, m, n, oneDay)
	balanced(t, m, n, 1)
}

// The lease is lost while a page is read: the worker stops quietly, and the one
// that has the newer fence is not disturbed.
func TestLeaseLostWhileReading(t *testing.T) {
	m := extracttest.New(t, env.Map(nil))
	m.Extract.FlushEvery = 1
	n := &counter{pages: 3, perPage: 2}
	n.before = func(s extract.Slice, page int) error {
		if page != 1 {
			return nil
		}
		n.before = nil
		var err error
		for range 1000 { // the page before is being flushed meanwhile, which renews the lease
			if _, err = m.Warehouse.DB().ExecContext(t.Context(), `UPDATE millrace.slices SET lease_until = NULL`); err == nil {
				_, err = m.Warehouse.Claim(context.WithoutCancel(t.Context()), s.Function, s.Table, s.ID, "another", time.Minute)
			}
			if err == nil {
				break
			}
		}
		return err
	}
	run(t, m, n, oneDay)
	if o := m.Outcomes[0]; o.State != extract.Stale || o.Err != nil {
		t.Errorf("got %+v, want stale", o)
	}
	if got := m.Rows(t, `SELECT state, owner, fence, error FROM millrace.slices`); got[0] != "extracting|another|2|null" {
		t.Errorf("ledger: %v", got)
	}
}

// A pause is over when its time has come, without anybody's help.
func TestPauseEnds(t *testing.T) {
	m := extracttest.New(t, env.Map(nil))
	n := &counter{pages: 2, perPage: 2, before: func(extract.Slice, int) error {
		return fault.LimitedUntil(time.Now().Add(-time.Second), "quota used up")
	}}
	run(t, m, n, oneDay)
	if got := m.Rows(t, `SELECT state FROM millrace.slices`); got[0] != "paused" {
		t.Fatalf("ledger: %v", got)
	}
	n.before = nil
	run(t, m, n, oneDay)
	balanced(t, m, n, 1)
}

// A row that is rejected and, quoted, longer than a line may be is counted and
// does not break the load.
func TestRejectTooLong(t *testing.T) {
	m := extracttest.New(t, env.Map(nil))
	c := &counter{pages: 1, perPage: 2}
	f := c.function()
	f.Open = func(env.Lookup, extract.Invocation) (extract.Source, error) {
		return source(func(ctx context.Context, s extract.Slice, out *extract.Out) error {
			row := `{"id":"x","at":"not a time","n":1,"note":"` + strings.Repeat(`\"`, 5<<20) + `"}`
			return errors.Join(out.Row([]byte(row)), c.Read(ctx, s, out))
		}), nil
	}
	if err := m.Run(t.Context(), f, oneDay); err != nil {
		t.Fatal(err)
	}
	if got := m.Rows(t, `SELECT state, rows_source, rows_rejected, rows_loaded FROM millrace.slices`); got[0] != "loaded|3|1|2" {
		t.Errorf("ledger: %v, %+v", got, m.Loads)
	}
	if got := m.Rows(t, `SELECT "row", reason LIKE '%too long to be kept%' FROM millrace.rejects`); got[0] != "{}|true" {
		t.Errorf("rejects: %v", got)
	}
}

// A vendor that cannot be reached is not waited for by every slice there is.
func TestUnreachedVendorIsSpared(t *testing.T) {
	c := &counter{pages: 1, perPage: 1, before: func(extract.Slice, int) error {
		return fmt.Errorf("vendor %w", rest.ErrUnreached)
	}}
	m := extracttest.New(t, env.Map(nil))
	run(t, m, c, extract.Request{From: now.AddDate(0, 0, -20), To: now})
	if c.requests != 2 || len(m.Outcomes) < 10 {
		t.Errorf("asked %d times for %d slices, want 2", c.requests, len(m.Outcomes))
	}
	for _, o := range m.Outcomes {
		if o.State != warehouse.Failed {
			t.Errorf("slice %s is %s", o.Slice.ID, o.State)
		}
	}
}
