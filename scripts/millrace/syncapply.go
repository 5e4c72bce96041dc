package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/millrace-data/millrace/shared/platform/local"
	"github.com/millrace-data/millrace/shared/reverse"
)

func (a *app) syncApproveCommand() *cobra.Command {
	var by, hash, now string
	c := &cobra.Command{Use: "approve PLAN|JOB.yml --by WHO", Short: "Let exactly this plan be applied", Args: cobra.ExactArgs(1),
		Long: `Let exactly this plan be applied, by its hash: a plan that was changed since, or made
anew, needs an approval of its own. A plan that a guard blocks cannot be approved:
mend the data, or change the guard in the job's file, and plan again.`,
		RunE: func(c *cobra.Command, args []string) error {
			return a.withSync(c.Context(), now, func(ctx context.Context, s *syncing) error {
				p, err := a.planOf(ctx, s, args[0], reverse.PlanReady, reverse.PlanApproved)
				if err == nil {
					p, err = s.Approve(ctx, p.ID, by, hash)
				}
				if err != nil {
					return err
				}
				return a.approved(p)
			})
		}}
	c.Flags().StringVar(&by, "by", "", "the person who answers for it (required)")
	c.Flags().StringVar(&hash, "hash", "", "approve only if the plan has this hash")
	clockFlag(c, &now)
	_ = c.MarkFlagRequired("by")
	return c
}

func (a *app) approved(p *reverse.Plan) error {
	if a.json {
		return a.print(map[string]any{"plan": p.ID, "hash": p.Hash, "outcome": local.OK, "approved_by": p.ApprovedBy, "approved_at": p.ApprovedAt})
	}
	a.say("%s approved plan %s: %s writes, hash %s", p.ApprovedBy, p.ID, figure(p.Writes()), short(p.Hash, 13))
	a.say("\n  millrace sync apply %s", p.ID)
	return nil
}

func (a *app) syncApplyCommand() *cobra.Command {
	var now string
	c := &cobra.Command{Use: "apply PLAN|JOB.yml", Short: "Write an approved plan; run again, it goes on", Args: cobra.ExactArgs(1),
		Long: `Write an approved plan into Salesforce. Before the first write the plan is compared
with its approval and with what stands there now: one that is too old, or whose
records somebody changed meanwhile, is refused, and a new plan is made.

It can be interrupted anywhere: the same command goes on, and looks first at what it
had sent. Rows that fail are kept in millrace.rejects with Salesforce's own words and
are in the next plan again.

Exit codes: 0 all rows sent; 5 some failed; 1 none was sent; 3 the requests of the day
are used up, the same command goes on; 4 refused, see the new plan.`,
		RunE: func(c *cobra.Command, args []string) error {
			return a.withSync(c.Context(), now, func(ctx context.Context, s *syncing) error { return a.syncApply(ctx, s, args[0]) })
		}}
	clockFlag(c, &now)
	return c
}

// applyReport is what sync apply --json prints.
type applyReport struct {
	Plan        string            `json:"plan"`
	Outcome     string            `json:"outcome"`
	Sent        int64             `json:"sent"`
	Failed      int64             `json:"failed"`
	Unprocessed int64             `json:"unprocessed"`
	State       reverse.PlanState `json:"state"`
	PausedUntil *time.Time        `json:"paused_until,omitempty"`
	Next        string            `json:"next,omitempty"` // plan that takes this one's place
	Error       string            `json:"error,omitempty"`
}

func (a *app) syncApply(ctx context.Context, s *syncing, id string) error {
	p, err := a.planOf(ctx, s, id, reverse.PlanApproved, reverse.PlanApplying, reverse.PlanPaused)
	if err != nil {
		return err
	}
	s.watch.start()
	p, err = s.Apply(ctx, p.ID)
	s.watch.stop()
	if p == nil || err != nil && p.State != reverse.PlanPaused && p.State != reverse.PlanStale {
		return err
	}
	r := applyReport{Plan: p.ID, Outcome: applyOutcome(p), Sent: p.Sent, Failed: p.Failed, Unprocessed: p.Unprocessed, State: p.State, Next: p.Next}
	if !p.PausedUntil.IsZero() && p.State == reverse.PlanPaused {
		r.PausedUntil = &p.PausedUntil
	}
	if err != nil {
		r.Error = err.Error()
	}
	if a.json {
		if err := a.print(r); err != nil {
			return err
		}
		return ended(r.Outcome)
	}
	a.say("plan %s: %s. %s sent, %s failed, %s unprocessed of %s", p.ID, r.Outcome, figure(p.Sent), figure(p.Failed), figure(p.Unprocessed), figure(p.Writes()))
	switch {
	case err != nil:
		a.say("%s", short(err.Error(), 600))
		a.paused(r.PausedUntil)
	case p.Failed+p.Unprocessed > 0:
		a.say("why: millrace query \"select key, code, error from millrace.sync_rows where plan = '%s' and state <> 'sent'\"", p.ID)
	}
	return ended(r.Outcome)
}

func applyOutcome(p *reverse.Plan) string {
	switch {
	case p.State == reverse.PlanPaused:
		return local.Paused
	case p.State == reverse.PlanStale, p.State == reverse.PlanBlocked:
		return local.Refused
	case p.Failed+p.Unprocessed > 0 && p.Sent == 0:
		return local.Failed
	case p.Failed+p.Unprocessed > 0:
		return local.Partial
	}
	return local.OK
}

func (a *app) syncRollbackCommand() *cobra.Command {
	var now string
	c := &cobra.Command{Use: "rollback PLAN|JOB.yml", Short: "Plan the way back to what stood there before", Args: cobra.ExactArgs(1),
		Long: `Make a plan that takes an applied one back: fields that still hold our value get the
value that stood there before, and records that we created are deleted. What somebody
else changed since is left alone and counted as kept. Nothing is written: approve and
apply the new plan, like any other.`,
		RunE: func(c *cobra.Command, args []string) error {
			return a.withSync(c.Context(), now, func(ctx context.Context, s *syncing) error {
				p, err := a.planOf(ctx, s, args[0], reverse.PlanApplied)
				if err != nil {
					return err
				}
				s.watch.start()
				p, err = s.Rollback(ctx, p.ID)
				s.watch.stop()
				if err != nil {
					return err
				}
				return a.showPlan(ctx, s, p)
			})
		}}
	clockFlag(c, &now)
	return c
}

// withSync runs a command on the engine.
func (a *app) withSync(ctx context.Context, now string, do func(ctx context.Context, s *syncing) error) error {
	s, err := a.openSync(ctx, now)
	if err != nil {
		return err
	}
	return s.close(do(ctx, s))
}

func clockFlag(c *cobra.Command, now *string) {
	c.Flags().StringVar(now, "now", "", "the command's clock, RFC 3339 (default: the present)")
}

func (a *app) syncHistoryCommand() *cobra.Command {
	c := &cobra.Command{Use: "history [JOB.yml]", Short: "Who approved what, when, and what it did", Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			name := ""
			if len(args) == 1 {
				j, err := reverse.ReadJob(args[0])
				if err != nil {
					return err
				}
				name = j.Name
			}
			return a.withSync(c.Context(), "", func(ctx context.Context, s *syncing) error { return a.syncHistory(ctx, s, name) })
		}}
	return c
}

// pastPlan is a plan as sync history --json lists it.
type pastPlan struct {
	planReport
	ApprovedBy  string     `json:"approved_by,omitempty"`
	ApprovedAt  *time.Time `json:"approved_at,omitempty"`
	AppliedAt   *time.Time `json:"applied_at,omitempty"`
	Sent        int64      `json:"sent"`
	Failed      int64      `json:"failed"`
	Unprocessed int64      `json:"unprocessed"`
	Next        string     `json:"next,omitempty"`
	Error       string     `json:"error,omitempty"`
}

func (a *app) syncHistory(ctx context.Context, s *syncing, name string) error {
	plans, err := s.History(ctx, name)
	if err != nil {
		return err
	}
	if a.json {
		out := make([]pastPlan, len(plans))
		for i, p := range plans {
			out[i] = pastPlan{planReport: reportOf(&p), ApprovedBy: p.ApprovedBy, ApprovedAt: since(p.ApprovedAt), AppliedAt: since(p.AppliedAt),
				Sent: p.Sent, Failed: p.Failed, Unprocessed: p.Unprocessed, Next: p.Next, Error: p.Error}
		}
		return a.print(out)
	}
	if len(plans) == 0 {
		a.say("no plan was made yet: millrace sync plan JOB.yml")
		return nil
	}
	g := newGrid("PLANNED", "PLAN", "STATE", "CREATES#", "UPDATES#", "DELETES#", "SENT#", "FAILED#", "APPROVED BY", "APPLIED", "")
	for _, p := range plans {
		applied, note := since(p.AppliedAt), ""
		switch {
		case p.Undoes != "":
			note = "takes back " + p.Undoes
		case len(p.Blocked) > 0:
			note = "blocked by " + p.Blocked[0].Guard
		case p.Next != "":
			note = "replaced by " + p.Next
		}
		g.row(instant(&p.PlannedAt), p.ID, string(p.State), figure(p.Creates), figure(p.Updates), figure(p.Deletes), figure(p.Sent), figure(p.Failed+p.Unprocessed),
			p.ApprovedBy, instant(applied), note)
	}
	a.answered = true
	return g.write(a.out)
}

func since(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
