package reverse

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/millrace-data/millrace/shared/fault"
)

// Finding is something about a job file that should not stay.
type Finding struct {
	File     string   `json:"file"`
	Line     int      `json:"line"` // 0 = of the file as a whole
	Rule     string   `json:"rule"`
	Severity Severity `json:"severity"`
	Message  string   `json:"message"`
	Fix      string   `json:"fix,omitempty"`
}

// Severity is how bad a finding is.
type Severity string

// The severities. CI lets warnings pass.
const (
	SeverityError   Severity = "error"
	SeverityWarning Severity = "warning"
)

// rules that look further than one file's own words.
const (
	ruleGuard   = "no-guard"
	ruleAuto    = "auto-approval"
	ruleIdle    = "idle-guard"
	ruleWriters = "two-writers"
	ruleClass   = "class"
	ruleNever   = "never-due"
	ruleAfter   = "unknown-table"
	ruleObject  = "object"
	ruleNeeded  = "needed-field"
)

// Lint reports everything that is wrong with the job files of a folder and those
// below it, or with one file: what [ReadJob] refuses, and jobs without guards, fields
// that two jobs write, classed columns that a job does not allow, and schedules that
// are never due. inputs are the tables that functions fill; without any, nothing is
// said of tables.
func Lint(dir string, inputs []Input) ([]Finding, error) {
	files, err := filesOf(dir)
	if err != nil {
		return nil, err
	}
	l := &linter{inputs: inputs}
	for _, f := range files {
		l.file(f)
	}
	l.writers(files)
	return l.sorted(), nil
}

// LintLive reports what the destination says against the jobs of a folder: objects
// and fields that are not there, or that the running user may not write. Files that
// cannot be read as jobs are left to [Lint].
func LintLive(ctx context.Context, dest Destination, dir string) ([]Finding, error) {
	files, err := filesOf(dir)
	if err != nil {
		return nil, err
	}
	l := &linter{}
	objects := map[string]*Object{}
	for _, f := range files {
		if f.err() != nil {
			continue
		}
		o, ok := objects[f.job.Object]
		if !ok {
			o, err = dest.Describe(ctx, f.job.Object)
			if err != nil && !errors.Is(err, fault.NotFound) {
				return nil, fmt.Errorf("describe of %s, which %s writes: %w", f.job.Object, f.path, err)
			}
			objects[f.job.Object] = o
		}
		l.live(f, o)
	}
	return l.sorted(), nil
}

func filesOf(dir string) ([]*file, error) {
	files, err := readFiles(dir)
	if err == nil && len(files) == 0 {
		err = fault.New(fault.Invalid, "there is no job file in %s: they end in .yml or .yaml", dir)
	}
	return files, err
}

// linter collects findings.
type linter struct {
	inputs []Input
	found  []Finding
}

func (l *linter) note(f *file, severity Severity, p problem) {
	message := p.Message
	if p.Key != "" {
		message = p.Key + ": " + message
	}
	if p.Line == 0 {
		p.Line = f.lineOf(p.Key)
	}
	l.found = append(l.found, Finding{f.path, p.Line, p.Rule, severity, message, p.Fix})
}

// lineOf is the line of a key, or of what it would be in.
func (f *file) lineOf(key string) int {
	for key != "" && f.lines[key] == 0 {
		key = key[:max(0, strings.LastIndex(key, "."))]
	}
	return f.lines[key]
}

func (l *linter) sorted() []Finding {
	slices.SortStableFunc(l.found, func(a, b Finding) int {
		return cmp.Or(strings.Compare(a.File, b.File), a.Line-b.Line)
	})
	return l.found
}

// file judges one file by itself. Where keys of it could not be read, only what does
// not depend on them is judged.
func (l *linter) file(f *file) {
	for _, p := range f.problems {
		l.note(f, SeverityError, p)
	}
	if f.err() != nil {
		return
	}
	j := f.job
	g := j.Guards
	limited := g.Writes != nil || g.Creates != nil || g.Updates != nil || g.Deletes != nil || g.Share != nil || len(g.Fields) > 0
	if !limited {
		l.note(f, SeverityError, problem{Key: "guards", Rule: ruleGuard, Message: "nothing limits what a plan may do",
			Fix: "limit writes, and what may happen to each field"})
	}
	careful := g.Writes != nil || slices.ContainsFunc(slices.Collect(maps.Values(g.Fields)), func(f FieldGuard) bool { return f.Zeroed != nil || f.Blanked != nil })
	if limited && j.Approval == ApprovalAuto && !careful {
		l.note(f, SeverityError, problem{Key: "approval", Rule: ruleAuto, Message: "nobody looks at a plan, and nothing limits writes, or values that become 0 or empty",
			Fix: "add guards.writes, or zeroed or blanked of a field, or write approval: required"})
	}
	if w := g.Writes; w != nil && w.Max == nil {
		l.note(f, SeverityWarning, problem{Key: "guards.writes.max_percent", Rule: ruleIdle, Message: "writes are 100 % of the planned writes, whatever the plan is",
			Fix: "write max, or share with max_percent"})
	}
	if j.Schedule != "" && j.Due(time.Now()).IsZero() {
		l.note(f, SeverityError, problem{Key: "schedule", Rule: ruleNever, Message: fmt.Sprintf("%q is never due", j.Schedule)})
	}
	l.tables(f)
}

// tables judges what a job follows and sends.
func (l *linter) tables(f *file) {
	var names []string
	for _, in := range l.inputs {
		names = append(names, in.FullName())
	}
	if j := f.job; len(names) > 0 && j.After != "" && !slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, j.After) }) {
		p := problem{Key: "after", Rule: ruleAfter, Message: "no function of this build fills " + j.After + ", so no load of it starts the sync"}
		if near := nearest(j.After, names); near != "" {
			p.Fix = "did you mean " + near + "?"
		}
		l.note(f, SeverityWarning, p)
	}
	key := "query"
	if f.lines[key] == 0 {
		key = "query_file"
	}
	for _, leak := range f.job.leaks(l.inputs) {
		l.note(f, SeverityError, problem{Key: key, Rule: ruleClass, Message: leak.String() + ", which the job does not allow",
			Fix: fmt.Sprintf("select other columns by name, or add %s to classes", leak.class)})
	}
}

// writers finds fields that two jobs write: each would undo the other's work.
func (l *linter) writers(files []*file) {
	first := map[string]*file{}
	for _, f := range files {
		if f.job.Operation == Delete {
			continue
		}
		for _, column := range f.job.Columns() {
			field := f.job.Object + "." + f.job.Fields[column]
			low := strings.ToLower(field)
			if other := first[low]; other != nil && other != f {
				l.note(f, SeverityError, problem{Key: "fields." + column, Rule: ruleWriters,
					Message: fmt.Sprintf("%s is written by sync %s of %s too", field, other.job.Name, other.path), Fix: "give each field one sync"})
				continue
			}
			first[low] = f
		}
	}
}

// live holds a job against its object; nil where there is none.
func (l *linter) live(f *file, o *Object) {
	if o == nil {
		l.note(f, SeverityError, problem{Key: "object", Rule: ruleObject, Message: fmt.Sprintf("there is no object %s, or the running user cannot see it", f.job.Object)})
		return
	}
	for _, p := range f.job.check(o) {
		l.note(f, SeverityError, p)
	}
	creates := f.job.Guards.Creates
	none := creates != nil && creates.Max != nil && *creates.Max == 0 && creates.MaxPercent == nil
	if missing := f.job.Missing(o); f.job.Operation == Upsert && len(missing) > 0 && !none {
		l.note(f, SeverityWarning, problem{Key: "fields", Rule: ruleNeeded, Message: fmt.Sprintf("a new record of %s needs %s, which the job does not send: it would be rejected", o.Name, strings.Join(missing, ", ")),
			Fix: "send them, or write guards.creates: {max: 0}"})
	}
}
