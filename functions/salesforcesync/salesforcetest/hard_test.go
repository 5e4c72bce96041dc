package salesforcetest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/millrace-data/millrace/functions/salesforcesync/salesforcetest"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/rest/resttest"
	"github.com/millrace-data/millrace/shared/reverse"
)

// Keys that grow when they are put into an address must not make it too long.
func TestClientReadsLongKeys(t *testing.T) {
	c := start(t, salesforcetest.Options{Objects: []salesforcetest.Object{{Name: "Account", Prefix: "001", Fields: []salesforcetest.Field{
		{Name: "Name", Type: "string"}, {Name: "Key__c", Type: "string", ExternalID: true, Unique: true}, {Name: "Exact__c", Type: "string", ExternalID: true, Unique: true, CaseSensitive: true},
		{Name: "Number__c", Type: "double", ExternalID: true, Unique: true, Precision: 18}}}}})
	var keys, exact, numbers []string
	for i := range 200 {
		keys = append(keys, fmt.Sprintf("%d %s", i, strings.Repeat("'\\ é&=%\"", 25)))
		exact = append(exact, fmt.Sprintf("a%d", i), fmt.Sprintf("A%d", i))
		numbers = append(numbers, fmt.Sprint(100_000_000+i))
		c.twin.Insert("Account", map[string]string{"Key__c": keys[i], "Exact__c": exact[2*i], "Number__c": numbers[i]})
		c.twin.Insert("Account", map[string]string{"Exact__c": exact[2*i+1]})
	}
	d := dial(t, c)
	for _, x := range []struct {
		key  string
		keys []string
	}{{"Key__c", keys}, {"Exact__c", exact}, {"Number__c", numbers}} {
		n := 0
		for r, err := range d.Read(t.Context(), reverse.Query{Object: "Account", Key: x.key, Keys: x.keys, Fields: []string{"Name"}}) {
			if err != nil {
				t.Fatal(x.key, err)
			}
			if n++; r.Key == "" {
				t.Errorf("%s: a record without its key", x.key)
			}
		}
		if n != len(x.keys) {
			t.Errorf("%s: got %d records of %d", x.key, n, len(x.keys))
		}
	}
}

// Every single request may meet a busy server, a web page, or a session that ended;
// what only reads goes on, and what writes says that nobody knows, or goes on.
func TestClientOnABadDay(t *testing.T) {
	effects := map[string]resttest.Effect{
		"busy":    resttest.Status(503, "<html>busy</html>"),
		"lost":    resttest.Lost(),
		"refused": resttest.Refuse(),
		"session": resttest.Status(401, `[{"message":"Session expired or invalid","errorCode":"INVALID_SESSION_ID"}]`),
		"quota":   resttest.Status(403, `[{"message":"TotalRequests Limit exceeded.","errorCode":"REQUEST_LIMIT_EXCEEDED"}]`),
		"locked":  resttest.Status(400, `[{"message":"unable to obtain exclusive access","errorCode":"UNABLE_TO_LOCK_ROW"}]`),
		"page":    resttest.HTML(),
		"empty":   resttest.Empty(),
		"cut":     resttest.Cut(10),
	}
	for name, effect := range effects {
		for after := range 9 {
			t.Run(fmt.Sprintf("%s at request %d", name, after), func(t *testing.T) {
				if after == 0 && (name == "quota" || name == "locked") {
					t.Skip("a login is not refused so")
				}
				t.Parallel()
				c := start(t, salesforcetest.Options{Polls: -1})
				d := dial(t, c)
				c.twin.Inject(resttest.Fault{After: after, Do: effect})
				o, err := d.Describe(t.Context(), "Account")
				if err != nil {
					checkFault(t, name, err)
					return
				}
				k := reverse.Task{Object: "Account", Operation: reverse.Upsert, Key: "DW_Key__c"}
				for _, f := range o.Fields {
					if f.Name == "Name" {
						k.Fields = append(k.Fields, f)
					}
				}
				_, out, err := bulk(t, d, k, line("a", "A"), line("b", ""))
				if err != nil {
					checkFault(t, name, err)
				} else if got := words(out); got != "a=sent, b=failed REQUIRED_FIELD_MISSING" {
					t.Errorf("got %s", got)
				}
				if n := c.twin.WriteCount(); n > 1 || err == nil && n != 1 {
					t.Errorf("row a was written %d times", n)
				}
				for _, j := range c.twin.Jobs() {
					if j.Uploads > 1 {
						t.Errorf("uploaded %d times", j.Uploads)
					}
				}
			})
		}
	}
}

func checkFault(t *testing.T, name string, err error) {
	t.Helper()
	want := map[string][]error{
		"busy": {fault.Transient}, "lost": {fault.Transient}, "refused": {fault.Transient}, "session": {fault.Transient, fault.Auth}, "quota": {fault.Limited},
		"locked": {fault.Transient}, "page": {fault.Corrupt, fault.Transient, fault.Auth}, "empty": {fault.Corrupt, fault.Transient}, "cut": {fault.Transient, fault.Corrupt},
	}[name]
	for _, k := range want {
		if fault.Of(err) == k {
			return
		}
	}
	t.Errorf("got %v (%v), want one of %v", err, fault.Of(err), want)
}
