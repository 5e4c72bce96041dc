package clari

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/job"
	"github.com/millrace-data/millrace/shared/rest"
)

const (
	quotaWindow = 30 * 24 * time.Hour // the quota is of exports in any 30 days; specification 5.0.0
	lookAgain   = 24 * time.Hour      // others use the quota too, and may cancel: look at least once a day
	busy        = 10 * time.Second    // until there may be room for another job; assumed
	lookEvery   = 2 * time.Second     // between two looks at the list of jobs; one that was queued is in it by then, assumed
)

// types are what is exported: all that the specification names. Some tenants refuse
// the last two, and then go without (sheet §2 E1).
var types = []string{"forecast", "quota", "forecast_updated", "adjustment", "crm_total", "crm_closed"}

const withoutCRM = 4 // of types

const jobs = "export/jobs" // E4; E2 and E3 are below it

// queue is the vendor's list of jobs, for one export. It implements [job.Queue].
type queue struct {
	*tenant
	export
	weeks bool // all of them
	known bool // the job's id is
}

// progress keeps the job's state. While it is in doubt whether a job was queued, the
// invocation goes on looking for it, at the pace of looks, instead of ending: another
// slice, read meanwhile, would queue a job that looks like ours.
type progress struct {
	*extract.Out
	q *queue
}

// Later implements [job.Saver].
func (p progress) Later(cursor string, wait time.Duration) error {
	if cursor != "" && !p.q.known {
		return p.Save(cursor)
	}
	return p.Out.Later(cursor, wait)
}

// status is what the vendor says of a job; times are in milliseconds.
type status struct {
	ID     string `json:"jobId"`
	Other  string `json:"id"` // one client's tests have this name; the specification has not
	Status string `json:"status"`
	Start  int64  `json:"startTime"`
	Rows   bool   `json:"rowsTruncated"`
	Cells  bool   `json:"cellsTruncated"`
}

// Jobs implements [job.Queue].
func (q *queue) Jobs(ctx context.Context) (ids []string, err error) {
	all, err := q.list(ctx)
	for _, s := range all {
		ids = append(ids, cmp.Or(s.ID, s.Other))
	}
	return ids, err
}

// list asks for all jobs of the key's user: a bare array, or one in an object.
func (q *queue) list(ctx context.Context) (out []status, err error) {
	raw, err := get(ctx, q.looks, jobs)
	if err != nil {
		return nil, err
	}
	if raw.Kind() == '{' {
		var in struct {
			Jobs []status `json:"jobs"`
		}
		err = unmarshal(raw, &in)
		return in.Jobs, err
	}
	return out, unmarshal(raw, &out)
}

// Status implements [job.Queue].
func (q *queue) Status(ctx context.Context, id string) (job.Status, error) {
	q.known = true
	raw, err := get(ctx, q.client, jobs+"/"+id)
	if errors.Is(err, errLost) {
		return job.Status{}, fault.New(fault.NotFound, "%v", err)
	}
	if err != nil {
		return job.Status{}, err
	}
	var in struct {
		status
		Job *status `json:"job"`
	}
	if err := unmarshal(raw, &in); err != nil {
		return job.Status{}, err
	}
	s := in.status
	if in.Job != nil {
		s = *in.Job
	}
	switch s.Status {
	case "SCHEDULED", "STARTED":
		return job.Status{}, nil
	case "FAILED", "CANCELLED", "ABORTED":
		return job.Status{State: job.Failed, Why: s.Status}, nil
	case "DONE":
		if s.Rows || s.Cells {
			return job.Status{}, fault.New(fault.Corrupt, "job %s: Clari cut the export short (rows: %t, cells: %t): nothing of it is loaded; ask Clari to raise the tenant's limit", id, s.Rows, s.Cells)
		}
		return job.Status{State: job.Done}, nil
	}
	return job.Status{}, fault.New(fault.Transient, "job %s has status %.20q, which Clari's specification does not have: the next run asks again", id, s.Status)
}

// Post implements [job.Queue].
func (q *queue) Post(ctx context.Context) (string, error) {
	if err := q.room(ctx); err != nil {
		return "", err
	}
	id, err := q.post(ctx, types)
	if errors.Is(err, errType) { // refused, so nothing was queued
		id, err = q.post(ctx, types[:withoutCRM])
	}
	return id, err
}

// post queues an export. The parameters are in the body: in the address Clari ignores
// them, and exports the current quarter.
func (q *queue) post(ctx context.Context, types []string) (string, error) {
	body, err := json.Marshal(map[string]any{"timePeriod": q.quarter, "typesToExport": types, "includeHistorical": q.weeks, "exportFormat": "JSON"})
	if err != nil {
		return "", err
	}
	answer, err := q.client.Send(ctx, rest.Request{Method: http.MethodPost, Path: "export/forecast/" + url.PathEscape(q.forecast), Body: body, Once: true})
	if err != nil {
		return "", err
	}
	defer answer.Close()
	var in struct {
		ID string `json:"jobId"`
	}
	raw, err := io.ReadAll(answer)
	if err == nil {
		err = unmarshal(raw, &in)
	}
	if err != nil || in.ID == "" { // it was taken, and we do not know its id
		return "", fault.New(fault.Transient, "%w: the answer has no jobId", rest.ErrUnknown)
	}
	return in.ID, nil
}

// room is fault.Limited where the quota or the jobs at a time are used up, with the
// time at which to look again.
func (q *queue) room(ctx context.Context) error {
	raw, err := get(ctx, q.client, "admin/limits")
	if err != nil {
		return err
	}
	var in struct {
		Jobs struct {
			Quota     int64  `json:"monthlyQuota"`
			Left      *int64 `json:"availableMonthlyQuota"`
			Limit     int64  `json:"concurrentLimit"`
			Available *int64 `json:"availableConcurrentLimit"`
		} `json:"jobs"`
	}
	if err := unmarshal(raw, &in); err != nil {
		return err
	}
	j, now := in.Jobs, time.Now()
	switch {
	case j.Left != nil && *j.Left <= 0:
		return q.freed(ctx, now, j.Quota)
	case j.Available != nil && *j.Available <= 0:
		return fault.LimitedUntil(now.Add(busy), "all %d jobs that Clari runs at a time are taken", j.Limit)
	}
	return nil
}

// freed says when an export of ours falls out of the quota's window. Those of other
// users are not shown, so it looks again after a day at the latest.
func (q *queue) freed(ctx context.Context, now time.Time, quota int64) error {
	all, err := q.list(ctx)
	if err != nil {
		return err
	}
	until := now.Add(lookAgain)
	for _, s := range all {
		if free := time.UnixMilli(s.Start).Add(quotaWindow); free.After(now) && free.Before(until) {
			until = free
		}
	}
	return fault.LimitedUntil(until, "the organisation's quota of %d exports in 30 days is used up", quota)
}

// get reads an answer of the API. One that is not what it should be is Transient,
// and not Corrupt, since that would make the ledger forget the job.
func get(ctx context.Context, c *rest.Client, path string) (jsontext.Value, error) {
	body, err := c.Get(ctx, path, nil)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	raw, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	if v := jsontext.Value(raw); !v.IsValid() {
		return nil, fault.New(fault.Transient, "%s: the answer is not JSON: is the base URL right, is Clari in maintenance?", path)
	}
	return raw, nil
}

func unmarshal(raw []byte, into any) error {
	if err := json.Unmarshal(raw, into, jsontext.AllowDuplicateNames(true)); err != nil {
		return fault.New(fault.Transient, "the answer is not what Clari's specification says")
	}
	return nil
}
