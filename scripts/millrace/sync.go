package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/millrace-data/millrace/functions"
	"github.com/millrace-data/millrace/functions/salesforcesync"
	"github.com/millrace-data/millrace/shared/follow"
	"github.com/millrace-data/millrace/shared/platform/local"
	"github.com/millrace-data/millrace/shared/reverse"
	"github.com/millrace-data/millrace/shared/warehouse"
)

func (a *app) syncCommand() *cobra.Command {
	c := &cobra.Command{Use: "sync", Short: "Carry rows back into Salesforce: plan, approve, apply, roll back",
		Long: `Carry rows of the warehouse back into Salesforce, the way infrastructure is changed:

  millrace sync lint DIR                     check the job files, in CI
  millrace sync plan JOB.yml                 show every write before it happens; nothing is written
  millrace sync approve PLAN --by YOU        let exactly that plan be applied
  millrace sync apply PLAN                   write it; run again, it goes on where it stopped
  millrace sync rollback PLAN                plan the way back to what stood there before
  millrace sync history [JOB.yml]            who approved what, when, and what it did

The plans are in millrace.sync_plans and millrace.sync_rows, the jobs at Salesforce in
millrace.sync_jobs, the rows that failed in millrace.rejects.`}
	c.AddCommand(a.syncPlanCommand(), a.syncApproveCommand(), a.syncApplyCommand(), a.syncRollbackCommand(), a.syncHistoryCommand(),
		a.syncShowCommand(), a.syncLintCommand(), a.syncSchemaCommand())
	return c
}

// syncing is the engine of syncs on an open warehouse.
type syncing struct {
	*reverse.Engine
	warehouse *warehouse.Warehouse
	watch     *rowProgress
}

// openSync opens the warehouse and puts the engine on it. now fixes the clock.
func (a *app) openSync(ctx context.Context, clock string) (*syncing, error) {
	now, err := moment("--now", clock)
	if err != nil {
		return nil, err
	}
	point, err := crashPoint(a.env)
	if err != nil {
		return nil, err
	}
	p, err := local.Locate(a.env, a.home)
	if err != nil {
		return nil, err
	}
	if err := p.Make(); err != nil {
		return nil, err
	}
	w, err := local.OpenWarehouse(ctx, p)
	if err != nil {
		return nil, err
	}
	in := follow.Invocation{Warehouse: w, Inputs: functions.Inputs(a.functions, functions.Followers), Log: a.log(), Now: time.Now, Scratch: p.Scratch, Point: point,
		Owner: fmt.Sprintf("millrace/%d", os.Getpid())}
	if !now.IsZero() {
		in.Now = func() time.Time { return now }
	}
	s := &syncing{salesforcesync.Engine(a.env, in), w, newRowProgress(a.err, a.live)}
	s.Progress = s.watch.see
	return s, nil
}

// planReport is what sync plan, rollback and show print with --json, before the
// changes.
type planReport struct {
	Plan      string            `json:"plan"`
	Sync      string            `json:"sync"`
	Undoes    string            `json:"undoes,omitempty"` // the plan that this one rolls back
	Hash      string            `json:"hash"`
	Outcome   string            `json:"outcome"`
	State     reverse.PlanState `json:"state"`
	Creates   int64             `json:"creates"`
	Updates   int64             `json:"updates"`
	Deletes   int64             `json:"deletes"`
	Unchanged int64             `json:"unchanged"`
	Rejected  int64             `json:"rejected"`
	Kept      int64             `json:"kept,omitempty"` // of a rollback: records that no longer hold our value
	Blankings int64             `json:"blankings"`
	Zeroings  int64             `json:"zeroings"`
	Blocked   []reverse.Block   `json:"blocked"`
	PlannedAt time.Time         `json:"planned_at"`
}

func reportOf(p *reverse.Plan) planReport {
	r := planReport{Plan: p.ID, Sync: p.Sync, Undoes: p.Undoes, Hash: p.Hash, Outcome: planOutcome(p), State: p.State, Creates: p.Creates, Updates: p.Updates,
		Deletes: p.Deletes, Unchanged: p.Unchanged, Rejected: p.Rejected, Kept: p.Kept, Blankings: p.Blankings, Zeroings: p.Zeroings,
		Blocked: p.Blocked, PlannedAt: p.PlannedAt}
	if r.Blocked == nil {
		r.Blocked = []reverse.Block{}
	}
	return r
}

// planOutcome is how a plan came out, in the words of all commands.
func planOutcome(p *reverse.Plan) string {
	switch {
	case len(p.Blocked) > 0:
		return local.Refused
	case p.Rejected > 0:
		return local.Partial
	}
	return local.OK
}

// change is a record of a plan as --json shows it.
type change struct {
	Key    string                 `json:"key"`
	ID     string                 `json:"id,omitempty"`
	Kind   reverse.Kind           `json:"kind"`
	Fields map[string]beforeAfter `json:"fields"`
}

type beforeAfter struct {
	Before *string `json:"before"`
	After  *string `json:"after"`
}

// printPlan writes the report and every change as one document, a change at a time.
func (a *app) printPlan(ctx context.Context, s *syncing, p *reverse.Plan) error {
	head, err := json.MarshalIndent(reportOf(p), "", "  ")
	if err != nil {
		return err
	}
	a.answered = true
	if _, err := fmt.Fprintf(a.out, "%s,\n  \"changes\": [", head[:len(head)-2]); err != nil {
		return err
	}
	sep := "\n    "
	for c, err := range s.Changes(ctx, p.ID) {
		if err != nil {
			return err
		}
		out := change{Key: c.Key, ID: c.ID, Kind: c.Kind, Fields: map[string]beforeAfter{}}
		for _, f := range c.Fields {
			out.Fields[f.Field] = beforeAfter{f.Before, f.After}
		}
		line, err := json.Marshal(out)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(a.out, "%s%s", sep, line); err != nil {
			return err
		}
		sep = ",\n    "
	}
	_, err = fmt.Fprint(a.out, "\n  ]\n}\n")
	return err
}

// close ends what openSync opened.
func (s *syncing) close(err error) error { return errors.Join(err, s.warehouse.Close()) }
