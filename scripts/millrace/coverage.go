package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/span"
	"github.com/millrace-data/millrace/shared/warehouse"
)

// statusReport is what `millrace status --json` prints.
type statusReport struct {
	Warehouse string           `json:"warehouse"`
	At        time.Time        `json:"at"`
	Functions []functionStatus `json:"functions"`
}

type functionStatus struct {
	Function string        `json:"function"`
	Tables   []tableStatus `json:"tables"` // as declared
}

type tableStatus struct {
	Table       string         `json:"table"`
	Mark        *time.Time     `json:"mark"`
	LagSeconds  *int64         `json:"lag_seconds"` // clock minus mark; null without a mark
	Coverage    []window       `json:"coverage"`    // time in committed slices; of tables cut by windows
	Gaps        []window       `json:"gaps"`        // time between the first and the last known slice that is not covered
	Slices      map[string]int `json:"slices"`      // by state
	Rows        int64          `json:"rows_loaded"` // by the slices that are loaded now
	OpenRejects int64          `json:"open_rejects"`
	HeldBy      []holder       `json:"held_by,omitempty"` // slices whose open rejects hold the mark
	LastOutcome string         `json:"last_outcome"`      // of the newest invocation, "" where there is none
	LastAt      *time.Time     `json:"last_at"`
	Errors      []sliceError   `json:"errors"` // slices that failed, were refused or are paused
	Next        []string       `json:"next"`   // commands
}

type window struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

// holder is a slice that lacks rows.
type holder struct {
	Slice   string `json:"slice"`
	Rejects int64  `json:"rejects"`
}

type sliceError struct {
	Slice string     `json:"slice"`
	State string     `json:"state"`
	Kind  string     `json:"kind"`
	Error string     `json:"error"`
	Until *time.Time `json:"paused_until,omitempty"`
}

func (f functionStatus) ran() bool {
	return slices.ContainsFunc(f.Tables, func(t tableStatus) bool { return len(t.Slices) > 0 })
}

func (t tableStatus) last() string {
	if t.LastOutcome == "" {
		return "-"
	}
	return t.LastOutcome + " " + t.LastAt.Format("2006-01-02 15:04Z")
}

// readStatus reads what the control tables say about a function.
func readStatus(ctx context.Context, w *warehouse.Warehouse, f *extract.Function, now time.Time) (functionStatus, error) {
	out := functionStatus{Function: f.Name}
	ledger, err := w.Slices(ctx, f.Name, "")
	if err != nil {
		return out, err
	}
	rejects, err := openRejects(ctx, w, f.Name)
	if err != nil {
		return out, err
	}
	held, err := holds(ctx, w, f.Name)
	if err != nil {
		return out, err
	}
	last, err := lastRuns(ctx, w, f.Name)
	if err != nil {
		return out, err
	}
	for _, t := range f.Tables {
		ts := tableStatus{Table: t.Name, OpenRejects: rejects[t.Name], LastOutcome: last[t.Name].outcome, LastAt: last[t.Name].at,
			Coverage: []window{}, Gaps: []window{}, Slices: map[string]int{}, Errors: []sliceError{}, Next: []string{}}
		m, err := w.Mark(ctx, f.Name, t.Name)
		if err != nil {
			return out, err
		}
		if !m.At.IsZero() {
			behind := int64(now.Sub(m.At).Seconds())
			ts.Mark, ts.LagSeconds = &m.At, &behind
		}
		if !t.Pass && t.Slices.Kind != "objects" { // objects have no mark
			ts.HeldBy = held[t.Name]
		}
		ts.fold(ledger)
		ts.advise(f.Name)
		out.Tables = append(out.Tables, ts)
	}
	return out, nil
}

// fold takes the table's rows of the ledger.
func (t *tableStatus) fold(ledger []warehouse.Slice) {
	var known, loaded []span.Span
	for _, s := range ledger {
		if s.Table != t.Table {
			continue
		}
		t.Slices[s.State]++
		if s.State == warehouse.Loaded {
			t.Rows += s.RowsLoaded
		}
		if w := (span.Span{From: s.From, To: s.To}); !w.Empty() {
			known = append(known, w)
			if !s.LoadedAt.IsZero() {
				loaded = append(loaded, w)
			}
		}
		t.trouble(s)
	}
	if known = span.Union(known); len(known) > 0 {
		t.Coverage = windows(span.Union(loaded))
		t.Gaps = windows(span.Gaps(span.Span{From: known[0].From, To: known[len(known)-1].To}, loaded))
	}
}

func (t *tableStatus) trouble(s warehouse.Slice) {
	if s.State != warehouse.Failed && s.State != warehouse.Refused && s.State != warehouse.Paused {
		return
	}
	e := sliceError{Slice: s.ID, State: s.State, Kind: s.ErrorKind, Error: s.Error}
	if !s.Until.IsZero() {
		e.Until = &s.Until
	}
	t.Errors = append(t.Errors, e)
}

func windows(spans []span.Span) []window {
	out := []window{}
	for _, s := range spans {
		out = append(out, window{s.From, s.To})
	}
	return out
}

// advise says which command mends what is wrong.
func (t *tableStatus) advise(function string) {
	run := "millrace run " + function + " --table " + t.Table
	var paused *time.Time
	refused, mend := "", ""
	for _, e := range t.Errors {
		switch e.State {
		case warehouse.Paused:
			paused = e.Until
		case warehouse.Refused:
			refused = e.Slice
		}
		if e.Kind == fault.Auth.Error() || e.Kind == fault.Invalid.Error() {
			mend = "millrace doctor"
		}
	}
	if refused != "" {
		t.Next = append(t.Next, fmt.Sprintf(`millrace query "select rule, observed, expected, verdict from millrace.checks where table_name = '%s' and slice = '%s'"`, t.Table, refused))
	}
	if mend != "" {
		t.Next = append(t.Next, mend)
	}
	undone := t.Slices[warehouse.Planned] + t.Slices[warehouse.Extracting] + t.Slices[warehouse.Staged] + len(t.Errors)
	switch {
	case paused != nil:
		t.Next = append(t.Next, run+"   (not before "+paused.Format(time.RFC3339)+")")
	case undone > 0:
		t.Next = append(t.Next, run)
	case len(t.Gaps) > 0:
		t.Next = append(t.Next, fmt.Sprintf("millrace backfill %s --table %s --from %s --to %s", function, t.Table,
			t.Gaps[0].From.Format(time.RFC3339), t.Gaps[len(t.Gaps)-1].To.Format(time.RFC3339)))
	}
	if t.OpenRejects > 0 {
		t.Next = append(t.Next, "millrace rejects list "+function+" --table "+t.Table)
	}
}

func openRejects(ctx context.Context, w *warehouse.Warehouse, function string) (map[string]int64, error) {
	rows, err := w.DB().QueryContext(ctx, `SELECT "table_name", count(*) FROM "millrace"."rejects" WHERE "function" = ? AND "state" = 'open' GROUP BY 1`, function)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := map[string]int64{}
	for rows.Next() {
		var table string
		var n int64
		if err := rows.Scan(&table, &n); err != nil {
			return nil, err
		}
		out[table] = n
	}
	return out, rows.Err()
}

// holds is the slices of each table whose open rejects hold the mark.
func holds(ctx context.Context, w *warehouse.Warehouse, function string) (map[string][]holder, error) {
	rows, err := w.DB().QueryContext(ctx, `SELECT "table_name", "slice", count(*) FROM "millrace"."rejects" WHERE "function" = ? AND `+warehouse.Holds+` GROUP BY 1, 2 ORDER BY 1, 2`, function)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := map[string][]holder{}
	for rows.Next() {
		var table string
		var h holder
		if err := rows.Scan(&table, &h.Slice, &h.Rejects); err != nil {
			return nil, err
		}
		out[table] = append(out[table], h)
	}
	return out, rows.Err()
}

type lastRun struct {
	outcome string
	at      *time.Time
}

// lastRuns is the newest invocation of each table.
func lastRuns(ctx context.Context, w *warehouse.Warehouse, function string) (map[string]lastRun, error) {
	rows, err := w.DB().QueryContext(ctx, `SELECT "table_name", "outcome", "started_at" FROM (SELECT *, row_number() OVER (PARTITION BY "table_name" ORDER BY "started_at" DESC) AS "newest" FROM "millrace"."runs" WHERE "function" = ?) r WHERE "newest" = 1`, function)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := map[string]lastRun{}
	for rows.Next() {
		var table, outcome string
		var at time.Time
		if err := rows.Scan(&table, &outcome, &at); err != nil {
			return nil, err
		}
		at = at.UTC()
		out[table] = lastRun{outcome, &at}
	}
	return out, rows.Err()
}
