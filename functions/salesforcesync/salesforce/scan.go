package salesforce

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/rest"
	"github.com/millrace-data/millrace/shared/reverse"
)

const (
	scanPage = 50_000 // records of one page of a query job's results
	pollMax  = time.Minute
	scanMax  = 2 * time.Hour // Salesforce gives a query up after 20 retries of 5 min; callers have deadlines of their own
)

// scan reads a whole object through a query job.
func (c *Client) scan(ctx context.Context, l *lookup, yield yielder) error {
	var made struct {
		ID string `json:"id"`
	}
	// Sent with tries: a query job that nobody knows of changes nothing.
	order := map[string]string{"operation": "query", "query": l.soql(nil), "contentType": "CSV", "columnDelimiter": "COMMA", "lineEnding": "LF"}
	if err := c.call(ctx, rest.Request{Method: http.MethodPost, Path: c.path("/jobs/query")}, order, &made); err != nil {
		return err
	}
	if err := checkJob(made.ID); err != nil {
		return err
	}
	if err := c.await(ctx, made.ID); err != nil {
		return err
	}
	for locator := ""; ; {
		next, err := c.scanPage(ctx, l, made.ID, locator, yield)
		if err != nil || next == "" {
			return err
		}
		if next == locator {
			return fault.New(fault.Corrupt, "query job %s names the same page twice", made.ID)
		}
		locator = next
	}
}

// await looks at a query job until it is done.
func (c *Client) await(ctx context.Context, id string) error {
	end := c.opts.Now().Add(scanMax)
	for wait := c.opts.Poll; ; wait = min(wait*3/2, pollMax) {
		j, err := c.job(ctx, c.path("/jobs/query/"+id))
		switch {
		case err != nil:
			return err
		case j.State == reverse.Done:
			return nil
		case j.State.Ended():
			return fault.New(fault.Transient, "query job %s is %s: %s", id, j.State, j.Message) // a query that cannot work is refused when it is made
		case c.opts.Now().After(end):
			return fault.New(fault.Transient, "query job %s is not done after %s", id, scanMax)
		}
		if err := sleep(ctx, wait); err != nil {
			return err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// scanPage gives the records of one page and returns the locator of the next, "" where
// there is none.
func (c *Client) scanPage(ctx context.Context, l *lookup, id, locator string, yield yielder) (string, error) {
	query := url.Values{"maxRecords": {strconv.Itoa(scanPage)}}
	if locator != "" {
		query.Set("locator", locator)
	}
	body, err := c.send(ctx, rest.Request{Path: c.path("/jobs/query/" + id + "/results"), Query: query, Header: http.Header{"Accept": {"text/csv"}}})
	if err != nil {
		return "", err
	}
	defer body.Close()
	n, err := l.table(body, yield)
	if err != nil {
		return "", err
	}
	if said := body.Header.Get("Sforce-NumberOfRecords"); said != "" && said != strconv.FormatInt(n, 10) {
		return "", fault.New(fault.Corrupt, "a page of query job %s has %d records, and says %s", id, n, clean(said, 20))
	}
	if next := body.Header.Get("Sforce-Locator"); next != "null" {
		return next, nil
	}
	return "", nil
}

// table gives the records of a page of results that were asked for, and returns how
// many it has in all.
func (l *lookup) table(r io.Reader, yield yielder) (n int64, err error) {
	in := newCells(r, true)
	header, err := in.read()
	if errors.Is(err, io.EOF) {
		return 0, nil
	}
	if err != nil {
		return 0, l.unreadable(err)
	}
	columns := make([]string, len(header))
	for i, name := range header {
		columns[i] = strings.ToLower(string(name))
	}
	for ; ; n++ {
		row, err := in.read()
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, l.unreadable(err)
		}
		if err := l.row(columns, row, yield); err != nil {
			return n, err
		}
	}
}

func (l *lookup) unreadable(err error) error {
	if !errors.Is(err, errQuote) && !errors.Is(err, errWidth) {
		return err
	}
	return fault.New(fault.Corrupt, "the results of a query of %s are not CSV: %w", l.Object, err)
}

// row gives one record. An empty cell is null: Salesforce has no empty texts.
func (l *lookup) row(columns []string, row [][]byte, yield yielder) error {
	r := reverse.Record{Values: make([]*string, len(l.Fields))}
	seen := 0
	texts := make([]string, len(row))
	for i, cell := range row {
		var text *string
		if len(cell) > 0 {
			texts[i] = string(cell)
			text = &texts[i]
		}
		seen += l.set(&r, columns[i], text)
	}
	if err := l.finish(&r, seen); err != nil {
		return err
	}
	if r.Key != "" && !yield(r, nil) {
		return errEnough
	}
	return nil
}
