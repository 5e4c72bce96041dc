package salesforcetest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/millrace-data/millrace/functions/salesforcesync/salesforcetest"
)

// items sends a collection and gives, for each record, its id or its statusCode.
func (c *client) items(method, path, body string) (got []string) {
	c.Helper()
	for _, x := range c.want(200, method, path, body).([]any) {
		x := x.(map[string]any)
		if x["success"] == true {
			got = append(got, x["id"].(string))
		} else {
			got = append(got, x["errors"].([]any)[0].(map[string]any)["statusCode"].(string))
		}
	}
	return got
}

func account(fields string) string { return `{"attributes":{"type":"Account"},` + fields + `}` }

func records(list ...string) string {
	return `{"allOrNone":false,"records":[` + strings.Join(list, ",") + `]}`
}

func TestCollections(t *testing.T) {
	c := start(t, salesforcetest.Options{})
	got := c.items("POST", "composite/sobjects", records(account(`"Name":"A","Score__c":1.50`), account(`"Score__c":2`), `{"attributes":{"type":"Contact"},"LastName":"C"}`))
	a := c.twin.Get("Account", "Name", "A")
	if len(got) != 3 || got[0] != a["Id"] || got[1] != "REQUIRED_FIELD_MISSING" || !strings.HasPrefix(got[2], "003") || a["Score__c"] != "1.5" {
		t.Errorf("insert: %v, %v", got, a)
	}
	got = c.items("PATCH", "composite/sobjects", records(account(`"id":"`+a["Id"][:15]+`","Score__c":null,"Industry":"x"`), account(`"Name":"no id"`), account(`"id":"001Tw0000ZZZZZZ"`)))
	if fmt.Sprint(got) != "["+a["Id"]+" MISSING_ARGUMENT INVALID_CROSS_REFERENCE_KEY]" {
		t.Errorf("update: %v", got)
	}
	if r := c.twin.Get("Account", "Name", "A"); r["Score__c"] != "" || r["Industry"] != "x" {
		t.Errorf("null clears: %v", r)
	}
	doc := c.want(200, "PATCH", "composite/sobjects/Account/DW_Key__c", records(account(`"DW_Key__c":"k","Name":"K"`))).([]any)[0].(map[string]any)
	again := c.want(200, "PATCH", "composite/sobjects/Account/DW_Key__c", records(account(`"DW_Key__c":"K","Name":"K2"`))).([]any)[0].(map[string]any)
	if doc["created"] != true || again["created"] != false || doc["id"] != again["id"] {
		t.Errorf("upsert: %v, then %v", doc, again)
	}
	got = c.items("DELETE", "composite/sobjects?allOrNone=false&ids="+a["Id"]+","+a["Id"]+","+doc["id"].(string)+",zzz", "")
	if fmt.Sprint(got) != "[DUPLICATE_VALUE DUPLICATE_VALUE "+doc["id"].(string)+" MALFORMED_ID]" || c.twin.Count("Account") != 1 {
		t.Errorf("delete: %v", got)
	}
	if w := c.twin.Writes(); len(w) != 6 || w[0].Via != "collections" || w[5].Kind != "delete" || w[2].Blanked[0] != "Score__c" {
		t.Errorf("writes: %+v", w)
	}
}

func TestCollectionsRefused(t *testing.T) {
	c := start(t, salesforcetest.Options{})
	many := make([]string, 201)
	for i := range many {
		many[i] = account(fmt.Sprintf(`"Name":"n","DW_Key__c":"%d"`, i))
	}
	mixed := make([]string, 11)
	for i := range mixed {
		mixed[i] = account(`"Name":"n"`)
		if i%2 == 1 {
			mixed[i] = `{"attributes":{"type":"Contact"},"LastName":"n"}`
		}
	}
	for _, x := range []struct{ code, method, path, body string }{
		{"REQUIRED_FIELD_MISSING", "POST", "composite/sobjects", records()},
		{"JSON_PARSER_ERROR", "POST", "composite/sobjects", "x"},
		{"EXCEEDED_ID_LIMIT", "POST", "composite/sobjects", records(many...)},
		{"EXCEEDED_ID_LIMIT", "DELETE", "composite/sobjects?ids=" + strings.Repeat("001Tw0000000001,", 201), ""},
		{"INVALID_INPUT", "POST", "composite/sobjects", records(mixed...)},
		{"INVALID_TYPE", "POST", "composite/sobjects", `{"records":[{"Name":"n"}]}`},
		{"INVALID_TYPE", "POST", "composite/sobjects", `{"records":[{"attributes":{"type":"Nothing"},"Name":"n"}]}`},
		{"INVALID_TYPE", "PATCH", "composite/sobjects/Contact/DW_Key__c", records(account(`"DW_Key__c":"k"`))},
		{"INVALID_FIELD", "POST", "composite/sobjects", records(account(`"Name":"n"`), account(`"Name":"n","Nope__c":1`))},
		{"INVALID_FIELD", "PATCH", "composite/sobjects/Account/DW_Key__c", records(account(`"DW_Key__c":"k","id":"001Tw0000000001"`))},
		{"JSON_PARSER_ERROR", "POST", "composite/sobjects", records(account(`"Name":"n"`), account(`"Name":"n","Renewal__c":"tomorrow"`))},
	} {
		c.refused(400, x.code, x.method, x.path, x.body)
	}
	c.refused(404, "NOT_FOUND", "PATCH", "composite/sobjects/Account/Name", records(account(`"Name":"n"`)))
	c.refused(405, "METHOD_NOT_ALLOWED", "PUT", "composite/sobjects", "")
	if c.twin.WriteCount() != 0 {
		t.Errorf("%d rows were written", c.twin.WriteCount())
	}
	if got := c.items("PATCH", "composite/sobjects/Account/DW_Key__c", records(many[:200]...)); len(got) != 200 || c.twin.Count("Account") != 200 {
		t.Error("200 are allowed")
	}
}

func TestDuplicatesInACollection(t *testing.T) {
	c := start(t, salesforcetest.Options{})
	got := c.items("PATCH", "composite/sobjects/Account/DW_Key__c", records(account(`"DW_Key__c":"k","Name":"1"`), account(`"DW_Key__c":"K","Name":"2"`), account(`"DW_Key__c":"l","Name":"3"`)))
	if got[0] != "DUPLICATE_VALUE" || got[1] != "DUPLICATE_VALUE" || c.twin.Count("Account") != 1 {
		t.Errorf("got %v", got)
	}
}

func TestAllOrNone(t *testing.T) {
	c := start(t, salesforcetest.Options{})
	a := c.twin.Insert("Account", map[string]string{"Name": "A", "DW_Key__c": "a"})
	body := strings.Replace(records(account(`"DW_Key__c":"a","Name":"changed","Region_Code__c":"x"`), account(`"DW_Key__c":"b","Name":"B"`), account(`"DW_Key__c":"c"`)), "false", "true", 1)
	got := c.items("PATCH", "composite/sobjects/Account/DW_Key__c", body)
	if fmt.Sprint(got) != "[ALL_OR_NONE_OPERATION_ROLLED_BACK ALL_OR_NONE_OPERATION_ROLLED_BACK REQUIRED_FIELD_MISSING]" {
		t.Errorf("got %v", got)
	}
	if r := c.twin.Get("Account", "Id", a); r["Name"] != "A" || c.twin.Count("Account") != 1 || c.twin.WriteCount() != 0 || c.twin.Get("Account", "DW_Key__c", "b") != nil || c.twin.Get("Account", "Region_Code__c", "x") != nil {
		t.Errorf("it was not undone: %v", r)
	}
	got = c.items("DELETE", "composite/sobjects?allOrNone=true&ids="+a+",001Tw0000ZZZZZZ", "")
	if got[0] != "ALL_OR_NONE_OPERATION_ROLLED_BACK" || c.twin.Get("Account", "DW_Key__c", "a") == nil || c.twin.Count("Account") != 1 {
		t.Errorf("got %v", got)
	}
	if got = c.items("PATCH", "composite/sobjects/Account/DW_Key__c", strings.Replace(records(account(`"DW_Key__c":"b","Name":"B"`)), "false", "true", 1)); c.twin.Count("Account") != 2 {
		t.Errorf("got %v", got)
	}
}
