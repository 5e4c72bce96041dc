package clari

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/job"
	"github.com/millrace-data/millrace/shared/rest"
)

const (
	quotaWindow = 30 * 24 * time.Hour // the quota is of exports in any 30 days; specification 5.0.0
	lookAgain   = 24 * time.Hour      // others use the quota too, and may cancel: look at least once a day
	busy        = time.Minute         // until there may be room for another job; assumed
)

// types are what is exported: all that the specification names and every tenant has.
// crm_total and crm_closed are refused by some (sheet §2 E1).
var types = []string{"forecast", "quota", "forecast_updated", "adjustment"}

// queue is the vendor's list of jobs, for one export. It implements [job.Queue].
type queue struct {
	*tenant
	export
	weeks bool // all of them
}

// status is what the vendor says of a job; times are in milliseconds.
type status struct {
	ID     string `json:"jobId"`
	Status string `json:"status"`
	Start  int64  `json:"startTime"`
	Rows   bool   `json:"rowsTruncated"`
	Cells  bool   `json:"cellsTruncated"`
}

// Jobs implements [job.Queue].
func (q *queue) Jobs(ctx context.Context) (ids []string, err error) {
	all, err := q.list(ctx)
	for _, s := range all {
		ids = append(ids, s.ID)
	}
	return ids, err
}

// list asks for all jobs of the key's user: a bare array, or one in an object.
func (q *queue) list(ctx context.Context) (out []status, err error) {
	raw, err := q.get(ctx, "export/jobs")
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
	raw, err := q.get(ctx, "export/jobs/"+id)
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
	switch {
	case s.Rows || s.Cells:
		return job.Status{State: job.Failed, Why: "Clari cut the export short: ask for fewer types, or export by scope"}, nil
	case s.Status == "DONE":
		return job.Status{State: job.Done}, nil
	case s.Status == "SCHEDULED", s.Status == "STARTED":
		return job.Status{}, nil
	case s.Status == "":
		return job.Status{}, fault.New(fault.Corrupt, "job %s has no status", id)
	}
	return job.Status{State: job.Failed, Why: s.Status}, nil
}

// Post implements [job.Queue]. The parameters are in the body: in the address Clari
// ignores them, and exports the current quarter.
func (q *queue) Post(ctx context.Context) (string, error) {
	if err := q.room(ctx); err != nil {
		return "", err
	}
	body, err := json.Marshal(map[string]any{"timePeriod": q.quarter, "typesToExport": types, "includeHistorical": q.weeks, "exportFormat": "JSON"})
	if err != nil {
		return "", err
	}
	answer, err := q.client.Send(ctx, rest.Request{Method: http.MethodPost, Path: "export/forecast/" + q.forecast, Body: body, Once: true})
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
	raw, err := q.get(ctx, "admin/limits")
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

func (q *queue) get(ctx context.Context, path string) (jsontext.Value, error) {
	body, err := q.client.Get(ctx, path, nil)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	raw, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	if v := jsontext.Value(raw); !v.IsValid() {
		return nil, fault.New(fault.Corrupt, "%s: the answer is not JSON: is the base URL right, is Clari in maintenance?", path)
	}
	return raw, nil
}

func unmarshal(raw []byte, into any) error {
	if err := json.Unmarshal(raw, into, jsontext.AllowDuplicateNames(true)); err != nil {
		return fault.New(fault.Corrupt, "the answer is not what Clari's specification says")
	}
	return nil
}
