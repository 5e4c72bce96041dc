package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/reverse"
)

func (a *app) syncPlanCommand() *cobra.Command {
	var now string
	var full bool
	c := &cobra.Command{Use: "plan JOB.yml", Short: "Show every write before it happens; nothing is written", Args: cobra.ExactArgs(1),
		Long: `Run the job's query, compare it with what Salesforce accepted last and with what
stands there now, and store what is left as a plan. Nothing is written to Salesforce.

A field whose value in the warehouse did not change since Salesforce accepted it is
left alone, whatever stands there now; with --full every row is compared.

Exit codes: 0 the plan can be approved; 5 it can, and some rows of the query were
rejected (millrace rejects list salesforcesync); 4 a guard blocks it; 3 Salesforce has
too few requests left today.`,
		RunE: func(c *cobra.Command, args []string) error {
			j, err := reverse.ReadJob(args[0])
			if err != nil {
				return err
			}
			return a.withSync(c.Context(), now, func(ctx context.Context, s *syncing) error {
				s.watch.start()
				p, err := s.Plan(ctx, j, reverse.PlanOptions{Full: full})
				s.watch.stop()
				if err != nil {
					return err
				}
				return a.showPlan(ctx, s, p)
			})
		}}
	c.Flags().BoolVar(&full, "full", false, "compare every row with what stands in Salesforce, also those it accepted before")
	clockFlag(c, &now)
	return c
}

func (a *app) syncShowCommand() *cobra.Command {
	return &cobra.Command{Use: "show PLAN", Short: "Show a plan that was made", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.withSync(c.Context(), "", func(ctx context.Context, s *syncing) error {
				p, err := a.planOf(ctx, s, args[0])
				if err != nil {
					return err
				}
				return a.showPlan(ctx, s, p)
			})
		}}
}

// planOf finds a plan by its id, or the newest one of a job's file that is in one of
// the states.
func (a *app) planOf(ctx context.Context, s *syncing, arg string, states ...reverse.PlanState) (*reverse.Plan, error) {
	if ext := filepath.Ext(arg); ext != ".yml" && ext != ".yaml" {
		return s.Get(ctx, arg)
	}
	j, err := reverse.ReadJob(arg)
	if err != nil {
		return nil, err
	}
	plans, err := s.History(ctx, j.Name)
	if err != nil {
		return nil, err
	}
	for _, p := range plans {
		if len(states) == 0 || slices.Contains(states, p.State) {
			return &p, nil
		}
	}
	return nil, fault.New(fault.Invalid, "sync %s has no plan that is %s: make one with `millrace sync plan %s`, or see `millrace sync history %s`", j.Name, words(states), arg, arg)
}

// words joins states with or.
func words(states []reverse.PlanState) (out string) {
	for i, s := range states {
		if i > 0 {
			out += " or "
		}
		out += string(s)
	}
	return out
}

// showPlan prints a plan, and its outcome as the exit code.
func (a *app) showPlan(ctx context.Context, s *syncing, p *reverse.Plan) error {
	if a.json {
		if err := a.printPlan(ctx, s, p); err != nil {
			return err
		}
		return ended(planOutcome(p))
	}
	what := "by " + p.Job.ExternalID
	if p.Undoes != "" {
		what = "takes back " + p.Undoes
	}
	a.say("plan %s  (%s %s, %s)", p.ID, p.Operation, p.Object, what)
	a.say("%s creates · %s updates · %s deletes · %s unchanged · %s rejected · %s values blanked · %s zeroed", figure(p.Creates), figure(p.Updates),
		figure(p.Deletes), figure(p.Unchanged), figure(p.Rejected), figure(p.Blankings), figure(p.Zeroings))
	if p.Kept > 0 {
		a.say("%s left alone: changed by somebody since, gone, or deleted by Id, which nothing brings back", counted(p.Kept, "record"))
	}
	if err := a.showChanges(ctx, s, p); err != nil {
		return err
	}
	a.next(p)
	return ended(planOutcome(p))
}

// next says what a person can do now.
func (a *app) next(p *reverse.Plan) {
	if p.Rejected > 0 {
		a.say("\nrejected rows are kept, with the reason: millrace rejects list salesforcesync")
	}
	switch {
	case len(p.Blocked) > 0:
		a.say("\nBLOCKED: nothing was written, and this plan cannot be approved.")
		for _, b := range p.Blocked {
			a.say("  %s: %s; allowed: %s", b.Guard, b.Observed, b.Allowed)
			for _, x := range b.Examples {
				if x.Field == "" {
					a.say("    %s", x.Key)
				} else {
					a.say("    %s  %s: %s → %s", x.Key, x.Field, shown(x.Before), shown(x.After))
				}
			}
		}
		a.say("Mend what the query reads, or ask %s about the guard in the job's file; then plan again.", p.Job.Owner)
	case p.State == reverse.PlanReady && p.Writes() > 0:
		a.say("\nnothing is written yet. To let exactly this be written, before %s:", instant(since(p.PlannedAt.Add(expiry(p)))))
		a.say("  millrace sync approve %s --by YOU", p.ID)
		a.say("  millrace sync apply %s", p.ID)
	case p.State == reverse.PlanApproved:
		a.say("\napproved by %s: millrace sync apply %s", p.ApprovedBy, p.ID)
	}
}

func expiry(p *reverse.Plan) time.Duration {
	if p.Job.Expires > 0 {
		return p.Job.Expires
	}
	return reverse.Expires
}

// shown is a value for people.
func shown(v *string) string {
	if v == nil {
		return "(empty)"
	}
	return short(*v, 60)
}

// showChanges prints what a person reads before approving: what happens to each
// field, with a sample, and the largest changes.
func (a *app) showChanges(ctx context.Context, s *syncing, p *reverse.Plan) error {
	v, err := s.View(ctx, p.ID)
	if err != nil {
		return err
	}
	if err := a.showDeleted(v.Deleted, p.Deletes); err != nil || len(v.Fields) == 0 {
		return err
	}
	a.say("")
	g := newGrid("FIELD", "CHANGED#", "BLANKED#", "ZEROED#", "BEFORE", "AFTER", "FOR EXAMPLE")
	for _, f := range v.Fields {
		g.row(f.Field, figure(f.Changed), figure(f.Blanked), figure(f.Zeroed), ranged(f.Before), ranged(f.After), sampled(f.Sample))
	}
	if err := g.write(a.out); err != nil {
		return err
	}
	if len(v.Largest) == 0 {
		return nil
	}
	a.say("\nthe largest changes")
	g = newGrid("KEY", "FIELD", "BEFORE#", "", "AFTER#")
	for _, x := range v.Largest {
		g.row(short(x.Key, 40), x.Field, shown(x.Before), "→", shown(x.After))
	}
	return g.write(a.out)
}

// showDeleted prints records that go, with what is lost.
func (a *app) showDeleted(sample []reverse.Change, all int64) error {
	if len(sample) == 0 {
		return nil
	}
	a.say("\nto be deleted, %d of %s", len(sample), figure(all))
	g := newGrid("KEY", "ID", "WHAT IS LOST")
	for _, c := range sample {
		var lost []string
		for _, f := range c.Fields {
			if f.Before != nil {
				lost = append(lost, f.Field+": "+short(*f.Before, 30))
			}
		}
		g.row(short(c.Key, 40), c.ID, strings.Join(lost, ", "))
	}
	return g.write(a.out)
}

// ranged is the least and the greatest of a field's values.
func ranged(s *reverse.Span) string {
	if s == nil {
		return ""
	}
	return s.Min + " … " + s.Max
}

// sampled is two rows of a field's sample.
func sampled(rows []reverse.Example) string {
	var out []string
	for _, x := range rows[:min(len(rows), 2)] {
		out = append(out, fmt.Sprintf("%s: %s → %s", short(x.Key, 20), shown(x.Before), shown(x.After)))
	}
	return strings.Join(out, ", ")
}
