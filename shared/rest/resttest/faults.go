// Package resttest makes a vendor's twin misbehave, and carries requests to it
// without a network.
//
// A twin is an http.Handler that answers as the vendor does on a good day.
// [Wrap] puts a list of [Fault]s in front of it: each one picks requests by path,
// method and number and replaces or disturbs their answer with an [Effect]. [Memory]
// serves a handler over in-memory connections, so that tests of waiting run
// inside a testing/synctest bubble and take no time.
//
// The package knows no vendor and no client: what a page looks like and how a
// quota is spoken about belong to the twin, and retrying belongs to the client.
package resttest

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
)

// Fault says which requests go wrong, and how. Its zero matchers pick the first
// request of all.
type Fault struct {
	Path   string // picks requests whose path contains it; "" picks every request
	Method string // picks requests of this method only; "" picks every one
	After  int    // lets this many of the picked requests pass first
	Times  int    // disturbs this many of those that follow: 0 means one, negative means all
	Do     Effect // what happens to them
}

// Effect answers one request in the twin's stead. It may call c.Next to let the
// twin answer, before, after or instead of writing to w.
type Effect func(w http.ResponseWriter, r *http.Request, c Call)

// Call is what an Effect may use.
type Call struct {
	Next     http.Handler // the twin
	Previous *url.URL     // the request before this one with the same path; nil for the first
}

// Faults is a handler in front of a twin. It counts requests and is safe for
// concurrent use.
type Faults struct {
	next http.Handler

	mu       sync.Mutex
	rules    []*rule
	previous map[string]*url.URL
	count    map[string]int
	fired    int
}

type rule struct {
	Fault
	seen int
}

// Wrap puts faults in front of next. With no faults it only counts.
func Wrap(next http.Handler, faults ...Fault) *Faults {
	f := &Faults{next: next, previous: map[string]*url.URL{}, count: map[string]int{}}
	f.Inject(faults...)
	return f
}

// Inject adds faults; their numbers count from now on. Where several pick the
// same request, the one added first disturbs it and all of them count it.
func (f *Faults) Inject(faults ...Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, x := range faults {
		f.rules = append(f.rules, &rule{Fault: x})
	}
}

// Requests returns how many requests had a path that contains part; "" counts all.
func (f *Faults) Requests(part string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for path, c := range f.count {
		if strings.Contains(path, part) {
			n += c
		}
	}
	return n
}

// Fired returns how many requests were disturbed, so that a test can tell that
// its fault happened at all.
func (f *Faults) Fired() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fired
}

// ServeHTTP lets the first fault that picks the request disturb it, or the twin
// answer.
func (f *Faults) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	do, call := f.pick(r.Method, r.URL)
	if do == nil {
		f.next.ServeHTTP(w, r)
		return
	}
	do(w, r, call)
}

func (f *Faults) pick(method string, u *url.URL) (do Effect, c Call) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c = Call{Next: f.next, Previous: f.previous[u.Path]}
	f.previous[u.Path] = u
	f.count[u.Path]++
	for _, x := range f.rules {
		if x.picks(method, u.Path) && do == nil {
			do = x.Do
			f.fired++
		}
	}
	return do, c
}

func (x *rule) picks(method, path string) bool {
	if !strings.Contains(path, x.Path) || x.Method != "" && x.Method != method {
		return false
	}
	x.seen++
	n := x.seen - x.After
	return n > 0 && (x.Times < 0 || n <= max(x.Times, 1))
}
