package salesforcetest

import (
	"fmt"
	"strings"
)

// The operations of a write.
const (
	opInsert = "insert"
	opUpdate = "update"
	opUpsert = "upsert"
	opDelete = "delete"
	opHard   = "hardDelete"
)

// change is one row of a job or a request.
type change struct {
	op    string
	key   cell   // what names the record: its Id, or an external id
	cells []cell // canonical; the key is not among them
	via   string // job, or "collections"
}

// table finds an object, nil if there is none.
func (s *Server) table(name string) *table {
	for _, t := range s.tables {
		if strings.EqualFold(t.Name, name) {
			return t
		}
	}
	return nil
}

// apply does what a row says, or nothing. The record's number is -1 where none was
// found. The lock is held.
func (s *Server) apply(t *table, c change) (n int, created bool, err *rowError) {
	n, err = t.target(c)
	if err != nil {
		return n, false, err
	}
	created = n < 0
	if c.op == opUpsert && created {
		c.cells = append(c.cells, c.key)
	}
	if c.op == opDelete || c.op == opHard {
		if t.Denied {
			return n, false, bad("INSUFFICIENT_ACCESS_OR_READONLY", "insufficient access rights on object id")
		}
		if err := s.locked(t, n, c); err != nil {
			return n, false, err
		}
		s.remove(t, n, 0)
		s.log(write{c.via, t, int32(n), 'D', ""})
		return n, false, nil
	}
	if err := s.check(t, n, c); err != nil {
		return n, false, err
	}
	if err := s.locked(t, n, c); err != nil {
		return n, false, err
	}
	kind := byte('U')
	if created {
		n, kind = s.insert(t, c.cells), 'C'
	} else {
		s.set(t, n, c.cells, 0)
	}
	s.log(write{c.via, t, int32(n), kind, string(pack(nil, c.cells))})
	return n, created, nil
}

// target finds the record that a row is about, -1 if it is to be created.
func (t *table) target(c change) (int, *rowError) {
	if c.op == opInsert {
		return -1, nil
	}
	f := &t.Fields[c.key.field]
	if c.key.text == "" {
		if f.system == "Id" {
			return -1, bad("MISSING_ARGUMENT", "Id not specified in an "+c.op+" call")
		}
		return -1, bad("MISSING_ARGUMENT", f.Name+" not specified")
	}
	if f.system == "Id" {
		return t.byID(c)
	}
	n, more := t.index[c.key.field].first(c.key.text)
	if more {
		return -1, bad("DUPLICATE_EXTERNAL_ID", "more than one record found for external id field: ["+t.list(c.key)+"]", f.Name)
	}
	return n, nil
}

func (t *table) byID(c change) (int, *rowError) {
	full, ok := long(c.key.text)
	switch {
	case !ok || full[:3] != t.Prefix:
		return -1, bad("MALFORMED_ID", t.Name+" ID: id value of incorrect type: "+c.key.text, "Id")
	case t.find(full) < 0:
		return -1, bad("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")
	case t.recs[t.find(full)].deleted:
		return t.find(full), bad("ENTITY_IS_DELETED", "entity is deleted")
	}
	return t.find(full), nil
}

// list names the records that have the same key.
func (t *table) list(key cell) string {
	var ids []string
	for _, n := range t.byKey(key.field, key.text) {
		ids = append(ids, idOf(t.Prefix, int(n)))
	}
	return strings.Join(ids, ", ")
}

// check says what is wrong with a row's values; n is -1 for a new record.
func (s *Server) check(t *table, n int, c change) *rowError {
	if t.Denied {
		return bad("INSUFFICIENT_ACCESS_OR_READONLY", "insufficient access rights on object id")
	}
	for _, x := range c.cells {
		f := &t.Fields[x.field]
		if f.readOnly() || n < 0 && f.NoCreate || n >= 0 && f.NoUpdate {
			return bad("INVALID_FIELD_FOR_INSERT_UPDATE", "Unable to create/update fields: "+f.Name+
				". Please check the security settings of this field and verify that it is read/write for your profile or permission set.", f.Name)
		}
		if err := s.valid(t, f, x.text); err != nil {
			return err
		}
	}
	if err := required(t, n, c.cells); err != nil {
		return err
	}
	return t.unique(n, c.cells)
}

// required finds fields that may not be empty, and would be.
func required(t *table, n int, cells []cell) *rowError {
	var names []string
	for i := range t.Fields {
		f := &t.Fields[i]
		if !f.Required || f.Default != "" && n < 0 {
			continue
		}
		text, given := "", false
		for _, x := range cells {
			if x.field == i {
				text, given = x.text, true
			}
		}
		if given && text == "" || !given && n < 0 {
			names = append(names, f.Name)
		}
	}
	if names == nil {
		return nil
	}
	return bad("REQUIRED_FIELD_MISSING", "Required fields are missing: ["+strings.Join(names, ", ")+"]", names...)
}

// unique finds a value that another record has, in a field where none may.
func (t *table) unique(n int, cells []cell) *rowError {
	for _, x := range cells {
		f := &t.Fields[x.field]
		if !f.Unique || x.text == "" {
			continue
		}
		if other, _ := t.index[x.field].first(x.text); other >= 0 && other != n {
			return bad("DUPLICATE_VALUE", fmt.Sprintf("duplicate value found: %s duplicates value on record with id: %s", f.Name, idOf(t.Prefix, other)[:15]))
		}
	}
	return nil
}

// insert makes a record. Fields that are not given get their default.
func (s *Server) insert(t *table, cells []cell) int {
	n, now := len(t.recs), s.o.Now().UnixMilli()
	clear(t.vals)
	for i := range t.Fields {
		t.vals[i] = t.Fields[i].Default
	}
	for _, x := range cells {
		t.vals[x.field] = x.text
	}
	s.note(t, n)
	t.recs = append(t.recs, rec{data: t.packed(), created: now, modified: now})
	t.live++
	t.enter(n)
	return n
}

// set changes fields of a record.
func (s *Server) set(t *table, n int, cells []cell, by int32) {
	s.note(t, n)
	r := &t.recs[n]
	clear(t.vals)
	unpack(r.data, func(i int, text string) bool { t.vals[i] = text; return true })
	for _, x := range cells {
		if ix := t.index[x.field]; ix != nil && t.vals[x.field] != x.text {
			if t.vals[x.field] != "" {
				ix.remove(t.vals[x.field], n)
			}
			if x.text != "" {
				ix.add(x.text, n)
			}
		}
		t.vals[x.field] = x.text
	}
	r.data, r.modified, r.by = t.packed(), s.o.Now().UnixMilli(), by
}

// packed makes one text of the scratch values.
func (t *table) packed() string {
	buf := make([]byte, 0, 256)
	for i, text := range t.vals {
		if text != "" {
			buf = pack(buf, []cell{{i, text}})
		}
	}
	return string(buf)
}

// remove deletes a record; it stays for queryAll.
func (s *Server) remove(t *table, n int, by int32) {
	s.note(t, n)
	t.leave(n)
	r := &t.recs[n]
	r.deleted, r.modified, r.by = true, s.o.Now().UnixMilli(), by
	t.live--
}

// enter and leave keep the indexes.
func (t *table) enter(n int) {
	unpack(t.recs[n].data, func(i int, text string) bool {
		if x := t.index[i]; x != nil {
			x.add(text, n)
		}
		return true
	})
}

func (t *table) leave(n int) {
	unpack(t.recs[n].data, func(i int, text string) bool {
		if x := t.index[i]; x != nil {
			x.remove(text, n)
		}
		return true
	})
}

// before is a record as it was, for a request that is undone as a whole.
type before struct {
	t     *table
	n     int
	r     rec
	fresh bool
}

// journal remembers what a request changes.
type journal struct {
	list   []before
	writes int
}

func (s *Server) note(t *table, n int) {
	if s.undo == nil {
		return
	}
	b := before{t: t, n: n, fresh: n == len(t.recs)}
	if !b.fresh {
		b.r = t.recs[n]
	}
	s.undo.list = append(s.undo.list, b)
}

// rollBack undoes what the journal holds, and what the log says of it.
func (s *Server) rollBack() {
	for i := len(s.undo.list) - 1; i >= 0; i-- {
		b := s.undo.list[i]
		if !b.t.recs[b.n].deleted {
			b.t.leave(b.n)
			b.t.live--
		}
		if b.fresh {
			b.t.recs = b.t.recs[:b.n]
			continue
		}
		if b.t.recs[b.n] = b.r; !b.r.deleted {
			b.t.enter(b.n)
			b.t.live++
		}
	}
	s.writes = s.writes[:s.undo.writes]
}
