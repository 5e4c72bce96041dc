package salesforcetest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
)

// The limits of one request; the sheet.
const (
	collectionMax = 200
	typeChunks    = 10
)

// itemError is an error of one record: it says statusCode where others say errorCode.
type itemError struct {
	Code    string   `json:"statusCode"`
	Message string   `json:"message"`
	Fields  []string `json:"fields"`
}

// item is the result of one record.
type item struct {
	ID      string      `json:"id,omitempty"`
	Success bool        `json:"success"`
	Errors  []itemError `json:"errors"`
	Created *bool       `json:"created,omitempty"`
}

// row is a record of a request.
type row struct {
	t   *table
	c   change
	err *rowError
}

// collections answers for composite/sobjects, and below it OBJECT/FIELD.
func (s *Server) collections(w http.ResponseWriter, r request, rest string) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client has gone
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var rows []row
	all := r.URL.Query().Get("allOrNone") == "true"
	problem := bad("METHOD_NOT_ALLOWED", "HTTP Method '"+r.Method+"' not allowed.")
	object, key, upsert := strings.Cut(rest, "/")
	op := map[string]string{http.MethodPost: opInsert, http.MethodPatch: opUpdate, http.MethodDelete: opDelete}[r.Method]
	switch {
	case upsert && r.Method == http.MethodPatch:
		rows, all, problem = s.read(body, opUpsert, object, key)
	case rest != "":
		missing(w)
		return
	case op == opDelete:
		rows, problem = s.deletes(r.URL.Query().Get("ids"))
	case op != "":
		rows, all, problem = s.read(body, op, "", "Id")
	}
	if problem != nil {
		status := http.StatusBadRequest
		if problem.code == "METHOD_NOT_ALLOWED" {
			status = http.StatusMethodNotAllowed
		}
		if problem.code == "NOT_FOUND" {
			status = http.StatusNotFound
		}
		fail(w, status, problem.code, problem.message)
		return
	}
	send(w, http.StatusOK, s.work(rows, all))
}

// deletes makes rows of ids.
func (s *Server) deletes(ids string) ([]row, *rowError) {
	var rows []row
	for id := range strings.SplitSeq(ids, ",") {
		x := row{c: change{op: opDelete, key: cell{0, id}, via: "collections"}}
		i := slices.IndexFunc(s.tables, func(t *table) bool { return strings.HasPrefix(id, t.Prefix) })
		if i < 0 {
			x.err = bad("MALFORMED_ID", "malformed id "+id)
		} else {
			x.t = s.tables[i]
		}
		rows = append(rows, x)
	}
	if ids == "" || len(rows) > collectionMax {
		return nil, bad("EXCEEDED_ID_LIMIT", fmt.Sprintf("record limit reached. cannot submit more than %d records in this operation", collectionMax))
	}
	return rows, nil
}

// read makes rows of a body. What cannot be understood refuses the whole request.
func (s *Server) read(body []byte, op, object, key string) (rows []row, all bool, err *rowError) {
	var in struct {
		AllOrNone bool                         `json:"allOrNone"`
		Records   []map[string]json.RawMessage `json:"records"`
	}
	if json.Unmarshal(body, &in) != nil {
		return nil, false, bad("JSON_PARSER_ERROR", "The HTTP entity body is required, but this request has no entity body, or it is no JSON")
	}
	switch {
	case len(in.Records) == 0:
		return nil, false, bad("REQUIRED_FIELD_MISSING", "A list of records is required, and may not be empty")
	case len(in.Records) > collectionMax:
		return nil, false, bad("EXCEEDED_ID_LIMIT", fmt.Sprintf("record limit reached. cannot submit more than %d records in this operation", collectionMax))
	}
	chunks, last := 0, ""
	for _, rec := range in.Records {
		var attributes struct{ Type string }
		if json.Unmarshal(rec["attributes"], &attributes) != nil || attributes.Type == "" {
			return nil, false, bad("INVALID_TYPE", "a record's attributes have no type")
		}
		if object != "" && !strings.EqualFold(object, attributes.Type) {
			return nil, false, bad("INVALID_TYPE", "the records are not all of the type "+object)
		}
		if attributes.Type != last {
			chunks, last = chunks+1, attributes.Type
		}
		x, err := s.row(rec, attributes.Type, op, key)
		if err != nil {
			return nil, false, err
		}
		rows = append(rows, x)
	}
	if chunks > typeChunks {
		return nil, false, bad("INVALID_INPUT", "the request has more than 10 chunks of one type")
	}
	return rows, in.AllOrNone, nil
}

// row makes a row of a JSON object.
func (s *Server) row(rec map[string]json.RawMessage, object, op, key string) (row, *rowError) {
	t := s.table(object)
	if t == nil {
		return row{}, bad("INVALID_TYPE", "sObject type '"+object+"' is not supported.")
	}
	k, err := t.keyField(key)
	if err != nil {
		return row{}, err
	}
	x := row{t: t, c: change{op: op, key: cell{field: k}, via: "collections"}}
	for i := range t.Fields { // in the order of the fields, not of the map
		raw, name, n := json.RawMessage(nil), "", 0
		for have, v := range rec {
			if strings.EqualFold(have, t.Fields[i].Name) {
				raw, name, n = v, have, n+1
			}
		}
		if raw == nil {
			continue
		}
		delete(rec, name)
		f := &t.Fields[i]
		if f.Hidden || n > 1 {
			return row{}, bad("INVALID_FIELD", "No such column '"+name+"' on sobject of type "+t.Name)
		}
		text, ok := scalar(raw)
		value, isType := f.read(text)
		switch {
		case f.system == "Id" && op == opUpsert && k != 0:
			return row{}, bad("INVALID_FIELD", "The Id field should not be specified in the sobject data.")
		case i == k && (!isType || f.system == "Id"):
			x.c.key.text = text // what is no id is said of the record alone
		case i == k:
			x.c.key.text = value
		case !ok || !isType:
			return row{}, bad("JSON_PARSER_ERROR", "Cannot deserialize instance of "+strings.TrimPrefix(f.xsd(), "xsd:")+" from VALUE_STRING value "+text+" or request may be missing a required field at [line:1, column:1]")
		default:
			x.c.cells = append(x.c.cells, cell{i, value})
		}
	}
	return x, s.related(&x, rec)
}

// related reads what is left of a record: parents by an external id of theirs.
func (s *Server) related(x *row, rec map[string]json.RawMessage) *rowError {
	for name, raw := range rec {
		if name == "attributes" {
			continue
		}
		var parent map[string]json.RawMessage
		i := x.t.relationship(name)
		if i < 0 || json.Unmarshal(raw, &parent) != nil {
			return bad("INVALID_FIELD", "No such column '"+name+"' on sobject of type "+x.t.Name)
		}
		delete(parent, "attributes")
		for field, v := range parent {
			text, _ := scalar(v)
			id, err := s.parent(&x.t.Fields[i], field, text)
			if err != nil {
				x.err = err
			}
			x.c.cells = append(x.c.cells, cell{i, id})
		}
	}
	return nil
}

// scalar is the text of a JSON value, "" of null.
func scalar(raw json.RawMessage) (text string, ok bool) {
	raw = bytes.TrimSpace(raw)
	switch {
	case string(raw) == "null":
		return "", true
	case len(raw) > 0 && raw[0] == '"':
		err := json.Unmarshal(raw, &text)
		return text, err == nil
	}
	return string(raw), len(raw) > 0 && raw[0] != '{' && raw[0] != '['
}

// keyField finds the field that names records.
func (t *table) keyField(name string) (int, *rowError) {
	i, ok := t.lower[strings.ToLower(name)]
	if !ok || !t.Fields[i].ExternalID && t.Fields[i].system != "Id" {
		return 0, bad("NOT_FOUND", "Provided external ID field does not exist or is not accessible: "+name)
	}
	return i, nil
}

// work does the rows of a request, and gives results in their order.
func (s *Server) work(rows []row, all bool) []item {
	if all {
		s.undo = &journal{writes: len(s.writes)}
		defer func() { s.undo = nil }()
	}
	same := map[string]int{}
	for _, x := range rows {
		same[x.name()]++
	}
	out, failed := make([]item, len(rows)), false
	for i, x := range rows {
		out[i] = s.one(x, same)
		failed = failed || !out[i].Success
	}
	if all && failed {
		s.rollBack()
		for i := range out {
			if out[i].Success {
				out[i] = item{Errors: []itemError{{"ALL_OR_NONE_OPERATION_ROLLED_BACK", "Record rolled back because not all records were valid and the request was using AllOrNone header", []string{}}}}
			}
		}
	}
	return out
}

// name tells rows of a request apart, "" for a row that has no key.
func (x *row) name() string {
	if x.t == nil || x.c.key.text == "" || x.c.op == opInsert {
		return ""
	}
	return x.t.Name + " " + x.t.same(x.c.key)
}

// same is what keys of the same record have in common.
func (t *table) same(key cell) string {
	if full, ok := long(key.text); ok && t.Fields[key.field].system == "Id" {
		return full
	}
	if ix := t.index[key.field]; ix != nil {
		return ix.key(key.text)
	}
	return key.text
}

// duplicate says that a key is there twice.
func (t *table) duplicate(key cell) *rowError {
	if f := &t.Fields[key.field]; f.system != "Id" {
		return bad("DUPLICATE_VALUE", "Duplicate external id specified: "+key.text, f.Name)
	}
	return bad("DUPLICATE_VALUE", "Duplicate id specified: "+key.text, "Id")
}

func (s *Server) one(x row, same map[string]int) item {
	n, created, err := -1, false, x.err
	if name := x.name(); err == nil && name != "" && same[name] > 1 {
		err = x.t.duplicate(x.c.key)
	}
	if err == nil {
		n, created, err = s.apply(x.t, x.c)
	}
	if err != nil {
		fields := err.fields
		if fields == nil {
			fields = []string{}
		}
		out := item{Errors: []itemError{{err.code, err.message, fields}}}
		if n >= 0 && x.c.op != opUpsert {
			out.ID = idOf(x.t.Prefix, n)
		}
		return out
	}
	out := item{ID: idOf(x.t.Prefix, n), Success: true, Errors: []itemError{}}
	if x.c.op == opUpsert {
		out.Created = &created
	}
	return out
}
