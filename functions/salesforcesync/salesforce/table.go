package salesforce

import (
	"io"
	"iter"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/reverse"
)

const pieceSize = 256 << 10 // bytes that go to the connection at a time

// writeTable writes rows as the CSV of an upload: a header of API names, LF, an empty
// cell for what stays as it is, #N/A for what is emptied. It writes no more than
// UploadMax bytes.
func writeTable(w io.Writer, t reverse.Task, rows iter.Seq2[reverse.Row, error]) error {
	piece := append(make([]byte, 0, pieceSize+pieceSize/8), t.Key...)
	if t.Operation != reverse.Delete {
		for _, f := range t.Fields {
			piece = append(append(piece, ','), f.Name...)
		}
	}
	piece = append(piece, '\n')
	total := int64(0)
	flush := func() error {
		if total += int64(len(piece)); total > reverse.UploadMax {
			return fault.New(fault.Invalid, "more than %d bytes: the rows must be sent in smaller parts", int64(reverse.UploadMax))
		}
		_, err := w.Write(piece)
		piece = piece[:0]
		return err
	}
	for row, err := range rows {
		if err != nil {
			return err
		}
		if piece, err = appendRow(piece, t, row); err != nil {
			return err
		}
		if len(piece) < pieceSize {
			continue
		}
		if err := flush(); err != nil {
			return err
		}
	}
	return flush()
}

// appendRow adds a line.
func appendRow(line []byte, t reverse.Task, row reverse.Row) ([]byte, error) {
	if row.Key == "" || row.Key == noValue {
		return line, fault.New(fault.Invalid, "a row of %s has no key", t.Object)
	}
	line = appendCell(line, row.Key)
	if t.Operation == reverse.Delete {
		return append(line, '\n'), nil
	}
	if len(row.Values) != len(t.Fields) {
		return line, fault.New(fault.Invalid, "a row has %d values for %d fields of %s", len(row.Values), len(t.Fields), t.Object)
	}
	for i, v := range row.Values {
		line = append(line, ',')
		switch {
		case !v.Set:
		case v.Text == nil || *v.Text == "":
			line = append(line, noValue...)
		case *v.Text == noValue:
			return line, fault.New(fault.Invalid, "%s: the text %s cannot be written: to bulk jobs it means none", t.Fields[i].Name, noValue)
		default:
			line = appendCell(line, *v.Text)
		}
	}
	return append(line, '\n'), nil
}

// appendCell adds a value, in quotes where it needs them.
func appendCell(line []byte, value string) []byte {
	if plainCell(value) {
		return append(line, value...)
	}
	line = append(line, '"')
	for {
		i := strings.IndexByte(value, '"')
		if i < 0 {
			return append(append(line, value...), '"')
		}
		line = append(append(line, value[:i+1]...), '"')
		value = value[i+1:]
	}
}

// plainCell reports whether a value can stand without quotes. One that begins or ends
// with a space cannot: values are not trimmed, but a person's eyes do that.
func plainCell(value string) bool {
	for i := range len(value) {
		switch value[i] {
		case ',', '"', '\n', '\r':
			return false
		}
	}
	first, _ := utf8.DecodeRuneInString(value)
	last, _ := utf8.DecodeLastRuneInString(value)
	return !unicode.IsSpace(first) && !unicode.IsSpace(last)
}
