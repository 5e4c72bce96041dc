// Package thoughtindustries reads a Thought Industries academy (learners, courses,
// what they did) through the vendor's incoming REST API v2, as documented and as
// working clients use it, read 2026-08; where the two differ, the clients win.
//
// Nine event feeds are read by UTC day, newest event first, and six lists by a
// vendor's cursor: a full scan each week, and daily the tail after the last cursor.
// Stopped half-way, both go on with the page that was next.
//
// Limits: 100 events a page; about 225 requests per 15 minutes, a quota shared
// with everything else the academy runs, so one slice is read at a time and the
// vendor's X-RateLimit headers set the pace.
//
// What it cannot see: deletions (a user only becomes disabled); events that arrive
// or change more than three days late; changes of old rows in lists between two
// full scans; what is left of more than 100 events in one and the same
// millisecond, which the vendor cannot page through (a warning says so).
//
// Assumed: lists are in order of creation; times are in whole milliseconds, as in
// every payload known (finer ones stop the slice).
package thoughtindustries

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/rest"
)

// Config is read from THOUGHT_INDUSTRIES_… variables.
type Config struct {
	BaseURL string     `envconfig:"BASE_URL" required:"true" doc:"address of the academy, https://ACADEMY.thoughtindustries.com or its own domain"`
	APIKey  env.Secret `envconfig:"API_KEY" required:"true" doc:"made in the academy's Settings, Security, API Keys"`
	Start   Day        `envconfig:"START" doc:"leave out events before this date or RFC 3339 time"`
}

// Function fills the schema thought_industries.
var Function = &extract.Function{
	Name:    "thoughtindustries",
	Doc:     "Learners, courses and events of a Thought Industries academy.",
	Tables:  tables(),
	Workers: 1, // the quota is one per academy
	Open: func(cfg env.Lookup, in extract.Invocation) (extract.Source, error) {
		return open(cfg, in, nil)
	},
}

// pace holds while the vendor has not named a quota: 225 requests at once, then
// one per 4 s: about 250 per 15 minutes, as another client was told, less a margin.
var pace = rest.Rate{Burst: 225, Every: 4 * time.Second}

type academy struct {
	client *rest.Client
	start  time.Time
}

func open(lookup env.Lookup, in extract.Invocation, transport http.RoundTripper) (extract.Source, error) {
	var cfg Config
	if err := env.Load(lookup, "THOUGHT_INDUSTRIES", &cfg); err != nil {
		return nil, err
	}
	client, err := rest.New(rest.Options{
		BaseURL: cfg.BaseURL, Header: http.Header{"Authorization": {"Bearer " + cfg.APIKey.Reveal()}},
		Meter: in.Meter, Scratch: in.Scratch, Transport: transport,
		Rate: pace, Quota: quota, Classify: classify,
	})
	if err != nil {
		return nil, fmt.Errorf("THOUGHT_INDUSTRIES_BASE_URL: %w", err)
	}
	return &academy{client, cfg.Start.Time}, nil
}

// Read implements [extract.Source].
func (a *academy) Read(ctx context.Context, s extract.Slice, out *extract.Out) error {
	for _, e := range endpoints {
		switch {
		case e.Name != s.Table:
		case e.array == "events":
			return a.events(ctx, e, s, out)
		default:
			return a.list(ctx, e, s, out)
		}
	}
	return fault.New(fault.Invalid, "thoughtindustries has no table %q", s.Table)
}

// answer is what a page says about the pages after it.
type answer struct {
	Cursor string `json:"cursor"`
	More   *bool  `json:"hasMore"` // nil: it does not say
}

// page reads one page, row by row. A page that breaks the contract is kept.
func (a *academy) page(ctx context.Context, e endpoint, q url.Values, out *extract.Out, row func([]byte) error) (next answer, err error) {
	body, err := a.client.Get(ctx, "/incoming/v2/"+e.path, q)
	if err != nil {
		return next, fmt.Errorf("%s: %w", e.path, err)
	}
	defer body.Close()
	info, err := rest.Rows(body, e.array, row)
	if err == nil {
		next, err = decodeAnswer(info)
	}
	if errors.Is(err, fault.Corrupt) {
		err = out.Corrupt(ctx, body, fmt.Errorf("%s: %w", e.path, err))
	}
	return next, err
}

// decodeAnswer finds the next cursor in pageInfo, where working clients find it,
// or in meta, where the documentation has it.
func decodeAnswer(info map[string]jsontext.Value) (answer, error) {
	var next answer
	var meta struct {
		Cursor *string `json:"nextCursor"`
	}
	if raw, ok := info["pageInfo"]; ok {
		if err := json.Unmarshal(raw, &next); err != nil {
			return next, fault.New(fault.Corrupt, "pageInfo is not readable")
		}
	} else if raw, ok := info["meta"]; ok {
		if err := json.Unmarshal(raw, &meta); err != nil {
			return next, fault.New(fault.Corrupt, "meta is not readable")
		}
		if meta.Cursor != nil {
			next.Cursor = *meta.Cursor
		}
		more := next.Cursor != ""
		next.More = &more
	}
	return next, nil
}

// quota reads the vendor's headers; the reset is in Unix seconds.
func quota(h http.Header) (rest.Quota, bool) {
	left, err1 := strconv.ParseInt(h.Get("X-RateLimit-Remaining"), 10, 64)
	limit, err2 := strconv.ParseInt(h.Get("X-RateLimit-Limit"), 10, 64)
	reset, err3 := strconv.ParseInt(h.Get("X-RateLimit-Reset"), 10, 64)
	return rest.Quota{Limit: limit, Left: left, Reset: time.Unix(reset, 0).UTC()}, errors.Join(err1, err2, err3) == nil
}

// classify says what to do about a key; the vendor's 401 has an empty body.
func classify(status int, _ http.Header, _ []byte) error {
	switch status {
	case http.StatusUnauthorized:
		return fault.New(fault.Auth, "the academy refuses the API key: make one in its Settings, Security, API Keys, and set THOUGHT_INDUSTRIES_API_KEY")
	case http.StatusForbidden:
		return fault.New(fault.Auth, "the API key's role may not read this: give the role access in the academy's Settings, Security, API Keys")
	}
	return nil
}

// Day is a point in time, written as a date (midnight UTC) or as RFC 3339.
type Day struct{ time.Time }

// Decode implements envconfig.Decoder.
func (d *Day) Decode(s string) (err error) {
	if d.Time, err = time.Parse(time.DateOnly, s); err != nil {
		d.Time, err = time.Parse(time.RFC3339, s)
	}
	d.Time = d.Time.UTC()
	return err
}
