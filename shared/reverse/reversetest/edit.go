package reversetest

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/reverse"
)

// Add makes a record, as a person would, and returns its id.
func (m *Memory) Add(object string, f Fields) string {
	m.mu.Lock()
	id := m.newID(m.s.Objects[object])
	m.s.Records[object][id] = maps.Clone(f)
	m.indexed = ""
	m.mu.Unlock()
	m.save()
	return id
}

// Edit changes fields of the records whose key is that; "" is null. It reports how
// many records there are.
func (m *Memory) Edit(object, key, is string, f Fields) int {
	m.mu.Lock()
	ids := m.having(object, key, is)
	for _, id := range ids {
		for name, v := range f {
			if v == "" {
				delete(m.s.Records[object][id], name)
			} else {
				m.s.Records[object][id][name] = v
			}
		}
	}
	m.indexed = ""
	m.mu.Unlock()
	m.save()
	return len(ids)
}

// Remove deletes the records whose key is that.
func (m *Memory) Remove(object, key, is string) int {
	m.mu.Lock()
	ids := m.having(object, key, is)
	for _, id := range ids {
		delete(m.s.Records[object], id)
	}
	m.indexed = ""
	m.mu.Unlock()
	m.save()
	return len(ids)
}

// Records are the object's records by a field; records without it are left out.
func (m *Memory) Records(object, by string) map[string]Fields {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := map[string]Fields{}
	for id, rec := range m.s.Records[object] {
		if key, ok := value(rec, id, by); ok {
			out[key] = maps.Clone(rec)
		}
	}
	return out
}

// ID is the id of the record whose key is that; "" = none, or several.
func (m *Memory) ID(object, key, is string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if ids := m.having(object, key, is); len(ids) == 1 {
		return ids[0]
	}
	return ""
}

// Log is every attempt at a row, in order.
func (m *Memory) Log() []Entry {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.s.Log)
}

// Accepted is how often each key was written, with success, since the log was empty.
func (m *Memory) Accepted() map[string]int {
	out := map[string]int{}
	for _, e := range m.Log() {
		if e.State == reverse.RowSent {
			out[e.Key]++
		}
	}
	return out
}

// Forget empties the log.
func (m *Memory) Forget() {
	m.mu.Lock()
	m.s.Log = nil
	m.mu.Unlock()
}

// Jobs are the bulk jobs so far, without their rows.
func (m *Memory) Jobs() []Job {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make([]Job, len(m.s.Jobs))
	for i, j := range m.s.Jobs {
		out[i] = *j
		out[i].Rows, out[i].Results = nil, nil
	}
	return out
}

// Abort stops a job that is at work, as a person would: what Break left undone stays
// undone.
func (m *Memory) Abort(id string) error {
	err := m.job(id, func(j *Job) error {
		if j.State != reverse.Closed {
			return fault.New(fault.Invalid, "job %s is %s", id, j.State)
		}
		j.State = reverse.Aborted
		return nil
	})
	m.save()
	return err
}

// Calls is how often a call was made.
func (m *Memory) Calls(c Call) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.s.Calls[c]
}

// Use counts requests that somebody else made; a negative number is a new period.
func (m *Memory) Use(n int64) {
	m.mu.Lock()
	m.s.Used = max(0, m.s.Used+n)
	m.mu.Unlock()
}

// index is the ids of an object's records by a field, until somebody edits one or a
// task has another key. Tasks whose other fields are keys of other tasks make it anew.
func (m *Memory) index(object, name string) map[string][]string {
	if of := object + "." + name; m.indexed != of {
		m.indexed, m.ids = of, map[string][]string{}
		for _, id := range slices.Sorted(maps.Keys(m.s.Records[object])) {
			if v, ok := value(m.s.Records[object][id], id, name); ok {
				k := short(m.s.Objects[object], name, v)
				m.ids[k] = append(m.ids[k], id)
			}
		}
	}
	return m.ids
}

// having is the ids of the records whose field is that, in order.
func (m *Memory) having(object, name, is string) (ids []string) {
	o := m.s.Objects[object]
	for id, rec := range m.s.Records[object] {
		if v, ok := value(rec, id, name); ok && short(o, name, v) == short(o, name, is) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

func (m *Memory) newID(o reverse.Object) string {
	m.s.IDs++
	prefix := o.Prefix
	if prefix == "" {
		prefix = "001"
	}
	return fmt.Sprintf("%s%012dAAA", prefix, m.s.IDs)
}

// Restore reads what another process left at path, where it left something, and
// keeps it there from now on.
func (m *Memory) Restore(path string) error {
	m.Path = path
	b, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		m.save()
		return nil
	}
	if err == nil {
		err = json.Unmarshal(b, &m.s)
	}
	return err
}

// save writes the state to Path, all or nothing. It panics where it cannot: the test
// would go on with a destination that forgets.
func (m *Memory) save() {
	if m.Path == "" {
		return
	}
	m.mu.Lock()
	b, err := json.Marshal(m.s)
	m.mu.Unlock()
	if err == nil {
		err = os.WriteFile(m.Path+".new", b, 0o644)
	}
	if err == nil {
		err = os.Rename(m.Path+".new", m.Path)
	}
	if err != nil {
		panic("reversetest: " + err.Error())
	}
}

// Lose makes a hook for After that loses the answer of the nth call.
func Lose(c Call, nth int) func(Call, int) error {
	return func(is Call, n int) error {
		if is == c && n == nth {
			return fault.New(fault.Transient, "the connection was lost during %s", c)
		}
		return nil
	}
}

// Failing makes a hook for Fail: these keys fail with these codes, again where
// times is over 0, and only so often.
func Failing(codes map[string]string, times int) func(object, key string, n int) Failure {
	return func(_, key string, n int) Failure {
		if code := codes[key]; code != "" && (times == 0 || n <= times) {
			return Failure{Code: code, Message: "as the test wants it", Again: times > 0}
		}
		return Failure{}
	}
}
