package reverse_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/millrace-data/millrace/shared/reverse"
	"github.com/millrace-data/millrace/shared/reverse/reversetest"
	"github.com/millrace-data/millrace/shared/warehouse/duckdb"
	"github.com/millrace-data/millrace/shared/warehouse/warehousetest"
)

// The crash tests run this test binary again as a child that applies a plan and
// kills itself with SIGKILL at a named point. The destination's memory is a file:
// what it did before the kill stays done.
const (
	crashDir   = "MILLRACE_TEST_CRASH_DIR"
	crashPoint = "MILLRACE_TEST_CRASH_POINT" // WAY:NAME:N, the Nth pass of point NAME
	crashPlan  = "MILLRACE_TEST_CRASH_PLAN"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		if err := crashChild(context.Background(), dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	warehousetest.Main(m, 25)
}

func crashChild(ctx context.Context, dir string) error {
	w, err := duckdb.Open(ctx, duckdb.Options{Path: filepath.Join(dir, "w.duckdb"), Memory: "256MiB", Threads: 1})
	if err != nil {
		return err
	}
	defer w.Close()
	mem := reversetest.New(account())
	if err := mem.Restore(filepath.Join(dir, "destination")); err != nil {
		return err
	}
	mem.Fail = crashFailures
	at := strings.Split(os.Getenv(crashPoint), ":")
	left, err := strconv.Atoi(at[2])
	if err != nil {
		return err
	}
	e := &reverse.Engine{Warehouse: w, Connect: mem.Connector(), Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return clock }, Owner: "child", Poll: time.Millisecond}
	if at[0] == "bulk" {
		e.Bulk, e.Part = 1, 4
	}
	e.Point = func(name string) {
		if name != at[1] {
			return
		}
		if left--; left == 0 {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // the signal takes a moment
		}
	}
	_, err = e.Apply(ctx, os.Getenv(crashPlan))
	return err
}

// crashFailures fails two rows: one for good, one until it is tried again.
func crashFailures(object, key string, n int) reversetest.Failure {
	return reversetest.Failing(map[string]string{"k03": "BAD_VALUE"}, 0)(object, key, n)
}

func killed(err error) bool {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return false
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signal() == syscall.SIGKILL
}

func TestKilledAnywhere(t *testing.T) {
	points := map[string][]string{
		"bulk":  {"before_job_stored:1", "after_job_created:1", "after_job_created:2", "after_put:1", "after_put:2", "after_close:1", "after_close:3", "after_results:1", "after_results:2", "before_commit:1", "before_commit:2", "after_commit:1", "after_commit:3"},
		"write": {"after_write:1", "after_results:1", "before_commit:1", "after_commit:1"},
	}
	for way, names := range points {
		for _, op := range []reverse.Operation{reverse.Upsert, reverse.Insert, reverse.Delete} {
			for _, name := range names {
				if op != reverse.Upsert && !strings.HasSuffix(name, ":1") {
					continue
				}
				t.Run(fmt.Sprintf("%s:%s:%s", op, way, name), func(t *testing.T) {
					t.Parallel()
					crash(t, op, way+":"+name)
				})
			}
		}
	}
}

// crash plans, lets a child die in the middle of applying, goes on, and compares
// with what no crash would have left.
func crash(t *testing.T, op reverse.Operation, point string) {
	dir := t.TempDir()
	open := func() *world {
		w, err := duckdb.Open(t.Context(), duckdb.Options{Path: filepath.Join(dir, "w.duckdb"), Memory: "256MiB", Threads: 1})
		if err != nil {
			t.Fatal(err)
		}
		wd := newWorld(t, w)
		wd.Poll = time.Millisecond
		if err := wd.mem.Restore(filepath.Join(dir, "destination")); err != nil {
			t.Fatal(err)
		}
		wd.mem.Fail = crashFailures
		ways[point[:strings.Index(point, ":")]](wd)
		return wd
	}
	w := open()
	for i := range 10 {
		if op == reverse.Delete || op == reverse.Upsert && i%2 == 0 {
			w.mem.Add("Account", reversetest.Fields{"DW_Key__c": fmt.Sprintf("k%02d", i), "Score__c": "99"})
		}
	}
	j := job(lines(0, 10))
	j.Operation = op
	p := w.approved(j)
	w.Warehouse.Close()

	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), crashDir+"="+dir, crashPoint+"="+point, crashPlan+"="+p.ID)
	if out, err := cmd.CombinedOutput(); !killed(err) {
		t.Fatalf("the child was to die at %s and did not: %v: %s", point, err, out)
	}

	w = open()
	defer w.Warehouse.Close()
	if due, err := w.Waiting(t.Context()); err != nil || len(due) != 1 {
		t.Fatalf("waiting: %v, %v", due, err)
	}
	got := w.done(p.ID)
	if got.Sent != 9 && op != reverse.Delete || got.Sent+got.Failed != 10 {
		t.Errorf("%d sent, %d failed, %d unprocessed", got.Sent, got.Failed, got.Unprocessed)
	}
	if open := w.rejects("open"); int64(len(open)) != got.Failed {
		t.Errorf("%d failed, rejects %v", got.Failed, open)
	}
	left := w.mem.Records("Account", "DW_Key__c")
	for i := range 10 {
		key, want := fmt.Sprintf("k%02d", i), fmt.Sprint(i)
		if key == "k03" {
			continue
		}
		if op == reverse.Delete && left[key] != nil || op != reverse.Delete && left[key]["Score__c"] != want {
			t.Errorf("%s is %v", key, left[key])
		}
	}
	if n := w.count(`SELECT count(*) FROM "millrace"."sync_sent"`); op != reverse.Delete && n != 9 {
		t.Errorf("%d rows are known as accepted", n)
	}
}
