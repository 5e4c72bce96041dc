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
	latest  = "latest"  // the current week of the quarter
	history = "history" // all its weeks so far
)

func (e export) name() string { return e.forecast + "/" + e.quarter + "/" + e.mode }

func (e export) object() extract.Object { return extract.Object{Name: e.name(), ETag: e.day} }

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
	return e.mode == history || e.day < now.UTC().Format(time.DateOnly)
}

// inadvisable is why a backfill needs a second thought.
const inadvisable = "a past quarter can be exported, but Clari leaves out of it everybody who is not opted in today, so that people who left are missing, and each quarter costs one export of the quota; rows that are there are kept. To do it all the same: millrace backfill clari --i-know --from D --to D"

// due lists the exports that a run asks for: those of the calendar, those of earlier
// days that were not done, and those of a quarter's first day that nobody asked for.
func (t *tenant) due(w extract.Wish) (due []export, err error) {
	day := w.Now.UTC().Format(time.DateOnly)
	if w.Purpose != extract.Live || !w.From.IsZero() {
		if !w.IKnow {
			return nil, fault.New(fault.Invalid, "%s", inadvisable)
		}
		for _, q := range t.calendar.between(w.From, w.To, w.Now) {
			due = append(due, t.all(q.ID, history, day)...)
		}
		return due, nil
	}
	known, open := t.known(w)
	for _, e := range t.today(w.Now, known) {
		// One that is open and not queued is as good as today's, and is read late.
		if !slices.ContainsFunc(open, func(o waiting) bool { return o.same(e) && !o.queued }) {
			due = append(due, e)
		}
	}
	for _, o := range open {
		if !slices.Contains(due, o.export) {
			due = append(due, o.export)
		}
	}
	return due, nil
}

func (t *tenant) all(quarter, mode, day string) (out []export) {
	for _, f := range t.forecasts {
		out = append(out, export{f, quarter, mode, day})
	}
	return out
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
