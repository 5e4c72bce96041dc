// Package ociusagetest is Oracle's bucket of cost and usage reports as an
// http.Handler, for tests, demos and benchmarks without an account.
//
// It holds objects, lists and serves them as Object Storage does, checks every
// request's signature with its own API key, and makes reports of any size from a
// seed: with corrections, tags that come and go, and headers that change over the
// years. [Server.Expect] says what a reader must find, computed from the objects
// with encoding/csv and math/big alone. Faults of the network are put in front of
// it with package resttest; [Server.Edit] and its edits break files.
//
// It knows this one bucket: no uploads over HTTP, no other namespace, no
// pre-authenticated requests, no FOCUS beyond the columns that Oracle fills.
package ociusagetest

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

// The twin's one tenancy. None of it exists at Oracle.
const (
	Tenancy   = "ocid1.tenancy.oc1..aaaaaaaamillraceexample"
	User      = "ocid1.user.oc1..aaaaaaaamillraceexample"
	Region    = "us-ashburn-1"
	Namespace = "bling"
)

// Options of a Server. The zero value is ready.
type Options struct {
	Seed      uint64           // of the generated reports; equal seeds make equal bytes
	PageSize  int              // most objects on one page of the list; 0 = 1000
	Multipart bool             // objects have no MD5, as after an upload in pieces
	Encoded   bool             // objects carry Content-Encoding: gzip, which tempts clients to unpack them
	Denied    bool             // the policy is missing: Oracle shows no bucket
	Now       func() time.Time // Oracle's clock, for signatures and new objects; nil = time.Now
}

// Server is the bucket. It is safe for concurrent use.
type Server struct {
	opts Options

	mu       sync.Mutex
	objects  map[string]*object
	versions int // of all objects so far, which makes ETags
	requests int
}

// New makes a bucket without objects.
func New(o Options) *Server {
	if o.PageSize == 0 {
		o.PageSize = 1000
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Server{opts: o, objects: map[string]*object{}}
}

// Env is the configuration that lets a client reach the twin at a base URL.
func Env(baseURL string) map[string]string {
	return map[string]string{
		"OCI_TENANCY": Tenancy, "OCI_USER": User, "OCI_REGION": Region,
		"OCI_FINGERPRINT": Fingerprint(), "OCI_PRIVATE_KEY": Key(),
		"OCI_OBJECTSTORAGE_URL": baseURL,
	}
}

// ServeHTTP answers GET and HEAD below /n/bling/b/{tenancy}/o.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.requests++
	id := fmt.Sprintf("iad-1:twin%08d", s.requests)
	s.mu.Unlock()
	w.Header().Set("Opc-Request-Id", id)
	if c := r.Header.Get("Opc-Client-Request-Id"); c != "" {
		w.Header().Set("Opc-Client-Request-Id", c)
	}
	if err := verify(r, s.opts.Now()); err != nil {
		refuse(w, http.StatusUnauthorized, "NotAuthenticated", "The required information to complete authentication was not provided or was incorrect: "+err.Error())
		return
	}
	bucket, found := strings.CutPrefix(r.URL.Path, "/n/"+Namespace+"/b/"+Tenancy+"/o")
	switch {
	case !found || s.opts.Denied:
		refuse(w, http.StatusNotFound, "BucketNotFound", "Either the bucket does not exist in the namespace or you are not authorized to access it")
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		refuse(w, http.StatusMethodNotAllowed, "MethodNotAllowed", "The method is not allowed here")
	case bucket == "" && r.Method == http.MethodGet:
		s.list(w, r.URL.Query())
	case len(bucket) > 1 && bucket[0] == '/':
		s.get(w, r, bucket[1:])
	default:
		refuse(w, http.StatusNotFound, "NotAuthorizedOrNotFound", "Authorization failed or requested resource not found")
	}
}
