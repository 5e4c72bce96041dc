package claritest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"time"
)

// Fate is what becomes of a job.
type Fate int

// The fates.
const (
	Succeeds      Fate = iota
	Never              // stays STARTED
	Fails              // FAILED after its polls
	Cancels            // CANCELLED: by somebody, before it began
	Aborts             // ABORTED: by somebody, when it had begun
	Vanishes           // the vendor does not know it any more: 404, and not in the list
	Foreign            // 403, as if it were somebody else's, and not in the list
	CutRows            // DONE with rowsTruncated
	CutCells           // DONE with cellsTruncated
	WrongEnvelope      // DONE, told in the other one of the two envelopes
)

const rolling = 30 * 24 * time.Hour // in which exports are counted, and in which a result can be fetched

// job is an export that was queued. All but polls, status and fetched is fixed.
type job struct {
	id             string
	forecast       string
	q              quarter
	historical     bool
	types          []string
	start          time.Time
	week           int // the last one that it holds, from 0
	seen           int // events that it knows of
	fate           Fate
	polls, fetched int
	status         string
}

func (j *job) ended() bool { return !slices.Contains([]string{"SCHEDULED", "STARTED"}, j.status) }

func (j *job) lost() bool { return j.fate == Vanishes || j.fate == Foreign }

var wellFormed = regexp.MustCompile(`^20\d\d_Q[1-4]$`)

type request struct {
	TimePeriod        string   `json:"timePeriod"`
	TypesToExport     []string `json:"typesToExport"`
	IncludeHistorical bool     `json:"includeHistorical"`
	Currency          *string  `json:"currency"`
	ScopeID           *string  `json:"scopeId"`
	Schedule          string   `json:"schedule"`
	ExportFormat      string   `json:"exportFormat"`
}

var allTypes = []string{"forecast", "forecast_updated", "quota", "adjustment", "crm_total", "crm_closed"}

// post queues an export. The query is not looked at, as at the real one.
func (s *Server) post(w http.ResponseWriter, forecast string, body []byte) {
	var r request
	if len(body) > 0 && json.Unmarshal(body, &r) != nil {
		fail(w, http.StatusBadRequest, "bad_request", "malformed body")
		return
	}
	if len(r.TypesToExport) == 0 {
		r.TypesToExport = allTypes[:2]
	}
	if status, code := s.refusal(forecast, r); code != "" {
		fail(w, status, code, "the export was not queued")
		return
	}
	now := s.o.Now().UTC()
	q := s.calendar(now)
	if s.recognised(r.TimePeriod) {
		q = s.parse(r.TimePeriod)
	}
	s.posts++
	j := &job{id: fmt.Sprintf("%024x", 0x65a0<<80>>64+uint64(s.posts)*7919), forecast: forecast, q: q, historical: r.IncludeHistorical,
		types: r.TypesToExport, start: now, week: q.week(now), seen: len(s.events), status: "SCHEDULED"}
	if len(s.fates) > 0 {
		j.fate, s.fates = s.fates[0], s.fates[1:]
	}
	s.jobs = append(s.jobs, j)
	send(w, http.StatusOK, map[string]any{"jobId": j.id})
}

func (s *Server) refusal(forecast string, r request) (status int, code string) {
	known := func(t string) bool { return slices.Contains(allTypes, t) }
	crm := func(t string) bool { return t == "crm_total" || t == "crm_closed" }
	switch {
	case forecast == "":
		return http.StatusBadRequest, "missing_forecast_id"
	case s.o.NoOptIn:
		return http.StatusUnauthorized, "no_optin"
	case !slices.Contains(s.o.Forecasts, forecast):
		return http.StatusBadRequest, "no_such_forecast_config"
	case s.o.NoCRM && slices.ContainsFunc(r.TypesToExport, crm):
		return http.StatusBadRequest, "type_not_supported"
	case slices.ContainsFunc(r.TypesToExport, func(t string) bool { return !known(t) }), r.ExportFormat != "" && r.ExportFormat != "JSON":
		return http.StatusBadRequest, "bad_request"
	case s.used() >= s.o.Quota, len(s.running()) >= s.o.Concurrent:
		return http.StatusBadRequest, "export_monthly_quota_reached" // for both, as documented
	}
	return 0, ""
}

func (s *Server) recognised(period string) bool {
	return wellFormed.MatchString(period) && (s.o.Quarters == nil || slices.Contains(s.o.Quarters, period))
}

// used counts the exports of the last 30 days; a cancelled one frees its place.
func (s *Server) used() (n int) {
	since := s.o.Now().Add(-rolling)
	for _, j := range s.jobs {
		if j.start.After(since) && j.status != "CANCELLED" {
			n++
		}
	}
	return n
}

func (s *Server) running() (ids []string) {
	for _, j := range s.jobs {
		if !j.ended() && !j.lost() {
			ids = append(ids, j.id)
		}
	}
	return ids
}

func (s *Server) limits(w http.ResponseWriter) {
	running := s.running()
	jobs := map[string]any{"concurrentLimit": s.o.Concurrent, "monthlyQuota": s.o.Quota, "submittedJobIds": []string{},
		"availableConcurrentLimit": max(0, s.o.Concurrent-len(running)), "availableMonthlyQuota": max(0, s.o.Quota-s.used())}
	if len(running) > 0 { // else the key is absent
		jobs["runningJobIds"] = running
	}
	send(w, http.StatusOK, map[string]any{"jobs": jobs})
}

// find returns a job, or answers that there is none.
func (s *Server) find(w http.ResponseWriter, id string) *job {
	i := slices.IndexFunc(s.jobs, func(j *job) bool { return j.id == id })
	switch {
	case i < 0 || s.jobs[i].fate == Vanishes:
		fail(w, http.StatusNotFound, "not_found", "no such job")
	case s.jobs[i].fate == Foreign:
		fail(w, http.StatusForbidden, "forbidden", "the job belongs to another user")
	default:
		return s.jobs[i]
	}
	return nil
}

// status tells how far a job is, and each time it is asked the job moves on.
func (s *Server) status(w http.ResponseWriter, id string) {
	j := s.find(w, id)
	if j == nil {
		return
	}
	j.advance(s.o.Polls)
	if s.o.Flat != (j.fate == WrongEnvelope) {
		send(w, http.StatusOK, j.object())
		return
	}
	send(w, http.StatusOK, map[string]any{"job": j.object()})
}

func (j *job) advance(polls int) {
	j.polls++
	switch {
	case j.ended():
	case j.polls <= polls || j.fate == Never:
		if j.polls > 1 {
			j.status = "STARTED"
		}
	default:
		ends := map[Fate]string{Fails: "FAILED", Cancels: "CANCELLED", Aborts: "ABORTED"}
		if j.status = ends[j.fate]; j.status == "" {
			j.status = "DONE"
		}
	}
}

// object is a job as the API shows it; times are epoch milliseconds.
func (j *job) object() map[string]any {
	o := map[string]any{"jobId": j.id, "userId": 700123, "orgId": 700, "title": "Forecast export", "module": "FORECAST", "version": 1,
		"startTime": j.start.UnixMilli(), "fileType": "JSON", "status": j.status, "viewed": false, "downloads": j.fetched, "deliveryStatusMap": map[string]any{},
		"cellsTruncated": j.fate == CutCells, "rowsTruncated": j.fate == CutRows}
	if j.ended() {
		o["endTime"], o["expiredTime"] = j.start.UnixMilli(), j.start.Add(rolling).UnixMilli()
	}
	return o
}

func (s *Server) list(w http.ResponseWriter) {
	all := []map[string]any{}
	for _, j := range s.jobs {
		if !j.lost() {
			all = append(all, j.object())
		}
	}
	if s.o.BareList {
		send(w, http.StatusOK, all)
		return
	}
	send(w, http.StatusOK, map[string]any{"jobs": all})
}

func (s *Server) cancel(w http.ResponseWriter, id string, body []byte) {
	var r struct {
		Type string `json:"type"`
	}
	j := s.find(w, id)
	switch {
	case j == nil:
	case json.Unmarshal(body, &r) != nil || r.Type != "CANCEL":
		fail(w, http.StatusBadRequest, "bad_request", "want type CANCEL")
	case j.ended():
		fail(w, http.StatusBadRequest, "export_failed_to_cancel", "the job has ended")
	default:
		if j.status == "STARTED" {
			j.status = "ABORTED"
		} else {
			j.status = "CANCELLED"
		}
		send(w, http.StatusOK, map[string]any{"jobId": j.id})
	}
}

// ready returns a job whose result can be fetched, or answers that it cannot.
func (s *Server) ready(w http.ResponseWriter, id string) *job {
	j := s.find(w, id)
	if j == nil {
		return nil
	}
	if j.status != "DONE" || s.o.Now().After(j.start.Add(rolling)) {
		fail(w, http.StatusBadRequest, "invalid_jobId", "there is no result")
		return nil
	}
	j.fetched++
	return j
}
