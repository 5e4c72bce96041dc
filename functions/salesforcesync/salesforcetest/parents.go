package salesforcetest

import (
	"slices"
	"strings"
)

// relationship finds the reference whose parent a name stands for, -1 if there is none.
func (t *table) relationship(name string) int {
	return slices.IndexFunc(t.Fields, func(f Field) bool {
		return f.Relationship != "" && !f.Hidden && strings.EqualFold(f.Relationship, name)
	})
}

// parent finds a record by an external id of its own, for a field that refers to it.
func (s *Server) parent(f *Field, by, value string) (id string, err *rowError) {
	for _, name := range f.To {
		t := s.table(name)
		if t == nil {
			continue
		}
		i, ok := t.lower[strings.ToLower(by)]
		if !ok || t.index[i] == nil {
			continue
		}
		n, more := t.index[i].first(value)
		if more || n < 0 {
			return "", bad("INVALID_FIELD", "Foreign key external ID: "+value+" not found for field "+by+" in entity "+t.Name)
		}
		return idOf(t.Prefix, n), nil
	}
	return "", bad("INVALID_FIELD", "No such column '"+by+"' on the parents of "+f.Name)
}

// lock is a fault: rows that have one of some values are refused a few times.
type lock struct {
	t     *table
	field int
	left  map[string]int // by value
}

// Lock lets the next times writes of each record whose field has one of some values
// fail with UNABLE_TO_LOCK_ROW.
func (s *Server) Lock(object, field string, times int, values ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, i := s.must(object, field)
	l := &lock{t, i, map[string]int{}}
	for _, v := range values {
		l.left[v] = times
	}
	s.locks = append(s.locks, l)
}

// locked refuses a row whose lock somebody else has.
func (s *Server) locked(t *table, n int, c change) *rowError {
	for _, l := range s.locks {
		if l.t != t {
			continue
		}
		value := t.after(n, c, l.field)
		if l.left[value] > 0 {
			l.left[value]--
			return noLock(t, n)
		}
	}
	if s.fight == nil {
		return nil
	}
	for i := range t.Fields {
		if t.Fields[i].Locks && s.fight.lost(t.after(n, c, i)) {
			return noLock(t, n)
		}
	}
	return nil
}

func noLock(t *table, n int) *rowError {
	of := ""
	if n >= 0 {
		of = idOf(t.Prefix, n)
	}
	return bad("UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access to this record or 1 records: "+of)
}

// after is what a field of a record will hold once a row is done.
func (t *table) after(n int, c change, field int) string {
	if c.key.field == field {
		return c.key.text
	}
	for _, x := range c.cells {
		if x.field == field {
			return x.text
		}
	}
	if n < 0 {
		return ""
	}
	return t.value(n, field)
}

// fight is over the locks of parents: those that jobs at the same time want, and
// those that an earlier batch of this job has.
type fight struct {
	busy  map[string]bool
	batch int
	seen  map[string]int
}

func (f *fight) lost(parent string) bool {
	if parent == "" {
		return false
	}
	first, seen := f.seen[parent]
	if !seen {
		f.seen[parent] = f.batch
	}
	return f.busy[parent] || seen && first != f.batch
}
