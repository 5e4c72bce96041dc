package clari_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-data/millrace/functions/clari"
	"github.com/millrace-data/millrace/functions/clari/claritest"
	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/extract/extracttest"
)

var noon = time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC) // in 2027_Q1

// mill is a twin and the engines that reach it.
type mill struct {
	*extracttest.Mill
	twin *claritest.Server
}

func open(t *testing.T, o claritest.Options) *mill {
	t.Helper()
	if o.Now == nil {
		o.Now = func() time.Time { return noon }
	}
	twin := claritest.New(o)
	srv := httptest.NewServer(twin)
	t.Cleanup(srv.Close)
	return &mill{extracttest.New(t, env.Map(twin.Env(srv.URL))), twin}
}

// day runs the function at a time, which is also the vendor's.
func (m *mill) day(t *testing.T, now time.Time) {
	t.Helper()
	m.twin.SetNow(now)
	if err := m.Run(t.Context(), clari.Function, extract.Request{Now: now}); err != nil {
		t.Fatal(err)
	}
}

// last is how the last invocation ended.
func (m *mill) last(t *testing.T) extract.Outcome {
	t.Helper()
	if len(m.Outcomes) == 0 {
		t.Fatal("nothing was read")
	}
	return m.Outcomes[len(m.Outcomes)-1]
}

// columns are those that are compared with the twin, by the vendor's name.
var columns = map[string][][2]string{
	"forecast_entries": {{"forecast_id", "forecast_id"}, {"timePeriodId", "time_period_id"}, {"timeFrameId", "time_frame_id"}, {"userId", "user_id"}, {"fieldId", "field_id"},
		{"forecastValue", "forecast_value"}, {"quotaValue", "quota_value"}, {"adjustmentValue", "adjustment_value"}, {"aggregationTotal", "aggregation_total"},
		{"isUpdated", "is_updated"}, {"updatedBy", "updated_by"}, {"updatedOn", "epoch_ms(updated_on)"}, {"adjustedBy", "adjusted_by"}, {"adjustedOn", "epoch_ms(adjusted_on)"},
		{"closedTotal", "_extra->>'closedTotal'"}},
	"users": {{"userId", "user_id"}, {"crmId", "crm_id"}, {"email", "email"}, {"name", "name"}, {"hierarchyId", "hierarchy_id"}, {"hierarchyName", "hierarchy_name"},
		{"parentHierarchyId", "parent_hierarchy_id"}, {"scopeId", "scope_id"}},
	"fields":       {{"forecast_id", "forecast_id"}, {"fieldId", "field_id"}, {"fieldName", "field_name"}, {"fieldType", "field_type"}},
	"time_periods": {{"timePeriodId", "time_period_id"}, {"label", "label"}, {"year", "year"}, {"startDate", "start_date"}, {"endDate", "end_date"}, {"crmId", "crm_id"}},
	"time_frames":  {{"time_period_id", "time_period_id"}, {"timeFrameId", "time_frame_id"}, {"startDate", "start_date"}, {"endDate", "end_date"}},
}

// balanced compares all five tables with the twin's oracle.
func (m *mill) balanced(t *testing.T) {
	t.Helper()
	for table, cols := range columns {
		var want, exprs []string
		for _, row := range m.twin.Rows(table) {
			var cells []string
			for _, c := range cols {
				cells = append(cells, cell(row[c[0]]))
			}
			want = append(want, strings.Join(cells, "|"))
		}
		for _, c := range cols {
			exprs = append(exprs, c[1])
		}
		got := m.Rows(t, fmt.Sprintf("SELECT %s FROM clari.%s", strings.Join(exprs, ", "), table))
		for i, line := range got {
			got[i] = tidy(line)
		}
		slices.Sort(want)
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" || len(want) == 0 {
			t.Errorf("%s: %d rows, want %d (-want +got):\n%.2000s", table, len(got), len(want), diff)
		}
	}
}

func cell(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case json.Number:
		return tidy(v.String())
	}
	return fmt.Sprint(v)
}

// tidy takes the zeros off the end of decimals.
func tidy(line string) string {
	cells := strings.Split(line, "|")
	for i, c := range cells {
		if whole, frac, ok := strings.Cut(c, "."); ok && strings.Trim(whole+frac, "-0123456789") == "" {
			cells[i] = strings.TrimRight(strings.TrimRight(c, "0"), ".")
		}
	}
	return strings.Join(cells, "|")
}

func (m *mill) slices(t *testing.T) []string {
	t.Helper()
	return m.Rows(t, `SELECT slice, state FROM millrace.slices WHERE table_name IN ('forecast_entries', 'clari.forecast_entries') ORDER BY slice`)
}

// A day's two exports fill all five tables, in every form that the API has.
func TestDay(t *testing.T) {
	for name, o := range map[string]claritest.Options{
		"as clients see it": {},
		"as specified":      {Flat: true, BareList: true, Reversed: true},
		"without CRM":       {NoCRM: true, Forecasts: []string{"net_arr", "net arr%2?"}},
		"one at a time":     {Concurrent: 1},
		"mixed envelopes":   {Fates: []claritest.Fate{claritest.WrongEnvelope}},
		"done at once":      {Polls: -1},
	} {
		t.Run(name, func(t *testing.T) {
			m := open(t, o)
			m.day(t, noon)
			m.balanced(t)
			if want := 2 * max(1, len(o.Forecasts)); m.twin.Posts() != want {
				t.Errorf("%d jobs were queued, want %d", m.twin.Posts(), want)
			}
			asked := m.twin.Requests("")
			m.day(t, noon.Add(time.Hour))
			if m.twin.Requests("") != asked {
				t.Errorf("the second run of the day asked Clari %d times, want not at all", m.twin.Requests("")-asked)
			}
		})
	}
}

// Each day of a quarter's end and of the next one's beginning.
func TestSchedule(t *testing.T) {
	m := open(t, claritest.Options{Users: 2})
	for _, c := range []struct {
		now  string
		want []string // what is listed
	}{
		{"2026-04-30T23:59:59Z", []string{"net_arr/2027_Q1/latest@2026-04-30", "net_arr/2027_Q2/latest@2026-04-30"}},
		{"2026-05-01T00:00:00Z", []string{"net_arr/2027_Q1/history@2026-05-01", "net_arr/2027_Q2/history@2026-05-01"}},
		{"2026-05-02T08:30:00Z", []string{"net_arr/2027_Q2/latest@2026-05-02", "net_arr/2027_Q3/latest@2026-05-02"}},
		// Down on 2026-08-01: both are made up for.
		{"2026-08-03T08:30:00Z", []string{"net_arr/2027_Q2/history@2026-08-01", "net_arr/2027_Q3/history@2026-08-01", "net_arr/2027_Q3/latest@2026-08-03", "net_arr/2027_Q4/latest@2026-08-03"}},
		{"2026-08-04T08:30:00Z", []string{"net_arr/2027_Q3/latest@2026-08-04", "net_arr/2027_Q4/latest@2026-08-04"}},
		{"2027-01-31T08:30:00Z", []string{"net_arr/2027_Q3/history@2026-11-01", "net_arr/2027_Q4/history@2026-11-01", "net_arr/2027_Q4/latest@2027-01-31", "net_arr/2028_Q1/latest@2027-01-31"}},
		{"2027-02-01T08:30:00Z", []string{"net_arr/2027_Q4/history@2027-02-01", "net_arr/2028_Q1/history@2027-02-01"}},
	} {
		now, _ := time.Parse(time.RFC3339, c.now)
		m.Outcomes = nil
		m.day(t, now)
		var got []string
		for _, o := range m.Outcomes {
			if !slices.Contains(got, o.Slice.ID) {
				got = append(got, o.Slice.ID)
			}
		}
		slices.Sort(got)
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.now, diff)
		}
	}
	m.balanced(t)
}

// Somebody who left stays, and last_seen says since when; an edit arrives.
func TestLeaveAndEdit(t *testing.T) {
	m := open(t, claritest.Options{})
	m.day(t, noon)
	m.twin.Leave(3)
	m.twin.Edit("net_arr", "2027_Q1", 6, 1, "12.5")
	m.day(t, noon.AddDate(0, 0, 1))
	m.balanced(t)
	got := m.Rows(t, `SELECT last_seen, count(*) FROM clari.users GROUP BY 1 ORDER BY 1`)
	if diff := cmp.Diff([]string{"2026-03-10 12:00:00|1", "2026-03-11 12:00:00|19"}, got); diff != "" {
		t.Errorf("last_seen of people (-want +got):\n%s", diff)
	}
	got = m.Rows(t, `SELECT DISTINCT user_id FROM clari.forecast_entries WHERE time_period_id = '2027_Q1' AND last_seen < '2026-03-11'`)
	if diff := cmp.Diff([]string{claritest.UserID(3)}, got); diff != "" {
		t.Errorf("entries of who left (-want +got):\n%s", diff)
	}
}

func TestBackfill(t *testing.T) {
	m := open(t, claritest.Options{})
	r := extract.Request{Now: noon, Purpose: extract.Backfill, From: noon.AddDate(0, -6, 0), To: noon.AddDate(0, -1, 0)}
	if err := m.Run(t.Context(), clari.Function, r); err == nil || !strings.Contains(err.Error(), "--i-know") || m.twin.Requests("") != 0 {
		t.Errorf("got %v after %d requests, want a refusal that names --i-know, and none", err, m.twin.Requests(""))
	}
	r.IKnow = true
	if err := m.Run(t.Context(), clari.Function, r); err != nil {
		t.Fatal(err)
	}
	m.balanced(t)
	want := []string{"net_arr/2026_Q3/backfill@2026-03-10|loaded", "net_arr/2026_Q4/backfill@2026-03-10|loaded", "net_arr/2027_Q1/backfill@2026-03-10|loaded"}
	if diff := cmp.Diff(want, m.slices(t)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	r.Purpose = extract.Resync
	if err := m.Run(context.Background(), clari.Function, r); err == nil || !strings.Contains(err.Error(), "lose") {
		t.Errorf("a re-sync: got %v, want a refusal", err)
	}
}
