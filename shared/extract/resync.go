package extract

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"time"

	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/record"
	"github.com/millrace-data/millrace/shared/rest"
	"github.com/millrace-data/millrace/shared/span"
	"github.com/millrace-data/millrace/shared/warehouse"
)

// The gate of a re-sync: of the removed, and of the changed, more than mostRows
// AND more than mostPercent of the live rows need a person's consent.
const (
	mostRows    = 100
	mostPercent = 10
)

// TableResync reads one table anew into its shadow, proves what differs, and swaps the
// shadow in. The shadow is a table like any other: it has slices in the ledger under
// its own name, so that reading it can stop anywhere and go on. A run of
// [TableResync.Function] reads it.
//
//	Prepare, run Function, Finish; and all three again where that is ErrBehind.
type TableResync struct {
	Warehouse *warehouse.Warehouse // that holds both; to be set before anything but Function is called
	Point     func(name string)    // crash points of the tests: in_swap_before_data, in_swap_before_commit, after_swap; nil otherwise

	f        *Function
	live     Table
	shadow   Table
	now      time.Time
	began    time.Time // of the last Prepare, on the real clock
	prepared bool
}

// NewResync looks whether a table can be re-synced: fault.Invalid for one whose
// past the vendor does not give twice, for one that is filled together with
// others, and where configuration is missing. now is the run's one clock.
func NewResync(f *Function, lookup env.Lookup, table string, now time.Time) (*TableResync, error) {
	src, err := f.Open(lookup, Invocation{Meter: &rest.Meter{}, Now: now})
	if err != nil {
		return nil, err
	}
	defer closeSource(src)
	all := f.Chosen(src)
	t, err := f.table(all, table)
	if err != nil {
		return nil, err
	}
	switch {
	case t.Once:
		err = fault.New(fault.Invalid, "%s cannot be re-synced: the vendor does not give again what it gave once", t.FullName())
	case t.Mode == record.History:
		err = fault.New(fault.Invalid, "%s cannot be re-synced: it keeps history, and what the vendor gives now holds none; a run of the function brings it up to date", t.FullName())
	case t.Beside != "" || len(beside(all, t)) > 0:
		err = fault.New(fault.Invalid, "%s cannot be re-synced alone: the slices of %s fill several tables at once; read them again with millrace backfill", t.FullName(), cmp.Or(t.Beside, t.Name))
	}
	r := &TableResync{f: f, live: t, shadow: t.shadowed(), now: now.UTC(), began: time.Now()}
	return r, err
}

// shadowed is the table that a re-sync of t fills.
func (t Table) shadowed() Table {
	s := t
	s.Name, s.shadowOf = t.Name+warehouse.ShadowSuffix, t.Name
	if g := t.Gone; g != nil && g.Table == t.Name { // the shadow loses the rows that the live table loses
		s.Gone = &record.Gone{Table: s.Name, Named: g.Named, Column: g.Column}
	} else {
		s.Gone = nil // what a shadow names is no reason yet to delete from a live table
	}
	return s
}

// Function fills the shadow, and nothing else, from the same vendor.
func (r *TableResync) Function() *Function {
	f := *r.f
	f.Tables = []Table{r.shadow}
	f.Open = func(lookup env.Lookup, in Invocation) (Source, error) {
		src, err := r.f.Open(lookup, in)
		if err != nil {
			return nil, err
		}
		return double{src, r}, nil
	}
	return &f
}

// double asks a Source for the live table's rows, to fill the shadow.
type double struct {
	Source
	r *TableResync
}

func (d double) Tables() []Table { return []Table{d.r.shadow} }

func (d double) Read(ctx context.Context, s Slice, out *Out) error {
	s.Table = d.r.live.Name
	return d.Source.Read(ctx, s, out)
}

func (d double) Objects(ctx context.Context, w Wish) iter.Seq2[Object, error] {
	l, ok := d.Source.(Lister)
	if !ok {
		return func(yield func(Object, error) bool) {
			yield(Object{}, fault.New(fault.Invalid, "table %s is cut by objects but its source lists none", d.r.live.Name))
		}
	}
	w.Table = d.r.live.Name
	return l.Objects(ctx, w)
}

func (d double) Close() error {
	if c, ok := d.Source.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

func (r *TableResync) pair() warehouse.Resync {
	return warehouse.Resync{Function: r.f.Name, Ledger: r.live.Name, Table: r.live.Table, Now: r.now, Point: r.Point}
}

func (r *TableResync) ledgers(ctx context.Context) (live, shadow []warehouse.Slice, err error) {
	if live, err = r.Warehouse.Slices(ctx, r.f.Name, r.live.Name); err == nil {
		shadow, err = r.Warehouse.Slices(ctx, r.f.Name, r.shadow.Name)
	}
	return live, shadow, err
}

// Waiting reports whether a shadow is there that an earlier re-sync has begun.
func (r *TableResync) Waiting(ctx context.Context) (bool, error) {
	_, shadow, err := r.ledgers(ctx)
	return len(shadow) > 0, err
}

// Discard forgets the shadow.
func (r *TableResync) Discard(ctx context.Context) error { return r.Warehouse.Discard(ctx, r.pair()) }

// Prepare makes the shadow, or finds the one whose reading was cut off, and plans
// for it what the live table covers. What has become due since is planned by the
// run. A shadow that was read to its end by an earlier re-sync is read anew. A live
// table that nothing was ever loaded into is fault.Invalid.
func (r *TableResync) Prepare(ctx context.Context) error {
	first := !r.prepared
	r.began, r.prepared = time.Now(), true
	live, shadow, err := r.ledgers(ctx)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(live, isLoaded) {
		return fault.New(fault.Invalid, "nothing was ever loaded into %s: run %s first", r.live.FullName(), r.f.Name)
	}
	unread := func(s warehouse.Slice) bool { return !isLoaded(s) }
	if len(shadow) == 0 || first && !slices.ContainsFunc(shadow, unread) { // a table without a ledger was left behind by a swap
		if err := r.Discard(ctx); err != nil {
			return err
		}
	}
	if _, err := r.Warehouse.Ensure(ctx, r.shadow.Table); err != nil {
		return err
	}
	return r.Warehouse.Plan(ctx, r.seeds(live))
}

func isLoaded(s warehouse.Slice) bool { return !s.LoadedAt.IsZero() }

// seeds are the windows of the live table, under the same ids, so that a later
// reading of one replaces its own rows. Windows that others cover are left out.
func (r *TableResync) seeds(live []warehouse.Slice) (out []warehouse.Slice) {
	live = slices.Clone(live)
	slices.SortStableFunc(live, func(a, b warehouse.Slice) int { return cmp.Or(a.From.Compare(b.From), b.To.Compare(a.To)) })
	var have []span.Span
	for _, s := range live {
		w := span.Span{From: s.From, To: s.To}
		if w.Empty() || !isLoaded(s) || len(span.Gaps(w, have)) == 0 {
			continue
		}
		have = append(have, w)
		out = append(out, warehouse.Slice{Function: r.f.Name, Table: r.shadow.Name, ID: s.ID, Purpose: s.Purpose, From: s.From, To: s.To})
	}
	return out
}

// behind reports whether the live table was read later than the shadow, and makes
// due again what must be read once more for that: else the swap would take the
// table back.
func (r *TableResync) behind(ctx context.Context) (bool, error) {
	live, shadow, err := r.ledgers(ctx)
	if err != nil {
		return false, err
	}
	live = slices.DeleteFunc(live, func(s warehouse.Slice) bool { return !isLoaded(s) })
	shadow = slices.DeleteFunc(shadow, func(s warehouse.Slice) bool { return !isLoaded(s) })
	late, again := false, map[string]bool{}
	for _, s := range live {
		after, ids := r.late(s, shadow)
		late = late || after
		for _, id := range ids {
			again[id] = true
		}
	}
	switch {
	case !late || len(again) == 0:
		return late, nil
	case r.live.Slices.Kind == "scans": // a scan into what an older one left would keep rows that are gone
		return true, r.Discard(ctx)
	}
	var ids []string
	for id := range again {
		ids = append(ids, id)
	}
	return true, r.Warehouse.Owe(ctx, r.pair(), ids)
}

// late reports whether a live slice was read after what the shadow has of it, and
// which of the shadow's slices that makes old.
func (r *TableResync) late(s warehouse.Slice, shadow []warehouse.Slice) (late bool, old []string) {
	var fresh []span.Span
	w := span.Span{From: s.From, To: s.To}
	known := false
	for _, d := range shadow {
		v := span.Span{From: d.From, To: d.To}
		switch {
		case w.Empty() && r.live.Slices.Kind == "objects" && d.ID != s.ID:
			continue
		case !w.Empty() && (!v.From.Before(w.To) || !w.From.Before(v.To)):
			continue
		}
		known = true
		if d.ClaimedAt.Before(s.ClaimedAt) {
			old = append(old, d.ID)
		} else {
			fresh = append(fresh, v)
		}
	}
	switch {
	case !w.Empty():
		return len(span.Gaps(w, fresh)) > 0, old
	case len(fresh) > 0:
		return false, nil
	case r.live.Slices.Kind == "objects" && !known: // the vendor no longer lists it, unless it is newer than our list
		return s.ClaimedAt.After(r.began), nil
	}
	return true, old
}

// Verdict is how a re-sync ended.
type Verdict struct {
	warehouse.Difference
	Outcome string   // warehouse.Swapped, Same, Compared or Refused
	Why     []string // of Refused: one sentence each
}

// Choice is what a person decided before.
type Choice struct {
	Accept string // ID of the difference that may be swapped in, whatever its size; "" = the gate decides
	DryRun bool   // compare and judge, and leave everything as it is
}

// Finish compares, judges, and swaps the shadow in. Where nothing differs, or after
// the swap, the shadow is gone; else it stays, to be accepted. fault.Stale means that
// slices were claimed or loaded again and again meanwhile.
func (r *TableResync) Finish(ctx context.Context, c Choice) (Verdict, error) {
	const tries = 3
	for try := 1; ; try++ {
		v, err := r.finish(ctx, c)
		if !errors.Is(err, fault.Stale) || try == tries {
			return v, err
		}
	}
}

// ErrBehind says that the live table was read after its shadow: prepare, run and
// finish again. fault.Transient.
var ErrBehind = fault.New(fault.Transient, "slices of the live table were read after those of its shadow: run the same command again")

func (r *TableResync) finish(ctx context.Context, c Choice) (v Verdict, err error) {
	if v.Difference, err = r.Warehouse.Compare(ctx, r.pair()); err != nil {
		return v, err
	}
	if behind, err := r.behind(ctx); err != nil || behind {
		return v, cmp.Or(err, ErrBehind)
	}
	v.Why = judge(v.Difference, c.Accept)
	switch {
	case v.None():
		v.Outcome, v.Why = warehouse.Same, nil
	case len(v.Why) > 0:
		v.Outcome = warehouse.Refused
	case c.DryRun:
		v.Outcome = warehouse.Compared
	default:
		v.Outcome = warehouse.Swapped
		return v, r.Warehouse.Swap(ctx, r.pair(), v.Difference)
	}
	var cause error
	for _, why := range v.Why {
		cause = errors.Join(cause, fault.New(fault.Refused, "%s", why))
	}
	err = r.Warehouse.RecordResync(ctx, r.pair(), v.Difference, v.Outcome, cause)
	if err == nil && v.None() && !c.DryRun {
		err = r.Discard(ctx)
	}
	return v, err
}

// judge is the gate: why a difference may not be swapped in without consent.
func judge(d warehouse.Difference, accept string) (why []string) {
	if accept == d.ID {
		return nil
	}
	if accept != "" {
		why = append(why, fmt.Sprintf("%s was accepted, but the difference is %s", accept, d.ID))
	}
	if d.Shadow == 0 && d.Live > 0 {
		why = append(why, fmt.Sprintf("the vendor gave no rows at all; the table has %d", d.Live))
	}
	for _, n := range []struct {
		kind string
		rows int64
	}{{"removed", d.Removed}, {"changed", d.Changed}} {
		if n.rows > mostRows && n.rows*100 > mostPercent*d.Live {
			why = append(why, fmt.Sprintf("%d of %d rows would be %s: more than %d, and more than %d %%", n.rows, d.Live, n.kind, mostRows, mostPercent))
		}
	}
	return why
}
