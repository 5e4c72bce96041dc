// Package thoughtindustriestest is a twin of a Thought Industries academy's
// incoming API v2: an http.Handler with state, seeded data of any size, a quota,
// and the traps of the real one. Events come newest first; many share a whole
// second; the event cursor is "last timestamp less a millisecond" and loses events
// of that second; feeds without ids hold events that are equal in every byte; the
// quota is one for everything.
//
// Rows are made from their number while a page is written, so ten million of them
// take no memory. [Server.Rows] is the oracle: what a reader must end up with.
//
// The twin knows the parts of the API that the connector reads, not the others.
package thoughtindustriestest

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/millrace-data/millrace/shared/rest/resttest"
)

// DefaultKey is the API key of a twin whose Options name none.
const DefaultKey = "ti_test_key"

// Envelope is the shape of an answer around its rows.
type Envelope int

// The envelopes that the vendor is known to send or to document.
const (
	TopLevel Envelope = iota // {"pageInfo":{cursor,hasMore},"events":[…]}: what working clients see
	Wrapped                  // {"data":{"APIEvents":{"pageInfo":{…},"events":[…]}}}: the reference pages
	Meta                     // {"data":{"users":[…]},"meta":{"nextCursor":…}}: the pagination page
)

// Options say what the academy holds and how it behaves. The zero value is a week
// of January 2025 with 250 events a day in each feed.
type Options struct {
	Seed     uint64
	From, To time.Time // half-open range of base events, whole UTC days; default 2025-01-01 to 2025-01-08
	Events   int       // base events a day in each feed; default 250, negative = none
	Users    int       // rows in users; default 250, negative = none
	Others   int       // rows in each of the other lists; default 30, negative = none
	Key      string    // the API key that is accepted; default DefaultKey

	PageSize     int      // rows; default 100
	Envelope     Envelope // shape of the answers
	NoMore       bool     // pageInfo without hasMore
	NoLastCursor bool     // no cursor on the last page
	NoCursor     bool     // no cursor on any page of events
	Shuffle      bool     // rows inside a page of events in a mixed order

	Limit  int           // requests in a window; default 1 000 000; negative = no quota and no headers
	Window time.Duration // of the quota, from its first request on; default 15 minutes

	Faults []resttest.Fault // from the start; more with Inject
}

// Server is the academy. It is safe for concurrent use. The embedded Faults serve
// the requests, count them, and take more faults.
type Server struct {
	*resttest.Faults
	o Options

	mu    sync.Mutex
	feeds map[string]*feed // by slug
	lists map[string]*rows // by resource
	quota quota
}

// New opens an academy.
func New(o Options) *Server {
	o = defaults(o)
	s := &Server{o: o, feeds: map[string]*feed{}, lists: map[string]*rows{}}
	w := world{seed: o.Seed, users: max(o.Users, 1), clients: max(o.Others, 1)}
	for i, k := range feedKinds {
		s.feeds[k.slug] = &feed{kind: k, salt: uint64(i + 1), world: w, from: o.From.UnixMilli(), perDay: o.Events,
			n: o.Events * int(o.To.Sub(o.From)/(24*time.Hour))}
	}
	for _, k := range listKinds {
		n := o.Others
		if k.resource == "users" {
			n = o.Users
		}
		s.lists[k.resource] = &rows{kind: k, world: w, n: n, changed: map[int][]byte{}}
	}
	s.Faults = resttest.Wrap(http.HandlerFunc(s.serve), o.Faults...)
	return s
}

func defaults(o Options) Options {
	set := func(v *int, def int) {
		if *v == 0 {
			*v = def
		}
		*v = max(*v, 0)
	}
	set(&o.Events, 250)
	set(&o.Users, 250)
	set(&o.Others, 30)
	set(&o.PageSize, 100)
	if o.From.IsZero() {
		o.From = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	if o.To.IsZero() {
		o.To = o.From.AddDate(0, 0, 7)
	}
	if o.Key == "" {
		o.Key = DefaultKey
	}
	if o.Limit == 0 {
		o.Limit = 1_000_000
	}
	if o.Window == 0 {
		o.Window = 15 * time.Minute
	}
	return o
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Header.Get("Authorization") != "Bearer "+s.o.Key {
		w.WriteHeader(http.StatusUnauthorized) // the real one has no body either
		return
	}
	if !s.quota.take(w, s.o) {
		return
	}
	path, ok := strings.CutPrefix(r.URL.Path, "/incoming/v2/")
	slug, events := strings.CutPrefix(path, "events/")
	switch {
	case !ok:
		fail(w, http.StatusNotFound, "not_found")
	case r.Method != http.MethodGet:
		fail(w, http.StatusMethodNotAllowed, "method_not_allowed")
	case path == "ping":
		send(w, []byte(`{"valid":true}`))
	case events && s.feeds[slug] != nil:
		s.serveEvents(w, r, s.feeds[slug])
	case !events && s.lists[path] != nil:
		s.serveList(w, r, s.lists[path])
	default:
		fail(w, http.StatusNotFound, "not_found")
	}
}

// Rotate replaces the API key, as a person does in the settings: the old one is
// refused from now on.
func (s *Server) Rotate(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.o.Key = key
}

func send(w http.ResponseWriter, body []byte) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.Write(body)
}

func fail(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	w.Write([]byte(`{"error":"` + code + `"}`))
}

// quota counts requests in fixed windows, as the vendor's headers describe them.
type quota struct {
	reset time.Time
	used  int
}

// take counts a request, or answers 429.
func (q *quota) take(w http.ResponseWriter, o Options) bool {
	if o.Limit < 0 {
		return true
	}
	now := time.Now()
	if !now.Before(q.reset) {
		// Headers speak in whole seconds.
		q.reset, q.used = now.Add(o.Window).Truncate(time.Second), 0
	}
	q.used++
	h := w.Header()
	h.Set("X-RateLimit-Limit", strconv.Itoa(o.Limit))
	h.Set("X-RateLimit-Remaining", strconv.Itoa(max(0, o.Limit-q.used)))
	h.Set("X-RateLimit-Reset", strconv.FormatInt(q.reset.Unix(), 10))
	if q.used <= o.Limit {
		return true
	}
	wait := strconv.Itoa(int(q.reset.Sub(now)/time.Second) + 1)
	h.Set("Retry-After", wait)
	h.Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(http.StatusTooManyRequests)
	w.Write([]byte(`{"error":"rate_limit_exceeded","message":"API rate limit exceeded","retryAfter":` + wait + `}`))
	return false
}
