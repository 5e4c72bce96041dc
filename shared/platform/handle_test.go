package platform_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/millrace-data/millrace/shared/chain"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/platform"
	"github.com/millrace-data/millrace/shared/platform/nodetest"
	"github.com/millrace-data/millrace/shared/stage"
	"github.com/millrace-data/millrace/shared/warehouse"
)

func handle(t *testing.T, n *platform.Node, body []byte) platform.Answer {
	t.Helper()
	return n.Handle(t.Context(), chain.SplitRequest(http.Header{}, body))
}

// states is how the events of an answer ended.
func states(a platform.Answer) string {
	var out []string
	for _, e := range a.Events {
		out = append(out, e.State)
	}
	return strings.Join(out, ",")
}

func want(t *testing.T, what string, a platform.Answer, outcome, ended string) {
	t.Helper()
	if a.Outcome() != outcome || states(a) != ended {
		t.Errorf("%s: got %s (%s), %v; want %s (%s)", what, a.Outcome(), states(a), a.Err, outcome, ended)
	}
}

// staged ticks and reads, and returns the world with its two functions.
func staged(t *testing.T) (w *nodetest.World, items, load *platform.Node) {
	t.Helper()
	w = nodetest.New(t)
	items, load = platform.New(w.Options(t, "items")), platform.New(w.Options(t, "load"))
	want(t, "tick", handle(t, items, []byte(`{"function":"items","scheduled_time":"2025-01-05T02:00:00Z"}`)), "ok", platform.Ticked)
	slices := w.Sent(chain.TopicSlices)
	if len(slices) != 1 {
		t.Fatalf("%d slices were asked for", len(slices))
	}
	want(t, "slice", handle(t, items, chain.MessageEvent(slices[0], "p", "s", time.Now())), "ok", warehouse.Staged)
	return w, items, load
}

func TestTickToLoaded(t *testing.T) {
	w, items, load := staged(t)
	key, generation := w.Manifest(t)
	arrival := chain.ArrivalEvent(nodetest.Bucket, key, generation, time.Now())
	want(t, "arrival", handle(t, load, arrival), "ok", warehouse.Loaded)
	want(t, "the same again", handle(t, load, arrival), "ok", warehouse.Loaded)
	again := chain.MessageEvent(w.Sent(chain.TopicSlices)[0], "p", "s", time.Now())
	want(t, "the slice again", handle(t, items, again), "ok", "stale")
	if n := w.Count(t, `SELECT count(*) FROM items.items`); n != 2 {
		t.Errorf("%d rows", n)
	}
	if n := len(w.Sent(chain.TopicLoaded)); n != 2 { // the second says it again: the first may never have left
		t.Errorf("%d messages of what was loaded", n)
	}
}

// What lies in the bucket beside manifests starts nothing, also what a function
// itself keeps there.
func TestNothingStartsItself(t *testing.T) {
	w, _, load := staged(t)
	want(t, "poison", handle(t, load, []byte(`{"hello":1}`)), "failed", platform.Poison)
	manifests, rest := 0, 0
	for key, generation := range w.Objects(t) {
		if stage.IsManifest(key) {
			manifests++
			continue
		}
		rest++
		want(t, key, handle(t, load, chain.ArrivalEvent(nodetest.Bucket, key, generation, time.Now())), "ok", platform.Ignored)
	}
	for _, key := range []string{stage.Corrupt + "x/manifest.json", stage.Raw + "x/manifest.json"} {
		want(t, key, handle(t, load, chain.ArrivalEvent(nodetest.Bucket, key, "1", time.Now())), "ok", platform.Ignored)
	}
	if manifests != 1 || rest < 2 {
		t.Errorf("%d manifests and %d others in the bucket", manifests, rest)
	}
}

func TestStaleGenerationIsSkipped(t *testing.T) {
	w, _, load := staged(t)
	key, generation := w.Manifest(t)
	want(t, "an older writing", handle(t, load, chain.ArrivalEvent(nodetest.Bucket, key, "1", time.Now())), "ok", "stale")
	gone := strings.Replace(key, "manifest.json", "other/manifest.json", 1)
	want(t, "an object that is gone", handle(t, load, chain.ArrivalEvent(nodetest.Bucket, gone, "1", time.Now())), "ok", "stale")
	if n := w.Count(t, `SELECT count(*) FROM millrace.slices WHERE state = 'loaded'`); n != 0 {
		t.Error("a stale event loaded something")
	}
	want(t, "the newest", handle(t, load, chain.ArrivalEvent(nodetest.Bucket, key, generation, time.Now())), "ok", warehouse.Loaded)
}

// Events that no delivery can help are kept, recorded and done with.
func TestPoison(t *testing.T) {
	w := nodetest.New(t)
	items, load := platform.New(w.Options(t, "items")), platform.New(w.Options(t, "load"))
	slice := chain.Message{Topic: chain.TopicSlices, ID: "1", Data: []byte(`{"function":"items","table":"nothing","slice":"s"}`), Attributes: map[string]string{"function": "items"}}
	for name, tc := range map[string]struct {
		n    *platform.Node
		body []byte
	}{
		"no JSON":                   {items, []byte("hush")},
		"unknown":                   {load, []byte(`{"specversion":"1.0","type":"google.cloud.storage.object.v1.deleted"}`)},
		"a message that is none":    {items, chain.MessageEvent(chain.Message{Topic: "t", ID: "2", Data: []byte("hush")}, "p", "s", time.Now())},
		"a table that is not there": {items, chain.MessageEvent(slice, "p", "s", time.Now())},
		"a message for load":        {load, chain.MessageEvent(slice, "p", "s", time.Now())},
		"an arrival for items":      {items, chain.ArrivalEvent(nodetest.Bucket, "a/manifest.json", "1", time.Now())},
		"an arrival elsewhere":      {load, chain.ArrivalEvent("other", "a/manifest.json", "1", time.Now())},
		"a tick for load":           {load, []byte(`{"function":"load"}`)},
		"a tick for another":        {items, []byte(`{"function":"clari"}`)},
	} {
		before := w.Count(t, `SELECT count(*) FROM millrace.runs WHERE step = 'event' AND outcome = 'failed' AND error_kind = 'invalid'`)
		a := handle(t, tc.n, tc.body)
		want(t, name, a, "failed", platform.Poison)
		if !errors.Is(a.Err, fault.Invalid) {
			t.Errorf("%s: %v", name, a.Err)
		}
		if after := w.Count(t, `SELECT count(*) FROM millrace.runs WHERE step = 'event' AND outcome = 'failed' AND error_kind = 'invalid'`); after != before+1 {
			t.Errorf("%s: %d runs say so", name, after-before)
		}
	}
	kept := 0
	for key := range w.Objects(t) {
		if strings.HasPrefix(key, stage.Corrupt+"events/") {
			kept++
		}
	}
	if kept < 8 || strings.Contains(w.Log.String(), "hush") {
		t.Errorf("%d events were kept; the log must not quote them: %s", kept, w.Log)
	}
}

// A slice that a poison message names has failed, and the next tick takes it up.
func TestPoisonFailsItsSlice(t *testing.T) {
	w := nodetest.New(t)
	items := platform.New(w.Options(t, "items"))
	handle(t, items, []byte(`{"function":"items"}`))
	m := w.Sent(chain.TopicSlices)[0]
	m.Data = []byte(strings.Replace(string(m.Data), `{`, `{"new":1,`, 1)) // as a newer version would write it
	want(t, "a message of the future", handle(t, items, chain.MessageEvent(m, "p", "s", time.Now())), "failed", platform.Poison)
	if n := w.Count(t, `SELECT count(*) FROM millrace.slices WHERE state = 'failed'`); n != 1 {
		t.Errorf("%d slices failed", n)
	}
	handle(t, items, []byte(`{"function":"items"}`))
	if n := len(w.Sent(chain.TopicSlices)); n != 2 {
		t.Errorf("the slice was asked for %d times", n)
	}
}

func TestOtherFunctionsMessageIsIgnored(t *testing.T) {
	w := nodetest.New(t)
	m := chain.Message{Topic: chain.TopicSlices, ID: "1", Data: []byte(`{"function":"clari","table":"users","slice":"s"}`), Attributes: map[string]string{"function": "clari"}}
	want(t, "another's", handle(t, platform.New(w.Options(t, "items")), chain.MessageEvent(m, "p", "s", time.Now())), "ok", platform.Ignored)
}

func TestVendorFaultsAreRecorded(t *testing.T) {
	w := nodetest.New(t)
	items := platform.New(w.Options(t, "items"))
	handle(t, items, []byte(`{"function":"items"}`))
	w.Fail = fault.New(fault.Auth, "the key was refused")
	a := handle(t, items, chain.MessageEvent(w.Sent(chain.TopicSlices)[0], "p", "s", time.Now()))
	want(t, "a refused key", a, "failed", warehouse.Failed)
	if !errors.Is(a.Err, fault.Auth) || a.Again {
		t.Errorf("got %v, again %v", a.Err, a.Again)
	}
}

// What could not be recorded, or passes, comes again.
func TestAgain(t *testing.T) {
	w, items, load := staged(t)
	key, generation := w.Manifest(t)
	w.Down = fault.New(fault.Transient, "the chain is away")
	want(t, "loaded, but not said", handle(t, load, chain.ArrivalEvent(nodetest.Bucket, key, generation, time.Now())), "again", "again")
	want(t, "tick", handle(t, items, []byte(`{"function":"items","tables":["items"],"from":"2025-01-01","purpose":"backfill"}`)), "again", "again")
	w.Down = nil
	want(t, "the second time", handle(t, load, chain.ArrivalEvent(nodetest.Bucket, key, generation, time.Now())), "ok", warehouse.Loaded)

	w.Warehouse.Close()
	want(t, "poison that cannot be recorded", handle(t, load, []byte(`{}`)), "again", "again")
}

func TestNotDueYet(t *testing.T) {
	w := nodetest.New(t)
	items := platform.New(w.Options(t, "items"))
	handle(t, items, []byte(`{"function":"items"}`))
	m := w.Sent(chain.TopicSlices)[0]
	later := func(d time.Duration) []byte {
		m := m
		m.Attributes = map[string]string{"function": "items", chain.AttributeNotBefore: time.Now().Add(d).UTC().Format(time.RFC3339Nano)}
		return chain.MessageEvent(m, "p", "s", time.Now())
	}
	a := handle(t, items, later(time.Minute))
	want(t, "in a minute", a, "again", "again")
	if until, ok := fault.Until(a.Err); !ok || time.Until(until) < 30*time.Second {
		t.Errorf("again at %v, %v", until, a.Err)
	}
	began := time.Now()
	want(t, "in a moment", handle(t, items, later(300*time.Millisecond)), "ok", warehouse.Staged)
	if took := time.Since(began); took < 250*time.Millisecond {
		t.Errorf("it was handled after %s", took)
	}
}

// The function ends before the platform does, and leaves the vendor in time.
func TestDeadline(t *testing.T) {
	w := nodetest.New(t)
	items := platform.New(w.Options(t, "items", "MILLRACE_DEADLINE=1ns"))
	want(t, "no time at all", handle(t, items, []byte(`{"function":"items"}`)), "again", "again")
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	<-ctx.Done()
	a := platform.New(w.Options(t, "items")).Handle(ctx, chain.SplitRequest(http.Header{}, []byte(`{"function":"items"}`)))
	want(t, "the platform's time is over", a, "again", "again")
}

// A deployment that is not configured is no event's fault: it comes again, and the
// answer names everything that is missing, but no value.
func TestNotConfigured(t *testing.T) {
	w := nodetest.New(t)
	o := w.Options(t, "items")
	o.Environ = []string{"MILLRACE_WAREHOUSE=secretive"}
	a := handle(t, platform.New(o), []byte(`{"function":"items"}`))
	want(t, "nothing is set", a, "again", "again")
	for _, name := range []string{"MILLRACE_STAGE", "MILLRACE_CHAIN"} {
		if !strings.Contains(a.Err.Error(), name) {
			t.Errorf("%v does not name %s", a.Err, name)
		}
	}
	for _, o := range []platform.Options{
		{Function: "items", Functions: o.Functions, Environ: []string{"MILLRACE_WAREHOUSE=hush:hush@x", "MILLRACE_STAGE=file://" + t.TempDir(), "MILLRACE_CHAIN=pubsub:"}},
		{Function: "items", Functions: o.Functions, Chain: o.Chain, Environ: []string{"MILLRACE_WAREHOUSE=duckdb:hush", "MILLRACE_STAGE=file://" + t.TempDir(), "MILLRACE_CHAIN=x:"}},
		{Function: "nobody", Environ: o.Environ},
	} {
		a := handle(t, platform.New(o), []byte(`{}`))
		if !a.Again || !errors.Is(a.Err, fault.Invalid) || strings.Contains(a.Err.Error(), "hush") {
			t.Errorf("got %v", a.Err)
		}
	}
}

func TestLogLines(t *testing.T) {
	w := nodetest.New(t)
	log := platform.Log(w.Log)
	ctx := platform.Attrs(t.Context(), slog.String("trace", "abc"))
	log.WarnContext(ctx, "hello", "rows", 3)
	var line map[string]any
	if err := json.Unmarshal([]byte(w.Log.String()), &line); err != nil {
		t.Fatal(err)
	}
	for k, v := range map[string]any{"severity": "WARNING", "level": "WARN", "message": "hello", "trace": "abc", "rows": 3.0} {
		if line[k] != v {
			t.Errorf("%s is %v, want %v", k, line[k], v)
		}
	}
	if line["timestamp"] == nil {
		t.Errorf("no time in %v", line)
	}
}
