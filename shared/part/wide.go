package part

import (
	"bytes"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace-data/millrace/shared/fault"
)

// Wide makes rows of the cells of wide records, as spreadsheets and planning tools
// send them: a few columns say what a record is about, and each of the others holds
// a value whose header says of what. What the rows of a record share, and what those
// of a header share, is encoded once.
type Wide struct {
	e      *Encoder
	value  *column
	of     [][]Field // of each cell, as given
	heads  [][]byte  // the same, encoded
	shared []Field   // of the record, as given
	record []byte    // the same, encoded
	bad    *Reject   // why no row of the record fits
}

// Wide lays out records: a cell goes to the column called value, and of[i] is what
// the row of cell i has beside it. fault.Invalid: the table lacks a column, or a
// field of a header does not fit its own.
func (e *Encoder) Wide(value string, of [][]Field) (*Wide, error) {
	e.begun = true
	i, ok := e.byName[value]
	if !ok {
		return nil, fault.New(fault.Invalid, "table %s has no column %s: declare it in the row type, or correct the connector", e.table.FullName(), value)
	}
	e.columns[i].seen = true
	w := &Wide{e: e, value: &e.columns[i], of: of}
	for _, fields := range of {
		head, rej, err := e.extras(nil, fields)
		if rej != nil {
			err = fault.New(fault.Invalid, "header of a wide record: %s", rej.Reason)
		}
		if err != nil {
			return nil, err
		}
		w.heads = append(w.heads, head)
	}
	return w, nil
}

// Record begins a record. fault.Invalid: the table lacks a column.
func (w *Wide) Record(shared []Field) (err error) {
	w.shared = shared
	w.record, w.bad, err = w.e.extras(w.record[:0], shared)
	return err
}

// Cell appends the line of cell i to dst, with its newline. A cell that is nil is
// a null. A value that does not fit is a Reject, and dst is returned unchanged.
func (w *Wide) Cell(dst []byte, i int, cell []byte) ([]byte, *Reject) {
	start, ok := len(dst), true
	if w.bad != nil {
		return dst, &Reject{Row: w.object(i, cell), Reason: w.bad.Reason, Rule: w.bad.Rule}
	}
	dst = append(append(dst, w.record...), w.heads[i]...)
	if cell != nil {
		if dst, ok = w.e.appendText(dst, w.value, cell); !ok {
			return dst[:start], &Reject{Row: w.object(i, cell), Reason: reason(w.value), Rule: string(w.value.Type)}
		}
	}
	return finish(dst, start), nil
}

// object is a row as JSON, {"column":"value"}.
func (w *Wide) object(i int, cell []byte) []byte {
	var o []byte
	for _, f := range slices.Concat(w.shared, w.of[i], []Field{{w.value.Name, string(cell)}}) {
		o, _ = jsontext.AppendQuote(append(o, memberPrefix(f.Column)...), bytes.ToValidUTF8([]byte(f.Value), []byte("\ufffd")))
	}
	return append(append([]byte{'{'}, o[1:]...), '}')
}
