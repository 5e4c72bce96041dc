package rest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-data/millrace/shared/fault"
)

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func answer(status int, header ...string) *http.Response {
	r := &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("{}")), ContentLength: -1}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

// fake is a client whose n-th request (from 1) is answered by f.
func fake(t *testing.T, f func(n int) (*http.Response, error), change ...func(*Options)) (*Client, *Meter) {
	t.Helper()
	n := 0
	o := Options{BaseURL: "https://vendor.test", Meter: new(Meter), Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		n++
		return f(n)
	})}
	for _, c := range change {
		c(&o)
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c, o.Meter
}

func TestRetryAfter(t *testing.T) {
	for name, value := range map[string]func() string{
		"seconds": func() string { return "90" },
		"date":    func() string { return time.Now().Add(90 * time.Second).UTC().Format(http.TimeFormat) },
	} {
		for _, status := range []int{429, 503} {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				c, m := fake(t, func(n int) (*http.Response, error) {
					if n == 1 {
						return answer(status, "Retry-After", value()), nil
					}
					return answer(200), nil
				})
				_, err := c.Get(t.Context(), "", nil)
				if took := time.Since(start); err != nil || took != 90*time.Second || m.Retries() != 1 {
					t.Errorf("%s, %d: %v after %s and %d retries; want none, 1m30s, 1", name, status, err, took, m.Retries())
				}
			})
		}
	}
}

func TestTooLongToWait(t *testing.T) {
	for name, c := range map[string]struct {
		status   int
		after    string
		deadline time.Duration
		want     time.Duration
	}{
		"over two minutes":    {429, "600", time.Hour, 10 * time.Minute},
		"beyond the deadline": {503, "60", 30 * time.Second, time.Minute},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), c.deadline)
			defer cancel()
			start := time.Now()
			client, m := fake(t, func(int) (*http.Response, error) { return answer(c.status, "Retry-After", c.after), nil })
			_, err := client.Get(ctx, "", nil)
			until, ok := fault.Until(err)
			if !errors.Is(err, fault.Limited) || !ok || until.Sub(start) != c.want {
				t.Errorf("%s: got %v until %v, want limited for %s", name, err, until, c.want)
			}
			if time.Since(start) != 0 || m.Requests() != 1 {
				t.Errorf("%s: waited %s, %d requests; want none, 1", name, time.Since(start), m.Requests())
			}
		})
	}
}

func TestBackoff(t *testing.T) {
	for name, f := range map[string]func(int) (*http.Response, error){
		"network": func(int) (*http.Response, error) { return nil, errors.New("connection reset") },
		"500":     func(int) (*http.Response, error) { return answer(500), nil },
		"425":     func(int) (*http.Response, error) { return answer(425), nil },
		"cut": func(int) (*http.Response, error) {
			r := answer(200)
			r.ContentLength = 100
			return r, nil
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			c, m := fake(t, f)
			_, err := c.Get(t.Context(), "", url.Values{"token": {"hush"}})
			if strings.Contains(fmt.Sprint(err), "hush") {
				t.Errorf("%s: %v tells a secret", name, err)
			}
			if fault.Of(err) != fault.Transient || !strings.Contains(fmt.Sprint(err), "try 6 of 6") {
				t.Errorf("%s: got %v, want a transient error of the 6th try", name, err)
			}
			if took := time.Since(start); took <= 0 || took > 15500*time.Millisecond { // 0.5+1+2+4+8 s
				t.Errorf("%s: took %s", name, took)
			}
			if m.Requests() != 6 || m.Retries() != 5 {
				t.Errorf("%s: %d requests, %d retries; want 6, 5", name, m.Requests(), m.Retries())
			}
		})
	}
}

// A vendor that was never reached is given up soon, with its address; one that
// answered before may be coming back.
func TestUnreachable(t *testing.T) {
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
	for first, want := range map[int]int64{0: 2, 1: 7} {
		synctest.Test(t, func(t *testing.T) {
			c, m := fake(t, func(n int) (*http.Response, error) {
				if n <= first {
					return answer(200), nil
				}
				return nil, refused
			})
			var err error
			for range first + 1 {
				var b *Body
				if b, err = c.Get(t.Context(), "/a", nil); err == nil {
					b.Close()
				}
			}
			if fault.Of(err) != fault.Transient || !strings.Contains(fmt.Sprint(err), "GET vendor.test/a") || m.Requests() != want {
				t.Errorf("after %d answers: %d requests, %v; want %d and the address", first, m.Requests(), err, want)
			}
			if first == 0 && !strings.Contains(fmt.Sprint(err), "check the base URL") {
				t.Errorf("%v does not say what to do", err)
			}
		})
	}
}

func TestLimitedAtLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := fake(t, func(int) (*http.Response, error) { return answer(429), nil })
		_, err := c.Get(t.Context(), "", nil)
		if until, ok := fault.Until(err); !errors.Is(err, fault.Limited) || !ok || !until.After(time.Now()) {
			t.Errorf("got %v until %v, want limited until later", err, until)
		}
	})
}

func TestCancelWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(10*time.Second, cancel)
		start := time.Now()
		c, _ := fake(t, func(int) (*http.Response, error) { return answer(429, "Retry-After", "100"), nil })
		_, err := c.Get(ctx, "", nil)
		if !errors.Is(err, context.Canceled) || time.Since(start) != 10*time.Second {
			t.Errorf("got %v after %s, want canceled after 10s", err, time.Since(start))
		}
	})
}

// A try that hangs is given up; the caller's own deadline is not retried.
func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := func(o *Options) {
			n := 0
			o.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
				if n++; n%2 == 0 {
					return answer(200), nil
				}
				<-r.Context().Done()
				return nil, r.Context().Err()
			})
		}
		c, m := fake(t, nil, hang)
		start := time.Now()
		if _, err := c.Get(t.Context(), "", nil); err != nil || m.Retries() != 1 || time.Since(start) < tryTimeout {
			t.Errorf("got %v, %d retries, %s; want success at the second try", err, m.Retries(), time.Since(start))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		c, m = fake(t, nil, hang)
		if _, err := c.Get(ctx, "", nil); !errors.Is(err, context.DeadlineExceeded) || m.Requests() != 1 {
			t.Errorf("got %v after %d requests, want the deadline after 1", err, m.Requests())
		}
	})
}

func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := fake(t, func(int) (*http.Response, error) { return answer(200), nil },
			func(o *Options) { o.Rate = Rate{Burst: 2, Every: 4 * time.Second} })
		start := time.Now()
		for range 5 {
			if _, err := c.Get(t.Context(), "", nil); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(start); took != 12*time.Second {
			t.Errorf("five requests took %s, want 12s", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Get(ctx, "", nil); !errors.Is(err, fault.Limited) {
			t.Errorf("got %v, want limited: the next token comes after the deadline", err)
		}
	})
}

// quotaOf is a vendor with a fixed answer about its quota.
func quotaOf(left int64, reset time.Time) func(*Options) {
	return func(o *Options) {
		o.Rate = Rate{Burst: 1, Every: 4 * time.Second}
		o.Quota = func(http.Header) (Quota, bool) {
			left--
			return Quota{Limit: 100, Left: max(left, 0), Reset: reset}, true
		}
	}
}

func TestQuota(t *testing.T) {
	for name, c := range map[string]struct {
		left      int64
		reset     time.Duration
		deadline  time.Duration
		want      time.Duration // of two requests
		wantLimit bool
	}{
		"plenty":               {90, time.Minute, time.Hour, 0, false},
		"nearly out":           {6, time.Minute, time.Hour, 10 * time.Second, false}, // 5 left: a sixth of the time
		"out":                  {1, time.Minute, time.Hour, time.Minute, false},
		"out beyond deadline":  {1, time.Minute, time.Second, 0, true},
		"out for very long":    {1, time.Hour, 2 * time.Hour, 0, true},
		"reset is in the past": {1, -time.Minute, time.Hour, 4 * time.Second, false}, // the pace again
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), c.deadline)
			defer cancel()
			start := time.Now()
			client, m := fake(t, func(int) (*http.Response, error) { return answer(200), nil }, quotaOf(c.left, start.Add(c.reset)))
			_, first := client.Get(ctx, "", nil)
			_, err := client.Get(ctx, "", nil)
			if first != nil || errors.Is(err, fault.Limited) != c.wantLimit || time.Since(start) != c.want {
				t.Errorf("%s: got %v, %v after %s; want limited=%v after %s", name, first, err, time.Since(start), c.wantLimit, c.want)
			}
			if until, ok := fault.Until(err); c.wantLimit && (!ok || !until.Equal(start.Add(c.reset))) {
				t.Errorf("%s: until %v, want the reset", name, until)
			}
			if _, limit, _, known := m.Quota(); !known || limit != 100 {
				t.Errorf("%s: the meter does not know the quota", name)
			}
		})
	}
}
