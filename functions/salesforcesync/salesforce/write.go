package salesforce

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/rest"
	"github.com/millrace-data/millrace/shared/reverse"
)

// noValue is what a cell of an upload says to empty a field, and can therefore not be
// written anywhere.
const noValue = "#N/A"

// Write sends at most 200 rows through sObject Collections, each for itself.
func (c *Client) Write(ctx context.Context, t reverse.Task, rows []reverse.Row) ([]reverse.Result, error) {
	if len(rows) == 0 {
		return nil, nil
	}
	if len(rows) > reverse.WriteMax {
		return nil, fault.New(fault.Invalid, "%d rows in one request: at most %d are allowed", len(rows), reverse.WriteMax)
	}
	if err := checkTask(t); err != nil {
		return nil, err
	}
	r, err := c.collection(ctx, t, rows)
	if err != nil {
		return nil, err
	}
	var items []item
	if err := c.call(ctx, r, nil, &items); err != nil {
		return nil, err
	}
	return join(t, rows, items)
}

// checkTask refuses what Salesforce cannot do: it updates and deletes by Id.
func checkTask(t reverse.Task) error {
	names := []string{t.Object, t.Key}
	for _, f := range t.Fields {
		if strings.EqualFold(f.Name, t.Key) {
			return fault.New(fault.Invalid, "%s of %s: %s is both the key and a field", t.Operation, t.Object, t.Key)
		}
		names = append(names, f.Name)
	}
	if err := checkNames(names...); err != nil {
		return err
	}
	byID := t.Key == "Id"
	switch t.Operation {
	case reverse.Upsert, reverse.Insert:
		if byID {
			return fault.New(fault.Invalid, "%s of %s: the key must be a field, not Id", t.Operation, t.Object)
		}
		return nil
	case reverse.Update, reverse.Delete:
		if !byID {
			return fault.New(fault.Invalid, "%s of %s: the key must be Id, not %s", t.Operation, t.Object, t.Key)
		}
		return nil
	}
	return fault.New(fault.Invalid, "%s: no operation is called %q", t.Object, t.Operation)
}

// collection is the request for some rows.
func (c *Client) collection(ctx context.Context, t reverse.Task, rows []reverse.Row) (rest.Request, error) {
	r := rest.Request{Path: c.path("/composite/sobjects"), Header: jsonBody(), Once: true}
	switch t.Operation {
	case reverse.Delete:
		ids := make([]string, len(rows))
		for i, row := range rows {
			ids[i] = row.Key
		}
		r.Method, r.Header = http.MethodDelete, nil
		r.Query = url.Values{"ids": {strings.Join(ids, ",")}, "allOrNone": {"false"}}
		return r, checkIDs(rows)
	case reverse.Upsert:
		r.Method, r.Path = http.MethodPatch, r.Path+"/"+t.Object+"/"+t.Key
	case reverse.Update:
		r.Method = http.MethodPatch
		if err := checkIDs(rows); err != nil {
			return r, err
		}
	case reverse.Insert:
		r.Method = http.MethodPost
	}
	key := reverse.Field{Name: "id", Type: reverse.IDType}
	if t.Operation != reverse.Update {
		var err error
		if key, err = c.field(ctx, t.Object, t.Key); err != nil {
			return r, err
		}
		key.Name = t.Key
	}
	doc, err := records(t, key, rows)
	r.Body = doc
	return r, err
}

func checkIDs(rows []reverse.Row) error {
	for _, row := range rows {
		if !recordID.MatchString(row.Key) {
			return fault.New(fault.Invalid, "the key of a row is not an id of 15 or 18 letters and digits")
		}
	}
	return nil
}

// records is the body of a collection. A value that is not set is left out, which
// leaves the field as it is; one without text is null, which empties it.
func records(t reverse.Task, key reverse.Field, rows []reverse.Row) ([]byte, error) {
	names := make([][]byte, len(t.Fields)) // as `,"Name":`
	for i, f := range t.Fields {
		names[i] = append(appendText([]byte{','}, f.Name), ':')
	}
	head := append(appendText([]byte(`{"attributes":{"type":`), t.Object), "},"...)
	head = append(appendText(head, key.Name), ':')
	doc := []byte(`{"allOrNone":false,"records":[`)
	var err error
	for n, row := range rows {
		if len(row.Values) != len(t.Fields) {
			return nil, fault.New(fault.Invalid, "a row has %d values for %d fields of %s", len(row.Values), len(t.Fields), t.Object)
		}
		if n > 0 {
			doc = append(doc, ',')
		}
		doc = append(doc, head...)
		if doc, err = appendValue(doc, key, &row.Key); err != nil {
			return nil, err
		}
		for i, v := range row.Values {
			if !v.Set {
				continue
			}
			if doc, err = appendValue(append(doc, names[i]...), t.Fields[i], v.Text); err != nil {
				return nil, err
			}
		}
		doc = append(doc, '}')
	}
	return append(doc, "]}"...), nil
}

// appendValue writes a value as its field's type wants it.
func appendValue(doc []byte, f reverse.Field, text *string) ([]byte, error) {
	if text == nil || *text == "" {
		return append(doc, "null"...), nil
	}
	if *text == noValue {
		return nil, fault.New(fault.Invalid, "%s: the text %s cannot be written: to bulk jobs it means none", f.Name, noValue)
	}
	switch f.Type {
	case reverse.NumberType:
		if v := jsontext.Value(*text); v.Kind() != '0' || !v.IsValid() {
			return nil, fault.New(fault.Invalid, "%s: a value is not a number", f.Name)
		}
		return append(doc, *text...), nil
	case reverse.BooleanType:
		if *text != "true" && *text != "false" {
			return nil, fault.New(fault.Invalid, "%s: a value is neither true nor false", f.Name)
		}
		return append(doc, *text...), nil
	case reverse.OtherType:
		return nil, fault.New(fault.Invalid, "%s: its type is not written", f.Name)
	}
	return appendText(doc, *text), nil
}

func appendText(doc []byte, text string) []byte {
	doc, _ = jsontext.AppendQuote(doc, text) // its error is of invalid UTF-8, which it replaced
	return doc
}

// item is what became of one record of a collection.
type item struct {
	ID      string         `json:"id"`
	Success *bool          `json:"success"`
	Created bool           `json:"created"`
	Errors  jsontext.Value `json:"errors"`
}

// join gives the items, which are in the order of the request, the keys of our rows.
// Only those of an upsert say whether they were created.
func join(t reverse.Task, rows []reverse.Row, items []item) ([]reverse.Result, error) {
	if len(items) != len(rows) {
		return nil, fault.New(fault.Corrupt, "%d results for %d rows: what was written is not known", len(items), len(rows))
	}
	out := make([]reverse.Result, len(rows))
	for i, it := range items {
		if it.Success == nil {
			return nil, fault.New(fault.Corrupt, "a result does not say whether its row was written")
		}
		r := reverse.Result{Key: rows[i].Key, State: reverse.RowSent, ID: it.ID, Created: it.Created || t.Operation == reverse.Insert}
		if !*it.Success {
			r.State, r.Created = reverse.RowFailed, false
			if all := problems(it.Errors); len(all) > 0 {
				r.Code, r.Message = all[0].Code, all[0].Message
			}
			r.Again = again[r.Code]
		}
		out[i] = r
	}
	return out, nil
}
