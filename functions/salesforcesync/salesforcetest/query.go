package salesforcetest

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// The size of a page of a query; the sheet.
const (
	pageMin = 200
	pageMax = 2000
)

// query is a query whose pages are read. Which records it found is fixed when it
// begins; what they hold is read with the page.
type query struct {
	q     *selection
	found []int32
	size  int
}

// query answers for query?q=…, and for query/LOCATOR-FROM.
func (s *Server) query(w http.ResponseWriter, r request, locator string, deleted bool) {
	if r.Method != http.MethodGet {
		notAllowed(w, r)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if locator != "" {
		s.more(w, r, locator)
		return
	}
	q, err := s.parse(r.URL.Query().Get("q"))
	if err != nil {
		fail(w, http.StatusBadRequest, err.code, err.message)
		return
	}
	x := &query{q: q, found: q.run(deleted), size: s.pageSize(r)}
	if q.count {
		send(w, http.StatusOK, map[string]any{"totalSize": len(x.found), "done": true, "records": []any{}})
		return
	}
	id := ""
	if len(x.found) > x.size {
		s.issued++
		id = idOf("01g", s.issued)
		s.queries[id] = x
	}
	s.page(w, r, x, id, 0)
}

// pageSize takes the hint of a header, within the limits and the tenant's own.
func (s *Server) pageSize(r request) int {
	size := pageMax
	if n, ok := strings.CutPrefix(strings.ReplaceAll(r.Header.Get("Sforce-Query-Options"), " ", ""), "batchSize="); ok {
		if asked, err := strconv.Atoi(n); err == nil {
			size = min(max(asked, pageMin), pageMax)
		}
	}
	return min(size, s.o.PageMax)
}

func (s *Server) more(w http.ResponseWriter, r request, locator string) {
	id, from, _ := strings.Cut(locator, "-")
	n, err := strconv.Atoi(from)
	x := s.queries[id]
	if err != nil || x == nil || n < 0 || n > len(x.found) {
		fail(w, http.StatusBadRequest, "INVALID_QUERY_LOCATOR", "invalid query locator")
		return
	}
	s.page(w, r, x, id, n)
}

// page writes the records from one number on.
func (s *Server) page(w http.ResponseWriter, r request, x *query, id string, from int) {
	to := min(from+x.size, len(x.found))
	body := fmt.Appendf(nil, `{"totalSize":%d,"done":%t,`, len(x.found), to == len(x.found))
	if to < len(x.found) {
		body = fmt.Appendf(body, `"nextRecordsUrl":"%s/v%s/query/%s-%d",`, root, r.version, id, to)
	}
	body = append(body, `"records":[`...)
	for i, n := range x.found[from:to] {
		if i > 0 {
			body = append(body, ',')
		}
		body = x.q.record(body, int(n), r.version)
	}
	w.Header().Set("Content-Type", "application/json;charset=UTF-8")
	w.Write(append(body, "]}"...))
}

func (q *selection) record(to []byte, n int, version string) []byte {
	t := q.t
	to = fmt.Appendf(to, `{"attributes":{"type":"%s","url":"%s/v%s/sobjects/%s/%s"}`, t.Name, root, version, t.Name, idOf(t.Prefix, n))
	for _, i := range q.fields {
		f := &t.Fields[i]
		to = append(append(append(to, `,"`...), f.Name...), `":`...)
		to = f.jsonValue(to, t.value(n, i))
	}
	return append(to, '}')
}

// ForgetQueries kills every locator: the next page of a query is refused.
func (s *Server) ForgetQueries() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.queries)
}
