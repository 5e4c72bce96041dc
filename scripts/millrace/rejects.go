package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/millrace-data/millrace/shared/fault"
)

// pick says which rejects a command is about.
type pick struct {
	function, table, slice, state string
	limit                         int
}

func (a *app) rejectsCommand() *cobra.Command {
	c := &cobra.Command{Use: "rejects", Short: "Rows that were not loaded, with the reason", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	c.AddCommand(a.rejectsListCommand(), a.rejectsDiscardCommand())
	return c
}

func (a *app) rejectsListCommand() *cobra.Command {
	var p pick
	c := &cobra.Command{Use: "list [FUNCTION]", Short: "List rejected rows", Args: cobra.MaximumNArgs(1),
		Long: `List rejected rows, newest first. The rows themselves may hold personal data and
are shown only with --json.`,
		RunE: func(c *cobra.Command, args []string) error { return a.listRejects(c.Context(), p.of(args)) }}
	p.bind(c)
	c.Flags().StringVar(&p.state, "state", "open", "open, replayed, discarded or all")
	c.Flags().IntVar(&p.limit, "limit", 100, "at most so many")
	return c
}

func (a *app) rejectsDiscardCommand() *cobra.Command {
	var p pick
	var reason string
	c := &cobra.Command{Use: "discard FUNCTION --reason TEXT", Short: "Close open rejects that nobody will need", Args: cobra.ExactArgs(1),
		Long: `Close open rejects. The rows stay in millrace.rejects, in state discarded and with
the reason beside the first one; they are never deleted.`,
		RunE: func(c *cobra.Command, args []string) error { return a.discardRejects(c.Context(), p.of(args), reason) }}
	p.bind(c)
	c.Flags().StringVar(&reason, "reason", "", "why they may be closed (required)")
	_ = c.MarkFlagRequired("reason")
	return c
}

func (p *pick) bind(c *cobra.Command) {
	c.Flags().StringVar(&p.table, "table", "", "only this table")
	c.Flags().StringVar(&p.slice, "slice", "", "only this slice")
}

func (p pick) of(args []string) pick {
	if len(args) == 1 {
		p.function = args[0]
	}
	return p
}

// where is the condition, with its values as SQL literals: a query is described
// before it runs, and that takes no arguments.
func (p pick) where() string {
	state := p.state
	if state == "all" {
		state = ""
	}
	conds := []string{"true"}
	for _, c := range []struct{ column, value string }{{"function", p.function}, {"table_name", p.table}, {"slice", p.slice}, {"state", state}} {
		if c.value != "" {
			conds = append(conds, fmt.Sprintf(`"%s" = '%s'`, c.column, strings.ReplaceAll(c.value, "'", "''")))
		}
	}
	return strings.Join(conds, " AND ")
}

func (a *app) listRejects(ctx context.Context, p pick) error {
	if err := a.known(p.function); err != nil {
		return err
	}
	if p.limit < 1 {
		return fault.New(fault.Invalid, "--limit %d: at least 1", p.limit)
	}
	w, _, err := a.warehouse(ctx)
	if err != nil {
		return err
	}
	defer w.Close()
	cols := `"function", "table_name", "slice", "rule", "reason", "state", "attempts", "first_seen", "last_seen"`
	if a.json {
		cols = `"reject", "row", ` + cols
	}
	r, err := read(ctx, w.DB(), fmt.Sprintf(`SELECT %s FROM "millrace"."rejects" WHERE %s ORDER BY "last_seen" DESC, "table_name", "slice", "reject" LIMIT %d`, cols, p.where(), p.limit))
	if err != nil {
		return err
	}
	defer r.close()
	a.answered = true
	if a.json {
		return r.writeJSON(a.out)
	}
	n, err := r.writeGrid(a.out)
	if err == nil && n == 0 {
		a.say("none")
	}
	return err
}

func (a *app) discardRejects(ctx context.Context, p pick, reason string) error {
	if err := a.known(p.function); err != nil {
		return err
	}
	if strings.TrimSpace(reason) == "" {
		return fault.New(fault.Invalid, "--reason is empty: say why the rows may be closed")
	}
	w, _, err := a.warehouse(ctx)
	if err != nil {
		return err
	}
	defer w.Close()
	p.state = "open"
	res, err := w.DB().ExecContext(ctx, `UPDATE "millrace"."rejects" SET "state" = 'discarded', "reason" = "reason" || ?, "last_seen" = ? WHERE `+p.where(),
		" (discarded: "+reason+")", time.Now().UTC())
	if err != nil {
		return fmt.Errorf("discard rejects: %w", err)
	}
	n, err := res.RowsAffected()
	if err != nil {
		return err
	}
	if a.json {
		return a.print(map[string]any{"function": p.function, "discarded": n})
	}
	a.say("%s rejects of %s discarded", figure(n), p.function)
	return nil
}
