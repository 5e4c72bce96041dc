package rest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace-data/millrace/shared/fault"
)

const (
	infoMax    = 64 << 10 // bytes of one member that is returned beside the rows
	membersMax = 100      // such members
)

// Rows streams the elements of the array named key of a JSON document, and never
// holds more than one of them. The array is looked for in the document's object,
// in its member data, and in any object in there, since vendors wrap: {"key":[…]},
// {"data":{"key":[…]}}, {"data":{"x":{"key":[…]}}}. With the key "" the document
// itself is the array.
//
// row gets an element as the vendor wrote it, valid during the call only; its
// error ends the reading and is returned unchanged. Values are not checked beyond
// being JSON: member names may repeat.
//
// info holds the other members of the objects on the way to the array, such as
// pageInfo; inner ones win, those over 64 KiB are left out.
//
// fault.Corrupt says what is wrong with the document, and at which byte, without
// quoting it: not JSON, HTML, cut short, no such array (with the names there
// are), or two of them. Rows before that point were passed on.
func Rows(r io.Reader, key string, row func(raw []byte) error) (info map[string]jsontext.Value, err error) {
	return Arrays(r, map[string]func(raw []byte) error{key: row})
}

// Arrays is Rows for several arrays of one document, in one pass, in whatever order
// they come: they are members of one object, and one that is missing is
// fault.Corrupt.
func Arrays(r io.Reader, rows map[string]func(raw []byte) error) (info map[string]jsontext.Value, err error) {
	head := make([]byte, 512)
	n, err := io.ReadFull(r, head)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	head = bytes.TrimPrefix(head[:n], []byte("\ufeff"))
	if bytes.HasPrefix(bytes.TrimLeft(head, " \t\r\n"), []byte("<")) {
		return nil, fault.New(fault.Corrupt, "answered with HTML or XML instead of JSON: is the base URL right, is the vendor in maintenance?")
	}
	s := &search{want: rows, found: map[string]bool{}}
	s.dec = jsontext.NewDecoder(io.MultiReader(bytes.NewReader(head), r), jsontext.AllowDuplicateNames(true))
	info, err = s.document()
	var own *rowError
	if errors.As(err, &own) {
		return nil, own.err
	}
	return info, s.explain(err)
}

// rowError carries an error of row past our own explanations.
type rowError struct{ err error }

func (e *rowError) Error() string { return e.err.Error() }

// search is a walk through one document.
type search struct {
	dec   *jsontext.Decoder
	want  map[string]func([]byte) error
	found map[string]bool
	names []string // of members on the way, for the error when there is no array
}

func (s *search) document() (info map[string]jsontext.Value, err error) {
	switch kind := s.dec.PeekKind(); {
	case kind == '[' && s.want[""] != nil:
		err = s.rows("")
	case kind == '{':
		info, err = s.object(0)
	default:
		err = s.dec.SkipValue()
	}
	if err != nil {
		return nil, err
	}
	if _, err := s.dec.ReadToken(); err != io.EOF {
		return nil, errors.Join(errTrailing, err)
	}
	for _, key := range slices.Sorted(maps.Keys(s.want)) {
		if !s.found[key] {
			return nil, fault.New(fault.Corrupt, "no array %q in the answer, which has: %s", key, s.listed())
		}
	}
	return info, nil
}

// object reads one object: depth 0 is the document, 1 its data, 2 what is in there.
func (s *search) object(depth int) (map[string]jsontext.Value, error) {
	info := map[string]jsontext.Value{}
	if _, err := s.dec.ReadToken(); err != nil {
		return nil, err
	}
	for s.dec.PeekKind() != '}' {
		name, err := s.dec.ReadToken()
		if err != nil {
			return nil, err
		}
		if err := s.member(name.String(), depth, info); err != nil {
			return nil, err
		}
	}
	_, err := s.dec.ReadToken()
	return info, err
}

// member reads the value of a member: the rows, an object that may hold them, or
// something to tell the caller.
func (s *search) member(name string, depth int, info map[string]jsontext.Value) error {
	kind := s.dec.PeekKind()
	if len(s.names) < membersMax {
		s.names = append(s.names, name)
	}
	switch {
	case kind == '[' && name != "" && s.want[name] != nil:
		return s.rows(name)
	case kind == '{' && len(s.found) == 0 && (depth == 0 && name == "data" || depth == 1):
		return s.descend(name, depth, info)
	}
	v, err := s.capture()
	keep(info, name, v)
	return err
}

// descend looks for the rows in an object. If they are not there, the object is
// information as any other.
func (s *search) descend(name string, depth int, info map[string]jsontext.Value) error {
	inner, err := s.object(depth + 1)
	if err != nil {
		return err
	}
	if len(s.found) > 0 {
		maps.Copy(info, inner)
		return nil
	}
	v, err := json.Marshal(inner, json.Deterministic(true))
	keep(info, name, v)
	return err
}

func keep(info map[string]jsontext.Value, name string, v jsontext.Value) {
	if v != nil && len(v) <= infoMax && len(info) < membersMax {
		info[name] = v
	}
}

func (s *search) rows(key string) error {
	if s.found[key] {
		return fault.New(fault.Corrupt, "the array %q is twice in the answer", key)
	}
	s.found[key] = true
	if _, err := s.dec.ReadToken(); err != nil {
		return err
	}
	for s.dec.PeekKind() != ']' {
		raw, err := s.dec.ReadValue()
		if err != nil {
			return err
		}
		if err := s.want[key](raw); err != nil {
			return &rowError{err}
		}
	}
	_, err := s.dec.ReadToken()
	return err
}

// capture reads a value piece by piece and returns it, or nil if it is longer
// than infoMax: a large member must not be held just to be left out.
func (s *search) capture() (jsontext.Value, error) {
	var b bytes.Buffer
	out := jsontext.NewEncoder(&b, jsontext.AllowDuplicateNames(true))
	depth := s.dec.StackDepth()
	for {
		if err := s.copyPiece(out, out.OutputOffset() <= infoMax); err != nil {
			return nil, err
		}
		if s.dec.StackDepth() == depth {
			break
		}
	}
	if out.OutputOffset() > infoMax {
		return nil, nil
	}
	return bytes.TrimSpace(b.Bytes()), nil
}

// copyPiece reads one bracket or one scalar, and writes it if it is still wanted.
func (s *search) copyPiece(out *jsontext.Encoder, wanted bool) error {
	if strings.ContainsRune("{}[]", rune(s.dec.PeekKind())) {
		token, err := s.dec.ReadToken()
		if err != nil || !wanted {
			return err
		}
		return out.WriteToken(token)
	}
	v, err := s.dec.ReadValue()
	if err != nil || !wanted {
		return err
	}
	return out.WriteValue(v)
}

var errTrailing = errors.New("something follows the document")

// explain makes errors of the JSON reader say where and what, but not quote.
func (s *search) explain(err error) error {
	var syntax *jsontext.SyntacticError
	switch {
	case err == nil || errors.Is(err, fault.Corrupt):
		return err
	case errors.Is(err, errTrailing):
		return fault.New(fault.Corrupt, "answer goes on after its JSON ends, at byte %d", s.dec.InputOffset())
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return fault.New(fault.Corrupt, "JSON ends too early, after byte %d", s.dec.InputOffset())
	case errors.As(err, &syntax):
		return fault.New(fault.Corrupt, "not valid JSON at byte %d", syntax.ByteOffset)
	}
	return fmt.Errorf("read the answer after byte %d: %w", s.dec.InputOffset(), err)
}

func (s *search) listed() string {
	if len(s.names) == 0 {
		return "no members"
	}
	slices.Sort(s.names)
	return strings.Join(slices.Compact(s.names), ", ")
}
