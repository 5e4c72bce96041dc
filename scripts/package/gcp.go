package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	// The shim imports it: here it stays in go.mod and go.sum, which the shim is
	// packaged with.
	_ "github.com/GoogleCloudPlatform/functions-framework-go/funcframework"
)

// module is ours; the shim is its root package, so that it may import the rest.
const module = "github.com/millrace-data/millrace"

// gcp writes sources to dir: the shim, our packages that it needs, and vendor.
//
// What Google's builder does with them (buildpacks, cmd/go/functions_framework, read
// 2026-11): it takes the root package, which must import the functions package for
// its registration to count, writes a main package beside it that starts the
// framework, and builds that from vendor.
func (o order) gcp(ctx context.Context, dir string) error {
	source, err := o.shim(gcpShim)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "function.go"), source, 0o644); err != nil {
		return err
	}
	for _, name := range []string{"go.mod", "go.sum", "LICENSE"} {
		if err := copyFile(filepath.Join(o.root, name), filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	own, err := o.own(ctx)
	if err != nil {
		return err
	}
	for _, p := range own {
		if err := p.copy(o.root, dir); err != nil {
			return err
		}
	}
	_, err = tool(ctx, dir, nil, "mod", "vendor")
	return err
}

// pkg is a package as go list tells it.
type pkg struct {
	ImportPath string
	Dir        string
	GoFiles    []string
	EmbedFiles []string
	Module     *struct{ Path string }
}

// own lists our packages that the function is made of.
func (o order) own(ctx context.Context) (own []pkg, err error) {
	out, err := tool(ctx, o.root, []string{"CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64"},
		"list", "-deps", "-json=ImportPath,Dir,GoFiles,EmbedFiles,Module", "./shared/platform/gcp")
	if err != nil {
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(out))
	for {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return own, nil
		} else if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		if p.Module != nil && p.Module.Path == module {
			own = append(own, p)
		}
	}
}

// copy puts a package's files where they are in the module, without its tests.
func (p pkg) copy(root, dir string) error {
	from, err := filepath.Rel(root, p.Dir)
	if err != nil {
		return err
	}
	for _, name := range slices.Concat(p.GoFiles, p.EmbedFiles) {
		to := filepath.Join(dir, from, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := copyFile(filepath.Join(p.Dir, name), to); err != nil {
			return err
		}
	}
	return nil
}

func copyFile(from, to string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o644)
}
