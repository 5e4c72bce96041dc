package main

import (
	"archive/zip"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// tree writes files below a new folder; names that end in ! are executable.
func tree(t *testing.T, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range files {
		name, executable := strings.CutSuffix(name, "!")
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		mode := os.FileMode(0o600)
		if executable {
			mode = 0o700
		}
		if err := os.WriteFile(path, []byte("contents of "+name), mode); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// Neither the order in which files were written, nor their times, nor who may read
// them here, get into the zip.
func TestArchiveIsReproducible(t *testing.T) {
	a := tree(t, "go.mod", "shared/x.go", "bootstrap!", "a/b/c.go")
	b := tree(t, "a/b/c.go", "bootstrap!", "shared/x.go", "go.mod")
	if err := os.Chtimes(filepath.Join(b, "go.mod"), time.Now(), time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(b, "go.mod"), 0o644); err != nil {
		t.Fatal(err)
	}
	var zips [2][]byte
	for i, dir := range []string{a, b} {
		path := filepath.Join(t.TempDir(), "x.zip")
		size, _, err := archive(dir, path)
		if err != nil {
			t.Fatal(err)
		}
		if zips[i], err = os.ReadFile(path); err != nil || int64(len(zips[i])) != size {
			t.Fatalf("got %d bytes of %d, %v", len(zips[i]), size, err)
		}
	}
	if !bytes.Equal(zips[0], zips[1]) {
		t.Error("the same files gave two different zips")
	}
	z, err := zip.NewReader(bytes.NewReader(zips[0]), int64(len(zips[0])))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range z.File {
		names = append(names, f.Name)
		if executable := f.Mode()&0o111 != 0; executable != (f.Name == "bootstrap") {
			t.Errorf("%s: got mode %s", f.Name, f.Mode())
		}
	}
	if !slices.IsSorted(names) || len(names) != 4 {
		t.Errorf("got entries %q, want 4 in order", names)
	}
}

func TestSealRefusesLargeZips(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.zip")
	err := seal(tree(t, "a", "b"), path, 100, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "are allowed") {
		t.Errorf("got %v, want a refusal", err)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the zip that is too large was left behind: %v", err)
	}
	var said strings.Builder
	if err := seal(tree(t, "a"), path, sizeMax, &said); err != nil || !strings.Contains(said.String(), " MB sha256:") {
		t.Errorf("got %q, %v", said.String(), err)
	}
}

func TestOrdersThatNobodyCanCarryOut(t *testing.T) {
	for _, c := range []struct {
		o    order
		want string
	}{
		{order{fn: "", cloud: "gcp", arch: "arm64"}, "one of accountscore, adaptive"},
		{order{fn: "clippy", cloud: "gcp", arch: "arm64"}, `no function "clippy"`},
		{order{fn: "clari", cloud: "azure", arch: "arm64"}, "CLOUD=gcp or CLOUD=aws"},
		{order{fn: "load", cloud: "aws", arch: "mips"}, "ARCH=arm64"},
	} {
		err := run(t.Context(), c.o, io.Discard)
		if _, ok := err.(usage); !ok || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: got %v, want it to say %s", c.o, err, c.want)
		}
	}
}

// unpack writes a zip's files below dir.
func unpack(path, dir string) error {
	z, err := zip.OpenReader(path)
	if err != nil {
		return err
	}
	defer z.Close()
	return os.CopyFS(dir, z)
}
