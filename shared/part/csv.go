package part

import (
	"bytes"
	"errors"
	"io"

	"github.com/millrace-data/millrace/shared/fault"
)

const (
	csvBuffer = 256 << 10 // bytes; grows with the longest record
	csvRecord = 16 << 20  // bytes; a longer record is a lost quote
)

// errShort asks for more bytes; it never leaves this file.
var errShort = errors.New("the buffer ends before the record")

// CSV splits RFC 4180 records: commas, optional quotes, "" for a quote within
// quotes, LF or CRLF. It removes a BOM, skips empty lines, and keeps a quote
// within an unquoted cell as it is. It holds one record, not the file, and does
// not look at how many cells a record has: [Encoder.Cells] does.
type CSV struct {
	r    io.Reader
	err  error // of r; io.EOF once all is in buf
	buf  []byte
	at   int // of the next record in buf
	line int64
	next int64 // line at which the next record begins

	cells [][]byte
	spans []span
}

// span is a cell in the buffer, without its quotes.
type span struct {
	from, to int
	escaped  bool // holds ""
}

// NewCSV splits r. Give it plain text, for example from [Decompress].
func NewCSV(r io.Reader) *CSV { return &CSV{r: r, next: 1} }

// Line is the line at which the last record began; 1 is the first of the file.
func (c *CSV) Line() int64 { return c.line }

// Next returns the cells of the next record, valid until the next call, and
// io.EOF after the last one. A quote that is never closed, text behind a closing
// quote, or a record of more than 16 MiB is fault.Corrupt with the line.
func (c *CSV) Next() ([][]byte, error) {
	if c.buf == nil {
		if err := c.begin(); err != nil {
			return nil, err
		}
	}
	for {
		end := bytes.IndexByte(c.buf[c.at:], '\n')
		if end < 0 && c.err == nil {
			if err := c.fill(); err != nil {
				return nil, err
			}
			continue
		}
		if end < 0 && (c.err != io.EOF || c.at == len(c.buf)) {
			return nil, c.err
		}
		c.line = c.next
		record, skip := c.buf[c.at:], len(c.buf)-c.at
		if end >= 0 {
			record, skip = record[:end], end+1
		}
		if bytes.IndexByte(record, '"') >= 0 {
			return c.quoted()
		}
		c.at += skip
		c.next++
		if record = bytes.TrimSuffix(record, []byte{'\r'}); len(record) > 0 {
			return c.plain(record), nil
		}
	}
}

// plain splits a record without quotes.
func (c *CSV) plain(record []byte) [][]byte {
	c.cells = c.cells[:0]
	for {
		i := bytes.IndexByte(record, ',')
		if i < 0 {
			c.cells = append(c.cells, record)
			return c.cells
		}
		c.cells = append(c.cells, record[:i:i])
		record = record[i+1:]
	}
}

// quoted splits a record that holds a quote. It first finds the record's end,
// reading more as needed, and only then changes the buffer to undo the escapes.
func (c *CSV) quoted() ([][]byte, error) {
	size, err := c.scan()
	for err == errShort {
		if err = c.fill(); err == nil {
			size, err = c.scan()
		}
	}
	if err != nil {
		return nil, err
	}
	c.next += int64(bytes.Count(c.buf[c.at:c.at+size], []byte{'\n'}))
	c.cells = c.cells[:0]
	for _, s := range c.spans {
		cell := c.buf[c.at+s.from : c.at+s.to : c.at+s.to]
		if s.escaped {
			cell = unescape(cell)
		}
		c.cells = append(c.cells, cell)
	}
	c.at += size
	return c.cells, nil
}

// scan finds the cells of the record at c.at, and its size with the line's end.
// It returns errShort where the buffer ends before the record does.
func (c *CSV) scan() (size int, err error) {
	c.spans = c.spans[:0]
	b := c.buf[c.at:]
	for i := 0; ; i++ {
		var s span
		if i < len(b) && b[i] == '"' {
			s, i, err = c.scanQuoted(b, i)
		} else {
			s, i, err = c.scanPlain(b, i)
		}
		if err != nil {
			return 0, err
		}
		c.spans = append(c.spans, s)
		if i == len(b) {
			return i, nil
		}
		if b[i] == '\n' {
			return i + 1, nil
		}
	}
}

// scanPlain reads an unquoted cell from i on, and returns where its comma or
// line end is, or len(b) at the end of the file.
func (c *CSV) scanPlain(b []byte, i int) (span, int, error) {
	end := i
	for end < len(b) && b[end] != ',' && b[end] != '\n' { // cells are short: a search is dearer
		end++
	}
	if end == len(b) && c.err != io.EOF {
		return span{}, 0, errShort
	}
	s := span{from: i, to: end}
	if (end == len(b) || b[end] == '\n') && end > i && b[end-1] == '\r' {
		s.to--
	}
	return s, end, nil
}

// scanQuoted is scanPlain for a cell whose opening quote stands at i.
func (c *CSV) scanQuoted(b []byte, i int) (span, int, error) {
	s := span{from: i + 1}
	for i++; ; i += 2 {
		n := bytes.IndexByte(b[i:], '"')
		if n < 0 {
			return s, 0, c.short(b)
		}
		i += n
		if i+1 < len(b) && b[i+1] == '"' {
			s.escaped = true
			continue
		}
		s.to = i
		end, err := c.closed(b, i+1)
		return s, end, err
	}
}

// closed looks at what stands behind a closing quote: a comma or a line's end.
func (c *CSV) closed(b []byte, i int) (end int, err error) {
	if rest := b[i:]; len(rest) < 2 && c.err != io.EOF {
		return 0, errShort
	} else if len(rest) > 0 && rest[0] == '\r' && (len(rest) == 1 || rest[1] == '\n') {
		i++
	}
	if i < len(b) && b[i] != ',' && b[i] != '\n' {
		return 0, fault.New(fault.Corrupt, "csv: text behind a closing quote in the record at line %d", c.line)
	}
	return i, nil
}

// short says why a closing quote was not found.
func (c *CSV) short(b []byte) error {
	if c.err != io.EOF {
		return errShort
	}
	return fault.New(fault.Corrupt, "csv: a quote of the record at line %d is never closed", c.line)
}

// unescape turns "" into ", in place.
func unescape(cell []byte) []byte {
	out := cell[:0]
	for i := 0; i < len(cell); i++ {
		out = append(out, cell[i])
		if cell[i] == '"' {
			i++
		}
	}
	return out
}

// begin reads the first bytes and skips a BOM.
func (c *CSV) begin() error {
	c.buf = make([]byte, 0, csvBuffer)
	if err := c.fill(); err != nil {
		return err
	}
	if bytes.HasPrefix(c.buf, []byte(bom)) {
		c.at = len(bom)
	}
	return nil
}

// fill moves the open record to the buffer's start and reads until the buffer is
// full, so that looking through a long record again costs only twice its size.
func (c *CSV) fill() error {
	if c.err != nil && c.err != io.EOF {
		return c.err
	}
	open := copy(c.buf, c.buf[c.at:])
	c.buf, c.at = c.buf[:open], 0
	if open == cap(c.buf) {
		if open >= csvRecord {
			return fault.New(fault.Corrupt, "csv: the record at line %d has more than %d MiB, or a quote that is never closed", c.next, csvRecord>>20)
		}
		c.buf = append(make([]byte, 0, 2*open), c.buf...)
	}
	n, err := io.ReadFull(c.r, c.buf[open:cap(c.buf)])
	c.buf = c.buf[:open+n]
	if err == io.ErrUnexpectedEOF {
		err = io.EOF
	}
	c.err = err
	return nil
}
