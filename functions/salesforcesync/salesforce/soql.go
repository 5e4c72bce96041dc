package salesforce

import (
	"context"
	"errors"
	"iter"
	"net/url"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/rest"
	"github.com/millrace-data/millrace/shared/reverse"
)

const (
	chunkKeys   = 300    // keys of one query; sheet of 2026-08
	queryMax    = 15_000 // characters of an encoded query: an address may have 16,000
	bulkKeys    = 50_000 // above this a bulk query of the whole object is cheaper
	restartsMax = 3      // of one chunk whose pages expired
)

// Read streams the records that have one of the keys. A key comes back as it was asked
// for, whatever Salesforce makes of its case. Two keys that are one to Salesforce are
// fault.Invalid. Where all records are asked for, or more than 50,000, a bulk query
// reads the object.
func (c *Client) Read(ctx context.Context, q reverse.Query) iter.Seq2[reverse.Record, error] {
	return func(yield func(reverse.Record, error) bool) {
		if q.Keys != nil && len(q.Keys) == 0 {
			return
		}
		l, err := c.lookup(ctx, q)
		if err != nil {
			yield(reverse.Record{}, err)
			return
		}
		if q.Keys == nil || len(l.asked) > bulkKeys {
			err = c.scan(ctx, l, yield)
		} else {
			err = c.chunks(ctx, l, yield)
		}
		if err != nil && !errors.Is(err, errEnough) {
			yield(reverse.Record{}, err)
		}
	}
}

var errEnough = errors.New("the caller has enough")

type yielder func(reverse.Record, error) bool

// lookup is a query that is ready to be written as SOQL.
type lookup struct {
	reverse.Query
	key     reverse.Field
	columns []string          // Id, the key, the fields, each once
	places  map[string][]int  // column in lower case: where its value goes in Record.Values
	asked   map[string]string // folded key: as it was asked for
	literal []string          // of each key
}

func (c *Client) lookup(ctx context.Context, q reverse.Query) (*lookup, error) {
	if err := checkNames(append([]string{q.Object, q.Key}, q.Fields...)...); err != nil {
		return nil, err
	}
	f, err := c.field(ctx, q.Object, q.Key)
	if err != nil {
		return nil, err
	}
	l := &lookup{Query: q, key: f, columns: []string{"Id"}, places: map[string][]int{}, asked: map[string]string{}}
	for i, name := range append([]string{q.Key}, q.Fields...) {
		if !slices.ContainsFunc(l.columns, func(have string) bool { return strings.EqualFold(have, name) }) {
			l.columns = append(l.columns, name)
		}
		if i > 0 {
			l.places[strings.ToLower(name)] = append(l.places[strings.ToLower(name)], i-1)
		}
	}
	for _, key := range q.Keys {
		if err := l.ask(key); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// ask adds a key. An empty one is nobody's: in SOQL it would find every record without.
func (l *lookup) ask(key string) error {
	if key == "" {
		return nil
	}
	folded, literal, err := fold(l.key, key)
	if err != nil {
		return err
	}
	if have, ok := l.asked[folded]; ok {
		if have != key {
			return fault.New(fault.Invalid, "two of the keys are one to Salesforce: %s.%s does not tell them apart, such as by their case", l.Object, l.Key)
		}
		return nil
	}
	l.asked[folded] = key
	l.literal = append(l.literal, literal)
	return nil
}

// soql is the query for some literals; none: for all records that have a key.
func (l *lookup) soql(literals []string) string {
	var b strings.Builder
	b.WriteString("SELECT " + strings.Join(l.columns, ", ") + " FROM " + l.Object)
	switch {
	case len(literals) > 0:
		b.WriteString(" WHERE " + l.Key + " IN (" + strings.Join(literals, ",") + ")")
	case !strings.EqualFold(l.Key, "Id"):
		b.WriteString(" WHERE " + l.Key + " != null")
	}
	return b.String()
}

// chunks reads by SOQL, as many keys at a time as fit.
func (c *Client) chunks(ctx context.Context, l *lookup, yield yielder) error {
	frame := len(url.QueryEscape(l.soql([]string{""})))
	for rest := l.literal; len(rest) > 0; {
		n, size := 0, frame
		for n < min(len(rest), chunkKeys) {
			size += len(url.QueryEscape(rest[n])) + len("%2C")
			if n > 0 && size > queryMax {
				break
			}
			n++
		}
		if err := c.chunk(ctx, l, l.soql(rest[:n]), yield); err != nil {
			return err
		}
		rest = rest[n:]
	}
	return nil
}

// chunk runs one query to its end. When its pages expire on the way it is made again,
// and leaves out what was given.
func (c *Client) chunk(ctx context.Context, l *lookup, soql string, yield yielder) error {
	given := map[string]bool{}
	for tries := 1; ; tries++ {
		err := c.pages(ctx, soql, func(raw jsontext.Value) error {
			r, err := l.record(raw)
			if err != nil || given[r.ID] {
				return err
			}
			if r.Key == "" {
				return fault.New(fault.Corrupt, "the query of %s gave a record whose key was not asked for", l.Object)
			}
			given[r.ID] = true
			if !yield(r, nil) {
				return errEnough
			}
			return nil
		})
		if !errors.Is(err, errLocator) {
			return err
		}
		if tries > restartsMax {
			return fault.New(fault.Transient, "the query of %s expired %d times before its last page: %v", l.Object, tries, err)
		}
	}
}

// page is an answer to a query.
type page struct {
	Total   *int64           `json:"totalSize"`
	Done    *bool            `json:"done"`
	Next    string           `json:"nextRecordsUrl"`
	Records []jsontext.Value `json:"records"`
}

// pages gives each record of a query to take.
func (c *Client) pages(ctx context.Context, soql string, take func(jsontext.Value) error) error {
	next := rest.Request{Path: c.path("/query"), Query: url.Values{"q": {soql}}}
	for {
		var p page
		if err := c.call(ctx, next, nil, &p); err != nil {
			return err
		}
		if p.Done == nil {
			return fault.New(fault.Corrupt, "a page of a query does not say whether it is the last")
		}
		for _, r := range p.Records {
			if err := take(r); err != nil {
				return err
			}
		}
		if *p.Done {
			return nil
		}
		if !strings.HasPrefix(p.Next, "/services/data/") || strings.ContainsAny(p.Next, "?#") || strings.Contains(p.Next, "..") {
			return fault.New(fault.Corrupt, "a page of a query is not the last and does not say where the next one is")
		}
		next = rest.Request{Path: p.Next}
	}
}

// record reads one record. Numbers stay the text they are.
func (l *lookup) record(raw jsontext.Value) (reverse.Record, error) {
	r := reverse.Record{Values: make([]*string, len(l.Fields))}
	var fields map[string]jsontext.Value
	if err := json.Unmarshal(raw, &fields); err != nil {
		return r, fault.New(fault.Corrupt, "a record of %s is not an object: %w", l.Object, err)
	}
	seen := 0
	for name, value := range fields {
		name = strings.ToLower(name)
		text, err := scalar(value)
		if err != nil {
			return r, fault.New(fault.Corrupt, "%s.%s: %w", l.Object, name, err)
		}
		seen += l.set(&r, name, text)
	}
	return r, l.finish(&r, seen)
}

// set puts a column's value where it belongs, and returns how many columns it was.
func (l *lookup) set(r *reverse.Record, column string, text *string) int {
	known := 0
	if column == "id" && text != nil {
		r.ID, known = *text, 1
	}
	if column == strings.ToLower(l.Key) && text != nil {
		r.Key = *text
	}
	if column == strings.ToLower(l.Key) && column != "id" {
		known = 1
	}
	for _, i := range l.places[column] {
		r.Values[i], known = text, 1
	}
	return known
}

// finish checks that a record has all columns, and gives its key the form it was asked
// for in.
func (l *lookup) finish(r *reverse.Record, seen int) error {
	if r.ID == "" || r.Key == "" || seen != len(l.columns) {
		return fault.New(fault.Corrupt, "a record of %s lacks columns that were asked for", l.Object)
	}
	if l.Keys == nil {
		return nil
	}
	folded, _, err := fold(l.key, r.Key)
	if err != nil {
		return fault.New(fault.Corrupt, "a record of %s has a key of another type: %v", l.Object, err)
	}
	r.Key = l.asked[folded] // "": not asked for
	return nil
}

// scalar is a JSON value as text, nil for null. A compound value stays JSON.
func scalar(v jsontext.Value) (*string, error) {
	switch v.Kind() {
	case 'n':
		return nil, nil
	case '"':
		b, err := jsontext.AppendUnquote(nil, v)
		s := string(b)
		return &s, err
	}
	s := string(v)
	return &s, nil
}

// Count is how many records an object has.
func (c *Client) Count(ctx context.Context, object string) (int64, error) {
	if err := checkNames(object); err != nil {
		return 0, err
	}
	var p page
	err := c.call(ctx, rest.Request{Path: c.path("/query"), Query: url.Values{"q": {"SELECT COUNT() FROM " + object}}}, nil, &p)
	if err != nil {
		return 0, err
	}
	if p.Total == nil {
		return 0, fault.New(fault.Corrupt, "the count of %s has no totalSize", object)
	}
	return *p.Total, nil
}
