package resttest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-data/millrace/shared/rest/resttest"
)

// echo answers with the query, with its length announced.
var echo = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	body := "query " + r.URL.RawQuery
	w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	io.WriteString(w, body)
})

func get(ctx context.Context, rt http.RoundTripper, pathQuery string) (*http.Response, string, error) {
	r, err := http.NewRequestWithContext(ctx, "GET", "http://127.0.0.1"+pathQuery, nil)
	if err != nil {
		return nil, "", err
	}
	resp, err := rt.RoundTrip(r)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp, string(b), err
}

func serve(t *testing.T, h http.Handler) http.RoundTripper {
	rt, closeAll := resttest.Memory(h)
	t.Cleanup(closeAll)
	return rt
}

func TestFaultPicksByPathAndNumber(t *testing.T) {
	f := resttest.Wrap(echo, resttest.Fault{Path: "/a", After: 1, Times: 2, Do: resttest.Status(500, "")})
	rt := serve(t, f)
	var got []int
	for _, path := range []string{"/a", "/b", "/a/x", "/b", "/a", "/a"} {
		resp, _, err := get(t.Context(), rt, path)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, resp.StatusCode)
	}
	if want := "[200 200 500 200 500 200]"; fmt.Sprint(got) != want {
		t.Errorf("statuses: got %v, want %s", got, want)
	}
	if f.Requests("") != 6 || f.Requests("/a") != 4 || f.Fired() != 2 {
		t.Errorf("got %d requests, %d to /a, %d disturbed; want 6, 4, 2", f.Requests(""), f.Requests("/a"), f.Fired())
	}
}

func TestEffects(t *testing.T) {
	for _, c := range []struct {
		name   string
		do     resttest.Effect
		status int
		body   string
		header string // of Retry-After
	}{
		{"status", resttest.Status(503, `{"error":"x"}`), 503, `{"error":"x"}`, ""},
		{"retry after seconds", resttest.RetryAfter(429, 3*time.Second), 429, "", "3"},
		{"html", resttest.HTML(), 200, "<!DOCTYPE", ""},
		{"empty", resttest.Empty(), 200, "", ""},
		{"again", resttest.Again(), 200, "query n=1", ""},
		{"rewrite", resttest.Rewrite(func(b []byte) []byte { return append(b, '!') }), 200, "query n=2!", ""},
		{"swap", resttest.Swap("query", "answer"), 200, "answer n=2", ""},
		{"swap of what is not there", resttest.Swap("nothing", ""), 599, "resttest.Swap", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			rt := serve(t, resttest.Wrap(echo, resttest.Fault{After: 1, Do: c.do}))
			if _, _, err := get(t.Context(), rt, "/p?n=1"); err != nil {
				t.Fatal(err)
			}
			resp, body, err := get(t.Context(), rt, "/p?n=2")
			if err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != c.status || !strings.HasPrefix(body, c.body) || resp.Header.Get("Retry-After") != c.header {
				t.Errorf("got %d %q Retry-After %q, want %d %q %q", resp.StatusCode, body, resp.Header.Get("Retry-After"), c.status, c.body, c.header)
			}
		})
	}
}

func TestCutBreaksTheBody(t *testing.T) {
	rt := serve(t, resttest.Wrap(echo, resttest.Fault{Do: resttest.Cut(4)}))
	_, body, err := get(t.Context(), rt, "/p?n=1")
	if body != "quer" || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %q and %v, want the first 4 bytes and an unexpected end", body, err)
	}
}

func TestRefuseClosesTheConnection(t *testing.T) {
	rt := serve(t, resttest.Wrap(echo, resttest.Fault{Do: resttest.Refuse()}))
	if _, _, err := get(t.Context(), rt, "/"); err == nil {
		t.Error("got an answer, want a broken connection")
	}
}

// Waiting takes no real time in a bubble, and ends with the client.
func TestWaitingInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt, closeAll := resttest.Memory(resttest.Wrap(echo,
			resttest.Fault{Path: "/slow", Do: resttest.Slow(time.Hour)},
			resttest.Fault{Path: "/hang", Do: resttest.Hang()},
			resttest.Fault{Path: "/date", Do: resttest.RetryDate(503, time.Minute)}))
		defer closeAll()
		start := time.Now()
		if _, body, err := get(t.Context(), rt, "/slow"); err != nil || time.Since(start) != time.Hour {
			t.Errorf("slow: got %q, %v after %s, want an answer after 1h", body, err, time.Since(start))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, _, err := get(ctx, rt, "/hang"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("hang: got %v, want the deadline", err)
		}
		resp, _, err := get(t.Context(), rt, "/date")
		if err != nil {
			t.Fatal(err)
		}
		at, err := http.ParseTime(resp.Header.Get("Retry-After"))
		if d := time.Until(at); err != nil || d > time.Minute || d < 59*time.Second {
			t.Errorf("date: got %q (%v), want a minute from now", resp.Header.Get("Retry-After"), err)
		}
	})
}

func ExampleWrap() {
	twin := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "fine") })
	faults := resttest.Wrap(twin, resttest.Fault{Path: "/users", Do: resttest.Status(500, "")})
	rt, closeAll := resttest.Memory(faults)
	defer closeAll()
	for range 2 {
		resp, body, _ := get(context.Background(), rt, "/users")
		fmt.Printf("%d %q\n", resp.StatusCode, body)
	}
	// Output:
	// 500 ""
	// 200 "fine"
}
