package thoughtindustriestest_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-data/millrace/functions/thoughtindustries/thoughtindustriestest"
)

type options = thoughtindustriestest.Options

func get(h http.Handler, pathQuery string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", "/incoming/v2/"+pathQuery, nil)
	r.Header.Set("Authorization", "Bearer "+thoughtindustriestest.DefaultKey)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

type page struct {
	PageInfo struct {
		Cursor  string
		HasMore bool
	}
	Events []struct {
		ID        string
		Timestamp time.Time
	}
	Users []struct{ ID string }
}

func decode(t *testing.T, w *httptest.ResponseRecorder) (p page) {
	t.Helper()
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code != 200 {
		t.Fatalf("status %d, %v: %.200s", w.Code, err, w.Body)
	}
	return p
}

func TestKeyIsChecked(t *testing.T) {
	s := thoughtindustriestest.New(options{})
	if w := get(s, "ping"); w.Code != 200 || w.Body.String() != `{"valid":true}` {
		t.Errorf("ping: %d %q", w.Code, w.Body)
	}
	s.Rotate("another")
	if w := get(s, "ping"); w.Code != 401 || w.Body.Len() > 0 {
		t.Errorf("ping with the old key: %d %q, want 401 and no body", w.Code, w.Body)
	}
}

func TestRefusals(t *testing.T) {
	s := thoughtindustriestest.New(options{})
	for path, want := range map[string]int{
		"events/login?startDate=2025-01-01": 400, "events/login?endDate=1735689600": 400, "events/login?cursor=%21": 400,
		"users?cursor=MQ": 400, "events/users": 404, "login": 404, "nothing": 404,
	} {
		if w := get(s, path); w.Code != want {
			t.Errorf("%s: status %d, want %d", path, w.Code, want)
		}
	}
}

func TestBoundsAreInclusive(t *testing.T) {
	s := thoughtindustriestest.New(options{Events: -1})
	for _, ms := range []int{0, 1, 2, 3} {
		s.Add("login", map[string]any{"timestamp": fmt.Sprintf("2025-01-01T00:00:00.%03dZ", ms)})
	}
	base := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()
	p := decode(t, get(s, fmt.Sprintf("events/login?startDate=%d&endDate=%d", base+1, base+2)))
	if len(p.Events) != 2 || p.Events[0].Timestamp.Nanosecond() != 2e6 || p.Events[1].Timestamp.Nanosecond() != 1e6 {
		t.Errorf("got %v, want the events of milliseconds 2 and 1", p.Events)
	}
}

func TestEventPages(t *testing.T) {
	s := thoughtindustriestest.New(options{})
	p := decode(t, get(s, "events/courseAction"))
	if len(p.Events) != 100 || !p.PageInfo.HasMore {
		t.Fatalf("%d events, more %t; want a full page and more", len(p.Events), p.PageInfo.HasMore)
	}
	for i := range 99 {
		if p.Events[i].Timestamp.Before(p.Events[i+1].Timestamp) {
			t.Fatalf("event %d is older than the next", i)
		}
	}
	last := p.Events[99].Timestamp
	text, err := base64.RawStdEncoding.DecodeString(p.PageInfo.Cursor)
	if want := fmt.Sprint(last.UnixMilli() - 1); err != nil || string(text) != want {
		t.Errorf("cursor holds %q (%v), want %s", text, err, want)
	}
	next := decode(t, get(s, fmt.Sprintf("events/courseAction?endDate=%d", last.UnixMilli())))
	shared := 0
	for _, e := range p.Events {
		if e.Timestamp.Equal(last) {
			shared++
		}
	}
	for _, e := range next.Events {
		if e.Timestamp.Equal(last) {
			shared--
		}
	}
	if shared >= 0 {
		t.Error("no events beyond the page share its last timestamp: the trap is gone")
	}
}

func TestEventTimesNeverFall(t *testing.T) {
	for _, n := range []int{1, 2, 7, 100, 250, 9_999, 300_000} {
		s := thoughtindustriestest.New(options{Events: n, To: time.Date(2025, 1, 3, 0, 0, 0, 0, time.UTC)})
		var last struct{ Timestamp time.Time }
		rows, equal := 0, map[string]int{}
		for raw := range s.Raw("visits") {
			var e struct{ Timestamp time.Time }
			if rows < 5_000 {
				if err := json.Unmarshal(raw, &e); err != nil {
					t.Fatal(err)
				}
				if rows > 0 && e.Timestamp.After(last.Timestamp) {
					t.Fatalf("%d a day: event %d rises from %s to %s", n, rows, last.Timestamp, e.Timestamp)
				}
				last = e
				equal[string(raw)]++
			}
			rows++
		}
		if rows != 2*n || rows != s.Count("visits") {
			t.Errorf("%d a day: %d rows, want %d", n, rows, 2*n)
		}
		if n >= 100 && len(equal) == min(rows, 5_000) {
			t.Errorf("%d a day: no two events are equal", n)
		}
	}
}

func TestQuota(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := thoughtindustriestest.New(options{Limit: 2, Window: time.Minute})
		w := get(s, "users")
		if got := w.Header().Get("X-RateLimit-Remaining"); got != "1" || w.Header().Get("X-RateLimit-Limit") != "2" {
			t.Errorf("remaining %q of %q, want 1 of 2", got, w.Header().Get("X-RateLimit-Limit"))
		}
		get(s, "events/login")
		w = get(s, "users")
		if w.Code != 429 || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), `"error":"rate_limit_exceeded"`) {
			t.Errorf("third request: %d %v %q, want 429", w.Code, w.Header(), w.Body)
		}
		time.Sleep(time.Minute) // the bubble's
		if w = get(s, "users"); w.Code != 200 {
			t.Errorf("in the next window: %d, want 200", w.Code)
		}
	})
}

func TestListsGrow(t *testing.T) {
	s := thoughtindustriestest.New(options{Users: 150})
	first := decode(t, get(s, "users"))
	last := decode(t, get(s, "users?cursor="+first.PageInfo.Cursor))
	if len(first.Users) != 100 || len(last.Users) != 50 || last.PageInfo.HasMore {
		t.Fatalf("pages of %d and %d, more %t; want 100, 50, false", len(first.Users), len(last.Users), last.PageInfo.HasMore)
	}
	s.Append("users", map[string]any{"id": "new"})
	s.SetUser(149, map[string]any{"id": "changed"})
	last = decode(t, get(s, "users?cursor="+first.PageInfo.Cursor))
	if n := len(last.Users); n != 51 || last.Users[49].ID != "changed" || last.Users[50].ID != "new" {
		t.Errorf("got %v, want the changed and the new one at the end", last.Users)
	}
}

func TestRowsAreJSON(t *testing.T) {
	s := thoughtindustriestest.New(options{Events: 20})
	for _, table := range thoughtindustriestest.Tables() {
		if rows := s.Rows(table); len(rows) != s.Count(table) || len(rows) == 0 {
			t.Errorf("%s: %d rows, want %d", table, len(rows), s.Count(table))
		}
	}
}

func FuzzQuery(f *testing.F) {
	s := thoughtindustriestest.New(options{Events: 10})
	f.Add("events/login", "startDate=1735689600000&endDate=1735775999999")
	f.Add("users", "cursor=YWZ0ZXI6MTAw")
	f.Add("events/login", "cursor=MTUxODM2NTg1Mzk5OQ")
	f.Fuzz(func(t *testing.T, path, query string) {
		r := httptest.NewRequest("GET", "/incoming/v2/ping", nil)
		r.URL.Path, r.URL.RawQuery = "/incoming/v2/"+path, query
		r.Header.Set("Authorization", "Bearer "+thoughtindustriestest.DefaultKey)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code == 200 && !json.Valid(w.Body.Bytes()) {
			t.Errorf("%q?%q: not JSON", path, query)
		}
	})
}

func BenchmarkPage(b *testing.B) {
	s := thoughtindustriestest.New(options{Events: 1_000_000})
	for b.Loop() {
		get(s, "events/coursePurchase?endDate=1735999999999")
	}
	b.ReportMetric(float64(100*b.N)/b.Elapsed().Seconds(), "rows/s")
}
