package part

import (
	"bytes"
	"errors"
	"io"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/record"
)

// JSON appends the line for one vendor object to dst, with its newline. Members
// that are not declared go to _extra, raw and under the vendor's names, and are
// noted as [Drift]. raw is not kept.
//
// Where a value does not fit its column, a member stands twice, or text is not
// Unicode, the row is a Reject and dst is returned unchanged. An error is
// fault.Corrupt where raw is no JSON object, and fault.Invalid where an extra
// names a column that the table does not have.
func (e *Encoder) JSON(dst, raw []byte, extra ...Field) ([]byte, *Reject, error) {
	start := len(dst)
	e.begun = true
	e.row++
	dst, bad, err := e.extras(dst, extra)
	if err != nil {
		return dst[:start], nil, err
	}
	dst, misfit, err := e.members(dst, raw)
	if err != nil {
		bad, err = broken(raw, err)
	} else if bad == nil {
		bad = misfit
	}
	if err != nil {
		return dst[:start], nil, err
	}
	if bad != nil {
		bad.Row = e.whole(bytes.ToValidUTF8(raw, []byte("\ufffd")), extra) // a copy; rejects are text
		return dst[:start], bad, nil
	}
	return finish(dst, start), nil, nil
}

// whole is a rejected object with what the connector knows beside it, under the names
// by which it is read again.
func (e *Encoder) whole(raw []byte, extra []Field) []byte {
	var known []byte
	for _, f := range extra {
		if i, ok := e.byName[f.Column]; ok {
			known, _ = appendQuoted(append(known, memberPrefix(e.columns[i].Field)...), []byte(f.Value))
		}
	}
	open := bytes.IndexByte(raw, '{')
	if len(known) == 0 || open < 0 {
		return raw
	}
	rest := bytes.TrimLeft(raw[open+1:], " \t\r\n")
	out := append([]byte{'{'}, known[1:]...)
	if rest[0] != '}' {
		out = append(out, ',')
	}
	return append(out, rest...)
}

// members appends the members of the object raw. It reads on after a value that
// does not fit, because a row that is broken further on is an error.
func (e *Encoder) members(dst, raw []byte) (_ []byte, bad *Reject, err error) {
	if err := e.begin(raw); err != nil {
		return dst, nil, err
	}
	last := -1
	for e.dec.PeekKind() == '"' {
		name, err := e.dec.ReadValue()
		if err != nil {
			return dst, nil, err
		}
		i := e.find(name, last)
		value, err := e.dec.ReadValue()
		if err != nil {
			return dst, nil, err
		}
		if i < 0 {
			e.rest = append(append(e.rest, ':'), value...)
			continue
		}
		c := &e.columns[i]
		if c.repeated(e.row, value) {
			return dst, nil, strict(raw)
		}
		last, c.seen, c.sent = i, true, e.row
		if c.given == e.row || bad != nil {
			continue
		}
		var ok bool
		if dst, ok = e.appendJSON(dst, c, value); !ok {
			bad = misfit(c)
		}
	}
	if err := e.end(); err != nil || len(e.rest) == 0 {
		return dst, bad, err
	}
	dst, err = e.undeclared(dst, raw)
	return dst, bad, err
}

// begin reads the opening brace. The decoder reads raw in place.
func (e *Encoder) begin(raw []byte) error {
	e.buf = *bytes.NewBuffer(raw)
	e.dec.Reset(&e.buf, e.opts...)
	e.rest = e.rest[:0]
	if t, err := e.dec.ReadToken(); err != nil || t.Kind() != '{' {
		return errors.Join(errNoObject, err)
	}
	return nil
}

// undeclared appends _extra.
func (e *Encoder) undeclared(dst, raw []byte) ([]byte, error) {
	e.rest[0] = '{'
	e.rest = append(e.rest, '}')
	if !jsontext.Value(e.rest).IsValid() {
		return dst, strict(raw)
	}
	dst, _ = appendQuoted(append(dst, e.columns[e.extra].prefix...), e.rest)
	return dst, nil
}

// repeated reports whether a member stands twice in the row, or within a document,
// which some warehouses do not parse then.
func (c *column) repeated(row int64, value jsontext.Value) bool {
	return c.sent == row || c.Type == record.Document && !value.IsValid()
}

// strict returns what is wrong with raw when no name may stand twice.
func strict(raw []byte) error {
	_, err := jsontext.NewDecoder(bytes.NewReader(raw)).ReadValue()
	return errors.Join(errNoObject, err)
}

var errNoObject = errors.New("no object")

// end reads the closing brace, after which nothing may follow.
func (e *Encoder) end() error {
	if _, err := e.dec.ReadToken(); err != nil {
		return err
	}
	if _, err := e.dec.ReadToken(); err != io.EOF {
		return errors.Join(errNoObject, err)
	}
	return nil
}

// find returns the index of a member's column. Vendors send members in the same
// order row after row, so the one that followed last is tried first. A member
// that is not declared begins an entry of _extra, and gives -1.
func (e *Encoder) find(quoted jsontext.Value, last int) int {
	name, _ := e.unquote(quoted)
	if guess := e.next[last+1]; guess < len(e.columns) && e.columns[guess].Field == string(name) && !e.columns[guess].hidden {
		return guess
	}
	if i, ok := e.byField[string(name)]; ok {
		e.next[last+1] = i
		return i
	}
	e.drifted(name)
	e.rest = append(append(e.rest, ','), quoted...)
	return -1
}

// broken says what is wrong with a row that the decoder did not take. A row that
// only repeats a name or has broken characters in a text is its own problem; any
// other one makes the page doubtful. Content is never shown.
func broken(raw []byte, err error) (*Reject, error) {
	lenient := jsontext.Value(raw).IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	var at *jsontext.SyntacticError
	if !errors.As(err, &at) {
		return nil, fault.New(fault.Corrupt, "row of %d bytes is not one JSON object", len(raw))
	}
	switch {
	case lenient && at.Err == jsontext.ErrDuplicateName:
		return &Reject{Reason: "member " + at.JSONPointer.LastToken() + " twice", Rule: "duplicate"}, nil
	case lenient:
		return &Reject{Reason: "text of the row is not Unicode", Rule: "text"}, nil
	}
	return nil, fault.New(fault.Corrupt, "row of %d bytes is not JSON from byte %d on", len(raw), at.ByteOffset)
}
