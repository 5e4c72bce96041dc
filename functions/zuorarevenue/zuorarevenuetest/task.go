package zuorarevenuetest

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/millrace-data/millrace/shared/rest/resttest"
)

// The vendor's limits, as the sheet has them.
const (
	pageDefault = 1000              // rows, where pageSize is not sent; the 2025 reference
	pageMax     = 20_000            // rows of a gzip page
	pageMaxCSV  = 10_000            // rows of a csv page
	idleMax     = 240 * time.Second // until an active task is stale
	keptFor     = 300 * time.Second // of a completed or stale task, before it drains
	draining    = 5 * time.Second
	parallel    = 5 // queries of one client, over all views
)

// NotCached is what the vendor says of a page that is not there yet.
const NotCached = "Page still not yet cached"

// task is one query: a snapshot of a view.
type task struct {
	id       string
	v        *view
	from, to string
	version  int
	size     int   // rows a page
	rows     []int // numbers of the rows; nil: the first n
	n        int
	cached   int // pages
	misses   int // of the page that is not cached
	began    time.Time
	last     time.Time // when somebody asked
	gone     bool      // cancelled
}

func (t *task) pages() int { return (t.n + t.size - 1) / t.size }

// state is active, completed, stale, draining or gone.
func (t *task) state(now time.Time) string {
	idle, state := now.Sub(t.last), "completed"
	if t.cached < t.pages() {
		state = "active"
		if idle >= idleMax {
			state, idle = "stale", idle-idleMax
		}
	}
	switch {
	case t.gone || idle >= keptFor+draining:
		return "gone"
	case state != "active" && idle >= keptFor:
		return "draining"
	}
	return state
}

// page answers for one page of a view.
func (s *Server) page(w http.ResponseWriter, r *http.Request, v *view) {
	q := r.URL.Query()
	number, err := strconv.Atoi(cmp.Or(q.Get("pagenum"), "1"))
	size, err2 := strconv.Atoi(cmp.Or(q.Get("pageSize"), strconv.Itoa(pageDefault)))
	most := pageMax
	if q.Get("outputType") == "csv" {
		most = pageMaxCSV
	}
	if err != nil || err2 != nil || number < 1 || size < 1 || size > most || !isTime(q.Get("fromDate")) || !isTime(q.Get("toDate")) {
		fail(w, http.StatusBadRequest, "Invalid parameter")
		return
	}
	s.mu.Lock()
	id := cmp.Or(r.Header.Get("continuation-token"), r.Header.Get("continuation_token"))
	t := s.task(id, v)
	if id == "" { // also of page 7: the query runs anew
		t = s.open(v, q.Get("fromDate"), q.Get("toDate"), min(size, s.o.PageMax))
	}
	status, message := s.ready(t, number)
	s.mu.Unlock()
	switch {
	case status == http.StatusNoContent:
		w.WriteHeader(status)
	case status != http.StatusOK:
		fail(w, status, message)
	default:
		s.write(w, t, number, q.Get("outputType") == "csv")
	}
}

func isTime(text string) bool {
	_, err := time.Parse("2006-01-02T15:04:05", text)
	return err == nil
}

func (s *Server) task(id string, v *view) *task {
	i := slices.IndexFunc(s.tasks, func(t *task) bool { return t.id == id && (v == nil || t.v == v) })
	if i < 0 {
		return nil
	}
	return s.tasks[i]
}

// open starts a query, or returns nil where there are too many.
func (s *Server) open(v *view, from, to string, size int) *task {
	now, active := s.o.Now(), 0
	for _, t := range s.tasks {
		if t.state(now) == "active" {
			active++
			if t.v == v {
				return nil
			}
		}
	}
	if active >= parallel {
		return nil
	}
	s.issued++
	t := &task{id: fmt.Sprintf("5f0d7c1e-2222-4c1b-9a55-%012d", s.issued), v: v, from: from, to: to, version: s.version, size: size, began: now, last: now}
	t.n, t.rows = s.between(v, s.version, from, to)
	t.cached = cmp.Or(s.o.Ahead, t.pages())
	s.tasks = append(s.tasks, t)
	return t
}

// between are the rows of a range, by INCR_UPDT_DT, the end included; nil: all n.
func (s *Server) between(v *view, version int, from, to string) (n int, rows []int) {
	n, _ = v.at(version)
	from, to = strings.Replace(from, "T", " ", 1), strings.Replace(to, "T", " ", 1)
	if len(v.changes) == 0 && from <= s.o.From.Format(stamp) && to >= s.o.To.Format(stamp) {
		return n, nil
	}
	m := s.maker(v, version)
	rows = []int{}
	for i := range n {
		if at := m.updatedAt(i); !v.change(i, version).gone && at >= from && at <= to {
			rows = append(rows, i)
		}
	}
	return len(rows), rows
}

// ready says how to answer for a page.
func (s *Server) ready(t *task, number int) (status int, message string) {
	now := s.o.Now()
	if t == nil {
		return http.StatusBadRequest, "Rate limit exceeded: too many parallel queries"
	}
	if state := t.state(now); state == "gone" || state == "stale" {
		return http.StatusBadRequest, NotCached // it does not tell a dead token from a slow one
	}
	t.last = now
	switch {
	case t.n == 0:
		return http.StatusNoContent, ""
	case number > t.pages() && t.cached >= t.pages():
		return s.pastEnd(t)
	case number <= t.cached:
		return http.StatusOK, ""
	}
	if t.misses++; t.misses <= s.o.Misses {
		return http.StatusBadRequest, NotCached
	}
	t.misses, t.cached = 0, min(max(number, t.cached+s.o.Ahead), t.pages())
	return s.ready(t, number)
}

func (s *Server) pastEnd(t *task) (int, string) {
	switch s.o.PastEnd {
	case PastEnd204:
		return http.StatusNoContent, ""
	case PastEndEmpty:
		return http.StatusOK, ""
	case PastEndNotCached:
		return http.StatusBadRequest, NotCached
	}
	return http.StatusNotFound, fmt.Sprintf("Page not found. Total pages: %d, total rows: %d", t.pages(), t.n)
}

// write sends a page. What a task shows does not change, so no lock is held but
// while a row is made.
func (s *Server) write(w http.ResponseWriter, t *task, number int, plain bool) {
	name := "continuation-token"
	if s.o.Underscore {
		name = "continuation_token"
	}
	w.Header().Set(name, t.id)
	w.Header().Set("Content-Type", "text/csv")
	var to io.Writer = w
	if !plain {
		if w.Header().Set("Content-Type", "application/gzip"); s.o.Encoded {
			w.Header().Set("Content-Encoding", "gzip")
		}
		z, _ := gzip.NewWriterLevel(w, gzip.BestSpeed) // the level is valid
		defer z.Close()
		to = z
	}
	s.mu.Lock()
	m := s.maker(t.v, t.version)
	s.mu.Unlock()
	var buf []byte
	if number == 1 || !s.o.HeaderOnce {
		head := strings.ToUpper(strings.Join(m.columns, ","))
		if s.o.Lower {
			head = strings.ToLower(head)
		}
		buf = append(append(buf, head...), '\n')
	}
	for i := (number - 1) * t.size; i < min(number*t.size, t.n); {
		s.mu.Lock()
		for ; i < min(number*t.size, t.n) && len(buf) < 60<<10; i++ {
			buf = m.line(buf, t.row(i))
		}
		s.mu.Unlock()
		if _, err := to.Write(buf); err != nil {
			return // the client has gone
		}
		buf = buf[:0]
	}
	to.Write(buf) // a header without rows
}

func (t *task) row(i int) int {
	if t.rows == nil {
		return i
	}
	return t.rows[i]
}

// Tokens are the ids of all tasks so far, in the order in which they began.
func (s *Server) Tokens() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, t := range s.tasks {
		out = append(out, t.id)
	}
	return out
}

// Forget ends every query, as a vendor does that is started anew.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.tasks {
		t.gone = true
	}
}

// GatewayTimeout lets the twin do its work and answers 504 in its stead, as a
// gateway does that did not wait long enough: the query runs on.
func GatewayTimeout() resttest.Effect {
	return func(w http.ResponseWriter, r *http.Request, c resttest.Call) {
		c.Next.ServeHTTP(httptest.NewRecorder(), r)
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusGatewayTimeout)
		io.WriteString(w, "<html><body>504 Gateway Time-out</body></html>")
	}
}
