package salesforce

import (
	"bufio"
	"encoding/csv"
	"io"
	"iter"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/reverse"
)

const pieceSize = 256 << 10 // bytes that go to the connection at a time

// counted counts what passes, and lets no more than UploadMax through.
type counted struct {
	to io.Writer
	n  int64
}

func (c *counted) Write(p []byte) (int, error) {
	if c.n += int64(len(p)); c.n > reverse.UploadMax {
		return 0, fault.New(fault.Invalid, "more than %d bytes: the rows must be sent in smaller parts", int64(reverse.UploadMax))
	}
	return c.to.Write(p)
}

// writeTable writes rows as the CSV of an upload: a header of API names, LF, an empty
// cell for what stays as it is, #N/A for what is emptied.
func writeTable(w io.Writer, t reverse.Task, rows iter.Seq2[reverse.Row, error]) error {
	buffer := bufio.NewWriterSize(&counted{to: w}, pieceSize)
	out := csv.NewWriter(buffer)
	cells := []string{t.Key}
	for _, f := range t.Fields {
		cells = append(cells, f.Name)
	}
	if t.Operation == reverse.Delete {
		cells = cells[:1]
	}
	if err := out.Write(cells); err != nil {
		return err
	}
	for row, err := range rows {
		if err != nil {
			return err
		}
		if err := fill(cells, t, row); err != nil {
			return err
		}
		if err := out.Write(cells); err != nil {
			return err
		}
	}
	if out.Flush(); out.Error() != nil {
		return out.Error()
	}
	return buffer.Flush()
}

// fill puts a row into the cells.
func fill(cells []string, t reverse.Task, row reverse.Row) error {
	if row.Key == "" || row.Key == noValue {
		return fault.New(fault.Invalid, "a row of %s has no key", t.Object)
	}
	cells[0] = row.Key
	if len(cells) == 1 {
		return nil
	}
	if len(row.Values) != len(t.Fields) {
		return fault.New(fault.Invalid, "a row has %d values for %d fields of %s", len(row.Values), len(t.Fields), t.Object)
	}
	for i, v := range row.Values {
		switch {
		case !v.Set:
			cells[i+1] = ""
		case v.Text == nil || *v.Text == "":
			cells[i+1] = noValue
		case *v.Text == noValue:
			return fault.New(fault.Invalid, "%s: the text %s cannot be written: to bulk jobs it means none", t.Fields[i].Name, noValue)
		default:
			cells[i+1] = *v.Text
		}
	}
	return nil
}
