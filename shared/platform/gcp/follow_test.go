package gcp_test

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/millrace-data/millrace/shared/chain"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/follow"
	"github.com/millrace-data/millrace/shared/platform/gcp"
	"github.com/millrace-data/millrace/shared/platform/nodetest"
)

// A function that follows tables takes what its subscription pushes and what its
// schedule sends, and answers in HTTP what comes again.
func TestFollower(t *testing.T) {
	w := nodetest.New(t)
	s := httptest.NewServer(gcp.Handler(w.Options(t, "scores", "SCORES_TOKEN=k")))
	t.Cleanup(s.Close)
	var outcomes []follow.Outcome
	var fails error
	w.Follow = func(follow.Start) ([]follow.Outcome, error) { return outcomes, fails }
	loaded := chain.Message{Topic: "millrace-loaded-scores", Key: "items.items", ID: "7", Data: []byte(`{"function":"items","table":"items.items","slice":"s"}`),
		Attributes: map[string]string{"function": "items", "table": "items.items", "slice": "s"}}
	for _, tc := range []struct {
		name     string
		outcomes []follow.Outcome
		err      error
		status   int
		says     string
	}{
		{"nothing to do", nil, nil, 200, `"ignored"`},
		{"done", []follow.Outcome{{Name: "daily", State: "applied", Rows: 3}}, nil, 200, `"name":"daily","state":"applied","rows":3`},
		{"blocked", []follow.Outcome{{Name: "daily", State: "blocked", Err: fault.New(fault.Refused, "zeroed")}}, nil, 200, `"blocked"`},
		{"passes", nil, fault.New(fault.Transient, "away"), 503, `"again"`},
		{"quota", nil, fault.LimitedUntil(time.Now().Add(time.Hour), "used up"), 429, `"again"`},
		{"key refused", nil, fault.New(fault.Auth, "the key"), 200, `"poison"`},
	} {
		outcomes, fails = tc.outcomes, tc.err
		status, body := deliver(t, s.URL, chain.Push(loaded), "Content-Type", "application/json")
		expect(t, tc.name, status, body, tc.status, tc.says)
	}
	outcomes, fails = nil, fault.New(fault.Auth, "the key")
	status, body := deliver(t, s.URL, []byte(`{"function":"scores"}`), "X-CloudScheduler", "true", "X-CloudScheduler-ScheduleTime", "2025-01-05T02:15:00Z")
	expect(t, "a tick that fails, whose sender waits", status, body, 422, `"poison"`)
	outcomes, fails = []follow.Outcome{{Name: "daily", State: "blocked", Err: fault.New(fault.Refused, "zeroed")}}, nil
	status, body = deliver(t, s.URL, []byte(`{"function":"scores"}`), "X-CloudScheduler", "true")
	expect(t, "a tick whose sync is blocked, which need not come again", status, body, 200, `"blocked"`)
	if n := strings.Count(w.Log.String(), `"message":"event failed"`); n != 2 { // the keys that were refused
		t.Errorf("%d events failed", n)
	}
	if at := w.Starts()[6].At; !at.Equal(time.Date(2025, 1, 5, 2, 15, 0, 0, time.UTC)) {
		t.Errorf("the tick was due at %v", at)
	}
}
