package reverse

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/millrace-data/millrace/shared/fault"
)

// PlanOptions say how a plan is made.
type PlanOptions struct {
	Full bool // compare every row with what stands at the destination, whatever was accepted before
}

// Plan runs the query, finds what it says anew since the destination last accepted
// it, compares that with what stands there, and stores what is left as a plan. It
// writes nothing at the destination, and holds few rows at a time. Where the newest
// plan that nobody has applied yet does just the same, it is that one.
//
// A job or query that cannot work is fault.Invalid; where the destination has too few
// requests left it is fault.Limited, with a time, and nothing was planned.
func (e *Engine) Plan(ctx context.Context, job Job, o PlanOptions) (*Plan, error) {
	return e.planned(ctx, job, o, readAll)
}

// planned is Plan with the number of changed rows above which all records are read.
func (e *Engine) planned(ctx context.Context, job Job, o PlanOptions, most int64) (*Plan, error) {
	began := time.Now()
	dest, err := e.Connect(ctx)
	if err != nil {
		return nil, err
	}
	defer closeDestination(dest) //nolint:errcheck // nothing was written
	conn, err := e.Warehouse.Session(ctx, "plan of sync "+job.Name)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	p := &planner{Engine: e, job: job, o: o, most: most, dest: dest, conn: conn,
		plan: &Plan{Sync: job.Name, Object: job.Object, Operation: job.Operation, Job: job, PlannedAt: e.Now().UTC()}}
	defer p.clean(ctx)
	if err := p.run(ctx); err != nil {
		return nil, err
	}
	e.Log.Info("plan", slog.String("sync", job.Name), slog.String("plan", p.plan.ID), slog.String("state", string(p.plan.State)),
		slog.Int64("rows", p.rows), slog.Int64("changed_rows", p.changed), slog.Int64("writes", p.plan.Writes()), slog.Int64("rejected", p.plan.Rejected), slog.Int64("took_ms", time.Since(began).Milliseconds()))
	return p.plan, nil
}

// planner makes one plan.
type planner struct {
	*Engine
	job    Job
	o      PlanOptions
	most   int64 // see readAll
	dest   Destination
	conn   *sql.Conn
	plan   *Plan
	object *Object
	key    Field
	cols   []column

	rows, changed int64 // of the query; of those that are looked at
	unkeyable     bool  // some rows have no key of their own
	whole         bool  // what stands at the destination is a table of the session
}

// column is a column of the query and the field that it feeds.
type column struct {
	name     string // of the job's file
	sql      string // as the query spells it, quoted
	field    Field  // by the name that the job gives it
	prefixes []string
}

// run does the steps of a plan, cheap ones first.
func (p *planner) run(ctx context.Context) error {
	for _, step := range []func(context.Context) error{p.describe, p.sources, p.desire, p.diff, p.live} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	b := beside{facts: p.facts}
	if p.job.Guards.Share != nil {
		b.records = func(ctx context.Context) (int64, error) { return p.dest.Count(ctx, p.job.Object) }
	}
	return p.save(ctx, p.conn, p.plan, p.compared(ctx), b)
}

// sources holds what the query reads against the guards, before it is read.
func (p *planner) sources(ctx context.Context) (err error) {
	p.plan.Blocked, err = p.inputs(ctx, p.job)
	return err
}

// describe asks what the destination takes.
func (p *planner) describe(ctx context.Context) (err error) {
	if p.object, err = p.dest.Describe(ctx, p.job.Object); err != nil {
		return err
	}
	if wrong := p.job.Check(p.object); len(wrong) > 0 {
		return errors.Join(wrong...)
	}
	if err := p.affordable(1); err != nil {
		return err
	}
	if p.key, err = p.lookup(p.job.ExternalID); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(p.job.Fields)) {
		f, err := p.lookup(p.job.Fields[name])
		if err != nil {
			return err
		}
		c := column{name: name, field: f}
		if c.prefixes, err = p.prefixes(ctx, f); err != nil {
			return err
		}
		p.cols = append(p.cols, c)
	}
	slices.SortFunc(p.cols, func(a, b column) int { return strings.Compare(a.field.Name, b.field.Name) })
	return nil
}

// lookup finds a field of the object.
func (p *planner) lookup(name string) (Field, error) {
	for _, f := range p.object.Fields {
		if f.Name == name {
			return f, nil
		}
	}
	if name == idField {
		return Field{Name: name, Type: IDType, Key: true, Unique: true, CaseSensitive: true}, nil
	}
	return Field{}, fault.New(fault.Invalid, "sync %s: %s has no field %s that this user can see; mend the job, or give the user access", p.job.Name, p.job.Object, name)
}

// mostObjects is how many objects are described for the ids of one field.
const mostObjects = 3

// prefixes are what ids in a field begin with; none where that is not known.
func (p *planner) prefixes(ctx context.Context, f Field) (out []string, err error) {
	if f.Type != IDType || len(f.References) > mostObjects {
		return nil, nil
	}
	for _, name := range f.References {
		o := p.object
		if name != o.Name {
			if o, err = p.dest.Describe(ctx, name); fault.Of(err) == fault.NotFound {
				return nil, nil
			}
			if err != nil {
				return nil, err
			}
		}
		if o.Prefix == "" {
			return nil, nil
		}
		out = append(out, o.Prefix)
	}
	return out, nil
}

const (
	reserve  = 20        // percent of the requests that are left to people, where the job says nothing
	recharge = time.Hour // until another try: requests of a rolling day come back bit by bit
	readKeys = 200       // records that one request reads by their keys, at least
	readPage = 2000      // records on a page of all
)

// affordable reports whether that many requests leave people their share.
func (p *planner) affordable(requests int64) error {
	b := p.dest.Budget()
	if b.Max == 0 {
		return nil
	}
	kept := b.Max * int64(cmp.Or(p.job.Reserve, reserve)) / 100
	if left := b.Max - kept - b.Used; requests > left {
		return fault.LimitedUntil(p.Now().Add(recharge), "sync %s: %d of %d requests are used, %d are kept for people, and the plan needs %d: nothing was planned; plan again later, or lower reserve in the job",
			p.job.Name, b.Used, b.Max, kept, requests)
	}
	return nil
}

func (e *Engine) point(name string) {
	if e.Point != nil {
		e.Point(name)
	}
}

func (e *Engine) progress(done, rows int64) {
	if e.Progress != nil {
		e.Progress(done, rows)
	}
}
