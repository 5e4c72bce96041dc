package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/platform/local"
	"github.com/millrace-data/millrace/shared/warehouse"
)

func (a *app) statusCommand() *cobra.Command {
	var now string
	c := &cobra.Command{Use: "status [FUNCTION]", Short: "Show how far every table is, what is missing, and what to do", Args: cobra.MaximumNArgs(1),
		Long: `Show for every table its mark, its lag behind the clock, the time that is covered
and the gaps in it, the slices by state, and open rejects. What is wrong comes with
the next command. It reads the control tables of the warehouse and nothing else.`,
		RunE: func(c *cobra.Command, args []string) error {
			at, err := moment("--now", now)
			if err != nil {
				return err
			}
			if at.IsZero() {
				at = time.Now().UTC()
			}
			return a.status(c.Context(), args, at)
		}}
	c.Flags().StringVar(&now, "now", "", "the clock that lag is measured by, RFC 3339 (default: the present)")
	return c
}

// warehouse opens only the warehouse, for commands that read or mend state.
func (a *app) warehouse(ctx context.Context) (*warehouse.Warehouse, local.Places, error) {
	p, err := local.Locate(a.env, a.home)
	if err != nil {
		return nil, p, err
	}
	w, err := local.OpenWarehouse(ctx, p)
	return w, p, err
}

func (a *app) status(ctx context.Context, args []string, now time.Time) error {
	if len(args) == 1 {
		if err := a.known(args[0]); err != nil {
			return err
		}
	}
	w, p, err := a.warehouse(ctx)
	if err != nil {
		return err
	}
	defer w.Close()
	s := statusReport{Warehouse: p.Warehouse, At: now, Functions: []functionStatus{}}
	for _, f := range a.filling() {
		if len(args) == 1 && args[0] != f.Name {
			continue
		}
		fs, err := readStatus(ctx, w, f, now)
		if err != nil {
			return fmt.Errorf("status of %s: %w", f.Name, err)
		}
		s.Functions = append(s.Functions, fs)
	}
	if a.json {
		return a.print(s)
	}
	return a.showStatus(s)
}

// filling are the functions that fill tables, those that follow others too.
func (a *app) filling() []*extract.Function {
	out := slices.Clone(a.functions)
	for _, f := range a.followers {
		as := &extract.Function{Name: f.Name}
		for _, t := range f.Tables {
			as.Tables = append(as.Tables, extract.Table{Table: t})
		}
		if len(as.Tables) > 0 {
			out = append(out, as)
		}
	}
	return out
}

func (a *app) showStatus(s statusReport) error {
	a.say("warehouse %s, %s", s.Warehouse, s.At.Format(time.RFC3339))
	for _, f := range s.Functions {
		a.say("")
		if !f.ran() {
			a.say("%s: never ran; start it with: millrace run %s", f.Function, f.Function)
			continue
		}
		a.say("%s", f.Function)
		g := newGrid("TABLE", "MARK", "LAG", "COVERED", "GAPS#", "SLICES", "ROWS#", "REJECTS#", "LAST")
		var idle []string
		for _, t := range f.Tables {
			if len(t.Slices) == 0 {
				idle = append(idle, t.Table)
				continue
			}
			g.row(t.Table, instant(t.Mark), lag(t.LagSeconds), covered(t.Coverage), figure(len(t.Gaps)), states(t.Slices),
				figure(t.Rows), figure(t.OpenRejects), t.last())
		}
		if err := g.write(a.out); err != nil {
			return err
		}
		if len(idle) > 0 {
			a.say("  never filled: %s", strings.Join(idle, ", "))
		}
		a.showTrouble(f)
	}
	return nil
}

// showTrouble lists what is wrong below a function's table, with what to do.
func (a *app) showTrouble(f functionStatus) {
	const most = 5 // gaps of a table; --json has all
	for _, t := range f.Tables {
		for i, g := range t.Gaps {
			if i == most {
				a.say("  %s: and %d more gaps (--json has all)", t.Table, len(t.Gaps)-most)
				break
			}
			a.say("  %s: nothing loaded from %s to %s", t.Table, instant(&g.From), instant(&g.To))
		}
		if n := len(t.HeldBy); n > 0 {
			h, more := t.HeldBy[0], ""
			if n > 1 {
				more = fmt.Sprintf(", and by those of %d more slices", n-1)
			}
			a.say("  %s: the mark is held by %s rejects in slice %s%s; replay or discard them", t.Table, figure(h.Rejects), h.Slice, more)
		}
		for _, e := range t.Errors {
			a.say("  %s %s: %s: %s", t.Table, e.Slice, e.State, short(e.Error, 240))
		}
		for _, next := range t.Next {
			a.say("    next: %s", next)
		}
	}
}

func lag(seconds *int64) string {
	if seconds == nil {
		return "-"
	}
	return spell(time.Duration(*seconds) * time.Second)
}

func covered(spans []window) string {
	if len(spans) == 0 {
		return "-"
	}
	first, last := spans[0], spans[len(spans)-1]
	return instant(&first.From) + " to " + instant(&last.To)
}

// states writes {"loaded": 12, "failed": 1} as "12 loaded, 1 failed".
func states(n map[string]int) string {
	var out []string
	for _, state := range []string{warehouse.Loaded, warehouse.Planned, warehouse.Extracting, warehouse.Staged,
		warehouse.Paused, warehouse.Refused, warehouse.Failed} {
		if n[state] > 0 {
			out = append(out, figure(n[state])+" "+state)
		}
	}
	if len(out) == 0 {
		return "-"
	}
	return strings.Join(out, ", ")
}

// known reports a function that this build lacks; "" stands for all.
func (a *app) known(name string) error {
	if name == "" || a.follower(name) != nil { // a sync has rejects, too
		return nil
	}
	_, err := a.function(name)
	return err
}
