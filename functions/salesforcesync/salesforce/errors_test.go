package salesforce

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/millrace-data/millrace/shared/fault"
)

func TestClassify(t *testing.T) {
	for _, tc := range []struct {
		name   string
		status int
		body   string
		kind   error // nil: left to package rest
		want   string
	}{
		{"field", 400, `[{"errorCode":"INVALID_FIELD","message":"\nSELECT 'key' \n ^\nERROR at Row:1:Column:8\nNo such column 'X' on sobject of type Y","fields":[]}]`, fault.Invalid, "field-level security"},
		{"type", 400, `[{"errorCode":"INVALID_TYPE","message":"sObject type 'X' is not supported."}]`, fault.Invalid, "INVALID_TYPE"},
		{"query", 400, `[{"errorCode":"MALFORMED_QUERY","message":"unexpected token"}]`, fault.Invalid, "MALFORMED_QUERY: unexpected token"},
		{"no API", 403, `[{"errorCode":"API_DISABLED_FOR_ORG","message":"no"}]`, fault.Invalid, "API Enabled"},
		{"quota", 403, `[{"message":"TotalRequests Limit exceeded.","errorCode":"REQUEST_LIMIT_EXCEEDED"}]`, fault.Limited, "TotalRequests"},
		{"session", 401, expired, fault.Auth, "Session expired"},
		{"session, other status", 403, expired, fault.Auth, "Session expired"},
		{"not allowed", 403, `[{"errorCode":"INSUFFICIENT_ACCESS","message":"x"}]`, fault.Auth, "INSUFFICIENT_ACCESS"},
		{"lock", 400, `[{"errorCode":"UNABLE_TO_LOCK_ROW","message":"x"}]`, fault.Transient, "UNABLE"},
		{"gone", 404, `[{"errorCode":"NOT_FOUND","message":"x"}]`, fault.NotFound, "NOT_FOUND"},
		{"gone, a web page", 404, `<html>`, fault.NotFound, "404"},
		{"server", 500, `[{"errorCode":"UNKNOWN_EXCEPTION","message":"x"}]`, fault.Transient, "UNKNOWN"},
		{"server, empty", 503, ``, fault.Transient, "503"},
		{"several records", 300, `["/services/data/v60.0/sobjects/A/1"]`, fault.Invalid, "several records"},
		{"item form", 400, `{"statusCode":"MISSING_ARGUMENT","message":"id"}`, fault.Invalid, "MISSING_ARGUMENT: id"},
		{"bulk", 400, `[{"errorCode":"INVALIDJOB","message":"Found multipe contents for job: <750>"}]`, fault.Invalid, "INVALIDJOB"},
		{"pages", 400, `[{"errorCode":"INVALID_QUERY_LOCATOR","message":"x"}]`, errLocator, "LOCATOR"},
		{"later", 429, ``, nil, ""},
		{"control characters", 400, `[{"errorCode":"X","message":"a\u0000\u001b[31m\nb"}]`, fault.Invalid, "X: a[31m b"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := newOrg(t).client(t)
			err := c.classify(tc.status, http.Header{}, []byte(tc.body))
			if tc.kind == nil && err == nil {
				return
			}
			if !errors.Is(err, tc.kind) || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "'key'") {
				t.Errorf("got %v (%v), want %v with %q", err, fault.Of(err), tc.kind, tc.want)
			}
		})
	}
}

func TestQuotaEnds(t *testing.T) {
	c := newOrg(t).client(t)
	at := time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)
	c.opts.Now = func() time.Time { return at }
	quota := `[{"message":"TotalRequests Limit exceeded.","errorCode":"REQUEST_LIMIT_EXCEEDED"}]`
	busy := `[{"message":"ConcurrentRequests (Concurrent API Requests) Limit exceeded.","errorCode":"REQUEST_LIMIT_EXCEEDED"}]`
	for _, tc := range []struct {
		body, after string
		want        time.Duration
	}{{quota, "", time.Hour}, {quota, "90", 90 * time.Second}, {busy, "", time.Minute}} {
		until, ok := fault.Until(c.classify(403, http.Header{"Retry-After": {tc.after}}, []byte(tc.body)))
		if !ok || until.Sub(at) != tc.want {
			t.Errorf("got %v, want %v", until.Sub(at), tc.want)
		}
	}
}

func TestUsage(t *testing.T) {
	for header, want := range map[string]string{
		"api-usage=18/5000": "18/5000",
		"api-usage=25/5000;per-app-api-usage=17/250(appName=x)":      "17/250",
		"api-usage=4999/5000; per-app-api-usage=17/250(appName=a b)": "4999/5000",
		"": "", "api-usage=x/5": "", "other=1/2": "", "api-usage=1": "", "api-usage=1/0": "", "api-usage=-1/5": "",
	} {
		b, ok := usage(header)
		got := ""
		if ok {
			got = strings.Join([]string{itoa(b.Used), itoa(b.Max)}, "/")
		}
		if got != want {
			t.Errorf("%q: got %s, want %s", header, got, want)
		}
	}
}

func FuzzProblems(f *testing.F) {
	for _, s := range []string{expired, `{"error":"a","error_description":"b"}`, `["x"]`, `[null]`, `<html>`, ``, `[{"fields":[1]}]`, "[{\"message\":\"\xff\"}]"} {
		f.Add([]byte(s))
	}
	c := &Client{}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, p := range problems(body) {
			if p.Code == "" && p.Message == "" {
				t.Error("an error that says nothing")
			}
		}
		_, text := c.first(body)
		if len([]rune(text)) > messageMax+300 || strings.ContainsAny(text, "\n\r\x00\x1b") {
			t.Errorf("got %q", text)
		}
	})
}
