// Package clari reads a Clari tenant's forecasts through its export API v4, as the
// vendor's specification 5.0.0 and four working clients have it, read 2026-08. Where
// they differ (the envelope of a job, the list of jobs) both forms are read.
//
// An export is a job: queued, asked after, fetched as one JSON document with five
// arrays, which fill five tables. The document is kept in the stage, because the
// same export cannot be made again: entries change, and people vanish. A slice is
// one forecast, one fiscal quarter, one day. Each day the current and the next
// quarter are exported, on the first day of a quarter the one that ended and the one
// that begins, with all their weeks. Stopped half-way, a slice goes on with its job:
// its id is in the ledger, and no job is queued twice.
//
// Limits: a quota of exports in any 30 days for the whole organisation, as few as
// 30, and of jobs at a time; both are asked for before a job is queued. One slice is
// read at a time.
//
// What it cannot see: weeks before the first run, except by a backfill, which leaves
// out everybody who is not opted in today, for every past quarter. That is why rows
// are merged and never deleted, why last_seen tells who is gone, and why a re-sync,
// which would replace, is refused. Edits after the run of a day show on the next
// day's. Entries of a week change until 08:00 UTC of the day after it: the calendar
// goes by the run's clock in UTC, so schedule it after 08:00, or what is edited on the
// first morning of a quarter is not seen.
//
// Assumed: results can be fetched for 30 days; names of fields that the
// specification does not have are in _extra.
package clari

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strings"
	"time"

	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/job"
	"github.com/millrace-data/millrace/shared/part"
	"github.com/millrace-data/millrace/shared/rest"
)

// Config is read from CLARI_… variables.
type Config struct {
	BaseURL         string     `envconfig:"BASE_URL" default:"https://api.clari.com/v4" doc:"address of the API with its version"`
	APIKey          env.Secret `envconfig:"API_KEY" required:"true" doc:"made by a user who is opted in to the forecasts and sits at the top of the hierarchy: Settings, API Token"`
	Forecasts       []string   `envconfig:"FORECASTS" required:"true" doc:"ids of the forecasts, as in the address of the Forecast tab; comma-separated"`
	FiscalYearStart int        `envconfig:"FISCAL_YEAR_START" default:"2" doc:"month in which the fiscal year begins, 1 to 12; a year that begins after January is named by its end"`
}

// Function fills the schema clari.
var Function = &extract.Function{
	Name:    "clari",
	Doc:     "Forecasts of a Clari tenant: entries, people, fields, quarters, weeks.",
	Tables:  tables(),
	Workers: 1, // the quota is one per organisation
	Open: func(cfg env.Lookup, in extract.Invocation) (extract.Source, error) {
		return open(cfg, in, nil)
	},
}

type tenant struct {
	client    *rest.Client
	looks     *rest.Client // for the list of jobs, at most one in lookEvery
	forecasts []string
	calendar  calendar
}

func open(lookup env.Lookup, in extract.Invocation, transport http.RoundTripper) (extract.Source, error) {
	var cfg Config
	if err := env.Load(lookup, "CLARI", &cfg); err != nil {
		return nil, err
	}
	if cfg.FiscalYearStart < 1 || cfg.FiscalYearStart > 12 {
		return nil, fault.New(fault.Invalid, "CLARI_FISCAL_YEAR_START is %d: want a month, 1 to 12", cfg.FiscalYearStart)
	}
	o := rest.Options{
		BaseURL: cfg.BaseURL, Header: http.Header{"Apikey": {cfg.APIKey.Reveal()}, "Content-Type": {"application/json"}},
		Meter: in.Meter, Scratch: in.Scratch, Transport: transport, Classify: classify,
	}
	client, err := rest.New(o)
	o.Rate = rest.Rate{Burst: 1, Every: lookEvery}
	looks, err2 := rest.New(o)
	if err := errors.Join(err, err2); err != nil {
		return nil, fmt.Errorf("CLARI_BASE_URL: %w", err)
	}
	t := &tenant{client: client, looks: looks, calendar: calendar{time.Month(cfg.FiscalYearStart)}}
	for _, f := range cfg.Forecasts {
		if f = strings.TrimSpace(f); f == "" || strings.ContainsAny(f, "/@") {
			return nil, fault.New(fault.Invalid, "CLARI_FORECASTS: %q is no id of a forecast", f)
		}
		t.forecasts = append(t.forecasts, f)
	}
	return t, nil
}

// Close implements io.Closer.
func (t *tenant) Close() error {
	t.client.Close()
	t.looks.Close()
	return nil
}

// Objects implements [extract.Lister]: the exports that are due.
func (t *tenant) Objects(_ context.Context, w extract.Wish) iter.Seq2[extract.Object, error] {
	return func(yield func(extract.Object, error) bool) {
		due, err := t.due(w)
		if err != nil {
			yield(extract.Object{}, err)
			return
		}
		for _, e := range due {
			if !yield(e, nil) {
				return
			}
		}
	}
}

// Read implements [extract.Source].
func (t *tenant) Read(ctx context.Context, s extract.Slice, out *extract.Out) error {
	e, err := parse(s.Object.Name, s.Object.ETag)
	if err != nil {
		return err
	}
	doc, err := out.Kept(ctx, document)
	if errors.Is(err, fault.NotFound) {
		if err := t.export(ctx, e, s.Now, out); err != nil {
			return fmt.Errorf("export %s: %w", e.name(), err)
		}
		doc, err = out.Kept(ctx, document)
	}
	if err != nil {
		return err
	}
	defer doc.Close()
	out.SetCursor(job.ID(out.Cursor())) // for the others: see Others
	asked, err := asked(ctx, out)
	if err != nil {
		return err
	}
	rows := map[string]func([]byte) error{}
	for _, a := range arrays {
		to := out
		if a.Beside != "" {
			to = out.Beside(a.Name)
		}
		rows[a.array] = e.row(a.array, to, asked)
	}
	_, err = rest.Arrays(doc, rows)
	return err
}

// What is kept of a slice: the export as Clari sent it, and the clock of the run that
// queued it.
const (
	document = "export.json"
	clock    = "asked"
)

// asked is the clock of the run that queued the export. It becomes last_seen, by which
// of two exports the newer wins, although an older one may be done later.
func asked(ctx context.Context, out *extract.Out) (string, error) {
	r, err := out.Kept(ctx, clock)
	if err != nil {
		return "", err
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	return string(text), err
}

// export has the job done, and keeps what came of it.
func (t *tenant) export(ctx context.Context, e export, now time.Time, out *extract.Out) error {
	if out.Cursor() == "" { // no job is queued
		if err := out.Keep(ctx, clock, strings.NewReader(now.UTC().Format(time.RFC3339Nano))); err != nil {
			return err
		}
	}
	q := &queue{tenant: t, export: e, weeks: e.history(now)}
	id, err := job.Do(ctx, progress{out, q}, q)
	if err != nil {
		return err
	}
	body, err := t.client.Get(ctx, jobs+"/"+id+"/results", nil)
	if errors.Is(err, errLost) { // for good: results go after 30 days
		return errors.Join(fault.New(fault.Transient, "the results of job %s are gone; the next run queues a new one: %v", id, err), out.Save(""))
	}
	if err != nil {
		return err
	}
	defer body.Close()
	if err := e.check(body); err != nil {
		return out.Corrupt(ctx, body, fmt.Errorf("job %s: %w", id, err))
	}
	return out.Keep(ctx, document, body.Keep())
}

// row stages the elements of one array.
func (e export) row(array string, out *extract.Out, asked string) func([]byte) error {
	extra := []part.Field{{Column: "last_seen", Value: asked}}
	switch array {
	case "entries", "fields":
		extra = append(extra, part.Field{Column: "forecast_id", Value: e.forecast})
	case "timeFrames":
		extra = append(extra, part.Field{Column: "time_period_id", Value: e.quarter})
	}
	return func(raw []byte) error { return out.Row(raw, extra...) }
}
