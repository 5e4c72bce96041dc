package rest

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/rest/resttest"
)

// What a request carries arrives whole with every try.
func TestSendAgain(t *testing.T) {
	n := 0
	c, m := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if n++; n == 1 {
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s %s", r.Method, r.URL, r.Header.Get("Token"), body)
	}, func(o *Options) { o.Header = http.Header{"Token": {"old"}} })
	b, err := c.Send(t.Context(), Request{Method: http.MethodPost, Path: "data", Query: url.Values{"a": {"b"}},
		Header: http.Header{"Token": {"new"}}, Body: []byte("<call/>")})
	if got, want := text(t, b, err), "POST /api/data?a=b new <call/>"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if m.Retries() != 1 {
		t.Errorf("%d retries, want 1", m.Retries())
	}
}

// A request that must not happen twice is sent once, and its error tells whether
// the vendor may have done it.
func TestSendOnce(t *testing.T) {
	for name, test := range map[string]struct {
		effect  resttest.Effect
		unknown bool
	}{
		"refused: bad request":               {resttest.Status(400, `{"code":"quota"}`), false},
		"refused: too many":                  {resttest.RetryAfter(429, time.Second), false},
		"server error":                       {resttest.Status(500, ""), true},
		"unavailable":                        {resttest.Status(503, ""), true},
		"no answer":                          {resttest.Refuse(), true},
		"answer cut":                         {resttest.Cut(3), true},
		"answer that Classify does not take": {resttest.Status(200, "<html>"), true},
	} {
		t.Run(name, func(t *testing.T) {
			twin := resttest.Wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"jobId":"1"}`) }),
				resttest.Fault{Times: -1, Do: test.effect})
			c, m := serve(t, twin.ServeHTTP, func(o *Options) {
				o.Classify = func(status int, _ http.Header, body []byte) error {
					if status == 200 && body[0] == '<' {
						return fault.New(fault.Transient, "a web page")
					}
					return nil
				}
			})
			_, err := c.Send(t.Context(), Request{Method: http.MethodPost, Path: "jobs", Once: true})
			if err == nil || errors.Is(err, ErrUnknown) != test.unknown {
				t.Errorf("unknown is %v: %v", !test.unknown, err)
			}
			if m.Requests() != 1 {
				t.Errorf("%d requests, want 1", m.Requests())
			}
		})
	}
}

// A vendor that nobody could reach has done nothing.
func TestSendOnceUnreached(t *testing.T) {
	c, err := New(Options{BaseURL: "http://127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Send(t.Context(), Request{Method: http.MethodPost, Once: true}); err == nil || errors.Is(err, ErrUnknown) {
		t.Errorf("got %v", err)
	}
}

// Classify can ask for a wait, as a vendor does in words of its own.
func TestClassifyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		transport, closeAll := resttest.Memory(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if n++; n < 3 {
				w.WriteHeader(http.StatusBadRequest)
			}
		}))
		defer closeAll()
		c, err := New(Options{BaseURL: "http://127.0.0.1", Transport: transport, Classify: func(status int, _ http.Header, _ []byte) error {
			if status == http.StatusBadRequest {
				return fault.LimitedUntil(time.Now().Add(time.Minute), "rate limit")
			}
			return nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if _, err := c.Get(t.Context(), "x", nil); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != 2*time.Minute {
			t.Errorf("took %s, want two waits of a minute", took)
		}
	})
}
