// Command millrace runs functions on one machine: the same connectors, engines and
// events as in a cloud, on an embedded warehouse.
//
// Standard output carries results only, one JSON document with --json; progress
// and logs go to standard error. Exit codes are the outcomes of DESIGN.md §4.
// The command holds no logic of its own: running is shared/platform/local, and
// what status and rejects show are the control tables that anybody can query.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/millrace-data/millrace/functions"
	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/follow"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // who presses Ctrl-C twice does not want to wait
	a := &app{in: os.Stdin, out: os.Stdout, err: os.Stderr, live: terminal(os.Stderr), people: terminal(os.Stdout), env: env.OS(), functions: functions.All, followers: functions.Followers}
	code := a.main(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

func terminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// app is the command with everything it touches, so that tests can hold it.
type app struct {
	in        io.Reader
	out, err  io.Writer
	live      bool // err is a terminal
	people    bool // out is one, too
	env       env.Lookup
	functions []*extract.Function
	followers []*follow.Function // that tables start

	home          string
	json, verbose bool

	parsed   bool // the command line was understood
	answered bool // a result is on stdout
}

const help = `Millrace carries business data from vendors into a warehouse exactly once.

Everything lives in one folder: MILLRACE_HOME, or .millrace. Try "millrace demo".

Exit codes:
  0  ok        every slice that was asked for is committed and its totals balance
  1  failed    see the error; the same command tries again
  2  usage     the command line or the configuration cannot work; nothing was done
  3  paused    the vendor's quota is used up until a time that is shown
  4  refused   a gate kept a slice out; nothing of it was loaded
  5  partial   some slices or rows did not make it, the others did

With --json, stdout is one JSON document: the result, or where there is none
{"error": {"kind": "…", "message": "…"}}. The kinds are transient, limited, auth,
invalid, corrupt, refused, not found and stale.`

// main runs a command line and returns the exit code.
func (a *app) main(ctx context.Context, args []string) int {
	root := &cobra.Command{Use: "millrace", Short: "Millrace", Long: help, SilenceErrors: true, SilenceUsage: true,
		PersistentPreRunE: func(c *cobra.Command, _ []string) error {
			err := c.ValidateRequiredFlags() // cobra would do it after us
			a.parsed = err == nil
			return err
		}}
	root.PersistentFlags().BoolVar(&a.json, "json", false, "print one JSON document on stdout")
	root.PersistentFlags().StringVar(&a.home, "home", "", "folder of warehouse, stage and scratch (default MILLRACE_HOME, or .millrace)")
	root.PersistentFlags().BoolVarP(&a.verbose, "verbose", "v", false, "log every slice to stderr")
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(a.runCommand(), a.backfillCommand(), a.statusCommand(), a.queryCommand(), a.rejectsCommand(), a.resyncCommand(),
		a.invokeCommand(), a.syncCommand(), a.doctorCommand(), a.demoCommand())
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err != nil && !a.parsed {
		err = fault.New(fault.Invalid, "%w; see millrace --help", err)
	}
	a.complain(err)
	return exitCode(err)
}

// complain says on one line what went wrong.
func (a *app) complain(err error) {
	var o outcome
	if err == nil || errors.As(err, &o) {
		return // the result says it
	}
	message := strings.Join(strings.Fields(err.Error()), " ")
	fmt.Fprintln(a.err, "millrace:", message)
	if a.json && !a.answered {
		a.print(map[string]any{"error": map[string]string{"kind": fault.Of(err).Error(), "message": message}})
	}
}

// log is for the engines: warnings, or everything with --verbose.
func (a *app) log() *slog.Logger {
	level := slog.LevelError // what matters at warn is in the result
	if a.verbose {
		level = slog.LevelInfo
	}
	return slog.New(slog.NewTextHandler(a.err, &slog.HandlerOptions{Level: level}))
}
