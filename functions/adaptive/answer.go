package adaptive

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/millrace-data/millrace/shared/fault"
)

// envelope is an answer without its output. A streamed one has no Success, and says
// at its end how it went: without that it is cut short.
type envelope struct {
	XMLName  xml.Name  `xml:"response"`
	Success  string    `xml:"success,attr"`
	Messages []message `xml:"messages>message"`
	Status   *status   `xml:"status"`
}

type message struct {
	Key  string `xml:"key,attr"`
	Text string `xml:",chardata"`
}

type status struct {
	Success  string    `xml:"success,attr"`
	Rows     string    `xml:"rowCountSent,attr"`
	Messages []message `xml:"messages>message"`
}

// said is all messages in one line.
func (e envelope) said() (text string, auth bool) {
	all := e.Messages
	if e.Status != nil {
		all = append(all, e.Status.Messages...)
	}
	var texts []string
	for _, m := range all {
		texts = append(texts, strings.TrimSpace(m.Key+" "+strings.TrimSpace(m.Text)))
		auth = auth || strings.Contains(m.Key, "authentication")
	}
	return strings.Join(texts, "; "), auth
}

// failed is the error of an answer that says so, nil of any other.
func (e envelope) failed() error {
	if e.Success != "false" && (e.Status == nil || e.Status.Success != "false") {
		return nil
	}
	said, auth := e.said()
	if auth {
		return fault.New(fault.Auth, "Adaptive refuses the login (%s): check ADAPTIVE_LOGIN, ADAPTIVE_PASSWORD and ADAPTIVE_INSTANCE_CODE", said)
	}
	return fault.New(fault.Invalid, "%w: %s", errRefused, said)
}

// errRefused is part of the error of a call that Adaptive understood and refused.
// Nobody knows a key that passes by itself.
var errRefused = errors.New("the instance refuses the call")

// whole is nil for an answer that says that it is complete.
func (e envelope) whole() error {
	if err := e.failed(); err != nil {
		return err
	}
	if e.Success != "true" && (e.Status == nil || e.Status.Success != "true") {
		return fault.New(fault.Corrupt, "the answer does not say that it is complete: it was cut short; the next run asks again")
	}
	return nil
}

// classify looks at every short answer, whatever its status: failures come with any.
// A web page is worth another try, and so is what HTTP says may pass.
func classify(code int, _ http.Header, body []byte) error {
	var e envelope
	if code == http.StatusTooManyRequests || code == http.StatusServiceUnavailable {
		return nil
	}
	err := xml.Unmarshal(body, &e)
	if err == nil {
		return e.failed()
	}
	if start := root(body); code < http.StatusBadRequest && start != "response" {
		return fault.New(fault.Transient, "a web page instead of XML: is the base URL right, is Adaptive in maintenance?")
	}
	return nil // broken, which whoever reads it says
}

// root is the name of a document's outermost element, "" where it has none.
func root(body []byte) string {
	dec := xml.NewDecoder(bytes.NewReader(body))
	for {
		token, err := dec.Token()
		if err != nil {
			return ""
		}
		if start, ok := token.(xml.StartElement); ok {
			return start.Name.Local
		}
	}
}

// element is one element of a tree-shaped answer, valid during a visit only.
type element struct {
	position int64 // 1 is the first of the document
	tag      string
	attrs    []xml.Attr
	text     bytes.Buffer
	parent   *element
	children bool
}

func (e *element) attr(name string) string {
	for _, a := range e.attrs {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

// label is how a person calls the element.
func (e *element) label() string {
	for _, name := range []string{"name", "code", "id"} {
		if v := e.attr(name); v != "" {
			return v
		}
	}
	return e.tag
}

// walker reads one tree-shaped answer.
type walker struct {
	visit    func(*element) error
	envelope envelope
	open     *element // innermost inside of the output
	inside   bool
	position int64
}

// walk calls visit for the elements of an answer's output, each as it ends, so that
// its text is known. What only holds others, such as the list of all, is none. It
// returns nil only for an answer that says that it is complete.
func walk(r io.Reader, visit func(*element) error) (envelope, error) {
	w := &walker{visit: visit}
	dec := xml.NewDecoder(r)
	for depth := 0; ; {
		token, err := dec.Token()
		if err == io.EOF {
			return w.envelope, w.envelope.whole()
		}
		var syntax *xml.SyntaxError
		if errors.As(err, &syntax) {
			return w.envelope, fault.New(fault.Corrupt, "the answer is cut short or no XML, at line %d", syntax.Line)
		}
		if err != nil {
			return w.envelope, err
		}
		switch t := token.(type) {
		case xml.StartElement:
			depth++
			err = w.start(dec, &depth, t)
		case xml.CharData:
			if w.open != nil {
				w.open.text.Write(t)
			}
		case xml.EndElement:
			depth--
			err = w.end(depth)
		}
		if err != nil {
			return w.envelope, err
		}
	}
}

// start takes an element: of the envelope, the output, or inside of it.
func (w *walker) start(dec *xml.Decoder, depth *int, t xml.StartElement) error {
	switch {
	case w.inside:
		w.position++
		if w.open != nil {
			w.open.children = true
		}
		w.open = &element{position: w.position, tag: t.Name.Local, attrs: t.Attr, parent: w.open}
	case *depth == 1 && t.Name.Local != "response":
		return fault.New(fault.Transient, "a web page instead of XML: is the base URL right, is Adaptive in maintenance?")
	case *depth == 1:
		for _, a := range t.Attr {
			if a.Name.Local == "success" {
				w.envelope.Success = a.Value
			}
		}
	case t.Name.Local == "output":
		w.inside = true
		w.open = &element{tag: "output"}
	default:
		*depth--
		return w.part(dec, t)
	}
	return nil
}

// part reads what is beside the output.
func (w *walker) part(dec *xml.Decoder, t xml.StartElement) (err error) {
	switch t.Name.Local {
	case "messages":
		var in struct {
			Messages []message `xml:"message"`
		}
		err = dec.DecodeElement(&in, &t)
		w.envelope.Messages = append(w.envelope.Messages, in.Messages...)
	case "status":
		w.envelope.Status = &status{}
		err = dec.DecodeElement(w.envelope.Status, &t)
	default:
		err = dec.Skip()
	}
	if err != nil {
		return fault.New(fault.Corrupt, "the answer is cut short in its %s", t.Name.Local)
	}
	return nil
}

func (w *walker) end(depth int) error {
	e := w.open
	if e == nil {
		return nil
	}
	w.open = e.parent
	if depth == 1 {
		w.inside, w.open = false, nil
	}
	text := strings.TrimSpace(e.text.String())
	outer := e.parent == nil || e.parent.parent == nil
	list := outer && (e.children || e.attr("seqNo") != "") // a list has its revision, also where nothing is in it
	if text == "" && (list || len(e.attrs) == 0) {
		return nil
	}
	return w.visit(e)
}
