package extract

import (
	"context"
	"io"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/part"
)

// Sheet says how the records of a wide CSV become rows: one for each of the cells.
type Sheet struct {
	Value  string         // the column that a cell goes to
	Cells  []int          // where in a record the cells are, from 0 on
	Fields [][]part.Field // what the rows of each of Cells have beside the value, such as a period
	Null   string         // the text of a cell without a value; an empty one has none either

	// Record is what all rows of a record share. It is given the whole record, and
	// what it returns is used before it is called again.
	Record func(cells [][]byte) ([]part.Field, error)
}

// CSVWide stages the cells of a wide CSV document, plain or compressed, as rows of
// their own. layout is asked once, for the header. It returns how many records there
// were. A record with more or fewer cells than the header is fault.Corrupt: which
// value belongs to which header nobody knows. Pages are the caller's.
func (o *Out) CSVWide(r io.Reader, layout func(header []string) (Sheet, error)) (records int64, err error) {
	if err := o.settle(); err != nil {
		return 0, err
	}
	plain, err := part.Decompress(r)
	if err != nil {
		return 0, err
	}
	defer plain.Close()
	c := part.NewCSV(plain)
	cells, err := c.Next()
	if err == io.EOF {
		return 0, fault.New(fault.Corrupt, "the document is empty: not even a header")
	}
	if err != nil {
		return 0, err
	}
	header := make([]string, len(cells))
	for i, cell := range cells {
		header[i] = string(cell)
	}
	sheet, err := layout(header)
	if err != nil {
		return 0, err
	}
	w, err := o.enc.Wide(sheet.Value, sheet.Fields)
	if err != nil {
		return 0, err
	}
	s := split(c)
	defer s.stop()
	for {
		cells, err := s.next()
		if err == io.EOF {
			return records, nil
		}
		if records++; err == nil && len(cells) != len(header) {
			err = fault.New(fault.Corrupt, "record %d has %d cells, the header has %d", records, len(cells), len(header))
		}
		if err == nil {
			err = o.wide(w, &sheet, cells)
		}
		if err != nil {
			return records, err
		}
	}
}

// wide stages the rows of one record.
func (o *Out) wide(w *part.Wide, sheet *Sheet, cells [][]byte) error {
	shared, err := sheet.Record(cells)
	if err == nil {
		err = w.Record(shared)
	}
	for i := 0; i < len(sheet.Cells) && err == nil; i++ {
		cell := cells[sheet.Cells[i]]
		if len(cell) == 0 || string(cell) == sheet.Null {
			cell = nil
		}
		line, rej := w.Cell(o.line[:0], i, cell)
		err = o.put(line, rej)
	}
	if _, bytes := o.parts.Pending(); err == nil && bytes >= rollBytes {
		err = o.alive()
	}
	return err
}

// alive closes a part and renews the lease in the middle of a long page. Nothing is
// saved: a crash costs the page.
func (o *Out) alive() error {
	if err := o.ctx.Err(); err != nil {
		return err
	}
	if err := o.parts.Roll(); err != nil {
		return err
	}
	o.report()
	row := o.row
	row.Cursor, row.RowsSource, row.RowsStaged, row.RowsRejected = o.saved, o.p.Source, o.p.Staged, o.p.Rejected
	return o.e.Warehouse.Progress(context.WithoutCancel(o.ctx), row, o.e.lease())
}
