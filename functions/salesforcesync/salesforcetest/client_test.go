package salesforcetest_test

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-data/millrace/functions/salesforcesync/salesforce"
	"github.com/millrace-data/millrace/functions/salesforcesync/salesforcetest"
	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/rest/resttest"
	"github.com/millrace-data/millrace/shared/reverse"
)

// These tests let the connector's client speak to the twin: two readings of one
// sheet. Where they part, one of them is wrong.

// dial opens the client on a twin.
func dial(t *testing.T, c *client) *salesforce.Client {
	t.Helper()
	out, err := salesforce.Open(env.Map(salesforcetest.Env(c.base)), salesforce.Options{Now: func() time.Time { return *c.clock }, Poll: time.Millisecond, Scratch: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { out.Close() })
	return out
}

func task(t *testing.T, d reverse.Destination, op reverse.Operation, object, key string, fields ...string) reverse.Task {
	t.Helper()
	o, err := d.Describe(t.Context(), object)
	if err != nil {
		t.Fatal(err)
	}
	out := reverse.Task{Object: object, Operation: op, Key: key}
	for _, name := range fields {
		i := slices.IndexFunc(o.Fields, func(f reverse.Field) bool { return f.Name == name })
		if i < 0 {
			t.Fatalf("describe has no %s", name)
		}
		out.Fields = append(out.Fields, o.Fields[i])
	}
	return out
}

// line makes a row: "-" leaves a field alone, "" empties it.
func line(key string, values ...string) reverse.Row {
	r := reverse.Row{Key: key}
	for _, v := range values {
		switch v {
		case "-":
			r.Values = append(r.Values, reverse.Value{})
		case "":
			r.Values = append(r.Values, reverse.Value{Set: true})
		default:
			r.Values = append(r.Values, reverse.Value{Set: true, Text: &v})
		}
	}
	return r
}

func lines(rows ...reverse.Row) iter.Seq2[reverse.Row, error] {
	return func(yield func(reverse.Row, error) bool) {
		for _, r := range rows {
			if !yield(r, nil) {
				return
			}
		}
	}
}

// words says what became of rows: key=state, with the code of a failure.
func words(results map[string]reverse.Result) string {
	var out []string
	for _, key := range slices.Sorted(maps.Keys(results)) {
		out = append(out, strings.TrimSuffix(key+"="+string(results[key].State)+" "+results[key].Code, " "))
	}
	return strings.Join(out, ", ")
}

// bulk does a job with the client from its making to its results.
func bulk(t *testing.T, d *salesforce.Client, k reverse.Task, rows ...reverse.Row) (reverse.BulkJob, map[string]reverse.Result, error) {
	t.Helper()
	id, err := d.Create(t.Context(), k)
	if err != nil {
		return reverse.BulkJob{}, nil, err
	}
	if err := d.Upload(t.Context(), id, k, lines(rows...)); err != nil {
		return reverse.BulkJob{}, nil, err
	}
	if err := d.End(t.Context(), id, reverse.Closed); err != nil {
		return reverse.BulkJob{}, nil, err
	}
	for range 20 {
		j, err := d.Look(t.Context(), id)
		if err != nil {
			return j, nil, err
		}
		if j.State.Ended() {
			out, err := results(t, d, id, k)
			return j, out, err
		}
	}
	return reverse.BulkJob{}, nil, errors.New("the job does not end")
}

func results(t *testing.T, d *salesforce.Client, id string, k reverse.Task) (map[string]reverse.Result, error) {
	out := map[string]reverse.Result{}
	for r, err := range d.Results(t.Context(), id, k) {
		if err != nil {
			return out, err
		}
		out[r.Key] = r
	}
	return out, nil
}

func TestClientWrites(t *testing.T) {
	c := start(t, salesforcetest.Options{})
	d := dial(t, c)
	up := task(t, d, reverse.Upsert, "Account", "DW_Key__c", "Name", "Score__c", "Tier__c", "Active__c", "Renewal__c", "Scored_At__c", "Opens_At__c", "ARR__c", "Seats__c", "OwnerId", "Description")
	full := []string{"Acme \"é\"\nline", "10.5", "gold", "true", "2026-01-02", "2026-01-02T03:04:05.000Z", "07:00:00.000Z", "12345678.9", "7", "005Tw0000000001", "a, b"}
	write := func(k reverse.Task, rows ...reverse.Row) string {
		t.Helper()
		got, err := d.Write(t.Context(), k, rows)
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]reverse.Result{}
		for _, r := range got {
			out[r.Key] = r
		}
		return words(out)
	}
	none := slices.Repeat([]string{"-"}, len(full)-1)
	if got := write(up, line("k1", full...), line("k2", append([]string{"two"}, none...)...), line("k3", append([]string{""}, none...)...)); got != "k1=sent, k2=sent, k3=failed REQUIRED_FIELD_MISSING" {
		t.Errorf("collection: %s", got)
	}
	_, out, err := bulk(t, d, up, line("b1", full...), line("k1", append([]string{"-", "", "silver"}, slices.Repeat([]string{"-"}, len(full)-3)...)...), line("b3", append([]string{""}, none...)...))
	if got := words(out); err != nil || got != "b1=sent, b3=failed REQUIRED_FIELD_MISSING, k1=sent" || !out["b1"].Created || out["k1"].Created {
		t.Errorf("bulk: %s %v", got, err)
	}
	a, b := c.twin.Get("Account", "DW_Key__c", "k1"), c.twin.Get("Account", "DW_Key__c", "b1")
	if a["Score__c"] != "" || a["Tier__c"] != "silver" || a["Name"] != full[0] || b["Score__c"] != "10.5" || b["Description"] != "a, b" || b["Scored_At__c"] != full[5] {
		t.Errorf("got %v and %v", a, b)
	}
	byID := task(t, d, reverse.Update, "Account", "Id", "Name")
	gone := c.twin.Insert("Account", map[string]string{"Name": "gone"})
	c.twin.Delete("Account", gone)
	if got := write(byID, line(a["Id"], "new"), line(gone, "x")); got != a["Id"]+"=sent, "+gone+"=failed ENTITY_IS_DELETED" {
		t.Errorf("update: %s", got)
	}
	if _, out, err := bulk(t, d, byID, line(a["Id"], "newer"), line(gone, "x")); err != nil || words(out) != a["Id"]+"=sent, "+gone+"=failed ENTITY_IS_DELETED" {
		t.Errorf("bulk update: %s %v", words(out), err)
	}
	rm := reverse.Task{Object: "Account", Operation: reverse.Delete, Key: "Id"}
	if got := write(rm, line(a["Id"])); got != a["Id"]+"=sent" {
		t.Errorf("delete: %s", got)
	}
	if _, out, err := bulk(t, d, rm, line(b["Id"]), line(gone)); err != nil || words(out) != b["Id"]+"=sent, "+gone+"=failed ENTITY_IS_DELETED" {
		t.Errorf("bulk delete: %s %v", words(out), err)
	}
	insert := task(t, d, reverse.Insert, "Account", "DW_Key__c", "Name")
	if got := write(insert, line("k9", "nine"), line("k2", "taken")); got != "k2=failed DUPLICATE_VALUE, k9=sent" {
		t.Errorf("insert: %s", got)
	}
	if b := d.Budget(); b.Max != 100_000 || b.Used != c.twin.Usage() {
		t.Errorf("budget %+v, the twin says %d", b, c.twin.Usage())
	}
}

func TestClientReads(t *testing.T) {
	c := start(t, salesforcetest.Options{PageMax: 70, BulkPage: 999})
	seed(c, 2500)
	d := dial(t, c)
	odd := `O'N\"x`
	c.twin.Insert("Account", map[string]string{"Name": "odd", "DW_Key__c": odd, "Score__c": "100", "ARR__c": "12345678.9", "Scored_At__c": "2026-01-02T03:04:05Z", "Active__c": "true"})
	q := reverse.Query{Object: "Account", Key: "DW_Key__c", Fields: []string{"Name", "Score__c", "ARR__c", "Scored_At__c", "Active__c", "Id"}}
	read := func(q reverse.Query) (out map[string]reverse.Record) {
		t.Helper()
		out = map[string]reverse.Record{}
		for r, err := range d.Read(t.Context(), q) {
			if err != nil {
				t.Fatal(err)
			}
			out[r.Key] = r
		}
		return out
	}
	all := read(q)
	for i := range 900 {
		q.Keys = append(q.Keys, fmt.Sprintf("K%d", i))
	}
	q.Keys = append(q.Keys, odd, "nobody")
	some := read(q)
	if len(all) != 2501 || len(some) != 901 || some["K7"].Values[0] == nil || *some["K7"].Values[0] != "Account 7" {
		t.Fatalf("got %d and %d records", len(all), len(some))
	}
	o, err := d.Describe(t.Context(), "Account")
	if err != nil {
		t.Fatal(err)
	}
	for name, r := range map[string]reverse.Record{"page": some[odd], "bulk": all[odd]} {
		var got []string
		for i, f := range q.Fields[:5] {
			j := slices.IndexFunc(o.Fields, func(x reverse.Field) bool { return x.Name == f })
			text, err := reverse.Canonical(o.Fields[j], *r.Values[i])
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			got = append(got, text)
		}
		if fmt.Sprint(got) != "[odd 100 12345678.9 2026-01-02T03:04:05.000Z true]" || *r.Values[5] != r.ID {
			t.Errorf("%s: got %v", name, got)
		}
	}
	if n, err := d.Count(t.Context(), "Account"); n != 2501 || err != nil {
		t.Errorf("count %d %v", n, err)
	}
	killed := false
	c.twin.OnRequest(func(_, path string) {
		if strings.Contains(path, "/query/01g") && !killed {
			killed = true
			go c.twin.ForgetQueries()
		}
	})
	if got := read(q); len(got) != 901 {
		t.Errorf("with pages that expired: %d records", len(got))
	}
}

func TestClientFailures(t *testing.T) {
	c := start(t, salesforcetest.Options{SessionRequests: 2})
	d := dial(t, c)
	k := task(t, d, reverse.Upsert, "Account", "DW_Key__c", "Name")
	if _, out, err := bulk(t, d, k, line("a", "A")); err != nil || words(out) != "a=sent" {
		t.Logf("a session that dies between: %v", err) // an upload is not sent again
		if fault.Of(err) != fault.Transient {
			t.Errorf("got %v", err)
		}
	}
	c = start(t, salesforcetest.Options{Fates: []salesforcetest.Fate{{Fail: true, Rows: 1}, {Fail: true, Rows: 1, Garbled: true}, {Gone: true}}})
	d = dial(t, c)
	c.twin.ExpireSessions()
	j, out, err := bulk(t, d, k, line("a", "A"), line("b", "B"))
	if err != nil || j.State != reverse.Broken || words(out) != "a=sent, b=unprocessed" {
		t.Errorf("half-way: %+v %s %v", j, words(out), err)
	}
	if _, out, err = bulk(t, d, k, line("a", "A"), line("b", "B")); err != nil || out["a"].State != reverse.RowSent || out["b"].State == reverse.RowSent {
		t.Errorf("garbled: %s %v", words(out), err)
	}
	if _, _, err = bulk(t, d, k, line("a", "A")); !errors.Is(err, fault.NotFound) {
		t.Errorf("a job that is gone: %v", err)
	}
	c.twin.SetUsage(5, 5)
	if _, err := d.Write(t.Context(), k, []reverse.Row{line("a", "A")}); fault.Of(err) != fault.Limited {
		t.Errorf("quota: %v", err)
	}
	*c.clock = time.Now().Add(time.Minute) // the client waits by the wall clock: it must not
	d = dial(t, c)
	asked := c.twin.Calls("", "/services/data")
	if _, err := d.Count(t.Context(), "Account"); fault.Of(err) != fault.Limited || c.twin.Calls("", "/services/data") != asked+1 {
		t.Errorf("quota: %v, after %d requests", err, c.twin.Calls("", "/services/data")-asked)
	}
	c.twin.SetUsage(0, 100)
	c.twin.Lock("Account", "DW_Key__c", 1, "a")
	if out, err := d.Write(t.Context(), k, []reverse.Row{line("a", "A")}); err != nil || !out[0].Again || out[0].Code != "UNABLE_TO_LOCK_ROW" {
		t.Errorf("lock: %+v %v", out, err)
	}
	before := c.twin.WriteCount()
	c.twin.Inject(resttest.Fault{Method: "PATCH", Path: "composite", Do: resttest.Lost()})
	if _, err := d.Write(t.Context(), k, []reverse.Row{line("z", "Z")}); fault.Of(err) != fault.Transient || c.twin.WriteCount() != before+1 {
		t.Errorf("a lost answer: %v, %d rows", err, c.twin.WriteCount()-before)
	}
	id, err := d.Create(t.Context(), k)
	if err != nil {
		t.Fatal(err)
	}
	c.twin.Inject(resttest.Fault{Method: "PUT", Do: resttest.Lost()}, resttest.Fault{Method: "PATCH", Path: id, Do: resttest.Lost()})
	if err := d.Upload(t.Context(), id, k, lines(line("z", "Z"))); err == nil {
		t.Error("an upload whose answer was lost passed")
	}
	if err := d.End(t.Context(), id, reverse.Aborted); fault.Of(err) != fault.Transient {
		t.Errorf("a lost answer: %v", err)
	}
	if err := d.End(t.Context(), id, reverse.Aborted); err != nil {
		t.Errorf("aborted again: %v", err)
	}
}

func TestClientLogsInByJWT(t *testing.T) {
	private, public, err := salesforcetest.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	c := start(t, salesforcetest.Options{PublicKey: public})
	vars := salesforcetest.Env(c.base)
	delete(vars, "SALESFORCE_CLIENT_SECRET")
	vars["SALESFORCE_USERNAME"], vars["SALESFORCE_PRIVATE_KEY"] = salesforcetest.Username, private
	d, err := salesforce.Open(env.Map(vars), salesforce.Options{Now: func() time.Time { return *c.clock }})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if _, err := d.Count(t.Context(), "Account"); err != nil {
		t.Error(err)
	}
	vars["SALESFORCE_USERNAME"] = "nobody"
	other, err := salesforce.Open(env.Map(vars), salesforce.Options{Now: func() time.Time { return *c.clock }})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := other.Count(t.Context(), "Account"); fault.Of(err) != fault.Auth {
		t.Errorf("got %v", err)
	}
}
