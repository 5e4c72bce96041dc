package platform_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/millrace-data/millrace/shared/platform"
)

// What was packaged with a function is found where each cloud unpacks it, unless the
// deployment says otherwise.
func TestBeside(t *testing.T) {
	for _, below := range []string{"", "serverless_function_source_code"} {
		dir := t.TempDir()
		t.Chdir(dir)
		t.Setenv("X_SYNCS", "")
		if slices.ContainsFunc(platform.Beside("X_SYNCS", "syncs"), func(pair string) bool { return pair[:min(len(pair), 8)] == "X_SYNCS=" }) {
			t.Error("a folder that is not there was found")
		}
		want := filepath.Join(dir, below, "syncs")
		if err := os.MkdirAll(want, 0o755); err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(platform.Beside("X_SYNCS", "syncs"), "X_SYNCS="+want) {
			t.Errorf("%s was not found", want)
		}
		task := t.TempDir()
		if err := os.Mkdir(filepath.Join(task, "syncs"), 0o755); err != nil {
			t.Fatal(err)
		}
		t.Setenv("LAMBDA_TASK_ROOT", task)
		if !slices.Contains(platform.Beside("X_SYNCS", "syncs"), "X_SYNCS="+filepath.Join(task, "syncs")) {
			t.Error("the task's folder was not found")
		}
		t.Setenv("X_SYNCS", "elsewhere")
		if !slices.Contains(platform.Beside("X_SYNCS", "syncs"), "X_SYNCS=elsewhere") {
			t.Error("what is set does not hold")
		}
		t.Setenv("LAMBDA_TASK_ROOT", "")
	}
}
