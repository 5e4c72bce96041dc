// Command package stages the upload of one function for one cloud.
//
//	go run ./scripts/package -fn clari -cloud gcp            # bin/package/gcp/clari.zip
//	go run ./scripts/package -fn clari -cloud aws -arch amd64 # bin/package/aws/clari-amd64.zip
//	go run ./scripts/package -fn all -cloud aws
//	go run ./scripts/package -fn salesforcesync -cloud gcp -syncs ../acme-syncs
//
// For Google it is sources: one package in the root that registers the function,
// what that package needs of ours, and everything else vendored, so that Google's
// builder downloads nothing. For AWS it is one static executable, bootstrap.
// The job files of salesforcesync lie beside it, in syncs.
//
// The same sources and the same Go give the same bytes, so a deployment changes
// only what changed. The command writes no configuration and uploads nothing;
// infra/ does.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/millrace-data/millrace/functions"
	"github.com/millrace-data/millrace/functions/load"
)

// sizeMax is what an upload may have: AWS takes 50 MB directly, and what is much
// smaller starts sooner.
const sizeMax = 40 << 20 // bytes

// order is what is to be packaged.
type order struct {
	root  string // of this module
	fn    string
	cloud string // gcp or aws
	arch  string // of aws: arm64 or amd64
	syncs string // of salesforcesync: folder of its job files; "" = none
	out   string // folder that the zip goes to
}

func main() {
	var o order
	flag.StringVar(&o.fn, "fn", "", "function, or all")
	flag.StringVar(&o.cloud, "cloud", "", "gcp or aws")
	flag.StringVar(&o.arch, "arch", "arm64", "of aws: arm64 or amd64")
	flag.StringVar(&o.syncs, "syncs", "", "of salesforcesync: folder of its job files")
	flag.StringVar(&o.out, "out", "", "folder of the zip; empty = bin/package/CLOUD")
	flag.Parse()
	if err := run(context.Background(), o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "package:", err)
		var u usage
		if errors.As(err, &u) {
			os.Exit(2)
		}
		os.Exit(1)
	}
}

// usage is an order that nobody can carry out.
type usage string

func (u usage) Error() string { return string(u) }

// names are the functions that can be deployed.
func names() []string {
	all := []string{load.Name}
	for _, f := range functions.All {
		all = append(all, f.Name)
	}
	for _, f := range functions.Followers {
		all = append(all, f.Name)
	}
	slices.Sort(all)
	return all
}

// run packages what is ordered and prints one line for each zip.
func run(ctx context.Context, o order, w io.Writer) (err error) {
	if err := o.check(); err != nil {
		return err
	}
	if o.root, err = root(ctx); err != nil {
		return err
	}
	if o.out == "" {
		o.out = filepath.Join(o.root, "bin", "package", o.cloud)
	}
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return err
	}
	todo := []string{o.fn}
	if o.fn == "all" {
		todo = names()
	}
	for _, fn := range todo {
		o.fn = fn
		if err := o.one(ctx, w); err != nil {
			return fmt.Errorf("%s for %s: %w", fn, o.cloud, err)
		}
	}
	return nil
}

func (o order) check() error {
	switch {
	case o.fn != "all" && !slices.Contains(names(), o.fn):
		return usage(fmt.Sprintf("there is no function %q: say make package FN=all or one of %s", o.fn, strings.Join(names(), ", ")))
	case o.cloud != "gcp" && o.cloud != "aws":
		return usage(fmt.Sprintf("there is no cloud %q: say CLOUD=gcp or CLOUD=aws", o.cloud))
	case o.arch != "arm64" && o.arch != "amd64":
		return usage(fmt.Sprintf("there is no architecture %q: say ARCH=arm64 or ARCH=amd64", o.arch))
	}
	return nil
}

// one packages one function.
func (o order) one(ctx context.Context, w io.Writer) error {
	tmp, err := os.MkdirTemp("", "millrace-package-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	stage, path := o.gcp, filepath.Join(o.out, o.fn+".zip")
	if o.cloud == "aws" {
		stage, path = o.aws, filepath.Join(o.out, o.fn+"-"+o.arch+".zip")
	}
	if err := stage(ctx, tmp); err != nil {
		return err
	}
	if o.fn == withJobs {
		if err := o.jobs(tmp); err != nil {
			return err
		}
	}
	return seal(tmp, path, sizeMax, w)
}

// seal zips a folder and says what came out. A zip that is too large is not left.
func seal(dir, path string, most int64, w io.Writer) error {
	size, digest, err := archive(dir, path)
	if err != nil {
		return err
	}
	if size > most {
		return errors.Join(fmt.Errorf("the zip has %.1f MB, %.0f MB are allowed: look for a dependency that is not needed (go list -deps)",
			mb(size), mb(most)), os.Remove(path))
	}
	_, err = fmt.Fprintf(w, "%s %.1f MB sha256:%s\n", path, mb(size), digest)
	return err
}

func mb(bytes int64) float64 { return float64(bytes) / (1 << 20) }

// root is the folder of this module's go.mod.
func root(ctx context.Context) (string, error) {
	out, err := tool(ctx, "", nil, "env", "GOMOD")
	if err != nil {
		return "", err
	}
	mod := strings.TrimSpace(string(out))
	if filepath.Base(mod) != "go.mod" {
		return "", usage("run it inside the checkout: there is no go.mod above this folder")
	}
	return filepath.Dir(mod), nil
}

// tool runs go and returns what it printed; what it complained about is the error.
func tool(ctx context.Context, dir string, env []string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	// What the person has set must not change the bytes.
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=")
	cmd.Env = append(cmd.Env, env...)
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go %s: %w\n%s", args[0], err, strings.TrimSpace(complaint.String()))
	}
	return out, nil
}
