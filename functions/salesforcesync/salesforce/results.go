package salesforce

import (
	"context"
	"encoding/csv"
	"errors"
	"io"
	"iter"
	"net/http"
	"strings"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/rest"
	"github.com/millrace-data/millrace/shared/reverse"
)

// outcome is one of the three files of a job's results.
type outcome struct {
	path  string
	state reverse.RowState
}

var outcomes = []outcome{
	{"/successfulResults", reverse.RowSent},
	{"/failedResults", reverse.RowFailed},
	{"/unprocessedrecords", reverse.RowUnprocessed},
}

var errTable = errors.New("not CSV with the key in it")

// Results streams what became of every row. The rows that were never attempted come
// back as they were uploaded; where that was no CSV their list cannot be read, and it
// is left out if the job's own counts say that every row it did attempt has a result.
func (c *Client) Results(ctx context.Context, id string, t reverse.Task) iter.Seq2[reverse.Result, error] {
	return func(yield func(reverse.Result, error) bool) {
		err := errors.Join(checkJob(id), checkTask(t))
		var attempted int64
		for _, o := range outcomes {
			if err != nil {
				break
			}
			var n int64
			n, err = c.outcome(ctx, id, t, o, yield)
			if o.state != reverse.RowUnprocessed {
				attempted += n
			} else if errors.Is(err, errTable) {
				err = c.explained(ctx, id, attempted, err)
			}
		}
		if err != nil && !errors.Is(err, errEnough) {
			yield(reverse.Result{}, err)
		}
	}
}

// explained is nil where a job attempted exactly the rows that there are results of, so
// that all others are unprocessed.
func (c *Client) explained(ctx context.Context, id string, attempted int64, cause error) error {
	j, err := c.Look(ctx, id)
	if err != nil {
		return err
	}
	if j.Processed == attempted {
		return nil
	}
	return fault.New(fault.Corrupt, "job %s attempted %d rows and has results of %d, and which were not attempted cannot be read: %w", id, j.Processed, attempted, cause)
}

// outcome gives the results of one file, and returns how many there were.
func (c *Client) outcome(ctx context.Context, id string, t reverse.Task, o outcome, yield func(reverse.Result, error) bool) (int64, error) {
	body, err := c.send(ctx, rest.Request{Path: c.path("/jobs/ingest/" + id + o.path), Header: http.Header{"Accept": {"text/csv"}}})
	if err != nil {
		return 0, err
	}
	defer body.Close()
	return readResults(body, t, o, yield)
}

// readResults reads one file. Its columns are found by name, in any order and case; no
// body at all is no rows.
func readResults(r io.Reader, t reverse.Task, o outcome, yield func(reverse.Result, error) bool) (n int64, err error) {
	in := newTable(r)
	if o.state == reverse.RowUnprocessed {
		in.FieldsPerRecord = -1 // as they were uploaded
	}
	header, err := in.Read()
	if errors.Is(err, io.EOF) {
		return 0, nil
	}
	if err != nil {
		return 0, o.unreadable(err)
	}
	at, err := o.columns(header, t)
	if err != nil {
		return 0, err
	}
	for ; ; n++ {
		row, err := in.Read()
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, o.unreadable(err)
		}
		result, err := o.result(row, at)
		if err != nil {
			return n, err
		}
		if !yield(result, nil) {
			return n, errEnough
		}
	}
}

func (o outcome) unreadable(err error) error {
	var parse *csv.ParseError
	if !errors.As(err, &parse) {
		return err
	}
	return fault.New(fault.Corrupt, "%s: %w: %w", o.path, errTable, err)
}

// places are columns; -1 where there is none.
type places struct{ key, id, created, why int }

// columns finds the columns of a file.
func (o outcome) columns(header []string, t reverse.Task) (places, error) {
	at := places{-1, -1, -1, -1}
	for i, name := range header {
		switch name = strings.TrimSpace(strings.TrimPrefix(name, bom)); {
		case strings.EqualFold(name, t.Key):
			at.key = i
		case strings.EqualFold(name, "sf__Id"):
			at.id = i
		case strings.EqualFold(name, "sf__Created"):
			at.created = i
		case strings.EqualFold(name, "sf__Error"):
			at.why = i
		}
	}
	if at.key < 0 && t.Key == "Id" && o.state != reverse.RowUnprocessed {
		at.key = at.id
	}
	if at.key < 0 || o.state == reverse.RowFailed && at.why < 0 || o.state == reverse.RowSent && at.id < 0 {
		return at, fault.New(fault.Corrupt, "%s: %w: columns %s", o.path, errTable, clean(strings.Join(header, ","), messageMax))
	}
	return at, nil
}

// result reads a row. What it keeps is copied, so that it does not hold on to the rest.
func (o outcome) result(row []string, at places) (reverse.Result, error) {
	cell := func(i int) string {
		if i < 0 || i >= len(row) {
			return ""
		}
		return row[i]
	}
	r := reverse.Result{Key: strings.Clone(cell(at.key)), State: o.state, ID: strings.Clone(cell(at.id))}
	if r.Key == "" {
		return r, fault.New(fault.Corrupt, "%s: %w: a row without its key", o.path, errTable)
	}
	switch o.state {
	case reverse.RowSent:
		r.Created = strings.EqualFold(cell(at.created), "true")
	case reverse.RowFailed:
		r.Message = strings.Clone(cell(at.why))
		code, _, _ := strings.Cut(r.Message, ":")
		r.Code = strings.TrimSpace(code)
		r.Again = again[r.Code]
	}
	return r, nil
}
