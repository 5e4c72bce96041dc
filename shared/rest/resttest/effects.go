package resttest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"time"
)

// Status answers with a status and body; Content-Type is JSON where the body
// looks like it.
func Status(code int, body string) Effect {
	return func(w http.ResponseWriter, _ *http.Request, _ Call) {
		if len(body) > 0 && body[0] == '{' {
			w.Header().Set("Content-Type", "application/json")
		}
		w.WriteHeader(code)
		io.WriteString(w, body)
	}
}

// RetryAfter answers with a status, an empty body, and Retry-After in whole seconds.
func RetryAfter(code int, wait time.Duration) Effect {
	return func(w http.ResponseWriter, _ *http.Request, _ Call) {
		w.Header().Set("Retry-After", strconv.Itoa(int(wait.Seconds())))
		w.WriteHeader(code)
	}
}

// RetryDate answers with a status, an empty body, and Retry-After as the HTTP
// date that is wait from now.
func RetryDate(code int, wait time.Duration) Effect {
	return func(w http.ResponseWriter, _ *http.Request, _ Call) {
		w.Header().Set("Retry-After", time.Now().Add(wait).UTC().Format(http.TimeFormat))
		w.WriteHeader(code)
	}
}

// HTML answers 200 with a web page, as proxies and login walls do.
func HTML() Effect {
	return func(w http.ResponseWriter, _ *http.Request, _ Call) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		io.WriteString(w, "<!DOCTYPE html>\n<html><body><h1>Down for maintenance</h1></body></html>\n")
	}
}

// Empty answers 200 with no body at all.
func Empty() Effect { return func(http.ResponseWriter, *http.Request, Call) {} }

// Slow waits, then lets the twin answer. It gives up when the client does.
func Slow(wait time.Duration) Effect {
	return func(w http.ResponseWriter, r *http.Request, c Call) {
		t := time.NewTimer(wait)
		defer t.Stop()
		select {
		case <-t.C:
			c.Next.ServeHTTP(w, r)
		case <-r.Context().Done():
		}
	}
}

// Hang never answers; it returns when the client gives up.
func Hang() Effect {
	return func(_ http.ResponseWriter, r *http.Request, _ Call) { <-r.Context().Done() }
}

// Refuse closes the connection without an answer.
func Refuse() Effect {
	return func(http.ResponseWriter, *http.Request, Call) { panic(http.ErrAbortHandler) }
}

// CutRequest reads the first n bytes of the request's body and then breaks the
// connection: the twin never hears of it.
func CutRequest(n int64) Effect {
	return func(_ http.ResponseWriter, r *http.Request, _ Call) {
		io.CopyN(io.Discard, r.Body, n)
		panic(http.ErrAbortHandler)
	}
}

// Lost lets the twin do what it was asked to, and breaks the connection instead of
// answering: the client cannot know.
func Lost() Effect {
	return func(_ http.ResponseWriter, r *http.Request, c Call) {
		c.Next.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	}
}

// Cut sends the head and the first n bytes of the twin's body, then breaks the
// connection. A body of n bytes or fewer is broken at its end where its length
// was not announced, and is whole where it was.
func Cut(n int) Effect {
	return func(w http.ResponseWriter, r *http.Request, c Call) {
		c.Next.ServeHTTP(&cutter{ResponseWriter: w, left: n}, r)
		if f, ok := w.(http.Flusher); ok {
			f.Flush()
		}
		panic(http.ErrAbortHandler) // the server's way to drop a connection without a word
	}
}

type cutter struct {
	http.ResponseWriter
	left int
}

var errCut = errors.New("connection cut on purpose")

func (c *cutter) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p[:min(len(p), c.left)])
	c.left -= n
	if err == nil && n < len(p) {
		err = errCut
	}
	return n, err
}

// Again answers with the page that the previous request to this path asked for,
// as a vendor does whose paging is stuck. The first request is answered as it is.
func Again() Effect {
	return func(w http.ResponseWriter, r *http.Request, c Call) {
		if c.Previous != nil {
			r = r.Clone(r.Context())
			r.URL.RawQuery = c.Previous.RawQuery
		}
		c.Next.ServeHTTP(w, r)
	}
}

// Then lets the twin make its answer and calls do before the client sees it: for
// changes at the vendor between two pages.
func Then(do func()) Effect {
	return Rewrite(func(body []byte) []byte {
		do()
		return body
	})
}

// Rewrite holds the twin's whole answer in memory and sends what change makes of
// its body. Status and headers stay, except Content-Length.
func Rewrite(change func(body []byte) []byte) Effect {
	return func(w http.ResponseWriter, r *http.Request, c Call) {
		rec := httptest.NewRecorder()
		c.Next.ServeHTTP(rec, r)
		for k, v := range rec.Header() {
			w.Header()[k] = v
		}
		body := change(rec.Body.Bytes())
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.WriteHeader(rec.Code)
		w.Write(body)
	}
}

// Swap replaces the first old in the body by new. A body without old is a
// mistake in the test and answered with status 599, naming old.
func Swap(old, new string) Effect {
	return func(w http.ResponseWriter, r *http.Request, c Call) {
		found := true
		rec := httptest.NewRecorder()
		Rewrite(func(b []byte) []byte {
			found = bytes.Contains(b, []byte(old))
			return bytes.Replace(b, []byte(old), []byte(new), 1)
		})(rec, r, c)
		if !found {
			http.Error(w, fmt.Sprintf("resttest.Swap: no %q in the answer", old), 599)
			return
		}
		for k, v := range rec.Header() {
			w.Header()[k] = v
		}
		w.WriteHeader(rec.Code)
		w.Write(rec.Body.Bytes())
	}
}
