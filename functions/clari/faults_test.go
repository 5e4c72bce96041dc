package clari_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-data/millrace/functions/clari"
	"github.com/millrace-data/millrace/functions/clari/claritest"
	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/rest"
	"github.com/millrace-data/millrace/shared/rest/resttest"
)

// What a vendor does to a network once must cost no export and no row.
func TestNetworkFaults(t *testing.T) {
	const post, list, results, limits = "/export/forecast/", "/export/jobs", "/results", "/admin/limits"
	for _, c := range []struct {
		name  string
		fault resttest.Fault
		runs  int // until all is loaded
	}{
		{"queued, and the answer is lost", resttest.Fault{Path: post, Do: resttest.Cut(0)}, 1},
		{"queued, and the answer is cut", resttest.Fault{Path: post, Do: resttest.Cut(7)}, 1},
		{"queued, and a web page answers", resttest.Fault{Path: post, Do: resttest.Rewrite(func([]byte) []byte { return []byte(" <html>") })}, 1},
		{"queued, and the answer has no id", resttest.Fault{Path: post, Do: resttest.Swap("jobId", "id")}, 1},
		{"503 before anything happened", resttest.Fault{Path: post, Do: resttest.Status(503, "")}, 1},
		{"429 on queuing", resttest.Fault{Path: post, Do: resttest.RetryAfter(429, time.Second)}, 1},
		{"results cut", resttest.Fault{Path: results, Do: resttest.Cut(999)}, 1},
		{"results are a web page", resttest.Fault{Path: results, Do: resttest.HTML()}, 1},
		{"results are cut JSON", resttest.Fault{Path: results, Do: resttest.Rewrite(func(b []byte) []byte { return b[:len(b)/2] })}, 2},
		{"results are empty", resttest.Fault{Path: results, Do: resttest.Empty()}, 2},
		{"jobs are a web page", resttest.Fault{Path: list, Do: resttest.HTML()}, 1},
		{"a job is nonsense", resttest.Fault{Path: list, After: 1, Do: resttest.Status(200, `{"job":[]}`)}, 2},
		{"a job has a status nobody knows", resttest.Fault{Path: list, After: 1, Do: resttest.Status(200, `{"job":{"status":"WARMING"}}`)}, 2},
		{"something went wrong", resttest.Fault{Path: list, After: 1, Do: resttest.Status(400, `{"code":"SWW"}`)}, 1},
		{"limits 500", resttest.Fault{Path: limits, Do: resttest.Status(500, "")}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			m := open(t, claritest.Options{Users: 5, Faults: []resttest.Fault{c.fault}})
			for range c.runs {
				m.day(t, noon)
			}
			if m.twin.Fired() != 1 || m.twin.Posts() != 2 {
				t.Errorf("the fault happened %d times, %d jobs were queued; want 1, 2", m.twin.Fired(), m.twin.Posts())
			}
			m.balanced(t)
		})
	}
}

// A job that comes to nothing is told, and the next run queues one more.
func TestFates(t *testing.T) {
	for fate, says := range map[claritest.Fate]string{
		claritest.Fails: "FAILED", claritest.Cancels: "CANCELLED", claritest.Aborts: "ABORTED",
		claritest.Vanishes: "lost job", claritest.Foreign: "lost job",
		claritest.CutRows: "cut the export short", claritest.CutCells: "cut the export short",
	} {
		t.Run(fmt.Sprint(fate, says), func(t *testing.T) {
			t.Parallel()
			m := open(t, claritest.Options{Users: 5, Fates: []claritest.Fate{fate}})
			m.day(t, noon)
			got := m.Rows(t, `SELECT state, error FROM millrace.slices WHERE slice LIKE '%2027_Q1/latest%' AND table_name LIKE '%forecast_entries'`)
			if len(got) != 1 || !strings.HasPrefix(got[0], "failed|") || !strings.Contains(got[0], says) {
				t.Errorf("got %v, want failed with %q", got, says)
			}
			m.day(t, noon)
			if m.twin.Posts() != 3 {
				t.Errorf("%d jobs were queued, want 3", m.twin.Posts())
			}
			m.balanced(t)
		})
	}
}

// A job that does not end is asked after, and stays the only one.
func TestNeverEnds(t *testing.T) {
	m := open(t, claritest.Options{Users: 2, Fates: []claritest.Fate{claritest.Never, claritest.Never}})
	m.twin.SetNow(noon)
	if _, err := m.Extract.Tick(t.Context(), clari.Function, extract.Request{Now: noon}); err != nil {
		t.Fatal(err)
	}
	for range 30 {
		msg := m.Slices[0]
		m.Slices = m.Slices[1:]
		o, err := m.Extract.Handle(t.Context(), clari.Function, msg)
		if err != nil || o.State != "planned" || o.Until.IsZero() {
			t.Fatalf("got %+v, %v; want to go on later", o, err)
		}
	}
	if m.twin.Posts() != 2 {
		t.Errorf("%d jobs were queued, want 2", m.twin.Posts())
	}
}

// A quota that is used up pauses with a time, costs nothing, and what could not be
// exported in days is exported once, late and with all weeks, when it is freed.
func TestQuota(t *testing.T) {
	m := open(t, claritest.Options{Quota: -1})
	for day := range 3 {
		m.day(t, noon.AddDate(0, 0, day))
		o := m.last(t)
		if until := time.Until(o.Until); o.State != "paused" || until < 23*time.Hour || until > 24*time.Hour {
			t.Errorf("got %s until %s: %v; want a pause of a day", o.State, o.Until, o.Err)
		}
		m.later(t)
	}
	m.twin.SetQuota(2)
	m.day(t, noon.AddDate(0, 0, 9))
	want := []string{"net_arr/2027_Q1/latest@2026-03-10|loaded", "net_arr/2027_Q2/latest@2026-03-10|loaded"}
	if diff := cmp.Diff(want, m.slices(t)); diff != "" || m.twin.Posts() != 2 {
		t.Errorf("%d jobs (-want +got):\n%s", m.twin.Posts(), diff)
	}
	if got := m.Rows(t, `SELECT count(*) FROM clari.time_frames WHERE time_period_id = '2027_Q1'`); got[0] != "8" {
		t.Errorf("%s weeks, want all 8: the missed one is among them", got[0])
	}
	m.balanced(t)
}

// later lets the pauses and claims in the ledger be over.
func (m *mill) later(t *testing.T) {
	t.Helper()
	if _, err := m.Warehouse.DB().ExecContext(t.Context(), `UPDATE millrace.slices SET lease_until = NULL, paused_until = NULL`); err != nil {
		t.Fatal(err)
	}
}

// A quarter that Clari does not know gives the current one, which must not load.
func TestWrongQuarter(t *testing.T) {
	m := open(t, claritest.Options{Quarters: []string{"2027_Q1"}})
	m.day(t, noon)
	o := m.last(t)
	if o.State != "failed" || !errors.Is(o.Err, fault.Corrupt) || !strings.Contains(o.Err.Error(), "asked for 2027_Q2") || !strings.Contains(o.Err.Error(), "kept in the stage as corrupt/") {
		t.Errorf("got %s: %v, want corrupt and kept", o.State, o.Err)
	}
	if got := m.Rows(t, `SELECT DISTINCT time_period_id, _slice FROM clari.forecast_entries`); len(got) != 1 || got[0] != "2027_Q1|net_arr/2027_Q1/latest@2026-03-10" {
		t.Errorf("rows are of %v, want one quarter", got)
	}
}

// The export is kept as it came.
func TestKept(t *testing.T) {
	m := open(t, claritest.Options{Users: 3})
	m.day(t, noon)
	var keys []string
	for o, err := range m.Stage.List(t.Context(), "raw/") {
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(o.Key, "export.json.zst") {
			keys = append(keys, o.Key)
		}
	}
	if len(keys) != 2 {
		t.Errorf("kept %v, want two documents", keys)
	}
}

func TestAdvice(t *testing.T) {
	for _, c := range []struct {
		name string
		o    claritest.Options
		env  map[string]string
		kind error
		says string
	}{
		{"not opted in", claritest.Options{NoOptIn: true}, nil, fault.Auth, "opted in"},
		{"no such forecast", claritest.Options{}, map[string]string{"CLARI_FORECASTS": "gross"}, fault.Invalid, "Forecast tab"},
		{"bad key", claritest.Options{}, map[string]string{"CLARI_API_KEY": "hunter2"}, fault.Auth, "CLARI_API_KEY"},
		{"wrong address", claritest.Options{Faults: []resttest.Fault{{Times: -1, Do: resttest.Status(404, "")}}}, nil, fault.NotFound, "CLARI_BASE_URL"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := open(t, c.o)
			for k, v := range c.env {
				next := m.Extract.Env
				m.Extract.Env = func(key string) (string, bool) {
					if key == k {
						return v, true
					}
					return next(key)
				}
			}
			m.day(t, noon)
			o := m.last(t)
			if fault.Of(o.Err) != c.kind || !strings.Contains(o.Err.Error(), c.says) || strings.Contains(o.Err.Error(), "hunter2") || m.twin.Posts() != 0 {
				t.Errorf("got %v, %d jobs; want %v: …%s…", o.Err, m.twin.Posts(), c.kind, c.says)
			}
		})
	}
}

func TestOpen(t *testing.T) {
	for key, value := range map[string]string{"CLARI_FISCAL_YEAR_START": "13", "CLARI_FORECASTS": "a/b", "CLARI_API_KEY": "", "CLARI_BASE_URL": "http://api.example.test/v4"} {
		vars := claritest.Env("https://api.example.test")
		vars[key] = value
		_, err := clari.Function.Open(env.Map(vars), extract.Invocation{Meter: &rest.Meter{}, Scratch: t.TempDir()})
		if !errors.Is(err, fault.Invalid) || key != "CLARI_BASE_URL" && !strings.Contains(err.Error(), key) {
			t.Errorf("%s=%s: got %v, want invalid", key, value, err)
		}
	}
}

type kill struct{}

// Killed at every point, the next run goes on, and no job is queued twice.
func TestKilledAnywhere(t *testing.T) {
	step := 5 // of some 66 points, each with a mill of its own
	if testing.Short() {
		step = 13
	}
	for n := 1; ; n += step {
		m := open(t, claritest.Options{Users: 3, Polls: 2})
		passed := 0
		die := func(string) {
			if passed++; passed == n {
				panic(kill{})
			}
		}
		m.Extract.Point, m.Load.Point = die, die
		func() {
			defer func() {
				if r := recover(); r != nil && r != (kill{}) {
					panic(r)
				}
			}()
			m.day(t, noon)
		}()
		m.Extract.Point, m.Load.Point, m.Slices, m.Arrivals = nil, nil, nil, nil
		m.later(t)
		m.day(t, noon)
		m.balanced(t)
		if m.twin.Posts() != 2 {
			t.Errorf("killed at point %d: %d jobs were queued, want 2", n, m.twin.Posts())
		}
		if t.Failed() || passed < n {
			t.Logf("%d points", passed)
			return
		}
	}
}
