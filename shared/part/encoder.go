package part

import (
	"bytes"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/record"
)

// maxDrift bounds how many undeclared names are remembered: a vendor that uses
// ids as names must not fill the memory.
const maxDrift = 1000

// Encoder makes the lines of one table. It keeps buffers between rows, so it is
// not safe for concurrent use.
//
// Nulls are not judged here, not even in a column that is not nullable: that is
// for the gate's not_null rules, which have levels.
type Encoder struct {
	table   record.Table
	columns []column       // declared ones, then those found on the way
	byField map[string]int // vendor's name → index of columns
	byName  map[string]int // warehouse name → index of columns
	extra   int            // index of _extra
	drift   map[string]struct{}
	begun   bool // a row or a header was seen

	row  int64 // JSON rows seen; tells which columns an extra filled
	next []int // [last+1] is the column that followed column last in the row before
	dec  jsontext.Decoder
	opts []jsontext.Options
	buf  bytes.Buffer
	text []byte // an unquoted string
	num  []byte // a number on its way to a time
	rest []byte // the object for _extra

	header []binding // by position
	groups []group   // json columns that collect cells
	nulls  []string
}

// column is a column with what every one of its values needs.
type column struct {
	record.Column
	prefix []byte // ,"name":
	seen   bool   // by any row or header
	given  int64  // the last row in which an extra filled it
	sent   int64  // the last row in which the vendor did
	hidden bool   // one of ours, not of the table
}

// NewEncoder makes an encoder for the rows of t.
func NewEncoder(t record.Table) *Encoder {
	e := &Encoder{table: t, byField: map[string]int{}, byName: map[string]int{}, drift: map[string]struct{}{}, next: []int{0},
		opts: []jsontext.Options{jsontext.AllowDuplicateNames(true)}} // repeated checks for itself, faster
	for _, c := range t.Columns {
		e.add(c)
	}
	e.extra = e.system(record.ColumnExtra, record.Document)
	return e
}

// add takes a column that vendors fill.
func (e *Encoder) add(c record.Column) int {
	if c.Field == "" {
		c.Field = c.Name
	}
	i := e.append(column{Column: c})
	if _, ok := e.byField[c.Field]; !ok {
		e.byField[c.Field] = i
	}
	return i
}

// system returns the column of ours called name, whether it is declared or not.
func (e *Encoder) system(name string, t record.Type) int {
	if i, ok := e.byName[name]; ok {
		return i
	}
	return e.append(column{Column: record.Column{Name: name, Type: t, Nullable: true}, hidden: true})
}

func (e *Encoder) append(c column) int {
	i := len(e.columns)
	c.prefix = memberPrefix(c.Name)
	e.columns = append(e.columns, c)
	e.next = append(e.next, i+1)
	e.byName[c.Name] = i
	return i
}

// memberPrefix is what stands before a value: a comma (the first one of a line
// becomes a brace at the end), the quoted name, a colon.
func memberPrefix(name string) []byte {
	p, _ := jsontext.AppendQuote([]byte{','}, name)
	return append(p, ':')
}

// Columns returns the table's columns and those that a header added, in order.
func (e *Encoder) Columns() []record.Column {
	var cols []record.Column
	for i := range e.columns {
		if !e.columns[i].hidden {
			cols = append(cols, e.columns[i].Column)
		}
	}
	return cols
}

// Begun reports whether there was a row or a header to compare with the table.
func (e *Encoder) Begun() bool { return e.begun }

// Drift compares what was seen so far with the declared table. Before the first
// row and the first header nothing is missing.
func (e *Encoder) Drift() Drift {
	var d Drift
	for name := range e.drift {
		d.New = append(d.New, name)
	}
	slices.Sort(d.New)
	for i := range e.columns {
		if c := &e.columns[i]; e.begun && !c.seen && !c.hidden && !strings.HasPrefix(c.Name, "_") {
			d.Missing = append(d.Missing, c.Field)
		}
	}
	slices.Sort(d.Missing)
	return d
}

func (e *Encoder) drifted(name []byte) {
	if _, ok := e.drift[string(name)]; !ok && len(e.drift) < maxDrift {
		e.drift[string(name)] = struct{}{}
	}
}

func misfit(c *column) *Reject { return &Reject{Reason: reason(c), Rule: string(c.Type)} }

// finish closes the line that begins at start: its first comma becomes a brace.
func finish(dst []byte, start int) []byte {
	if len(dst) == start {
		return append(dst, "{}\n"...)
	}
	dst[start] = '{'
	return append(dst, '}', '\n')
}

// extras appends the values that the connector knows.
func (e *Encoder) extras(dst []byte, extra []Field) ([]byte, *Reject, error) {
	for _, f := range extra {
		i, ok := e.byName[f.Column]
		if !ok && !strings.HasPrefix(f.Column, "_") {
			return dst, nil, fault.New(fault.Invalid, "table %s has no column %s: declare it in the row type, or correct the connector", e.table.FullName(), f.Column)
		}
		if !ok {
			i = e.system(f.Column, record.Text)
		}
		c := &e.columns[i]
		c.given, c.seen = e.row, true
		if f.Value == "" && c.Type != record.Text {
			continue
		}
		e.text = append(e.text[:0], f.Value...)
		if dst, ok = e.appendText(dst, c, e.text); !ok {
			return dst, misfit(c), nil
		}
	}
	return dst, nil, nil
}
