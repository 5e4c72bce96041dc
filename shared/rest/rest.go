// Package rest reads from vendors over HTTP.
//
// The idea: a response is drained before anybody sees it. A connection that is
// cut in the middle of a body, a slow-down or a hiccup of the vendor is then the
// client's business and is retried there, since a GET changes nothing; whoever
// reads rows sees a whole page or an error. Bodies of any size are held in a
// scratch file, and [Rows] streams the rows out of them one by one.
//
// What must not happen twice is sent once, with an error of its own
// where the outcome is unknown. The package knows no vendor, and does not log: what
// it did is counted in a [Meter].
package rest

import (
	"cmp"
	"errors"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/failsafe-go/failsafe-go"

	"github.com/millrace-data/millrace/shared/fault"
)

// Options says how to reach a vendor. Only BaseURL is required.
type Options struct {
	BaseURL string      // https, or http to this machine; Get adds its path to it
	Header  http.Header // sent with every request, and never to another host
	Meter   *Meter      // nil: a private one
	Scratch string      // folder for bodies over 1 MiB; "": the system's

	Rate  Rate                            // pace while the vendor's quota is unknown
	Quota func(http.Header) (Quota, bool) // reads the vendor's quota headers; nil: it has none

	Transport http.RoundTripper // nil: http.DefaultTransport's settings, own connections
	Timeout   time.Duration     // of one try, body included; 0: two minutes

	// Classify names the vendor's odd errors. It sees every answer whose body is
	// 1 MiB or less, also those with status 200; of an error's body, the first
	// 1 MiB. Its error ends the call, unless its kind is Transient: that is
	// retried; or Limited with a time: that is waited for, as a Retry-After is.
	// Nil means: as usual.
	Classify func(status int, header http.Header, body []byte) error
}

// Rate is a token bucket: Burst requests at once (at least one), then one every
// Every. The zero Rate is no pace at all.
type Rate struct {
	Burst int
	Every time.Duration
}

// Quota is what a vendor says is left: Left of Limit requests until Reset.
type Quota struct {
	Limit, Left int64
	Reset       time.Time
}

const (
	tryTimeout   = 2 * time.Minute // a 500 MB page at 5 MB/s; assumed
	dialTimeout  = 10 * time.Second
	redirectsMax = 10 // as net/http
)

// Client reads from one vendor. It is safe for concurrent use; all who use it
// share its pace.
type Client struct {
	opts    Options
	base    *url.URL
	http    *http.Client
	pace    *pace
	tries   failsafe.Executor[*Body]
	once    failsafe.Executor[*Body]
	reached atomic.Bool // the vendor has answered once
}

// New checks the options and makes no request. A BaseURL that is not usable is
// fault.Invalid.
func New(o Options) (*Client, error) {
	base, err := checkBase(o.BaseURL)
	if err != nil {
		return nil, err
	}
	if o.Meter == nil {
		o.Meter = new(Meter)
	}
	if o.Timeout == 0 {
		o.Timeout = tryTimeout
	}
	if o.Scratch == "" {
		o.Scratch = os.TempDir()
	}
	if o.Transport == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.DialContext = (&net.Dialer{Timeout: dialTimeout}).DialContext
		o.Transport = t
	}
	c := &Client{opts: o, base: base, pace: newPace(o.Rate), tries: failsafe.With(retryPolicy(triesMax)), once: failsafe.With(retryPolicy(1))}
	c.http = &http.Client{Transport: o.Transport, CheckRedirect: c.redirect}
	return c, nil
}

// Close drops idle connections. Bodies that are still open stay readable.
func (c *Client) Close() { c.http.CloseIdleConnections() }

func checkBase(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return nil, fault.New(fault.Invalid, "base URL: want https://HOST[/PATH]") // not quoted: a key may have landed in it
	case u.User != nil || u.RawQuery != "":
		return nil, fault.New(fault.Invalid, "base URL of %s: want neither user nor query in it", u.Host)
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return nil, fault.New(fault.Invalid, "base URL http://%s: plain http is for this machine only, use https", u.Host)
	}
	u.Path = cmp.Or(u.Path, "/") // else JoinPath makes relative paths, which read badly in errors
	return u, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

// redirect lets no header of ours reach another host. net/http does that for
// Authorization only, not for a vendor's own key header, and it takes another
// port or a subdomain for the same host.
func (c *Client) redirect(req *http.Request, via []*http.Request) error {
	if len(via) >= redirectsMax {
		return errors.New("too many redirects")
	}
	if req.URL.Host == c.base.Host && req.URL.Scheme == c.base.Scheme {
		return nil
	}
	for name := range via[0].Header {
		req.Header.Del(name)
	}
	req.Header.Del("Referer") // holds our query
	return nil
}
