// Package gate says what a staged slice must be before it may be published.
//
// A connector lists rules beside its table; they travel in the manifest as data.
// The load engine asks the warehouse to measure each one against the staged rows
// and then calls [Judge]. A rule has a level: warn notes the result, quarantine
// moves the offending rows to the rejects and loads the others, refuse keeps the
// whole slice out. Every result, good or bad, becomes a row in millrace.checks.
//
// The package does no I/O and knows no SQL: it holds rules, measures, verdicts.
package gate

import (
	"fmt"
	"strings"
	"time"
)

// Level is what happens when a rule does not hold.
type Level string

// The levels, mildest first.
const (
	Warn       Level = "warn"
	Quarantine Level = "quarantine" // row rules only: the rows go to rejects, the rest is loaded
	Refuse     Level = "refuse"
)

// Kind is what a rule looks at.
type Kind string

// The kinds. The row kinds pick out single rows, so they may quarantine.
const (
	NotNull     Kind = "not_null"     // row: Column holds a value
	Accepted    Kind = "accepted"     // row: Column is null or one of Values
	Range       Kind = "range"        // row: Column is null or between Min and Max, both inclusive
	Unique      Kind = "unique"       // row: Columns are unique in the slice; the row staged last wins
	MinRows     Kind = "min_rows"     // slice: at least Count rows
	NullPercent Kind = "null_percent" // slice: at most Percent of Column is null
	MaxRejects  Kind = "max_rejects"  // slice: not more than Count AND Percent of the source's rows rejected
	Totals      Kind = "totals"       // slice: source = staged + rejected; always checked, never declared
)

// Rule is one check of one table.
type Rule struct {
	Name    string   `json:"name"`
	Kind    Kind     `json:"kind"`
	Level   Level    `json:"level"`
	Columns []string `json:"columns,omitempty"`
	Values  []string `json:"values,omitempty"`
	Min     string   `json:"min,omitempty"`
	Max     string   `json:"max,omitempty"`
	Count   int64    `json:"count,omitempty"`
	Percent float64  `json:"percent,omitempty"` // 0 to 100
	Fall    bool     `json:"fall,omitempty"`    // of volume: only fewer rows break it, not more
	Last    int      `json:"last,omitempty"`    // comparable slices to look back at
	Seconds int64    `json:"seconds,omitempty"` // an age
	Table   string   `json:"table,omitempty"`   // schema.name of another table
	Others  []string `json:"others,omitempty"`  // its columns, in the order of Columns
}

// Row reports whether the rule picks out single rows.
func (r Rule) Row() bool {
	return r.Kind == NotNull || r.Kind == Accepted || r.Kind == Range || r.Kind == Unique || r.Kind == RefersKind
}

// At returns the rule at another level.
func (r Rule) At(l Level) Rule { r.Level = l; return r }

// Require quarantines rows in which a column is null.
func Require(column string) Rule {
	return Rule{Name: "not_null:" + column, Kind: NotNull, Level: Quarantine, Columns: []string{column}}
}

// OneOf quarantines rows in which column holds anything but values (null passes).
func OneOf(column string, values ...string) Rule {
	return Rule{Name: "accepted:" + column, Kind: Accepted, Level: Quarantine, Columns: []string{column}, Values: values}
}

// Between quarantines rows in which column lies outside [min, max]; an empty bound is open.
func Between(column, min, max string) Rule {
	return Rule{Name: "range:" + column, Kind: Range, Level: Quarantine, Columns: []string{column}, Min: min, Max: max}
}

// Once quarantines all but the last staged of the rows that share columns.
func Once(columns ...string) Rule {
	return Rule{Name: "unique:" + strings.Join(columns, ","), Kind: Unique, Level: Quarantine, Columns: columns}
}

// AtLeast refuses a slice of fewer than n rows.
func AtLeast(n int64) Rule {
	return Rule{Name: "min_rows", Kind: MinRows, Level: Refuse, Count: n}
}

// MostlySet warns when more than percent of column is null.
func MostlySet(column string, percent float64) Rule {
	return Rule{Name: "null_percent:" + column, Kind: NullPercent, Level: Warn, Columns: []string{column}, Percent: percent}
}

// FewRejects refuses a slice in which more than count rows AND more than percent
// of the source's rows were rejected: one bad row in three is no reason to stop,
// nor are a hundred in ten million.
func FewRejects(count int64, percent float64) Rule {
	return Rule{Name: "max_rejects", Kind: MaxRejects, Level: Refuse, Count: count, Percent: percent}
}

// Verdict is the result of a rule.
type Verdict string

// The verdicts, mildest first.
const (
	Pass        Verdict = "pass"
	Warned      Verdict = "warn"
	Quarantined Verdict = "quarantine"
	Refusal     Verdict = "refuse"
)

// Measure is what the warehouse counted for one rule.
type Measure struct {
	Rows int64 // staged rows looked at
	Bad  int64 // rows that break a row rule; nulls for null_percent; rejected rows for max_rejects and source_sum

	Value  string    // decimal text: the source's rows for volume, a column's sum; "" = a sum of nothing
	Past   []string  // decimal texts: the same of comparable slices
	Peers  string    // what those are called: Mondays, scans, slices
	Newest time.Time // value of the column, for fresh; zero = none
	At     time.Time // what fresh is measured by
	Absent string    // what a rule needs and is not there, such as a table; "" = nothing
}

// Check is one judged rule, a row of millrace.checks.
type Check struct {
	Rule     string  `json:"rule"`
	Observed string  `json:"observed"`
	Expected string  `json:"expected"`
	Verdict  Verdict `json:"verdict"`
	Value    string  `json:"value,omitempty"` // decimal text: what later slices are compared with
}

// Judge compares a measure with its rule.
func Judge(r Rule, m Measure) Check {
	c := Check{Rule: r.Name, Verdict: Pass}
	holds := m.Bad == 0
	switch r.Kind {
	case VolumeKind, SumKind:
		holds = judgePast(r, m, &c)
	case FreshKind:
		holds = judgeFresh(r, m, &c)
	case ReconcileKind:
		if holds = judgeSum(r, m, &c); m.Bad > 0 {
			r = r.At(Warn)
		}
	case MinRows:
		holds = m.Rows >= r.Count
		c.Observed, c.Expected = fmt.Sprintf("%d rows", m.Rows), fmt.Sprintf("at least %d rows", r.Count)
	case NullPercent:
		holds = percent(m.Bad, m.Rows) <= r.Percent
		c.Observed, c.Expected = fmt.Sprintf("%.2f %% null", percent(m.Bad, m.Rows)), fmt.Sprintf("at most %g %% null", r.Percent)
	case MaxRejects:
		holds = m.Bad <= r.Count || percent(m.Bad, m.Rows) <= r.Percent
		c.Observed = fmt.Sprintf("%d of %d rows rejected", m.Bad, m.Rows)
		c.Expected = fmt.Sprintf("at most %d rows or %g %%", r.Count, r.Percent)
	default:
		c.Observed, c.Expected = fmt.Sprintf("%d of %d rows", m.Bad, m.Rows), "0 rows that break "+r.Name
	}
	if m.Absent != "" {
		c.Observed, holds, r = m.Absent, false, r.At(Warn)
	}
	if !holds {
		c.Verdict = map[Level]Verdict{Warn: Warned, Quarantine: Quarantined, Refuse: Refusal}[r.Level]
	}
	return c
}

// Balance checks the totals of a slice: source = staged + rejected.
func Balance(source, staged, rejected int64) Check {
	c := Check{Rule: string(Totals), Verdict: Pass,
		Observed: fmt.Sprintf("source %d, staged %d, rejected %d", source, staged, rejected),
		Expected: "source = staged + rejected"}
	if source != staged+rejected {
		c.Verdict = Refusal
	}
	return c
}

func percent(part, whole int64) float64 {
	if whole == 0 {
		return 0
	}
	return 100 * float64(part) / float64(whole)
}
