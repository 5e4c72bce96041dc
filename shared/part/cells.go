package part

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/record"
)

const bom = "\ufeff"

// binding says where the cells of one header go: to a column, or into a group.
type binding struct {
	name   string // as in the header, trimmed
	prefix []byte // ,"name": for the group's object and for rejects
	column int    // index of columns, or -1
	group  int    // index of groups, where column is -1
}

// group collects cells for one json column; object is the row's, so far.
type group struct {
	column int
	object []byte
}

// Header binds the names of a CSV header to columns, by name and not by place,
// for the calls of Cells that follow. Names are trimmed; a BOM is removed.
// A name that is not declared goes to the column that gathers its prefix (the
// longest one wins), or becomes a text column where the table is open, or goes
// to _extra. Another header may follow for another file.
//
// It returns fault.Corrupt where a name stands twice or a column that is not
// nullable has none, and fault.Invalid where opts names a column to gather into
// that is not a json column of the table.
func (e *Encoder) Header(names []string, opts CSVOptions) error {
	e.begun = true
	e.header, e.groups, e.nulls = nil, nil, opts.Nulls
	for prefix, name := range opts.Gather {
		if c, ok := e.table.Column(name); !ok || c.Type != record.Document {
			return fault.New(fault.Invalid, "headers %s* gather into %s, which is no json column of table %s", prefix, name, e.table.FullName())
		}
	}
	found := map[string]bool{}
	for _, name := range names {
		name = strings.TrimSpace(strings.TrimPrefix(name, bom))
		if found[name] {
			return fault.New(fault.Corrupt, "header %q stands twice in the file for table %s", name, e.table.FullName())
		}
		found[name] = true
		e.header = append(e.header, e.bind(name, opts.Gather))
	}
	return e.required(found)
}

func (e *Encoder) bind(name string, gather map[string]string) binding {
	b := binding{name: name, prefix: memberPrefix(name), column: -1}
	if i, ok := e.byField[name]; ok {
		e.columns[i].seen = true
		b.column = i
		return b
	}
	if target := longest(gather, name); target != "" {
		b.group = e.group(e.byName[target])
		return b
	}
	e.drifted([]byte(name))
	if e.table.Open {
		b.column = e.open(name)
		return b
	}
	b.group = e.group(e.extra)
	return b
}

// longest returns the column of the longest prefix of name.
func longest(gather map[string]string, name string) (column string) {
	best := -1
	for prefix, c := range gather {
		if strings.HasPrefix(name, prefix) && len(prefix) > best {
			best, column = len(prefix), c
		}
	}
	return column
}

// group returns the index of the group that fills a column.
func (e *Encoder) group(column int) int {
	e.columns[column].seen = true
	i := slices.IndexFunc(e.groups, func(g group) bool { return g.column == column })
	if i < 0 {
		i = len(e.groups)
		e.groups = append(e.groups, group{column: column})
	}
	return i
}

// open adds a text column for a header; a name that is taken gets _2, _3 ….
func (e *Encoder) open(field string) int {
	base := record.Snake(field)
	name := base
	for n := 2; ; n++ {
		if _, taken := e.byName[name]; !taken {
			break
		}
		name = base + "_" + strconv.Itoa(n)
	}
	i := e.add(record.Column{Name: name, Field: field, Type: record.Text, Nullable: true})
	e.columns[i].seen = true
	return i
}

func (e *Encoder) required(found map[string]bool) error {
	var missing []string
	for i := range e.columns {
		c := &e.columns[i]
		bound := found[c.Field] || slices.ContainsFunc(e.groups, func(g group) bool { return g.column == i })
		if !c.Nullable && !bound && !strings.HasPrefix(c.Name, "_") {
			missing = append(missing, c.Field)
		}
	}
	if len(missing) > 0 {
		return fault.New(fault.Corrupt, "header of the file for table %s lacks %s: the vendor renamed or dropped them", e.table.FullName(), strings.Join(missing, ", "))
	}
	return nil
}

// Cells appends the line for one CSV record to dst, with its newline. row is the
// record's number in the file, 1 for the first one after the header, and becomes
// _row. Empty cells and opts.Nulls are null. cells are not kept.
//
// A record with another number of cells than the header, or a cell that does not
// fit its column, is a Reject, and dst is returned unchanged. An error is
// fault.Invalid: Header was not called.
func (e *Encoder) Cells(dst []byte, cells [][]byte, row int64) ([]byte, *Reject, error) {
	if e.header == nil {
		return dst, nil, fault.New(fault.Invalid, "cells of table %s came before a header", e.table.FullName())
	}
	if len(cells) != len(e.header) {
		reason := fmt.Sprintf("%d cells, header has %d", len(cells), len(e.header))
		return dst, &Reject{Row: e.object(cells), Reason: reason, Rule: "cells"}, nil
	}
	start := len(dst)
	for i := range e.groups {
		e.groups[i].object = e.groups[i].object[:0]
	}
	for i, cell := range cells {
		if len(cell) == 0 || e.null(cell) {
			continue
		}
		var ok bool
		b := &e.header[i]
		if b.column < 0 {
			g := &e.groups[b.group]
			if g.object, ok = appendQuoted(append(g.object, b.prefix...), cell); !ok {
				return dst[:start], e.reject(cells, "column "+e.columns[g.column].Name+": text is not UTF-8", "text"), nil
			}
			continue
		}
		c := &e.columns[b.column]
		if dst, ok = e.appendCell(dst, c, cell); !ok {
			return dst[:start], e.reject(cells, reason(c), string(c.Type)), nil
		}
	}
	dst = e.collected(dst)
	dst = append(dst, `,"`+record.ColumnRow+`":"`...)
	dst = append(strconv.AppendInt(dst, row, 10), '"')
	return finish(dst, start), nil, nil
}

// appendCell appends a cell. Blanks alone are null, except in a text.
func (e *Encoder) appendCell(dst []byte, c *column, cell []byte) ([]byte, bool) {
	if c.Type != record.Text && len(bytes.TrimSpace(cell)) == 0 {
		return dst, true
	}
	return e.appendText(dst, c, cell)
}

// collected appends the groups that hold something in this row.
func (e *Encoder) collected(dst []byte) []byte {
	for i := range e.groups {
		g := &e.groups[i]
		if len(g.object) == 0 {
			continue
		}
		g.object[0] = '{'
		g.object = append(g.object, '}')
		dst, _ = appendQuoted(append(dst, e.columns[g.column].prefix...), g.object)
	}
	return dst
}

func (e *Encoder) null(cell []byte) bool {
	for _, n := range e.nulls {
		if string(cell) == n {
			return true
		}
	}
	return false
}

func (e *Encoder) reject(cells [][]byte, reason, rule string) *Reject {
	return &Reject{Row: e.object(cells), Reason: reason, Rule: rule}
}

// object is the record as JSON, {"header":"cell"}; cells beyond the header are
// called #28, #29 …. What is not UTF-8 becomes the replacement character.
func (e *Encoder) object(cells [][]byte) []byte {
	var o []byte
	for i, cell := range cells {
		if i < len(e.header) {
			o = append(o, e.header[i].prefix...)
		} else {
			o = append(o, memberPrefix("#"+strconv.Itoa(i+1))...)
		}
		o, _ = jsontext.AppendQuote(o, bytes.ToValidUTF8(cell, []byte("\ufffd")))
	}
	return append(append([]byte{'{'}, o[min(1, len(o)):]...), '}')
}
