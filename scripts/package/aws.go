package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
)

// aws builds bootstrap in dir: what the runtime provided.al2023 starts.
func (o order) aws(ctx context.Context, dir string) error {
	source, err := o.shim(awsShim)
	if err != nil {
		return err
	}
	// The shim is laid over the checkout, not written into it: it belongs to the
	// module, and so to its versions, and nothing is left behind.
	work, err := os.MkdirTemp("", "millrace-shim-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	main := filepath.Join(work, "main.go")
	if err := os.WriteFile(main, source, 0o644); err != nil {
		return err
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {filepath.Join(o.root, shimDir, "main.go"): main}})
	if err != nil {
		return err
	}
	plan := filepath.Join(work, "overlay.json")
	if err := os.WriteFile(plan, overlay, 0o644); err != nil {
		return err
	}
	_, err = tool(ctx, o.root, []string{"CGO_ENABLED=0", "GOOS=linux", "GOARCH=" + o.arch, "GOAMD64=v1", "GOARM64=v8.0"},
		"build", "-overlay", plan, "-tags", "lambda.norpc", "-trimpath", "-buildvcs=false",
		"-ldflags", "-s -w -buildid=", "-o", filepath.Join(dir, "bootstrap"), "./"+shimDir)
	return err
}

// shimDir is where the shim seems to lie; there is no such folder.
const shimDir = "scripts/package/shim"
