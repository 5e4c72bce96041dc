package part

import (
	"bytes"
	"encoding/binary"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace-data/millrace/shared/record"
)

// appendJSON appends one JSON value as the JSON string that the line holds.
// null appends nothing, and so does "" in a column that is not text: vendors
// send it for a number or a time they do not have. It reports false where the
// value does not fit the column; dst may then have grown.
func (e *Encoder) appendJSON(dst []byte, c *column, raw []byte) ([]byte, bool) {
	switch {
	case raw[0] == 'n':
		return dst, true
	case c.Type == record.Document:
		return appendQuoted(append(dst, c.prefix...), raw)
	case raw[0] == '"' && c.Type == record.Text:
		// A valid JSON string in, the same JSON string out.
		return append(append(dst, c.prefix...), raw...), true
	case raw[0] == '"':
		text, ok := e.unquote(raw)
		if !ok {
			return dst, false
		}
		if text = bytes.TrimSpace(text); len(text) == 0 {
			return dst, true
		}
		return e.appendText(dst, c, text)
	case c.Type == record.Text:
		return appendQuoted(append(dst, c.prefix...), raw)
	case c.Type == record.Timestamp || c.Type == record.Date:
		return e.appendEpoch(dst, c, raw)
	}
	return e.appendText(dst, c, raw)
}

// appendText appends a text, such as a CSV cell, as the JSON string of column c.
func (e *Encoder) appendText(dst []byte, c *column, text []byte) (_ []byte, ok bool) {
	dst = append(dst, c.prefix...)
	switch c.Type {
	case record.Text:
		return appendQuoted(dst, text)
	case record.Document:
		if !jsontext.Value(text).IsValid(jsontext.AllowDuplicateNames(true)) {
			return dst, false
		}
		return appendQuoted(dst, bytes.TrimSpace(text))
	}
	dst = append(dst, '"')
	switch text = bytes.TrimSpace(text); c.Type {
	case record.Integer:
		dst, ok = appendInteger(dst, text)
	case record.Number:
		dst, ok = appendDecimal(dst, text, c.Precision, c.Scale)
	case record.Boolean:
		dst, ok = appendBoolean(dst, text)
	case record.Timestamp, record.Date:
		var m moment
		if m, ok = parseMoment(text); ok {
			dst, ok = appendMoment(dst, c, m)
		}
	}
	return append(dst, '"'), ok
}

// appendEpoch appends a JSON number as a point in time.
func (e *Encoder) appendEpoch(dst []byte, c *column, raw []byte) ([]byte, bool) {
	m, ok := e.epoch(raw)
	if !ok {
		return dst, false
	}
	dst, ok = appendMoment(append(append(dst, c.prefix...), '"'), c, m)
	return append(dst, '"'), ok
}

func appendMoment(dst []byte, c *column, m moment) ([]byte, bool) {
	if c.Type == record.Date {
		return appendDay(dst, m)
	}
	return appendTimestamp(dst, m)
}

// appendInteger takes every way to write an integer of 64 bits, also 1e3 and 2.0.
func appendInteger(dst, s []byte) ([]byte, bool) {
	at := len(dst)
	dst, ok := appendDecimal(dst, s, 19, 0)
	if ok && len(dst)-at >= 19 { // only then can it be too large
		_, err := strconv.ParseInt(string(dst[at:]), 10, 64)
		ok = err == nil
	}
	return dst, ok
}

func appendBoolean(dst, s []byte) ([]byte, bool) {
	if len(s) == 1 {
		switch s[0] {
		case '1', 'y', 'Y', 't', 'T':
			return append(dst, "true"...), true
		case '0', 'n', 'N', 'f', 'F':
			return append(dst, "false"...), true
		}
		return dst, false
	}
	switch {
	case equalFold(s, "true"), equalFold(s, "yes"):
		return append(dst, "true"...), true
	case equalFold(s, "false"), equalFold(s, "no"):
		return append(dst, "false"...), true
	}
	return dst, false
}

func equalFold(s []byte, word string) bool {
	return len(s) == len(word) && bytes.EqualFold(s, []byte(word))
}

// appendQuoted appends s as a JSON string; false where s is not UTF-8. Most cells
// are printable ASCII: those are looked through eight bytes at a time, and copied.
func appendQuoted(dst, s []byte) ([]byte, bool) {
	if !printable(s) {
		dst, err := jsontext.AppendQuote(dst, s)
		return dst, err == nil
	}
	dst = append(dst, '"')
	from := 0
	if bytes.IndexByte(s, '"') >= 0 || bytes.IndexByte(s, '\\') >= 0 { // as in documents
		for i, c := range s {
			if c == '"' || c == '\\' {
				dst = append(append(dst, s[from:i]...), '\\')
				from = i
			}
		}
	}
	return append(append(dst, s[from:]...), '"'), true
}

// printable reports whether all of s is ASCII from space to tilde.
func printable(s []byte) bool {
	const high, low = 0x8080808080808080, 0x0101010101010101
	for len(s) >= 8 {
		w := binary.LittleEndian.Uint64(s)
		// The high bit of a byte ends up set if it was set, if the byte is below
		// space, or if it is 0x7f; a borrow or carry only comes from such a byte.
		if (w|(w-low*' ')|(w+low))&high != 0 {
			return false
		}
		s = s[8:]
	}
	for _, c := range s {
		if c < ' ' || c >= 0x7f {
			return false
		}
	}
	return true
}

// unquote returns the text of a JSON string, valid until the next call.
func (e *Encoder) unquote(raw []byte) ([]byte, bool) {
	inner := raw[1 : len(raw)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return inner, true
	}
	var err error
	e.text, err = jsontext.AppendUnquote(e.text[:0], raw)
	return e.text, err == nil
}

// reason says what a value of column c was not. It never shows the value.
func reason(c *column) string {
	switch c.Type {
	case record.Number:
		return "column " + c.Name + ": number does not fit decimal(" +
			strconv.Itoa(c.Precision) + "," + strconv.Itoa(c.Scale) + ")"
	case record.Integer:
		return "column " + c.Name + ": number does not fit a 64-bit integer"
	case record.Text:
		return "column " + c.Name + ": text is not UTF-8"
	case record.Document:
		return "column " + c.Name + ": value is not JSON"
	}
	return "column " + c.Name + ": value is not a " + string(c.Type)
}
