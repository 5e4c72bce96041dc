// Package gcp runs a function on Google Cloud Run functions.
//
// One HTTP function takes whatever Google delivers: a tick of Cloud Scheduler, a
// pushed Pub/Sub message, a CloudEvent of Eventarc, binary or structured. The answer
// says whether it comes again: 200 is done with, also where the outcome is a failure
// that is recorded; 503 and 429 come again by the subscription's retry policy; 422 is
// only for who waits for the answer of a tick that could not be handled.
//
// The function obeys the platform's time limit (CLOUD_RUN_TIMEOUT_SECONDS, which the
// framework makes a deadline) and MILLRACE_DEADLINE. Who may call it is IAM's
// business: nothing here looks at tokens.
package gcp

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/GoogleCloudPlatform/functions-framework-go/functions"

	"github.com/millrace-data/millrace/shared/chain"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/platform"
)

// bodyMax is more than Pub/Sub delivers, which is 10 MB and a third for base64.
const bodyMax = 16 << 20 // bytes

// Register makes the framework serve a function, under its name: the entry point of
// the deployment. It is called from init, where nothing is opened yet; the first
// request does that. Of the options, what the cloud has is set where nobody did.
func Register(function string, o platform.Options) {
	o.Function = function
	if o.Log == nil {
		o.Log = platform.Log(os.Stdout)
	}
	if o.Secrets == nil {
		o.Secrets = &Secrets{Project: os.Getenv("GOOGLE_CLOUD_PROJECT")}
	}
	if o.Instance == "" {
		o.Instance = os.Getenv("K_REVISION")
	}
	functions.HTTP(function, Handler(o).ServeHTTP)
}

// Handler is the function as an http.Handler.
func Handler(o platform.Options) http.Handler { return &handler{platform.New(o)} }

type handler struct{ n *platform.Node }

// ServeHTTP implements http.Handler.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, h.n.Name()+" takes events by POST", http.StatusMethodNotAllowed)
		return
	}
	ctx := platform.Attrs(r.Context(), trace(r.Header)...)
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bodyMax))
	if err != nil {
		status := http.StatusServiceUnavailable // the caller went away, or comes again
		if tooBig := new(http.MaxBytesError); errors.As(err, &tooBig) {
			status = http.StatusOK // it would be as big the next time
			h.n.Log().ErrorContext(ctx, "event dropped: it is too big", "function", h.n.Name(), "bytes_max", bodyMax)
		}
		w.WriteHeader(status)
		return
	}
	d := chain.SplitRequest(r.Header, body)
	answer(w, d, h.n.Handle(ctx, d))
}

// answer says in HTTP whether the delivery comes again.
func answer(w http.ResponseWriter, d chain.Delivery, a platform.Answer) {
	status := http.StatusOK
	switch {
	case a.Again && errors.Is(a.Err, fault.Limited):
		status = http.StatusTooManyRequests
		if until, ok := fault.Until(a.Err); ok {
			w.Header().Set("Retry-After", strconv.Itoa(int(max(0, time.Until(until)).Seconds())+1))
		}
	case a.Again:
		status = http.StatusServiceUnavailable
	case a.Refused() && d.Direct:
		status = http.StatusUnprocessableEntity
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(a) // the caller is gone: nobody to tell
}
