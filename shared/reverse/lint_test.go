package reverse_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/reverse"
	"github.com/millrace-data/millrace/shared/reverse/reversetest"
)

// sound is a job that nothing is wrong with; lines are replaced by their key.
func sound(name string, lines ...string) string {
	text := []string{"name: " + name, "owner: ops@example.com", "query: select k, score from analytics.account_scores", "object: Account", "operation: upsert",
		"external_id: DW_Key__c", "key: k", "fields: {score: Score__c}", "guards: {creates: {max: 0}, fields: {Score__c: {zeroed: {max: 5}}}}"}
next:
	for _, line := range lines {
		key, _, _ := strings.Cut(line, ":")
		for i := range text {
			if strings.HasPrefix(text[i], key+":") {
				text[i] = line
				continue next
			}
		}
		text = append(text, line)
	}
	return strings.Join(text, "\n") + "\n"
}

func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func told(dir string, found []reverse.Finding) (out []string) {
	for _, f := range found {
		line := fmt.Sprintf("%s:%d %s %s: %s", strings.TrimPrefix(f.File, dir+"/"), f.Line, f.Severity, f.Rule, strings.ReplaceAll(f.Message, dir+"/", ""))
		if f.Fix != "" {
			line += " → " + f.Fix
		}
		out = append(out, line)
	}
	return out
}

var inputs = []reverse.Input{
	{Function: "accountscore", Schema: "analytics", Table: "account_scores"},
	{Function: "crm", Schema: "crm", Table: "people", Classes: map[string]string{"email": "email", "plan": "mnpi"}},
}

func TestLint(t *testing.T) {
	for _, c := range []struct {
		name  string
		files map[string]string
		want  []string
	}{
		{"nothing wrong", map[string]string{"a.yml": sound("a"), "deep/b.yaml": sound("b", "object: Contact"), "notes.txt": "x", ".hidden/c.yml": "x"}, nil},
		{"no guards", map[string]string{"a.yml": sound("a", "guards: {inputs: {max_age: 1d}}")},
			[]string{"a.yml:9 error no-guard: guards: nothing limits what a plan may do → limit writes, and what may happen to each field"}},
		{"no guards, and nobody looks", map[string]string{"a.yml": sound("a", "guards: {}", "approval: auto")},
			[]string{"a.yml:9 error no-guard: guards: nothing limits what a plan may do → limit writes, and what may happen to each field"}},
		{"nobody looks, and little is guarded", map[string]string{"a.yml": sound("a", "guards: {creates: {max: 5}}", "approval: auto")},
			[]string{"a.yml:10 error auto-approval: approval: nobody looks at a plan, and nothing limits writes, or values that become 0 or empty → add guards.writes, or zeroed or blanked of a field, or write approval: required"}},
		{"nobody looks, and enough is guarded", map[string]string{"a.yml": sound("a", "approval: auto")}, nil},
		{"a guard of itself", map[string]string{"a.yml": sound("a", "guards: {writes: {max_percent: 10}}")},
			[]string{"a.yml:9 warning idle-guard: guards.writes.max_percent: writes are 100 % of the planned writes, whatever the plan is → write max, or share with max_percent"}},
		{"a day that never comes", map[string]string{"a.yml": sound("a", `schedule: "0 6 30 2 *"`)},
			[]string{`a.yml:10 error never-due: schedule: "0 6 30 2 *" is never due`}},
		{"a table that nobody fills", map[string]string{"a.yml": sound("a", "after: analytics.account_score")},
			[]string{"a.yml:10 warning unknown-table: after: no function of this build fills analytics.account_score, so no load of it starts the sync → did you mean analytics.account_scores?"}},
		{"a table in other case", map[string]string{"a.yml": sound("a", "after: Analytics.Account_Scores")}, nil},
		{"classed columns", map[string]string{"a.yml": sound("a", "query: select k, email, plan from crm.people", "classes: [pii]")},
			[]string{"a.yml:3 error class: query: column plan of crm.people is of class mnpi, which the job does not allow → select other columns by name, or add mnpi to classes"}},
		{"classed columns of a file", map[string]string{"a.yml": strings.Replace(sound("a"), "query: select k, score from analytics.account_scores", "query_file: q.sql", 1), "q.sql": "select * from crm.people;"},
			[]string{"a.yml:3 error class: query_file: column email of crm.people is of class email, which the job does not allow → select other columns by name, or add email to classes",
				"a.yml:3 error class: query_file: column plan of crm.people is of class mnpi, which the job does not allow → select other columns by name, or add mnpi to classes"}},
		{"one field, two writers", map[string]string{"a.yml": sound("a"), "b.yml": sound("b", "fields: {tier: Tier__c, score: score__C}", "guards: {writes: {max: 1}}"), "c.yml": sound("c", "object: Contact")},
			[]string{"b.yml:8 error two-writers: fields.score: Account.score__C is written by sync a of a.yml too → give each field one sync"}},
		{"a delete writes no field", map[string]string{"a.yml": sound("a"), "b.yml": sound("b", "operation: delete")}, nil},
		{"one name, two syncs", map[string]string{"a.yml": sound("a"), "b.yml": sound("a", "object: Contact")},
			[]string{`b.yml:1 error duplicate-key: name: "a" is the name of the sync of a.yml already → what was sent is remembered by name: give each its own`}},
		{"every file is told of", map[string]string{"a.yml": sound("a", "ownr: x"), "b.yml": sound("b", "object: Contact", "guards: {}"), "c.yml": "x: ["},
			[]string{"a.yml:10 error unknown-key: ownr: is not a key that is known here; there are name, owner, query, query_file, object, operation, external_id, key, fields, order_by, nulls, after, schedule, guards, approval, expires, classes, reserve → did you mean owner?",
				"b.yml:9 error no-guard: guards: nothing limits what a plan may do → limit writes, and what may happen to each field",
				"c.yml:1 error syntax: this is not YAML: sequence end token ']' not found"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := folder(t, c.files)
			found, err := reverse.Lint(dir, inputs)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, told(dir, found)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestLintOfNothing(t *testing.T) {
	for _, dir := range []string{t.TempDir(), filepath.Join(t.TempDir(), "gone")} {
		if _, err := reverse.Lint(dir, nil); !errors.Is(err, fault.Invalid) {
			t.Errorf("%s: %v, want fault.Invalid", dir, err)
		}
	}
}

func TestGoodJobsLint(t *testing.T) {
	found, err := reverse.Lint("testdata/jobs/good", nil)
	if err != nil || len(found) > 0 {
		t.Errorf("%v, %v", found, err)
	}
}

func TestLintLive(t *testing.T) {
	field := func(name string, typ reverse.FieldType) reverse.Field {
		return reverse.Field{Name: name, Type: typ, Nullable: true, Creatable: true, Updatable: true}
	}
	key := field("DW_Key__c", reverse.TextType)
	key.Key, key.Unique = true, true
	name := field("Name", reverse.TextType)
	name.Nullable = false
	formula := field("Margin__c", reverse.NumberType)
	formula.Creatable, formula.Updatable = false, false
	dest := reversetest.New(reverse.Object{Name: "Account", Readable: true, Creatable: true, Updatable: true,
		Fields: []reverse.Field{key, field("Score__c", reverse.NumberType), formula, name}})
	dir := folder(t, map[string]string{
		"a.yml": sound("a"),
		"b.yml": sound("b", "object: Opportunity"),
		"c.yml": sound("c", "fields: {m: Margin__c, s: Scores__c}", "guards: {writes: {max: 1}}"),
		"d.yml": sound("d", "operation: delete", "guards: {deletes: {max: 1}}"),
		"e.yml": "not: a job",
		"f.yml": sound("f", "operation: insert"),
	})
	found, err := reverse.LintLive(t.Context(), dest, dir)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"b.yml:4 error object: object: there is no object Opportunity, or the running user cannot see it",
		"c.yml:8 error object: fields.m: field Margin__c of Account cannot be updated by the running user: it is calculated, read-only, or lacks field-level security",
		"c.yml:8 error object: fields.s: field Scores__c of Account, from column s: there is none of this name, or the running user lacks field-level security for it; did you mean Score__c?",
		"c.yml:8 warning needed-field: fields: a new record of Account needs Name, which the job does not send: it would be rejected → send them, or write guards.creates: {max: 0}",
		"d.yml:5 error object: operation: delete is not possible: the running user cannot delete records of Account",
		"f.yml:8 error object: fields: a record of Account cannot be created without Name, which the job does not send",
	}
	if diff := cmp.Diff(want, told(dir, found)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestReadJobs(t *testing.T) {
	dir := folder(t, map[string]string{"b.yml": sound("two", "object: Contact"), "a/a.yml": sound("one")})
	jobs, err := reverse.ReadJobs(dir)
	if err != nil || len(jobs) != 2 || jobs[0].Name != "one" || jobs[1].Name != "two" {
		t.Errorf("got %v, %v", jobs, err)
	}
	dir = folder(t, map[string]string{"a.yml": sound("one", "colour: red"), "b.yml": sound("x", "key: 5"), "c.yml": sound("c"), "d.yml": sound("c")})
	_, err = reverse.ReadJobs(dir)
	if !errors.Is(err, fault.Invalid) {
		t.Fatalf("%v, want fault.Invalid", err)
	}
	for _, want := range []string{"/a.yml:10: colour: ", `/b.yml:7: key: must be text, and is "5" (put it in quotes)`, `/d.yml:1: name: "c" is the name of the sync of `} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nlacks %s", err, want)
		}
	}
	if jobs, err := reverse.ReadJobs(t.TempDir()); err != nil || len(jobs) != 0 {
		t.Errorf("of an empty folder: %v, %v", jobs, err)
	}
	outside := folder(t, map[string]string{"q.sql": "select 1"})
	if err := os.Symlink(filepath.Join(outside, "q.sql"), filepath.Join(dir, "link.sql")); err != nil {
		t.Skip(err)
	}
	text := strings.Replace(sound("l"), "query: select k, score from analytics.account_scores", "query_file: link.sql", 1)
	if _, err := reverse.ParseJob([]byte(text), dir); err == nil || !strings.Contains(err.Error(), "path escapes from parent") {
		t.Errorf("a link that leads out: %v", err)
	}
}
