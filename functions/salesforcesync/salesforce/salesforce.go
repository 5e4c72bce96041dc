// Package salesforce speaks as much of Salesforce's APIs as the way back needs: it is
// a reverse.Destination and a reverse.Bulk, and nothing above it knows the vendor.
//
// What it speaks: OAuth (JWT bearer, client credentials), describe, SOQL queries,
// sObject Collections, Bulk API 2.0 ingest and query; from Salesforce's documentation,
// captured answers and six other clients, read 2026-08. The API's version is pinned.
//
// What changes nothing is tried again after hiccups. What changes something is sent
// once, and its error says so where nobody knows whether it was done. A session that
// ended is renewed once per request; an upload is never sent a second time. Nothing
// but the token and instance_url of the login is trusted: redirects are not followed,
// so that neither a token nor a row reaches another host.
//
// What it cannot see: fields that the running user has no field-level security for;
// to Salesforce they do not exist. Budget is what Salesforce said last, an
// approximate count.
//
// Assumed, because no source says: sObject Collections delete by ?ids=, at most 200;
// a GET may be 16,000 characters long; bulk results give key columns back as they
// were sent; an upload may come in chunks, without a length; text comes back with the
// case it was stored in, and two texts that differ by case alone are one external id,
// unless describe says caseSensitive; too many requests at a time pass in a minute.
//
// It does not do relationships (Owner.Email), hardDelete, multipart jobs, polymorphic
// references by external id, or query jobs' deletion: they vanish after seven days.
package salesforce

import (
	"context"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/rest"
	"github.com/millrace-data/millrace/shared/reverse"
)

var (
	_ reverse.Destination = (*Client)(nil)
	_ reverse.Bulk        = (*Client)(nil)
)

// Options are what an invocation lends to a Client. The zero value is ready.
type Options struct {
	Meter     *rest.Meter       // counts requests; nil: a private one
	Scratch   string            // folder for answers over 1 MiB; "": the system's
	Transport http.RoundTripper // nil: http.DefaultTransport's settings, own connections
	Now       func() time.Time  // nil: time.Now
	Poll      time.Duration     // before a query job is looked at again, growing; 0 = 2 s
}

const (
	dialTimeout = 10 * time.Second
	tryTimeout  = 5 * time.Minute // of one answer; a part's results are 100 MB, assumed at 1 MB/s
	pollFirst   = 2 * time.Second // no interval is documented; other clients take 0.5 s to 2 s
)

// Client is one Salesforce org, as one user. It is safe for concurrent use.
type Client struct {
	cfg   settings
	opts  Options
	door  *door
	login *rest.Client
	turn  chan struct{} // held by whoever logs in

	mu      sync.Mutex
	session *session // nil: none that lives
	budget  reverse.Budget
	objects map[string]*reverse.Object
}

// Open checks the configuration and makes no request.
func Open(cfg env.Lookup, o Options) (*Client, error) {
	s, err := read(cfg)
	if err != nil {
		return nil, err
	}
	if o.Meter == nil {
		o.Meter = new(rest.Meter)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Poll <= 0 {
		o.Poll = pollFirst
	}
	if o.Scratch == "" {
		o.Scratch = os.TempDir()
	}
	c := &Client{cfg: s, opts: o, door: newDoor(o.Transport), turn: make(chan struct{}, 1), objects: map[string]*reverse.Object{}}
	c.login, err = rest.New(rest.Options{BaseURL: s.LoginURL, Meter: o.Meter, Scratch: o.Scratch, Transport: c.door,
		Timeout: loginTimeout, Classify: c.classifyLogin})
	if err != nil {
		return nil, fault.New(fault.Invalid, "configuration: %s_LOGIN_URL: %w", prefix, err)
	}
	return c, nil
}

// Connector opens a Client for each invocation.
func Connector(cfg env.Lookup, o Options) reverse.Connector {
	return func(context.Context) (reverse.Destination, error) {
		c, err := Open(cfg, o)
		if err != nil {
			return nil, err // not a *Client in an interface
		}
		return c, nil
	}
}

// Close drops idle connections. A token that was given out is left to expire.
func (c *Client) Close() error {
	c.door.CloseIdleConnections()
	return nil
}

// Budget is the requests of 24 hours, as the last answer counted them: for the org,
// or for this app where less is left to it.
func (c *Client) Budget() reverse.Budget {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.budget
}

// heed takes an answer's word for the requests that are left. It has the form of a
// rest.Options.Quota and returns none: the engine holds the budget, not the pace.
func (c *Client) heed(h http.Header) (rest.Quota, bool) {
	if b, ok := usage(h.Get("Sforce-Limit-Info")); ok {
		b.Seen = c.opts.Now().UTC()
		c.mu.Lock()
		c.budget = b
		c.mu.Unlock()
	}
	return rest.Quota{}, false
}

// usage reads `api-usage=18/5000` and `…;per-app-api-usage=17/250(appName=x)`, and
// takes the one of which less is left.
func usage(header string) (tight reverse.Budget, ok bool) {
	for part := range strings.SplitSeq(header, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		if name != "api-usage" && name != "per-app-api-usage" {
			continue
		}
		value, _, _ = strings.Cut(value, "(")
		used, most, _ := strings.Cut(value, "/")
		u, err1 := strconv.ParseInt(used, 10, 64)
		m, err2 := strconv.ParseInt(most, 10, 64)
		if err1 != nil || err2 != nil || m <= 0 || u < 0 {
			continue
		}
		if !ok || m-u < tight.Max-tight.Used {
			tight, ok = reverse.Budget{Used: u, Max: m}, true
		}
	}
	return tight, ok
}

// door is the one way out, for login, requests and uploads. It hides where a redirect
// leads, so that net/http does not follow it: with a 307 it would send the body, the
// secret of a login or rows, to whatever host is named.
type door struct{ next http.RoundTripper }

const moved = "X-Moved-To" // host that an answer wanted to redirect to

func newDoor(next http.RoundTripper) *door {
	if next == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.DialContext = (&net.Dialer{Timeout: dialTimeout}).DialContext
		next = t
	}
	return &door{next}
}

// RoundTrip makes one request.
func (d *door) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := d.next.RoundTrip(r)
	if err != nil || resp.StatusCode/100 != 3 {
		return resp, err
	}
	if to, err := resp.Location(); err == nil {
		resp.Header.Set(moved, to.Host)
	}
	resp.Header.Del("Location")
	return resp, nil
}

// client makes requests through the door.
func (d *door) client() *http.Client { return &http.Client{Transport: d} }

// CloseIdleConnections closes those of the transport.
func (d *door) CloseIdleConnections() {
	if c, ok := d.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}
