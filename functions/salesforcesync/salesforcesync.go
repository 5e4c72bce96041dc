// Package salesforcesync is the function that carries tables back into Salesforce,
// as the job files of a folder describe it: any number of syncs, one function.
//
// A job is started by the loads of the table it follows, by its own schedule, or by
// hand. The function then makes a plan. Where the job's approval is auto and no
// guard objects, it applies the plan at once; else the plan waits for a person, who
// reads it with `millrace sync plan` and answers with `millrace sync approve`. What
// an earlier invocation could not end, because it was killed or the requests of the
// day were used up, is gone on with first.
//
// A start that is lost loses nothing: the function's schedule finds tables that were
// loaded after the last plan of their syncs. A start that comes twice finds the plan
// there. What Salesforce is like is in package salesforce, what a plan is in
// shared/reverse; neither is in here.
package salesforcesync

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/millrace-data/millrace/functions/salesforcesync/salesforce"
	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/follow"
	"github.com/millrace-data/millrace/shared/reverse"
)

// Config is read from SALESFORCE_… variables, beside those of package salesforce.
type Config struct {
	Syncs string `envconfig:"SYNCS" default:"syncs" doc:"folder of the job files, *.yml"`
}

// Example is a job file that the demo and the documents use.
//
//go:embed syncs/account_scores.yml
var Example []byte

// Function carries tables into Salesforce.
var Function = &follow.Function{
	Name: "salesforcesync",
	Doc:  "Syncs of tables into Salesforce: planned, guarded, approved, reversible.",
	Open: func(cfg env.Lookup, in follow.Invocation) (follow.Follower, error) { return open(cfg, in) },
}

type syncs struct {
	engine *reverse.Engine
	jobs   []reverse.Job
}

func open(lookup env.Lookup, in follow.Invocation) (*syncs, error) {
	var cfg Config
	if err := env.Load(lookup, "SALESFORCE", &cfg); err != nil {
		return nil, err
	}
	if _, err := salesforce.Open(lookup, salesforce.Options{}); err != nil { // what is missing is said before anything is read
		return nil, err
	}
	jobs, err := reverse.ReadJobs(cfg.Syncs)
	if err != nil {
		return nil, fmt.Errorf("SALESFORCE_SYNCS: %w", err)
	}
	return &syncs{Engine(lookup, in), jobs}, nil
}

// Engine is the engine of the syncs, on what a platform lends to an invocation. What
// is wrong with the configuration is said by what reads or writes Salesforce.
func Engine(lookup env.Lookup, in follow.Invocation) *reverse.Engine {
	return &reverse.Engine{Warehouse: in.Warehouse, Connect: salesforce.Connector(lookup, salesforce.Options{Scratch: in.Scratch}), Inputs: in.Inputs, Log: in.Log, Now: in.Now,
		Owner: in.Owner, Lease: in.Lease, Scratch: in.Scratch, Point: in.Point}
}

// Follows implements [follow.Follower].
func (s *syncs) Follows() (tables []string) {
	for _, j := range s.jobs {
		if j.After != "" && !slices.Contains(tables, j.After) {
			tables = append(tables, j.After)
		}
	}
	return tables
}

// Handle implements [follow.Follower]: first what was begun, then what is due. A sync
// that fails does not keep the others from their turn.
func (s *syncs) Handle(ctx context.Context, start follow.Start) (out []follow.Outcome, err error) {
	waiting, err := s.engine.Waiting(ctx)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, p := range waiting {
		o, err := s.apply(ctx, p)
		out, errs = append(out, o...), append(errs, err)
	}
	jobs, err := s.due(ctx, start)
	errs = append(errs, err)
	for _, j := range jobs {
		o, err := s.sync(ctx, j)
		out, errs = append(out, o...), append(errs, err)
	}
	return out, errors.Join(errs...)
}

// sync plans a job, and applies the plan where nobody has to be asked.
func (s *syncs) sync(ctx context.Context, j reverse.Job) ([]follow.Outcome, error) {
	// A worker that was killed left its start to be delivered again: it has to come
	// until the lease is over, because it may be all there is to go on with.
	until, err := s.engine.Busy(ctx, j.Object)
	if err == nil && !until.IsZero() {
		err = fault.New(fault.Transient, "sync %s: another worker is writing to %s, until %s at most", j.Name, j.Object, until.Format(time.RFC3339))
	}
	if err != nil {
		return nil, err
	}
	p, err := s.engine.Plan(ctx, j, reverse.PlanOptions{})
	switch {
	case err != nil:
		return ended(follow.Outcome{Name: j.Name}, fmt.Errorf("plan sync %s: %w", j.Name, err))
	case p.State == reverse.PlanApproved:
		return s.apply(ctx, *p)
	}
	return []follow.Outcome{outcome(p)}, nil
}

func (s *syncs) apply(ctx context.Context, p reverse.Plan) ([]follow.Outcome, error) {
	done, err := s.engine.Apply(ctx, p.ID)
	if done == nil {
		done = &p
	}
	return ended(outcome(done), err)
}

// ended sorts an error: what passes, and what another worker does, is not recorded
// as this start's end.
func ended(o follow.Outcome, err error) ([]follow.Outcome, error) {
	switch fault.Of(err) {
	case nil:
		return []follow.Outcome{o}, nil
	case fault.Stale:
		return nil, nil
	case fault.Transient:
		return nil, err
	case fault.Limited: // the schedule goes on with it: a message would come again every few minutes until then
		o.State = string(reverse.PlanPaused)
		o.Until, _ = fault.Until(err)
	}
	if o.State == "" {
		o.State = "failed"
	}
	o.Err = err
	return []follow.Outcome{o}, nil
}

func outcome(p *reverse.Plan) follow.Outcome {
	o := follow.Outcome{Name: p.Sync, State: string(p.State), Rows: p.Sent, Until: p.PausedUntil}
	if p.State == reverse.PlanBlocked {
		o.Err = fault.New(fault.Refused, "plan %s of sync %s is blocked by %s; nothing was written: see `millrace sync history`", p.ID, p.Sync, p.Blocked[0].Guard)
	}
	if p.State == reverse.PlanApplied && p.Failed+p.Unprocessed > 0 {
		o.Err = fault.New(fault.Refused, "plan %s of sync %s: %d rows sent, %d failed, %d unprocessed; they are in millrace.rejects and in the next plan", p.ID, p.Sync, p.Sent, p.Failed, p.Unprocessed)
	}
	return o
}

// due is the jobs that a start is about.
func (s *syncs) due(ctx context.Context, start follow.Start) (jobs []reverse.Job, err error) {
	if err := s.known(start.Only); err != nil {
		return nil, err
	}
	for _, j := range s.jobs {
		yes := false
		switch {
		case start.Hand:
			yes = len(start.Only) == 0 || slices.Contains(start.Only, j.Name)
		case start.Table != "":
			yes = j.After == start.Table
		default:
			if yes, err = s.late(ctx, j, start.At); err != nil {
				return nil, err
			}
		}
		if yes {
			jobs = append(jobs, j)
		}
	}
	return jobs, nil
}

func (s *syncs) known(names []string) error {
	for _, name := range names {
		if !slices.ContainsFunc(s.jobs, func(j reverse.Job) bool { return j.Name == name }) {
			return fault.New(fault.Invalid, "there is no sync %q in SALESFORCE_SYNCS", name)
		}
	}
	return nil
}

// late reports whether a job's time, or a load of its table, has come since its last
// plan.
func (s *syncs) late(ctx context.Context, j reverse.Job, at time.Time) (bool, error) {
	if at.IsZero() {
		at = s.engine.Now()
	}
	last, err := s.engine.Planned(ctx, j.Name)
	if err != nil {
		return false, err
	}
	if j.Schedule != "" {
		if last.IsZero() {
			last = at.Add(-24 * time.Hour) // a sync that is new does not wait for its next day
		}
		if next := j.Due(last); !next.IsZero() && !next.After(at) {
			return true, nil
		}
	}
	if j.After == "" {
		return false, nil
	}
	loaded, err := s.engine.LoadedAt(ctx, j.After)
	return loaded.After(last), err
}
