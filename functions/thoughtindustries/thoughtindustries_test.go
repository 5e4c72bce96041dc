package thoughtindustries_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-data/millrace/functions/thoughtindustries"
	"github.com/millrace-data/millrace/functions/thoughtindustries/thoughtindustriestest"
	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/extract/extracttest"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/record"
	"github.com/millrace-data/millrace/shared/rest/resttest"
	"github.com/millrace-data/millrace/shared/warehouse"
)

const day = 24 * time.Hour

// now is two hours after the twin's last day.
var now = time.Date(2025, 1, 8, 2, 0, 0, 0, time.UTC)

// academy is a twin with a mill that reads it.
type academy struct {
	*testing.T
	twin *thoughtindustriestest.Server
	mill *extracttest.Mill
}

func open(t *testing.T, o thoughtindustriestest.Options, vars ...string) *academy {
	t.Helper()
	twin := thoughtindustriestest.New(o)
	srv := httptest.NewServer(twin)
	t.Cleanup(srv.Close)
	cfg := map[string]string{"THOUGHT_INDUSTRIES_BASE_URL": srv.URL, "THOUGHT_INDUSTRIES_API_KEY": thoughtindustriestest.DefaultKey}
	for i := 0; i < len(vars); i += 2 {
		cfg[vars[i]] = vars[i+1]
	}
	return &academy{t, twin, extracttest.New(t, env.Map(cfg))}
}

// run reads tables, all if there are none, and returns the outcomes.
func (a *academy) run(at time.Time, tables ...string) []extract.Outcome {
	a.Helper()
	n := len(a.mill.Outcomes)
	if err := a.mill.Run(a.Context(), thoughtindustries.Function, extract.Request{Now: at, Tables: tables}); err != nil {
		a.Fatal(err)
	}
	return a.mill.Outcomes[n:]
}

// good fails for outcomes that are not staged.
func (a *academy) good(outcomes []extract.Outcome) {
	a.Helper()
	for _, o := range outcomes {
		if o.Err != nil || o.State != warehouse.Staged {
			a.Errorf("%s %s: state %s, %v", o.Slice.Table, o.Slice.ID, o.State, o.Err)
		}
	}
	if odd := a.mill.Rows(a, `SELECT function, table_name, slice, state, error FROM millrace.slices WHERE state <> 'loaded' OR rows_source <> rows_loaded + rows_rejected OR rows_rejected > 0`); len(odd) > 0 {
		a.Errorf("slices that do not balance: %v", odd)
	}
}

// same fails unless a table is what the twin has: every column of every row.
func (a *academy) same(table string) {
	a.Helper()
	t := declared(a, table)
	var names []string
	for _, c := range t.Columns {
		if !strings.HasPrefix(c.Name, "_") {
			names = append(names, `"`+c.Name+`"`)
		}
	}
	got := a.mill.Rows(a, `SELECT `+strings.Join(names, ", ")+` FROM thought_industries.`+table)
	var want []string
	for raw := range a.twin.Raw(table) {
		want = append(want, cells(t, raw))
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		a.Errorf("%s: %d rows, want %d (-want +got):\n%.3000s", table, len(got), len(want), diff)
	}
}

func declared(t testing.TB, table string) record.Table {
	for _, x := range thoughtindustries.Function.Tables {
		if x.Name == table {
			return x.Table
		}
	}
	t.Fatalf("no table %s", table)
	return record.Table{}
}

// cells is a vendor's row as extracttest shows it.
func cells(t record.Table, raw []byte) string {
	var row map[string]json.RawMessage
	if err := json.Unmarshal(raw, &row); err != nil {
		return err.Error()
	}
	var out []string
	for _, c := range t.Columns {
		if !strings.HasPrefix(c.Name, "_") {
			out = append(out, cell(c, row[c.Field]))
		}
	}
	return strings.Join(out, "|")
}

func cell(c record.Column, raw json.RawMessage) string {
	if raw == nil || string(raw) == "null" {
		return "null"
	}
	text := string(raw)
	switch c.Type {
	case record.Text:
		json.Unmarshal(raw, &text)
	case record.Timestamp:
		var at time.Time
		json.Unmarshal(raw, &at)
		text = at.UTC().Format("2006-01-02 15:04:05.999")
	case record.Number:
		whole, frac, _ := strings.Cut(text, ".")
		text = whole + "." + (frac + strings.Repeat("0", c.Scale))[:c.Scale]
	}
	return text
}

func (a *academy) total(table string) int {
	a.Helper()
	var n int
	fmt.Sscan(a.mill.Rows(a, `SELECT count(*) FROM thought_industries.`+table)[0], &n)
	return n
}

func TestWholeAcademy(t *testing.T) {
	a := open(t, thoughtindustriestest.Options{Events: 120})
	a.good(a.run(now))
	for _, x := range thoughtindustries.Function.Tables {
		if got, want := a.total(x.Name), a.twin.Count(x.Name); got != want || want == 0 {
			a.Errorf("%s: %d rows, want %d", x.Name, got, want)
		}
	}
	if got := a.mill.Rows(t, `SELECT table_name, field, kind FROM millrace.drift`); len(got) > 0 {
		t.Errorf("columns that nobody declared or sent: %v", got)
	}
	requests := a.twin.Requests("")
	a.good(a.run(now)) // reads the lookback again
	for _, x := range thoughtindustries.Function.Tables {
		if got, want := a.total(x.Name), a.twin.Count(x.Name); got != want {
			a.Errorf("%s: %d rows after a second run, want %d", x.Name, got, want)
		}
	}
	if a.twin.Requests("") == requests {
		t.Error("the second run asked for nothing: is the lookback gone?")
	}
}

func TestValues(t *testing.T) {
	a := open(t, thoughtindustriestest.Options{Events: 8, Users: 20})
	a.good(a.run(now))
	for _, table := range thoughtindustriestest.Tables() {
		a.same(table)
	}
}

func TestLateEvents(t *testing.T) {
	a := open(t, thoughtindustriestest.Options{Events: 30})
	a.good(a.run(now, "logins", "course_actions"))
	a.twin.Late("login", now.Add(-2*day), 3)        // within the lookback
	a.twin.Late("courseAction", now.Add(-5*day), 1) // not
	a.good(a.run(now.Add(day), "logins", "course_actions"))
	if got, want := a.total("logins"), a.twin.Count("logins"); got != want {
		t.Errorf("logins: %d rows, want %d with the late ones", got, want)
	}
	if got, want := a.total("course_actions"), a.twin.Count("course_actions")-1; got != want {
		t.Errorf("course_actions: %d rows, want %d: what is later than the lookback is not seen", got, want)
	}
}

func TestListTailsAndScans(t *testing.T) {
	for name, o := range map[string]thoughtindustriestest.Options{
		"as clients see it":    {Envelope: thoughtindustriestest.TopLevel},
		"as the reference has": {Envelope: thoughtindustriestest.Wrapped, NoLastCursor: true},
		"as pagination has":    {Envelope: thoughtindustriestest.Meta},
		"without hasMore":      {NoMore: true, NoLastCursor: true},
	} {
		t.Run(name, func(t *testing.T) {
			o.Users = 250
			a := open(t, o)
			a.good(a.run(now, "users"))
			if got := a.total("users"); got != 250 {
				t.Fatalf("%d users, want 250", got)
			}
			full := a.twin.Requests("users")
			a.twin.SetUser(3, map[string]any{"firstName": "Changed"})   // an old row
			a.twin.SetUser(240, map[string]any{"firstName": "Changed"}) // on the last page
			a.twin.Append("users", map[string]any{"id": "new-1"}, map[string]any{"id": "new-2"})
			a.good(a.run(now.Add(day), "users"))
			changed := `SELECT count(*) FROM thought_industries.users WHERE first_name = 'Changed'`
			if got := a.mill.Rows(t, changed)[0]; a.total("users") != 252 || got != "1" {
				t.Errorf("after the tail: %d users, %s changed; want 252 and the one on the last page", a.total("users"), got)
			}
			if tail := a.twin.Requests("users") - full; tail >= full {
				t.Errorf("the tail took %d requests, the scan %d", tail, full)
			}
			a.good(a.run(now.Add(8*day), "users"))
			if got := a.mill.Rows(t, changed)[0]; got != "2" {
				t.Errorf("after the weekly scan %s users changed, want 2", got)
			}
		})
	}
}

func TestFaultsThatPass(t *testing.T) {
	for name, do := range map[string]resttest.Effect{
		"429 in seconds":   resttest.RetryAfter(429, 0),
		"503 with a date":  resttest.RetryDate(503, 0),
		"500":              resttest.Status(500, ""),
		"body cut":         resttest.Cut(2000),
		"connection reset": resttest.Refuse(),
	} {
		t.Run(name, func(t *testing.T) {
			a := open(t, thoughtindustriestest.Options{Events: 60, Faults: []resttest.Fault{{After: 2, Do: do}}})
			a.good(a.run(now, "logins"))
			if got, want := a.total("logins"), a.twin.Count("logins"); got != want || a.twin.Fired() != 1 {
				t.Errorf("%d logins after %d faults, want %d after 1", got, a.twin.Fired(), want)
			}
		})
	}
}

// A slice that stops with an error goes on or starts over in the next run, and the
// table ends up right.
func TestFaultsThatStop(t *testing.T) {
	for _, c := range []struct {
		name  string
		do    resttest.Effect
		kind  error
		state string
		says  string
	}{
		{"key refused", resttest.Status(401, ""), fault.Auth, warehouse.Failed, "THOUGHT_INDUSTRIES_API_KEY"},
		{"role too weak", resttest.Status(403, "{}"), fault.Auth, warehouse.Failed, "role"},
		{"quota used up", resttest.RetryAfter(429, 10*time.Minute), fault.Limited, warehouse.Paused, "429"},
		{"HTML", resttest.HTML(), fault.Corrupt, warehouse.Failed, "corrupt/"},
		{"broken row", thoughtindustriestest.BrokenRow(), fault.Corrupt, warehouse.Failed, "corrupt/"},
		{"page repeated", resttest.Again(), fault.Corrupt, warehouse.Failed, "events/login"},
		{"no rows at all", resttest.Status(200, `{"message":"ok"}`), fault.Corrupt, warehouse.Failed, "message"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := open(t, thoughtindustriestest.Options{Events: 60, Faults: []resttest.Fault{{After: 2, Do: c.do}}})
			o := a.run(now, "logins")[0]
			if o.State != c.state || !errors.Is(o.Err, c.kind) || !strings.Contains(fmt.Sprint(o.Err), c.says) {
				t.Errorf("got state %s and %v, want %s, %v, saying %q", o.State, o.Err, c.state, c.kind, c.says)
			}
			for _, secret := range []string{thoughtindustriestest.DefaultKey, "@example.com"} {
				if strings.Contains(fmt.Sprint(o.Err), secret) {
					t.Errorf("the error shows %s: %v", secret, o.Err)
				}
			}
			if c.kind == fault.Limited {
				return // waits for the real clock
			}
			a.good(a.run(now, "logins"))
			if got, want := a.total("logins"), a.twin.Count("logins"); got != want {
				t.Errorf("%d logins in the end, want %d", got, want)
			}
		})
	}
}

func TestPagesInACircle(t *testing.T) {
	a := open(t, thoughtindustriestest.Options{Users: 400, Faults: []resttest.Fault{{After: 1, Do: resttest.Again()}}})
	o := a.run(now, "users")[0]
	if !errors.Is(o.Err, fault.Corrupt) || !strings.Contains(fmt.Sprint(o.Err), "cursor did not advance") {
		t.Errorf("got %v, want fault.Corrupt: cursor did not advance", o.Err)
	}
	a.good(a.run(now, "users"))
	if got := a.total("users"); got != 400 {
		t.Errorf("%d users in the end, want 400", got)
	}
}

// What was read before a stop is not asked for again.
func TestGoesOnWhereItStopped(t *testing.T) {
	for _, table := range []string{"logins", "users"} {
		t.Run(table, func(t *testing.T) {
			whole := open(t, thoughtindustriestest.Options{Events: 300, Users: 900})
			whole.good(whole.run(now, table))
			if table == "logins" {
				whole.good(whole.run(now, table)) // the lookback, which is in the second run below as well
			}

			a := open(t, thoughtindustriestest.Options{Events: 300, Users: 900, Faults: []resttest.Fault{{After: 5, Do: resttest.Status(401, "")}}})
			if o := a.run(now, table)[0]; !errors.Is(o.Err, fault.Auth) {
				t.Fatalf("got %v, want fault.Auth", o.Err)
			}
			a.good(a.run(now, table))
			if got, want := a.total(table), a.twin.Count(table); got != want {
				t.Errorf("%d rows, want %d", got, want)
			}
			if got, want := a.twin.Requests(""), whole.twin.Requests("")+1; got != want {
				t.Errorf("%d requests, want %d: those of the same work without a stop, and the refused one", got, want)
			}
		})
	}
}

func TestRejects(t *testing.T) {
	a := open(t, thoughtindustriestest.Options{Events: 40, Faults: []resttest.Fault{{Do: thoughtindustriestest.BadValue("quantity", `"many"`)}}})
	a.run(now, "course_purchases")
	if got := a.mill.Rows(t, `SELECT count(*) FROM millrace.rejects`)[0]; got != "1" {
		t.Errorf("%s rejects, want 1", got)
	}
	if got, want := a.total("course_purchases"), a.twin.Count("course_purchases")-1; got != want {
		t.Errorf("%d purchases, want %d", got, want)
	}
}

func TestCrowdedTimestampWarns(t *testing.T) {
	a := open(t, thoughtindustriestest.Options{Events: 5})
	a.twin.Late("visit", time.Date(2025, 1, 3, 12, 0, 0, 0, time.UTC), 150)
	a.run(now, "visits")
	got := a.mill.Rows(t, `SELECT observed FROM millrace.checks WHERE verdict = 'warn'`)
	if len(got) != 1 || !strings.Contains(got[0], "2025-01-03T12:00:00Z") {
		t.Errorf("warnings %q, want one that names the timestamp", got)
	}
}

func TestStart(t *testing.T) {
	a := open(t, thoughtindustriestest.Options{Events: 10}, "THOUGHT_INDUSTRIES_START", "2025-01-06")
	a.run(now, "visits")
	if got := a.total("visits"); got != 20 {
		t.Errorf("%d visits, want the 20 of the last two days", got)
	}
	if got := a.mill.Rows(t, `SELECT count(*) FROM millrace.checks WHERE verdict = 'warn'`)[0]; got == "0" {
		t.Error("no warning says that events were left out")
	}
}

func TestConfiguration(t *testing.T) {
	for _, c := range []struct {
		name string
		vars map[string]string
		want []string
	}{
		{"nothing", nil, []string{"THOUGHT_INDUSTRIES_BASE_URL", "THOUGHT_INDUSTRIES_API_KEY"}},
		{"plain http", map[string]string{"THOUGHT_INDUSTRIES_BASE_URL": "http://academy.example.com", "THOUGHT_INDUSTRIES_API_KEY": "sesame"}, []string{"THOUGHT_INDUSTRIES_BASE_URL"}},
		{"start", map[string]string{"THOUGHT_INDUSTRIES_BASE_URL": "https://academy.example.com", "THOUGHT_INDUSTRIES_API_KEY": "sesame", "THOUGHT_INDUSTRIES_START": "soon"}, []string{"THOUGHT_INDUSTRIES_START"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := thoughtindustries.Function.Open(env.Map(c.vars), extract.Invocation{})
			if !errors.Is(err, fault.Invalid) || strings.Contains(err.Error(), "sesame") {
				t.Fatalf("got %v, want fault.Invalid without the key", err)
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%v does not name %s", err, w)
				}
			}
		})
	}
}
