package reverse

import (
	_ "embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/millrace-data/millrace/shared/fault"
)

// How large a job file may be, and a query's: nobody writes more by hand.
const (
	fileMax  = 64 << 10
	queryMax = 1 << 20
)

//go:embed job.schema.json
var schema string

// Schema is the JSON Schema (draft 2020-12) of job files, for editors and other
// programs. [ParseJob] takes nothing that it does not.
func Schema() string { return schema }

// problem is something that is wrong with a job file.
type problem struct {
	Line    int
	Key     string // path, such as guards.creates.max
	Rule    string
	Message string
	Fix     string
}

// rules of what is wrong with one file. See Lint for those that look further.
const (
	ruleSyntax    = "syntax"
	ruleUnknown   = "unknown-key"
	ruleDuplicate = "duplicate-key"
	ruleType      = "type"
	ruleMissing   = "missing"
	ruleValue     = "value"
	ruleOwner     = "owner"
	ruleQuery     = "query"
	ruleColumns   = "duplicate-column"
	ruleField     = "unknown-field"
)

func (p problem) String() string {
	text := p.Message
	if p.Key != "" {
		text = p.Key + ": " + text
	}
	if p.Fix != "" {
		text += " (" + p.Fix + ")"
	}
	return text
}

// file is a job file that was read, with what is wrong with it.
type file struct {
	path     string // "" = none
	job      Job
	lines    map[string]int
	problems []problem
}

// err is nil for a file without problems.
func (f *file) err() error {
	if len(f.problems) == 0 {
		return nil
	}
	var all []string
	for _, p := range f.problems {
		at := fmt.Sprintf("line %d: ", p.Line)
		switch {
		case f.path != "" && p.Line > 0:
			at = fmt.Sprintf("%s:%d: ", f.path, p.Line)
		case f.path != "":
			at = f.path + ": "
		case p.Line == 0:
			at = ""
		}
		all = append(all, at+p.String())
	}
	return fault.New(fault.Invalid, "%s", strings.Join(all, "\n"))
}

// ParseJob reads the text of a job file. A query_file is looked for in dir and the
// folders below it, and becomes the job's Query. The error is fault.Invalid and
// names every line and key that is wrong, with what is allowed.
func ParseJob(text []byte, dir string) (Job, error) {
	f := parse(text, dir)
	return f.job, f.err()
}

// ReadJob reads a job file; see [ParseJob]. Its errors name the file.
func ReadJob(path string) (Job, error) {
	f := readFile(path)
	return f.job, f.err()
}

// ReadJobs reads every job file (*.yml, *.yaml) of a folder and the folders below
// it, by path. The error names everything that is wrong in any of them, also two
// files that give their sync the same name.
func ReadJobs(dir string) ([]Job, error) {
	files, err := readFiles(dir)
	if err != nil {
		return nil, err
	}
	var jobs []Job
	var errs []error
	for _, f := range files {
		jobs = append(jobs, f.job)
		errs = append(errs, f.err())
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fault.Wrap(fault.Invalid, err)
	}
	return jobs, nil
}

func readFiles(dir string) ([]*file, error) {
	var files []*file
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch ext := filepath.Ext(path); {
		case err != nil:
			return err
		case path != dir && strings.HasPrefix(d.Name(), "."):
			if d.IsDir() {
				return fs.SkipDir
			}
		case !d.IsDir() && (ext == ".yml" || ext == ".yaml"):
			files = append(files, readFile(path))
		}
		return nil
	})
	if err != nil {
		return nil, fault.New(fault.Invalid, "job files: %w", err)
	}
	first := map[string]*file{}
	for _, f := range files {
		name := f.job.Name
		if other := first[name]; name != "" && other != nil {
			f.problems = append(f.problems, problem{Line: f.lines["name"], Key: "name", Rule: ruleDuplicate,
				Message: fmt.Sprintf("%q is the name of the sync of %s already", name, other.path), Fix: "what was sent is remembered by name: give each its own"})
			continue
		}
		first[name] = f
	}
	return files, nil
}

func readFile(path string) *file {
	f := &file{path: path}
	text, err := readMost(fileMax)(os.Open(path))
	if err != nil {
		f.problems = []problem{{Rule: ruleSyntax, Message: err.Error()}}
		return f
	}
	f = parse(text, filepath.Dir(path))
	f.path = path
	return f
}

// readMost reads a file of at most some bytes.
func readMost(most int64) func(*os.File, error) ([]byte, error) {
	return func(r *os.File, err error) ([]byte, error) {
		if err != nil {
			return nil, err
		}
		defer r.Close()
		text, err := io.ReadAll(io.LimitReader(r, most+1))
		if int64(len(text)) > most {
			return nil, fmt.Errorf("%s is larger than %d bytes", r.Name(), most)
		}
		return text, err
	}
}

func parse(text []byte, dir string) *file {
	f := &file{lines: map[string]int{}}
	if len(text) > fileMax {
		f.problems = []problem{{Line: 1, Rule: ruleSyntax, Message: fmt.Sprintf("the file is larger than %d bytes", fileMax)}}
		return f
	}
	if !utf8.Valid(text) {
		f.problems = []problem{{Line: 1, Rule: ruleSyntax, Message: "the file is not UTF-8"}}
		return f
	}
	n, p := readYAML(text)
	if p != nil {
		f.problems = []problem{*p}
		return f
	}
	f.fill(n, dir)
	return f
}

// fill decodes and checks. Checks that need a key run only where it could be read.
func (f *file) fill(n *node, dir string) {
	d := &decoder{lines: f.lines}
	d.value(n, reflect.ValueOf(&f.job).Elem(), "")
	if n.shape == shapeMapping {
		(&checker{decoder: d, job: &f.job}).all(dir)
	}
	f.problems = d.problems
	slices.SortStableFunc(f.problems, func(a, b problem) int { return a.Line - b.Line })
}

// Text is the job in its canonical form: one line of JSON with the keys of a job
// file, sorted, and the text of its query. It is what a plan stores and hashes.
func (j Job) Text() string {
	return string(writeJSON(encode(reflect.ValueOf(j))))
}

// ParseJobText reads what [Job.Text] wrote, as strictly as a file is read.
func ParseJobText(text string) (Job, error) {
	n, err := readJSON(text)
	if err != nil {
		return Job{}, fault.New(fault.Corrupt, "a stored job is not JSON: %w", err)
	}
	f := &file{lines: map[string]int{}}
	f.fill(n, "")
	return f.job, f.err()
}

// MarshalJSON writes the canonical form; see [Job.Text].
func (j Job) MarshalJSON() ([]byte, error) { return []byte(j.Text()), nil }

// UnmarshalJSON reads the canonical form without judging it: a plan's job stays what
// it was when it was planned.
func (j *Job) UnmarshalJSON(text []byte) error {
	n, err := readJSON(string(text))
	if err != nil {
		return err
	}
	d := &decoder{lines: map[string]int{}}
	*j = Job{}
	d.value(n, reflect.ValueOf(j).Elem(), "")
	return (&file{problems: d.problems}).err()
}

// Columns are the columns of the query that are sent, by name.
func (j Job) Columns() []string { return slices.Sorted(maps.Keys(j.Fields)) }
