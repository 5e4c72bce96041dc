// Package gcp runs a function on Google Cloud Run functions.
//
// One HTTP function takes whatever Google delivers: a tick of Cloud Scheduler, a
// pushed Pub/Sub message, a CloudEvent of Eventarc, binary or structured. The answer
// says whether it comes again: 200 is done with, also where the outcome is a failure
// that is recorded; 503 and 429 come again by the subscription's retry policy; 422 is
// only for who waits for the answer of a tick that failed.
//
// The function obeys the platform's time limit (CLOUD_RUN_TIMEOUT_SECONDS, which the
// framework makes a deadline) and MILLRACE_DEADLINE. Who may call it is IAM's
// business: nothing here looks at tokens.
package gcp

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/GoogleCloudPlatform/functions-framework-go/functions"

	"github.com/millrace-data/millrace/shared/chain"
	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/platform"
)

// bodyMax is more than Pub/Sub delivers, which is 10 MB and a third for base64.
const bodyMax = 16 << 20 // bytes

// Register makes a function known to the framework, under its name, which is the
// entry point of the deployment. connector is nil for the function that loads.
func Register(name string, connector *extract.Function) {
	functions.HTTP(name, Handler(New(name, connector)))
}

// New makes a function with all that Google's cloud has.
func New(name string, connector *extract.Function) *platform.Function {
	return platform.New(platform.Options{Name: name, Connector: connector, Drivers: platform.Clouds(),
		Secrets: &Secrets{}, Log: platform.NewLog(os.Stdout), Instance: os.Getenv("K_REVISION")})
}

// Handler serves a function.
func Handler(f *platform.Function) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			http.Error(w, f.Name()+" takes events by POST", http.StatusMethodNotAllowed)
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bodyMax))
		if err != nil {
			status := http.StatusServiceUnavailable // the caller went away, or comes again
			if tooBig := new(http.MaxBytesError); errors.As(err, &tooBig) {
				status = http.StatusOK // it would be as big the next time
				f.Log().Log(r.Context(), slog.LevelError, "event dropped: it is too big", "function", f.Name(), "bytes_max", bodyMax)
			}
			w.WriteHeader(status)
			return
		}
		ctx := platform.With(r.Context(), trace(r.Header)...)
		d := chain.SplitRequest(r.Header, body)
		answer(w, d, f.Handle(ctx, d))
	}
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
	case a.Err != nil && d.Direct:
		status = http.StatusUnprocessableEntity
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(a) // the caller is gone: nobody to tell
}
