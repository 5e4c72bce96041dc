package rest

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/millrace-data/millrace/shared/fault"
)

// serve starts a loopback server and a client for it.
func serve(t *testing.T, h http.HandlerFunc, change ...func(*Options)) (*Client, *Meter) {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	o := Options{BaseURL: srv.URL + "/api", Meter: new(Meter), Scratch: t.TempDir()}
	for _, f := range change {
		f(&o)
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, o.Meter
}

func text(t *testing.T, b *Body, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	p, err := io.ReadAll(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(p)
}

func TestGet(t *testing.T) {
	c, m := serve(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s", r.URL, r.Header.Get("Authorization"))
	}, func(o *Options) { o.Header = http.Header{"Authorization": {"Bearer k"}} })
	b, err := c.Get(t.Context(), "/logins", url.Values{"page": {"2"}})
	if got, want := text(t, b, err), "/api/logins?page=2 Bearer k"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if m.Requests() != 1 || m.Retries() != 0 {
		t.Errorf("requests %d, retries %d; want 1, 0", m.Requests(), m.Retries())
	}
}

// A body that is cut is read again, whole, whatever way it was sent.
func TestBodyCut(t *testing.T) {
	whole := strings.Repeat("0123456789abcdef", 200_000) // 3.2 MB: spills
	for name, cut := range map[string]func(http.ResponseWriter){
		"content length": func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", fmt.Sprint(len(whole)))
			io.WriteString(w, whole[:2_000_000])
		},
		"chunked": func(w http.ResponseWriter) {
			io.WriteString(w, whole[:2_000_000])
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		},
		"gzip": func(w http.ResponseWriter) {
			var z bytes.Buffer
			g := gzip.NewWriter(&z)
			io.WriteString(g, whole)
			g.Close()
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(z.Bytes()[:z.Len()-9])
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := 0
			var scratch string
			c, m := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if n++; n == 1 {
					cut(w)
					return
				}
				io.WriteString(w, whole)
			}, func(o *Options) { scratch = o.Scratch })
			b, err := c.Get(t.Context(), "", nil)
			if got := text(t, b, err); got != whole || b.Size != int64(len(whole)) {
				t.Errorf("got %d bytes, Size %d; want %d", len(got), b.Size, len(whole))
			}
			if m.Retries() != 1 {
				t.Errorf("retries %d, want 1", m.Retries())
			}
			if left, _ := os.ReadDir(scratch); len(left) != 0 {
				t.Errorf("%d files left in scratch", len(left))
			}
		})
	}
}

func TestKeep(t *testing.T) {
	for _, size := range []int{10, memoryMax, memoryMax + 1} {
		whole := strings.Repeat("x", size)
		c, _ := serve(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, whole) })
		b, err := c.Get(t.Context(), "", nil)
		if err != nil {
			t.Fatal(err)
		}
		io.CopyN(io.Discard, b, 5)
		if p, _ := io.ReadAll(b.Keep()); len(p) != size {
			t.Errorf("kept %d bytes, want %d", len(p), size)
		}
		if err := errors.Join(b.Close(), b.Close()); err != nil {
			t.Error(err)
		}
	}
}

func TestStatuses(t *testing.T) {
	for status, kind := range map[int]error{
		400: fault.Invalid, 401: fault.Auth, 403: fault.Auth, 404: fault.NotFound,
		405: fault.Invalid, 410: fault.NotFound, 422: fault.Invalid, 501: fault.Transient,
	} {
		c, m := serve(t, func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(status)
			io.WriteString(w, `{"error":"E_CODE","row":"Jane Doe"}`)
		}, func(o *Options) { o.Header = http.Header{"X-Api-Key": {"hush"}} })
		_, err := c.Get(t.Context(), "/users", url.Values{"token": {"hush"}, "page": {"7"}})
		if fault.Of(err) != kind || m.Requests() != 1 {
			t.Errorf("%d: got %v after %d requests, want %v after 1", status, err, m.Requests(), kind)
		}
		said := err.Error()
		for _, want := range []string{"GET 127.0.0.1:", "/api/users?page=7&token=…", fmt.Sprint(status), "E_CODE", "try 1 of 6"} {
			if !strings.Contains(said, want) {
				t.Errorf("%d: %q does not say %q", status, said, want)
			}
		}
		if strings.Contains(said, "hush") || strings.Contains(said, "Jane") {
			t.Errorf("%d: %q tells too much", status, said)
		}
	}
}

func TestRedirectKeepsSecretsHome(t *testing.T) {
	var leaked http.Header
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		leaked = r.Header.Clone()
		io.WriteString(w, "ok")
	}))
	defer other.Close()
	var home http.Header
	c, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/api/away":
			http.Redirect(w, r, other.URL, http.StatusFound)
		case "/api/moved":
			http.Redirect(w, r, "/api/here", http.StatusFound)
		case "/api/here":
			home = r.Header.Clone()
		}
	}, func(o *Options) {
		o.Header = http.Header{"Authorization": {"Bearer hush"}, "X-Api-Key": {"hush"}}
	})
	b, err := c.Get(t.Context(), "away", url.Values{"token": {"hush"}})
	text(t, b, err)
	for name, values := range leaked {
		if strings.Contains(fmt.Sprint(values), "hush") {
			t.Errorf("%s reached another host", name)
		}
	}
	b, err = c.Get(t.Context(), "moved", nil)
	if text(t, b, err); home.Get("Authorization") == "" || home.Get("X-Api-Key") == "" {
		t.Error("a redirect at the same host lost the credentials")
	}
}

func TestClassify(t *testing.T) {
	odd := fault.New(fault.Auth, "session expired")
	c, _ := serve(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, `{"success":false}`) },
		func(o *Options) {
			o.Classify = func(status int, _ http.Header, body []byte) error {
				if bytes.Contains(body, []byte("false")) {
					return odd
				}
				return nil
			}
		})
	if _, err := c.Get(t.Context(), "", nil); !errors.Is(err, odd) {
		t.Errorf("got %v, want %v", err, odd)
	}
}

func TestScratchGone(t *testing.T) {
	c, m := serve(t, func(w http.ResponseWriter, r *http.Request) { w.Write(make([]byte, memoryMax+1)) },
		func(o *Options) { o.Scratch += "/none" })
	_, err := c.Get(t.Context(), "", nil)
	if err == nil || !strings.Contains(err.Error(), "scratch folder") || m.Requests() != 1 {
		t.Errorf("got %v after %d requests, want one about the scratch folder after 1", err, m.Requests())
	}
}

func TestBaseURL(t *testing.T) {
	for base, ok := range map[string]bool{
		"https://api.vendor.com/v2": true, "http://127.0.0.1:80": true, "http://localhost:1": true, "http://[::1]:1": true,
		"http://api.vendor.com": false, "http://127.0.0.1.evil.com": false, "ftp://x": false, "": false, "api.vendor.com": false,
		"https://user:hush@x.com": false,
	} {
		_, err := New(Options{BaseURL: base})
		if (err == nil) != ok || err != nil && (fault.Of(err) != fault.Invalid || strings.Contains(err.Error(), "hush")) {
			t.Errorf("%s: got %v, want usable=%v", base, err, ok)
		}
	}
}
