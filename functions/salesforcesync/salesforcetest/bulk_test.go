package salesforcetest_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

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
	if _, text := c.call("GET", "jobs/ingest/"+id+"/failedResults", ""); text != "\"sf__Id\",\"sf__Error\",DW_Key__c,Name,Industry,Description\n"+
		"\"\",\"REQUIRED_FIELD_MISSING:Required fields are missing: [Name]:Name --\",\"k3\",\"\",\"\",\"\"\n" {
		t.Errorf("failed: got %s", text)
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
	c.refused(409, "API_VERSION_MISMATCH", "GET", "/services/data/v61.0/jobs/ingest/"+id+"/successfulResults", "")
}

func TestBulkStates(t *testing.T) {
	c := start(t, salesforcetest.Options{Polls: 2})
	id := c.open("Account", "insert", "", "Name\nA\n")
	c.refused(400, "INVALIDJOBSTATE", "GET", "jobs/ingest/"+id+"/successfulResults", "")
	var states []string
	see := func(doc any) { states = append(states, doc.(map[string]any)["state"].(string)) }
	see(c.want(200, "GET", "jobs/ingest/"+id, ""))
	see(c.want(200, "PATCH", "jobs/ingest/"+id, `{"state":"UploadComplete"}`))
	for range 3 {
		if c.twin.Count("Account") != 0 {
			t.Error("a record is there before the job ended")
		}
		see(c.want(200, "GET", "jobs/ingest/"+id, ""))
	}
	if got := fmt.Sprint(states); got != "[Open UploadComplete UploadComplete InProgress JobComplete]" {
		t.Errorf("states: got %s", got)
	}
	c.refused(400, "INVALIDJOBSTATE", "PATCH", "jobs/ingest/"+id, `{"state":"UploadComplete"}`)
	c.refused(400, "INVALIDJOBSTATE", "PATCH", "jobs/ingest/"+id, `{"state":"Aborted"}`)
	if list := c.want(200, "GET", "jobs/ingest", "").(map[string]any); len(list["records"].([]any)) != 1 || list["done"] != true {
		t.Errorf("list: %v", list)
	}
	c.want(204, "DELETE", "jobs/ingest/"+id, "")
	c.refused(404, "NOT_FOUND", "GET", "jobs/ingest/"+id, "")
}

func TestBulkJobsThatEndOfThemselves(t *testing.T) {
	c := start(t, salesforcetest.Options{Polls: -1})
	id := c.open("Account", "insert", "", "Name\nA\n")
	c.want(200, "PATCH", "jobs/ingest/"+id, `{"state":"UploadComplete"}`)
	if job := c.want(200, "GET", "jobs/ingest/"+id, "").(map[string]any); job["state"] != "JobComplete" || c.twin.Count("Account") != 1 {
		t.Errorf("got %v", job)
	}
	c = start(t, salesforcetest.Options{})
	id = c.open("Account", "insert", "", "Name\nA\n")
	c.want(200, "PATCH", "jobs/ingest/"+id, `{"state":"UploadComplete"}`)
	if c.twin.Settle(); c.twin.Count("Account") != 1 {
		t.Error("the job did not settle")
	}
}

func TestSecondUploadBreaksTheClosing(t *testing.T) {
	c := start(t, salesforcetest.Options{})
	id := c.open("Account", "insert", "", "Name\nA\n")
	if status, _ := c.call("PUT", "jobs/ingest/"+id+"/batches", "Name\nA\n", "Content-Type", "text/csv"); status != 201 {
		t.Fatalf("second upload: %d", status)
	}
	if message := c.refused(400, "INVALIDJOB", "PATCH", "jobs/ingest/"+id, `{"state":"UploadComplete"}`); !strings.HasPrefix(message, "Found multipe contents for job: <750") {
		t.Errorf("got %s", message)
	}
	c.want(200, "PATCH", "jobs/ingest/"+id, `{"state":"Aborted"}`)
	if c.twin.Count("Account") != 0 || c.twin.Jobs()[0].Uploads != 2 {
		t.Error("the job did something")
	}
	if rest := c.result(id, "unprocessedrecords", "Name"); len(rest) != 1 {
		t.Errorf("unprocessed: %v", rest)
	}
}

func TestBulkCreateIsRefused(t *testing.T) {
	c := start(t, salesforcetest.Options{})
	c.refused(400, "INVALIDJOB", "POST", "jobs/ingest", `{"object":"Nothing","operation":"insert"}`)
	c.refused(400, "INVALIDJOB", "POST", "jobs/ingest", `{"object":"Account","operation":"merge"}`)
	c.refused(400, "INVALIDJOB", "POST", "jobs/ingest", `{"object":"Account","operation":"upsert","externalIdFieldName":"Name"}`)
	c.refused(400, "INVALIDJOB", "POST", "jobs/ingest", `{"object":"Account","operation":"upsert"}`)
	c.refused(400, "INVALIDJOB", "POST", "jobs/ingest", `{"object":"Account","operation":"insert","lineEnding":"CR"}`)
	c.refused(400, "FEATURENOTENABLED", "POST", "jobs/ingest", `{"object":"Account","operation":"hardDelete"}`)
	id := c.want(200, "POST", "jobs/ingest", `{"object":"Account","operation":"update","externalIdFieldName":""}`).(map[string]any)["id"].(string)
	c.refused(400, "INVALIDJOBSTATE", "PATCH", "jobs/ingest/"+id, `{"state":"UploadComplete"}`)
	c.refused(415, "UNSUPPORTED_MEDIA_TYPE", "PUT", "jobs/ingest/"+id+"/batches", "Id\n")
}

func TestUploadTooLarge(t *testing.T) {
	c := start(t, salesforcetest.Options{UploadMax: 1000})
	id := c.want(200, "POST", "jobs/ingest", `{"object":"Account","operation":"insert"}`).(map[string]any)["id"].(string)
	c.refused(413, "REQUEST_TOO_LARGE", "PUT", "jobs/ingest/"+id+"/batches", "Name\n"+strings.Repeat("x\n", 600), "Content-Type", "text/csv")
	if c.twin.Jobs()[0].Uploads != 0 {
		t.Error("it was taken")
	}
}

func TestDataThatFailsTheJob(t *testing.T) {
	for _, x := range []struct{ name, data, message string }{
		{"unknown header", "Name,Nope__c\nA,1\n", "InvalidBatch : Field name not found : Nope__c"},
		{"header in another case", "name\nA\n", "InvalidBatch : Field name not found : name"},
		{"hidden field", "Name,Secret__c\nA,1\n", "InvalidBatch : Field name not found : Secret__c"},
		{"delimiter", "Name;Industry\nA;Energy\n", "InvalidBatch : Field name not found : Name;Industry"},
		{"byte order mark", "\ufeffName\nA\n", "InvalidBatch : Field name not found : \ufeffName"},
		{"line ending", "Name\r\nA\r\n", "ClientInputError : LineEnding is invalid on user data. Current LineEnding setting is LF"},
		{"line ending of a later row", "Name\nA\r\n", "ClientInputError : LineEnding is invalid on user data. Current LineEnding setting is LF"},
		{"open quote", "Name\n\"A\nB\n", "InvalidBatch : Failed to parse CSV: a quote is not closed"},
	} {
		t.Run(x.name, func(t *testing.T) {
			c := start(t, salesforcetest.Options{})
			id, job := c.run("Account", "insert", "", x.data)
			if job["state"] != "Failed" || number(job, "numberRecordsProcessed") != "0" || job["errorMessage"] != x.message {
				t.Errorf("got %v", job)
			}
			if status, text := c.call("GET", "jobs/ingest/"+id+"/unprocessedrecords", ""); status != 200 || text != x.data {
				t.Errorf("unprocessed: %d %q", status, text)
			}
			if c.twin.Count("Account") != 0 {
				t.Error("something was written")
			}
		})
	}
}

func TestCSVForms(t *testing.T) {
	c := start(t, salesforcetest.Options{})
	id := c.want(200, "POST", "jobs/ingest", `{"object":"Account","operation":"insert","lineEnding":"CRLF","columnDelimiter":"PIPE"}`).(map[string]any)["id"].(string)
	c.call("PUT", "jobs/ingest/"+id+"/batches", "Name|Description\r\n A |\"two\r\nlines\"\r\n\"B\" |x\r\nC|a\"b\r\nD\r\n\r\nE|last", "Content-Type", "text/csv")
	c.want(200, "PATCH", "jobs/ingest/"+id, `{"state":"UploadComplete"}`)
	if job := c.wait(id); number(job, "numberRecordsProcessed") != "5" || number(job, "numberRecordsFailed") != "3" {
		t.Errorf("job: %v", job)
	}
	if r := c.twin.Get("Account", "Name", " A "); r["Description"] != "two\r\nlines" {
		t.Errorf("values are not trimmed, and may have lines: %v", r)
	}
	if _, text := c.call("GET", "jobs/ingest/"+id+"/successfulResults", ""); !strings.HasPrefix(text, "\"sf__Id\"|\"sf__Created\"|Name|Description\r\n") {
		t.Errorf("got %q", text)
	}
}

func TestResultsComeInAnotherOrder(t *testing.T) {
	data := "DW_Key__c,Name\n"
	var want []string
	for i := range 450 {
		data += fmt.Sprintf("k%d,n\n", i)
		want = append(want, fmt.Sprintf("k%d", i))
	}
	for _, inOrder := range []bool{false, true} {
		c := start(t, salesforcetest.Options{InOrder: inOrder})
		id, _ := c.run("Account", "upsert", "DW_Key__c", data)
		_, text := c.call("GET", "jobs/ingest/"+id+"/successfulResults", "")
		var got []string
		for line := range strings.Lines(text) {
			got = append(got, strings.Trim(strings.Split(line, ",")[2], `"`))
		}
		if got = got[1:]; slices.Equal(got, want) != inOrder {
			t.Errorf("in order %v: the first are %v", inOrder, got[:3])
		}
		if slices.Sort(got); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
			t.Error("rows are missing")
		}
	}
}

func TestDuplicatesInAChunk(t *testing.T) {
	c := start(t, salesforcetest.Options{})
	var data strings.Builder
	data.WriteString("DW_Key__c,Name\nSame,first\nsame,second\n")
	for i := range 250 {
		fmt.Fprintf(&data, "k%d,n\n", i)
	}
	data.WriteString("k0,last\n")
	id, _ := c.run("Account", "upsert", "DW_Key__c", data.String())
	bad := c.result(id, "failedResults", "Name")
	if len(bad) != 2 || bad["first"]["sf__Error"] != "DUPLICATE_VALUE:Duplicate external id specified: Same:DW_Key__c --" {
		t.Errorf("twice in one chunk fails, all of them: %v", bad)
	}
	if r := c.twin.Get("Account", "DW_Key__c", "k0"); r["Name"] != "last" {
		t.Errorf("in two chunks the last one wins: %v", r)
	}
}

func TestJobThatFailsHalfWay(t *testing.T) {
	c := start(t, salesforcetest.Options{Fates: []salesforcetest.Fate{{Fail: true, Rows: 3, Message: "InternalServerError : Retries exceeded"}, {Gone: true}, {Fail: true, Rows: 0, Garbled: true}, {Polls: 3}}})
	data := "DW_Key__c,Name\na,1\nb,\nc,3\nd,4\ne,5\n"
	id, job := c.run("Account", "upsert", "DW_Key__c", data)
	if job["state"] != "Failed" || number(job, "numberRecordsProcessed") != "3" || number(job, "numberRecordsFailed") != "1" || job["errorMessage"] != "InternalServerError : Retries exceeded" {
		t.Errorf("job: %v", job)
	}
	ok, bad, rest := c.result(id, "successfulResults", "DW_Key__c"), c.result(id, "failedResults", "DW_Key__c"), c.result(id, "unprocessedrecords", "DW_Key__c")
	if got := fmt.Sprint(slices.Sorted(maps.Keys(ok)), slices.Sorted(maps.Keys(bad)), slices.Sorted(maps.Keys(rest))); got != "[a c] [b] [d e]" || c.twin.Count("Account") != 2 {
		t.Errorf("got %s", got)
	}
	id = c.open("Account", "upsert", "DW_Key__c", data)
	c.want(200, "PATCH", "jobs/ingest/"+id, `{"state":"UploadComplete"}`)
	c.want(200, "GET", "jobs/ingest/"+id, "")
	c.want(200, "GET", "jobs/ingest/"+id, "")
	c.refused(404, "NOT_FOUND", "GET", "jobs/ingest/"+id, "")
	if c.twin.Count("Account") != 4 {
		t.Error("the job that vanished did its work")
	}
	id, _ = c.run("Account", "upsert", "DW_Key__c", data)
	if _, text := c.call("GET", "jobs/ingest/"+id+"/unprocessedrecords", ""); !strings.Contains(text, "nobody closes") {
		t.Errorf("got %q", text)
	}
	c.run("Account", "upsert", "DW_Key__c", data)
	if n := c.twin.Calls("GET", c.twin.Jobs()[3].ID); n != 5 {
		t.Errorf("the slow job was looked at %d times, want 5", n)
	}
}

func TestJobsVanishAfterAWeek(t *testing.T) {
	c := start(t, salesforcetest.Options{})
	id, _ := c.run("Account", "insert", "", "Name\nA\n")
	*c.clock = c.clock.Add(6 * 24 * time.Hour)
	c.login()
	c.want(200, "GET", "jobs/ingest/"+id, "")
	*c.clock = c.clock.Add(25 * time.Hour)
	c.login()
	c.refused(404, "NOT_FOUND", "GET", "jobs/ingest/"+id, "")
	id, _ = c.run("Account", "insert", "", "Name\nB\n")
	c.twin.ForgetJobs()
	c.refused(404, "NOT_FOUND", "GET", "jobs/ingest/"+id+"/successfulResults", "")
}

func TestBulkUpdateAndDelete(t *testing.T) {
	c := start(t, salesforcetest.Options{})
	a := c.twin.Insert("Account", map[string]string{"Name": "A"})
	b := c.twin.Insert("Account", map[string]string{"Name": "B"})
	gone := c.twin.Insert("Account", map[string]string{"Name": "G"})
	c.twin.Delete("Account", gone)
	lost := "001Tw0000ZZZZZZ"
	id, _ := c.run("Account", "update", "", "Id,Industry\n"+a[:15]+",Energy\n"+gone+",x\n"+lost+",y\nnonsense,z\n,u\n")
	if ok := c.result(id, "successfulResults", "Industry"); len(ok) != 1 || ok["Energy"]["sf__Id"] != a || ok["Energy"]["sf__Created"] != "false" {
		t.Errorf("successful: %v", ok)
	}
	bad := c.result(id, "failedResults", "Industry")
	for industry, code := range map[string]string{"x": "ENTITY_IS_DELETED:entity is deleted:", "y": "INVALID_CROSS_REFERENCE_KEY:", "z": "MALFORMED_ID:", "u": "MISSING_ARGUMENT:"} {
		if !strings.HasPrefix(bad[industry]["sf__Error"], code) {
			t.Errorf("%s: got %q, want %s", industry, bad[industry]["sf__Error"], code)
		}
	}
	if bad["x"]["sf__Id"] != gone {
		t.Errorf("a failed update has its id: %v", bad["x"])
	}
	id, _ = c.run("Account", "delete", "", "Id\n"+b+"\n"+gone+"\n"+a+"\n"+a[:15]+"\n")
	if ok, bad := c.result(id, "successfulResults", "Id"), c.result(id, "failedResults", "Id"); len(ok) != 1 || len(bad) != 3 ||
		bad[a]["sf__Error"] != "DUPLICATE_VALUE:Duplicate id specified: "+a+":Id --" {
		t.Errorf("deleted: %v, not: %v", ok, bad)
	}
	if c.twin.Count("Account") != 1 || c.twin.Get("Account", "Id", a)["Industry"] != "Energy" {
		t.Error("the wrong records are left")
	}
}
