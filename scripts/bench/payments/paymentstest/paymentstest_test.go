package paymentstest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

var since = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

type answer struct {
	Payments []struct {
		ID        string    `json:"id"`
		CreatedAt time.Time `json:"createdAt"`
	} `json:"payments"`
	PageInfo struct {
		HasMore bool `json:"hasMore"`
		Page    int  `json:"page"`
	} `json:"pageInfo"`
}

func get(t *testing.T, o Options, from, to time.Time, page int) answer {
	t.Helper()
	w := httptest.NewRecorder()
	url := fmt.Sprintf("/payments?from=%s&to=%s&page=%d", from.Format(time.RFC3339), to.Format(time.RFC3339), page)
	Handler(o).ServeHTTP(w, httptest.NewRequest("GET", url, nil))
	if got, want := fmt.Sprint(w.Body.Len()), w.Header().Get("Content-Length"); got != want {
		t.Fatalf("%s: %s bytes sent, Content-Length %s", url, got, want)
	}
	var a answer
	if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil {
		t.Fatalf("%s: %v", url, err)
	}
	return a
}

// Every payment lies in exactly one window, whatever the windows and the pages.
func TestWindowsPartitionThePayments(t *testing.T) {
	o := Options{Since: since, Days: 3, PerDay: 2507}
	for _, every := range []time.Duration{7 * time.Hour, 24 * time.Hour, 72 * time.Hour} {
		seen := map[string]bool{}
		for from := since.Add(-every); from.Before(since.AddDate(0, 0, 4)); from = from.Add(every) {
			to := from.Add(every)
			for page, more := 1, true; more; page++ {
				a := get(t, o, from, to, page)
				for _, p := range a.Payments {
					if seen[p.ID] || p.CreatedAt.Before(from) || !p.CreatedAt.Before(to) {
						t.Fatalf("windows of %s: %s at %s in [%s, %s): doubled or outside", every, p.ID, p.CreatedAt, from, to)
					}
					seen[p.ID] = true
				}
				more = a.PageInfo.HasMore
			}
		}
		if len(seen) != o.Rows() {
			t.Errorf("windows of %s: got %d payments, want %d", every, len(seen), o.Rows())
		}
	}
}

func TestOnePage(t *testing.T) {
	o := Options{Since: since, Days: 1, PerDay: 5003, Page: 5003}
	a := get(t, o, since, since.AddDate(0, 0, 1), 1)
	if len(a.Payments) != 5003 || a.PageInfo.HasMore {
		t.Errorf("got %d payments, more %t, want all 5003 in one page", len(a.Payments), a.PageInfo.HasMore)
	}
}

func BenchmarkPage(b *testing.B) {
	h := Handler(Options{Since: since, Days: 1, PerDay: 1000})
	r := httptest.NewRequest("GET", "/payments?from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z&page=1", nil)
	b.SetBytes(int64(size(0, 1000)))
	for b.Loop() {
		h.ServeHTTP(discard{http.Header{}}, r)
	}
}

// discard is a client that reads and forgets.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}
