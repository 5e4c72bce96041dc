package zuorarevenuetest

import (
	"bytes"
	"encoding/csv"
	"slices"
	"strings"
)

// Columns are a view's columns in lower case, in the order of its files.
func (s *Server) Columns(view string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.view(view).columns)
}

// Count is how many rows a view has now.
func (s *Server) Count(view string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.view(view)
	gone := 0
	for i := range v.changes {
		if v.change(i, s.version).gone {
			gone++
		}
	}
	return v.n - gone
}

// Rows are the cells of a view's rows now, in the order of Columns: what a reader
// must end up with. They are read back from the twin's own CSV by encoding/csv,
// with CRLF within quotes as it stands there.
func (s *Server) Rows(view string) [][]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.view(view)
	m := s.maker(v, s.version)
	var out [][]string
	for i := range v.n {
		if v.change(i, s.version).gone {
			continue
		}
		line := bytes.ReplaceAll(m.line(nil, i), []byte("\r\n"), []byte("\r\r\n")) // encoding/csv takes one \r off
		cells, err := csv.NewReader(bytes.NewReader(line)).Read()
		if err != nil {
			panic("zuorarevenuetest: " + err.Error())
		}
		out = append(out, cells)
	}
	return out
}

// Views are the names of the views that the twin knows, sorted.
func Views() []string {
	var out []string
	for line := range strings.Lines(columnsText) {
		if name, _, ok := strings.Cut(line, " "); ok && name != "#" {
			out = append(out, name)
		}
	}
	return out
}
