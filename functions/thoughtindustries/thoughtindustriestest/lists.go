package thoughtindustriestest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"strconv"
	"strings"
)

// rows is one list: base rows made from their number, changed ones, added ones.
type rows struct {
	kind    listKind
	world   world
	n       int // base rows
	changed map[int][]byte
	added   [][]byte
}

func (l *rows) row(dst []byte, i int) []byte {
	if raw, ok := l.changed[i]; ok {
		return append(dst, raw...)
	}
	if i >= l.n {
		return append(dst, l.added[i-l.n]...)
	}
	return l.kind.make(dst, l.world, i)
}

const cursorMark = "after:" // makes list cursors look like nothing a client could count with

func (s *Server) serveList(w http.ResponseWriter, r *http.Request, l *rows) {
	start := 0
	if c := r.URL.Query().Get("cursor"); c != "" {
		var err error
		if start, err = decodeCursor(c); err != nil {
			fail(w, http.StatusBadRequest, "invalid_cursor")
			return
		}
	}
	total := l.n + len(l.added)
	var raw []byte
	var ends []int
	end := min(start+s.o.PageSize, total)
	for i := start; i < end; i++ {
		raw = l.row(raw, i)
		ends = append(ends, len(raw))
	}
	s.answer(w, l.kind.array, raw, ends, encodeCursor(max(start, end)), end < total)
}

func encodeCursor(next int) string {
	return base64.RawURLEncoding.EncodeToString([]byte(cursorMark + strconv.Itoa(next)))
}

func decodeCursor(c string) (int, error) {
	text, err := base64.RawURLEncoding.DecodeString(c)
	if err != nil {
		return 0, err
	}
	digits, ok := strings.CutPrefix(string(text), cursorMark)
	n, err := strconv.Atoi(digits)
	if !ok || err != nil || n < 0 {
		return 0, fmt.Errorf("not a cursor of this list")
	}
	return n, nil
}

// answer writes a page: rows end at ends inside raw.
func (s *Server) answer(w http.ResponseWriter, array string, raw []byte, ends []int, cursor string, more bool) {
	if !more && s.o.NoLastCursor {
		cursor = ""
	}
	list := make([]byte, 0, len(raw)+len(ends)+len(array)+256)
	list = append(append(append(list, '"'), array...), `":[`...)
	for i, start := 0, 0; i < len(ends); i++ {
		if i > 0 {
			list = append(list, ',')
		}
		list = append(list, raw[start:ends[i]]...)
		start = ends[i]
	}
	list = append(list, ']')
	info := pageInfo(cursor, more, s.o.NoMore)
	switch s.o.Envelope {
	case Wrapped:
		name := "API" + strings.ToUpper(array[:1]) + array[1:]
		send(w, fmt.Appendf(nil, `{"data":{"%s":{%s,%s}}}`, name, info, list))
	case Meta:
		if !more {
			cursor = ""
		}
		send(w, fmt.Appendf(nil, `{"data":{%s},"meta":{"page":1,"nextCursor":%s}}`, list, nullable(cursor)))
	default:
		send(w, fmt.Appendf(nil, `{%s,%s}`, info, list))
	}
}

func pageInfo(cursor string, more, noMore bool) string {
	var members []string
	if cursor != "" {
		members = append(members, `"cursor":`+nullable(cursor))
	}
	if !noMore {
		members = append(members, `"hasMore":`+strconv.FormatBool(more))
	}
	return `"pageInfo":{` + strings.Join(members, ",") + `}`
}

func nullable(s string) string {
	if s == "" {
		return "null"
	}
	return strconv.Quote(s)
}

// Set changes members of row i (0 = the first) of a list, by resource or table
// name. Nothing in the API tells that it changed.
func (s *Server) Set(list string, i int, members map[string]any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.list(list)
	row := decode(l.row(nil, i))
	for k, v := range members {
		row[k] = v
	}
	l.changed[i] = encode(row)
}

// SetUser is [Server.Set] for users.
func (s *Server) SetUser(i int, members map[string]any) { s.Set("users", i, members) }

// Append adds rows to the end of a list.
func (s *Server) Append(list string, added ...map[string]any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.list(list)
	for _, row := range added {
		l.added = append(l.added, encode(row))
	}
}

func (s *Server) list(name string) *rows {
	for _, l := range s.lists {
		if name == l.kind.resource || name == l.kind.table {
			return l
		}
	}
	panic(fmt.Sprintf("thoughtindustriestest: no list %q", name))
}

// Events returns all events of a feed (by slug or table name), newest first, as
// the vendor would send them. Numbers are json.Number.
func (s *Server) Events(feed string) (out []map[string]any) {
	for raw := range s.Raw(feed) {
		out = append(out, decode(raw))
	}
	return out
}

// Rows returns all rows of a table: what a complete reading must end up with.
func (s *Server) Rows(table string) []map[string]any { return s.Events(table) }

// Count is how many rows a table has.
func (s *Server) Count(table string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.feeds {
		if table == f.kind.slug || table == f.kind.table {
			return f.n + len(f.added)
		}
	}
	l := s.list(table)
	return l.n + len(l.added)
}

// Tables lists the tables that the twin has rows for.
func Tables() (out []string) {
	for _, k := range feedKinds {
		out = append(out, k.table)
	}
	for _, k := range listKinds {
		out = append(out, k.table)
	}
	return out
}

// Raw gives the rows of a table as bytes, without holding them: events newest
// first, lists in their order. Each is valid until the next. The twin is locked
// meanwhile.
func (s *Server) Raw(table string) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, f := range s.feeds {
			if table == f.kind.slug || table == f.kind.table {
				f.raw(yield)
				return
			}
		}
		l := s.list(table)
		for i := range l.n + len(l.added) {
			if !yield(l.row(nil, i)) {
				return
			}
		}
	}
}

func (f *feed) raw(yield func([]byte) bool) {
	var buf []byte
	i, a := f.n, len(f.added)
	for i > 0 || a > 0 {
		if a > 0 && (i == 0 || f.added[a-1].at > f.at(i-1)) {
			a--
			buf = append(buf[:0], f.added[a].raw...)
		} else {
			i--
			buf = f.event(buf[:0], i)
		}
		if !yield(buf) {
			return
		}
	}
}

func decode(raw []byte) map[string]any {
	d := json.NewDecoder(strings.NewReader(string(raw)))
	d.UseNumber()
	var row map[string]any
	if err := d.Decode(&row); err != nil {
		panic(fmt.Sprintf("thoughtindustriestest: own row is not JSON: %v", err))
	}
	return row
}

func encode(row map[string]any) []byte {
	raw, err := json.Marshal(row)
	if err != nil {
		panic(fmt.Sprintf("thoughtindustriestest: row: %v", err))
	}
	return raw
}
