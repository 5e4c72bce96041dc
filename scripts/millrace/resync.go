package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/platform/local"
	"github.com/millrace-data/millrace/shared/warehouse"
)

// again is what the flags of resync say.
type again struct {
	table, now, accept string
	dryRun, discard    bool
	deadline           time.Duration
}

// resyncReport is what `millrace resync --json` prints.
type resyncReport struct {
	Function    string              `json:"function"`
	Table       string              `json:"table"`   // without schema
	Resync      string              `json:"resync"`  // digest of the difference, for --accept; "" where the shadow is not complete
	Outcome     string              `json:"outcome"` // as of a run; ok = nothing differed, or it could be or was swapped in
	Swapped     bool                `json:"swapped"`
	RowsLive    int64               `json:"rows_live"` // before a swap
	RowsShadow  int64               `json:"rows_shadow"`
	Added       int64               `json:"added"` // keys; rows where the table has no key
	Removed     int64               `json:"removed"`
	Changed     int64               `json:"changed"`
	Same        int64               `json:"same"`
	Examples    []warehouse.Example `json:"examples"`
	Why         []string            `json:"why,omitempty"`          // it was refused
	PausedUntil *time.Time          `json:"paused_until,omitempty"` //
	Errors      []local.SliceError  `json:"errors,omitempty"`       // slices of the shadow that could not be read
}

func (a *app) resyncCommand() *cobra.Command {
	var q again
	c := &cobra.Command{Use: "resync FUNCTION --table T", Short: "Read a table anew, show what differs, and swap it in", Args: cobra.ExactArgs(1),
		Long: `Read all of a table anew into a shadow beside it, compare the two by key (rows
without a key by how often they are there), and give the table the shadow's rows in
one step. Readers see the old table or the new one. A gate refuses the swap where
more than 100 rows and more than 10 % of them would be removed, or changed, or where
the vendor gave nothing at all; --accept ID swaps exactly that difference in.

It can be interrupted: the same command goes on. --dry-run and a refusal keep the
shadow, so that --accept ID need not read again. The differences are in
millrace.resyncs and millrace.differences. Exit code 0: nothing differed, or it was
swapped in (with --dry-run: it could be); 4: the gate refused; 3: the vendor's quota
is used up; 1 or 5: some of the shadow could not be read, and nothing was swapped;
5 after a swap: rows were rejected.`,
		RunE: func(c *cobra.Command, args []string) error { return a.resync(c.Context(), args[0], q) }}
	c.Flags().StringVar(&q.table, "table", "", "the table (required)")
	c.Flags().StringVar(&q.now, "now", "", "the run's clock, RFC 3339 (default: the present)")
	c.Flags().StringVar(&q.accept, "accept", "", "swap in the difference of this ID, whatever its size, without reading again")
	c.Flags().BoolVar(&q.dryRun, "dry-run", false, "compare and judge, but do not swap; the shadow stays for --accept")
	c.Flags().BoolVar(&q.discard, "discard", false, "throw away the shadow of an earlier resync, and do nothing else")
	c.Flags().DurationVar(&q.deadline, "deadline", 0, "budget of one invocation (default MILLRACE_DEADLINE, or 9m)")
	_ = c.MarkFlagRequired("table")
	c.MarkFlagsMutuallyExclusive("accept", "dry-run", "discard")
	return c
}

func (a *app) resync(ctx context.Context, function string, q again) error {
	now, err := moment("--now", q.now)
	if err != nil {
		return err
	}
	f, err := a.function(function)
	if err != nil {
		return err
	}
	if err := local.Configured(f, a.env, now); err != nil {
		return err
	}
	clock := now
	if clock.IsZero() {
		clock = time.Now().UTC()
	}
	x, err := extract.NewResync(f, a.env, q.table, clock)
	if err != nil {
		return err
	}
	shadow := *a
	shadow.functions = []*extract.Function{x.Function()}
	watch := newProgress(a.err, a.live)
	cloud, err := shadow.open(ctx, now, q.deadline, watch)
	if err != nil {
		return err
	}
	x.Warehouse = cloud.Warehouse()
	if x.Point, err = crashPoint(a.env); err == nil {
		err = a.renew(ctx, renewal{x, cloud, watch, function, clock}, q)
	}
	return errors.Join(err, cloud.Close())
}

// renewal is a re-sync on an open cloud.
type renewal struct {
	*extract.TableResync
	cloud    *local.Cloud
	watch    *progress
	function string
	now      time.Time
}

func (a *app) renew(ctx context.Context, r renewal, q again) error {
	if q.discard {
		return a.discard(ctx, r, q)
	}
	waiting, err := r.Waiting(ctx)
	if err != nil {
		return err
	}
	if q.accept != "" && !waiting {
		return fault.New(fault.Invalid, "no resync of %s waits to be accepted: run it without --accept", q.table)
	}
	out := resyncReport{Function: r.function, Table: q.table, Outcome: local.OK, Examples: []warehouse.Example{}}
	const rounds = 3 // the table may be read by others meanwhile
	for round := range rounds {
		if q.accept == "" || round > 0 {
			complete, err := r.read(ctx, &out)
			if err != nil {
				return err
			}
			if !complete {
				return errors.Join(a.showResync(out), ended(out.Outcome))
			}
		}
		v, err := r.Finish(ctx, extract.Choice{Accept: q.accept, DryRun: q.dryRun})
		if errors.Is(err, extract.ErrBehind) && round < rounds-1 {
			continue
		}
		if err != nil {
			return err
		}
		out.take(v)
		break
	}
	if err := a.showResync(out); err != nil {
		return err
	}
	return ended(out.Outcome)
}

func (a *app) discard(ctx context.Context, r renewal, q again) error {
	if err := r.Discard(ctx); err != nil {
		return err
	}
	if a.json {
		return a.print(resyncReport{Function: r.function, Table: q.table, Outcome: local.OK, Examples: []warehouse.Example{}})
	}
	a.say("%s %s: the shadow is gone, the table is as it was", r.function, q.table)
	return nil
}

// read fills the shadow. It is complete when every slice is loaded, rejects or not.
func (r renewal) read(ctx context.Context, out *resyncReport) (complete bool, err error) {
	if err := r.Prepare(ctx); err != nil {
		return false, err
	}
	r.watch.start()
	rep, err := r.cloud.Run(ctx, local.Request{Function: r.function, Request: extract.Request{Now: r.now}})
	r.watch.stop()
	if err != nil {
		return false, interrupted(ctx, rep, err)
	}
	out.Outcome, out.PausedUntil, out.Errors = rep.Outcome, rep.PausedUntil, rep.Errors
	return len(rep.Errors) == 0, nil
}

// take adds how it ended to what the reading left.
func (r *resyncReport) take(v extract.Verdict) {
	r.Resync, r.Why, r.Swapped = v.ID, v.Why, v.Outcome == warehouse.Swapped
	r.RowsLive, r.RowsShadow = v.Live, v.Shadow
	r.Added, r.Removed, r.Changed, r.Same = v.Added, v.Removed, v.Changed, v.Same
	if v.Outcome == warehouse.Refused {
		r.Outcome = local.Refused
	}
	const most = 10 // of a kind; millrace.differences has more
	seen := map[string]int{}
	for _, e := range v.Examples {
		if seen[e.Kind]++; seen[e.Kind] <= most {
			r.Examples = append(r.Examples, e)
		}
	}
}

func (a *app) showResync(r resyncReport) error {
	if a.json {
		return a.print(r)
	}
	if r.Resync == "" {
		a.say("%s %s: %s; the shadow is not complete, the table is as it was", r.Function, r.Table, r.Outcome)
		for _, e := range r.Errors {
			a.say("%s %s: %s", e.State, e.Slice, short(e.Error, 400))
		}
		a.paused(r.PausedUntil)
		return nil
	}
	g := newGrid("TABLE", "ROWS#", "SHADOW#", "ADDED#", "REMOVED#", "CHANGED#", "SAME#")
	g.row(r.Table, figure(r.RowsLive), figure(r.RowsShadow), figure(r.Added), figure(r.Removed), figure(r.Changed), figure(r.Same))
	if err := g.write(a.out); err != nil {
		return err
	}
	for _, e := range r.Examples {
		if on := strings.Join(e.Columns, ", "); on != "" {
			a.say("  %s %s: %s", e.Kind, e.Key, short(on, 200))
		}
	}
	a.say("%s", r.conclusion())
	return nil
}

// conclusion is the last line for people: what happened, and what to do.
func (r resyncReport) conclusion() string {
	command := fmt.Sprintf("millrace resync %s --table %s", r.Function, r.Table)
	look := fmt.Sprintf(`millrace query "select kind, key, columns from millrace.differences where resync = '%s'"`, r.Resync)
	switch {
	case r.Outcome == local.Refused:
		return fmt.Sprintf("refused: %s; the table is as it was\n  look at it: %s\n  swap it in: %s --accept %s\n  or forget it: %s --discard", strings.Join(r.Why, "; "), look, command, r.Resync, command)
	case r.Swapped:
		return "swapped in; what differed: " + look
	case r.Added+r.Removed+r.Changed == 0:
		return "nothing differs; the table is as it was"
	}
	return "nothing was swapped (--dry-run); the shadow stays\n  look at it: " + look + "\n  swap it in: " + command + " --accept " + r.Resync
}
