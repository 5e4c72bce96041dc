package salesforcetest_test

import (
	"testing"

	"github.com/millrace-data/millrace/functions/salesforcesync/salesforcetest"
)

func TestBulkUpsert(t *testing.T) {
	c := start(t, salesforcetest.Options{})
	was := c.twin.Insert("Account", map[string]string{"DW_Key__c": "k2", "Name": "Beta", "Industry": "Energy", "Description": "old"})
	id, job := c.run("Account", "upsert", "DW_Key__c", "DW_Key__c,Name,Industry,Description\nk1,Acme,#N/A,\nk2,\"Beta, \"\"Inc\"\"\",,#N/A\nk3,,,\n")
	if job["state"] != "JobComplete" || number(job, "numberRecordsProcessed") != "3" || number(job, "numberRecordsFailed") != "1" || number(job, "apiVersion") != "60.0" {
		t.Errorf("job: %v", job)
	}
	if job["createdDate"] != "2026-02-03T04:05:06.000+0000" || job["jobType"] != "V2Ingest" {
		t.Errorf("job: %v", job)
	}
	ok := c.result(id, "successfulResults", "DW_Key__c")
	if len(ok) != 2 || ok["k1"]["sf__Created"] != "true" || ok["k2"]["sf__Created"] != "false" || ok["k2"]["sf__Id"] != was || ok["k2"]["Name"] != `Beta, "Inc"` {
		t.Errorf("successful: %v", ok)
	}
	bad := c.result(id, "failedResults", "DW_Key__c")
	if len(bad) != 1 || bad["k3"]["sf__Error"] != "REQUIRED_FIELD_MISSING:Required fields are missing: [Name]:Name --" || bad["k3"]["sf__Id"] != "" {
		t.Errorf("failed: %v", bad)
	}
	if rest := c.result(id, "unprocessedrecords", "DW_Key__c"); len(rest) != 0 {
		t.Errorf("unprocessed: %v", rest)
	}
	if r := c.twin.Get("Account", "DW_Key__c", "K2"); r["Name"] != `Beta, "Inc"` || r["Industry"] != "Energy" || r["Description"] != "" {
		t.Errorf("an empty cell leaves a field alone, #N/A empties it: got %v", r)
	}
	if w := c.twin.Writes(); len(w) != 2 || w[1].Key != "k2" || w[1].Kind != "update" || len(w[1].Blanked) != 1 || w[1].Via != id {
		t.Errorf("writes: %+v", w)
	}
}

func TestCollectionsAndQuery(t *testing.T) {
	c := start(t, salesforcetest.Options{})
	out := c.want(200, "PATCH", "composite/sobjects/Account/DW_Key__c", `{"records":[
		{"attributes":{"type":"Account"},"DW_Key__c":"a","Name":"A","Score__c":10,"Active__c":true,"Renewal__c":"2026-03-04"},
		{"attributes":{"type":"Account"},"DW_Key__c":"b","Score__c":1}]}`).([]any)
	first, second := out[0].(map[string]any), out[1].(map[string]any)
	if first["success"] != true || first["created"] != true || second["success"] != false {
		t.Fatalf("got %v", out)
	}
	if e := second["errors"].([]any)[0].(map[string]any); e["statusCode"] != "REQUIRED_FIELD_MISSING" {
		t.Errorf("got %v", e)
	}
	doc := c.query("SELECT Id, Score__c, Active__c, Renewal__c, Tier__c, SystemModstamp FROM Account WHERE DW_Key__c IN ('A','x')")
	rec := doc["records"].([]any)[0].(map[string]any)
	if number(rec, "Score__c") != "10.0" || rec["Active__c"] != true || rec["Renewal__c"] != "2026-03-04" || rec["Tier__c"] != nil || rec["SystemModstamp"] != "2026-02-03T04:05:06.000+0000" {
		t.Errorf("got %v", rec)
	}
}
