package gcp_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/GoogleCloudPlatform/functions-framework-go/funcframework"

	"github.com/millrace-data/millrace/shared/chain"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/platform/gcp"
	"github.com/millrace-data/millrace/shared/platform/nodetest"
	"github.com/millrace-data/millrace/shared/stage"
)

// framework serves a function as Google does, and returns its address. The framework
// cannot be stopped: it ends with the test's process.
func framework(t *testing.T, w *nodetest.World, function string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close()
	t.Setenv("FUNCTION_TARGET", function)
	gcp.Register(function, w.Options(t, function))
	down := make(chan error, 1)
	go func() { down <- funcframework.StartHostPort("127.0.0.1", port) }()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		select {
		case err := <-down:
			t.Fatal(err)
		default:
		}
		if c, err := net.Dial("tcp", "127.0.0.1:"+port); err == nil {
			c.Close()
			return "http://127.0.0.1:" + port + "/"
		}
	}
	t.Fatal("the framework does not listen")
	return ""
}

// post sends an event and returns status and body of the answer.
func post(t *testing.T, url string, body []byte, headers ...string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	out, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(out)
}

func expect(t *testing.T, what string, status int, body string, want int, says string) {
	t.Helper()
	if status != want || !strings.Contains(body, says) {
		t.Errorf("%s: got %d %s; want %d with %s", what, status, body, want, says)
	}
}

// The functions of a deployment under Google's framework, by the events that Google
// sends: a schedule's tick, the slice that is pushed, the manifest that arrives.
func TestUnderTheFramework(t *testing.T) {
	t.Setenv("GOOGLE_CLOUD_PROJECT", "acme")
	t.Setenv("CLOUD_RUN_TIMEOUT_SECONDS", "60")
	w := nodetest.New(t)
	items, load := framework(t, w, "items"), framework(t, w, "load")

	status, body := post(t, items, nil, "X-CloudScheduler", "true", "X-CloudScheduler-ScheduleTime", "2025-01-05T02:00:00Z",
		"traceparent", "00-105445aa7843bc8bf206b12000100000-0000000000000001-01")
	expect(t, "tick", status, body, 200, `"ticked"`)
	slices := w.Sent(chain.TopicSlices)
	if len(slices) != 1 || !strings.Contains(string(slices[0].Data), "2025-01-05T02:00:00Z") {
		t.Fatalf("the tick asked for %d slices, at the time it was due: %s", len(slices), slices)
	}

	// Pushed and wrapped, without Eventarc.
	pushed, err := json.Marshal(map[string]any{"subscription": "projects/acme/subscriptions/slices-items", "deliveryAttempt": 2, "message": map[string]any{
		"data": slices[0].Data, "attributes": slices[0].Attributes, "messageId": "7", "message_id": "7", "publishTime": "2025-01-05T02:00:01Z"}})
	if err != nil {
		t.Fatal(err)
	}
	status, body = post(t, items, pushed, "Content-Type", "application/json", "X-Cloud-Trace-Context", "205445aa7843bc8bf206b12000100000/26;o=1")
	expect(t, "slice", status, body, 200, `"staged"`)
	status, body = post(t, items, chain.MessageEvent(slices[0], "acme", "s", time.Now()), "Content-Type", "application/cloudevents+json")
	expect(t, "slice through Eventarc, a second time, which announces the manifest again", status, body, 200, `"staged"`)

	// The manifest, in binary mode; then its repetition, structured.
	key, generation := w.Manifest(t)
	object, err := json.Marshal(map[string]string{"kind": "storage#object", "bucket": nodetest.Bucket, "name": key, "generation": generation})
	if err != nil {
		t.Fatal(err)
	}
	status, body = post(t, load, object, "Content-Type", "application/json", "ce-specversion", "1.0", "ce-id", "7a1b2c3d-unique", "ce-time", "2025-01-05T02:00:02Z",
		"ce-type", "google.cloud.storage.object.v1.finalized", "ce-source", "//storage.googleapis.com/projects/_/buckets/"+nodetest.Bucket, "ce-subject", "objects/"+key)
	expect(t, "arrival", status, body, 200, `"loaded"`)
	status, body = post(t, load, chain.ArrivalEvent(nodetest.Bucket, key, generation, time.Now()), "Content-Type", "application/cloudevents+json")
	expect(t, "arrival again", status, body, 200, `"loaded"`)
	if n := w.Count(t, `SELECT count(*) FROM items.items`); n != 2 {
		t.Errorf("%d rows", n)
	}
	for _, field := range []string{`"logging.googleapis.com/trace":"projects/acme/traces/205445aa7843bc8bf206b12000100000"`, `"logging.googleapis.com/spanId":"000000000000001a"`,
		`"severity":"INFO"`, `"message":"slice started"`} {
		if !strings.Contains(w.Log.String(), field) {
			t.Errorf("the log has no %s", field)
		}
	}
	poisoned(t, w, load)
	again(t, w, items)
}

// poisoned: what can never be handled is kept, recorded, and answered as done.
func poisoned(t *testing.T, w *nodetest.World, load string) {
	for name, body := range map[string]string{
		"an object that went away": `{"specversion":"1.0","id":"1","source":"//storage.googleapis.com/projects/_/buckets/stage","type":"google.cloud.storage.object.v1.deleted","data":{}}`,
		"a notification of one":    `{"message":{"attributes":{"eventType":"OBJECT_DELETE","bucketId":"stage","objectId":"a"},"messageId":"9"},"subscription":"projects/p/subscriptions/s"}`,
		"no JSON":                  `hush`,
		"nothing":                  ``,
	} {
		before := w.Count(t, `SELECT count(*) FROM millrace.runs WHERE step = 'event'`)
		status, answer := post(t, load, []byte(body), "Content-Type", "application/json")
		expect(t, name, status, answer, 200, `"poison"`)
		if n := w.Count(t, `SELECT count(*) FROM millrace.runs WHERE step = 'event'`); n != before+1 {
			t.Errorf("%s: %d runs say so", name, n-before)
		}
	}
	kept := 0
	for key := range w.Objects(t) {
		if strings.HasPrefix(key, stage.Corrupt+"events/load/") {
			kept++
		}
	}
	if kept != 3 { // of nothing, nothing is kept
		t.Errorf("%d events were kept", kept)
	}
	if status, _ := post(t, load, bytes.Repeat([]byte("x"), 17<<20)); status != 200 {
		t.Errorf("an event that is too big is answered %d: it would come again for ever", status)
	}
	resp, err := http.Get(load)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("GET is answered %d", resp.StatusCode)
	}
}

// again: what passes is answered so that it comes again.
func again(t *testing.T, w *nodetest.World, items string) {
	tick := []byte(`{"function":"items","tables":["items"],"from":"2025-01-01","purpose":"backfill","scheduled_time":"2025-01-06T02:00:00Z"}`)
	w.Down = fault.New(fault.Transient, "the chain is away")
	status, body := post(t, items, tick)
	expect(t, "a tick while the chain is away", status, body, 503, `"again"`)
	w.Down = nil
	status, body = post(t, items, tick)
	expect(t, "the same later", status, body, 200, `"ticked"`)
	status, body = post(t, items, []byte(`{"function":"items","tables":["nothing"]}`))
	expect(t, "a tick for a table that is not there", status, body, 422, "nothing")

	m := w.Sent(chain.TopicSlices)[1]
	m.Attributes = map[string]string{"function": "items", chain.AttributeNotBefore: time.Now().Add(time.Minute).Format(time.RFC3339)}
	status, body = post(t, items, chain.MessageEvent(m, "acme", "s", time.Now()))
	expect(t, "a message that is not due", status, body, 429, "not due")
}
