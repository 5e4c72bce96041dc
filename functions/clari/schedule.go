package clari

import (
	"slices"
	"strings"
	"time"

	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/fault"
)

// export is what one job is asked for. The day is the run's that first wanted it.
type export struct{ forecast, quarter, mode, day string }

// The modes of an export.
const (
	latest   = "latest"   // the current week of the quarter
	history  = "history"  // all its weeks so far
	backfill = "backfill" // the same, for a person who knows what it leaves out
)

func (e export) name() string { return e.forecast + "/" + e.quarter + "/" + e.mode }

// object is the export as a slice. What is queued or in doubt comes first, what is new
// by day.
func (e export) object(fresh bool) extract.Object {
	o := extract.Object{Name: e.name(), ETag: e.day}
	if day, err := time.Parse(time.DateOnly, e.day); err == nil && fresh {
		o.Created = day
	}
	return o
}

func (e export) same(o export) bool { return e.forecast == o.forecast && e.quarter == o.quarter }

// parse is the reverse of object.
func parse(name, day string) (export, error) {
	if p := strings.Split(name, "/"); len(p) == 3 {
		return export{p[0], p[1], p[2], day}, nil
	}
	return export{}, fault.New(fault.Invalid, "slice %s@%s is no export: want FORECAST/QUARTER/MODE", name, day)
}

// history reports whether all weeks of the quarter are wanted: also where an export
// is late, because its own week may be over.
func (e export) history(now time.Time) bool {
	return e.mode != latest || e.day < now.UTC().Format(time.DateOnly)
}

// inadvisable is why a backfill needs a second thought.
const inadvisable = "a past quarter can be exported, but Clari leaves out of it everybody who is not opted in today, so that people who left are missing, and each quarter costs one export of the quota; rows that are there are kept. To do it all the same: millrace backfill clari --i-know --from D --to D"

// due lists the exports that a run asks for: those of the calendar, those of earlier
// days that were not done, and those of a quarter's first day that nobody asked for.
func (t *tenant) due(w extract.Wish) (due []extract.Object, err error) {
	known, open := t.known(w)
	if w.Purpose != extract.Live || !w.From.IsZero() {
		return t.past(w, open)
	}
	for _, e := range t.today(w.Now, known) {
		// One that is open and not queued is as good as today's, and is read late.
		instead := func(o waiting) bool { return o.export == e || o.same(e) && !o.queued && o.mode != backfill }
		if !slices.ContainsFunc(open, instead) {
			due = append(due, e.object(true))
		}
	}
	for _, o := range open {
		// A backfill costs quota only as often as a person asks for it.
		if o.mode != backfill || o.queued {
			due = append(due, o.object(!o.queued))
		}
	}
	return due, nil
}

// past lists the exports of a backfill. One that an earlier day's left open is
// finished instead of a new one.
func (t *tenant) past(w extract.Wish, open []waiting) (due []extract.Object, err error) {
	switch {
	case w.Purpose == extract.Resync:
		return nil, fault.New(fault.Invalid, "clari is not re-synced: an export leaves out everybody who is not opted in today, and a table made of it would lose them")
	case !w.IKnow:
		return nil, fault.New(fault.Invalid, "%s", inadvisable)
	case w.From.IsZero():
		return nil, fault.New(fault.Invalid, "a backfill of clari needs --from: each quarter costs one export")
	}
	for _, q := range t.calendar.between(w.From, w.To, w.Now) {
		for _, f := range t.forecasts {
			e := export{f, q.ID, backfill, w.Now.UTC().Format(time.DateOnly)}
			if i := slices.IndexFunc(open, func(o waiting) bool { return o.name() == e.name() }); i >= 0 {
				e = open[i].export
			}
			due = append(due, e.object(false)) // the range is looked at here
		}
	}
	return due, nil
}

// waiting is an export of the ledger that is not loaded.
type waiting struct {
	export
	queued bool
}

// known is what the ledger has of the forecasts that are configured.
func (t *tenant) known(w extract.Wish) (known []export, open []waiting) {
	for _, k := range w.Known {
		e, err := parse(k.Name, k.ETag)
		if err != nil || !slices.Contains(t.forecasts, e.forecast) {
			continue
		}
		known = append(known, e)
		if !k.Loaded {
			open = append(open, waiting{e, k.Started})
		}
	}
	return known, open
}

// today is the calendar: the current and the next quarter, on a quarter's first day
// the previous and the new one with all their weeks. Where the function was down on
// that day, they are made up for.
func (t *tenant) today(now time.Time, known []export) (out []export) {
	c := t.calendar
	current, day := c.at(now), now.UTC().Format(time.DateOnly)
	first := current.Start.Format(time.DateOnly)
	for _, f := range t.forecasts {
		begun := slices.ContainsFunc(known, func(e export) bool { return e.forecast == f && e.day < first })
		for _, q := range []quarter{c.previous(current), current} {
			e := export{f, q.ID, history, first}
			if day == first || begun && !slices.Contains(known, e) {
				out = append(out, e)
			}
		}
		if day != first {
			out = append(out, export{f, current.ID, latest, day}, export{f, c.next(current).ID, latest, day})
		}
	}
	return out
}
