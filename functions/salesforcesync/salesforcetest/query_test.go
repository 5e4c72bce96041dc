package salesforcetest_test

import (
	"encoding/csv"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/millrace-data/millrace/functions/salesforcesync/salesforcetest"
)

// seed makes n accounts k0, k1, …
func seed(c *client, n int) {
	c.twin.Seed("Account", []string{"DW_Key__c", "Name", "Score__c"}, n, func(i int, values []string) {
		values[0], values[1], values[2] = fmt.Sprintf("k%d", i), fmt.Sprintf("Account %d", i), fmt.Sprint(i%100)
	})
}

func TestQueryConditions(t *testing.T) {
	c := start(t, salesforcetest.Options{})
	a := c.twin.Insert("Account", map[string]string{"Name": `O'Neil \ "Co"`, "DW_Key__c": "A", "Score__c": "9", "Active__c": "true", "Renewal__c": "2026-01-02", "Scored_At__c": "2026-01-02T03:04:05Z"})
	b := c.twin.Insert("Account", map[string]string{"Name": "Beta", "DW_Key__c": "b", "Score__c": "10.5", "ParentId": a})
	gone := c.twin.Insert("Account", map[string]string{"Name": "Gone", "DW_Key__c": "g"})
	c.twin.Delete("Account", gone)
	for _, x := range []struct{ where, want string }{
		{"", "A b"},
		{"WHERE DW_Key__c = 'a'", "A"},
		{"WHERE DW_Key__c IN ('a', 'B', 'g', 'none')", "A b"},
		{"where dw_key__c != 'a'", "b"},
		{"WHERE Name = 'O\\'Neil \\\\ \\\"Co\\\"'", "A"},
		{"WHERE Score__c > 9.5", "b"},
		{"WHERE Score__c <= 9", "A"},
		{"WHERE Score__c IN (9, 10.50)", "A b"},
		{"WHERE Active__c = true AND Score__c = 9.0", "A"},
		{"WHERE Renewal__c = 2026-01-02", "A"},
		{"WHERE Renewal__c = null", "b"},
		{"WHERE Renewal__c != NULL", "A"},
		{"WHERE Scored_At__c >= 2026-01-02T04:04:05+01:00", "A"},
		{"WHERE Scored_At__c > 2026-01-02T03:04:05.000Z", ""},
		{"WHERE Id = '" + b[:15] + "'", "b"},
		{"WHERE Id IN ('" + a + "','" + gone + "')", "A"},
		{"WHERE ParentId = '" + a + "'", "b"},
		{"WHERE IsDeleted = false", "A b"},
		{"ORDER BY Score__c DESC", "b A"},
		{"ORDER BY Renewal__c", "b A"},
		{"ORDER BY Renewal__c ASC NULLS LAST LIMIT 1", "A"},
		{"LIMIT 0", ""},
	} {
		doc := c.query("SELECT DW_Key__c FROM Account " + x.where)
		var got []string
		for _, r := range doc["records"].([]any) {
			got = append(got, r.(map[string]any)["DW_Key__c"].(string))
		}
		if strings.Join(got, " ") != x.want || number(doc, "totalSize") != fmt.Sprint(len(got)) || doc["done"] != true {
			t.Errorf("%s: got %v, want %s", x.where, got, x.want)
		}
	}
	if doc := c.query("SELECT COUNT() FROM Account WHERE Score__c > 1"); number(doc, "totalSize") != "2" || len(doc["records"].([]any)) != 0 {
		t.Errorf("count: %v", doc)
	}
	doc := c.want(200, "GET", "queryAll?q="+url.QueryEscape("SELECT Id, IsDeleted FROM Account WHERE DW_Key__c = 'g'"), "").(map[string]any)
	if r := doc["records"].([]any)[0].(map[string]any); r["Id"] != gone || r["IsDeleted"] != true || r["attributes"].(map[string]any)["url"] != "/services/data/v60.0/sobjects/Account/"+gone {
		t.Errorf("queryAll: %v", doc)
	}
}

func TestQueryMistakes(t *testing.T) {
	c := start(t, salesforcetest.Options{})
	for _, x := range []struct{ code, soql string }{
		{"INVALID_FIELD", "SELECT Id, Nope__c FROM Account"},
		{"INVALID_FIELD", "SELECT Id FROM Account WHERE Nope__c = 1"},
		{"INVALID_FIELD", "SELECT Secret__c FROM Account"},
		{"INVALID_FIELD", "SELECT Id FROM Account WHERE Score__c = '1'"},
		{"INVALID_FIELD", "SELECT Id FROM Account WHERE Name = 1"},
		{"INVALID_FIELD", "SELECT Id FROM Account WHERE Description = 'x'"},
		{"INVALID_TYPE", "SELECT Id FROM Nothing"},
		{"INVALID_QUERY_FILTER_OPERATOR", "SELECT Id FROM Account WHERE Id = 'x'"},
		{"MALFORMED_QUERY", ""},
		{"MALFORMED_QUERY", "SELECT Id"},
		{"MALFORMED_QUERY", "SELECT Id, Id FROM Account"},
		{"MALFORMED_QUERY", "SELECT Id FROM Account WHERE Name = 'it's'"},
		{"MALFORMED_QUERY", `SELECT Id FROM Account WHERE Name = '\x'`},
		{"MALFORMED_QUERY", "SELECT Id FROM Account WHERE Name = 'a' OR Name = 'b'"},
		{"MALFORMED_QUERY", "SELECT Id FROM Account WHERE DW_Key__c IN ()"},
		{"MALFORMED_QUERY", "SELECT Id FROM Account WHERE DW_Key__c IN ('a'"},
		{"MALFORMED_QUERY", "SELECT Id FROM Account WHERE Renewal__c = 2026-13-01"},
		{"MALFORMED_QUERY", "SELECT Id FROM Account LIMIT many"},
	} {
		c.soqlRefused(x.code, x.soql)
	}
	if got := c.soqlRefused("INVALID_FIELD", "SELECT Nope__c FROM Account"); got != "No such column 'Nope__c' on sobject of type Account" {
		t.Errorf("got %s", got)
	}
	if status, body := c.call("GET", "query?q="+strings.Repeat("x", 17_000), ""); status != 414 || !strings.HasPrefix(body, "<html>") {
		t.Errorf("a long address: %d %s", status, body)
	}
	c.refused(405, "METHOD_NOT_ALLOWED", "POST", "query?q=SELECT+Id+FROM+Account", "")
}

func TestQueryPages(t *testing.T) {
	c := start(t, salesforcetest.Options{})
	seed(c, 4500)
	doc, pages, seen := c.query("SELECT DW_Key__c, Name FROM Account"), []int{}, map[string]bool{}
	for {
		pages = append(pages, len(doc["records"].([]any)))
		for _, r := range doc["records"].([]any) {
			seen[r.(map[string]any)["DW_Key__c"].(string)] = true
		}
		next, more := doc["nextRecordsUrl"].(string)
		if more == doc["done"].(bool) {
			t.Fatalf("done %v and next %q", doc["done"], next)
		}
		if !more {
			break
		}
		c.twin.Edit("Account", c.twin.Get("Account", "DW_Key__c", "k4400")["Id"], "Name", "edited")
		doc = c.want(200, "GET", next, "").(map[string]any)
	}
	last := doc["records"].([]any)[400].(map[string]any)
	if fmt.Sprint(pages) != "[2000 2000 500]" || len(seen) != 4500 || last["Name"] != "edited" {
		t.Errorf("pages %v with %d records; %v", pages, len(seen), last)
	}
	path := "query?q=SELECT+Id+FROM+Account"
	for hint, want := range map[string]int{"batchSize=300": 300, "batchSize=10": 200, "batchSize=9999": 2000, "nonsense": 2000} {
		doc := c.want(200, "GET", path, "", "Sforce-Query-Options", hint).(map[string]any)
		if got := len(doc["records"].([]any)); got != want {
			t.Errorf("%s: got %d records, want %d", hint, got, want)
		}
	}
	next := c.query("SELECT Id FROM Account")["nextRecordsUrl"].(string)
	c.want(200, "GET", next, "")
	c.twin.ForgetQueries()
	c.refused(400, "INVALID_QUERY_LOCATOR", "GET", next, "")
	small := start(t, salesforcetest.Options{PageMax: 7})
	seed(small, 10)
	if n := len(small.query("SELECT Id FROM Account")["records"].([]any)); n != 7 {
		t.Errorf("got a page of %d", n)
	}
}

func TestBulkQuery(t *testing.T) {
	c := start(t, salesforcetest.Options{BulkPage: 1000})
	seed(c, 2500)
	gone := c.twin.Insert("Account", map[string]string{"Name": "x"})
	c.twin.Delete("Account", gone)
	job := c.want(200, "POST", "jobs/query", `{"operation":"query","query":"SELECT Id, DW_Key__c, Score__c, SystemModstamp, Tier__c FROM Account"}`).(map[string]any)
	path := "jobs/query/" + job["id"].(string)
	c.refused(400, "INVALIDJOBSTATE", "GET", path+"/results", "")
	c.want(200, "GET", path, "")
	if job = c.want(200, "GET", path, "").(map[string]any); job["state"] != "JobComplete" || number(job, "numberRecordsProcessed") != "2500" || job["jobType"] != "V2Query" {
		t.Fatalf("job: %v", job)
	}
	var sizes []string
	locator, rows := "", map[string][]string{}
	for range 10 {
		status, text := c.call("GET", path+"/results?maxRecords=5000&locator="+locator, "")
		all, err := csv.NewReader(strings.NewReader(text)).ReadAll()
		if status != 200 || err != nil {
			t.Fatal(status, text, err)
		}
		for _, row := range all[1:] {
			rows[row[1]] = row
		}
		sizes = append(sizes, c.head.Get("Sforce-NumberOfRecords"))
		if locator = c.head.Get("Sforce-Locator"); locator == "null" {
			break
		}
	}
	if fmt.Sprint(sizes) != "[1000 1000 500]" || len(rows) != 2500 || fmt.Sprint(rows["k7"][2:]) != "[7.0 2026-02-03T04:05:06.000Z ]" {
		t.Errorf("sizes %v, rows %d, %v", sizes, len(rows), rows["k7"])
	}
	c.refused(400, "INVALID_QUERY_LOCATOR", "GET", path+"/results?locator=nope", "")
	c.refused(409, "API_VERSION_MISMATCH", "GET", "/services/data/v61.0/"+path+"/results", "")
	c.refused(400, "INVALID_FIELD", "POST", "jobs/query", `{"operation":"query","query":"SELECT Nope FROM Account"}`)
	c.refused(400, "INVALIDJOB", "POST", "jobs/query", `{"operation":"insert","query":"SELECT Id FROM Account"}`)
	c.want(204, "DELETE", path, "")
	c.refused(404, "NOT_FOUND", "GET", path, "")
}

func TestDescribe(t *testing.T) {
	c := start(t, salesforcetest.Options{})
	read := func(object string) (map[string]any, map[string]map[string]any) {
		doc := c.want(200, "GET", "sobjects/"+object+"/describe", "").(map[string]any)
		fields := map[string]map[string]any{}
		for _, f := range doc["fields"].([]any) {
			fields[f.(map[string]any)["name"].(string)] = f.(map[string]any)
		}
		return doc, fields
	}
	doc, f := read("Account")
	if doc["keyPrefix"] != "001" || doc["createable"] != true || f["Secret__c"] != nil {
		t.Errorf("got %v", doc)
	}
	for _, x := range []struct{ field, name, want string }{
		{"Id", "type", "id"}, {"Id", "createable", "false"}, {"Id", "idLookup", "true"}, {"Id", "length", "18"},
		{"Name", "nillable", "false"}, {"Name", "defaultedOnCreate", "false"}, {"Name", "length", "255"},
		{"DW_Key__c", "externalId", "true"}, {"DW_Key__c", "unique", "true"}, {"DW_Key__c", "caseSensitive", "false"},
		{"Score__c", "type", "double"}, {"Score__c", "precision", "5"}, {"Score__c", "scale", "2"}, {"Seats__c", "digits", "9"},
		{"Tier__c", "restrictedPicklist", "true"}, {"Rank__c", "calculated", "true"}, {"Rank__c", "updateable", "false"},
		{"Active__c", "nillable", "false"}, {"Active__c", "defaultedOnCreate", "true"}, {"OwnerId", "defaultedOnCreate", "true"},
		{"ParentId", "referenceTo", "[Account]"}, {"ParentId", "relationshipName", "Parent"}, {"Scored_At__c", "soapType", "xsd:dateTime"},
	} {
		if got := fmt.Sprint(f[x.field][x.name]); got != x.want {
			t.Errorf("%s.%s: got %s, want %s", x.field, x.name, got, x.want)
		}
	}
	values := f["Tier__c"]["picklistValues"].([]any)
	if last := values[len(values)-1].(map[string]any); len(values) != 4 || last["value"] != "copper" || last["active"] != false {
		t.Errorf("picklist: %v", values)
	}
	c.twin.Describe("Account", "Score__c", func(f *salesforcetest.Field) { f.Hidden = true })
	if _, f := read("Account"); f["Score__c"] != nil {
		t.Error("the field is still described")
	}
	c.soqlRefused("INVALID_FIELD", "SELECT Score__c FROM Account")
	if doc, _ := read("User"); doc["updateable"] != false {
		t.Error("users may be updated")
	}
	c.refused(404, "NOT_FOUND", "GET", "sobjects/Nothing/describe", "")
}

func TestObjectsOfATest(t *testing.T) {
	c := start(t, salesforcetest.Options{Objects: []salesforcetest.Object{{Name: "Thing__c", Prefix: "a0A", Fields: []salesforcetest.Field{
		{Name: "Code__c", Type: "double", ExternalID: true, Unique: true, Precision: 8}, {Name: "Fixed__c", Type: "string", NoUpdate: true}}}}})
	id, _ := c.run("Thing__c", "upsert", "Code__c", "Code__c,Fixed__c\n7,x\n")
	c.result(id, "successfulResults", "Code__c")
	id, _ = c.run("Thing__c", "upsert", "Code__c", "Code__c,Fixed__c\n7.0,y\n8,y\n")
	if bad := c.result(id, "failedResults", "Code__c"); len(bad) != 1 || !strings.HasPrefix(bad["7.0"]["sf__Error"], "INVALID_FIELD_FOR_INSERT_UPDATE:") || c.twin.Count("Thing__c") != 2 {
		t.Errorf("got %v", bad)
	}
}
