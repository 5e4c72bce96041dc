package rest

import (
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
	target := c.base.JoinPath(path)
	target.RawQuery = query.Encode()

	var got *Body
	var tries int
	_, err := c.tries.WithContext(ctx).GetWithExecution(func(failsafe.Execution[*Body]) (_ *Body, err error) {
		tries++
		got, err = c.try(ctx, target.String(), tries)
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
	}
	return nil, fmt.Errorf("GET %s%s%s: %w (try %d of %d)", target.Host, target.EscapedPath(), describe(query), err, tries, triesMax)
}

// try makes one request. Its error is a *failure.
func (c *Client) try(ctx context.Context, target string, n int) (*Body, error) {
	if err := c.pace.wait(ctx); err != nil {
		return nil, final(err)
	}
	c.count(n)
	one, cancel := context.WithTimeout(ctx, c.opts.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(one, http.MethodGet, target, nil)
	if err != nil {
		return nil, final(fault.Wrap(fault.Invalid, unURL(err)))
	}
	for name, values := range c.opts.Header {
		req.Header[name] = slices.Clone(values)
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
			return nil, named(ctx, err, n)
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
