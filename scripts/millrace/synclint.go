package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/millrace-data/millrace/functions"
	"github.com/millrace-data/millrace/functions/salesforcesync/salesforce"
	"github.com/millrace-data/millrace/shared/platform/local"
	"github.com/millrace-data/millrace/shared/reverse"
)

func (a *app) syncLintCommand() *cobra.Command {
	var live bool
	c := &cobra.Command{Use: "lint DIR", Short: "Check all job files of a folder, without running anything", Args: cobra.ExactArgs(1),
		Long: `Check the job files of a folder and of those below it, or one file: keys that are not
known, no owner, no guard, two sources for one field, a field that two jobs write, data
of a class that the job does not allow. It reads the files and nothing else.

With --live it also asks Salesforce whether the objects and fields are there and the
running user may write them; nothing is written.

Exit codes: 0 there are no errors, warnings at most · 2 the folder cannot be read or
has no job file · 4 there are errors.`,
		RunE: func(c *cobra.Command, args []string) error { return a.syncLint(c.Context(), args[0], live) }}
	c.Flags().BoolVar(&live, "live", false, "hold the jobs against Salesforce too")
	return c
}

// lintReport is what sync lint prints with --json.
type lintReport struct {
	Outcome  string            `json:"outcome"`
	Errors   int               `json:"errors"`
	Warnings int               `json:"warnings"`
	Findings []reverse.Finding `json:"findings"`
}

func (a *app) syncLint(ctx context.Context, dir string, live bool) error {
	found, err := reverse.Lint(dir, functions.Inputs(a.functions, functions.Followers))
	if err != nil {
		return err
	}
	if live {
		client, err := salesforce.Open(a.env, salesforce.Options{})
		if err != nil {
			return err
		}
		defer client.Close()
		more, err := reverse.LintLive(ctx, client, dir)
		if err != nil {
			return err
		}
		found = append(found, more...)
	}
	r := lintReport{Outcome: local.OK, Findings: found}
	if r.Findings == nil {
		r.Findings = []reverse.Finding{}
	}
	for _, f := range found {
		if f.Severity == reverse.SeverityError {
			r.Errors, r.Outcome = r.Errors+1, local.Refused
		} else {
			r.Warnings++
		}
	}
	if err := a.showLint(r); err != nil {
		return err
	}
	return ended(r.Outcome)
}

func (a *app) showLint(r lintReport) error {
	if a.json {
		return a.print(r)
	}
	if len(r.Findings) > 0 {
		g := newGrid("WHERE", "", "RULE", "WHAT")
		for _, f := range r.Findings {
			where := f.File
			if f.Line > 0 {
				where = fmt.Sprintf("%s:%d", f.File, f.Line)
			}
			what := f.Message
			if f.Fix != "" {
				what += " → " + f.Fix
			}
			g.row(where, string(f.Severity), f.Rule, what)
		}
		if err := g.write(a.out); err != nil {
			return err
		}
	}
	a.say("%s, %s", counted(r.Errors, "error"), counted(r.Warnings, "warning"))
	return nil
}

func (a *app) syncSchemaCommand() *cobra.Command {
	return &cobra.Command{Use: "schema", Short: "Print the JSON Schema of job files, for editors", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			a.answered = true
			_, err := fmt.Fprint(a.out, reverse.Schema())
			return err
		}}
}
