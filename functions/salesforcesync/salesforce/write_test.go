package salesforce

import (
	"errors"
	"iter"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/rest"
	"github.com/millrace-data/millrace/shared/reverse"
)

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

var upsert = reverse.Task{Object: "Account", Operation: reverse.Upsert, Key: "DW_Key__c", Fields: []reverse.Field{{Name: "Name", Type: reverse.TextType}}}

func text(s string) reverse.Value { return reverse.Value{Set: true, Text: &s} }

var (
	blank  = reverse.Value{Set: true}
	absent = reverse.Value{}
)

func rowsOf(rows ...reverse.Row) iter.Seq2[reverse.Row, error] {
	return func(yield func(reverse.Row, error) bool) {
		for _, r := range rows {
			if !yield(r, nil) {
				return
			}
		}
	}
}

func TestWriteShapes(t *testing.T) {
	fields := []reverse.Field{
		{Name: "Name", Type: reverse.TextType}, {Name: "Score__c", Type: reverse.NumberType}, {Name: "Active__c", Type: reverse.BooleanType},
		{Name: "Since__c", Type: reverse.DateType}, {Name: "OwnerId", Type: reverse.IDType},
	}
	row := []reverse.Value{text("a \"b\"\n\\ é\u2028"), text("12345678901234567.25"), text("true"), blank, absent}
	const values = `"Name":"a \"b\"\n\\ é` + "\u2028" + `","Score__c":12345678901234567.25,"Active__c":true,"Since__c":null`
	const id = "001000000000001AAA"
	for _, tc := range []struct {
		name string
		task reverse.Task
		key  string
		want string
	}{
		{"upsert", reverse.Task{Operation: reverse.Upsert, Key: "DW_Key__c", Fields: fields}, "k1",
			`PATCH /composite/sobjects/Account/DW_Key__c  {"allOrNone":false,"records":[{"attributes":{"type":"Account"},"DW_Key__c":"k1",` + values + `}]}`},
		{"upsert by number", reverse.Task{Operation: reverse.Upsert, Key: "No__c", Fields: fields}, "17",
			`PATCH /composite/sobjects/Account/No__c  {"allOrNone":false,"records":[{"attributes":{"type":"Account"},"No__c":17,` + values + `}]}`},
		{"insert", reverse.Task{Operation: reverse.Insert, Key: "DW_Key__c", Fields: fields}, "k1",
			`POST /composite/sobjects  {"allOrNone":false,"records":[{"attributes":{"type":"Account"},"DW_Key__c":"k1",` + values + `}]}`},
		{"update", reverse.Task{Operation: reverse.Update, Key: "Id", Fields: fields}, id,
			`PATCH /composite/sobjects  {"allOrNone":false,"records":[{"attributes":{"type":"Account"},"id":"` + id + `",` + values + `}]}`},
		{"delete", reverse.Task{Operation: reverse.Delete, Key: "Id"}, id, `DELETE /composite/sobjects allOrNone=false&ids=` + id},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := newOrg(t)
			method, _, _ := strings.Cut(tc.want, " ")
			path := v60 + strings.Fields(tc.want)[1]
			created := map[reverse.Operation]string{reverse.Upsert: `"created":true,`}[tc.task.Operation]
			o.json(method+" "+path, 200, `[{"id":"`+id+`","success":true,`+created+`"errors":[]}]`)
			tc.task.Object = "Account"
			got, err := o.client(t).Write(t.Context(), tc.task, []reverse.Row{{Key: tc.key, Values: row}})
			if err != nil || len(got) != 1 || got[0] != (reverse.Result{Key: tc.key, State: reverse.RowSent, ID: id, Created: tc.task.Operation == reverse.Upsert || tc.task.Operation == reverse.Insert}) {
				t.Fatalf("got %+v, %v", got, err)
			}
			if got := strings.Replace(o.calls()[0].String(), v60, "", 1); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

func TestWriteResults(t *testing.T) {
	o := newOrg(t)
	call := "PATCH " + v60 + "/composite/sobjects/Account/DW_Key__c"
	o.json(call, 200, `[{"id":"001A","success":true,"errors":[]},
		{"success":false,"errors":[{"statusCode":"UNABLE_TO_LOCK_ROW","message":"unable to obtain exclusive access","fields":[]}]},
		{"id":null,"success":false,"created":false,"errors":[{"statusCode":"REQUIRED_FIELD_MISSING","message":"Required fields are missing: [Name]","fields":["Name"]}]}]`)
	o.json(call, 200, `[{"id":"001A","success":true,"errors":[]}]`)
	o.json(call, 200, `[{"id":"001A"},{},{}]`)
	o.json(call, 200, `{}`)
	c := o.client(t)
	rows := []reverse.Row{{Key: "a", Values: []reverse.Value{absent}}, {Key: "b", Values: []reverse.Value{absent}}, {Key: "c", Values: []reverse.Value{absent}}}
	got, err := c.Write(t.Context(), upsert, rows)
	want := []reverse.Result{
		{Key: "a", State: reverse.RowSent, ID: "001A"},
		{Key: "b", State: reverse.RowFailed, Code: "UNABLE_TO_LOCK_ROW", Message: "unable to obtain exclusive access", Again: true},
		{Key: "c", State: reverse.RowFailed, Code: "REQUIRED_FIELD_MISSING", Message: "Required fields are missing: [Name]"},
	}
	if err != nil || len(got) != 3 || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] {
		t.Fatalf("got %+v, %v", got, err)
	}
	for range 3 {
		if _, err := c.Write(t.Context(), upsert, rows); !errors.Is(err, fault.Corrupt) {
			t.Errorf("got %v, want corrupt", err)
		}
	}
}

func TestWriteIsSentOnce(t *testing.T) {
	call := "PATCH " + v60 + "/composite/sobjects/Account/DW_Key__c"
	cut := func(w http.ResponseWriter, _ *http.Request) {
		conn, _, _ := w.(http.Hijacker).Hijack()
		conn.Close()
	}
	short := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		w.Write([]byte(`[`))
	}
	busy := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "7200")
		w.WriteHeader(503)
	}
	for name, answer := range map[string]http.HandlerFunc{"cut": cut, "short": short, "busy": busy,
		"500": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }} {
		t.Run(name, func(t *testing.T) {
			o := newOrg(t)
			o.on(call, answer)
			_, err := o.client(t).Write(t.Context(), upsert, []reverse.Row{{Key: "a", Values: []reverse.Value{absent}}})
			if fault.Of(err) != fault.Transient || len(o.calls()) != 1 {
				t.Errorf("got %v (%v) after %d calls", err, fault.Of(err), len(o.calls()))
			}
			if !strings.Contains(err.Error(), rest.ErrUnknown.Error()) {
				t.Errorf("%v does not say that it may be done", err)
			}
		})
	}
}

func TestWriteRefuses(t *testing.T) {
	one := []reverse.Row{{Key: "k", Values: []reverse.Value{absent}}}
	number := reverse.Task{Object: "Account", Operation: reverse.Upsert, Key: "DW_Key__c", Fields: []reverse.Field{{Name: "Score__c", Type: reverse.NumberType}}}
	flag := reverse.Task{Object: "Account", Operation: reverse.Upsert, Key: "DW_Key__c", Fields: []reverse.Field{{Name: "Active__c", Type: reverse.BooleanType}}}
	for name, tc := range map[string]struct {
		task reverse.Task
		rows []reverse.Row
	}{
		"too many":      {upsert, make([]reverse.Row, 201)},
		"few values":    {upsert, []reverse.Row{{Key: "k"}}},
		"none marker":   {upsert, []reverse.Row{{Key: "k", Values: []reverse.Value{text("#N/A")}}}},
		"key is marker": {upsert, []reverse.Row{{Key: "#N/A", Values: []reverse.Value{absent}}}},
		"no number":     {number, []reverse.Row{{Key: "k", Values: []reverse.Value{text("1,5")}}}},
		"more JSON":     {number, []reverse.Row{{Key: "k", Values: []reverse.Value{text(`1,"OwnerId":1`)}}}},
		"no boolean":    {flag, []reverse.Row{{Key: "k", Values: []reverse.Value{text("1")}}}},
		"update by key": {reverse.Task{Object: "Account", Operation: reverse.Update, Key: "DW_Key__c", Fields: upsert.Fields}, one},
		"upsert by id":  {reverse.Task{Object: "Account", Operation: reverse.Upsert, Key: "Id", Fields: upsert.Fields}, one},
		"no id":         {reverse.Task{Object: "Account", Operation: reverse.Delete, Key: "Id"}, one},
		"no operation":  {reverse.Task{Object: "Account", Operation: "merge", Key: "Id"}, one},
		"odd object":    {reverse.Task{Object: "Account/../X", Operation: reverse.Upsert, Key: "DW_Key__c", Fields: upsert.Fields}, one},
		"key in fields": {reverse.Task{Object: "Account", Operation: reverse.Upsert, Key: "Name", Fields: upsert.Fields}, one},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOrg(t)
			if _, err := o.client(t).Write(t.Context(), tc.task, tc.rows); !errors.Is(err, fault.Invalid) || len(o.calls()) != 0 {
				t.Errorf("got %v after %d calls", err, len(o.calls()))
			}
		})
	}
	if got, err := newOrg(t).client(t).Write(t.Context(), upsert, nil); got != nil || err != nil {
		t.Errorf("no rows: got %v, %v", got, err)
	}
}
