package salesforcetest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// selection is a parsed query: SELECT fields | COUNT() FROM object [WHERE field op
// value [AND …]] [ORDER BY field [ASC|DESC] [NULLS FIRST|LAST]] [LIMIT n]. There is
// no OR, no LIKE, no function, no way through a relationship.
type selection struct {
	t      *table
	count  bool
	fields []int
	conds  []condition
	order  int // field; -1 = none
	desc   bool
	last   bool // nulls come last
	limit  int  // -1 = none
}

// condition compares a field: op is =, !=, <, >, <=, >= or IN; "" among values is null.
type condition struct {
	field  int
	op     string
	values []string
	set    map[string]bool // of IN
}

// soql reads a query word by word.
type soql struct {
	words []string // texts keep their opening quote, and have lost their escapes
	at    int
}

func malformed(format string, a ...any) *rowError {
	return bad("MALFORMED_QUERY", fmt.Sprintf(format, a...))
}

// parse reads a query; the tables are those of the server, whose lock is held.
func (s *Server) parse(text string) (*selection, *rowError) {
	if len(text) > 100_000 {
		return nil, bad("QUERY_TOO_COMPLICATED", "SOQL statements cannot be longer than 100000 characters.")
	}
	words, err := split(text)
	if err != nil {
		return nil, err
	}
	p := &soql{words: words}
	if !p.word("select") {
		return nil, malformed("unexpected token: '%s'", p.next())
	}
	var names []string
	for {
		names = append(names, p.next())
		if names[0] == "COUNT" && p.word("(") && p.word(")") {
			break
		}
		if !p.word(",") {
			break
		}
	}
	if !p.word("from") {
		return nil, malformed("unexpected token: '%s'", p.next())
	}
	object := p.next()
	t := s.table(object)
	if t == nil {
		return nil, bad("INVALID_TYPE", "sObject type '"+object+"' is not supported.")
	}
	q := &selection{t: t, order: -1, limit: -1, count: names[0] == "COUNT"}
	if !q.count {
		for _, name := range names {
			i, err := t.field(name)
			if err != nil {
				return nil, err
			}
			if slices.Contains(q.fields, i) {
				return nil, malformed("duplicate field selected: %s", name)
			}
			q.fields = append(q.fields, i)
		}
	}
	return q, q.rest(p)
}

// rest reads what comes behind the object.
func (q *selection) rest(p *soql) *rowError {
	if p.word("where") {
		for {
			if err := q.condition(p); err != nil {
				return err
			}
			if !p.word("and") {
				break
			}
		}
	}
	if p.word("order") {
		if err := q.ordering(p); err != nil {
			return err
		}
	}
	if p.word("limit") {
		n, err := strconv.Atoi(p.next())
		if err != nil || n < 0 {
			return malformed("invalid limit")
		}
		q.limit = n
	}
	if p.at < len(p.words) {
		return malformed("unexpected token: '%s'", p.next())
	}
	return nil
}

func (q *selection) ordering(p *soql) (err *rowError) {
	if !p.word("by") {
		return malformed("unexpected token: '%s'", p.next())
	}
	if q.order, err = q.t.field(p.next()); err != nil {
		return err
	}
	if p.word("desc") {
		q.desc = true
	} else {
		p.word("asc")
	}
	if p.word("nulls") {
		if q.last = p.word("last"); !q.last && !p.word("first") {
			return malformed("unexpected token: '%s'", p.next())
		}
	}
	return nil
}

func (q *selection) condition(p *soql) *rowError {
	i, err := q.t.field(p.next())
	if err != nil {
		return err
	}
	f := &q.t.Fields[i]
	if f.Type == "textarea" && f.length() > 255 {
		return bad("INVALID_FIELD", "field '"+f.Name+"' can not be filtered in a query call")
	}
	c := condition{field: i, op: strings.ToUpper(p.next())}
	switch c.op {
	case "=", "!=", "<", ">", "<=", ">=":
		v, err := f.literal(p.next())
		if err != nil {
			return err
		}
		c.values = []string{v}
	case "IN":
		if !p.word("(") {
			return malformed("unexpected token: '%s'", p.next())
		}
		c.set = map[string]bool{}
		for {
			v, err := f.literal(p.next())
			if err != nil {
				return err
			}
			c.values = append(c.values, v)
			c.set[f.fold(v)] = true
			if !p.word(",") {
				break
			}
		}
		if !p.word(")") {
			return malformed("unexpected token: '%s'", p.next())
		}
	default:
		return malformed("unexpected token: '%s'", c.op)
	}
	q.conds = append(q.conds, c)
	return nil
}

// field finds a field of a query; its case does not count.
func (t *table) field(name string) (int, *rowError) {
	if i, ok := t.lower[strings.ToLower(name)]; ok {
		return i, nil
	}
	return 0, bad("INVALID_FIELD", "No such column '"+name+"' on sobject of type "+t.Name)
}

// literal makes a canonical value of a word, "" of null.
func (f *Field) literal(word string) (string, *rowError) {
	text, quoted := strings.CutPrefix(word, "'")
	switch {
	case word == "":
		return "", malformed("unexpected token: '<EOF>'")
	case strings.Contains("(),=", word):
		return "", malformed("unexpected token: '%s'", word)
	case !quoted && strings.EqualFold(word, "null"):
		return "", nil
	case quoted != (f.isText() || f.Type == "reference" || f.Type == "id"):
		should := "should not"
		if !quoted {
			should = "should"
		}
		return "", bad("INVALID_FIELD", fmt.Sprintf("value of filter criterion for field '%s' must be of type %s and %s be enclosed in quotes", f.Name, f.Type, should))
	}
	value, ok := f.read(text)
	switch {
	case !ok && (f.Type == "reference" || f.Type == "id"):
		return "", bad("INVALID_QUERY_FILTER_OPERATOR", "invalid ID field: "+text)
	case !ok:
		return "", malformed("unexpected token: '%s'", text)
	}
	return value, nil
}

// fold is what two equal values have in common.
func (f *Field) fold(value string) string {
	if f.CaseSensitive || !f.isText() {
		return value
	}
	return strings.ToLower(value)
}

func (p *soql) next() string {
	if p.at >= len(p.words) {
		return ""
	}
	p.at++
	return p.words[p.at-1]
}

// word passes a word, if it is the next one.
func (p *soql) word(w string) bool {
	if p.at < len(p.words) && strings.EqualFold(p.words[p.at], w) {
		p.at++
		return true
	}
	return false
}

func split(text string) ([]string, *rowError) {
	var out []string
	for i := 0; i < len(text); {
		c := text[i]
		switch {
		case c == ' ' || c == '\n' || c == '\t' || c == '\r':
			i++
		case c == '\'':
			word, n := quoted(text[i+1:])
			if n < 0 {
				return nil, malformed("unterminated string, or an escape that is none")
			}
			out, i = append(out, "'"+word), i+1+n
		case strings.IndexByte("(),=", c) >= 0:
			out, i = append(out, string(c)), i+1
		case strings.IndexByte("<>!", c) >= 0:
			n := 1
			if i+1 < len(text) && text[i+1] == '=' {
				n = 2
			}
			out, i = append(out, text[i:i+n]), i+n
		default:
			n := strings.IndexAny(text[i:], " \n\t\r'(),=<>!")
			if n < 0 {
				n = len(text) - i
			}
			out, i = append(out, text[i:i+n]), i+n
		}
	}
	for i, w := range out {
		if strings.EqualFold(w, "count") {
			out[i] = "COUNT"
		}
	}
	return out, nil
}

// quoted reads up to the closing quote; n is the length with it, -1 for a mistake.
func quoted(s string) (word string, n int) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\'':
			return b.String(), i + 1
		case '\\':
			if i++; i == len(s) {
				return "", -1
			}
			j := strings.IndexByte(`nrtbf"'\_%`, s[i])
			if j < 0 {
				return "", -1
			}
			b.WriteByte("\n\r\t\b\f\"'\\_%"[j])
		default:
			b.WriteByte(s[i])
		}
	}
	return "", -1
}
