package salesforcetest

import "strings"

// lexer reads the rows of an upload. Cells are parts of the text wherever they have
// no doubled quote, so a row costs nothing.
type lexer struct {
	text  string
	at    int
	comma byte
	crlf  bool
	cells []string
}

// The ways in which a row can be wrong.
type flaw int

const (
	fine    flaw = iota
	spaced       // something stands between a quote and its delimiter: this row is refused
	endings      // the line ends otherwise than the job says: the job fails
	open         // a quote is never closed: the job fails
)

// next reads a row, which is text[start:end] with its line's end. ok is false behind
// the last one. Empty lines are passed over.
func (x *lexer) next() (start, end int, f flaw, ok bool) {
	for x.at < len(x.text) && (x.text[x.at] == '\n' || strings.HasPrefix(x.text[x.at:], "\r\n")) {
		x.at++
	}
	start, x.cells = x.at, x.cells[:0]
	if x.at >= len(x.text) {
		return start, start, fine, false
	}
	for {
		cell, flaw := x.cell()
		f = max(f, flaw)
		x.cells = append(x.cells, cell)
		if f == open || x.at >= len(x.text) {
			return start, len(x.text), f, true
		}
		c := x.text[x.at]
		if x.at++; c == x.comma {
			continue
		}
		if crlf := c == '\r'; crlf != x.crlf {
			f = max(f, endings)
		}
		if c == '\r' {
			x.at++ // its line feed
		}
		return start, x.at, f, true
	}
}

// cell reads up to a delimiter, a line's end, or the end of the text.
func (x *lexer) cell() (string, flaw) {
	if x.at < len(x.text) && x.text[x.at] == '"' {
		return x.quoted()
	}
	start := x.at
	for x.at < len(x.text) && !x.over() {
		x.at++
	}
	cell := x.text[start:x.at]
	if strings.Contains(cell, `"`) {
		return cell, spaced
	}
	return cell, fine
}

// over reports whether a cell ends here.
func (x *lexer) over() bool {
	c := x.text[x.at]
	return c == x.comma || c == '\n' || c == '\r' && x.at+1 < len(x.text) && x.text[x.at+1] == '\n'
}

func (x *lexer) quoted() (string, flaw) {
	start, doubled := x.at+1, false
	for x.at = start; ; x.at++ {
		n := strings.IndexByte(x.text[x.at:], '"')
		if n < 0 {
			x.at = len(x.text)
			return "", open
		}
		x.at += n
		if x.at+1 >= len(x.text) || x.text[x.at+1] != '"' {
			break
		}
		x.at, doubled = x.at+1, true
	}
	cell := x.text[start:x.at]
	if doubled {
		cell = strings.ReplaceAll(cell, `""`, `"`)
	}
	f := fine
	for x.at++; x.at < len(x.text) && !x.over(); x.at++ {
		f = spaced
	}
	return cell, f
}

// quote appends a cell as results have it.
func quote(to []byte, cell string) []byte {
	to = append(to, '"')
	if strings.IndexByte(cell, '"') >= 0 {
		cell = strings.ReplaceAll(cell, `"`, `""`)
	}
	return append(append(to, cell...), '"')
}
