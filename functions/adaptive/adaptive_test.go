package adaptive_test

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-data/millrace/functions/adaptive"
	"github.com/millrace-data/millrace/functions/adaptive/adaptivetest"
	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/extract/extracttest"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/rest/resttest"
	"github.com/millrace-data/millrace/shared/warehouse"
)

var noon = time.Date(2026, 12, 31, 12, 0, 0, 0, time.UTC)

// open serves a twin and returns a mill that reaches it.
func open(t *testing.T, o adaptivetest.Options) (*adaptivetest.Server, *extracttest.Mill) {
	t.Helper()
	twin := adaptivetest.New(o)
	srv := httptest.NewServer(twin)
	t.Cleanup(srv.Close)
	return twin, extracttest.New(t, env.Map(twin.Env(srv.URL)))
}

// run reads tables, all where none is named, on the n-th day.
func run(t *testing.T, m *extracttest.Mill, n int, tables ...string) {
	t.Helper()
	if err := m.Run(t.Context(), adaptive.Function, extract.Request{Now: noon.AddDate(0, 0, n), Tables: tables}); err != nil {
		t.Fatal(err)
	}
}

// same fails unless reporting holds what the instance has, each value once.
func same(t *testing.T, twin *adaptivetest.Server, m *extracttest.Mill) {
	t.Helper()
	var want []string
	for _, n := range twin.Rows() {
		value := "null"
		if n.Value != "" {
			whole, frac, _ := strings.Cut(n.Value, ".")
			value = whole + "." + frac + strings.Repeat("0", 18-len(frac))
		}
		want = append(want, strings.Join([]string{n.Version, n.Name, n.Account, n.Level, n.Period, n.Start, value}, "|"))
	}
	got := m.Rows(t, `SELECT version_id, version_name, account_code, level_code, period, period_start, value FROM adaptive.reporting`)
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("reporting (-want +got):\n%.2000s", diff)
	}
	if odd := m.Rows(t, `SELECT table_name, slice, state, error FROM millrace.slices WHERE state <> 'loaded' OR rows_source <> rows_loaded + rows_rejected`); len(odd) > 0 {
		t.Errorf("slices: %v", odd)
	}
}

// The folder's versions with their scenarios and those of folders in it, none of
// other folders, none for the empty folder; whatever form the answers have.
func TestReporting(t *testing.T) {
	for name, o := range map[string]adaptivetest.Options{
		"as documented": {}, "code first": {CodeFirst: true}, "dimension": {Dimension: true},
		"not streamed": {Normal: true}, "plain text": {Text: true}, "fiscal months": {Fiscal: true},
	} {
		t.Run(name, func(t *testing.T) {
			twin, m := open(t, o)
			run(t, m, 0, "reporting")
			same(t, twin, m)
			if got := m.Rows(t, `SELECT DISTINCT version_id FROM adaptive.reporting ORDER BY 1`); strings.Join(got, " ") != "41 43 44 46" {
				t.Errorf("versions %v", got)
			}
		})
	}
}

func TestDimensions(t *testing.T) {
	_, m := open(t, adaptivetest.Options{Dimension: true})
	run(t, m, 0, "reporting")
	want := []string{`{"Vendor":{"code":"V0","name":"Vendor \"0\""}}`, `{"Vendor":{"code":"V1","name":"Vendor \"1\""}}`}
	if diff := cmp.Diff(want, m.Rows(t, `SELECT DISTINCT dimensions FROM adaptive.reporting ORDER BY 1`)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A fiscal month is not the calendar's: where it begins comes from exportTime.
func TestFiscalMonths(t *testing.T) {
	_, m := open(t, adaptivetest.Options{Fiscal: true})
	run(t, m, 0, "reporting")
	want := []string{"01/2026|2025-02-01", "12/2025|2025-01-01"}
	if diff := cmp.Diff(want, m.Rows(t, `SELECT DISTINCT period, period_start FROM adaptive.reporting WHERE period IN ('12/2025', '01/2026') ORDER BY 1`)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Locked versions are read once; others are read again, and loaded where they differ.
func TestLockedOnceLiveWhenChanged(t *testing.T) {
	twin, m := open(t, adaptivetest.Options{})
	run(t, m, 0, "reporting")
	loads, calls := len(m.Loads), twin.Calls("exportData")
	if calls != 4 || loads != 4 {
		t.Fatalf("%d calls, %d loads; want 4, 4", calls, loads)
	}
	run(t, m, 1, "reporting")
	if n := twin.Calls("exportData") - calls; n != 3 || len(m.Loads) != loads {
		t.Errorf("without a change: %d calls, %d loads; want 3 live versions asked, none loaded", n, len(m.Loads)-loads)
	}
	twin.SetValue(43, 0, 0, 0, "1234.5")
	twin.SetValue(43, 0, 0, 1, "")
	twin.SetValue(41, 0, 0, 0, "1") // locked: nobody looks
	run(t, m, 2, "reporting")
	if len(m.Loads) != loads+1 {
		t.Errorf("%d loads after a change of one version", len(m.Loads)-loads)
	}
	twin.Change(41, func(v *adaptivetest.Version) { v.Locked = false })
	run(t, m, 3, "reporting")
	same(t, twin, m)
	if len(m.Loads) != loads+2 {
		t.Errorf("%d loads after a version was unlocked", len(m.Loads)-loads-1)
	}
}

// A version's rows are its id's: renamed, emptied, added, they follow.
func TestVersionsChange(t *testing.T) {
	twin, m := open(t, adaptivetest.Options{Levels: 2, Periods: 14})
	run(t, m, 0, "reporting")
	twin.Change(41, func(v *adaptivetest.Version) { v.Name = "Renamed, although locked" })
	twin.Change(60, func(v *adaptivetest.Version) { v.Name = "FY27 Plan & Stretch" }) // the name is free now
	twin.SetEmpty(46)
	run(t, m, 1, "reporting")
	same(t, twin, m)
	twin.Remove(60)
	run(t, m, 2, "reporting")
	if got := m.Rows(t, `SELECT count(*) > 0 FROM adaptive.reporting WHERE version_id = '60'`); got[0] != "true" {
		t.Error("the rows of a version that left the folder are gone; they were to stay")
	}
}

func TestFolder(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*adaptivetest.Server)
		says   string
	}{
		"missing": {func(s *adaptivetest.Server) { s.Change(40, func(v *adaptivetest.Version) { v.Name = "Else" }) }, `there are ["Old" "Deeper" "Else" "Drafts"]`},
		"twice": {func(s *adaptivetest.Server) {
			s.Change(50, func(v *adaptivetest.Version) { v.Name = adaptivetest.Folder })
		}, "2 version folders"},
	} {
		t.Run(name, func(t *testing.T) {
			twin, m := open(t, adaptivetest.Options{})
			c.change(twin)
			err := m.Run(t.Context(), adaptive.Function, extract.Request{Now: noon, Tables: []string{"reporting"}})
			if !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want %q", err, c.says)
			}
		})
	}
	twin, m := open(t, adaptivetest.Options{})
	twin.Change(40, func(v *adaptivetest.Version) { v.Children = nil })
	run(t, m, 0, "reporting")
	if len(m.Outcomes) != 0 || twin.Calls("exportData") != 0 {
		t.Errorf("an empty folder was read: %d slices", len(m.Outcomes))
	}
	same(t, twin, m) // no row, in a table that is there
}

// What is damaged or refused is not loaded, says why, and the next run mends it.
func TestBadAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		effect resttest.Effect
		kind   error
		says   string
	}{
		"no status":          {adaptivetest.NoStatus(), fault.Corrupt, "cut short"},
		"wrong count":        {adaptivetest.WrongCount(), fault.Corrupt, "records"},
		"ragged":             {adaptivetest.Ragged(), fault.Corrupt, "record 12 has"},
		"two messages":       {adaptivetest.TwoMessages(200), fault.Invalid, "error-a first thing; error-b second & last"},
		"two messages, 500":  {adaptivetest.TwoMessages(500), fault.Invalid, "error-b second & last"},
		"cut inside of data": {resttest.Rewrite(func(b []byte) []byte { return b[:len(b)/2] }), fault.Corrupt, "cut short"},
		"unknown period":     {resttest.Swap(",01/2026", ",13/2026"), fault.Corrupt, `"13/2026" is neither`},
	} {
		t.Run(name, func(t *testing.T) {
			twin, m := open(t, adaptivetest.Options{})
			// The list, then of the first version: the list, the calendar, the data.
			twin.Inject(resttest.Fault{After: 3, Do: c.effect})
			run(t, m, 0, "reporting")
			o := m.Outcomes[0]
			if o.State != warehouse.Failed || fault.Of(o.Err) != c.kind || !strings.Contains(fmt.Sprint(o.Err), c.says) {
				t.Errorf("got %s, %v; want %v, %q", o.State, o.Err, c.kind, c.says)
			}
			if strings.Contains(fmt.Sprint(o.Err), adaptivetest.Password) {
				t.Error("the error shows the password")
			}
			run(t, m, 1, "reporting")
			same(t, twin, m)
		})
	}
}

// What passes is tried again and nobody notices.
func TestPassing(t *testing.T) {
	for name, effect := range map[string]resttest.Effect{
		"web page": resttest.HTML(), "XHTML": adaptivetest.WebPage(), "429": resttest.RetryAfter(429, 0), "503": resttest.Status(503, "busy"), "cut": resttest.Cut(700),
	} {
		t.Run(name, func(t *testing.T) {
			twin, m := open(t, adaptivetest.Options{Levels: 1, Periods: 14})
			twin.Inject(resttest.Fault{After: 3, Do: effect})
			run(t, m, 0, "reporting")
			same(t, twin, m)
			if twin.Fired() != 1 {
				t.Error("the fault did not happen")
			}
		})
	}
}

func TestWrongPassword(t *testing.T) {
	twin := adaptivetest.New(adaptivetest.Options{})
	srv := httptest.NewServer(twin)
	t.Cleanup(srv.Close)
	vars := twin.Env(srv.URL)
	vars["ADAPTIVE_PASSWORD"] = "canary-4711"
	m := extracttest.New(t, env.Map(vars))
	err := m.Run(t.Context(), adaptive.Function, extract.Request{Now: noon, Tables: []string{"reporting"}})
	if !errors.Is(err, fault.Auth) || !strings.Contains(err.Error(), "ADAPTIVE_LOGIN") || strings.Contains(err.Error(), "canary-4711") {
		t.Errorf("got %v", err)
	}
}
