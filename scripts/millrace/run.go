package main

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/millrace-data/millrace/functions"
	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/follow"
	"github.com/millrace-data/millrace/shared/platform/local"
)

// ask is what the flags of run and backfill say.
type ask struct {
	tables   []string
	from, to string
	now      string
	deadline time.Duration
	iKnow    bool
}

func (a *app) runCommand() *cobra.Command {
	var q ask
	c := &cobra.Command{Use: "run FUNCTION", Short: "Read what is due and load it", Args: cobra.ExactArgs(1),
		Long: `Read what is due, by mark, coverage and lookback, and load it. What an earlier run
left undone is taken up first. With --from the slices of that time are read anew.

A function that tables start, such as accountscore or salesforcesync, is started by
hand: whatever its schedule says, and only for what --table names, a table or a sync.

Dates are UTC days (2026-01-31) or RFC 3339 times; --to is exclusive.`,
		RunE: func(c *cobra.Command, args []string) error { return a.run(c.Context(), args[0], extract.Live, q) }}
	c.Flags().StringVar(&q.from, "from", "", "read from here on instead of what is due")
	c.Flags().StringVar(&q.to, "to", "", "read up to here, exclusive")
	q.bind(c)
	return c
}

func (a *app) backfillCommand() *cobra.Command {
	var q ask
	c := &cobra.Command{Use: "backfill FUNCTION --from D --to D", Short: "Read a time again, or a time before the first run", Args: cobra.ExactArgs(1),
		Long: `Read the slices of a time again, or for the first time. Rows that are there are
replaced slice by slice. A mark moves on where a gap closes, and back only where a
slice that is read again leaves rejects.

Dates are UTC days (2026-01-31) or RFC 3339 times; --to is exclusive.`,
		RunE: func(c *cobra.Command, args []string) error {
			return a.run(c.Context(), args[0], extract.Backfill, q)
		}}
	c.Flags().StringVar(&q.from, "from", "", "read from here on (required)")
	c.Flags().StringVar(&q.to, "to", "", "read up to here, exclusive (required)")
	c.Flags().BoolVar(&q.iKnow, "i-know", false, "ask for what the function advises against; without it the function says why")
	_ = c.MarkFlagRequired("from")
	_ = c.MarkFlagRequired("to")
	q.bind(c)
	return c
}

func (q *ask) bind(c *cobra.Command) {
	c.Flags().StringArrayVar(&q.tables, "table", nil, "only this table, or sync; may be given more than once")
	c.Flags().StringVar(&q.now, "now", "", "the run's clock, RFC 3339 (default: the present)")
	c.Flags().DurationVar(&q.deadline, "deadline", 0, "budget of one invocation (default MILLRACE_DEADLINE, or 9m)")
}

// request reads the flags.
func (q ask) request(function string, p extract.Purpose) (r local.Request, err error) {
	r.Function, r.Tables, r.Purpose, r.IKnow = function, q.tables, p, q.iKnow
	if r.From, err = moment("--from", q.from); err != nil {
		return r, err
	}
	if r.To, err = moment("--to", q.to); err != nil {
		return r, err
	}
	if r.Now, err = moment("--now", q.now); err != nil {
		return r, err
	}
	switch {
	case q.to != "" && q.from == "":
		return r, fault.New(fault.Invalid, "--to needs a --from")
	case q.to != "" && !r.From.Before(r.To):
		return r, fault.New(fault.Invalid, "--from %s is not before --to %s", q.from, q.to)
	case q.deadline < 0:
		return r, fault.New(fault.Invalid, "--deadline %s: an invocation needs time", q.deadline)
	}
	return r, nil
}

// moment reads a date or an RFC 3339 time, "" as none.
func moment(flag, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fault.New(fault.Invalid, "%s %q is neither a date (2026-01-31) nor an RFC 3339 time (2026-01-31T06:00:00Z)", flag, text)
}

func (a *app) run(ctx context.Context, function string, p extract.Purpose, q ask) error {
	r, err := q.request(function, p)
	if err != nil {
		return err
	}
	if err := a.configured(function, r); err != nil { // before a home is made for it
		return err
	}
	watch := newProgress(a.err, a.live)
	cloud, err := a.open(ctx, r.Now, q.deadline, watch)
	if err != nil {
		return err
	}
	watch.start()
	rep, err := cloud.Run(ctx, r)
	watch.stop()
	if cerr := cloud.Close(); err == nil {
		err = cerr
	}
	if rep != nil {
		if perr := a.report(rep); perr != nil {
			return perr
		}
	}
	if err == nil {
		return ended(rep.Outcome)
	}
	return interrupted(ctx, rep, err)
}

// configured asks a function whether it has all that a run needs.
func (a *app) configured(function string, r local.Request) error {
	if f := a.follower(function); f != nil {
		if r.Purpose != extract.Live || !r.From.IsZero() {
			return fault.New(fault.Invalid, "function %s reads no vendor: it is run without dates", function)
		}
		return a.ready(f)
	}
	f, err := a.function(function)
	if err != nil {
		return err
	}
	return local.Configured(f, a.env, r.Now)
}

// ready asks a function that tables start whether it has all it needs.
func (a *app) ready(f *follow.Function) error {
	return local.ConfiguredFollower(f, a.env, functions.Inputs(a.functions, a.followers))
}

// interrupted explains an end by signal; a part of the work is partial.
func interrupted(ctx context.Context, rep *local.Report, err error) error {
	if ctx.Err() == nil {
		return err
	}
	err = errors.New("interrupted: what is read and loaded is kept, and the same command goes on from there")
	if rep != nil && rep.Outcome == local.Partial {
		return cut{err}
	}
	return err
}

// cut is an interruption after something was loaded.
type cut struct{ error }

// open opens the local cloud. A fixed clock is also the clock of the loads.
func (a *app) open(ctx context.Context, now time.Time, deadline time.Duration, watch *progress) (*local.Cloud, error) {
	clock := time.Now
	if !now.IsZero() {
		clock = func() time.Time { return now }
	}
	point, err := crashPoint(a.env)
	if err != nil {
		return nil, err
	}
	return local.Open(ctx, local.Options{Home: a.home, Env: a.env, Functions: a.functions, Followers: a.followers, Log: a.log(), Now: clock,
		Progress: watch.see, Loaded: watch.load, Deadline: deadline, Point: point})
}

// report prints how a run ended.
func (a *app) report(rep *local.Report) error {
	if a.json {
		return a.print(rep)
	}
	took := time.Duration(rep.TookMS) * time.Millisecond
	a.say("%s: %s in %s, %s requests (%s retries)", rep.Function, rep.Outcome, spell(took), figure(rep.Requests), figure(rep.Retries))
	if err := a.reportTables(rep); err != nil {
		return err
	}
	if a.follower(rep.Function) != nil && rep.Idle() {
		a.say("there was nothing to do; --verbose says why")
	}
	a.reportFollowed("", rep.Syncs)
	for _, f := range rep.Followers {
		a.say("then %s: %s", f.Function, f.Outcome)
		a.reportFollowed("  ", append(f.Tables, f.Syncs...))
	}
	const most = 10 // the others look alike; status lists them
	for i, e := range rep.Errors {
		if i == most {
			a.say("… and %d more: millrace status %s", len(rep.Errors)-most, rep.Function)
			break
		}
		why := e.Error
		if _, rest, found := strings.Cut(why, e.Table+" slice "+e.Slice+": "); found { // said already
			why = rest
		}
		a.say("%s %s %s: %s", e.State, e.Table, e.Slice, short(why, 400))
	}
	a.paused(rep.PausedUntil)
	return nil
}

func (a *app) reportTables(rep *local.Report) error {
	if len(rep.Tables) == 0 {
		return nil
	}
	g := newGrid("TABLE", "SLICES#", "SOURCE#", "STAGED#", "REJECTED#", "LOADED#", "MARK")
	for _, t := range rep.Tables {
		g.row(t.Table, figure(t.Slices), figure(t.RowsSource), figure(t.RowsStaged), figure(t.RowsRejected), figure(t.RowsLoaded), instant(t.Mark))
	}
	if err := g.write(a.out); err != nil {
		return err
	}
	if slices.ContainsFunc(rep.Tables, func(t local.TableReport) bool { return t.RowsRejected > 0 }) {
		a.say("rejected rows are kept, with the reason: millrace rejects list %s", rep.Function)
	}
	return nil
}

// reportFollowed says what functions did that tables start.
func (a *app) reportFollowed(indent string, did []local.SyncReport) {
	for _, d := range did {
		line := indent + strings.TrimSpace(cmp.Or(d.Sync, d.Table)+" "+d.State) + ", " + figure(d.Rows) + " rows"
		if d.PausedUntil != nil {
			line += ", until " + d.PausedUntil.Format(time.RFC3339)
		}
		if d.Error != "" {
			line += ": " + short(d.Error, 400)
		}
		a.say("%s", line)
	}
}
