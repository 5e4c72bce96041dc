package salesforcetest_test

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millrace-data/millrace/functions/salesforcesync/salesforce"
	"github.com/millrace-data/millrace/functions/salesforcesync/salesforcetest"
	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/rest/resttest"
	"github.com/millrace-data/millrace/shared/reverse"
	"github.com/millrace-data/millrace/shared/warehouse/duckdb"
)

// These tests kill a process that applies a plan, at each of the engine's crash
// points, and look at the twin afterwards: every row was accepted once.

// killed is the exit code of a worker that died on purpose.
const killed = 9

// TestWorker is no test: it is the process that is killed. It plans, where there is
// no plan yet, approves, and applies.
func TestWorker(t *testing.T) {
	if os.Getenv("TWIN_URL") == "" {
		t.Skip("this is the process that other tests start")
	}
	w, err := duckdb.Open(t.Context(), duckdb.Options{Path: os.Getenv("TWIN_DB"), Memory: "256MiB", Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	later, _ := time.ParseDuration(os.Getenv("TWIN_LATER"))
	now := func() time.Time { return time.Now().Add(later) }
	limit := int64(1 << 30)
	job := reverse.Job{Name: "scores", Owner: "ops@example.com", Object: "Account", Operation: reverse.Upsert, ExternalID: "DW_Key__c", Key: "k",
		Query:   `SELECT 'k' || CAST(i AS VARCHAR) AS k, 'Account ' || CAST(i AS VARCHAR) AS name, CAST(i % 90 + 0.5 AS DECIMAL(5,2)) AS score FROM range(` + os.Getenv("TWIN_ROWS") + `) t(i)`,
		Fields:  map[string]string{"name": "Name", "score": "Score__c"},
		Guards:  reverse.Guards{Writes: &reverse.Limit{Max: &limit}},
		Expires: 24 * time.Hour}
	e := &reverse.Engine{Warehouse: w, Log: slog.New(slog.DiscardHandler), Now: now, Owner: fmt.Sprint(os.Getpid()), Poll: time.Millisecond, Scratch: t.TempDir(),
		Connect: salesforce.Connector(env.Map(salesforcetest.Env(os.Getenv("TWIN_URL"))), salesforce.Options{Poll: time.Millisecond})}
	plans, err := e.History(t.Context(), "scores")
	if err != nil && !strings.Contains(err.Error(), "exist") {
		t.Fatal(err)
	}
	id := ""
	if len(plans) > 0 {
		id = plans[0].ID
	} else {
		p, err := e.Plan(t.Context(), job, reverse.PlanOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.Approve(t.Context(), p.ID, "ann@example.com", p.Hash); err != nil {
			t.Fatal(err)
		}
		id = p.ID
	}
	e.Point = func(name string) {
		if name == os.Getenv("TWIN_CRASH") {
			os.Exit(killed)
		}
	}
	p, err := e.Apply(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if want := os.Getenv("TWIN_ROWS"); p.State != reverse.PlanApplied || fmt.Sprint(p.Sent+p.Failed+p.Unprocessed) != want {
		t.Fatalf("the plan is %s: %d sent, %d failed, %d unprocessed of %s", p.State, p.Sent, p.Failed, p.Unprocessed, want)
	}
}

// worker runs TestWorker in a process of its own and returns its exit code.
func worker(t *testing.T, vars ...string) (code int, out string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestWorker$", "-test.count=1")
	cmd.Env = append(os.Environ(), vars...)
	text, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode(), string(text)
	}
	if err != nil {
		t.Fatal(err)
	}
	return 0, string(text)
}

func TestKilledWorkers(t *testing.T) {
	if testing.Short() {
		t.Skip("it starts many processes")
	}
	both := []string{"after_results", "before_commit", "after_commit"}
	for rows, points := range map[int][]string{
		2100: append([]string{"before_job_stored", "after_job_created", "after_put", "after_close"}, both...),
		450:  {"after_write", "before_commit", "after_commit"},
	} {
		for _, point := range points {
			t.Run(fmt.Sprintf("%d rows/%s", rows, point), func(t *testing.T) {
				c := start(t, salesforcetest.Options{Now: time.Now})
				seed(c, rows/3) // these are updates
				vars := []string{"TWIN_URL=" + c.base, "TWIN_DB=" + filepath.Join(t.TempDir(), "w.duckdb"), fmt.Sprintf("TWIN_ROWS=%d", rows)}
				code, out := worker(t, append(vars, "TWIN_CRASH="+point)...)
				if code != killed {
					t.Fatalf("the worker ended with %d: %s", code, out)
				}
				if code, out := worker(t, append(vars, "TWIN_LATER=1h")...); code != 0 {
					t.Fatalf("the second worker ended with %d: %s", code, out)
				}
				once(t, c, rows)
			})
		}
	}
}

// once checks that every record holds its value, and was written once.
func once(t *testing.T, c *client, rows int) {
	t.Helper()
	times := map[string]int{}
	for _, w := range c.twin.Writes() {
		times[w.Key]++
	}
	for key, n := range times {
		if n != 1 {
			t.Errorf("%s was written %d times", key, n)
			break
		}
	}
	if n := c.twin.Count("Account"); n != rows {
		t.Errorf("%d accounts, want %d", n, rows)
	}
	if r := c.twin.Get("Account", "DW_Key__c", fmt.Sprintf("k%d", rows-1)); r["Score__c"] != fmt.Sprintf("%d.5", (rows-1)%90) {
		t.Errorf("the last row: %v", r)
	}
	for _, j := range c.twin.Jobs() {
		if j.Uploads > 1 {
			t.Errorf("job %s was uploaded to %d times", j.ID, j.Uploads)
		}
	}
}

// A worker that is killed by somebody else, in the middle of a request.
func TestWorkerKilledInARequest(t *testing.T) {
	if testing.Short() {
		t.Skip("it starts processes")
	}
	for _, method := range []string{"POST /jobs/ingest", "PUT ", "PATCH ", "GET /successfulResults"} {
		t.Run(method, func(t *testing.T) {
			c := start(t, salesforcetest.Options{Now: time.Now})
			vars := []string{"TWIN_URL=" + c.base, "TWIN_DB=" + filepath.Join(t.TempDir(), "w.duckdb"), "TWIN_ROWS=2100"}
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestWorker$", "-test.count=1")
			cmd.Env = append(os.Environ(), vars...)
			cmd.Stdout = io.Discard
			verb, path, _ := strings.Cut(method, " ")
			c.twin.Inject(resttest.Fault{Method: verb, Path: path, Do: resttest.Then(func() { cmd.Process.Kill() })})
			if err := cmd.Run(); err == nil {
				t.Fatal("the worker was not killed")
			}
			if code, out := worker(t, append(vars, "TWIN_LATER=1h")...); code != 0 {
				t.Fatalf("the second worker ended with %d: %s", code, out)
			}
			once(t, c, 2100)
		})
	}
}
