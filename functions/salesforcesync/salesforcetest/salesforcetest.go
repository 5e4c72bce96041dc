// Package salesforcetest is a twin of a Salesforce organisation: an http.Handler
// with records, sessions, quotas, bulk jobs, and the traps of the real one. It was
// written from the vendor sheet alone, and shares no code with the client.
//
// What it speaks: the token endpoint (client credentials, JWT bearer), versions,
// limits, describe, SOQL with pages, bulk query jobs, bulk ingest jobs with their
// three result files, and sObject Collections. Objects are declared by a test, or
// are the default ones: Account, Contact and User; see [DefaultObjects].
//
// Confirmed by the sheet: paths, methods, statuses and the JSON of tokens, jobs,
// pages and errors; that errors are arrays and those of tokens are objects; times
// with +0000; that an empty cell leaves a field alone and #N/A empties it; that
// processed rows include failed ones; that results come in another order; chunks of
// 200 and batches of 10,000 rows; that the second upload of a job breaks its
// closing, with the vendor's spelling; that a failed job keeps what it did.
//
// Assumed, because the sheet does not know: the words of most error messages and
// the codes STRING_TOO_LONG, INVALID_CROSS_REFERENCE_KEY, DUPLICATE_EXTERNAL_ID,
// NUMBER_OUTSIDE_VALID_RANGE and INVALIDJOBSTATE; that every row of a chunk with the
// same key fails, the first too; that a value of the wrong type in a collection
// refuses the whole request; that doubles are written as Java does (1.0E7) and
// multiple choices in the order of their declaration; that a byte order mark makes
// the first header unknown; that the results of a job which has not ended are refused
// with 400; that a request over the quota does not count; that requests for limits do.
//
// Faults of the network (an answer that is lost, a 503, a web page) are resttest's:
// Inject them by method and path. What becomes of jobs is a [Fate]. It runs no
// goroutine: a bulk job works while somebody asks how it is doing, or [Server.Settle].
//
// It knows no triggers, sharing, record types, currencies, Bulk API 1.0 nor SOAP; no
// calls for a single record, jobs made of one multipart request, hardDelete, nor the
// limits of rows and batches of a day, which a Fate can play. Fields whose records
// contend for locks are those that say so, and only with Options.Contention.
package salesforcetest

import (
	"crypto/rsa"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/millrace-data/millrace/shared/rest/resttest"
)

// The login that a twin accepts where its Options name no other.
const (
	ClientID     = "3MVG9.twin.consumer.key"
	ClientSecret = "twin-consumer-secret"
	Username     = "millrace@example.com.twin"
)

// Options say what the organisation holds and how it behaves. The zero value has
// the default objects without records, and bulk jobs that end at the second look.
type Options struct {
	Objects []Object         // nil = DefaultObjects
	Now     func() time.Time // the vendor's clock; nil = time.Now

	ClientID, ClientSecret, Username string         // "" = the constants
	PublicKey                        *rsa.PublicKey // of the certificate; nil = no JWT is accepted
	Sandbox                          bool           // the audience of a JWT is test.salesforce.com
	NotApproved                      bool           // the user has not approved the app
	InstanceURL                      string         // "" = the host that was asked; else requests to other hosts are not answered
	SessionLife                      time.Duration  // 0 = 2 h
	SessionRequests                  int            // that a session lives; 0 = any number

	DailyRequests int64 // 0 = 100 000
	NoUsage       bool  // answers of bulk jobs carry no Sforce-Limit-Info
	PerApp        bool  // Sforce-Limit-Info names the app's usage too

	PageMax   int // rows of a page of a query, whatever was asked; 0 = 2000
	BulkPage  int // rows of a page of a bulk query, where it asks for no fewer; 0 = 50 000
	Polls     int // looks at a bulk job that find it unfinished; 0 = 1, negative = none
	UploadMax int // bytes of an upload; 0 = 100 MB

	Contention bool // children of one parent in jobs at the same time, or in batches of one job, fight for its lock
	InOrder    bool // results in the order of the upload
	Fates      []Fate

	OnRequest func(method, path string) // called before a request is served, without a lock
	Faults    []resttest.Fault          // from the start; more with Inject
}

// Server is the organisation. It is safe for concurrent use. The embedded Faults
// serve the requests, count them, and take more faults.
type Server struct {
	*resttest.Faults
	o Options

	mu       sync.Mutex
	tables   []*table
	issued   int // ids of sessions, jobs and queries so far
	sessions map[string]*session
	used     int64 // requests of the day
	queries  map[string]*query
	jobs     []*job
	fates    []Fate
	locks    []*lock
	writes   []write
	outside  []write
	undo     *journal // of the request that is undone as a whole, if need be
	fight    *fight   // over locks, of the job at work
	calls    map[string]int
}

// New opens an organisation.
func New(o Options) *Server {
	def(&o.ClientID, ClientID)
	def(&o.ClientSecret, ClientSecret)
	def(&o.Username, Username)
	def(&o.SessionLife, 2*time.Hour)
	def(&o.DailyRequests, 100_000)
	def(&o.PageMax, pageMax)
	def(&o.BulkPage, 50_000)
	def(&o.Polls, 1)
	def(&o.UploadMax, 100_000_000)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Objects == nil {
		o.Objects = DefaultObjects()
	}
	s := &Server{o: o, fates: o.Fates, sessions: map[string]*session{}, queries: map[string]*query{}, calls: map[string]int{}}
	for _, ob := range o.Objects {
		s.tables = append(s.tables, newTable(ob))
	}
	s.users()
	s.Faults = resttest.Wrap(http.HandlerFunc(s.serve), o.Faults...)
	return s
}

func def[T comparable](v *T, value T) {
	var zero T
	if *v == zero {
		*v = value
	}
}

// Env is the configuration that lets the functions reach a twin with the default
// login at a base URL.
func Env(baseURL string) map[string]string {
	return map[string]string{
		"SALESFORCE_LOGIN_URL": baseURL, "SALESFORCE_CLIENT_ID": ClientID, "SALESFORCE_CLIENT_SECRET": ClientSecret,
	}
}

// ServeHTTP calls Options.OnRequest, then lets the first fault that picks the
// request disturb it, or answers.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	hook := s.o.OnRequest
	s.calls[r.Method+" "+r.URL.Path]++
	s.mu.Unlock()
	if hook != nil {
		hook(r.Method, r.URL.Path)
	}
	s.Faults.ServeHTTP(w, r)
}

// The versions of the API that the twin has.
const (
	versionMin = 50
	versionMax = 66
)

const root = "/services/data"

// uriMax is how long the address of a request may be, in bytes; the sheet's figure.
const uriMax = 16 << 10

// request is a call with what was found out about it.
type request struct {
	*http.Request
	version string // as 60.0
	path    string // behind the version, without a slash at either end
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	path, isData := strings.CutPrefix(strings.TrimSuffix(r.URL.Path, "/"), root)
	switch {
	case len(r.RequestURI) > uriMax:
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusRequestURITooLong)
		fmt.Fprint(w, "<html><body><h1>URI Too Long</h1></body></html>")
	case r.URL.Path == "/services/oauth2/token":
		s.token(w, r)
	case !isData || !s.here(r):
		fail(w, http.StatusNotFound, "NOT_FOUND", "The requested resource does not exist")
	case path == "":
		s.versions(w)
	default:
		version, path, _ := strings.Cut(strings.TrimPrefix(path, "/v"), "/")
		if !known(version) {
			fail(w, http.StatusNotFound, "NOT_FOUND", "The requested resource does not exist")
			return
		}
		s.authorised(w, request{r, version, path})
	}
}

// here reports whether a request came to the instance's host.
func (s *Server) here(r *http.Request) bool {
	_, host, _ := strings.Cut(s.o.InstanceURL, "://")
	return host == "" || host == r.Host
}

func known(version string) bool {
	var major int
	_, err := fmt.Sscanf(version, "%d.0", &major)
	return err == nil && major >= versionMin && major <= versionMax && version == fmt.Sprintf("%d.0", major)
}

func (s *Server) versions(w http.ResponseWriter) {
	out := []map[string]string{}
	for v := versionMin; v <= versionMax; v++ {
		out = append(out, map[string]string{"label": fmt.Sprintf("Release %d", v), "url": fmt.Sprintf("%s/v%d.0", root, v), "version": fmt.Sprintf("%d.0", v)})
	}
	send(w, http.StatusOK, out)
}

// authorised counts a request and hands it to the part that answers it.
func (s *Server) authorised(w http.ResponseWriter, r request) {
	h := &held{ResponseWriter: w}
	defer h.give()
	if s.enter(h, r) {
		s.answer(h, r)
	}
}

func (s *Server) answer(w *held, r request) {
	first, rest, _ := strings.Cut(r.path, "/")
	switch {
	case first == "limits" && rest == "":
		s.limits(w, r)
	case first == "sobjects":
		s.sobjects(w, r, rest)
	case first == "query" || first == "queryAll":
		s.query(w, r, rest, first == "queryAll")
	case strings.HasPrefix(r.path, "composite/sobjects"):
		s.collections(w, r, strings.TrimPrefix(strings.TrimPrefix(r.path, "composite/sobjects"), "/"))
	case strings.HasPrefix(r.path, "jobs/ingest"):
		s.ingest(w, r, strings.TrimPrefix(strings.TrimPrefix(r.path, "jobs/ingest"), "/"))
	case strings.HasPrefix(r.path, "jobs/query"):
		s.bulkQuery(w, r, strings.TrimPrefix(strings.TrimPrefix(r.path, "jobs/query"), "/"))
	default:
		fail(w, http.StatusNotFound, "NOT_FOUND", "The requested resource does not exist")
	}
}
