package duckdb_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/record"
	"github.com/millrace-data/millrace/shared/warehouse"
	"github.com/millrace-data/millrace/shared/warehouse/duckdb"
	"github.com/millrace-data/millrace/shared/warehouse/warehousetest"
)

func TestMain(m *testing.M) { warehousetest.Main(m, 30) }

func TestConformance(t *testing.T) {
	warehousetest.Run(t, func(t *testing.T) *warehouse.Warehouse {
		w := at(t, filepath.Join(t.TempDir(), "w.duckdb"))
		t.Cleanup(func() { w.Close() })
		return w
	})
}

func at(t *testing.T, path string) *warehouse.Warehouse {
	t.Helper()
	w, err := duckdb.Open(t.Context(), duckdb.Options{Path: path, Memory: "512MiB", Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// A process's time zone must not show in what it stores.
func TestValuesInOtherZones(t *testing.T) {
	for _, zone := range []string{"Asia/Kolkata", "America/St_Johns"} {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "TestConformance/(values|marks)")
		cmd.Env = append(os.Environ(), "TZ="+zone)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("TZ=%s: %v\n%s", zone, err, out)
		}
	}
}

func TestReopenKeepsAllButLeases(t *testing.T) {
	path := filepath.Join(t.TempDir(), "folder", "w.duckdb")
	w := at(t, path)
	table := record.Table{Schema: "s", Name: "t", Mode: record.Merge, Key: []string{"id"}, Columns: []record.Column{{Name: "id", Type: record.Text}, {Name: "doc", Type: record.Document}, {Name: "n", Type: record.Number, Precision: 38, Scale: 9}}}
	if _, err := w.Ensure(t.Context(), table); err != nil {
		t.Fatal(err)
	}
	if err := w.Plan(t.Context(), []warehouse.Slice{{Function: "f", Table: "s.t", ID: "a", Purpose: "live"}}); err != nil {
		t.Fatal(err)
	}
	old, err := w.Claim(t.Context(), "f", "s.t", "a", "gone", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	w = at(t, path)
	defer w.Close()
	if added, err := w.Ensure(t.Context(), table); err != nil || added != nil {
		t.Errorf("table after reopening: %v columns added, %v", added, err)
	}
	got, err := w.Claim(t.Context(), "f", "s.t", "a", "next", time.Hour)
	if err != nil || got.Fence != old.Fence+1 {
		t.Errorf("claim after reopening: fence %d, %v; want %d", got.Fence, err, old.Fence+1)
	}
}

// TestHold is the other process of TestLocked: it holds a warehouse until its
// stdin ends.
func TestHold(t *testing.T) {
	path := os.Getenv("MILLRACE_TEST_HOLD")
	if path == "" {
		t.Skip("only as a child of TestLocked")
	}
	defer at(t, path).Close()
	fmt.Println("ready")
	io.Copy(io.Discard, os.Stdin)
}

func TestLocked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "w.duckdb")
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestHold$")
	cmd.Env = append(os.Environ(), "MILLRACE_TEST_HOLD="+path)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("the child says %q, %v", line, err)
	}
	_, err = duckdb.Open(t.Context(), duckdb.Options{Path: path})
	if !errors.Is(err, fault.Invalid) {
		t.Fatalf("got %v, want fault.Invalid", err)
	}
	for _, want := range []string{path, fmt.Sprintf("PID %d", cmd.Process.Pid), "MILLRACE_HOME"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not say %q", err, want)
		}
	}
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	w, err := duckdb.Open(t.Context(), duckdb.Options{Path: path})
	if err != nil {
		t.Fatalf("after the child ended: %v", err)
	}
	w.Close()
}

func TestReplaceKeepsComments(t *testing.T) {
	w := at(t, filepath.Join(t.TempDir(), "w.duckdb"))
	defer w.Close()
	table := record.Table{Schema: "s", Name: "t", Doc: "It's a table.", Mode: record.ReplaceAll, Open: true, Columns: []record.Column{{Name: "id", Type: record.Text, Doc: "The vendor's id."}}}
	if _, err := w.Ensure(t.Context(), table); err != nil {
		t.Fatal(err)
	}
	for fence := range int64(2) {
		st, err := w.Stage(t.Context(), warehouse.Load{Table: table, Now: time.Now(), Slice: warehouse.Slice{Function: "f", Table: "s.t", ID: fmt.Sprint(fence), Fence: fence}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := st.Commit(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		st.Close()
	}
	var doc, id string
	if err := w.DB().QueryRowContext(t.Context(), `SELECT t.comment, c.comment FROM duckdb_tables() t JOIN duckdb_columns() c USING (schema_name, table_name) WHERE schema_name = 's' AND column_name = 'id'`).Scan(&doc, &id); err != nil {
		t.Fatal(err)
	}
	if doc != "It's a table." || id != "The vendor's id." {
		t.Errorf("comments are %q and %q", doc, id)
	}
}

// A file of an older Millrace gets the columns that its control tables lack.
func TestOldFileIsUpgraded(t *testing.T) {
	o := duckdb.Options{Path: filepath.Join(t.TempDir(), "w.duckdb")}
	for range 2 {
		w, err := duckdb.Open(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.DB().ExecContext(t.Context(), `ALTER TABLE "millrace"."checks" DROP COLUMN "value"`); err != nil {
			t.Errorf("the column is not there: %v", err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
