package salesforcetest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/millrace-data/millrace/functions/salesforcesync/salesforcetest"
)

// The errors of rows are those of bulk jobs; collections say the same in JSON.
func TestRowErrors(t *testing.T) {
	c := start(t, salesforcetest.Options{})
	taken := c.twin.Insert("Account", map[string]string{"Name": "Taken", "DW_Key__c": "Taken"})
	contact := c.twin.Insert("Contact", map[string]string{"LastName": "C"})
	for _, x := range []struct{ name, field, value, want string }{
		{"too long", "Name", strings.Repeat("é", 256), "STRING_TOO_LONG:"},
		{"long enough", "Name", strings.Repeat("é", 255), ""},
		{"picklist", "Tier__c", "platinum", "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST:Tier__c: bad value for restricted picklist field: platinum:Tier__c --"},
		{"inactive value", "Tier__c", "copper", "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST:"},
		{"open picklist", "Industry", "Gaming", ""},
		{"several values", "Regions__c", "EMEA;APAC", ""},
		{"date", "Renewal__c", "03/04/2026", "INVALID_FIELD:Failed to deserialize field at col 2. Due to, '03/04/2026' is not a valid value for the type xsd:date:Renewal__c --"},
		{"time and date", "Scored_At__c", "2026-01-02", "INVALID_FIELD:Failed to deserialize field at col 2. Due to, '2026-01-02' is not a valid value for the type xsd:dateTime:Scored_At__c --"},
		{"time", "Opens_At__c", "7 am", "INVALID_FIELD:Failed to deserialize"},
		{"number", "Score__c", "1.5.5", "INVALID_FIELD:Failed to deserialize"},
		{"no number", "Score__c", "NaN", "INVALID_FIELD:Failed to deserialize"},
		{"whole number", "Seats__c", "1.5", "INVALID_FIELD:Failed to deserialize"},
		{"too many digits", "Score__c", "1000", "NUMBER_OUTSIDE_VALID_RANGE:"},
		{"three digits", "Score__c", "-999.99", ""},
		{"boolean", "Active__c", "yes", "INVALID_FIELD:Failed to deserialize"},
		{"boolean of a digit", "Active__c", "1", ""},
		{"empty boolean", "Active__c", "#N/A", "INVALID_TYPE_ON_FIELD_IN_RECORD:"},
		{"null on a required field", "Name", "#N/A", "REQUIRED_FIELD_MISSING:Required fields are missing: [Name]:Name --"},
		{"calculated", "Rank__c", "rank 1", "INVALID_FIELD_FOR_INSERT_UPDATE:"},
		{"system field", "CreatedDate", "2026-01-02T03:04:05.000Z", "INVALID_FIELD_FOR_INSERT_UPDATE:"},
		{"id of a wrong object", "ParentId", contact, "MALFORMED_ID:ParentId: id value of incorrect type: " + contact + ":ParentId --"},
		{"no id", "ParentId", "acme", "MALFORMED_ID:"},
		{"nobody's id", "ParentId", "001Tw0000ZZZZZZ", "INVALID_CROSS_REFERENCE_KEY:"},
		{"id", "ParentId", taken[:15], ""},
		{"unique", "DW_Key__c", "tAKEN", "DUPLICATE_VALUE:duplicate value found: DW_Key__c duplicates value on record with id: " + taken[:15] + ":"},
	} {
		t.Run(x.name, func(t *testing.T) {
			data := "Name,Description," + x.field + "\nn,x," + x.value + "\n"
			if x.field == "Name" {
				data = "Industry,Description,Name\n,x," + x.value + "\n"
			}
			id, _ := c.run("Account", "insert", "", data)
			got := c.result(id, "failedResults", "Description")["x"]["sf__Error"]
			if !strings.HasPrefix(got, x.want) || x.want == "" && got != "" {
				t.Errorf("got %q, want %q", got, x.want)
			}
		})
	}
}

func TestKeysOfAnUpsert(t *testing.T) {
	c := start(t, salesforcetest.Options{})
	c.twin.Insert("Account", map[string]string{"Name": "1", "Region_Code__c": "r"})
	c.twin.Insert("Account", map[string]string{"Name": "2", "Region_Code__c": "R"})
	id, _ := c.run("Account", "upsert", "Region_Code__c", "Region_Code__c,Name\nr,x\n,y\nother,z\n")
	bad := c.result(id, "failedResults", "Name")
	if !strings.HasPrefix(bad["x"]["sf__Error"], "DUPLICATE_EXTERNAL_ID:") || !strings.HasPrefix(bad["y"]["sf__Error"], "MISSING_ARGUMENT:Region_Code__c not specified") || len(bad) != 2 {
		t.Errorf("got %v", bad)
	}
	gone := c.twin.Insert("Account", map[string]string{"Name": "G", "DW_Key__c": "g"})
	c.twin.Delete("Account", gone)
	id, _ = c.run("Account", "upsert", "DW_Key__c", "DW_Key__c,Name\ng,again\n")
	if ok := c.result(id, "successfulResults", "DW_Key__c"); ok["g"]["sf__Created"] != "true" || ok["g"]["sf__Id"] == gone {
		t.Errorf("the key of a deleted record is free: %v", ok)
	}
}

func TestParentsByExternalID(t *testing.T) {
	c := start(t, salesforcetest.Options{})
	a := c.twin.Insert("Account", map[string]string{"Name": "A", "DW_Key__c": "a"})
	id, _ := c.run("Contact", "upsert", "DW_Key__c", "DW_Key__c,LastName,Account.DW_Key__c\n1,One,A\n2,Two,nobody\n3,Three,#N/A\n")
	if got := c.twin.Get("Contact", "DW_Key__c", "1")["AccountId"]; got != a {
		t.Errorf("got the parent %q", got)
	}
	if bad := c.result(id, "failedResults", "DW_Key__c"); len(bad) != 1 || !strings.Contains(bad["2"]["sf__Error"], "Foreign key external ID: nobody not found") {
		t.Errorf("got %v", bad)
	}
	out := c.want(200, "POST", "composite/sobjects", `{"records":[{"attributes":{"type":"Contact"},"LastName":"Four","Account":{"DW_Key__c":"a"}}]}`).([]any)
	if r := c.twin.Get("Contact", "LastName", "Four"); r["AccountId"] != a {
		t.Errorf("got %v, %v", out, r)
	}
}

func TestValuesAsTheyAreKept(t *testing.T) {
	c := start(t, salesforcetest.Options{})
	c.run("Account", "insert", "", "Name,Score__c,Renewal__c,Scored_At__c,Opens_At__c,Active__c,ARR__c,Seats__c,Regions__c\n"+
		"n,010.505,2026-03-04T03:00:00.000Z,2026-01-02T04:04:05.123+0100,07:00:00.000Z,TRUE,12345678.9,007,APAC;EMEA;APAC\n")
	r := c.twin.Get("Account", "Name", "n")
	for field, want := range map[string]string{"Score__c": "10.51", "Renewal__c": "2026-03-03", "Regions__c": "EMEA;APAC", "Scored_At__c": "2026-01-02T03:04:05.123Z", "Opens_At__c": "07:00:00.000Z",
		"Active__c": "true", "ARR__c": "12345678.9", "Seats__c": "7", "Rank__c": "rank 10.51", "CreatedDate": "2026-02-03T04:05:06.000Z"} {
		if r[field] != want {
			t.Errorf("%s: got %q, want %q", field, r[field], want)
		}
	}
	_, text := c.call("GET", "query?q=SELECT+Score__c,Scored_At__c,ARR__c,Seats__c,Tier__c,Rank__c+FROM+Account", "")
	want := `"Score__c":10.51,"Scored_At__c":"2026-01-02T03:04:05.123+0000","ARR__c":1.23456789E7,"Seats__c":7,"Tier__c":null,"Rank__c":"rank 10.51"}`
	if !strings.Contains(text, want) {
		t.Errorf("got %s, want %s", text, want)
	}
}

func TestLocks(t *testing.T) {
	c := start(t, salesforcetest.Options{})
	c.twin.Lock("Account", "DW_Key__c", 2, "a", "b")
	for try, want := range []string{"[true true false]", "[true true false]", "[false false false]"} {
		id, _ := c.run("Account", "upsert", "DW_Key__c", "DW_Key__c,Name\na,A\nb,B\nc,C\n")
		bad, got := c.result(id, "failedResults", "DW_Key__c"), []bool{}
		for _, key := range []string{"a", "b", "c"} {
			got = append(got, strings.HasPrefix(bad[key]["sf__Error"], "UNABLE_TO_LOCK_ROW:unable to obtain exclusive access to this record"))
		}
		if fmt.Sprint(got) != want {
			t.Errorf("try %d: got %v, want %s", try, got, want)
		}
	}
	if c.twin.WriteCount() != 5 {
		t.Errorf("%d rows were written, want 5", c.twin.WriteCount())
	}
}

func TestJobsAtTheSameTimeContend(t *testing.T) {
	c := start(t, salesforcetest.Options{Contention: true})
	a := c.twin.Insert("Account", map[string]string{"Name": "A"})
	b := c.twin.Insert("Account", map[string]string{"Name": "B"})
	c.twin.Insert("Contact", map[string]string{"LastName": "old", "DW_Key__c": "3", "AccountId": a})
	one := c.open("Contact", "upsert", "DW_Key__c", "DW_Key__c,LastName,AccountId\n1,x,"+a+"\n2,x,"+b+"\n")
	two := c.open("Contact", "upsert", "DW_Key__c", "DW_Key__c,LastName\n3,x\n")
	c.want(200, "PATCH", "jobs/ingest/"+one, `{"state":"UploadComplete"}`)
	c.want(200, "PATCH", "jobs/ingest/"+two, `{"state":"UploadComplete"}`)
	c.wait(one)
	c.wait(two)
	if bad := c.result(one, "failedResults", "DW_Key__c"); len(bad) != 1 || !strings.HasPrefix(bad["1"]["sf__Error"], "UNABLE_TO_LOCK_ROW") {
		t.Errorf("children of one parent in two jobs: %v", bad)
	}
	if bad := c.result(two, "failedResults", "DW_Key__c"); len(bad) != 0 {
		t.Errorf("the job that is alone: %v", bad)
	}
}

func TestBatchesOfAJobContend(t *testing.T) {
	c := start(t, salesforcetest.Options{Contention: true})
	a := c.twin.Insert("Account", map[string]string{"Name": "A"})
	var data strings.Builder
	data.WriteString("DW_Key__c,LastName,AccountId\nfirst,x," + a + "\nsecond,x," + a + "\n")
	for i := range 10_000 {
		fmt.Fprintf(&data, "%d,x,\n", i)
	}
	data.WriteString("late,x," + a + "\n")
	id, _ := c.run("Contact", "upsert", "DW_Key__c", data.String())
	if bad := c.result(id, "failedResults", "DW_Key__c"); len(bad) != 1 || bad["late"] == nil {
		t.Errorf("got %v", bad)
	}
}
