package ociusage

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-data/millrace/functions/ociusage/ociusagetest"
	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/rest"
	"github.com/millrace-data/millrace/shared/rest/resttest"
)

// TestRetryAfter lists against a twin that asks to wait. The clock is the
// bubble's, and signatures must be fresh after the wait: it is longer than the
// twin allows them to be old, if the deadline permits it at all.
func TestRetryAfter(t *testing.T) {
	conf := env.Map(ociusagetest.Env("http://127.0.0.1:1")) // makes the key outside of any bubble
	for _, c := range []struct {
		name     string
		do       resttest.Effect
		times    int
		deadline time.Duration
		waited   time.Duration
		kind     error
	}{
		{"seconds", resttest.RetryAfter(http.StatusTooManyRequests, 90*time.Second), 1, time.Hour, 90 * time.Second, nil},
		{"date", resttest.RetryDate(http.StatusServiceUnavailable, 90*time.Second), 1, time.Hour, 90 * time.Second, nil},
		{"longer than a signature lives", resttest.RetryAfter(http.StatusTooManyRequests, 119*time.Second), 4, time.Hour, 4 * 119 * time.Second, nil},
		{"beyond the deadline", resttest.RetryAfter(http.StatusTooManyRequests, 90*time.Second), 1, time.Minute, 0, fault.Limited},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				twin := ociusagetest.New(ociusagetest.Options{})
				twin.PutCSV("reports/cost-csv/1.csv.gz", "a\n")
				conns, closeAll := resttest.Memory(resttest.Wrap(twin, resttest.Fault{Do: c.do, Times: c.times}))
				defer closeAll()
				meter := &rest.Meter{}
				src, err := open(conf, extract.Invocation{Meter: meter, Scratch: t.TempDir()})
				if err != nil {
					t.Fatal(err)
				}
				s := src.(*source)
				defer s.Close()
				s.conns.DialContext = conns.DialContext
				began := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), c.deadline)
				defer cancel()
				found := 0
				for _, e := range s.Objects(ctx, extract.Wish{Table: "cost_report"}) {
					if err = e; err == nil {
						found++
					}
				}
				if waited := time.Since(began).Round(time.Second); fault.Of(err) != c.kind || waited != c.waited {
					t.Errorf("waited %s, error %v; want %s, %v", waited, err, c.waited, c.kind)
				}
				if c.kind == nil && (found != 1 || meter.Retries() != int64(c.times)) {
					t.Errorf("found %d objects after %d retries, want 1 after %d", found, meter.Retries(), c.times)
				}
				if until, ok := fault.Until(err); c.kind != nil && (!ok || !until.Equal(began.Add(90*time.Second))) {
					t.Errorf("limited until %s, want %s", until, began.Add(90*time.Second))
				}
			})
		})
	}
}
