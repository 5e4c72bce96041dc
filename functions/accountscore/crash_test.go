package accountscore_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/extract/extracttest"
	"github.com/millrace-data/millrace/shared/follow"
)

// The crash test runs this test binary again as a child, which kills itself with
// SIGKILL at a point of the model, over the warehouse that the parent loaded.
const (
	crashDir   = "MILLRACE_TEST_CRASH_DIR"
	crashPoint = "MILLRACE_TEST_CRASH_POINT"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		fmt.Fprintln(os.Stderr, crashChild(context.Background(), dir, os.Getenv(crashPoint)))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func crashChild(ctx context.Context, dir, at string) error {
	m, err := extracttest.Open(ctx, dir, env.Map(nil))
	if err != nil {
		return err
	}
	_, err = start(ctx, m, func(name string) {
		if name == at {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // the signal takes a moment
		}
	}, follow.Start{Table: "thought_industries.users"})
	return errors.Join(err, m.Warehouse.Close(), errors.New("the point was not met"))
}

func TestKilledAtEveryPoint(t *testing.T) {
	for _, c := range []struct {
		point  string
		slices int // in the ledger after the kill
	}{{"in_tx_before_data", 0}, {"in_tx_before_fence", 0}, {"after_commit_before_publish", 1}} {
		t.Run(c.point, func(t *testing.T) {
			h := newTown(t)
			h.loadAll()
			if err := h.Warehouse.Close(); err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), os.Args[0])
			cmd.Env = append(os.Environ(), crashDir+"="+h.dir, crashPoint+"="+c.point)
			said, err := cmd.CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
				t.Fatalf("the child was not killed: %v, %s", err, said)
			}
			m, err := extracttest.Open(t.Context(), h.dir, env.Map(nil))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { m.Warehouse.Close() })
			h.Mill = m
			const ledger = `SELECT state, fence, rows_loaded FROM millrace.slices WHERE function = 'accountscore'`
			if got := m.Rows(t, ledger); len(got) != c.slices {
				t.Errorf("the ledger after the kill: %v, want %d slices", got, c.slices)
			}
			h.start(follow.Start{Table: "thought_industries.users"}) // nobody acknowledged the message, so it comes again
			h.golden()
			if got := m.Rows(t, ledger); !slices.Equal(got, []string{fmt.Sprintf("loaded|1|%d", len(h.scores()))}) {
				t.Errorf("the ledger: %v, want one slice, loaded", got)
			}
			if len(m.Loaded) != 1 {
				t.Errorf("%d messages of the second try, want 1", len(m.Loaded))
			}
			if left, _ := filepath.Glob(filepath.Join(h.dir, "scratch", "*")); len(left) > 0 {
				t.Errorf("scratch is not empty: %v", left)
			}
		})
	}
}
