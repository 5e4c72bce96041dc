// Package reversetest is a destination in memory, for tests of package reverse and
// of what is built on it: records that a test sees and edits, jobs, a log of every
// write, and faults at every call.
//
// It does what a [reverse.Destination] and a [reverse.Bulk] promise and nothing
// more: it knows no query language, no permissions, and no time. It is
// deterministic: results come in an order of their own, and always the same.
package reversetest

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/reverse"
)

// Memory is the destination. The hooks are set before it is used; they are called
// without its lock, so they may look at it and edit it.
type Memory struct {
	Before func(c Call, n int) error // before the nth call of its kind does anything; an error: it does nothing
	After  func(c Call, n int) error // when it has done its work; an error: its answer is lost

	// Fail lets a row fail at its nth attempt, from 1 on; Code "" = it does not.
	Fail func(object, key string, n int) Failure
	// Break says after how many rows a bulk job fails; negative: it does not.
	Break func(job Job) int
	// Say changes the results of a bulk job before they are streamed.
	Say func(job string, rs []reverse.Result) []reverse.Result

	Looks int    // how often a closed job is looked at until it has ended
	Max   int64  // requests of the period; 0 = nobody knows
	Path  string // of the file that keeps the state for another process; see Restore

	mu      sync.Mutex
	s       state
	indexed string              // object and field of ids; "" = none
	ids     map[string][]string // see index
}

// state is what outlives a process, where Path says where.
type state struct {
	Objects  map[string]reverse.Object
	Records  map[string]map[string]Fields // by object and id
	Jobs     []*Job
	Log      []Entry
	Calls    map[Call]int
	Attempts map[string]int // by object and key
	Used     int64
	IDs      int64
}

// Fields are a record's values; a field that is not there is null.
type Fields map[string]string

// Call is a kind of request.
type Call string

// The calls.
const (
	Describe Call = "describe"
	Read     Call = "read"
	Count    Call = "count"
	Write    Call = "write"
	Create   Call = "create"
	Upload   Call = "upload"
	End      Call = "end"
	Look     Call = "look"
	Results  Call = "results"
)

// Failure is why a row fails.
type Failure struct {
	Code, Message string
	Again         bool
}

// Entry is one attempt at a row: a line of the log of writes.
type Entry struct {
	Job       string // "" = by Write
	Object    string
	Operation reverse.Operation
	Key       string
	Values    map[string]*string // what was to be set; nil = blanked
	State     reverse.RowState
	ID        string
	Created   bool
	Code      string
}

// Job is a bulk job as it stands.
type Job struct {
	ID      string
	Task    reverse.Task
	State   reverse.JobState
	Uploads int // calls of Upload; a second one is refused, and stays counted
	Looked  int
	Rows    []reverse.Row
	Results []reverse.Result
	Message string
}

// New makes a Memory that has these objects, and no records.
func New(objects ...reverse.Object) *Memory {
	m := &Memory{Looks: 1, s: state{Objects: map[string]reverse.Object{}, Records: map[string]map[string]Fields{}, Calls: map[Call]int{}, Attempts: map[string]int{}}}
	for _, o := range objects {
		m.s.Objects[o.Name] = o
		m.s.Records[o.Name] = map[string]Fields{}
	}
	return m
}

// Connector opens m, any number of times.
func (m *Memory) Connector() reverse.Connector {
	return func(context.Context) (reverse.Destination, error) { return m, nil }
}

// call counts a request and asks the hook.
func (m *Memory) call(ctx context.Context, c Call) (n int, err error) {
	if err := ctx.Err(); err != nil {
		return 0, fmt.Errorf("%s: %w", c, err)
	}
	m.mu.Lock()
	m.s.Calls[c]++
	n = m.s.Calls[c]
	limited := m.Max > 0 && m.s.Used >= m.Max
	if !limited {
		m.s.Used++
	}
	m.mu.Unlock()
	if limited {
		return n, fault.New(fault.Limited, "%s: %d of %d requests are used up", c, m.s.Used, m.Max)
	}
	if m.Before != nil {
		err = m.Before(c, n)
	}
	return n, err
}

// done keeps what was done, and asks the hook for the answer.
func (m *Memory) done(c Call, n int) error {
	m.save()
	if m.After != nil {
		return m.After(c, n)
	}
	return nil
}

// Describe returns the object.
func (m *Memory) Describe(ctx context.Context, object string) (*reverse.Object, error) {
	n, err := m.call(ctx, Describe)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	o, ok := m.s.Objects[object]
	o.Fields = slices.Clone(o.Fields)
	m.mu.Unlock()
	if !ok {
		return nil, fault.New(fault.NotFound, "there is no object %s", object)
	}
	return &o, m.done(Describe, n)
}

// Count is how many records the object has.
func (m *Memory) Count(ctx context.Context, object string) (int64, error) {
	n, err := m.call(ctx, Count)
	if err != nil {
		return 0, err
	}
	m.mu.Lock()
	size := int64(len(m.s.Records[object]))
	m.mu.Unlock()
	return size, m.done(Count, n)
}

// Budget is the requests used of Max.
func (m *Memory) Budget() reverse.Budget {
	m.mu.Lock()
	defer m.mu.Unlock()
	return reverse.Budget{Used: m.s.Used, Max: m.Max}
}

// Read streams records in the order of their ids; a request is up to 200 keys.
func (m *Memory) Read(ctx context.Context, q reverse.Query) iter.Seq2[reverse.Record, error] {
	return func(yield func(reverse.Record, error) bool) {
		n, err := m.call(ctx, Read)
		var found []reverse.Record
		if err == nil {
			found, err = m.find(q)
		}
		if err == nil {
			err = m.done(Read, n)
		}
		for _, r := range found {
			if err != nil || !yield(r, nil) {
				break
			}
		}
		if err != nil {
			yield(reverse.Record{}, err)
		}
	}
}

func (m *Memory) find(q reverse.Query) (out []reverse.Record, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	o, ok := m.s.Objects[q.Object]
	if !ok {
		return nil, fault.New(fault.NotFound, "there is no object %s", q.Object)
	}
	for _, k := range q.Keys { // as a service does: one bad id, and no answer for the others
		if q.Key == "Id" && len(k) != 15 && len(k) != 18 {
			return nil, fault.New(fault.Invalid, "a key of Id is not an id of 15 or 18 characters")
		}
	}
	for _, f := range append([]string{q.Key}, q.Fields...) {
		if _, ok := field(o, f); !ok {
			return nil, fault.New(fault.Invalid, "%s has no field %s", q.Object, f)
		}
	}
	asked := map[string]bool{}
	for _, k := range q.Keys {
		asked[short(o, q.Key, k)] = true
	}
	records := m.s.Records[q.Object]
	for _, id := range slices.Sorted(maps.Keys(records)) {
		rec := records[id]
		key, has := value(rec, id, q.Key)
		if !has || q.Keys != nil && !asked[short(o, q.Key, key)] {
			continue
		}
		r := reverse.Record{ID: id, Key: key}
		for _, f := range q.Fields {
			var v *string
			if text, has := value(rec, id, f); has {
				v = &text
			}
			r.Values = append(r.Values, v)
		}
		out = append(out, r)
	}
	return out, nil
}

func value(rec Fields, id, name string) (string, bool) {
	if name == "Id" {
		return id, true
	}
	v, ok := rec[name]
	return v, ok
}

// short is how a key is compared: an id by its short form, text in lower case where
// case does not tell keys apart.
func short(o reverse.Object, name, key string) string {
	switch f, _ := field(o, name); {
	case name == "Id" && len(key) == 18:
		return key[:15]
	case name == "Id" || f.CaseSensitive:
		return key
	}
	return strings.ToLower(key)
}

func field(o reverse.Object, name string) (reverse.Field, bool) {
	if name == "Id" {
		return reverse.Field{Name: "Id", Type: reverse.IDType, Key: true, Unique: true}, true
	}
	i := slices.IndexFunc(o.Fields, func(f reverse.Field) bool { return strings.EqualFold(f.Name, name) })
	if i < 0 {
		return reverse.Field{}, false
	}
	return o.Fields[i], true
}
