package rest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace-data/millrace/shared/fault"
)

const codeMax = 100 // characters of a vendor's error code that get into an error

// passing are the statuses that another try may cure.
var passing = []int{
	http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests,
	http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout,
}

// unanswered is a try without a whole answer. parent is the caller's context: when
// that ended, there is nothing to try again. A vendor that was never reached is
// given up early: that is an address or a network that somebody has to look at.
func (c *Client) unanswered(parent context.Context, err error, n int) *failure {
	f := c.noAnswer(parent, unURL(err), n)
	var dial *net.OpError
	f.sent = !errors.As(err, &dial) || dial.Op != "dial"
	return f
}

func (c *Client) noAnswer(parent context.Context, err error, n int) *failure {
	var scratch *scratchError
	var cert *tls.CertificateVerificationError
	var dial *net.OpError
	switch {
	case parent.Err() != nil, errors.As(err, &scratch):
		return final(err)
	case errors.As(err, &cert):
		return final(fault.New(fault.Invalid, "%w: check the base URL and this machine's certificates", err))
	case errors.As(err, &dial) && dial.Op == "dial" && !c.reached.Load():
		err = fault.New(fault.Transient, "%s %w; check the base URL and this machine's network: %w", c.base.Host, ErrUnreached, err)
		if n >= dialMax {
			return final(err)
		}
	case errors.Is(err, context.DeadlineExceeded):
		err = errTry // the caller's deadline is not over: one more try
	}
	return again(parent, err, n)
}

// unURL takes net/http's wrapping off, which quotes the query.
func unURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// named is a try that Classify gave an error to.
func named(ctx context.Context, err error, n int) *failure {
	if fault.Of(err) == fault.Transient {
		return again(ctx, err, n)
	}
	if until, ok := fault.Until(err); ok && time.Until(until) <= waitMax && fits(ctx, time.Until(until)) {
		return &failure{err: err, wait: time.Until(until)}
	}
	return final(err)
}

// refused is a try with an answer that is not 2xx.
func (c *Client) refused(ctx context.Context, resp *http.Response, n int) *failure {
	body, _ := io.ReadAll(io.LimitReader(resp.Body, memoryMax)) // whatever of it came: the status is what counts
	f := c.refusal(ctx, resp, body, n)
	f.sent = resp.StatusCode >= 500 // a 4xx says that nothing was done
	return f
}

func (c *Client) refusal(ctx context.Context, resp *http.Response, body []byte, n int) *failure {
	if c.opts.Classify != nil {
		if err := c.opts.Classify(resp.StatusCode, resp.Header, body); err != nil {
			return named(ctx, err, n)
		}
	}
	if slices.Contains(passing, resp.StatusCode) {
		return c.later(ctx, resp, code(body), n)
	}
	return final(c.verdict(resp.StatusCode, code(body)))
}

// verdict is the error for a status that no other try will change.
func (c *Client) verdict(status int, code string) error {
	switch {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return fault.New(fault.Auth, "status %d%s: %s refuses our credentials: check the key and what it may read", status, code, c.base)
	case status == http.StatusNotFound || status == http.StatusGone:
		return fault.New(fault.NotFound, "status %d%s: check the path and the base URL %s", status, code, c.base)
	case status >= 500:
		return fault.New(fault.Transient, "status %d%s", status, code)
	}
	return fault.New(fault.Invalid, "status %d%s: %s does not take this request", status, code, c.base)
}

// later is a try that the vendor may answer after a while.
func (c *Client) later(ctx context.Context, resp *http.Response, code string, n int) *failure {
	now := time.Now()
	wait, said := retryAfter(resp.Header.Get("Retry-After"), now)
	if !said {
		wait = backoffMax // for the kind Limited only; again has its own
	}
	err := fault.New(fault.Transient, "status %d%s", resp.StatusCode, code)
	if said || resp.StatusCode == http.StatusTooManyRequests {
		err = fault.LimitedUntil(now.Add(wait), "status %d%s: asked to wait %s", resp.StatusCode, code, wait.Round(time.Second))
	}
	switch {
	case !said:
		return again(ctx, err, n)
	case wait > waitMax || !fits(ctx, wait):
		return final(err)
	}
	return &failure{err: err, wait: wait}
}

// retryAfter reads both forms of the header: seconds, and an HTTP date.
func retryAfter(v string, now time.Time) (time.Duration, bool) {
	if seconds, err := strconv.ParseUint(strings.TrimSpace(v), 10, 31); err == nil {
		return time.Duration(seconds) * time.Second, true
	}
	t, err := http.ParseTime(v)
	return max(0, t.Sub(now)), err == nil
}

// code is the vendor's own word for an error, ready to follow a status; "" if the
// body is not JSON or has none. Nothing else of a body gets into an error.
func code(body []byte) string {
	var b struct {
		Error jsontext.Value `json:"error"`
		Code  jsontext.Value `json:"code"`
	}
	if json.Unmarshal(body, &b, jsontext.AllowDuplicateNames(true)) != nil {
		return ""
	}
	for _, v := range []jsontext.Value{b.Code, b.Error} {
		if s := scalar(v); s != "" {
			return fmt.Sprintf(" (%s)", s)
		}
	}
	if b.Error.Kind() == '{' {
		return code(b.Error)
	}
	return ""
}

// scalar is a short JSON string or number as printable text.
func scalar(v jsontext.Value) string {
	var s string
	switch v.Kind() {
	case '0':
		s = v.String()
	case '"':
		_ = json.Unmarshal(v, &s)
	}
	r := []rune(strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return -1
	}, s))
	return string(r[:min(len(r), codeMax)])
}
