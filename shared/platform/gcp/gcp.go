// Package gcp serves one function on Cloud Run functions, with Google's functions
// framework.
//
// A function has one address, to which everything is posted: Cloud Scheduler's tick,
// Eventarc's CloudEvents of the bucket (binary or structured), Pub/Sub's push of
// slices. What the answer means: 2xx, dealt with, also when the ledger says that the
// slice failed or is paused; 503, again later, which Pub/Sub and Eventarc do by their
// retry policy. An event that can never be dealt with is kept and answered with 200.
//
// The deadline is the platform's (CLOUD_RUN_TIMEOUT_SECONDS), which the framework puts
// into the request's context. After it the caller has gone, but the code runs on: the
// fence of the slice decides what such a zombie may still write.
package gcp

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/GoogleCloudPlatform/functions-framework-go/functions"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/go-json-experiment/json"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/platform"
)

// bodyMax is more than Eventarc and Pub/Sub deliver.
const bodyMax = 16 << 20

// entry is the name under which the framework knows the function: FUNCTION_TARGET.
const entry = "Millrace"

// Register makes the framework serve a function. It is called from init, where
// nothing can be opened yet: the first request does that.
func Register(function string, o platform.Options) {
	o.Function = function
	if o.Log == nil {
		o.Log = platform.Log(os.Stdout)
	}
	if o.Environ == nil {
		o.Environ = os.Environ()
	}
	if o.Secrets == nil {
		o.Secrets = &Secrets{Project: os.Getenv("GOOGLE_CLOUD_PROJECT")}
	}
	functions.HTTP(entry, Handler(o).ServeHTTP)
}

// Handler is the function as an http.Handler. It opens at its first request, and again
// at the next one where that failed: a warehouse that is away must not be remembered.
func Handler(o platform.Options) http.Handler { return &handler{o: o} }

type handler struct {
	o  platform.Options
	mu sync.Mutex
	n  *platform.Node
}

func (h *handler) node(ctx context.Context) (*platform.Node, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.n != nil {
		return h.n, nil
	}
	n, err := platform.Open(context.WithoutCancel(ctx), h.o) // it outlives the request
	h.n = n
	return n, err
}

// ServeHTTP implements http.Handler.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx := platform.Attrs(r.Context(), trace(r.Header)...)
	if r.Method != http.MethodPost {
		http.Error(w, "post an event or a tick", http.StatusMethodNotAllowed)
		return
	}
	event, err := body(r)
	if err != nil {
		h.o.Log.ErrorContext(ctx, "request cannot be read", "error", err)
		http.Error(w, "the request cannot be read", http.StatusBadRequest)
		return
	}
	n, err := h.node(ctx)
	if err == nil {
		err = n.Handle(ctx, event)
	}
	if err != nil {
		h.answer(ctx, w, err)
		return
	}
	fmt.Fprintln(w, "ok")
}

// answer says that the event should come again. Only the kind goes to the caller: who
// may call is not who may read logs.
func (h *handler) answer(ctx context.Context, w http.ResponseWriter, err error) {
	kind := fault.Of(err)
	level := slog.LevelWarn
	if kind == fault.Invalid || kind == fault.Auth {
		level = slog.LevelError
	}
	h.o.Log.Log(ctx, level, "event comes again", "function", h.o.Function, "error", err)
	if until, ok := fault.Until(err); ok {
		w.Header().Set("Retry-After", fmt.Sprint(max(1, int64(time.Until(until).Seconds()))))
	}
	http.Error(w, "not dealt with ("+kind.Error()+"): deliver it again", http.StatusServiceUnavailable)
}

// body is the event as one JSON document: a CloudEvent in binary mode has half of it
// in headers. The time that a schedule meant is in a header, too.
func body(r *http.Request) ([]byte, error) {
	data, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, bodyMax))
	if err != nil {
		return nil, err
	}
	if r.Header.Get("Ce-Id") != "" {
		return structured(r, data), nil
	}
	if at := r.Header.Get("X-CloudScheduler-ScheduleTime"); at != "" {
		return scheduled(data, at), nil
	}
	return data, nil
}

// structured is a CloudEvent of binary mode in one document. One that is none goes on
// as it came, to be refused and kept.
func structured(r *http.Request, data []byte) []byte {
	r = r.Clone(r.Context())
	r.Body = io.NopCloser(bytes.NewReader(data))
	e, err := cehttp.NewEventFromHTTPRequest(r)
	if err != nil {
		return data
	}
	out, err := e.MarshalJSON()
	if err != nil {
		return data
	}
	return out
}

// scheduled puts the time that a schedule meant into its tick, so that one which was
// late, or is tried again, asks for the same.
func scheduled(data []byte, at string) []byte {
	var tick map[string]any
	if json.Unmarshal(data, &tick) != nil || tick["tick"] == nil || tick["at"] != nil {
		return data
	}
	if _, err := time.Parse(time.RFC3339, at); err != nil {
		return data
	}
	tick["at"] = at
	out, err := json.Marshal(tick)
	if err != nil {
		return data
	}
	return out
}

// trace finds the request's trace, so that its lines are shown together.
func trace(h http.Header) []slog.Attr {
	id, _, _ := strings.Cut(h.Get("X-Cloud-Trace-Context"), "/")
	if parts := strings.Split(h.Get("Traceparent"), "-"); id == "" && len(parts) == 4 {
		id = parts[1]
	}
	project := os.Getenv("GOOGLE_CLOUD_PROJECT")
	if id == "" || project == "" {
		return nil
	}
	return []slog.Attr{slog.String("logging.googleapis.com/trace", "projects/"+project+"/traces/"+id)}
}
