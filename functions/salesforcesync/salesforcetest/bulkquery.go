package salesforcetest

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// bulkQuery answers for jobs/query and what is below it.
func (s *Server) bulkQuery(w http.ResponseWriter, r request, rest string) {
	id, what, _ := strings.Cut(rest, "/")
	if id == "" {
		switch r.Method {
		case http.MethodPost:
			s.createQuery(w, r)
		case http.MethodGet:
			s.list(w, false)
		default:
			notAllowed(w, r)
		}
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	j := s.job(id, false)
	switch {
	case j == nil:
		missing(w)
	case what == "results" && r.Method == http.MethodGet:
		s.queryResults(w, r, j)
	case what != "":
		missing(w)
	case r.Method == http.MethodGet:
		s.lookQuery(j)
		send(w, http.StatusOK, j.report(true))
	case r.Method == http.MethodPatch:
		s.abortQuery(w, r, j)
	case r.Method == http.MethodDelete:
		j.gone = true
		w.WriteHeader(http.StatusNoContent)
	default:
		notAllowed(w, r)
	}
}

func (s *Server) createQuery(w http.ResponseWriter, r request) {
	var in struct{ Operation, Query, LineEnding, ColumnDelimiter, ContentType string }
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client has gone
	}
	def(&in.LineEnding, "LF")
	def(&in.ColumnDelimiter, "COMMA")
	s.mu.Lock()
	defer s.mu.Unlock()
	if json.Unmarshal(body, &in) != nil || in.Operation != "query" && in.Operation != "queryAll" || delimiters[in.ColumnDelimiter] == 0 {
		fail(w, http.StatusBadRequest, "INVALIDJOB", "InvalidJob : Unknown operation: "+in.Operation)
		return
	}
	q, problem := s.parse(in.Query)
	if problem == nil && q.count {
		problem = bad("MALFORMED_QUERY", "COUNT() is not supported in a bulk query")
	}
	if problem != nil {
		fail(w, http.StatusBadRequest, problem.code, problem.message)
		return
	}
	s.issued++
	now := s.o.Now()
	j := &job{id: idOf("750", s.issued), op: in.Operation, object: q.t.Name, version: r.version, ending: in.LineEnding, delimiter: in.ColumnDelimiter,
		created: now, modified: now, state: stateUploaded, t: q.t, q: q}
	s.jobs = append(s.jobs, j)
	send(w, http.StatusOK, j.report(false))
}

// lookQuery brings a query on. What it finds is fixed when it ends.
func (s *Server) lookQuery(j *job) {
	if j.ended() {
		return
	}
	if j.looks++; j.looks <= max(s.o.Polls, 0) {
		j.state = stateWorking
		return
	}
	j.found, j.state, j.modified = j.q.run(j.op == "queryAll"), stateComplete, s.o.Now()
	j.done = len(j.found)
}

func (s *Server) abortQuery(w http.ResponseWriter, r request, j *job) {
	var in struct{ State string }
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || in.State != stateAborted || j.ended() {
		fail(w, http.StatusBadRequest, "INVALIDJOBSTATE", "Aborting already Completed Job not allowed")
		return
	}
	j.state = stateAborted
	send(w, http.StatusOK, j.report(false))
}

// queryResults sends a page. Its locator is opaque, and "null" on the last one.
func (s *Server) queryResults(w http.ResponseWriter, r request, j *job) {
	q := r.URL.Query()
	most, from := s.o.BulkPage, 0
	if n, err := strconv.Atoi(q.Get("maxRecords")); err == nil && n > 0 {
		most = min(most, n)
	}
	if l := q.Get("locator"); l != "" {
		n, err := strconv.ParseInt(strings.TrimPrefix(l, "MTw"), 36, 32)
		if err != nil || int(n) >= len(j.found) || n < 1 {
			fail(w, http.StatusBadRequest, "INVALID_QUERY_LOCATOR", "invalid query locator")
			return
		}
		from = int(n)
	}
	switch {
	case j.version != r.version:
		fail(w, http.StatusConflict, "API_VERSION_MISMATCH", "the job was created with version "+j.version)
		return
	case j.state != stateComplete:
		fail(w, http.StatusBadRequest, "INVALIDJOBSTATE", "the job has not ended")
		return
	}
	to := min(from+most, len(j.found))
	locator := "null"
	if to < len(j.found) {
		locator = "MTw" + strconv.FormatInt(int64(to), 36)
	}
	w.Header().Set("Sforce-Locator", locator)
	w.Header().Set("Sforce-NumberOfRecords", strconv.Itoa(to-from))
	w.Header().Set("Content-Type", "text/csv")
	out := bufio.NewWriterSize(w, 64<<10)
	defer out.Flush()
	var line []byte
	for k, i := range j.q.fields {
		line = j.cell(line, k, j.t.Fields[i].Name)
	}
	out.Write(append(line, j.eol()...))
	for _, n := range j.found[from:to] {
		line = line[:0]
		for k, i := range j.q.fields {
			line = j.cell(line, k, j.t.Fields[i].csvValue(j.t.value(int(n), i)))
		}
		out.Write(append(line, j.eol()...))
	}
}

func (j *job) cell(to []byte, k int, text string) []byte {
	if k > 0 {
		to = append(to, delimiters[j.delimiter])
	}
	return quote(to, text)
}
