package snowflaketest

import (
	"math/big"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// kind is what a token is.
type kind int

const (
	word     kind = iota // unquoted identifier or keyword, in upper case
	quoted               // quoted identifier, as written between the quotes
	text                 // string literal, unescaped
	number               // numeric literal
	op                   // operator or punctuation
	bind                 // ? in the statement
	stageRef             // @stage/path
	raw                  // DuckDB SQL, put there by a rewrite
)

// token is one piece of a statement.
type token struct {
	kind kind
	text string
	orig string // of a word: as it was written
	bind int    // number of a ?, from 0 on
}

// is reports whether the token is this keyword or operator.
func (t token) is(s string) bool { return (t.kind == word || t.kind == op) && t.text == s }

// name reports whether the token can be an identifier.
func (t token) name() bool { return t.kind == word || t.kind == quoted }

var operators = []string{"::", "<>", "!=", ">=", "<=", "||", "=>", "->", ":="}

// lex cuts Snowflake SQL into tokens; comments go. It never fails: what it does
// not know becomes an operator that the engine refuses.
func lex(sql string) []token {
	var out []token
	binds := 0
	for i := 0; i < len(sql); {
		c, size := utf8.DecodeRuneInString(sql[i:])
		rest := sql[i:]
		switch {
		case unicode.IsSpace(c):
			i += size
		case strings.HasPrefix(rest, "--"), strings.HasPrefix(rest, "//"):
			i += until(rest, "\n")
		case strings.HasPrefix(rest, "/*"):
			i += until(rest, "*/")
		case strings.HasPrefix(rest, "$$"):
			n := until(rest[2:], "$$") + 2
			out, i = append(out, token{kind: text, text: strings.TrimSuffix(rest[2:n], "$$")}), i+n
		case c == '\'':
			s, n := literalAt(rest)
			out, i = append(out, token{kind: text, text: s}), i+n
		case c == '"':
			s, n := quotedAt(rest)
			out, i = append(out, token{kind: quoted, text: s}), i+n
		case c == '?':
			out, i, binds = append(out, token{kind: bind, text: "?", bind: binds}), i+1, binds+1
		case c == '@':
			n := stageAt(rest)
			out, i = append(out, token{kind: stageRef, text: rest[:n]}), i+n
		case c == '_' || c == '$' || unicode.IsLetter(c):
			n := run(rest, func(r rune) bool { return r == '_' || r == '$' || unicode.IsLetter(r) || unicode.IsDigit(r) })
			out, i = append(out, token{kind: word, text: strings.ToUpper(rest[:n]), orig: rest[:n]}), i+n
		case unicode.IsDigit(c) || c == '.' && len(rest) > 1 && rest[1] >= '0' && rest[1] <= '9':
			n := numberAt(rest)
			out, i = append(out, token{kind: number, text: rest[:n]}), i+n
		default:
			s := rest[:size]
			for _, o := range operators {
				if strings.HasPrefix(rest, o) {
					s = o
				}
			}
			out, i = append(out, token{kind: op, text: s}), i+len(s)
		}
	}
	return out
}

// until is the length of s up to and with the end mark.
func until(s, end string) int {
	if i := strings.Index(s, end); i >= 0 {
		return i + len(end)
	}
	return len(s)
}

func run(s string, in func(rune) bool) int {
	for i, r := range s {
		if !in(r) {
			return i
		}
	}
	return len(s)
}

func numberAt(s string) int {
	n := run(s, func(r rune) bool { return r >= '0' && r <= '9' || r == '.' })
	if n < len(s) && (s[n] == 'e' || s[n] == 'E') {
		m := n + 1
		if m < len(s) && (s[m] == '+' || s[m] == '-') {
			m++
		}
		if d := run(s[m:], unicode.IsDigit); d > 0 {
			return m + d
		}
	}
	return n
}

// literalAt reads a string literal, in which a backslash escapes.
func literalAt(s string) (value string, size int) {
	escapes := map[byte]byte{'n': '\n', 't': '\t', 'r': '\r', '0': 0, 'b': '\b', 'f': '\f'}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s):
			i++
			if e, ok := escapes[s[i]]; ok {
				b.WriteByte(e)
			} else {
				b.WriteByte(s[i])
			}
		case s[i] == '\'' && i+1 < len(s) && s[i+1] == '\'':
			i++
			b.WriteByte('\'')
		case s[i] == '\'':
			return b.String(), i + 1
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String(), len(s)
}

func quotedAt(s string) (name string, size int) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		if s[i] == '"' {
			if i+1 == len(s) || s[i+1] != '"' {
				return b.String(), i + 1
			}
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String(), len(s)
}

// stageAt is the length of a stage reference: quoted parts may hold anything.
func stageAt(s string) int {
	in := false
	for i, r := range s {
		switch {
		case r == '"':
			in = !in
		case !in && (unicode.IsSpace(r) || strings.ContainsRune(",();'", r)):
			return i
		}
	}
	return len(s)
}

// statements cuts tokens at semicolons; empty ones go.
func statements(in []token) (out [][]token) {
	var one []token
	for _, t := range append(in, token{kind: op, text: ";"}) {
		if !t.is(";") {
			one = append(one, t)
		} else if len(one) > 0 {
			out, one = append(out, one), nil
		}
	}
	return out
}

// mark ends the engine's name of an object whose name has lower-case letters.
const mark = "·"

// encode is the engine's name of a Snowflake name. DuckDB does not tell case apart
// and Snowflake does: a name with lower-case letters carries a mark that says which
// letters they are, so "id" and ID are two names there, too.
func encode(name string) string {
	upper, mask, all := true, new(big.Int), true
	for i, r := range []rune(name) {
		if unicode.IsLower(r) {
			upper = false
		} else if unicode.IsUpper(r) {
			all = false
			mask.SetBit(mask, i, 1)
		}
	}
	switch {
	case upper:
		return name
	case all:
		return name + mark
	}
	return name + mark + mask.Text(16)
}

var marks = regexp.MustCompile(mark + `[0-9a-f]*`)

// decode is the Snowflake name of an engine's name, or of a text with such names.
func decode(name string) string { return marks.ReplaceAllString(name, "") }

func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

func literal(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// render is the tokens as DuckDB SQL, with the numbers of the binds it uses in order.
func render(in []token) (sql string, binds []int) {
	var b strings.Builder
	for i, t := range in {
		if i > 0 {
			b.WriteByte(' ')
		}
		switch t.kind {
		case quoted:
			b.WriteString(quote(encode(t.text)))
		case text:
			b.WriteString(literal(t.text))
		case bind:
			binds = append(binds, t.bind)
			b.WriteString(t.text)
		default:
			b.WriteString(t.text)
		}
	}
	return b.String(), binds
}

// words reports whether the tokens begin with these keywords or operators.
func words(in []token, ws ...string) bool {
	if len(in) < len(ws) {
		return false
	}
	for i, w := range ws {
		if !in[i].is(w) {
			return false
		}
	}
	return true
}

// closing is the index of the bracket that closes the one at open, or the end.
func closing(in []token, open int) int {
	depth := 0
	for i := open; i < len(in); i++ {
		if in[i].is("(") {
			depth++
		} else if in[i].is(")") {
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return len(in) - 1
}

// find is the index of a keyword outside brackets from a place on, or -1.
func find(in []token, from int, w string) int {
	depth := 0
	for i := from; i < len(in); i++ {
		switch {
		case depth == 0 && in[i].is(w):
			return i
		case in[i].is("("):
			depth++
		case in[i].is(")"):
			depth--
		}
	}
	return -1
}
