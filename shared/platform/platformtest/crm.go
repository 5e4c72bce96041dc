package platformtest

import (
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/millrace-data/millrace/functions/salesforcesync"
	"github.com/millrace-data/millrace/functions/salesforcesync/salesforcetest"
	"github.com/millrace-data/millrace/shared/follow"
	"github.com/millrace-data/millrace/shared/record"
	"github.com/millrace-data/millrace/shared/rest/resttest"
)

// The path ends in Salesforce: a model counts the sign-ins of every learner, when
// learners and sign-ins are loaded, and a sync carries the counts to the contacts.

// learners is the model.
var learners = follow.Model{
	Name: "learners", Doc: "Sign-ins of learners.",
	Table: record.Table{Schema: "analytics", Name: "learners", Columns: record.Columns[learner](), Key: record.Key[learner]()},
	Query: `SELECT u."id" AS "id", u."last_name" AS "last_name", count(l."user") AS "sign_ins"
 FROM "thought_industries"."users" AS u LEFT JOIN "thought_industries"."logins" AS l ON lower(l."user") = lower(u."email") GROUP BY u."id", u."last_name"`,
	Reads: []string{"thought_industries.users", "thought_industries.logins"},
}.Function()

type learner struct {
	ID       string  `field:"id" key:"true"`
	LastName *string `field:"lastName" pii:"name"`
	SignIns  int64   `field:"signIns"`
}

// followers are the functions that tables start in this deployment.
var followers = []*follow.Function{learners, salesforcesync.Function}

const job = `
name: learners
owner: crm@example.com
query: select "id", "last_name", "sign_ins" from "analytics"."learners"
object: Contact
operation: upsert
external_id: DW_Key__c
key: id
fields: {last_name: LastName, sign_ins: Score__c}
after: analytics.learners
approval: auto
classes: [name]
guards:
  creates: {max: 5000}
  deletes: {max: 0}
  fields:
    Score__c: {zeroed: {max: 0}, range: [0, 999]}
`

// crm is Salesforce, and the folder of job files that a function's package holds.
type crm struct {
	twin    *salesforcetest.Server
	environ []string
}

func newCRM(t *testing.T, faults []resttest.Fault) *crm {
	t.Helper()
	c := &crm{twin: salesforcetest.New(salesforcetest.Options{Faults: faults})}
	srv := httptest.NewServer(c.twin)
	t.Cleanup(srv.Close)
	syncs := t.TempDir()
	if err := os.WriteFile(filepath.Join(syncs, "learners.yml"), []byte(job), 0o644); err != nil {
		t.Fatal(err)
	}
	c.environ = []string{"SALESFORCE_SYNCS=" + syncs}
	for name, value := range salesforcetest.Env(srv.URL) {
		c.environ = append(c.environ, name+"="+value)
	}
	return c
}

// check holds the contacts against the warehouse, and Salesforce's own log against
// what was to be written: every value once.
func (w *world) check(count func(query string) int) {
	contacts := w.crm.twin.Records("Contact")
	if n := count(`SELECT count(*) FROM "analytics"."learners"`); len(contacts) != n || n == 0 {
		w.t.Errorf("Salesforce has %d contacts, the model %d learners", len(contacts), n)
	}
	signIns := 0
	for _, c := range contacts {
		n := 0
		if _, err := fmt.Sscan(c["Score__c"], &n); err != nil {
			w.t.Errorf("contact %s has the score %q", c["DW_Key__c"], c["Score__c"])
		}
		signIns += n
	}
	if want := count(`SELECT CAST(sum("sign_ins") AS BIGINT) FROM "analytics"."learners"`); signIns != want || want == 0 {
		w.t.Errorf("the contacts have %d sign-ins, the learners %d", signIns, want)
	}
	written := map[string]int{}
	for _, x := range w.crm.twin.Writes() {
		written[fmt.Sprint(x.Key, x.Kind, x.Fields)]++
	}
	for what, n := range written {
		if n > 1 {
			w.t.Errorf("written %d times: %s", n, what)
		}
	}
	if n := count(`SELECT count(*) FROM "millrace"."sync_plans" WHERE "state" IN ('approved', 'applying', 'paused', 'ready', 'blocked')`); n > 0 {
		w.t.Errorf("%d plans are not ended", n)
	}
	if n := count(`SELECT count(*) FROM "millrace"."sync_plans" WHERE "state" = 'applied' AND "sent" + "failed" + "unprocessed" <> "creates" + "updates" + "deletes"`); n > 0 {
		w.t.Errorf("%d plans do not balance", n)
	}
}
