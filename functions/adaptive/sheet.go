package adaptive

import (
	"bufio"
	"bytes"
	"encoding/xml"
	"io"
	"strconv"
	"strings"

	"github.com/millrace-data/millrace/shared/fault"
)

// exportData is a CSV of any size in one CDATA section, in an envelope of a few
// hundred bytes around it. An XML reader would hold it in memory whole: here the
// section is found, read as a stream, and the envelope read as XML without it.

const (
	opens  = "<![CDATA["
	closes = "]]>"
	// headMax is how far the section's beginning is looked for: messages and the
	// echo of a call may stand before it.
	headMax = 64 << 10
)

// document is the answer to exportData: the CSV is read from it, then its envelope.
type document struct {
	in   *bufio.Reader
	head []byte
	open bool
	tail []byte
}

// openDocument finds the CSV. An answer without a section is short: a failure, or a
// CSV written as plain text.
func openDocument(r io.Reader) (*document, error) {
	d := &document{in: bufio.NewReaderSize(r, headMax)}
	peek, err := d.in.Peek(headMax)
	if err != nil && err != io.EOF && err != bufio.ErrBufferFull {
		return nil, err
	}
	at := bytes.Index(peek, []byte(opens))
	if at < 0 {
		return plainDocument(d.in)
	}
	d.head = bytes.Clone(peek[:at])
	_, err = d.in.Discard(at + len(opens))
	d.open = true
	return d, err
}

// plainDocument reads an answer whose output is text, which fits in memory.
func plainDocument(r io.Reader) (*document, error) {
	var text string
	e, err := walk(io.LimitReader(r, 64<<20), func(e *element) error {
		if e.tag == "output" || e.tag == "data" {
			text += e.text.String()
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	d := &document{in: bufio.NewReader(strings.NewReader(strings.TrimSpace(text)))}
	d.tail, err = xml.Marshal(e)
	return d, err
}

// Read implements io.Reader for the CSV.
func (d *document) Read(p []byte) (int, error) {
	if !d.open {
		if d.head == nil {
			return d.in.Read(p) // plain
		}
		return 0, io.EOF
	}
	peek, err := d.in.Peek(max(len(closes), min(len(p)+len(closes), d.in.Buffered())))
	if len(peek) < len(closes) {
		if err == nil || err == io.EOF {
			err = fault.New(fault.Corrupt, "the answer ends inside of its data: it was cut short; the next run asks again")
		}
		return 0, err
	}
	n := len(peek) - len(closes) + 1 // what cannot be the beginning of the end
	if at := bytes.Index(peek, []byte(closes)); at >= 0 {
		n = at
		if at == 0 {
			return 0, d.close()
		}
	}
	n = copy(p, peek[:n])
	_, err = d.in.Discard(n)
	return n, err
}

// close ends a section. Text that holds ]]> itself goes on in another one.
func (d *document) close() error {
	if _, err := d.in.Discard(len(closes)); err != nil {
		return err
	}
	if next, _ := d.in.Peek(len(opens)); string(next) == opens {
		_, err := d.in.Discard(len(opens))
		return err
	}
	d.open = false
	var err error
	d.tail, err = io.ReadAll(io.LimitReader(d.in, headMax))
	if err != nil {
		return err
	}
	return io.EOF
}

// envelope is what the answer says of itself, once its CSV was read.
func (d *document) envelope() (e envelope, err error) {
	if err := xml.Unmarshal(append(bytes.Clone(d.head), d.tail...), &e); err != nil {
		return e, fault.New(fault.Corrupt, "the answer ends after its data: it was cut short; the next run asks again")
	}
	return e, e.whole()
}

// complete makes sure that the vendor sent as many records as it says. Without a
// streamed answer nobody counts.
func (e envelope) complete(records int64) (counted bool, err error) {
	if e.Status == nil || e.Status.Rows == "" {
		return false, nil
	}
	n, err := strconv.ParseInt(e.Status.Rows, 10, 64)
	if err != nil || n != records {
		return true, fault.New(fault.Corrupt, "Adaptive says that it sent %q records, and %d came: the answer is damaged; the next run asks again", e.Status.Rows, records)
	}
	return true, nil
}
