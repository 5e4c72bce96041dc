package reverse

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	lexed "github.com/goccy/go-yaml/token"
)

// shape is what a value of a file is, before anybody asks what it should be.
type shape string

const (
	shapeText    shape = "text"
	shapeNumber  shape = "a number"
	shapeBoolean shape = "true or false"
	shapeNull    shape = "nothing"
	shapeList    shape = "a list"
	shapeMapping shape = "a mapping"
)

// node is a value of a job file, whether YAML or the stored JSON. Numbers are kept
// as they are written.
type node struct {
	shape   shape
	text    string // of a text, a number or a boolean
	line    int    // 0 = not known
	entries []entry
	items   []*node
}

type entry struct {
	key   string
	line  int
	value *node
}

// readYAML reads one document. Anchors, aliases, merges and tags are refused: what a
// job may do should stand where it is read.
func readYAML(text []byte) (*node, *problem) {
	words := lexer.Tokenize(string(text))
	if line := tooDeep(words); line > 0 {
		return nil, &problem{Line: line, Rule: ruleSyntax, Message: fmt.Sprintf("there are more than %d brackets within each other", deepest)}
	}
	// The parser would say it of duplicate keys too, but not in our words, and only
	// of the first.
	file, err := parser.Parse(words, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, syntax(err)
	}
	var body []ast.Node
	for _, d := range file.Docs {
		if d.Body != nil {
			body = append(body, d.Body)
		}
	}
	switch len(body) {
	case 0:
		return nil, &problem{Line: 1, Rule: ruleSyntax, Message: "the file is empty"}
	case 1:
		return fromAST(body[0])
	}
	return nil, &problem{Line: lineOf(body[1]), Rule: ruleSyntax, Message: "a second document begins here", Fix: "write one job in a file"}
}

// deepest is more than any job needs: the parser's time grows with the square.
const deepest = 20

// tooDeep is the line where lists and mappings are too deep within each other, or 0.
func tooDeep(words lexed.Tokens) int {
	depth, line, entries := 0, 0, 0
	for _, w := range words {
		if w.Position.Line != line {
			line, entries = w.Position.Line, 0
		}
		switch w.Type {
		case lexed.SequenceStartType, lexed.MappingStartType:
			depth++
		case lexed.SequenceEndType, lexed.MappingEndType:
			depth--
		case lexed.SequenceEntryType:
			entries++
		}
		if depth > deepest || entries > deepest {
			return line
		}
	}
	return 0
}

func syntax(err error) *problem {
	p := &problem{Line: 1, Rule: ruleSyntax, Message: "this is not YAML: " + err.Error()}
	var at yaml.Error
	if errors.As(err, &at) {
		p.Message = "this is not YAML: " + at.GetMessage()
		if t := at.GetToken(); t != nil && t.Position != nil {
			p.Line = t.Position.Line
		}
	}
	return p
}

func lineOf(n ast.Node) int {
	if n == nil || n.GetToken() == nil || n.GetToken().Position == nil {
		return 0
	}
	return n.GetToken().Position.Line
}

func fromAST(n ast.Node) (*node, *problem) {
	out := &node{line: lineOf(n)}
	switch n := n.(type) {
	case *ast.StringNode:
		out.shape, out.text = shapeText, n.Value
		if n.Token.Type == lexed.StringType && number.MatchString(n.Value) {
			out.shape = shapeNumber // such as 1e6, and what is larger than the parser's numbers
		}
	case *ast.LiteralNode:
		out.shape, out.text = shapeText, n.Value.Value
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		out.shape, out.text = shapeNumber, n.GetToken().Value
	case *ast.BoolNode:
		out.shape, out.text = shapeBoolean, n.Token.Value
	case *ast.NullNode:
		out.shape = shapeNull
	case *ast.SequenceNode:
		return out, out.list(n.Values)
	case *ast.MappingNode:
		return out, out.mapping(n.Values)
	case *ast.MappingValueNode:
		return out, out.mapping([]*ast.MappingValueNode{n})
	default:
		return nil, &problem{Line: out.line, Rule: ruleSyntax,
			Message: "anchors, aliases, merges and tags are not taken here", Fix: "write the value where it is used"}
	}
	return out, nil
}

func (n *node) list(values []ast.Node) *problem {
	n.shape = shapeList
	for _, v := range values {
		item, p := fromAST(v)
		if p != nil {
			return p
		}
		n.items = append(n.items, item)
	}
	return nil
}

func (n *node) mapping(values []*ast.MappingValueNode) *problem {
	n.shape = shapeMapping
	for _, v := range values {
		key, ok := keyOf(v.Key)
		if !ok {
			return &problem{Line: lineOf(v.Key), Rule: ruleSyntax, Message: "a key must be a plain word", Fix: "write KEY: VALUE"}
		}
		value, p := fromAST(v.Value)
		if p != nil {
			return p
		}
		n.entries = append(n.entries, entry{key: key, line: lineOf(v.Key), value: value})
	}
	if len(values) > 0 {
		n.line = n.entries[0].line
	}
	return nil
}

func keyOf(k ast.MapKeyNode) (string, bool) {
	switch k := k.(type) {
	case *ast.StringNode:
		return k.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.NullNode: // such as a column that is named "null"
		return k.GetToken().Value, true
	}
	return "", false
}

// readJSON reads the stored form.
func readJSON(text string) (*node, error) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	n, err := nextJSON(d)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one JSON value")
	}
	return n, nil
}

func nextJSON(d *json.Decoder) (*node, error) {
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	n := &node{shape: shapeNull}
	switch t := t.(type) {
	case string:
		n.shape, n.text = shapeText, t
	case json.Number:
		n.shape, n.text = shapeNumber, t.String()
	case bool:
		n.shape, n.text = shapeBoolean, fmt.Sprint(t)
	case json.Delim:
		return insideJSON(d, t)
	}
	return n, nil
}

func insideJSON(d *json.Decoder, open json.Delim) (*node, error) {
	n := &node{shape: shapeList}
	if open == '{' {
		n.shape = shapeMapping
	}
	for d.More() {
		var e entry
		if open == '{' {
			key, err := d.Token()
			if err != nil {
				return nil, err
			}
			e.key, _ = key.(string)
		}
		value, err := nextJSON(d)
		if err != nil {
			return nil, err
		}
		if e.value = value; open == '{' {
			n.entries = append(n.entries, e)
		} else {
			n.items = append(n.items, value)
		}
	}
	_, err := d.Token()
	return n, err
}

// writeJSON writes values as the stored form has them: keys sorted, nothing escaped
// that needs not be.
func writeJSON(v any) []byte {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(fmt.Sprintf("reverse: a job that JSON cannot hold: %v", err)) // only text, numbers, lists and maps
	}
	return bytes.TrimSpace(out.Bytes())
}

// nearest is the word that somebody may have meant, or "".
func nearest(word string, among []string) string {
	word = strings.ToLower(word)
	best, least := "", max(1, min(3, len(word)/3))+1
	for _, a := range slices.Sorted(slices.Values(among)) {
		low := strings.ToLower(a)
		d := distance(word, low)
		if len(word) > 2 && strings.HasPrefix(low, word) {
			d = 1
		}
		if d < least {
			best, least = a, d
		}
	}
	return best
}

// distance is how many letters must be put in, taken out, exchanged or swapped with
// the next one.
func distance(a, b string) int {
	x, y := []rune(a), []rune(b)
	var before []int
	last := make([]int, len(y)+1)
	for j := range last {
		last[j] = j
	}
	for i := range x {
		now := make([]int, len(y)+1)
		now[0] = i + 1
		for j := range y {
			cost := 1
			if x[i] == y[j] {
				cost = 0
			}
			now[j+1] = min(last[j+1]+1, now[j]+1, last[j]+cost)
			if i > 0 && j > 0 && x[i] == y[j-1] && x[i-1] == y[j] {
				now[j+1] = min(now[j+1], before[j-1]+1)
			}
		}
		before, last = last, now
	}
	return last[len(y)]
}
