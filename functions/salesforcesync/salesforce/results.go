package salesforce

import (
	"bytes"
	"context"
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

var (
	errTable  = errors.New("not CSV with the key in it")
	errUnread = errors.New("the rows that were not attempted cannot be read")
)

// Results streams what became of every row. At the end it is an error if the job's own
// counts have more rows than there were results of: a row without a result would look as
// if it had never been attempted. Those that were not come back as they were uploaded;
// where that was no CSV their list cannot be read, and follows from the others.
func (c *Client) Results(ctx context.Context, id string, t reverse.Task) iter.Seq2[reverse.Result, error] {
	return func(yield func(reverse.Result, error) bool) {
		err := errors.Join(checkJob(id), checkTask(t))
		rows := map[reverse.RowState]int64{}
		for _, o := range outcomes {
			if err == nil {
				rows[o.state], err = c.outcome(ctx, id, t, o, yield)
			}
		}
		if err == nil || errors.Is(err, errUnread) {
			err = c.balance(ctx, id, rows)
		}
		if err != nil && !errors.Is(err, errEnough) {
			yield(reverse.Result{}, err)
		}
	}
}

// balance holds the results against the job's own counts.
func (c *Client) balance(ctx context.Context, id string, rows map[reverse.RowState]int64) error {
	j, err := c.Look(ctx, id)
	sent, failed := rows[reverse.RowSent], rows[reverse.RowFailed]
	switch {
	case err != nil:
		return err
	case sent == j.Processed-j.Failed && failed == j.Failed:
		return nil
	case sent > j.Processed-j.Failed || failed > j.Failed:
		return fault.New(fault.Corrupt, "job %s counts %d rows, %d of them failed, and has results of %d, %d of them failed", id, j.Processed, j.Failed, sent+failed, failed)
	}
	return fault.New(fault.Transient, "job %s counts %d rows, %d of them failed, and results came of %d, %d of them failed: read them again", id, j.Processed, j.Failed, sent+failed, failed)
}

// outcome gives the results of one file, and returns how many there were.
func (c *Client) outcome(ctx context.Context, id string, t reverse.Task, o outcome, yield func(reverse.Result, error) bool) (int64, error) {
	body, err := c.send(ctx, rest.Request{Path: c.path("/jobs/ingest/" + id + o.path), Header: http.Header{"Accept": {"text/csv"}}})
	if err != nil {
		return 0, err
	}
	defer body.Close()
	n, err := readResults(body, t, o, yield)
	if o.state == reverse.RowUnprocessed && errors.Is(err, errTable) {
		err = errUnread
	}
	return n, err
}

// readResults reads one file. Its columns are found by name, in any order and case; no
// body at all is no rows.
func readResults(r io.Reader, t reverse.Task, o outcome, yield func(reverse.Result, error) bool) (n int64, err error) {
	in := newCells(r, o.state != reverse.RowUnprocessed) // those are as they were uploaded
	header, err := in.read()
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
		row, err := in.read()
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
	if !errors.Is(err, errQuote) && !errors.Is(err, errWidth) {
		return err
	}
	return fault.New(fault.Corrupt, "%s: %w: %w", o.path, errTable, err)
}

// places are columns; -1 where there is none.
type places struct{ key, id, created, why int }

// columns finds the columns of a file.
func (o outcome) columns(header [][]byte, t reverse.Task) (places, error) {
	at := places{-1, -1, -1, -1}
	for i, cell := range header {
		switch name := strings.TrimSpace(string(cell)); {
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
		return at, fault.New(fault.Corrupt, "%s: %w: columns %s", o.path, errTable, clean(string(bytes.Join(header, []byte(","))), messageMax))
	}
	return at, nil
}

// result reads a row.
func (o outcome) result(row [][]byte, at places) (reverse.Result, error) {
	cell := func(i int) []byte {
		if i < 0 || i >= len(row) {
			return nil
		}
		return row[i]
	}
	key, id := cell(at.key), cell(at.id)
	if len(key) == 0 {
		return reverse.Result{}, fault.New(fault.Corrupt, "%s: %w: a row without its key", o.path, errTable)
	}
	both := string(append(append(make([]byte, 0, 64), key...), id...)) // one of a million is not two of a million
	r := reverse.Result{Key: both[:len(key)], ID: both[len(key):], State: o.state}
	switch o.state {
	case reverse.RowSent:
		r.Created = strings.EqualFold(string(cell(at.created)), "true")
	case reverse.RowFailed:
		r.Message = string(cell(at.why))
		code, _, _ := strings.Cut(r.Message, ":")
		r.Code = strings.TrimSpace(code)
		r.Again = again[r.Code]
	}
	return r, nil
}
