package extract_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/extract/extracttest"
	"github.com/millrace-data/millrace/shared/stage"
)

// The crash tests run this test binary again as a child that kills itself with
// SIGKILL at a named point, then once more without one. What the child asked of
// the vendor and what it published is written to files, because its memory dies.
const (
	crashDir   = "MILLRACE_TEST_CRASH_DIR"
	crashPoint = "MILLRACE_TEST_CRASH_POINT" // NAME:N, the Nth pass of point NAME
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		if err := crashChild(context.Background(), dir, os.Getenv(crashPoint)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func crashVendor(note func(file, line string)) *counter {
	return &counter{pages: 4, perPage: 3, before: func(s extract.Slice, page int) error {
		note("requests", fmt.Sprintf("%s %d", s.ID, page))
		return nil
	}}
}

func crashChild(ctx context.Context, dir, point string) error {
	m, err := extracttest.Open(ctx, dir, env.Map(nil))
	if err != nil {
		return err
	}
	defer m.Warehouse.Close()
	note := func(file, line string) {
		f, err := os.OpenFile(filepath.Join(dir, file), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		if err != nil {
			panic(err)
		}
		fmt.Fprintln(f, line)
		f.Close()
	}
	name, nth, _ := strings.Cut(point, ":")
	left, _ := strconv.Atoi(nth)
	m.Extract.FlushEvery = 1 // a nanosecond: every page is flushed
	m.Extract.Point = func(p string) {
		if p != name {
			return
		}
		if left--; left == 0 {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // the signal takes a moment
		}
	}
	m.Load.Point = m.Extract.Point
	// A bucket delivers the arrival of what was not acknowledged again: here, of all.
	for o, err := range m.Stage.List(ctx, "") {
		if err != nil {
			return err
		}
		if stage.IsManifest(o.Key) {
			m.Arrivals = append(m.Arrivals, o.Key)
		}
	}
	f := crashVendor(note).function()
	if err := m.Drain(ctx, f); err != nil {
		return err
	}
	if err := m.Run(ctx, f, extract.Request{Now: now}); err != nil {
		return err
	}
	for _, l := range m.Loaded {
		note("loaded", l.Attributes["slice"])
	}
	return nil
}

func child(dir, point string) error {
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), crashDir+"="+dir, crashPoint+"="+point)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
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
	for _, point := range []string{"after_page", "after_part", "before_manifest", "after_manifest",
		"in_tx_before_data", "in_tx_before_fence", "after_commit_before_publish"} {
		// 2 slices of 4 pages. A kill costs at most the page that was read and not
		// flushed and the one that was being asked for; where a slice is loaded by
		// then, the lookback reads it once more.
		nths, most := []int{1, 2}, 2*4+2+4
		if point == "after_page" || point == "after_part" {
			nths, most = []int{1, 2, 3}, 2*4+2
		}
		for _, nth := range nths {
			t.Run(fmt.Sprintf("%s:%d", point, nth), func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				if err := child(dir, fmt.Sprintf("%s:%d", point, nth)); !killed(err) {
					t.Fatalf("the child was to die at %s and did not: %v", point, err)
				}
				if err := child(dir, ""); err != nil {
					t.Fatal(err)
				}
				survived(t, dir, most)
			})
		}
	}
}

// survived compares the tables with what the vendor has, and looks for leftovers.
func survived(t *testing.T, dir string, most int) {
	m, err := extracttest.Open(t.Context(), dir, env.Map(nil))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Warehouse.Close()
	c := crashVendor(nil)
	balanced(t, m, c, 2)
	if odd := m.Rows(t, `SELECT DISTINCT n._slice FROM counter.numbers n LEFT JOIN millrace.slices s ON s.slice = n._slice AND s.state = 'loaded' WHERE s.slice IS NULL`); len(odd) > 0 {
		t.Errorf("rows of slices that the ledger does not have as loaded: %v", odd)
	}
	if extra := m.Rows(t, `SELECT table_name FROM information_schema.tables WHERE table_schema = 'counter'`); len(extra) != 1 {
		t.Errorf("tables left behind: %v", extra)
	}
	if asked := lines(t, dir, "requests"); len(asked) > most {
		t.Errorf("%d requests for 8 pages and one kill, want at most %d: %v", len(asked), most, asked)
	}
	said := lines(t, dir, "loaded")
	for _, s := range m.Rows(t, `SELECT slice FROM millrace.slices`) {
		if !slices.Contains(said, s) {
			t.Errorf("slice %s is loaded and nobody was told", s)
		}
	}
}

func lines(t *testing.T, dir, file string) []string {
	b, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(strings.ReplaceAll(string(b), " ", "/"))
}
