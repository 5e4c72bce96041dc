// Package claritest is a twin of Clari's forecast export API v4: an http.Handler
// with state, seeded data of any size, and the traps of the real one. An export is a
// job that counts against a quota of 30 rolling days and has no idempotency key;
// parameters in the query are ignored; a time period that is not recognised gives
// the current quarter; week 1 of a quarter begins a week before it; an export leaves
// out who has left; keys that do not apply are absent, and that is not null.
//
// What an export holds is fixed when it is queued, and made from numbers while the
// answer is written, so 500,000 entries take no memory. [Server.Rows] is the oracle.
//
// Faults of the network (an answer that is cut, a 503 before anything happened, a
// web page) are resttest's: Inject them on the paths "/export/forecast/",
// "/export/jobs", "/results" and "/admin/limits". What becomes of jobs is a [Fate].
// The twin does not know CSV exports nor the synchronous forecast call.
package claritest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/millrace-data/millrace/shared/rest/resttest"
)

// DefaultKey is the API token of a twin whose Options name none.
const DefaultKey = "clari_test_key"

// Options say what the organisation holds and how it behaves. The zero value is one
// forecast, net_arr, with 20 users and 4 fields, in a fiscal year that starts in
// February, and jobs that are done at the second poll.
type Options struct {
	Seed        uint64
	Forecasts   []string         // ids; default net_arr
	Users       int              // userIds; of five, the last is the second one of the person before it; default 20
	Fields      int              // of each forecast; kinds take turns: forecast, quota, adjusted, total; default 4
	FiscalStart time.Month       // default February; a year that starts later than January is named by its end
	Quarters    []string         // those that are recognised; default all that look like 2026_Q1
	Now         func() time.Time // the vendor's clock; default time.Now
	Key         string           // the API token that is accepted; default DefaultKey

	Polls      int    // times that a job answers SCHEDULED or STARTED; default 1, negative = none
	Concurrent int    // jobs at the same time; default 3
	Quota      int    // exports in 30 days; default 1000, negative = none
	Fates      []Fate // of the first jobs, in the order of their queuing; the others succeed

	Flat     bool // status objects without {"job":…}: the spec's form, not the one that clients see
	BareList bool // the list of jobs is a bare array, and not {"jobs":[…]}
	NoOptIn  bool // the token's user is not opted in to the forecast: 401 on exports
	NoCRM    bool // crm_total and crm_closed are refused with type_not_supported
	Reversed bool // the arrays of a result in the opposite order

	Faults []resttest.Fault // from the start; more with Inject
}

// Server is the organisation. It is safe for concurrent use. The embedded Faults
// serve the requests, count them, and take more faults.
type Server struct {
	*resttest.Faults
	o Options

	mu     sync.Mutex
	jobs   []*job // in the order of their queuing
	events []event
	posts  int
	fates  []Fate
}

// New opens an organisation.
func New(o Options) *Server {
	set := func(v *int, def int) {
		if *v == 0 {
			*v = def
		}
		*v = max(*v, 0)
	}
	set(&o.Users, 20)
	set(&o.Fields, 4)
	set(&o.Polls, 1)
	set(&o.Concurrent, 3)
	set(&o.Quota, 1000)
	if len(o.Forecasts) == 0 {
		o.Forecasts = []string{"net_arr"}
	}
	if o.FiscalStart == 0 {
		o.FiscalStart = time.February
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Key == "" {
		o.Key = DefaultKey
	}
	s := &Server{o: o, fates: slices.Clone(o.Fates)}
	s.Faults = resttest.Wrap(http.HandlerFunc(s.serve), o.Faults...)
	return s
}

// Env is the environment that points the connector at a twin that serves at baseURL.
func (s *Server) Env(baseURL string) map[string]string {
	return map[string]string{
		"CLARI_BASE_URL": baseURL + "/v4", "CLARI_API_KEY": s.o.Key,
		"CLARI_FORECASTS": strings.Join(s.o.Forecasts, ","), "CLARI_FISCAL_YEAR_START": fmt.Sprint(int(s.o.FiscalStart)),
	}
}

// Env is [Server.Env] of a twin with default Options.
func Env(baseURL string) map[string]string { return New(Options{}).Env(baseURL) }

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client is gone
	}
	s.mu.Lock()
	if r.Header.Get("apikey") != s.o.Key {
		s.mu.Unlock()
		send(w, http.StatusUnauthorized, map[string]any{"message": "Invalid authentication credentials"})
		return
	}
	path := strings.TrimPrefix(r.URL.Path, "/v4")
	if id, ok := strings.CutPrefix(path, "/export/jobs/"); ok && r.Method == http.MethodGet && strings.HasSuffix(id, "/results") {
		j := s.ready(w, strings.TrimSuffix(id, "/results"))
		s.mu.Unlock()
		if j != nil {
			s.write(w, j) // outside the lock: it may be long
		}
		return
	}
	defer s.mu.Unlock()
	forecast, export := strings.CutPrefix(path, "/export/forecast/")
	id, ofJob := strings.CutPrefix(path, "/export/jobs/")
	switch {
	case export && r.Method == http.MethodPost:
		s.post(w, forecast, body)
	case path == "/export/jobs" && r.Method == http.MethodGet:
		s.list(w)
	case path == "/admin/limits" && r.Method == http.MethodGet:
		s.limits(w)
	case ofJob && r.Method == http.MethodGet:
		s.status(w, id)
	case ofJob && r.Method == http.MethodPatch:
		s.cancel(w, id, body)
	default:
		fail(w, http.StatusNotFound, "not_found", "no such call")
	}
}

func send(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err) // maps and texts; cannot fail
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(body)
}

// fail answers with the documented envelope of an error.
func fail(w http.ResponseWriter, status int, code, message string) {
	send(w, status, map[string]any{"code": code, "namespace": "export", "errorId": "0f5e8a52-6c1b-4b7e-9d0e-5d6f7a8b9c0d", "message": message, "orgId": 700123})
}

// Posts is how many exports were queued: what a reader must not do twice.
func (s *Server) Posts() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.posts
}

// SetQuota changes how many exports are allowed in 30 days.
func (s *Server) SetQuota(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.o.Quota = n
}

// SetNow changes the vendor's clock.
func (s *Server) SetNow(t time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.o.Now = func() time.Time { return t }
}

// SetFates says what becomes of the jobs that are queued next.
func (s *Server) SetFates(f ...Fate) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fates = f
}
