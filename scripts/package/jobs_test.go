package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const jobText = `name: scores
owner: revops@example.com
query_file: q/scores.sql
object: Account
operation: upsert
external_id: DW_Key__c
key: account_key
fields: {score: Score__c}
after: analytics.account_scores
guards:
  writes: {max: 100}
`

// jobsFolderOf is a folder with a job, its query, and much that is none.
func jobsFolderOf(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"scores.yml": jobText, "q/scores.sql": "select account_key, score from analytics.account_scores",
		"key.pem": "hush", ".env": "hush", ".git/config.yml": "hush", ".hidden.yml": "hush", "README.md": "hush", "tfvars.json": "hush"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(dir, "key.pem"), filepath.Join(dir, "link.sql")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Jobs and their queries are packaged, and nothing that lies beside them.
func TestJobsArePackaged(t *testing.T) {
	to := t.TempDir()
	if err := (order{fn: withJobs, syncs: jobsFolderOf(t)}).jobs(to); err != nil {
		t.Fatal(err)
	}
	var got []string
	err := filepath.WalkDir(to, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			name, _ := filepath.Rel(to, path)
			got = append(got, name)
			text, _ := os.ReadFile(path)
			if strings.Contains(string(text), "hush") {
				t.Errorf("%s is packaged", name)
			}
		}
		return err
	})
	if want := "syncs/q/scores.sql syncs/scores.yml"; err != nil || strings.Join(got, " ") != want {
		t.Errorf("got %q, %v, want %s", got, err, want)
	}
}

func TestJobsThatAreWrong(t *testing.T) {
	wrong := jobsFolderOf(t)
	if err := os.WriteFile(filepath.Join(wrong, "b.yml"), []byte("name: b\nobjekt: x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, dir := range map[string]string{"b.yml": wrong, "no job file": t.TempDir(), "no such file": filepath.Join(t.TempDir(), "away")} {
		err := order{fn: withJobs, syncs: dir}.jobs(t.TempDir())
		var u usage
		if !errors.As(err, &u) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v, want usage", name, err)
		}
	}
}

// The shim of the function with jobs looks for them beside it; the others do not.
func TestShims(t *testing.T) {
	for fn, want := range map[string]string{withJobs: `platform.Options{Environ: platform.Beside("SALESFORCE_SYNCS", "syncs")})`, "clari": `("clari", platform.Options{})`} {
		for cloud, shim := range map[string]string{"gcp": "gcp.Register", "aws": "aws.Start"} {
			o := order{fn: fn, cloud: cloud}
			text, err := o.shim(gcpShim)
			if cloud == "aws" {
				text, err = o.shim(awsShim)
			}
			if err != nil || !strings.Contains(string(text), want) || !strings.Contains(string(text), shim) {
				t.Errorf("%s on %s: got\n%s, %v", fn, cloud, text, err)
			}
		}
	}
}
