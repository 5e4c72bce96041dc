package rest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/failsafe-go/failsafe-go"

	"github.com/millrace-data/millrace/shared/fault"
)

// Request is one call of [Client.Send].
type Request struct {
	Method string // "" = GET
	Path   string // added to the base URL's own path
	Query  url.Values
	Header http.Header // beside Options.Header, and stronger
	Body   []byte      // sent anew with each try
	Once   bool        // must not happen twice: there is one try, and ErrUnknown where it may have worked
}

// ErrUnknown is the outcome of a Request made Once whose answer was lost: the
// vendor may have done what was asked, or not. Look before you ask again. Its kind
// is Transient.
var ErrUnknown = fault.New(fault.Transient, "the vendor may have done it, or not")

// ErrUnreached is part of the error where the vendor's host did not take a single
// connection.
var ErrUnreached = errors.New("cannot be reached")

// Get reads path, which is added to the base URL's own path, and returns the
// whole answer once its status is 2xx. The caller closes it.
//
// It tries up to six times: when the network fails, the body is cut short, or the
// status is 408, 425, 429, 500, 502, 503 or 504. It waits as long as Retry-After
// says or backs off, and it keeps to the pace. A vendor that was never reached gets
// two tries. Errors name the method, the address, the status and the tries. Their
// kinds:
//
//   - Limited: the vendor wants us to wait, for more than two minutes or beyond
//     the deadline of ctx, or it answers 429 to the last try. [fault.Until] says
//     until when.
//   - Auth: 401 or 403.
//   - NotFound: 404 or 410. Invalid: any other status that is our doing.
//   - Transient: all tries failed.
func (c *Client) Get(ctx context.Context, path string, query url.Values) (*Body, error) {
	return c.Send(ctx, Request{Path: path, Query: query})
}

// Send makes any request as Get does: with tries, which is right for whatever
// changes nothing at the vendor, be its method GET or POST; or Once.
func (c *Client) Send(ctx context.Context, r Request) (*Body, error) {
	target := c.base.JoinPath(r.Path)
	target.RawQuery = r.Query.Encode()
	r.Method = cmp.Or(r.Method, http.MethodGet)
	policy, most := c.tries, triesMax
	if r.Once {
		policy, most = c.once, 1
	}

	var got *Body
	var tries int
	_, err := policy.WithContext(ctx).GetWithExecution(func(failsafe.Execution[*Body]) (_ *Body, err error) {
		tries++
		got, err = c.try(ctx, target.String(), r, tries)
		return got, err
	})
	if err == nil {
		return got, nil
	}
	if got != nil { // ctx ended just after the last byte
		got.Close()
	}
	var f *failure
	if errors.As(err, &f) {
		err = f.err
		if r.Once && f.sent {
			err = fmt.Errorf("%w: %w", ErrUnknown, err)
		}
	}
	return nil, fmt.Errorf("%s %s%s%s: %w (try %d of %d)", r.Method, target.Host, target.EscapedPath(), describe(r.Query), err, tries, most)
}

// try makes one request. Its error is a *failure.
func (c *Client) try(ctx context.Context, target string, r Request, n int) (*Body, error) {
	if err := c.pace.wait(ctx); err != nil {
		return nil, final(err)
	}
	c.count(n)
	one, cancel := context.WithTimeout(ctx, c.opts.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(one, r.Method, target, bytes.NewReader(r.Body))
	if err != nil {
		return nil, final(fault.Wrap(fault.Invalid, unURL(err)))
	}
	for _, h := range []http.Header{c.opts.Header, r.Header} {
		for name, values := range h {
			req.Header[http.CanonicalHeaderKey(name)] = slices.Clone(values)
		}
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.unanswered(ctx, err, n)
	}
	defer resp.Body.Close()
	c.reached.Store(true)
	c.heed(resp.Header)
	return c.answer(ctx, resp, n)
}

func (c *Client) count(n int) {
	c.opts.Meter.AddRequest()
	if n > 1 {
		c.opts.Meter.AddRetry()
	}
}

// heed takes the vendor's word for the quota that is left.
func (c *Client) heed(h http.Header) {
	if c.opts.Quota == nil {
		return
	}
	if q, ok := c.opts.Quota(h); ok {
		c.opts.Meter.SetQuota(q.Left, q.Limit, q.Reset)
		c.pace.set(q)
	}
}

// answer makes a Body or a *failure of a response.
func (c *Client) answer(ctx context.Context, resp *http.Response, n int) (*Body, error) {
	if resp.StatusCode/100 != 2 {
		return nil, c.refused(ctx, resp, n)
	}
	body, err := drain(resp, c.opts.Scratch)
	if err != nil {
		return nil, c.unanswered(ctx, err, n)
	}
	if body.file == nil && c.opts.Classify != nil {
		if err := c.opts.Classify(resp.StatusCode, resp.Header, body.small); err != nil {
			body.Close()
			f := named(ctx, err, n)
			f.sent = true
			return nil, f
		}
	}
	return body, nil
}

// shown are the parameters whose values help to find a page and hold no secret.
var shown = []string{
	"page", "pagesize", "perpage", "offset", "limit", "count", "start", "end",
	"from", "to", "since", "until", "startdate", "enddate",
}

// describe is the query for an error: every name, but only harmless values.
func describe(query url.Values) string {
	var b strings.Builder
	sep := "?"
	for _, name := range slices.Sorted(maps.Keys(query)) {
		value := "…"
		plain := strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(name))
		if slices.Contains(shown, plain) && len(query.Get(name)) <= 40 {
			value = url.QueryEscape(query.Get(name))
		}
		b.WriteString(sep + url.QueryEscape(name) + "=" + value)
		sep = "&"
	}
	return b.String()
}
