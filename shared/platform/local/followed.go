package local

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/follow"
	"github.com/millrace-data/millrace/shared/reverse"
	"github.com/millrace-data/millrace/shared/warehouse"
)

// SyncReport is how one thing ended that a function did which tables start: a sync,
// or, where the function was started by a run of another, a table.
type SyncReport struct {
	Sync        string     `json:"sync,omitempty"`
	Table       string     `json:"table,omitempty"` // schema.table
	State       string     `json:"state"`           // of the plan or the slice
	Rows        int64      `json:"rows"`            // written
	PausedUntil *time.Time `json:"paused_until,omitempty"`
	Kind        string     `json:"kind,omitempty"` // of the fault
	Error       string     `json:"error,omitempty"`
}

// FollowerReport is what one function did that a run started. It is no part of how
// the run itself ended.
type FollowerReport struct {
	Function string       `json:"function"`
	Outcome  string       `json:"outcome"`
	Tables   []SyncReport `json:"tables,omitempty"`
	Syncs    []SyncReport `json:"syncs,omitempty"`
}

// Idle reports whether the run of a function that tables start found nothing to do.
func (r *Report) Idle() bool {
	return len(r.Syncs) == 0 && !slices.ContainsFunc(r.Tables, func(t TableReport) bool { return t.Slices > 0 })
}

// reported sums up what followers did, by function and in the order of the list.
func (c *Cloud) reported(did []deed) (out []FollowerReport) {
	for _, d := range c.followers.declared {
		rep := FollowerReport{Function: d.Name}
		var all words
		for _, o := range c.newest(did, d.Name) {
			all.add(word(o))
			r := described(o)
			if _, isTable := c.followers.tableOf(d.Name, o.Name); isTable {
				r.Table, r.Sync = r.Sync, ""
				rep.Tables = append(rep.Tables, r)
			} else {
				rep.Syncs = append(rep.Syncs, r)
			}
		}
		if rep.Outcome = all.outcome(); len(all) > 0 {
			out = append(out, rep)
		}
	}
	return out
}

// newest is how the things of a function ended last. What a sync wrote adds up; a
// table has the rows that it has.
func (c *Cloud) newest(did []deed, function string) (out []follow.Outcome) {
	for _, d := range did {
		if d.function != function {
			continue
		}
		i := slices.IndexFunc(out, func(o follow.Outcome) bool { return o.Name == d.Name })
		if i < 0 {
			out = append(out, d.Outcome)
			continue
		}
		before := out[i].Rows
		out[i] = d.Outcome
		if _, isTable := c.followers.tableOf(function, d.Name); !isTable {
			out[i].Rows += before
		}
	}
	return out
}

func described(o follow.Outcome) SyncReport {
	r := SyncReport{Sync: o.Name, State: o.State, Rows: o.Rows, PausedUntil: instant(o.Until)}
	if o.Err != nil {
		r.Kind, r.Error = fault.Of(o.Err).Error(), o.Err.Error()
	}
	return r
}

// followed is the report of a follower that was started itself.
func (c *Cloud) followed(ctx context.Context, function string, before int) (*Report, error) {
	did := c.followers.since(before)
	rep := &Report{Function: function, Tables: []TableReport{}}
	rep.Followers = c.reported(slices.DeleteFunc(slices.Clone(did), func(d deed) bool { return d.function == function }))
	if err := c.standing(ctx, rep); err != nil {
		return nil, err
	}
	var all words
	for _, o := range c.newest(did, function) {
		all.add(word(o))
		if until := instant(o.Until); until != nil && (rep.PausedUntil == nil || until.After(*rep.PausedUntil)) {
			rep.PausedUntil = until
		}
		table, isTable := c.followers.tableOf(function, o.Name)
		if !isTable {
			rep.Syncs = append(rep.Syncs, described(o))
			continue
		}
		if i := slices.IndexFunc(rep.Tables, func(t TableReport) bool { return t.Table == table }); i >= 0 {
			rep.Tables[i].did(o)
		}
		if o.Err != nil {
			rep.Errors = append(rep.Errors, SliceError{Table: table, State: o.State, Kind: fault.Of(o.Err).Error(), Error: o.Err.Error()})
		}
	}
	rep.Outcome = all.outcome()
	return rep, nil
}

// standing lists the tables of a follower with their marks.
func (c *Cloud) standing(ctx context.Context, rep *Report) error {
	for _, d := range c.followers.declared {
		if d.Name != rep.Function {
			continue
		}
		for _, t := range d.Tables {
			m, err := c.warehouse.Mark(ctx, d.Name, t.Name)
			if err != nil {
				return err
			}
			rep.Tables = append(rep.Tables, TableReport{Table: t.Name, Mark: instant(m.At)})
		}
	}
	return nil
}

// did counts a table that a follower filled: a model rejects nothing on its way.
func (t *TableReport) did(o follow.Outcome) {
	t.Slices++
	t.RowsSource, t.RowsStaged = t.RowsSource+o.Rows, t.RowsStaged+o.Rows
	if o.State == warehouse.Loaded {
		t.RowsLoaded += o.Rows
	}
}

// word is how one thing ended, in the words of a run. A plan that waits for its
// approval is as it should be.
func word(o follow.Outcome) string {
	switch o.State {
	case warehouse.Paused:
		return Paused
	case warehouse.Refused, string(reverse.PlanBlocked):
		return Refused
	case warehouse.Failed:
		return Failed
	case string(reverse.PlanApplied): // whatever kind the error has, it is about some of the rows
		if o.Err != nil {
			return Partial
		}
		return OK
	}
	switch fault.Of(o.Err) {
	case nil:
		return OK
	case fault.Limited:
		return Paused
	case fault.Refused:
		return Refused
	}
	if o.Rows > 0 {
		return Partial
	}
	return Failed
}

// words are the outcomes of several things.
type words []string

func (w *words) add(word string) { *w = append(*w, word) }

// outcome is the one word for all, by the rules of a run's slices.
func (w words) outcome() string {
	some := slices.Contains(w, OK) || slices.Contains(w, Partial)
	worst := ""
	for _, is := range []string{Failed, Refused, Paused, Partial} {
		if slices.Contains(w, is) {
			worst = cmp.Or(worst, is)
		}
	}
	if some && (worst == Failed || worst == Refused) {
		return Partial
	}
	return cmp.Or(worst, OK)
}
