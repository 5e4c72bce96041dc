package salesforce

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/reverse"
)

func read1(t *testing.T, c *Client, q reverse.Query) (out []string, err error) {
	t.Helper()
	for r, e := range c.Read(t.Context(), q) {
		if e != nil {
			err = e
			continue
		}
		s := r.ID + " " + r.Key
		for _, v := range r.Values {
			if v == nil {
				s += " null"
			} else {
				s += " " + *v
			}
		}
		out = append(out, s)
	}
	return out, err
}

func TestDescribe(t *testing.T) {
	o := newOrg(t)
	c := o.client(t)
	a, err := c.Describe(t.Context(), "Account")
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := c.Describe(t.Context(), "ACCOUNT"); b != a || len(o.got) != 1 {
		t.Errorf("%d requests", len(o.got))
	}
	if a.Name != "Account" || a.Prefix != "001" || !a.Creatable || !a.Updatable || !a.Deletable || !a.Readable {
		t.Errorf("got %+v", a)
	}
	fields := map[string]reverse.Field{}
	for _, f := range a.Fields {
		fields[f.Name] = f
	}
	for _, want := range []reverse.Field{
		{Name: "Id", Type: reverse.IDType, Length: 18, Key: true, Unique: true, Defaulted: true},
		{Name: "DW_Key__c", Type: reverse.TextType, Length: 64, Nullable: true, Creatable: true, Updatable: true, Key: true, Unique: true},
		{Name: "Exact__c", Type: reverse.TextType, Length: 64, Nullable: true, Creatable: true, Updatable: true, Key: true, Unique: true, CaseSensitive: true},
		{Name: "Score__c", Type: reverse.NumberType, Precision: 5, Scale: 2, Nullable: true, Creatable: true, Updatable: true},
		{Name: "Staff", Type: reverse.NumberType, Precision: 8, Nullable: true, Creatable: true, Updatable: true},
		{Name: "Active__c", Type: reverse.BooleanType, Creatable: true, Updatable: true, Defaulted: true},
		{Name: "Tier__c", Type: reverse.PicklistType, Length: 255, Nullable: true, Creatable: true, Updatable: true, Restricted: true, Values: []string{"gold", "tin"}},
		{Name: "Tags__c", Type: reverse.MultiType, Length: 4099, Nullable: true, Creatable: true, Updatable: true, Values: []string{"a"}},
		{Name: "OwnerId", Type: reverse.IDType, Length: 18, Creatable: true, Updatable: true, Defaulted: true, References: []string{"User", "Group"}},
		{Name: "Since__c", Type: reverse.DateType, Nullable: true, Creatable: true, Updatable: true},
		{Name: "Seen__c", Type: reverse.TimestampType, Nullable: true, Creatable: true, Updatable: true},
		{Name: "Opens__c", Type: reverse.TimeType, Nullable: true, Creatable: true, Updatable: true},
		{Name: "Rank__c", Type: reverse.NumberType, Precision: 18, Nullable: true},
		{Name: "No", Type: reverse.TextType},
		{Name: "BillingAddress", Type: reverse.OtherType, Nullable: true},
	} {
		if d := cmp.Diff(want, fields[want.Name]); d != "" {
			t.Error(d)
		}
	}
	if _, err := c.Describe(t.Context(), "Nope"); !errors.Is(err, fault.NotFound) {
		t.Errorf("got %v", err)
	}
	o.json("GET "+v60+"/sobjects/Odd/describe", 200, `{"name":"Odd"}`)
	if _, err := c.Describe(t.Context(), "Odd"); !errors.Is(err, fault.Corrupt) {
		t.Errorf("got %v", err)
	}
}

func TestReadPages(t *testing.T) {
	o := newOrg(t)
	o.json("GET "+v60+"/query", 200, `{"totalSize":3,"done":false,"nextRecordsUrl":"`+v60+`/query/01g-2","records":[
		{"attributes":{"type":"Account","url":"/x"},"Id":"001000000000001AAA","DW_Key__c":"O'Neil","Score__c":12345678901234567.250,"Active__c":false,"Seen__c":"2026-01-02T03:04:05.000+0000"},
		{"attributes":{"type":"Account"},"Id":"001000000000002AAA","DW_Key__c":"abc","Score__c":null,"Active__c":true,"Seen__c":null}]}`)
	o.json("GET "+v60+"/query/01g-2", 200, `{"totalSize":3,"done":true,"records":[{"Seen__c":"\u00e9","score__c":1.0E10,"Active__c":true,"Id":"001000000000003AAA","DW_Key__c":"x\\y"}]}`)
	got, err := read1(t, o.client(t), reverse.Query{Object: "Account", Key: "DW_Key__c",
		Keys: []string{"O'Neil", "ABC", `x\y`, "ABC", ""}, Fields: []string{"Score__c", "Active__c", "Seen__c", "DW_Key__c", "Id"}})
	want := []string{
		"001000000000001AAA O'Neil 12345678901234567.250 false 2026-01-02T03:04:05.000+0000 O'Neil 001000000000001AAA",
		"001000000000002AAA ABC null true null abc 001000000000002AAA",
		"001000000000003AAA x\\y 1.0E10 true é x\\y 001000000000003AAA",
	}
	if err != nil || !slices.Equal(got, want) {
		t.Fatalf("got %q, %v\nwant %q", got, err, want)
	}
	q, _ := url.ParseQuery(o.calls()[0].Query)
	if want := `SELECT Id, DW_Key__c, Score__c, Active__c, Seen__c FROM Account WHERE DW_Key__c IN ('O\'Neil','ABC','x\\y')`; q.Get("q") != want {
		t.Errorf("got  %s\nwant %s", q.Get("q"), want)
	}
}

func TestReadByNumberAndID(t *testing.T) {
	o := newOrg(t)
	o.json("GET "+v60+"/query", 200, `{"totalSize":2,"done":true,"records":[{"Id":"001000000000001AAA","No__c":17.0},{"Id":"001000000000002AAA","No__c":5}]}`)
	o.json("GET "+v60+"/query", 200, `{"totalSize":2,"done":true,"records":[{"Id":"001000000000001AAA"},{"Id":"001000000000002AAA"}]}`)
	c := o.client(t)
	got, err := read1(t, c, reverse.Query{Object: "Account", Key: "No__c", Keys: []string{"17", "5.0"}})
	if err != nil || !slices.Equal(got, []string{"001000000000001AAA 17", "001000000000002AAA 5.0"}) {
		t.Errorf("got %q, %v", got, err)
	}
	got, err = read1(t, c, reverse.Query{Object: "Account", Key: "Id", Keys: []string{"001000000000001", "001000000000002AAA"}})
	if err != nil || !slices.Equal(got, []string{"001000000000001AAA 001000000000001", "001000000000002AAA 001000000000002AAA"}) {
		t.Errorf("got %q, %v", got, err)
	}
	for i, want := range []string{"SELECT Id, No__c FROM Account WHERE No__c IN (17,5)", "SELECT Id FROM Account WHERE Id IN ('001000000000001','001000000000002AAA')"} {
		if q, _ := url.ParseQuery(o.calls()[i].Query); q.Get("q") != want {
			t.Errorf("got %s, want %s", q.Get("q"), want)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	for name, q := range map[string]reverse.Query{
		"case":           {Object: "Account", Key: "DW_Key__c", Keys: []string{"a", "A"}},
		"one number":     {Object: "Account", Key: "No__c", Keys: []string{"1", "1.0"}},
		"no number":      {Object: "Account", Key: "No__c", Keys: []string{"1 or true"}},
		"no id":          {Object: "Account", Key: "Id", Keys: []string{"'x'"}},
		"odd object":     {Object: "Account WHERE", Key: "Id", Keys: []string{"001000000000001"}},
		"odd field":      {Object: "Account", Key: "Id", Keys: []string{"001000000000001"}, Fields: []string{"Name FROM X"}},
		"no such key":    {Object: "Account", Key: "Nope__c", Keys: []string{"a"}},
		"key of no sort": {Object: "Account", Key: "Active__c", Keys: []string{"true"}},
	} {
		o := newOrg(t)
		if _, err := read1(t, o.client(t), q); !errors.Is(err, fault.Invalid) || len(o.calls()) > 0 {
			t.Errorf("%s: got %v after %v", name, err, o.calls())
		}
	}
	o := newOrg(t)
	if got, err := read1(t, o.client(t), reverse.Query{Object: "Account", Key: "Id", Keys: []string{}}); got != nil || err != nil || len(o.got) > 0 {
		t.Errorf("no keys: got %v, %v", got, err)
	}
}

func TestReadCaseSensitive(t *testing.T) {
	o := newOrg(t)
	o.json("GET "+v60+"/query", 200, `{"done":true,"records":[{"Id":"001000000000001AAA","Exact__c":"A"},{"Id":"001000000000002AAA","Exact__c":"a"}]}`)
	got, err := read1(t, o.client(t), reverse.Query{Object: "Account", Key: "Exact__c", Keys: []string{"a", "A"}})
	if err != nil || !slices.Equal(got, []string{"001000000000001AAA A", "001000000000002AAA a"}) {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestReadCorrupt(t *testing.T) {
	for name, body := range map[string]string{
		"no done":     `{"records":[]}`,
		"no next":     `{"done":false,"records":[]}`,
		"next afield": `{"done":false,"nextRecordsUrl":"https://evil.example/services/data/","records":[]}`,
		"next above":  `{"done":false,"nextRecordsUrl":"/services/data/../../x","records":[]}`,
		"no field":    `{"done":true,"records":[{"Id":"001000000000001AAA","DW_Key__c":"a"}]}`,
		"no id":       `{"done":true,"records":[{"DW_Key__c":"a","Name":"n"}]}`,
		"null key":    `{"done":true,"records":[{"Id":"001000000000001AAA","DW_Key__c":null,"Name":"n"}]}`,
		"not asked":   `{"done":true,"records":[{"Id":"001000000000001AAA","DW_Key__c":"b","Name":"n"}]}`,
		"no object":   `{"done":true,"records":[1]}`,
		"no JSON":     `hello`,
	} {
		o := newOrg(t)
		o.json("GET "+v60+"/query", 200, body)
		if got, err := read1(t, o.client(t), reverse.Query{Object: "Account", Key: "DW_Key__c", Keys: []string{"a"}, Fields: []string{"Name"}}); !errors.Is(err, fault.Corrupt) || got != nil {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
}

// TestReadChunks keeps to both limits, and asks for each key once.
func TestReadChunks(t *testing.T) {
	for _, tc := range []struct {
		name string
		key  string // format
		keys int
		want int // calls
	}{{"many", "k%d", 901, 4}, {"long", strings.Repeat("é'", 120) + "%d", 300, 43}} {
		o := newOrg(t)
		asked := 0
		o.on("GET "+v60+"/query", func(w http.ResponseWriter, r *http.Request) {
			if n := len(r.URL.RequestURI()); n >= 16_000 {
				t.Errorf("%s: an address of %d characters", tc.name, n)
			}
			n := strings.Count(r.URL.Query().Get("q"), ",'")
			if asked += n; n > chunkKeys {
				t.Errorf("%d keys", n)
			}
			fmt.Fprint(w, `{"done":true,"records":[]}`)
		})
		q := reverse.Query{Object: "Account", Key: "DW_Key__c", Fields: []string{"Name"}}
		for i := range tc.keys {
			q.Keys = append(q.Keys, fmt.Sprintf(tc.key, i))
		}
		if _, err := read1(t, o.client(t), q); err != nil {
			t.Fatal(err)
		}
		if calls := len(o.calls()); asked != tc.keys-calls || calls > tc.want { // one key of each call has no comma before it
			t.Errorf("%s: %d keys in %d calls, want at most %d calls", tc.name, asked+calls, calls, tc.want)
		}
	}
}

func TestReadGoesOnWhenPagesExpire(t *testing.T) {
	o := newOrg(t)
	first := `{"done":false,"nextRecordsUrl":"` + v60 + `/query/01g-1","records":[{"Id":"001000000000001AAA","DW_Key__c":"a"}]}`
	o.json("GET "+v60+"/query", 200, first)
	o.json("GET "+v60+"/query/01g-1", 400, `[{"errorCode":"INVALID_QUERY_LOCATOR","message":"invalid query locator"}]`)
	o.json("GET "+v60+"/query/01g-1", 200, `{"done":true,"records":[{"Id":"001000000000002AAA","DW_Key__c":"b"}]}`)
	q := reverse.Query{Object: "Account", Key: "DW_Key__c", Keys: []string{"a", "b"}}
	got, err := read1(t, o.client(t), q)
	if err != nil || !slices.Equal(got, []string{"001000000000001AAA a", "001000000000002AAA b"}) {
		t.Errorf("got %q, %v", got, err)
	}
	o = newOrg(t)
	o.json("GET "+v60+"/query", 200, first)
	o.json("GET "+v60+"/query/01g-1", 400, `[{"errorCode":"INVALID_QUERY_LOCATOR","message":"invalid query locator"}]`)
	if got, err := read1(t, o.client(t), q); fault.Of(err) != fault.Transient || len(got) != 1 {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestReadStops(t *testing.T) {
	o := newOrg(t)
	o.json("GET "+v60+"/query", 200, `{"done":false,"nextRecordsUrl":"`+v60+`/query/01g-1","records":[{"Id":"001000000000001AAA","DW_Key__c":"a"}]}`)
	for range o.client(t).Read(t.Context(), reverse.Query{Object: "Account", Key: "DW_Key__c", Keys: []string{"a", "b"}}) {
		break
	}
	if len(o.calls()) != 1 {
		t.Errorf("got %v", o.calls())
	}
}

func TestReadAll(t *testing.T) {
	o := newOrg(t)
	job := `{"id":"750000000000001","state":%q}`
	o.json("POST "+v60+"/jobs/query", 200, fmt.Sprintf(job, "UploadComplete"))
	o.json("GET "+v60+"/jobs/query/750000000000001", 200, fmt.Sprintf(job, "InProgress"))
	o.json("GET "+v60+"/jobs/query/750000000000001", 200, fmt.Sprintf(job, "JobComplete"))
	page := func(body, locator, n string) {
		o.on("GET "+v60+"/jobs/query/750000000000001/results", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Sforce-Locator", locator)
			w.Header().Set("Sforce-NumberOfRecords", n)
			fmt.Fprint(w, body)
		})
	}
	page("\"ID\",\"DW_KEY__C\",\"Name\"\n\"001000000000001AAA\",\"a\",\"x, \"\"y\"\"\nz\"\n", "Mj", "1")
	page("Id,DW_Key__c,Name\n001000000000002AAA,b,\n", "null", "1")
	q := reverse.Query{Object: "Account", Key: "DW_Key__c", Fields: []string{"Name"}}
	c := o.client(t)
	got, err := read1(t, c, q)
	if err != nil || !slices.Equal(got, []string{"001000000000001AAA a x, \"y\"\nz", "001000000000002AAA b null"}) {
		t.Errorf("got %q, %v", got, err)
	}
	calls := o.calls()
	if want := `{"columnDelimiter":"COMMA","contentType":"CSV","lineEnding":"LF","operation":"query","query":"SELECT Id, DW_Key__c, Name FROM Account WHERE DW_Key__c != null"}`; !sameJSON(calls[0].Body, want) {
		t.Errorf("got %s", calls[0].Body)
	}
	if calls[3].Query != "maxRecords=50000" || calls[4].Query != "locator=Mj&maxRecords=50000" {
		t.Errorf("got %v", calls[3:])
	}
	o.answers["GET "+v60+"/jobs/query/750000000000001/results"] = nil
	page("Id,DW_Key__c,Name\n001000000000002AAA,b,\n", "null", "2")
	if _, err := read1(t, c, q); !errors.Is(err, fault.Corrupt) {
		t.Errorf("a record too few: got %v", err)
	}
	o.json("GET "+v60+"/jobs/query/750000000000001", 200, `{"id":"750","state":"Failed","errorMessage":"too slow"}`)
	o.answers["GET "+v60+"/jobs/query/750000000000001"] = o.answers["GET "+v60+"/jobs/query/750000000000001"][1:]
	if _, err := read1(t, c, q); !errors.Is(err, fault.Transient) || !strings.Contains(err.Error(), "too slow") {
		t.Errorf("a job given up: got %v", err)
	}
}

// TestReadVeryMany reads the whole object, and leaves out what was not asked for.
func TestReadVeryMany(t *testing.T) {
	o := newOrg(t)
	o.json("POST "+v60+"/jobs/query", 200, `{"id":"750"}`)
	o.json("GET "+v60+"/jobs/query/750", 200, `{"id":"750","state":"JobComplete"}`)
	o.on("GET "+v60+"/jobs/query/750/results", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "Id,DW_Key__c\n001000000000001AAA,K1\n001000000000002AAA,other\n")
	})
	q := reverse.Query{Object: "Account", Key: "DW_Key__c"}
	for i := range bulkKeys + 1 {
		q.Keys = append(q.Keys, fmt.Sprint("k", i))
	}
	got, err := read1(t, o.client(t), q)
	if err != nil || !slices.Equal(got, []string{"001000000000001AAA k1"}) {
		t.Errorf("got %q, %v", got, err)
	}
}
