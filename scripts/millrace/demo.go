package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/millrace-data/millrace/shared/platform/local"
	"github.com/millrace-data/millrace/shared/warehouse"
)

func (a *app) demoCommand() *cobra.Command {
	return &cobra.Command{Use: "demo", Short: "See it work: every vendor, kill -9, exactly once; no account needed", Args: cobra.NoArgs,
		Long: `Load all vendors, whose twins run on loopback, kill the process with SIGKILL in the
middle of a slice and in the middle of a commit, go on, and compare every table with
what the vendors hold. It uses the folder "demo" inside the home, and empties that
folder first.`,
		RunE: func(c *cobra.Command, _ []string) error { return a.demo(c.Context()) }}
}

// demo is a day in the life of the functions.
type demo struct {
	a       *app
	home    string
	program string
	twins   *twins
}

// demoNow is the clock of all runs, a little after the last day the twins hold.
var demoNow = time.Date(2025, 1, 31, 6, 0, 0, 0, time.UTC)

// act is a run that dies and the run that follows.
type act struct {
	function string
	crash    string // POINT:N
	where    string // the point in words
}

var acts = []act{
	{"thoughtindustries", "after_page:400", "between two pages of a slice"},
	{"ociusage", "in_tx_before_fence:4", "in the middle of a commit to the warehouse"},
	{"clari", "after_save:4", "right after the vendor queued an export"},
	{"zuorarevenue", "before_manifest:7", "before a view that was read is announced"},
	{"adaptive", "after_commit_before_publish:3", "after a commit, before anybody was told"},
}

func (a *app) demo(ctx context.Context) error {
	p, err := local.Locate(a.env, a.home)
	if err != nil {
		return err
	}
	d := demo{a: a, home: filepath.Join(p.Home, "demo")}
	if d.program, err = os.Executable(); err != nil {
		return fmt.Errorf("find our own program: %w", err)
	}
	d.say("Folder %s is emptied; the demo keeps to it.", d.home)
	if err := os.RemoveAll(d.home); err != nil {
		return fmt.Errorf("empty the demo's folder: %w", err)
	}
	if d.twins, err = openTwins(); err != nil {
		return err
	}
	defer d.twins.close()
	d.say("%d vendors on loopback hold %s rows: %s.", len(d.twins.vendors), figure(d.twins.rows()), d.twins.about())
	for _, act := range acts {
		if err := d.play(ctx, act); err != nil {
			return err
		}
	}
	return d.epilogue(ctx)
}

func (d demo) say(format string, args ...any) {
	fmt.Fprintf(d.a.err, format+"\n", args...)
}

// play runs a function, which dies, and runs it again.
func (d demo) play(ctx context.Context, act act) error {
	d.say("\n$ millrace run %s", act.function)
	err := d.child(ctx, crashVariable+"="+act.crash, "run", act.function)
	if killed(err) {
		if err := d.obituary(ctx, act); err != nil {
			return err
		}
	} else if err != nil {
		return err
	} else {
		return fmt.Errorf("demo: %s was to die at %s and did not", act.function, act.crash)
	}
	d.say("\n$ millrace run %s      # the same command again", act.function)
	return d.child(ctx, "", "run", act.function)
}

// obituary says what the dead process left: the ledger, and no half slice.
func (d demo) obituary(ctx context.Context, act act) error {
	w, err := local.OpenWarehouse(ctx, local.Places{Warehouse: d.warehouse()})
	if err != nil {
		return err
	}
	defer w.Close()
	ledger, err := w.Slices(ctx, act.function, "")
	if err != nil {
		return err
	}
	n, rows := map[string]int{}, int64(0)
	for _, s := range ledger {
		n[s.State]++
		if s.State == warehouse.Loaded {
			rows += s.RowsLoaded
		}
	}
	d.say("The process killed itself with SIGKILL %s (%s).", act.where, act.crash)
	d.say("The ledger it left: %s; %s rows committed.", states(n), figure(rows))
	return nil
}

func (d demo) warehouse() string { return filepath.Join(d.home, "warehouse.duckdb") }

// clocked are the commands of sync that take --now.
var clocked = []string{"plan", "approve", "apply", "rollback"}

// child runs this program in the demo's folder. Its results go to our stderr: our
// stdout has the demo's own.
func (d demo) child(ctx context.Context, extra string, args ...string) error {
	if args[0] == "run" || args[0] == "sync" && slices.Contains(clocked, args[1]) {
		args = append(args, "--now", demoNow.Format(time.RFC3339))
	}
	cmd := d.command(ctx, extra, args...)
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("demo: millrace %s: %w", strings.Join(args, " "), err)
	}
	return nil
}

func (d demo) command(ctx context.Context, extra string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, d.program, append([]string{"--home", d.home}, args...)...)
	cmd.Env = append(plain(os.Environ()), d.twins.env...)
	if args[0] == "sync" { // the runs of connectors leave Salesforce alone: the demo plans by hand
		for name, value := range d.twins.crm.env {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	if extra != "" {
		cmd.Env = append(cmd.Env, extra)
	}
	cmd.Stdout, cmd.Stderr = d.a.err, d.a.err
	return cmd
}

// ours are the prefixes of variables that functions and the mill read.
var ours = []string{"MILLRACE_", "OCI_", "THOUGHT_INDUSTRIES_", "CLARI_", "ZUORA_REVENUE_", "ADAPTIVE_", "SALESFORCE_"}

// plain leaves out what would lead the demo away from its own folder and twins.
func plain(environ []string) (out []string) {
	for _, pair := range environ {
		if !slices.ContainsFunc(ours, func(prefix string) bool { return strings.HasPrefix(pair, prefix) }) {
			out = append(out, pair)
		}
	}
	return out
}

// exited is the exit code of a program, 0 where it is none.
func exited(err error) int {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return 0
	}
	return exit.ExitCode()
}

func killed(err error) bool {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return false
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

var demoQueries = []string{
	`select product_service as service, count(*) as rows, cast(sum(cost_my_cost) as decimal(18,2)) as cost, cost_currency_code as currency from oci.cost_report group by all order by cost desc limit 5`,
	`select cast(timestamp as date) as day, count(*) as logins, count(distinct "user") as people from thought_industries.logins group by 1 order by 1 desc limit 5`,
}

// epilogue shows the state and some data, and compares.
func (d demo) epilogue(ctx context.Context) error {
	d.say("\n$ millrace status")
	if err := d.child(ctx, "", "status", "--now", demoNow.Format(time.RFC3339)); err != nil {
		return err
	}
	for _, q := range demoQueries {
		d.say("\n$ millrace query '%s'", q)
		if err := d.child(ctx, "", "query", "--grid", q); err != nil {
			return err
		}
	}
	v, err := d.compare(ctx)
	if err != nil {
		return err
	}
	if err := d.wayBack(ctx); err != nil {
		return err
	}
	d.say("\nAnd the tables, as they were loaded:")
	if err := d.a.verdict(v); err != nil {
		return err
	}
	d.say("\nThe warehouse is %s. Try next:", v.Warehouse)
	d.say("  millrace --home %s query \"select * from millrace.slices limit 5\"", d.home)
	d.say("  millrace --home %s status", d.home)
	d.say("  millrace doctor        # what your own vendors need")
	if !v.Equal {
		return outcome(local.Failed)
	}
	return nil
}
