package salesforce_test

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-data/millrace/functions/salesforcesync/salesforce"
	"github.com/millrace-data/millrace/functions/salesforcesync/salesforcetest"
	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/reverse"
)

// pair is a client and the twin that it speaks to.
type pair struct {
	*salesforce.Client
	twin *salesforcetest.Server
	t    *testing.T
}

func start(t *testing.T, o salesforcetest.Options, vars ...string) pair {
	t.Helper()
	twin := salesforcetest.New(o)
	server := httptest.NewServer(twin)
	t.Cleanup(server.Close)
	lookup := salesforcetest.Env(server.URL)
	for _, v := range vars {
		name, value, _ := strings.Cut(v, "=")
		if lookup[name] = value; value == "" {
			delete(lookup, name)
		}
	}
	c, err := salesforce.Open(env.Map(lookup), salesforce.Options{Scratch: t.TempDir(), Poll: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return pair{c, twin, t}
}

func set(s string) reverse.Value { return reverse.Value{Set: true, Text: &s} }

func task(op reverse.Operation, key string, fields ...string) reverse.Task {
	types := map[string]reverse.FieldType{"Name": reverse.TextType, "Score__c": reverse.NumberType, "Active__c": reverse.BooleanType,
		"Tier__c": reverse.PicklistType, "Renewal__c": reverse.DateType, "Scored_At__c": reverse.TimestampType, "ParentId": reverse.IDType, "Description": reverse.TextType}
	t := reverse.Task{Object: "Account", Operation: op, Key: key}
	for _, f := range fields {
		t.Fields = append(t.Fields, reverse.Field{Name: f, Type: types[f]})
	}
	return t
}

func give(rows ...reverse.Row) iter.Seq2[reverse.Row, error] {
	return func(yield func(reverse.Row, error) bool) {
		for _, r := range rows {
			if !yield(r, nil) {
				return
			}
		}
	}
}

// bulk runs one job to its end.
func (p pair) bulk(task reverse.Task, rows ...reverse.Row) (map[string]reverse.Result, reverse.BulkJob, error) {
	p.t.Helper()
	ctx := p.t.Context()
	id, err := p.Create(ctx, task)
	if err == nil {
		err = p.Upload(ctx, id, task, give(rows...))
	}
	if err == nil {
		err = p.End(ctx, id, reverse.Closed)
	}
	if err != nil {
		p.t.Fatal(err)
	}
	job, err := p.Look(ctx, id)
	for n := 0; err == nil && !job.State.Ended() && n < 50; n++ {
		job, err = p.Look(ctx, id)
	}
	if err != nil || !job.State.Ended() {
		p.t.Fatalf("job %+v: %v", job, err)
	}
	out := map[string]reverse.Result{}
	for r, e := range p.Results(ctx, id, task) {
		if err = e; e == nil {
			out[r.Key] = r
		}
	}
	return out, job, err
}

func (p pair) read(q reverse.Query) (map[string][]string, error) {
	out := map[string][]string{}
	for r, err := range p.Read(p.t.Context(), q) {
		if err != nil {
			return out, err
		}
		values := []string{r.ID}
		for _, v := range r.Values {
			if v == nil {
				values = append(values, "null")
			} else {
				values = append(values, *v)
			}
		}
		out[r.Key] = values
	}
	return out, nil
}

func TestTwinLogins(t *testing.T) {
	private, public, err := salesforcetest.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	jwt := []string{"SALESFORCE_CLIENT_SECRET=", "SALESFORCE_USERNAME=" + salesforcetest.Username, "SALESFORCE_PRIVATE_KEY=" + strings.ReplaceAll(private, "\n", `\n`)}
	for _, tc := range []struct {
		name string
		o    salesforcetest.Options
		vars []string
		kind error
	}{
		{"client credentials", salesforcetest.Options{}, nil, nil},
		{"wrong secret", salesforcetest.Options{}, []string{"SALESFORCE_CLIENT_SECRET=hush"}, fault.Auth},
		{"JWT", salesforcetest.Options{PublicKey: public}, jwt, nil},
		{"JWT of a sandbox", salesforcetest.Options{PublicKey: public, Sandbox: true}, append([]string{"SALESFORCE_AUDIENCE=https://test.salesforce.com"}, jwt...), nil},
		{"wrong audience", salesforcetest.Options{PublicKey: public, Sandbox: true}, jwt, fault.Auth},
		{"not approved", salesforcetest.Options{PublicKey: public, NotApproved: true}, jwt, fault.Auth},
		{"no certificate", salesforcetest.Options{}, jwt, fault.Auth},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := start(t, tc.o, tc.vars...)
			_, err := p.Count(t.Context(), "Account")
			if !errors.Is(err, tc.kind) || err != nil && strings.Contains(err.Error(), "hush") {
				t.Errorf("got %v, want %v", err, tc.kind)
			}
		})
	}
}

func TestTwinDescribe(t *testing.T) {
	p := start(t, salesforcetest.Options{})
	a, err := p.Describe(t.Context(), "Account")
	if err != nil || a.Prefix != "001" || !a.Creatable || !a.Readable {
		t.Fatalf("got %+v, %v", a, err)
	}
	got := map[string]reverse.Field{}
	for _, f := range a.Fields {
		got[f.Name] = f
	}
	if f := got["DW_Key__c"]; !f.Key || !f.Unique || f.CaseSensitive || f.Length != 80 || f.Type != reverse.TextType {
		t.Errorf("got %+v", f)
	}
	if f := got["Tier__c"]; !f.Restricted || !slices.Equal(f.Values, []string{"gold", "silver", "bronze"}) {
		t.Errorf("got %+v", f)
	}
	if f := got["Score__c"]; f.Precision != 5 || f.Scale != 2 || f.Type != reverse.NumberType {
		t.Errorf("got %+v", f)
	}
	if f := got["Rank__c"]; f.Creatable || f.Updatable {
		t.Errorf("got %+v", f)
	}
	if _, ok := got["Secret__c"]; ok {
		t.Error("a field that the user may not see")
	}
	if u, err := p.Describe(t.Context(), "User"); err != nil || u.Creatable {
		t.Errorf("got %+v, %v", u, err)
	}
	if _, err := p.Describe(t.Context(), "Nope__c"); !errors.Is(err, fault.NotFound) {
		t.Errorf("got %v", err)
	}
}

func TestTwinReads(t *testing.T) {
	p := start(t, salesforcetest.Options{PageMax: 7, BulkPage: 9, PerApp: true})
	p.twin.Seed("Account", []string{"DW_Key__c", "Name", "Score__c"}, 25, func(i int, v []string) {
		v[0], v[1], v[2] = fmt.Sprintf("K'%d", i), fmt.Sprintf("n\\%d, \"x\"", i), fmt.Sprint(i)
	})
	p.twin.Insert("Account", map[string]string{"Name": "of nobody"})
	q := reverse.Query{Object: "Account", Key: "DW_Key__c", Fields: []string{"Name", "Score__c", "Tier__c"}}
	all, err := p.read(q)
	if err != nil || len(all) != 25 || all["K'3"][1] != `n\3, "x"` || all["K'3"][3] != "null" {
		t.Fatalf("got %v, %v", all, err)
	}
	for i := range 30 {
		q.Keys = append(q.Keys, fmt.Sprintf("k'%d", i))
	}
	some, err := p.read(q)
	if err != nil || len(some) != 25 {
		t.Fatalf("got %v, %v", some, err)
	}
	score := reverse.Field{Type: reverse.NumberType}
	for key, v := range some {
		a, _ := reverse.Canonical(score, v[2])
		b, _ := reverse.Canonical(score, all[strings.ToUpper(key)][2])
		if a != b || a == "" || v[1] != all[strings.ToUpper(key)][1] {
			t.Errorf("%s: %v by query, %v by job", key, v, all[strings.ToUpper(key)])
		}
	}
	byID, err := p.read(reverse.Query{Object: "Account", Key: "Id", Keys: []string{some["k'0"][0][:15], some["k'1"][0]}, Fields: []string{"DW_Key__c"}})
	if want := map[string][]string{some["k'0"][0][:15]: {some["k'0"][0], "K'0"}, some["k'1"][0]: {some["k'1"][0], "K'1"}}; err != nil || !maps.EqualFunc(byID, want, slices.Equal) {
		t.Errorf("got %v, %v", byID, err)
	}
	if n, err := p.Count(t.Context(), "Account"); n != 26 || err != nil {
		t.Errorf("got %d, %v", n, err)
	}
	if b := p.Budget(); b.Max == 0 || b.Used == 0 || b.Seen.IsZero() {
		t.Errorf("got %+v", b)
	}
	if _, err := p.read(reverse.Query{Object: "Account", Key: "DW_Key__c", Keys: []string{"a"}, Fields: []string{"Secret__c"}}); !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "field-level") {
		t.Errorf("got %v", err)
	}
}

func TestTwinCollections(t *testing.T) {
	p := start(t, salesforcetest.Options{})
	up := task(reverse.Upsert, "DW_Key__c", "Name", "Score__c", "Active__c", "Renewal__c", "Scored_At__c")
	values := []reverse.Value{set("A \"b\"\nc"), set("10.25"), set("true"), set("2026-03-04"), set("2026-01-02T03:04:05.000Z")}
	got, err := p.Write(t.Context(), up, []reverse.Row{{Key: "a", Values: values}, {Key: "b", Values: []reverse.Value{{}, set("1"), {}, {}, {}}}})
	if err != nil || len(got) != 2 || !got[0].Created || got[0].State != reverse.RowSent || got[1].Code != "REQUIRED_FIELD_MISSING" || got[1].State != reverse.RowFailed {
		t.Fatalf("got %+v, %v", got, err)
	}
	id := got[0].ID
	if r := p.twin.Get("Account", "DW_Key__c", "a"); r["Name"] != "A \"b\"\nc" || r["Score__c"] != "10.25" || r["Active__c"] != "true" || r["Renewal__c"] != "2026-03-04" {
		t.Errorf("got %v", r)
	}
	got, err = p.Write(t.Context(), task(reverse.Update, "Id", "Name", "Score__c"), []reverse.Row{{Key: id, Values: []reverse.Value{{}, {Set: true}}}})
	if r := p.twin.Get("Account", "DW_Key__c", "a"); err != nil || got[0].State != reverse.RowSent || got[0].Created || r["Score__c"] != "" || r["Name"] == "" {
		t.Errorf("got %+v, %v, %v", got, err, r)
	}
	got, err = p.Write(t.Context(), task(reverse.Insert, "DW_Key__c", "Name"), []reverse.Row{{Key: "c", Values: []reverse.Value{set("C")}}, {Key: "A", Values: []reverse.Value{set("A")}}})
	if err != nil || !got[0].Created || got[1].State != reverse.RowFailed || got[1].Code != "DUPLICATE_VALUE" {
		t.Errorf("got %+v, %v", got, err)
	}
	p.twin.Lock("Account", "DW_Key__c", 1, "c")
	del := task(reverse.Delete, "Id")
	rows := []reverse.Row{{Key: got[0].ID}, {Key: id}}
	if got, err = p.Write(t.Context(), del, rows); err != nil || !got[0].Again || got[0].Code != "UNABLE_TO_LOCK_ROW" || got[1].State != reverse.RowSent {
		t.Errorf("got %+v, %v", got, err)
	}
	if got, err = p.Write(t.Context(), del, rows); err != nil || got[0].State != reverse.RowSent || got[1].State != reverse.RowFailed || p.twin.Count("Account") != 0 {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestTwinBulk(t *testing.T) {
	p := start(t, salesforcetest.Options{})
	up := task(reverse.Upsert, "DW_Key__c", "Name", "Score__c", "Description")
	p.twin.Insert("Account", map[string]string{"DW_Key__c": "k2", "Name": "old", "Score__c": "5", "Description": "d"})
	p.twin.Lock("Account", "DW_Key__c", 5, "k4")
	p.twin.Insert("Account", map[string]string{"DW_Key__c": "k4", "Name": "locked"})
	got, job, err := p.bulk(up,
		reverse.Row{Key: "k1", Values: []reverse.Value{set("Beta, \"Inc\"\nltd"), set("1.5"), {}}},
		reverse.Row{Key: "k2", Values: []reverse.Value{{}, {}, {Set: true}}},
		reverse.Row{Key: "k3", Values: []reverse.Value{{}, set("1"), {}}},
		reverse.Row{Key: "k4", Values: []reverse.Value{set("x"), {}, {}}})
	if err != nil || job.State != reverse.Done || job.Processed != 4 || job.Failed != 2 || job.Created.IsZero() {
		t.Fatalf("got %+v, %v", job, err)
	}
	if !got["k1"].Created || got["k2"].Created || got["k2"].State != reverse.RowSent || got["k3"].Code != "REQUIRED_FIELD_MISSING" || !got["k4"].Again || len(got) != 4 {
		t.Errorf("got %+v", got)
	}
	if r := p.twin.Get("Account", "DW_Key__c", "k1"); r["Name"] != "Beta, \"Inc\"\nltd" || r["Score__c"] != "1.5" {
		t.Errorf("got %v", r)
	}
	if r := p.twin.Get("Account", "DW_Key__c", "k2"); r["Name"] != "old" || r["Score__c"] != "5" || r["Description"] != "" {
		t.Errorf("got %v", r)
	}
	one, two := got["k1"].ID, got["k2"].ID
	if got, _, err = p.bulk(task(reverse.Update, "Id", "Name"), reverse.Row{Key: one, Values: []reverse.Value{set("new")}}); err != nil || got[one].State != reverse.RowSent {
		t.Errorf("got %+v, %v", got, err)
	}
	if got, _, err = p.bulk(task(reverse.Insert, "DW_Key__c", "Name"), reverse.Row{Key: "k9", Values: []reverse.Value{set("nine")}}); err != nil || !got["k9"].Created {
		t.Errorf("got %+v, %v", got, err)
	}
	if got, _, err = p.bulk(task(reverse.Delete, "Id"), reverse.Row{Key: one}, reverse.Row{Key: two}); err != nil || got[one].State != reverse.RowSent || got[two].State != reverse.RowSent || p.twin.Count("Account") != 2 {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, j := range p.twin.Jobs() {
		if j.Uploads != 1 {
			t.Errorf("got %+v", j)
		}
	}
}
