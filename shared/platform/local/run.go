package local

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"time"

	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/rest"
	"github.com/millrace-data/millrace/shared/warehouse"
)

// Request asks for a run of one function. A zero Now is the present. Of a function that
// tables start only Tables counts, as what it is to do: tables, or syncs.
type Request struct {
	Function string
	extract.Request
}

// The outcomes of a run, DESIGN.md §4.
const (
	OK      = "ok"
	Failed  = "failed"
	Paused  = "paused"
	Refused = "refused"
	Partial = "partial"
)

// Report is what `millrace run --json` prints.
type Report struct {
	Function    string        `json:"function"`
	Outcome     string        `json:"outcome"`
	Tables      []TableReport `json:"tables"` // those asked for, as the function declares them
	Requests    int64         `json:"requests"`
	Retries     int64         `json:"retries"`
	TookMS      int64         `json:"took_ms"`
	PausedUntil *time.Time    `json:"paused_until,omitempty"` // when the last of them may go on
	Errors      []SliceError  `json:"errors,omitempty"`       // a slice each

	Syncs     []SyncReport     `json:"syncs,omitempty"`     // what a function did that is no table
	Followers []FollowerReport `json:"followers,omitempty"` // what the run started; none that found nothing to do
}

// TableReport sums up the slices of one table that the run handled.
type TableReport struct {
	Table        string     `json:"table"` // without schema
	Slices       int        `json:"slices"`
	RowsSource   int64      `json:"rows_source"`
	RowsStaged   int64      `json:"rows_staged"`
	RowsRejected int64      `json:"rows_rejected"`
	RowsLoaded   int64      `json:"rows_loaded"`
	Mark         *time.Time `json:"mark"` // null where there is none
}

// SliceError says why a slice is not loaded.
type SliceError struct {
	Table string `json:"table"`
	Slice string `json:"slice"`
	State string `json:"state"` // failed, refused or paused
	Kind  string `json:"kind"`  // of the fault
	Error string `json:"error"`
}

// Run asks which slices are due, and serves events until every one of them has
// ended in the ledger. What went wrong with slices is in the report; the error is
// for a run that could not be made at all (fault.Invalid: its configuration or
// request) or was interrupted, in which case the report, if there is one, tells how
// far it came.
func (c *Cloud) Run(ctx context.Context, r Request) (*Report, error) {
	s, err := c.followers.find(r.Function)
	if err != nil {
		return nil, err
	}
	if s != nil {
		return c.runFollower(ctx, s, r)
	}
	f := c.functions[r.Function]
	if f == nil {
		return nil, fault.New(fault.Invalid, "there is no function %q; known are %s", r.Function, strings.Join(c.names(), ", "))
	}
	began := time.Now()
	if r.Now.IsZero() {
		r.Now = began.UTC()
	}
	tables, err := chosen(f, c.env, r.Now)
	if err != nil {
		return nil, err
	}
	before, done := c.costs.of(f.Name), c.followers.count()
	ticked, err := c.extract.Tick(ctx, f, r.Request)
	if err != nil {
		return nil, fmt.Errorf("plan the slices of %s: %w", f.Name, err)
	}
	c.log.Info("run started", "function", f.Name, "slices", len(ticked))
	settled := c.Settle(ctx)
	rep, err := c.report(context.WithoutCancel(ctx), f, asked(tables, r.Tables), ticked)
	if err != nil {
		return nil, errors.Join(settled, err)
	}
	after := c.costs.of(f.Name)
	rep.Requests, rep.Retries = after.requests-before.requests, after.retries-before.retries
	rep.Followers = c.reported(c.followers.since(done))
	rep.TookMS = time.Since(began).Milliseconds()
	c.log.Info("run ended", "function", f.Name, "outcome", rep.Outcome, "took_ms", rep.TookMS)
	return rep, settled
}

// Configured asks a function whether it has all it needs, without talking to the
// vendor. What is missing is one fault.Invalid.
func Configured(f *extract.Function, lookup env.Lookup, now time.Time) error {
	_, err := chosen(f, lookup, now)
	return err
}

// chosen is the tables that the configuration takes.
func chosen(f *extract.Function, lookup env.Lookup, now time.Time) ([]extract.Table, error) {
	src, err := f.Open(lookup, extract.Invocation{Meter: &rest.Meter{}, Now: now})
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, fmt.Errorf("function %s: %w", f.Name, err))
	}
	tables := f.Chosen(src)
	if c, ok := src.(io.Closer); ok {
		return tables, c.Close()
	}
	return tables, nil
}

// accompanied adds the slices of tables that are filled beside those of mine.
func accompanied(mine map[id]bool, tables []extract.Table) map[id]bool {
	out := maps.Clone(mine)
	for i := range mine {
		for _, t := range tables {
			if t.Beside == i.table {
				out[id{t.Name, i.slice}] = true
			}
		}
	}
	return out
}

// asked are the tables of a request, with those that their slices fill too.
func asked(all []extract.Table, names []string) (out []extract.Table) {
	leading := map[string]bool{}
	for _, t := range all {
		if wanted(names, t) {
			leading[cmp.Or(t.Beside, t.Name)] = true
		}
	}
	for _, t := range all {
		if leading[cmp.Or(t.Beside, t.Name)] {
			out = append(out, t)
		}
	}
	return out
}

// report reads from the ledger how the slices of a run ended.
func (c *Cloud) report(ctx context.Context, f *extract.Function, tables []extract.Table, ticked []extract.Slice) (*Report, error) {
	rep := &Report{Function: f.Name, Tables: []TableReport{}}
	mine := map[id]bool{}
	for _, s := range ticked {
		mine[id{s.Table, s.ID}] = true
	}
	mine = accompanied(mine, tables)
	var all tally
	err := c.sum(ctx, f.Name, tables, mine, rep, &all)
	rep.Outcome = all.outcome()
	return rep, err
}

// sum adds tables of a function to a report.
func (c *Cloud) sum(ctx context.Context, function string, tables []extract.Table, mine map[id]bool, rep *Report, all *tally) error {
	ledger, err := c.warehouse.Slices(ctx, function, "")
	if err != nil {
		return err
	}
	open, err := c.openRejects(ctx, function)
	if err != nil {
		return err
	}
	for _, t := range tables {
		tr := TableReport{Table: t.Name}
		for _, s := range ledger {
			if s.Table == t.Name && mine[id{s.Table, s.ID}] {
				tr.add(s)
				all.add(s, open[id{s.Table, s.ID}])
				rep.note(s)
			}
		}
		m, err := c.warehouse.Mark(ctx, function, t.Name)
		if err != nil {
			return err
		}
		tr.Mark = instant(m.At)
		rep.Tables = append(rep.Tables, tr)
	}
	return nil
}

type id struct{ table, slice string }

// openRejects is the slices that have rejects nobody dealt with.
func (c *Cloud) openRejects(ctx context.Context, function string) (map[id]bool, error) {
	rows, err := c.warehouse.DB().QueryContext(ctx, `SELECT DISTINCT "table_name", "slice" FROM "millrace"."rejects" WHERE "function" = ? AND "state" = 'open'`, function)
	if err != nil {
		return nil, fmt.Errorf("open rejects of %s: %w", function, err)
	}
	defer rows.Close()
	open := map[id]bool{}
	for rows.Next() {
		var i id
		if err := rows.Scan(&i.table, &i.slice); err != nil {
			return nil, err
		}
		open[i] = true
	}
	return open, rows.Err()
}

func wanted(tables []string, t extract.Table) bool {
	for _, name := range tables {
		if name == t.Name || name == t.FullName() {
			return true
		}
	}
	return len(tables) == 0
}

func (t *TableReport) add(s warehouse.Slice) {
	t.Slices++
	t.RowsSource += s.RowsSource
	t.RowsStaged += s.RowsStaged
	t.RowsRejected += s.RowsRejected
	t.RowsLoaded += s.RowsLoaded
}

// note keeps why a slice is not loaded.
func (r *Report) note(s warehouse.Slice) {
	if s.State == warehouse.Loaded {
		return
	}
	if s.State == warehouse.Paused && (r.PausedUntil == nil || s.Until.After(*r.PausedUntil)) {
		r.PausedUntil = instant(s.Until)
	}
	r.Errors = append(r.Errors, SliceError{Table: s.Table, Slice: s.ID, State: s.State,
		Kind: s.ErrorKind, Error: cmp.Or(s.Error, "the slice is still "+s.State+": run the function again")})
}

func instant(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// tally counts how slices ended.
type tally struct {
	slices, loaded, paused, refused, failed int
	rejects                                 bool
}

func (t *tally) add(s warehouse.Slice, rejects bool) {
	t.slices++
	switch s.State {
	case warehouse.Loaded:
		t.loaded++
		t.rejects = t.rejects || rejects
	case warehouse.Paused:
		t.paused++
	case warehouse.Refused:
		t.refused++
	default: // failed, or cut off
		t.failed++
	}
}

// outcome is the one word for all slices. Where something failed or was refused
// while something else was loaded it is partial; a pause has a time of its own
// and is no failure.
func (t tally) outcome() string {
	switch {
	case t.failed+t.refused > 0 && t.loaded > 0:
		return Partial
	case t.failed > 0:
		return Failed
	case t.refused > 0:
		return Refused
	case t.paused > 0:
		return Paused
	case t.rejects:
		return Partial
	}
	return OK
}
