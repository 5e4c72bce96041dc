package salesforcetest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Record is a record as a test sees it: the canonical text of every field that is
// not null, by name. Id, CreatedDate, LastModifiedDate and the other fields of every
// object are among them.
type Record map[string]string

// Write is one row that was accepted.
type Write struct {
	Via     string // id of the job, "collections", or "outside" for what a test did
	Object  string
	ID      string
	Key     string // value of the object's first external id, as it is now
	Kind    string // create, update, delete
	Fields  map[string]string
	Blanked []string // fields that were made null
}

// write is a Write in few bytes.
type write struct {
	via  string
	t    *table
	n    int32
	kind byte
	data string
}

func (s *Server) log(w write) { s.writes = append(s.writes, w) }

func (w write) open() Write {
	out := Write{Via: w.via, Object: w.t.Name, ID: idOf(w.t.Prefix, int(w.n)), Fields: map[string]string{},
		Kind: map[byte]string{'C': "create", 'U': "update", 'D': "delete"}[w.kind]}
	if i := w.t.key(); i >= 0 {
		out.Key = w.t.value(int(w.n), i)
	}
	unpack(w.data, func(i int, text string) bool {
		if name := w.t.Fields[i].Name; text == "" {
			out.Blanked = append(out.Blanked, name)
		} else {
			out.Fields[name] = text
		}
		return true
	})
	return out
}

// key is the first external id, -1 if there is none.
func (t *table) key() int {
	return slices.IndexFunc(t.Fields, func(f Field) bool { return f.ExternalID })
}

// must finds what a test named.
func (s *Server) must(object, field string) (*table, int) {
	t := s.table(object)
	if t == nil {
		panic(fmt.Sprintf("salesforcetest: no object %s", object))
	}
	i := slices.IndexFunc(t.Fields, func(f Field) bool { return f.Name == field })
	if i < 0 {
		panic(fmt.Sprintf("salesforcetest: no field %s.%s", object, field))
	}
	return t, i
}

func (t *table) record(n int) Record {
	out := Record{}
	for i := range t.Fields {
		if v := t.value(n, i); v != "" {
			out[t.Fields[i].Name] = v
		}
	}
	return out
}

// Records are the records of an object that are not deleted, oldest first.
func (s *Server) Records(object string) []Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, _ := s.must(object, "Id")
	var out []Record
	for n := range t.recs {
		if !t.recs[n].deleted {
			out = append(out, t.record(n))
		}
	}
	return out
}

// Get is the first record whose field has a value, deleted ones left out, nil if
// there is none.
func (s *Server) Get(object, field, value string) Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, i := s.must(object, field)
	if found := t.byKey(i, value); len(found) > 0 {
		return t.record(int(found[0]))
	}
	if t.index[i] != nil {
		return nil
	}
	for n := range t.recs {
		if !t.recs[n].deleted && t.value(n, i) == value {
			return t.record(n)
		}
	}
	return nil
}

// Count is how many records of an object are not deleted.
func (s *Server) Count(object string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, _ := s.must(object, "Id")
	return t.live
}

// Insert makes a record as somebody else, and returns its id. Values are texts as in
// a CSV file; what cannot be written panics.
func (s *Server) Insert(object string, fields map[string]string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, _ := s.must(object, "Id")
	cells := s.cells(object, fields)
	must(required(t, -1, cells))
	must(t.unique(-1, cells))
	n := s.insert(t, cells)
	t.recs[n].by = 1
	s.outside = append(s.outside, write{"outside", t, int32(n), 'C', string(pack(nil, cells))})
	return idOf(t.Prefix, n)
}

// Edit changes one field of a record as somebody else; "" empties it.
func (s *Server) Edit(object, id, field, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, n := s.live(object, id)
	cells := s.cells(object, map[string]string{field: value})
	must(required(t, n, cells))
	must(t.unique(n, cells))
	s.set(t, n, cells, 1)
	s.outside = append(s.outside, write{"outside", t, int32(n), 'U', string(pack(nil, cells))})
}

// Delete deletes a record as somebody else.
func (s *Server) Delete(object, id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, n := s.live(object, id)
	s.remove(t, n, 1)
	s.outside = append(s.outside, write{"outside", t, int32(n), 'D', ""})
}

func (s *Server) live(object, id string) (*table, int) {
	t, _ := s.must(object, "Id")
	n := t.find(id)
	if n < 0 || t.recs[n].deleted {
		panic(fmt.Sprintf("salesforcetest: no %s has the id %s", object, id))
	}
	return t, n
}

func must(err *rowError) {
	if err != nil {
		panic("salesforcetest: " + err.text())
	}
}

// cells reads the values that a test gave.
func (s *Server) cells(object string, fields map[string]string) []cell {
	var out []cell
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		t, i := s.must(object, name)
		value, ok := t.Fields[i].read(fields[name])
		if !ok || t.Fields[i].readOnly() {
			panic(fmt.Sprintf("salesforcetest: %s.%s cannot be %q", object, name, fields[name]))
		}
		must(s.valid(t, &t.Fields[i], value))
		out = append(out, cell{i, value})
	}
	return out
}

// Seed makes n records as somebody else, without a trace in Outside. row fills in
// the values of record i in the order of fields; "" is null. Values are canonical,
// and are not looked at: it is for a million records.
func (s *Server) Seed(object string, fields []string, n int, row func(i int, values []string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	values, cells := make([]string, len(fields)), make([]cell, len(fields))
	t, _ := s.must(object, "Id")
	for j, name := range fields {
		_, cells[j].field = s.must(object, name)
	}
	t.recs = slices.Grow(t.recs, n)
	for i := range n {
		clear(values)
		row(i, values)
		for j := range cells {
			cells[j].text = values[j]
		}
		s.insert(t, cells)
		t.recs[len(t.recs)-1].by = 1
	}
}

// Writes are the rows that were accepted from the API, in their order.
func (s *Server) Writes() []Write {
	s.mu.Lock()
	defer s.mu.Unlock()
	return all(s.writes)
}

// WriteCount is how many rows were accepted from the API.
func (s *Server) WriteCount() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.writes)
}

// Outside is what tests did by Insert, Edit and Delete.
func (s *Server) Outside() []Write {
	s.mu.Lock()
	defer s.mu.Unlock()
	return all(s.outside)
}

func all(list []write) []Write {
	var out []Write
	for _, w := range list {
		out = append(out, w.open())
	}
	return out
}

// Calls are how many requests had a method and a path that contains part, disturbed
// ones among them; "" is any.
func (s *Server) Calls(method, part string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for call, c := range s.calls {
		m, path, _ := strings.Cut(call, " ")
		if (method == "" || m == method) && strings.Contains(path, part) {
			n += c
		}
	}
	return n
}

// OnRequest replaces Options.OnRequest.
func (s *Server) OnRequest(hook func(method, path string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.o.OnRequest = hook
}

// ExpireSessions ends every session: the next request of each is answered 401.
func (s *Server) ExpireSessions() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.sessions)
}

// SetUsage says how many requests of the day are used, of how many.
func (s *Server) SetUsage(used, most int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used, s.o.DailyRequests = used, most
}

// Usage is how many requests of the day are used.
func (s *Server) Usage() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.used
}

// Describe changes a field's declaration, as an administrator does.
func (s *Server) Describe(object, field string, change func(f *Field)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, i := s.must(object, field)
	f := &t.Fields[i]
	change(f)
	delete(t.byName, field)
	delete(t.lower, strings.ToLower(field))
	if !f.Hidden {
		t.byName[f.Name], t.lower[strings.ToLower(f.Name)] = i, i
	}
}
