package main

import (
	"encoding/json"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-data/millrace/functions/salesforcesync/salesforcetest"
	"github.com/millrace-data/millrace/shared/reverse"
)

const lintedJob = `name: scores
owner: ops@example.com
query: select k, score from analytics.account_scores
object: Account
operation: upsert
external_id: DW_Key__c
key: k
fields: {score: Score__c}
guards: {writes: {max: 10}, creates: {max: 0}}
`

func TestSyncLint(t *testing.T) {
	d := newDesk(t, "")
	dir := t.TempDir()
	path := filepath.Join(dir, "scores.yml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, errs, code := d.do(t, "sync", "lint", dir); code != exitUsage || !strings.Contains(errs, "there is no job file in") {
		t.Errorf("an empty folder: exit %d, %s", code, errs)
	}
	write(lintedJob)
	if out, errs, code := d.do(t, "sync", "lint", dir); code != exitOK || out != "0 errors, 0 warnings\n" {
		t.Errorf("a good job: exit %d, %s%s", code, out, errs)
	}
	write(strings.Replace(lintedJob, "owner", "ownr", 1))
	want := lintReport{Outcome: "refused", Errors: 2, Findings: []reverse.Finding{
		{File: path, Line: 1, Rule: "owner", Severity: "error", Message: "owner: is missing: the e-mail or the team that is asked when the sync is blocked"},
		{File: path, Line: 2, Rule: "unknown-key", Severity: "error", Fix: "did you mean owner?",
			Message: "ownr: is not a key that is known here; there are name, owner, query, query_file, object, operation, external_id, key, fields, order_by, nulls, after, schedule, guards, approval, expires, classes, reserve"}}}
	out, errs, code := d.do(t, "sync", "lint", path, "--json")
	var got lintReport
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != exitRefused {
		t.Fatalf("exit %d, %v: %s%s", code, err, out, errs)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if out, _, code := d.do(t, "sync", "lint", dir); code != exitRefused || !strings.Contains(out, "scores.yml:2  error  unknown-key  ownr: is not") || !strings.Contains(out, "2 errors, 0 warnings\n") {
		t.Errorf("for people: exit %d\n%s", code, out)
	}
}

func TestSyncLintLive(t *testing.T) {
	d := newDesk(t, "")
	if _, errs, code := d.do(t, "sync", "lint", "testdata", "--live"); code != exitUsage {
		t.Errorf("without configuration: exit %d, %s", code, errs)
	}
	srv := httptest.NewServer(salesforcetest.New(salesforcetest.Options{}))
	t.Cleanup(srv.Close)
	for name, value := range salesforcetest.Env(srv.URL) {
		d.vars[name] = value
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "scores.yml")
	if err := os.WriteFile(path, []byte(strings.Replace(lintedJob, "Score__c", "Scor__c", 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	out, errs, code := d.do(t, "sync", "lint", dir, "--live")
	if code != exitRefused || !strings.Contains(out, "field Scor__c of Account, from column score: there is none of this name") || !strings.Contains(out, "did you mean Score__c?") {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
}

func TestSyncSchema(t *testing.T) {
	out, errs, code := newDesk(t, "").do(t, "sync", "schema")
	var schema map[string]any
	if err := json.Unmarshal([]byte(out), &schema); err != nil || code != 0 || schema["title"] != "Millrace sync job" {
		t.Errorf("exit %d, %v: %.200s%s", code, err, out, errs)
	}
}
