package salesforce

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"time"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/rest"
	"github.com/millrace-data/millrace/shared/reverse"
)

const stamp = "2006-01-02T15:04:05.000-0700" // of Salesforce's times: no colon, so not RFC 3339

// states are Salesforce's words for how a job is.
var states = map[string]reverse.JobState{
	"Open": reverse.Open, "UploadComplete": reverse.Closed, "InProgress": reverse.Closed,
	"JobComplete": reverse.Done, "Failed": reverse.Broken, "Aborted": reverse.Aborted,
}

// words are states that a job can be put into.
var words = map[reverse.JobState]string{reverse.Closed: "UploadComplete", reverse.Aborted: "Aborted"}

// order is the body that makes a job.
type order struct {
	Object     string `json:"object"`
	Operation  string `json:"operation"`
	Type       string `json:"contentType"`
	LineEnding string `json:"lineEnding"`
	Delimiter  string `json:"columnDelimiter"`
	ExternalID string `json:"externalIdFieldName,omitempty"`
}

// jobShape is Salesforce's word on a job.
type jobShape struct {
	ID        string `json:"id"`
	State     string `json:"state"`
	Created   string `json:"createdDate"`
	Processed int64  `json:"numberRecordsProcessed"`
	Failed    int64  `json:"numberRecordsFailed"`
	Message   string `json:"errorMessage"`
}

// Create makes an empty ingest job. One whose making got no answer may exist: it is
// open, has nothing, and Salesforce removes it after seven days.
func (c *Client) Create(ctx context.Context, t reverse.Task) (string, error) {
	if err := checkTask(t); err != nil {
		return "", err
	}
	o := order{Object: t.Object, Operation: string(t.Operation), Type: "CSV", LineEnding: "LF", Delimiter: "COMMA"}
	if t.Operation == reverse.Upsert {
		o.ExternalID = t.Key
	}
	var j jobShape
	if err := c.call(ctx, rest.Request{Method: http.MethodPost, Path: c.path("/jobs/ingest"), Once: true}, o, &j); err != nil {
		return "", err
	}
	return j.ID, checkJob(j.ID)
}

func checkJob(id string) error {
	if id == "" || len(id) > 18 || !alphanumeric(id) {
		return fault.New(fault.Corrupt, "%q is not the id of a job", clean(id, 30))
	}
	return nil
}

func alphanumeric(id string) bool {
	for _, r := range id {
		if (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') {
			return false
		}
	}
	return true
}

// End starts a job's work, or gives it up. A job that is there already is fine, so that
// it may be called again after an answer that was lost.
func (c *Client) End(ctx context.Context, id string, state reverse.JobState) error {
	word := words[state]
	if word == "" {
		return fault.New(fault.Invalid, "a job cannot be made %s", state)
	}
	if err := checkJob(id); err != nil {
		return err
	}
	var now jobShape
	err := c.call(ctx, rest.Request{Method: http.MethodPatch, Path: c.path("/jobs/ingest/" + id), Once: true}, map[string]string{"state": word}, &now)
	switch {
	case errors.Is(err, fault.Corrupt), err == nil && states[now.State] == "":
		return fault.New(fault.Transient, "job %s: %w: the answer does not say how the job is", id, rest.ErrUnknown)
	case !errors.Is(err, fault.Invalid):
		return err
	}
	j, look := c.Look(ctx, id)
	switch {
	case look != nil:
		return err
	case j.State == state, state == reverse.Closed && j.State == reverse.Done:
		return nil
	}
	return fmt.Errorf("job %s, which is %s, cannot be made %s: %w", id, j.State, state, err)
}

// Look returns how a job is doing.
func (c *Client) Look(ctx context.Context, id string) (reverse.BulkJob, error) {
	if err := checkJob(id); err != nil {
		return reverse.BulkJob{}, err
	}
	return c.job(ctx, c.path("/jobs/ingest/"+id))
}

func (c *Client) job(ctx context.Context, path string) (reverse.BulkJob, error) {
	var j jobShape
	if err := c.call(ctx, rest.Request{Path: path}, nil, &j); err != nil {
		return reverse.BulkJob{}, err
	}
	state, ok := states[j.State]
	if !ok {
		return reverse.BulkJob{}, fault.New(fault.Corrupt, "job %s is in a state that is not known: %q", clean(j.ID, 20), clean(j.State, 40))
	}
	created, _ := time.Parse(stamp, j.Created) // of no consequence: zero where it is unreadable
	if !created.IsZero() {
		created = created.UTC()
	}
	return reverse.BulkJob{ID: j.ID, State: state, Processed: j.Processed, Failed: j.Failed,
		Message: c.hide(clean(j.Message, messageMax)), Created: created}, nil
}

// Upload sends the rows as CSV, as they come, in one PUT. It is never sent a second
// time: what a job got twice it refuses when it is closed. A session that has ended
// is therefore an error too, after which a new job will do.
func (c *Client) Upload(ctx context.Context, id string, t reverse.Task, rows iter.Seq2[reverse.Row, error]) error {
	if err := errors.Join(checkJob(id), checkTask(t)); err != nil {
		return err
	}
	s, err := c.open(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	pr, pw := io.Pipe()
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, s.base+c.path("/jobs/ingest/"+id+"/batches"), pr)
	if err != nil {
		return fault.Wrap(fault.Invalid, err)
	}
	req.Header = http.Header{"Authorization": {"Bearer " + s.token}, "Content-Type": {"text/csv; charset=UTF-8"}, "Accept": {"application/json"}}
	put := make(chan error, 1)
	go func() {
		err := c.put(req, s)
		pr.CloseWithError(errAnswered) // whoever still writes need not
		put <- err
	}()
	written := writeTable(pw, t, rows)
	pw.CloseWithError(written) // nil is the end of the rows
	if written != nil && !errors.Is(written, errAnswered) && !errors.Is(written, io.ErrClosedPipe) {
		cancel()
		<-put
		return fmt.Errorf("upload to job %s: %w", id, written)
	}
	if err := <-put; err != nil {
		return fmt.Errorf("upload to job %s: %w", id, err)
	}
	if written != nil {
		return fault.New(fault.Corrupt, "upload to job %s was taken before all rows were sent", id)
	}
	return nil
}

var errAnswered = errors.New("answered before the end of the rows")

// put makes the request and judges its answer.
func (c *Client) put(req *http.Request, s *session) error {
	c.opts.Meter.AddRequest()
	resp, err := c.door.client().Do(req)
	if err != nil {
		return fault.New(fault.Transient, "%w: %w", rest.ErrUnknown, unURL(err))
	}
	defer resp.Body.Close()
	_, _ = c.heed(resp.Header)
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	switch {
	case resp.StatusCode == http.StatusCreated && err == nil:
		return nil
	case resp.StatusCode == http.StatusCreated:
		return fault.New(fault.Transient, "%w: %w", rest.ErrUnknown, err)
	case resp.StatusCode/100 == 2:
		return fault.New(fault.Transient, "%w: status %d, which is not Salesforce's for an upload", rest.ErrUnknown, resp.StatusCode)
	}
	err = c.classify(resp.StatusCode, resp.Header, body)
	switch {
	case errors.Is(err, errSession):
		c.drop(s)
		return fault.New(fault.Transient, "%v: give the job up and make another", err)
	case err == nil && resp.StatusCode == http.StatusTooManyRequests:
		return c.limited(resp.Header, "status 429: too many requests")
	case err == nil:
		return fault.New(fault.Transient, "%w: status %d", rest.ErrUnknown, resp.StatusCode)
	}
	return err
}

// unURL takes net/http's wrapping off: what it adds is said already.
func unURL(err error) error {
	if inner := errors.Unwrap(err); inner != nil {
		return inner
	}
	return err
}
