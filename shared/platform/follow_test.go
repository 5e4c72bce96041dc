package platform_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-data/millrace/shared/chain"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/follow"
	"github.com/millrace-data/millrace/shared/platform"
	"github.com/millrace-data/millrace/shared/platform/nodetest"
	"github.com/millrace-data/millrace/shared/warehouse"
)

// scores is a follower's function, without a stage.
func scores(t *testing.T, w *nodetest.World) *platform.Node {
	t.Helper()
	o := w.Options(t, "scores", "SCORES_TOKEN=k")
	o.Environ = slices.DeleteFunc(o.Environ, func(pair string) bool { return strings.HasPrefix(pair, "MILLRACE_STAGE=") })
	n := platform.New(o)
	t.Cleanup(n.Close)
	return n
}

// message is what load says of a table, as a push subscription of that name brings it.
func message(table, topic string) chain.Message {
	return chain.Message{Topic: topic, Key: table, ID: "7", Attributes: map[string]string{"function": "items", "table": table, "slice": "s"},
		Data: []byte(`{"function":"items","table":"` + table + `","slice":"s","rows":2}`)}
}

func done(o ...follow.Outcome) func(follow.Start) ([]follow.Outcome, error) {
	return func(follow.Start) ([]follow.Outcome, error) { return o, nil }
}

// From the vendor to the function that follows: what load says starts it.
func TestLoadedStartsFollower(t *testing.T) {
	w, _, load := staged(t)
	n := scores(t, w)
	key, generation := w.Manifest(t)
	want(t, "arrival", handle(t, load, chain.ArrivalEvent(nodetest.Bucket, key, generation, time.Now())), "ok", warehouse.Loaded)
	w.Follow = done(follow.Outcome{Name: "analytics.scores", State: warehouse.Loaded, Rows: 2})
	loaded := w.Sent(chain.TopicLoaded)
	a := handle(t, n, chain.MessageEvent(loaded[0], "p", "s", time.Now()))
	want(t, "loaded", a, "ok", warehouse.Loaded)
	if e := a.Events[0]; e.Name != "analytics.scores" || e.Rows != 2 || e.Event == "" {
		t.Errorf("got %+v", e)
	}
	want(t, "pushed without Eventarc", handle(t, n, chain.Push(loaded[0])), "ok", warehouse.Loaded)
	if diff := cmp.Diff([]follow.Start{{Table: "items.items"}, {Table: "items.items"}}, w.Starts()); diff != "" {
		t.Errorf("starts (-want +got)\n%s", diff)
	}
	if n := w.Count(t, `SELECT count(*) FROM millrace.runs WHERE function = 'scores' AND step = 'follow' AND outcome = 'loaded' AND rows = 2 AND table_name = 'scores'`); n != 2 {
		t.Errorf("%d runs", n)
	}
}

func TestFollowerTicks(t *testing.T) {
	w := nodetest.New(t)
	n := scores(t, w)
	want(t, "a schedule", handle(t, n, []byte(`{"function":"scores","scheduled_time":"2025-01-05T02:00:00Z"}`)), "ok", platform.Ignored)
	want(t, "a person", handle(t, n, []byte(`{"function":"scores","tables":["daily"],"scheduled_time":"2025-01-05T02:00:00Z"}`)), "ok", platform.Ignored)
	at := time.Date(2025, 1, 5, 2, 0, 0, 0, time.UTC)
	if diff := cmp.Diff([]follow.Start{{At: at}, {At: at, Only: []string{"daily"}, Hand: true}}, w.Starts()); diff != "" {
		t.Errorf("starts (-want +got)\n%s", diff)
	}
	handle(t, n, []byte(`{"function":"scores"}`))
	if s := w.Starts()[2]; s.At.IsZero() {
		t.Errorf("a tick without a time starts at %v", s.At)
	}
	if n := w.Count(t, `SELECT count(*) FROM millrace.runs`); n != 0 {
		t.Errorf("%d runs, though nothing was done", n)
	}
}

// What is not the follower's: ignored where it is another table's, refused where no
// delivery can help.
func TestFollowerRefuses(t *testing.T) {
	w := nodetest.New(t)
	n := scores(t, w)
	w.Follow = done(follow.Outcome{Name: "x", State: warehouse.Loaded})
	for _, topic := range []string{chain.TopicLoaded, "millrace-scores"} {
		m := message("items.others", topic)
		want(t, "another table", handle(t, n, chain.MessageEvent(m, "p", "s", time.Now())), "ok", platform.Ignored)
	}
	due := message("items.items", chain.TopicSlices)
	slice := message("items", "millrace-scores")
	slice.Data = []byte(`{"function":"items","table":"items","slice":"s","purpose":"live"}`)
	slice.Attributes["table"] = "items"
	liar := message("items.items", "millrace-scores")
	liar.Attributes["table"] = "items.others"
	for name, body := range map[string][]byte{
		"no JSON":            []byte("hush"),
		"an arrival":         chain.ArrivalEvent(nodetest.Bucket, "a/manifest.json", "1", time.Now()),
		"a slice":            chain.MessageEvent(due, "p", "s", time.Now()),
		"a slice, untold":    chain.Push(slice),
		"unlike its words":   chain.MessageEvent(liar, "p", "s", time.Now()),
		"no message of ours": chain.MessageEvent(chain.Message{Topic: "t", ID: "2", Data: []byte("hush")}, "p", "s", time.Now()),
		"another's tick":     []byte(`{"function":"items"}`),
		"a range":            []byte(`{"function":"scores","from":"2025-01-01"}`),
	} {
		a := handle(t, n, body)
		want(t, name, a, "failed", platform.Poison)
		if !errors.Is(a.Err, fault.Invalid) {
			t.Errorf("%s: %v", name, a.Err)
		}
	}
	if got := len(w.Starts()); got != 0 {
		t.Errorf("it was started %d times", got)
	}
	if n := w.Count(t, `SELECT count(*) FROM millrace.runs WHERE function = 'scores' AND step = 'event' AND error_kind = 'invalid'`); n != 8 {
		t.Errorf("%d runs say why", n)
	}
}

// An error comes again as its kind says; what was done before it is done.
func TestFollowerFaults(t *testing.T) {
	until := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	first := follow.Outcome{Name: "first", State: "applied", Rows: 3}
	for _, tc := range []struct {
		name           string
		outcomes       []follow.Outcome
		err            error
		outcome, ended string
	}{
		{"nothing to do", nil, nil, "ok", platform.Ignored},
		{"another has it", nil, fault.New(fault.Stale, "another worker"), "ok", platform.Ignored},
		{"passes", nil, fault.New(fault.Transient, "away"), "again", "again"},
		{"unknown", nil, errors.New("something"), "again", "again"},
		{"quota", nil, fault.LimitedUntil(until, "used up"), "again", "again"},
		{"one done, one passes", []follow.Outcome{first}, fault.New(fault.Transient, "away"), "again", "applied,again"},
		{"key refused", nil, fault.New(fault.Auth, "the key"), "failed", platform.Poison},
		{"configuration", []follow.Outcome{first}, fault.New(fault.Invalid, "a job"), "failed", "applied,poison"},
		{"paused", []follow.Outcome{{Name: "s", State: "paused", Until: until, Err: fault.LimitedUntil(until, "quota")}}, nil, "failed", "paused"},
		{"two ended", []follow.Outcome{first, {Name: "s", State: "blocked", Err: fault.New(fault.Refused, "zeroed")}}, nil, "failed", "applied,blocked"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := nodetest.New(t)
			w.Follow = func(follow.Start) ([]follow.Outcome, error) { return tc.outcomes, tc.err }
			n := scores(t, w)
			a := handle(t, n, chain.MessageEvent(message("items.items", chain.TopicLoaded), "p", "s", time.Now()))
			want(t, tc.name, a, tc.outcome, tc.ended)
			kept := w.Count(t, `SELECT count(*) FROM millrace.runs WHERE step = 'follow' AND outcome = 'again'`)
			if kept > 0 != (tc.outcome == "again") {
				t.Errorf("%d runs are to come again", kept)
			}
			if tc.name == "paused" && (a.Events[0].Until == nil || !a.Events[0].Until.Equal(until)) {
				t.Errorf("paused until %v", a.Events[0].Until)
			}
			if strings.Contains(a.Events[0].Error, "zeroed") { // who delivers is not who may read
				t.Errorf("the answer says why: %+v", a.Events)
			}
		})
	}
}

// A follower without its configuration, or the stage of another function's: what is
// missing is named, and nothing is lost.
func TestFollowerNotConfigured(t *testing.T) {
	w := nodetest.New(t)
	o := w.Options(t, "scores")
	a := handle(t, platform.New(o), []byte(`{"function":"scores"}`))
	want(t, "nothing is set", a, "again", "again")
	if !strings.Contains(a.Err.Error(), "SCORES_TOKEN") {
		t.Errorf("%v does not name SCORES_TOKEN", a.Err)
	}
}
