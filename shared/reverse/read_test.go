package reverse

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-data/millrace/shared/fault"
)

func limit(max int64, percent ...float64) *Limit {
	l := &Limit{Max: &max}
	if len(percent) > 0 {
		l.MaxPercent = &percent[0]
	}
	return l
}

// example is the job of DESIGN.md §7.
func example() Job {
	return Job{
		Name: "account_scores", Owner: "revops@example.com", Object: "Account", Operation: Upsert,
		Query:      "select account_key, score, tier from analytics.account_scores",
		ExternalID: "DW_Key__c", Key: "account_key",
		Fields: map[string]string{"score": "Score__c", "tier": "Tier__c"},
		Nulls:  IgnoreNulls, After: "analytics.account_scores",
		Guards: Guards{Writes: limit(50000), Creates: limit(500), Deletes: limit(0), Fields: map[string]FieldGuard{
			"Score__c": {Zeroed: limit(10, 1), Blanked: limit(0), Factor: &Factor{Over: 5}, Range: &[2]Bound{"0", "100"}}}},
		Approval: ApprovalRequired, Classes: []string{},
	}
}

func TestExampleOfTheDesign(t *testing.T) {
	job, err := ReadJob("testdata/jobs/good/account_scores.yml")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(example(), job); diff != "" {
		t.Errorf("job (-want +got):\n%s", diff)
	}
}

func TestTextOfAJob(t *testing.T) {
	job := example()
	const want = `{"after":"analytics.account_scores","approval":"required","external_id":"DW_Key__c",` +
		`"fields":{"score":"Score__c","tier":"Tier__c"},"guards":{"creates":{"max":500},"deletes":{"max":0},` +
		`"fields":{"Score__c":{"blanked":{"max":0},"factor":{"over":5},"range":[0,100],"zeroed":{"max":10,"max_percent":1}}},` +
		`"writes":{"max":50000}},"key":"account_key","name":"account_scores","nulls":"ignore","object":"Account",` +
		`"operation":"upsert","owner":"revops@example.com","query":"select account_key, score, tier from analytics.account_scores"}`
	if got := job.Text(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	back, err := ParseJobText(job.Text())
	if err != nil {
		t.Fatal(err)
	}
	job.Classes = nil // empty and absent are the same
	if diff := cmp.Diff(job, back); diff != "" {
		t.Errorf("read back (-want +got):\n%s", diff)
	}
	var again Job
	if text, err := json.Marshal(job); err != nil {
		t.Error(err)
	} else if err := json.Unmarshal(text, &again); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(job, again); diff != "" {
		t.Errorf("through encoding/json (-want +got):\n%s", diff)
	}
}

var update = flag.Bool("update", false, "write the golden files anew")

// TestWhatIsWrong holds every message about the bad files.
func TestWhatIsWrong(t *testing.T) {
	paths, err := filepath.Glob("testdata/jobs/bad/*.yml")
	if err != nil || len(paths) == 0 {
		t.Fatalf("%d files, %v", len(paths), err)
	}
	var got strings.Builder
	for _, path := range paths {
		_, err := ReadJob(path)
		if !errors.Is(err, fault.Invalid) {
			t.Errorf("%s: %v, want fault.Invalid", path, err)
			continue
		}
		fmt.Fprintln(&got, strings.ReplaceAll(err.Error(), "testdata/jobs/bad/", ""))
	}
	const golden = "testdata/jobs/bad/messages.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
}
