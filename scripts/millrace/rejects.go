package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/gate"
	"github.com/millrace-data/millrace/shared/load"
	"github.com/millrace-data/millrace/shared/platform/local"
	"github.com/millrace-data/millrace/shared/record"
	"github.com/millrace-data/millrace/shared/rest"
	"github.com/millrace-data/millrace/shared/warehouse"
)

// pick says which rejects a command is about.
type pick struct {
	function, table, slice, rule, state string
	limit                               int
}

func (a *app) rejectsCommand() *cobra.Command {
	c := &cobra.Command{Use: "rejects", Short: "Rows that were not loaded, with the reason", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	c.AddCommand(a.rejectsListCommand(), a.rejectsReplayCommand(), a.rejectsDiscardCommand())
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
the reason beside the first one; they are never deleted. A mark that they held moves
on in the same transaction.`,
		RunE: func(c *cobra.Command, args []string) error { return a.discardRejects(c.Context(), p.of(args), reason) }}
	p.bind(c)
	c.Flags().StringVar(&reason, "reason", "", "why they may be closed (required)")
	_ = c.MarkFlagRequired("reason")
	return c
}

func (p *pick) bind(c *cobra.Command) {
	c.Flags().StringVar(&p.table, "table", "", "only this table")
	c.Flags().StringVar(&p.slice, "slice", "", "only this slice")
	c.Flags().StringVar(&p.rule, "rule", "", "only this rule")
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
	for _, c := range []struct{ column, value string }{{"function", p.function}, {"table_name", p.table}, {"slice", p.slice}, {"rule", p.rule}, {"state", state}} {
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
	w, place, err := a.warehouse(ctx)
	if err != nil {
		return err
	}
	defer w.Close()
	if err := embedded(place); err != nil {
		return err
	}
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
	tables, err := a.tables(p, false)
	if err != nil {
		return err
	}
	var n int64
	for _, t := range tables {
		closed, err := w.DiscardRejects(ctx, warehouse.Discarded{Function: p.function, Table: t.Name, Slice: p.slice, Rule: p.rule,
			Reason: reason, Pass: t.Pass, Now: time.Now().UTC()})
		if n += closed; err != nil {
			return err
		}
	}
	if a.json {
		return a.print(map[string]any{"function": p.function, "discarded": n})
	}
	a.say("%s rejects of %s discarded", figure(n), p.function)
	return nil
}

func (a *app) rejectsReplayCommand() *cobra.Command {
	var p pick
	c := &cobra.Command{Use: "replay FUNCTION", Short: "Try open rejects again, after a rule or a schema was mended", Args: cobra.ExactArgs(1),
		Long: `Encode open rejects of committed slices again, with the table and the rules as they
are declared now, and load those that pass beside their slice's rows. Each slice is
one transaction with its totals and the mark. A row that a later slice has overtaken
does not overwrite it. The others stay open, with the new reason.

Exit code 0: all were replayed, or there were none; 5: some are left.`,
		RunE: func(c *cobra.Command, args []string) error { return a.replayRejects(c.Context(), p.of(args)) }}
	p.bind(c)
	return c
}

// tables are those of a function that a command is about; chosen asks the
// function's configuration how they are filled.
func (a *app) tables(p pick, chosen bool) ([]extract.Table, error) {
	f, err := a.function(p.function)
	if err != nil {
		return nil, err
	}
	all := f.Tables
	if chosen {
		src, err := f.Open(a.env, extract.Invocation{Meter: &rest.Meter{}, Now: time.Now().UTC()})
		if err != nil {
			return nil, err
		}
		all = f.Chosen(src)
		if c, ok := src.(io.Closer); ok {
			defer c.Close()
		}
	}
	if p.table == "" {
		return all, nil
	}
	for _, t := range all {
		if t.Name == p.table || t.FullName() == p.table {
			return []extract.Table{t}, nil
		}
	}
	return nil, fault.New(fault.Invalid, "function %s has no table %q", f.Name, p.table)
}

// replayReport is what `millrace rejects replay --json` prints.
type replayReport struct {
	Function string        `json:"function"`
	Outcome  string        `json:"outcome"` // ok, or partial where some are left
	Tables   []replayTable `json:"tables"`  // that had open rejects
}

type replayTable struct {
	Table    string     `json:"table"`
	Replayed int64      `json:"replayed"`
	Left     int64      `json:"left"`
	Mark     *time.Time `json:"mark"`
	Why      []string   `json:"why,omitempty"` // slices that could not be tried
}

func (a *app) replayRejects(ctx context.Context, p pick) error {
	tables, err := a.tables(p, true)
	if err != nil {
		return err
	}
	w, _, err := a.warehouse(ctx)
	if err != nil {
		return err
	}
	defer w.Close()
	out := replayReport{Function: p.function, Outcome: local.OK, Tables: []replayTable{}}
	for _, t := range tables {
		r, err := load.ReplayRejects(ctx, w, load.Replay{Function: p.function, Ledger: t.Name, Slice: p.slice, Rule: p.rule, Now: time.Now().UTC(),
			Declared: func(slice string) (record.Table, []gate.Rule) { return t.Declared(strings.HasPrefix(slice, "tail-")) }})
		if err != nil {
			return err
		}
		if r.Left > 0 {
			out.Outcome = local.Partial
		}
		if r.Left+r.Replayed > 0 {
			row := replayTable{Table: t.Name, Replayed: r.Replayed, Left: r.Left, Why: r.Why}
			if !r.Mark.IsZero() {
				row.Mark = &r.Mark
			}
			out.Tables = append(out.Tables, row)
		}
	}
	if err := a.showReplay(out); err != nil {
		return err
	}
	return ended(out.Outcome)
}

func (a *app) showReplay(r replayReport) error {
	if a.json {
		return a.print(r)
	}
	if len(r.Tables) == 0 {
		a.say("none")
		return nil
	}
	g := newGrid("TABLE", "REPLAYED#", "LEFT#", "MARK")
	for _, t := range r.Tables {
		g.row(t.Table, figure(t.Replayed), figure(t.Left), instant(t.Mark))
	}
	if err := g.write(a.out); err != nil {
		return err
	}
	for _, t := range r.Tables {
		for _, why := range t.Why {
			a.say("  %s: %s", t.Table, why)
		}
	}
	if r.Outcome != local.OK {
		a.say("why the others stay: millrace rejects list %s", r.Function)
	}
	return nil
}
