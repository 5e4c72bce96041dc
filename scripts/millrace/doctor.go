package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/millrace-data/millrace/functions"
	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/platform/local"
)

// finding is one check of doctor.
type finding struct {
	Check   string `json:"check"`
	Verdict string `json:"verdict"` // ok, warn or fail
	Detail  string `json:"detail"`
}

const (
	fine  = "ok"
	warn  = "warn"
	fails = "fail"
)

func (a *app) doctorCommand() *cobra.Command {
	return &cobra.Command{Use: "doctor", Short: "Check folders, warehouse and configuration", Args: cobra.NoArgs,
		Long: `Check that the folders can be written to, that the warehouse opens and who holds
it, that there is room on the disk, and which functions are configured. No vendor
is asked anything. A function without any of its variables is a warning, one with
only some of them a failure. Exit code 2 if something fails.`,
		RunE: func(c *cobra.Command, _ []string) error { return a.doctor(c.Context()) }}
}

func (a *app) doctor(ctx context.Context) error {
	found := a.examine(ctx)
	failed := false
	for _, f := range found {
		failed = failed || f.Verdict == fails
	}
	if err := a.showFindings(found); err != nil {
		return err
	}
	if failed {
		return outcome(unwell)
	}
	return nil
}

// unwell is doctor's outcome: configuration that cannot work.
const unwell = "unwell"

func (a *app) showFindings(found []finding) error {
	if a.json {
		return a.print(map[string]any{"checks": found})
	}
	a.answered = true
	g := newGrid("CHECK", "VERDICT", "DETAIL")
	for _, f := range found {
		for i, line := range strings.Split(f.Detail, "; ") { // a variable each
			if i > 0 {
				f.Check, f.Verdict = "", ""
			}
			g.row(f.Check, f.Verdict, line)
		}
	}
	return g.write(a.out)
}

func (a *app) examine(ctx context.Context) []finding {
	p, err := local.Locate(a.env, a.home)
	if err != nil {
		return []finding{verdict("environment", "", err)}
	}
	found := []finding{
		verdict("home", p.Home, writable(p.Home)),
		verdict("stage", p.Stage, examineStage(ctx, p)),
		verdict("scratch", p.Scratch, writable(p.Scratch)),
		disk(p.Home),
		a.examineWarehouse(ctx, p),
		{"deadline", fine, p.Deadline.String() + " for one invocation"},
	}
	for _, f := range a.functions {
		err := local.Configured(f, a.env, time.Now().UTC())
		v := verdict("function "+f.Name, "configured", err)
		v.Verdict = a.severity(err, func(l env.Lookup) { _ = local.Configured(f, l, time.Now().UTC()) })
		found = append(found, v)
	}
	in := functions.Inputs(a.functions, a.followers)
	for _, f := range a.followers {
		err := a.ready(f)
		v := verdict("function "+f.Name, "configured", err)
		v.Verdict = a.severity(err, func(l env.Lookup) { _ = local.ConfiguredFollower(f, l, in) })
		found = append(found, v)
	}
	return found
}

func verdict(check, detail string, err error) finding {
	if err != nil {
		return finding{check, fails, strings.TrimPrefix(short(err.Error(), 2000), check+": ")}
	}
	return finding{check, fine, detail}
}

// severity is a warning for a function that nobody began to configure: nearly all
// installations use some functions only.
func (a *app) severity(err error, configure func(env.Lookup)) string {
	if err == nil {
		return fine
	}
	set := 0
	counting := func(key string) (string, bool) {
		v, ok := a.env(key)
		if ok && v != "" {
			set++
		}
		return v, ok
	}
	configure(counting)
	if set == 0 {
		return warn
	}
	return fails
}

// writable tries it: permissions alone do not tell.
func writable(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("%w: set MILLRACE_HOME or MILLRACE_STAGE to a folder you may write to", err)
	}
	f, err := os.CreateTemp(dir, ".doctor-*")
	if err != nil {
		return fmt.Errorf("%w: set MILLRACE_HOME or MILLRACE_STAGE to a folder you may write to", err)
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// examineStage tries a folder as all folders, and a bucket as the stage uses it.
func examineStage(ctx context.Context, p local.Places) error {
	if filepath.IsAbs(p.Stage) {
		return writable(p.Stage)
	}
	return local.CheckStage(ctx, p)
}

func (a *app) examineWarehouse(ctx context.Context, p local.Places) finding {
	w, err := local.OpenWarehouse(ctx, p)
	if err != nil {
		return verdict("warehouse", "", err)
	}
	defer w.Close()
	if p.Remote() {
		return finding{"warehouse", fine, p.Warehouse}
	}
	var length int64
	if info, err := os.Stat(p.Warehouse); err == nil {
		length = info.Size()
	}
	return finding{"warehouse", fine, fmt.Sprintf("%s, %s", p.Warehouse, size(length))}
}

// roomMin is what a large slice needs on its way through scratch, stage and the
// warehouse's spill folder.
const roomMin = 2 << 30 // bytes

func disk(dir string) finding {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return finding{"disk", warn, "free space is unknown: " + err.Error()}
	}
	free := int64(s.Bavail) * int64(s.Bsize)
	if free < roomMin {
		return finding{"disk", warn, size(free) + " free; a large slice may need " + size(roomMin)}
	}
	return finding{"disk", fine, size(free) + " free"}
}

func size(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
}
