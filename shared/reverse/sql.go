package reverse

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// tokenKind is what a piece of SQL is.
type tokenKind int

const (
	word   tokenKind = iota // a keyword or a name without quotes
	quoted                  // a name in double quotes; its text is without them
	chars                   // a text in quotes or dollars
	figure                  // a number
	sign                    // one character of anything else
)

type token struct {
	kind     tokenKind
	text     string
	from, to int // bytes of the query
}

// is reports whether a token is a keyword or a sign. A quoted name is neither.
func (t token) is(text string) bool {
	return (t.kind == word || t.kind == sign) && strings.EqualFold(t.text, text)
}

// names reports whether a token is a name, quoted or not.
func (t token) names() bool { return t.kind == word || t.kind == quoted }

// tokens splits a query. What warehouses read differently is refused instead of
// guessed at: a backslash before a quote, // (a comment or a division), a comment
// within a comment.
func tokens(sql string) ([]token, error) {
	var out []token
	for i := 0; i < len(sql); {
		n, kind, err := next(sql[i:])
		if err != nil {
			return nil, fmt.Errorf("%w in line %d of the query", err, 1+strings.Count(sql[:i], "\n"))
		}
		if kind >= 0 {
			t := token{kind: kind, text: sql[i : i+n], from: i, to: i + n}
			if kind == quoted {
				t.text = strings.ReplaceAll(t.text[1:n-1], `""`, `"`)
			}
			out = append(out, t)
		}
		i += n
	}
	return out, nil
}

// skipped is the kind of blanks and comments.
const skipped tokenKind = -1

// next is the length and the kind of what a text begins with.
func next(s string) (int, tokenKind, error) {
	r, size := utf8.DecodeRuneInString(s)
	switch {
	case r == utf8.RuneError && size == 1:
		return 0, 0, errors.New("bytes that are not UTF-8")
	case r == 0:
		return 0, 0, errors.New("a zero byte")
	case unicode.IsSpace(r):
		return size, skipped, nil
	case strings.HasPrefix(s, "--"):
		if end := strings.IndexAny(s, "\r\n"); end > 0 {
			return end, skipped, nil
		}
		return len(s), skipped, nil
	case strings.HasPrefix(s, "//"):
		return 0, 0, errors.New("// is a comment to one warehouse and a division to another: write -- or floor(a / b); it is")
	case strings.HasPrefix(s, "/*"):
		return comment(s)
	case r == '\'' || r == '"':
		return inQuotes(s, byte(r))
	case r == '$':
		return dollars(s)
	case r >= '0' && r <= '9':
		return run(s, func(r rune) bool { return letterOf(r) || r == '.' }), figure, nil
	case letterOf(r):
		return run(s, func(r rune) bool { return letterOf(r) || r == '$' }), word, nil
	}
	return size, sign, nil
}

func letterOf(r rune) bool { return r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) }

func run(s string, in func(rune) bool) int {
	if i := strings.IndexFunc(s, func(r rune) bool { return !in(r) }); i >= 0 {
		return i
	}
	return len(s)
}

func comment(s string) (int, tokenKind, error) {
	end := strings.Index(s[2:], "*/")
	if end < 0 {
		return 0, 0, errors.New("a comment that does not end")
	}
	if strings.Contains(s[2:2+end], "/*") {
		return 0, 0, errors.New("a comment within a comment, which not every warehouse can read,")
	}
	return end + 4, skipped, nil
}

func inQuotes(s string, q byte) (int, tokenKind, error) {
	kind := chars
	if q == '"' {
		kind = quoted
	}
	for i := 1; i < len(s); i++ {
		switch {
		case q == '\'' && s[i] == '\\' && i+1 < len(s) && (s[i+1] == q || s[i+1] == '\\'):
			return 0, 0, errors.New(`\' ends a text in one warehouse and not in another: write '' for a quote, or $$…$$; it is`)
		case s[i] != q:
		case i+1 < len(s) && s[i+1] == q:
			i++
		default:
			return i + 1, kind, nil
		}
	}
	return 0, 0, fmt.Errorf("a %c that does not end", q)
}

func dollars(s string) (int, tokenKind, error) {
	if !strings.HasPrefix(s, "$$") {
		return 0, 0, errors.New("a $ that stands alone: only $$…$$ is taken,")
	}
	end := strings.Index(s[2:], "$$")
	if end < 0 {
		return 0, 0, errors.New("a $$ that does not end")
	}
	return end + 4, chars, nil
}

// statement checks that a query is one SELECT or WITH, and returns it without what
// is after its last token: a semicolon, or a comment that would swallow what the
// engine writes behind it.
func statement(sql string) (string, error) {
	if !utf8.ValidString(sql) {
		return "", errors.New("the query is not UTF-8")
	}
	all, err := tokens(sql)
	for err == nil && len(all) > 0 && all[len(all)-1].is(";") {
		all = all[:len(all)-1]
	}
	switch {
	case err != nil:
		return "", err
	case len(all) == 0:
		return "", errors.New("the query is empty")
	case !all[0].is("select") && !all[0].is("with"):
		return "", fmt.Errorf("a query begins with SELECT or WITH, and not with %q", all[0].text)
	}
	depth, selects := 0, false
	for _, t := range all {
		switch {
		case t.is(";"):
			return "", errors.New("a query is one statement: there is a ; in its middle")
		case t.is("("):
			depth++
		case t.is(")"):
			depth--
		case t.is("?"):
			return "", errors.New("a query has no ? in it: nothing is bound to it")
		case t.is("select"):
			selects = selects || depth == 0
		case !selects && t.kind == word && slices.Contains(writing, strings.ToLower(t.text)):
			return "", fmt.Errorf("a query reads only, and this one has %s", strings.ToUpper(t.text))
		}
		if depth < 0 {
			break
		}
	}
	switch {
	case depth != 0:
		return "", errors.New("the brackets of the query do not match")
	case !selects:
		return "", errors.New("the query has no SELECT outside of brackets")
	}
	return sql[all[0].from:all[len(all)-1].to], nil
}

// writing are the statements that a WITH may introduce, beside SELECT.
var writing = []string{"insert", "update", "delete", "merge", "copy", "create", "drop", "alter", "truncate"}
