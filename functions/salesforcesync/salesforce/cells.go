package salesforce

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// cells reads CSV as Salesforce writes it. It is not encoding/csv because a million
// results would cost a string each, and because that changes a line end within a
// value, which may be in a key.
type cells struct {
	in     *bufio.Reader
	strict bool // every row has as many cells as the first
	width  int
	quotes int    // in the row at hand
	record []byte // of more than one line, or of one that is longer than the buffer
	row    [][]byte
}

var (
	errQuote = errors.New("a quote in the wrong place, or none at the end")
	errWidth = errors.New("a row has more or fewer cells than the header")
)

func newCells(r io.Reader, strict bool) *cells {
	return &cells{in: bufio.NewReaderSize(r, 64<<10), strict: strict}
}

// read returns the next row, which is good until the one after it; io.EOF at the end.
// Empty lines are no rows.
func (c *cells) read() ([][]byte, error) {
	for {
		line, err := c.whole()
		if err != nil {
			return nil, err
		}
		line = bytes.TrimSuffix(line, []byte("\r"))
		if c.width == 0 {
			line = bytes.TrimPrefix(line, []byte(bom))
		}
		if len(line) == 0 {
			continue
		}
		if err := c.split(line); err != nil {
			return nil, err
		}
		if c.width == 0 {
			c.width = len(c.row)
		}
		if c.strict && len(c.row) != c.width {
			return nil, errWidth
		}
		return c.row, nil
	}
}

const bom = "\ufeff"

// whole returns the bytes of the next row, without its line end: lines until every quote
// has its second one.
func (c *cells) whole() ([]byte, error) {
	line, err := c.in.ReadSlice('\n')
	c.quotes = bytes.Count(line, quoteMark)
	if err == nil && c.quotes%2 == 0 {
		return line[:len(line)-1], nil
	}
	c.record = c.record[:0]
	for {
		c.record = append(c.record, line...)
		switch {
		case errors.Is(err, io.EOF) && c.quotes%2 == 1:
			return nil, errQuote
		case errors.Is(err, io.EOF) && len(c.record) == 0:
			return nil, io.EOF
		case errors.Is(err, io.EOF):
			return c.record, nil
		case err != nil && !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		case err == nil && c.quotes%2 == 0:
			return c.record[:len(c.record)-1], nil
		}
		line, err = c.in.ReadSlice('\n')
		c.quotes += bytes.Count(line, quoteMark)
	}
}

var quoteMark = []byte{'"'}

// split cuts a row into its cells.
func (c *cells) split(line []byte) error {
	c.row = c.row[:0]
	for {
		var cell []byte
		var err error
		switch {
		case c.quotes > 0 && len(line) > 0 && line[0] == '"':
			cell, line, err = quoted(line[1:])
		case c.quotes > 0:
			cell, line, err = plain(line)
		default:
			cell, line = cut(line)
		}
		if err != nil {
			return err
		}
		if c.row = append(c.row, cell); line == nil {
			return nil
		}
	}
}

// plain cuts off a cell that does not begin with a quote.
func plain(line []byte) (cell, rest []byte, err error) {
	if cell, rest = cut(line); bytes.IndexByte(cell, '"') >= 0 {
		return nil, nil, errQuote
	}
	return cell, rest, nil
}

// cut cuts off what stands before the next comma; rest is nil behind the last one.
func cut(line []byte) (cell, rest []byte) {
	if i := bytes.IndexByte(line, ','); i >= 0 {
		return line[:i], line[i+1:]
	}
	return line, nil
}

// quoted cuts off a cell whose first quote is gone. Doubled quotes are made one, in
// place.
func quoted(line []byte) (cell, rest []byte, err error) {
	n := 0 // length of the cell so far
	for at := 0; ; {
		i := bytes.IndexByte(line[at:], '"')
		if i < 0 {
			return nil, nil, errQuote
		}
		if n == at { // nothing was doubled yet
			n += i
		} else {
			n += copy(line[n:], line[at:at+i])
		}
		at += i + 1
		switch {
		case at == len(line):
			return line[:n], nil, nil
		case line[at] == ',':
			return line[:n], line[at+1:], nil
		case line[at] != '"':
			return nil, nil, errQuote
		}
		line[n] = '"'
		n, at = n+1, at+1
	}
}
