package salesforcetest

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// The states of a bulk job.
const (
	stateOpen     = "Open"
	stateUploaded = "UploadComplete"
	stateWorking  = "InProgress"
	stateComplete = "JobComplete"
	stateFailed   = "Failed"
	stateAborted  = "Aborted"
)

// kept is how long a job stays after its end, or open; the sheet.
const kept = 7 * 24 * time.Hour

// Fate says what becomes of a bulk ingest job, in the order of their closing.
type Fate struct {
	Fail    bool   // it fails in the end
	Rows    int    // that it attempts before it fails; they stay done
	Message string // why; "" = a batch that was retried too often
	Garbled bool   // the unprocessed records cannot be read as CSV
	Gone    bool   // job and results are forgotten as soon as it has ended
	Polls   int    // looks at it that find it unfinished, beyond Options.Polls

	inOrder bool
}

// job is a bulk job.
type job struct {
	id, op, object, version string
	external                string // as it was given
	ending, delimiter       string
	ingest                  bool
	created, modified       time.Time
	state, message          string
	fate                    Fate
	looks                   int
	working, gone           bool
	uploads                 int
	took                    time.Duration

	t      *table
	key    int // field that names records
	text   string
	head   []column
	body   int // where the rows begin
	rows   []outcome
	broken string // what is wrong with all of the data
	errs   map[int]string
	done   int // rows that were attempted
	fail   int

	q     *selection // of a query job
	found []int32
}

func (j *job) ended() bool {
	return j.state == stateComplete || j.state == stateFailed || j.state == stateAborted
}

var delimiters = map[string]byte{"COMMA": ',', "TAB": '\t', "PIPE": '|', "SEMICOLON": ';', "CARET": '^', "BACKQUOTE": '`'}

// ingest answers for jobs/ingest and what is below it.
func (s *Server) ingest(w *held, r request, rest string) {
	id, what, _ := strings.Cut(rest, "/")
	if id == "" {
		switch r.Method {
		case http.MethodPost:
			s.create(w, r)
		case http.MethodGet:
			s.list(w, true)
		default:
			notAllowed(w, r)
		}
		return
	}
	s.mu.Lock()
	j := s.job(id, true)
	s.mu.Unlock()
	switch {
	case j == nil:
		missing(w)
	case what == "" && r.Method == http.MethodGet:
		s.look(w, j)
	case what == "" && r.Method == http.MethodPatch:
		s.end(w, r, j)
	case what == "" && r.Method == http.MethodDelete:
		s.forget(w, j)
	case what == "batches" && r.Method == http.MethodPut:
		s.upload(w, r, j)
	case r.Method != http.MethodGet:
		notAllowed(w, r)
	default:
		s.results(w, r, j, what)
	}
}

// job finds a job that is still kept.
func (s *Server) job(id string, ingest bool) *job {
	full, _ := long(id)
	for _, j := range s.jobs {
		if j.id == full && j.ingest == ingest && !j.gone && s.o.Now().Sub(j.modified) < kept {
			return j
		}
	}
	return nil
}

func (s *Server) create(w http.ResponseWriter, r request) {
	var in struct {
		Object, Operation, ContentType, LineEnding, ColumnDelimiter, ExternalIDFieldName string
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client has gone
	}
	if json.Unmarshal(body, &in) != nil {
		fail(w, http.StatusBadRequest, "JSON_PARSER_ERROR", "the body is no JSON")
		return
	}
	def(&in.ContentType, "CSV")
	def(&in.LineEnding, "LF")
	def(&in.ColumnDelimiter, "COMMA")
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.table(in.Object)
	refuse := func(message string) { fail(w, http.StatusBadRequest, "INVALIDJOB", "InvalidJob : "+message) }
	key := 0
	switch {
	case t == nil:
		refuse("Unable to find object: " + in.Object)
		return
	case !slices.Contains([]string{opInsert, opUpdate, opUpsert, opDelete, opHard}, in.Operation):
		refuse("Unknown operation: " + in.Operation)
		return
	case in.Operation == opHard:
		fail(w, http.StatusBadRequest, "FEATURENOTENABLED", "hardDelete operation requires special user profile permission, please contact your system administrator")
		return
	case in.ContentType != "CSV" || delimiters[in.ColumnDelimiter] == 0 || in.LineEnding != "LF" && in.LineEnding != "CRLF":
		refuse("Unsupported content type, line ending or column delimiter")
		return
	case in.Operation == opUpsert:
		i, ok := t.byName[in.ExternalIDFieldName]
		if !ok || !t.Fields[i].ExternalID {
			refuse("Field name provided, " + in.ExternalIDFieldName + " does not match an External ID for " + t.Name)
			return
		}
		key = i
	}
	s.issued++
	now := s.o.Now()
	j := &job{id: idOf("750", s.issued), op: in.Operation, object: t.Name, version: r.version, external: in.ExternalIDFieldName, ending: in.LineEnding,
		delimiter: in.ColumnDelimiter, ingest: true, created: now, modified: now, state: stateOpen, t: t, key: key, errs: map[int]string{}}
	s.jobs = append(s.jobs, j)
	doc := j.report(false)
	doc["contentUrl"] = "services/data/v" + r.version + "/jobs/ingest/" + j.id + "/batches"
	send(w, http.StatusOK, doc)
}

// upload takes the data. A second one is taken too, and breaks the closing.
func (s *Server) upload(w http.ResponseWriter, r request, j *job) {
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "text/csv") {
		fail(w, http.StatusUnsupportedMediaType, "UNSUPPORTED_MEDIA_TYPE", "the content is to be text/csv")
		return
	}
	var text strings.Builder
	if r.ContentLength > 0 {
		text.Grow(int(min(r.ContentLength, int64(s.o.UploadMax))))
	}
	n, err := io.Copy(&text, io.LimitReader(r.Body, int64(s.o.UploadMax)+1))
	if err == nil && n > int64(s.o.UploadMax) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return // the client has gone
		}
		fail(w, http.StatusRequestEntityTooLarge, "REQUEST_TOO_LARGE", "Maximum size of an upload exceeded")
		return
	}
	if err != nil {
		return // the connection is cut: nothing was uploaded
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if j.state != stateOpen {
		fail(w, http.StatusBadRequest, "INVALIDJOBSTATE", "Uploading to a job that is not open not allowed")
		return
	}
	j.uploads++
	j.text = text.String()
	w.WriteHeader(http.StatusCreated)
}

// end closes a job, or aborts it.
func (s *Server) end(w http.ResponseWriter, r request, j *job) {
	var in struct{ State string }
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client has gone
	}
	s.mu.Lock()
	switch {
	case json.Unmarshal(body, &in) != nil || in.State != stateUploaded && in.State != stateAborted:
		fail(w, http.StatusBadRequest, "INVALIDJOBSTATE", "Invalid job state: "+in.State)
	case in.State == stateAborted && !j.ended():
		j.state, j.modified = stateAborted, s.o.Now()
		s.open(j) // what was not attempted can be read
		send(w, http.StatusOK, j.report(false))
	case in.State == stateAborted:
		fail(w, http.StatusBadRequest, "INVALIDJOBSTATE", "Aborting already Completed Job not allowed")
	case j.state != stateOpen:
		fail(w, http.StatusBadRequest, "INVALIDJOBSTATE", "Closing already Completed Job not allowed")
	case j.uploads == 0:
		fail(w, http.StatusBadRequest, "INVALIDJOBSTATE", "Closing a job without data not allowed")
	case j.uploads > 1:
		fail(w, http.StatusBadRequest, "INVALIDJOB", "Found multipe contents for job: <"+j.id[:15]+">, please 'Close' / 'Abort' / 'Delete' the current Job then create a new Job and make sure you only do 'PUT' once on a given Job.")
	default:
		s.close(j)
		send(w, http.StatusOK, j.report(false))
		if s.o.Polls < 0 {
			s.mu.Unlock()
			s.process(j)
			return
		}
	}
	s.mu.Unlock()
}

func (s *Server) close(j *job) {
	j.state, j.modified = stateUploaded, s.o.Now()
	if len(s.fates) > 0 {
		j.fate, s.fates = s.fates[0], s.fates[1:]
	}
	j.fate.inOrder = s.o.InOrder
}

// look tells how a job is doing. Every look brings it on.
func (s *Server) look(w http.ResponseWriter, j *job) {
	s.mu.Lock()
	run := false
	if !j.ended() && j.state != stateOpen {
		run = j.looks >= max(s.o.Polls, 0)+j.fate.Polls
		if j.looks++; j.looks > 1 {
			j.state = stateWorking
		}
	}
	s.mu.Unlock()
	if run {
		s.process(j)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	send(w, http.StatusOK, j.report(true))
}

func (s *Server) forget(w http.ResponseWriter, j *job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !j.ended() && j.state != stateUploaded {
		fail(w, http.StatusBadRequest, "INVALIDJOBSTATE", "Deleting a job that is not closed not allowed")
		return
	}
	j.gone = true
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) list(w http.ResponseWriter, ingest bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	records := []map[string]any{}
	for _, j := range s.jobs {
		if s.job(j.id, ingest) == j {
			records = append(records, j.report(false))
		}
	}
	send(w, http.StatusOK, map[string]any{"done": true, "records": records, "nextRecordsUrl": nil})
}

// report is a job's JSON; full has the counts, as only the look at one job has them.
func (j *job) report(full bool) map[string]any {
	const form = "2006-01-02T15:04:05.000-0700"
	doc := map[string]any{
		"id": j.id, "operation": j.op, "object": j.object, "createdById": idOf("005", 0), "createdDate": j.created.UTC().Format(form),
		"systemModstamp": j.modified.UTC().Format(form), "state": j.state, "concurrencyMode": "Parallel", "contentType": "CSV",
		"apiVersion": json.Number(j.version), "lineEnding": j.ending, "columnDelimiter": j.delimiter,
	}
	if j.external != "" {
		doc["externalIdFieldName"] = j.external
	}
	if !full {
		return doc
	}
	doc["jobType"] = "V2Ingest"
	if !j.ingest {
		doc["jobType"] = "V2Query"
	}
	doc["numberRecordsProcessed"], doc["retries"], doc["totalProcessingTime"] = j.done, 0, j.took.Milliseconds()
	if j.ingest {
		doc["numberRecordsFailed"], doc["apiActiveProcessingTime"], doc["apexProcessingTime"] = j.fail, j.took.Milliseconds(), 0
	}
	if j.message != "" {
		doc["errorMessage"] = j.message
	}
	return doc
}

// SetFates says what becomes of the jobs that are closed next.
func (s *Server) SetFates(f ...Fate) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fates = f
}

// Settle lets every closed bulk job come to its end, as time does.
func (s *Server) Settle() {
	s.mu.Lock()
	jobs := slices.Clone(s.jobs)
	s.mu.Unlock()
	for _, j := range jobs {
		s.process(j)
	}
}

// ForgetJobs makes all bulk jobs vanish, as a week does.
func (s *Server) ForgetJobs() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, j := range s.jobs {
		j.gone = true
	}
}

// Job is a bulk ingest job as a test sees it.
type Job struct {
	ID, Object, Operation, State string
	Uploads                      int
	Processed, Failed            int // rows; processed include failed
	Bytes                        int
}

// Jobs are the bulk ingest jobs so far, in the order of their creation, those that
// vanished among them.
func (s *Server) Jobs() []Job {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Job
	for _, j := range s.jobs {
		if j.ingest {
			out = append(out, Job{j.id, j.object, j.op, j.state, j.uploads, j.done, j.fail, len(j.text)})
		}
	}
	return out
}
