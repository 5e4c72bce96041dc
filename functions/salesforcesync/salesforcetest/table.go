package salesforcetest

import (
	"encoding/binary"
	"slices"
	"strings"
)

// table holds the records of an object. A record is one text of its fields, so that
// a million of them take some hundred bytes each.
type table struct {
	Object
	byName map[string]int // field, exactly as declared
	lower  map[string]int // field in lower case
	recs   []rec
	live   int
	index  map[int]*index // of the fields that records can be found by
	vals   []string       // scratch
}

// rec is a record; its id says where it lies.
type rec struct {
	data              string // see pack
	created, modified int64  // Unix milliseconds
	by                int32  // user who changed it last
	deleted           bool
}

// cell is a field's value; "" is null.
type cell struct {
	field int
	text  string
}

func newTable(o Object) *table {
	o.Fields = append(slices.Clone(system), o.Fields...)
	t := &table{Object: o, byName: map[string]int{}, lower: map[string]int{}, index: map[int]*index{}, vals: make([]string, len(o.Fields))}
	for i, f := range o.Fields {
		if f.Hidden {
			continue
		}
		t.byName[f.Name] = i
		t.lower[strings.ToLower(f.Name)] = i
	}
	for i, f := range o.Fields {
		if f.ExternalID || f.Unique {
			t.index[i] = &index{one: map[string]int32{}, more: map[string][]int32{}, exact: f.CaseSensitive}
		}
	}
	return t
}

// pack appends cells as field, length and one, text: a null is length zero.
func pack(to []byte, cells []cell) []byte {
	for _, c := range cells {
		to = binary.AppendUvarint(to, uint64(c.field))
		if c.text == "" {
			to = append(to, 0)
			continue
		}
		to = binary.AppendUvarint(to, uint64(len(c.text)+1))
		to = append(to, c.text...)
	}
	return to
}

// unpack calls each for the cells of a packed text until it returns false.
func unpack(data string, each func(field int, text string) bool) {
	for len(data) > 0 {
		field, rest := uvarint(data)
		size, rest := uvarint(rest)
		text := ""
		if size > 0 {
			text, rest = rest[:size-1], rest[size-1:]
		}
		if !each(field, text) {
			return
		}
		data = rest
	}
}

func uvarint(s string) (int, string) {
	v, shift := 0, 0
	for i := range len(s) {
		v |= int(s[i]&0x7f) << shift
		if s[i] < 0x80 {
			return v, s[i+1:]
		}
		shift += 7
	}
	return v, ""
}

// value is the canonical text of a field of record n, "" for null.
func (t *table) value(n, field int) string {
	r, f := &t.recs[n], &t.Fields[field]
	switch f.system {
	case "":
	case "Id":
		return idOf(t.Prefix, n)
	case "IsDeleted":
		return boolText(r.deleted)
	case "CreatedDate":
		return stamp(r.created)
	case "CreatedById":
		return idOf("005", 0)
	case "LastModifiedById":
		return idOf("005", int(r.by))
	default:
		return stamp(r.modified)
	}
	if f.Formula != nil {
		return f.Formula(func(name string) string {
			if i, ok := t.byName[name]; ok {
				return t.value(n, i)
			}
			return ""
		})
	}
	out := ""
	unpack(r.data, func(i int, text string) bool {
		if i == field {
			out = text
		}
		return i != field
	})
	return out
}

// find is the record with an id, -1 if there was never one.
func (t *table) find(id string) int {
	full, ok := long(id)
	if !ok || full[:3] != t.Prefix {
		return -1
	}
	if n := number(full); n < len(t.recs) {
		return n
	}
	return -1
}

// byKey are the live records whose field has a value.
func (t *table) byKey(field int, value string) []int32 {
	if x := t.index[field]; x != nil {
		return x.find(value)
	}
	if t.Fields[field].system == "Id" {
		if n := t.find(value); n >= 0 && !t.recs[n].deleted {
			return []int32{int32(n)}
		}
	}
	return nil
}

// index finds records by a value. Case does not count, unless exact.
type index struct {
	one   map[string]int32 // the first
	more  map[string][]int32
	exact bool
}

func (x *index) key(value string) string {
	if x.exact {
		return value
	}
	return strings.ToLower(value)
}

func (x *index) find(value string) []int32 {
	key := x.key(value)
	n, ok := x.one[key]
	if !ok {
		return nil
	}
	return append([]int32{n}, x.more[key]...)
}

// first is the record with a value, -1 if there is none, and whether there are more.
func (x *index) first(value string) (n int, more bool) {
	key := x.key(value)
	i, ok := x.one[key]
	if !ok {
		return -1, false
	}
	return int(i), len(x.more[key]) > 0
}

func (x *index) add(value string, n int) {
	key := strings.Clone(x.key(value))
	if _, ok := x.one[key]; ok {
		x.more[key] = append(x.more[key], int32(n))
		return
	}
	x.one[key] = int32(n)
}

func (x *index) remove(value string, n int) {
	key := x.key(value)
	rest := slices.DeleteFunc(x.find(value), func(i int32) bool { return i == int32(n) })
	delete(x.one, key)
	delete(x.more, key)
	for _, i := range rest {
		x.add(value, int(i))
	}
}

func boolText(v bool) string {
	if v {
		return "true"
	}
	return "false"
}
