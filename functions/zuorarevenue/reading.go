package zuorarevenue

import (
	"bufio"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/part"
	"github.com/millrace-data/millrace/shared/rest"
)

// cursor is where a slice is; JSON in the ledger.
type cursor struct {
	Token  string   `json:"token,omitempty"` // of the query; "" before page 1
	Page   int      `json:"page"`            // that is next
	Size   int64    `json:"size,omitempty"`  // rows of page 1: all but the last page have as many
	Rows   int64    `json:"rows"`
	Count  *int64   `json:"count,omitempty"` // what the vendor counted before page 1
	Header []string `json:"header,omitempty"`
	Asked  int      `json:"asked,omitempty"` // times in a row that the page was not there
	Whole  bool     `json:"whole,omitempty"` // the query is done: a page that is not there now is behind the last
	Last   string   `json:"last,omitempty"`  // digest of the page before
}

func (c cursor) text() string {
	b, _ := json.Marshal(c) // texts and numbers
	return string(b)
}

// reading is one query on its way into a slice.
type reading struct {
	s        *source
	out      *extract.Out
	view     string
	from, to string
	c        cursor
	next     *answer // to the question for the page after the one that is being staged
}

// run reads page after page.
func (r *reading) run(ctx context.Context) (err error) {
	defer func() { r.next.drop() }()
	more := true
	if text := r.out.Cursor(); text == "" {
		r.c.Page = 1
	} else if json.Unmarshal([]byte(text), &r.c) != nil {
		err = r.restart("lost: the cursor in the ledger is not readable")
	} else if r.c.Token != "" { // the vendor does not tell a dead token from a slow page
		more, err = r.look(ctx, nil)
	}
	if err == nil && r.c.Header != nil { // there may be no page left to say what the columns of the staged ones are
		_, _, err = r.out.CSVRows(strings.NewReader(strings.Join(r.c.Header, ",")+"\n"), part.CSVOptions{})
	}
	for more && err == nil {
		more, err = r.page(ctx)
	}
	if err == nil {
		err = r.c.cut()
	}
	if n := r.c.Count; err == nil && n != nil && *n != r.c.Rows {
		r.out.Warn("the vendor counted %d rows before the reading, and %d were read: rows may have changed in between", *n, r.c.Rows)
	}
	return err
}

// cut is the error of a query that ended at the vendor's limit, with rows left.
func (c cursor) cut() error {
	if c.Rows < queryMax || c.Count == nil || *c.Count <= c.Rows {
		return nil
	}
	return fault.New(fault.Refused, "the query ended after %d rows of %d: the vendor gives %d rows a query; ask Zuora for more, the table stays as it is", c.Rows, *c.Count, queryMax)
}

// page reads the next page, and reports whether there may be another.
func (r *reading) page(ctx context.Context) (more bool, err error) {
	if r.c.Token == "" && r.c.Count == nil { // before page 1: a count takes longer than a token may wait
		if r.c.Count, err = r.s.count(ctx, r.view, r.from, r.to); err != nil {
			return false, err
		}
	}
	body, err := r.ask(ctx)
	switch {
	case err != nil && ctx.Err() != nil:
		return false, err
	case err != nil && r.c.Token == "":
		return r.first(ctx, err)
	case err != nil:
		return r.missing(ctx, err)
	}
	defer body.Close()
	token := cmp.Or(body.Header.Get("continuation-token"), body.Header.Get("continuation_token"))
	if r.c.Token != "" && token != "" && token != r.c.Token {
		return true, r.restart("the vendor began another query half-way")
	}
	if body.Status == http.StatusNoContent {
		return r.none(ctx)
	}
	r.c.Token = cmp.Or(r.c.Token, token)
	return r.take(ctx, body)
}

// answer is a page that was asked for ahead of its use.
type answer struct {
	page int
	body *rest.Body
	err  error
	done chan struct{} // closed when body and err are there
	stop context.CancelFunc
}

// drop gives the page up.
func (a *answer) drop() {
	if a == nil {
		return
	}
	a.stop()
	if <-a.done; a.err == nil {
		a.body.Close()
	}
}

// ahead asks for the page after this one, where the count says that there is one:
// the vendor makes it while the rows of this one are staged.
func (r *reading) ahead(ctx context.Context) {
	if r.c.Token == "" || r.c.Count == nil || r.c.Rows+cmp.Or(r.c.Size, int64(r.s.cfg.PageSize)) >= *r.c.Count {
		return
	}
	ctx, stop := context.WithCancel(ctx)
	a := &answer{page: r.c.Page + 1, done: make(chan struct{}), stop: stop}
	req := r.request(a.page)
	go func() {
		defer close(a.done)
		a.body, a.err = r.s.send(ctx, req)
	}()
	r.next = a
}

// ask returns the page that is due, asked for ahead or now.
func (r *reading) ask(ctx context.Context) (*rest.Body, error) {
	a := r.next
	r.next = nil
	if a == nil || a.page != r.c.Page {
		a.drop()
		return r.s.send(ctx, r.request(r.c.Page))
	}
	<-a.done
	a.stop()
	return a.body, a.err
}

// request is the question for a page.
func (r *reading) request(page int) rest.Request {
	q := r.s.query(r.from, r.to)
	q.Set("pagenum", strconv.Itoa(page))
	q.Set("pageSize", strconv.Itoa(r.s.cfg.PageSize))
	q.Set("outputType", "gzip")
	req := rest.Request{Path: root + "v2/biviews/" + r.view, Query: q, Once: r.c.Token == ""} // each try of page 1 would open a query
	if r.c.Token != "" {
		req.Header = http.Header{"continuation-token": {r.c.Token}}
	}
	return req
}

// none is what to do about an answer without rows.
func (r *reading) none(ctx context.Context) (more bool, err error) {
	if r.c.Page > 1 {
		return r.missing(ctx, fault.New(fault.NotFound, "status 204"))
	}
	if r.c.Count != nil && *r.c.Count > 0 { // a full reading of nothing would empty the table
		return false, fault.New(fault.Transient, "the vendor says that there are no rows, and that there are %d: the next run asks again", *r.c.Count)
	}
	return false, nil
}

// counted reports whether there are as many rows as the vendor counted.
func (r *reading) counted() bool { return r.c.Count != nil && r.c.Rows >= *r.c.Count }

// take stages the rows of a page.
func (r *reading) take(ctx context.Context, body *rest.Body) (more bool, err error) {
	sum := sha256.New()
	if _, err := io.Copy(sum, body.Keep()); err != nil {
		return false, err
	}
	last := hex.EncodeToString(sum.Sum(nil)[:8])
	if last == r.c.Last { // no two pages are alike: rows have ids
		return r.look(ctx, fault.New(fault.Transient, "the vendor sent the page before once more"))
	}
	r.ahead(ctx)
	header, rows, err := r.stage(body.Keep())
	if errors.Is(err, fault.Corrupt) {
		return false, r.out.Corrupt(ctx, body, err)
	}
	if err != nil {
		return false, err
	}
	if r.c.Header == nil {
		r.c.Header, r.c.Size = header, rows
	}
	r.c.Rows += rows
	switch full := rows >= int64(r.s.cfg.PageSize); {
	case rows < r.c.Size || rows == 0 || !full && (r.counted() || r.c.Token == ""):
		return false, nil // else the tenant's own pages may be smaller than ours: ask
	case r.c.Token == "":
		return false, fault.New(fault.Corrupt, "the page is full and came without a continuation token: there is no way to the next one")
	}
	r.c.Page, r.c.Asked, r.c.Whole, r.c.Last = r.c.Page+1, 0, false, last
	return true, r.out.Page(r.c.text())
}

// stage hands a page to the engine, its header in the spelling of the tables.
func (r *reading) stage(body io.Reader) (header []string, rows int64, err error) {
	plain, err := part.Decompress(body)
	if err != nil {
		return nil, 0, err
	}
	defer plain.Close()
	in := bufio.NewReaderSize(plain, 64<<10)
	line, err := in.ReadString('\n')
	if err == io.EOF && strings.TrimSpace(line) == "" {
		if r.c.Header != nil && (r.counted() || r.c.Count == nil) { // behind a last page that was full, where only page 1 has a header
			return r.c.Header, 0, nil
		}
		return nil, 0, fault.New(fault.Corrupt, "the page is empty: not even a header")
	}
	if err != nil && err != io.EOF {
		return nil, 0, err
	}
	if c := line[0]; c == '{' || c == '[' || c == '<' {
		return nil, 0, fault.New(fault.Corrupt, "the page is no CSV: it begins with %q", c)
	}
	if names := spell(line); r.c.Header == nil || strings.Join(names, ",") == strings.Join(r.c.Header, ",") {
		line = strings.Join(names, ",") + "\n"
	}
	return r.out.CSVRows(io.MultiReader(strings.NewReader(line), in), part.CSVOptions{Header: r.c.Header})
}

// spell is a header's names in lower case. One that stands twice gets a number, as
// GitLab's list of BI3_BOOK has id twice.
func spell(line string) []string {
	names := strings.Split(strings.ToLower(strings.TrimPrefix(strings.TrimSpace(line), "\ufeff")), ",")
	for i, n := range names {
		n = strings.TrimSpace(strings.Trim(strings.TrimSpace(n), `"`))
		names[i] = n
		for nth := 2; slices.Contains(names[:i], names[i]); nth++ {
			names[i] = fmt.Sprintf("%s_%d", n, nth)
		}
	}
	return names
}

// first is what to do when page 1 did not come. A gateway may have given up while
// the query runs on, or an invocation that died left it: then its token is in the
// list of all queries.
func (r *reading) first(ctx context.Context, cause error) (more bool, err error) {
	wait := activeWait
	switch {
	case errors.Is(cause, fault.Limited):
		wait = rateWait
	case fault.Of(cause) != fault.Transient:
		return false, cause
	}
	token, err := r.s.find(ctx, r)
	if err != nil {
		return false, fmt.Errorf("%w; and the list of queries: %w", cause, err)
	}
	if token != "" {
		r.c.Token = token
		return true, nil
	}
	if r.c.Asked++; r.c.Asked >= firstTries {
		return false, cause
	}
	return false, r.out.Later(r.c.text(), wait)
}

// missing is what to do when a later page did not come.
func (r *reading) missing(ctx context.Context, cause error) (more bool, err error) {
	end := errors.Is(cause, fault.NotFound) || errors.Is(cause, errEmpty) // a page without rows where only page 1 has a header
	switch {
	case end && r.counted():
		return false, nil
	case errors.Is(cause, fault.Auth) || errors.Is(cause, fault.Limited):
		return false, cause
	}
	return r.look(ctx, cause)
}

// look asks what became of the query, because of a page that did not come for this
// cause; or, without a cause, because time has passed.
func (r *reading) look(ctx context.Context, cause error) (more bool, err error) {
	state, err := r.s.state(ctx, r.c.Token)
	if err != nil {
		return false, err
	}
	switch known := state == "active" || state == "completed" || state == "draining"; {
	case !known:
		return true, r.restart(cmp.Or(state, "forgotten"))
	case cause == nil:
		return true, nil
	case errors.Is(cause, fault.NotFound):
		return false, nil // behind the last page of a query that lives
	case fault.Of(cause) != fault.Transient:
		return false, cause
	}
	switch r.c.Asked++; {
	case state == "active" && r.c.Asked < patience:
		return false, r.out.Later(r.c.text(), activeWait)
	case state == "active":
		return false, cause
	case !r.c.Whole: // all of it is cached now; it may not have been when we asked
		r.c.Whole = true
		return true, nil
	case (errors.Is(cause, errNotCached) || errors.Is(cause, errEmpty)) && (r.counted() || r.c.Count == nil):
		return false, nil // behind a last page that was full
	}
	return false, cause
}

// restart gives the query up. What was staged of it is forgotten: another query is
// another snapshot.
func (r *reading) restart(why string) error {
	err := r.out.Restart(fmt.Sprintf("the query behind the continuation token is %s", why))
	r.c = cursor{Page: 1}
	return err
}
