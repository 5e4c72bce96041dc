package platform

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Beside is the environment of the process; where a variable is not set, it names a
// folder that was packaged with the function, if there is one.
func Beside(variable, folder string) []string {
	environ := os.Environ()
	if os.Getenv(variable) != "" {
		return environ
	}
	environ = slices.DeleteFunc(environ, func(pair string) bool { return strings.HasPrefix(pair, variable+"=") })
	for _, dir := range besides() {
		path := filepath.Join(dir, folder)
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			return append(environ, variable+"="+path)
		}
	}
	return environ
}

// besides are the folders that an upload may be unpacked to. Google's builder for Go
// leaves the sources in a folder of their own below that in which the program runs
// (Cloud Run functions, file system; read 2026-11).
func besides() []string {
	out := []string{os.Getenv("LAMBDA_TASK_ROOT")}
	if program, err := os.Executable(); err == nil {
		out = append(out, filepath.Dir(program))
	}
	if here, err := os.Getwd(); err == nil {
		out = append(out, here, filepath.Join(here, "serverless_function_source_code"))
	}
	return slices.DeleteFunc(out, func(dir string) bool { return dir == "" })
}
