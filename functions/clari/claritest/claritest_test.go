package claritest_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-data/millrace/functions/clari/claritest"
)

var noon = time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC) // in 2027_Q1, week 6 from 0

func twin(o claritest.Options) *claritest.Server {
	if o.Now == nil {
		o.Now = func() time.Time { return noon }
	}
	return claritest.New(o)
}

// call makes a request and returns the status and the answer.
func call(t *testing.T, s *claritest.Server, method, path, body string) (int, map[string]any) {
	t.Helper()
	r := httptest.NewRequest(method, "http://127.0.0.1/v4"+path, strings.NewReader(body))
	r.Header.Set("apikey", claritest.DefaultKey)
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	raw, _ := io.ReadAll(w.Body)
	var out map[string]any
	if err := json.Unmarshal(raw, &out); err != nil {
		var list []any
		if json.Unmarshal(raw, &list) != nil {
			t.Fatalf("%s %s: %v in %.200s", method, path, err, raw)
		}
		out = map[string]any{"bare": list}
	}
	return w.Code, out
}

func export(t *testing.T, s *claritest.Server, body string) (id string) {
	t.Helper()
	status, out := call(t, s, http.MethodPost, "/export/forecast/net_arr", body)
	if status != http.StatusOK {
		t.Fatalf("status %d: %v", status, out)
	}
	return out["jobId"].(string)
}

// results polls a job to its end and fetches it.
func results(t *testing.T, s *claritest.Server, id string) map[string]any {
	t.Helper()
	for range 3 {
		call(t, s, http.MethodGet, "/export/jobs/"+id, "")
	}
	status, out := call(t, s, http.MethodGet, "/export/jobs/"+id+"/results", "")
	if status != http.StatusOK {
		t.Fatalf("status %d: %v", status, out)
	}
	return out
}

func of(out map[string]any, array, member string) (values []string) {
	for _, e := range out[array].([]any) {
		values = append(values, fmt.Sprint(e.(map[string]any)[member]))
	}
	slices.Sort(values)
	return slices.Compact(values)
}

// A quarter that is not recognised, or stands in the query, gives the current one.
func TestQuarters(t *testing.T) {
	for body, want := range map[string]string{
		`{"timePeriod":"2026_Q4"}`: "2026_Q4", `{"timePeriod":"2027_Q2"}`: "2027_Q2", ``: "2027_Q1",
		`{"timePeriod":"Q4 2026"}`: "2027_Q1", `{"timePeriod":""}`: "2027_Q1",
	} {
		s := twin(claritest.Options{})
		out := results(t, s, export(t, s, body))
		if got := of(out, "timePeriods", "timePeriodId"); len(got) != 1 || got[0] != want {
			t.Errorf("%s: got %v, want %s", body, got, want)
		}
		if got := of(out, "entries", "timePeriodId"); len(got) != 1 || got[0] != want {
			t.Errorf("%s: entries of %v, want %s", body, got, want)
		}
	}
	s := twin(claritest.Options{})
	_, out := call(t, s, http.MethodPost, "/export/forecast/net_arr?timePeriod=2026_Q4", "")
	if got := of(results(t, s, out["jobId"].(string)), "timePeriods", "timePeriodId"); got[0] != "2027_Q1" {
		t.Errorf("the query was looked at: %v", got)
	}
}

func TestWeeks(t *testing.T) {
	for _, c := range []struct {
		body  string
		first string
		weeks int
	}{
		{`{}`, "TF:2026-03-08", 1},
		{`{"includeHistorical":true}`, "TF:2026-01-25", 7}, // begins before 2026-02-01
		{`{"timePeriod":"2027_Q2"}`, "TF:2026-04-24", 1},   // there is data before the quarter
		{`{"timePeriod":"2026_Q4","includeHistorical":true}`, "TF:2025-10-25", 15},
	} {
		s := twin(claritest.Options{})
		out := results(t, s, export(t, s, c.body))
		got := of(out, "timeFrames", "timeFrameId")
		if len(got) != c.weeks || got[0] != c.first {
			t.Errorf("%s: got %v, want %d from %s", c.body, got, c.weeks, c.first)
		}
		if first := out["timeFrames"].([]any)[0].(map[string]any)["timeFrameId"]; c.weeks > 1 && first == c.first {
			t.Errorf("%s: weeks are in order, which the real ones are not", c.body)
		}
	}
}

// What an export holds is fixed when it is queued; who left is in none after that.
func TestLeaveAndEdit(t *testing.T) {
	s := twin(claritest.Options{Users: 10})
	before := export(t, s, `{}`)
	s.Leave(2)
	s.Edit("net_arr", "2027_Q1", 5, 0, "1.5")
	after := export(t, s, `{"includeHistorical":true}`)
	if got := of(results(t, s, before), "users", "userId"); len(got) != 10 || !slices.Contains(got, claritest.UserID(2)) {
		t.Errorf("an export that was queued before: %v", got)
	}
	out := results(t, s, after)
	if got := of(out, "entries", "userId"); len(got) != 9 || slices.Contains(got, claritest.UserID(2)) {
		t.Errorf("after he left: %v", got)
	}
	if got := of(out, "entries", "forecastValue"); !slices.Contains(got, "1.5") {
		t.Error("the edit is not there")
	}
	if ids, people := of(out, "users", "userId"), of(out, "users", "crmId"); len(ids) <= len(people) {
		t.Errorf("%d ids of %d people, want some with two", len(ids), len(people))
	}
	if got := s.Count("users"); got != 10 {
		t.Errorf("the oracle has %d users, want all 10", got)
	}
}

func TestQuotaAndConcurrency(t *testing.T) {
	s := twin(claritest.Options{Quota: 2, Concurrent: 1})
	first := export(t, s, `{}`)
	refused := func(why string) {
		t.Helper()
		if status, out := call(t, s, http.MethodPost, "/export/forecast/net_arr", ""); status != 400 || out["code"] != "export_monthly_quota_reached" {
			t.Errorf("%s: got %d, %v", why, status, out)
		}
	}
	refused("one runs")
	results(t, s, first)
	export(t, s, `{}`)
	refused("two were made")
	s.SetNow(noon.AddDate(0, 0, 31))
	_, out := call(t, s, http.MethodGet, "/admin/limits", "")
	if jobs := out["jobs"].(map[string]any); jobs["availableMonthlyQuota"] != 2.0 || jobs["availableConcurrentLimit"] != 0.0 {
		t.Errorf("after 31 days: %v", jobs)
	}
}

func TestEnvelopesAndCancel(t *testing.T) {
	wrapped, flat := twin(claritest.Options{}), twin(claritest.Options{Flat: true, BareList: true})
	a, b := export(t, wrapped, ``), export(t, flat, ``)
	if _, out := call(t, wrapped, http.MethodGet, "/export/jobs/"+a, ""); out["job"] == nil {
		t.Errorf("wrapped: %v", out)
	}
	if _, out := call(t, flat, http.MethodGet, "/export/jobs/"+b, ""); out["status"] != "SCHEDULED" {
		t.Errorf("flat: %v", out)
	}
	if _, out := call(t, wrapped, http.MethodGet, "/export/jobs", ""); out["jobs"] == nil {
		t.Errorf("list: %v", out)
	}
	if _, out := call(t, flat, http.MethodGet, "/export/jobs", ""); out["bare"] == nil {
		t.Errorf("bare list: %v", out)
	}
	if status, out := call(t, flat, http.MethodGet, "/export/jobs/"+b+"/results", ""); status != 400 || out["code"] != "invalid_jobId" {
		t.Errorf("results before it is done: %d, %v", status, out)
	}
	if status, _ := call(t, flat, http.MethodPatch, "/export/jobs/"+b, `{"type":"CANCEL"}`); status != 200 {
		t.Errorf("cancel: %d", status)
	}
	if status, out := call(t, flat, http.MethodPatch, "/export/jobs/"+b, `{"type":"CANCEL"}`); out["code"] != "export_failed_to_cancel" {
		t.Errorf("cancel twice: %d, %v", status, out)
	}
}
