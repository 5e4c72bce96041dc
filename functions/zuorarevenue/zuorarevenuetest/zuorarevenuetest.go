// Package zuorarevenuetest is a twin of Zuora Revenue's BI Views API v2: an
// http.Handler with state, rows of any number, and the traps of the real one.
//
// Login gives a token of half an hour in a response header. Page 1 of a view opens
// a task, whose id is the continuation token: a snapshot of the view, of which
// later pages are "not yet cached" for a while, and which dies when nobody asks for
// four minutes. Pages are CSV or gzip; a client that forgets pageSize gets 1000
// rows; describe-columns is alphabetical. Times are by [Options].Now, so a test can
// let a token die without waiting.
//
// Rows are made from their number while a page is written: a million of them take
// no memory. [Server.Rows] is the oracle. What the sheet does not know, the twin
// decides, and an option changes it.
//
// It knows neither v1, nor reports, nor the selection of columns by a body.
package zuorarevenuetest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/millrace-data/millrace/shared/rest/resttest"
)

// The login that a twin accepts.
const (
	Username   = "millrace_api"
	Password   = "zuora-test-password"
	Role       = "API Role"
	ClientName = "Default"
	ClientID   = "1"
)

// PastEnd is how the twin answers for a page behind the last one.
type PastEnd int

// The answers.
const (
	PastEnd404       PastEnd = iota // 404, whose body says how many pages and rows there are
	PastEnd204                      // 204
	PastEndNotCached                // 400, as for a page that is to come
	PastEndEmpty                    // 200, a page without rows
)

// Options say what the tenant holds and how it behaves. The zero value has 30 rows
// in each view.
type Options struct {
	Seed uint64
	Rows map[string]int // by view, as BI3_ORG; a view without an entry has Some
	Some int            // rows of the other views; 0 = 30, negative = none

	From, To time.Time           // INCR_UPDT_DT of the first row, and the end of the last; default 2025-01-01 to 2026-01-01
	Columns  map[string][]string // instead of the known ones, by view; the key's are to be among them

	Now       func() time.Time // the vendor's clock; nil = time.Now
	TokenLife time.Duration    // 0 = 30 minutes

	Ahead  int // pages cached at once; 0 = all. While some are not, the task is active
	Misses int // askings for a page not cached that are answered so before it is

	HeaderOnce bool // the header on page 1 only
	Lower      bool // headers in lower case instead of upper
	Encoded    bool // gzip comes with Content-Encoding
	Underscore bool // the token's header is spelt continuation_token
	PageMax    int  // most rows a page, whatever was asked: a tenant's own limit; 0 = 20 000
	PastEnd    PastEnd
	BareStatus bool // E5 answers {"task_state":…}, as the generated clients have it
	Disabled   bool // the API is not enabled: 405 for everything

	Faults []resttest.Fault // from the start; more with Inject
}

// Server is the tenant. It is safe for concurrent use. The embedded Faults serve
// the requests, count them, and take more faults.
type Server struct {
	*resttest.Faults
	o Options

	mu      sync.Mutex
	views   map[string]*view
	version int // of all data
	tokens  map[string]time.Time
	tasks   []*task
	issued  int // tokens and tasks so far
}

// New opens a tenant.
func New(o Options) *Server {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.From.IsZero() {
		o.From = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	if o.To.IsZero() {
		o.To = o.From.AddDate(1, 0, 0)
	}
	if o.TokenLife == 0 {
		o.TokenLife = 30 * time.Minute
	}
	if o.PageMax == 0 {
		o.PageMax = pageMax
	}
	s := &Server{o: o, views: views(), tokens: map[string]time.Time{}}
	for name, v := range s.views {
		v.n = o.rows(name)
		if c := o.Columns[name]; c != nil {
			v.columns = slices.Clone(c)
		}
		v.grow(0)
	}
	s.Faults = resttest.Wrap(http.HandlerFunc(s.serve), o.Faults...)
	return s
}

// rows is how many rows a view begins with. Nothing was ever deleted.
func (o Options) rows(view string) int {
	if n, ok := o.Rows[view]; ok {
		return n
	}
	switch {
	case view == "BI3_RC_SCHD_DEL" || o.Some < 0:
		return 0
	case o.Some == 0:
		return 30
	}
	return o.Some
}

// Env is the configuration that lets a client reach the twin at a base URL.
func Env(baseURL string) map[string]string {
	return map[string]string{
		"ZUORA_REVENUE_BASE_URL": baseURL, "ZUORA_REVENUE_USERNAME": Username, "ZUORA_REVENUE_PASSWORD": Password,
		"ZUORA_REVENUE_ROLE": Role, "ZUORA_REVENUE_CLIENT_NAME": ClientName, "ZUORA_REVENUE_CLIENT_ID": ClientID,
	}
}

const root = "/api/integration/"

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	path, ok := strings.CutPrefix(r.URL.Path, root)
	view, isView := strings.CutPrefix(path, "v2/biviews/")
	status, isStatus := strings.CutPrefix(path, "v2/biviews-status")
	switch {
	case s.o.Disabled:
		fail(w, http.StatusMethodNotAllowed, "API is not enabled for this tenant")
	case !ok:
		fail(w, http.StatusNotFound, "no such path")
	case path == "v1/authenticate":
		s.authenticate(w, r)
	case !s.authorised(r):
		fail(w, http.StatusUnauthorized, "Token expired")
	case isStatus:
		s.status(w, r, strings.TrimPrefix(status, "/"))
	case !isView:
		fail(w, http.StatusNotFound, "no such path")
	case r.Method != http.MethodGet:
		fail(w, http.StatusBadRequest, "method not supported")
	default:
		s.serveView(w, r, view)
	}
}

// serveView answers for biviews/VIEW, biviews/count/VIEW, biviews/VIEW/describe-columns.
func (s *Server) serveView(w http.ResponseWriter, r *http.Request, rest string) {
	name, count := strings.CutPrefix(rest, "count/")
	name, describe := strings.CutSuffix(name, "/describe-columns")
	s.mu.Lock()
	v := s.views[name]
	s.mu.Unlock()
	switch {
	case v == nil:
		fail(w, http.StatusBadRequest, "Invalid view name")
	case describe:
		s.describe(w, v)
	case r.URL.Query().Get("clientId") != ClientID:
		fail(w, http.StatusBadRequest, "Invalid clientId")
	case count:
		s.count(w, r, v)
	default:
		s.page(w, r, v)
	}
}

func (s *Server) authenticate(w http.ResponseWriter, r *http.Request) {
	user, password, _ := r.BasicAuth()
	switch {
	case r.Method != http.MethodPost:
		fail(w, http.StatusBadRequest, "method not supported")
	case r.Header.Get("clientname") != ClientName:
		fail(w, http.StatusBadRequest, "Invalid clientname")
	case user != Username || password != Password || r.Header.Get("role") != Role:
		fail(w, http.StatusUnauthorized, "Invalid credentials")
	default:
		s.mu.Lock()
		s.issued++
		token := fmt.Sprintf("eyJhbGciOiJIUzI1NiJ9.eyJqdGkiOiIlZCJ9.twin-%06d", s.issued)
		s.tokens[token] = s.o.Now().Add(s.o.TokenLife)
		s.mu.Unlock()
		w.Header().Set("Revpro-Token", token)
		send(w, `{"Message":"Token Generated","status":"success"}`)
	}
}

func (s *Server) authorised(r *http.Request) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.o.Now().Before(s.tokens[r.Header.Get("token")])
}

// Expire ends the life of every token of a login; tasks live on.
func (s *Server) Expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.tokens)
}

// Logins are how many tokens were given out.
func (s *Server) Logins() int { return s.Requests("v1/authenticate") }

func send(w http.ResponseWriter, body string) {
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprint(w, body)
}

func fail(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"Message":%q,"status":"Error"}`, message)
}
