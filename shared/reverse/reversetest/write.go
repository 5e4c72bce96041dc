package reversetest

import (
	"cmp"
	"context"
	"fmt"
	"hash/fnv"
	"iter"
	"slices"
	"unicode/utf8"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/reverse"
)

// Write does the rows one after the other.
func (m *Memory) Write(ctx context.Context, t reverse.Task, rows []reverse.Row) ([]reverse.Result, error) {
	n, err := m.call(ctx, Write)
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 || len(rows) > reverse.WriteMax {
		return nil, fault.New(fault.Invalid, "a write of %d rows", len(rows))
	}
	if err := m.check(t); err != nil {
		return nil, err
	}
	out := m.apply("", t, rows)
	return shuffled(out), m.done(Write, n)
}

// Create makes an empty job.
func (m *Memory) Create(ctx context.Context, t reverse.Task) (string, error) {
	n, err := m.call(ctx, Create)
	if err != nil {
		return "", err
	}
	if err := m.check(t); err != nil {
		return "", err
	}
	m.mu.Lock()
	id := fmt.Sprintf("750%012dAAA", len(m.s.Jobs)+1)
	m.s.Jobs = append(m.s.Jobs, &Job{ID: id, Task: t, State: reverse.Open})
	m.mu.Unlock()
	return id, m.done(Create, n)
}

// Upload takes the rows, once.
func (m *Memory) Upload(ctx context.Context, id string, t reverse.Task, rows iter.Seq2[reverse.Row, error]) error {
	n, err := m.call(ctx, Upload)
	if err != nil {
		return err
	}
	var all []reverse.Row
	for r, err := range rows {
		if err != nil {
			return err // cut off: the job has half an upload, and must not be started
		}
		all = append(all, r)
	}
	err = m.job(id, func(j *Job) error {
		j.Uploads++
		if j.State != reverse.Open || j.Uploads > 1 {
			return fault.New(fault.Invalid, "job %s has been uploaded to", id)
		}
		j.Rows = all
		return nil
	})
	if err != nil {
		return err
	}
	return m.done(Upload, n)
}

// End starts a job, whose work is then done at once, or aborts it.
func (m *Memory) End(ctx context.Context, id string, s reverse.JobState) error {
	n, err := m.call(ctx, End)
	if err != nil {
		return err
	}
	var start *Job
	err = m.job(id, func(j *Job) error {
		if j.State != reverse.Open || j.Uploads > 1 || s == reverse.Closed && j.Uploads == 0 {
			return fault.New(fault.Invalid, "job %s is %s after %d uploads and cannot become %s", id, j.State, j.Uploads, s)
		}
		if j.State = s; s == reverse.Closed {
			start = j
		}
		return nil
	})
	if err != nil {
		return err
	}
	if start != nil {
		m.work(start)
	}
	return m.done(End, n)
}

// work does a job's rows, as far as Break lets it.
func (m *Memory) work(j *Job) {
	rows, broken := j.Rows, ""
	if m.Break != nil {
		if most := m.Break(*j); most >= 0 && most < len(rows) {
			rows, broken = rows[:most], "the job was given up after too many tries"
		}
	}
	out := m.apply(j.ID, j.Task, rows)
	for _, r := range j.Rows[len(rows):] {
		out = append(out, reverse.Result{Key: r.Key, State: reverse.RowUnprocessed})
	}
	m.mu.Lock()
	j.Results, j.Message = out, broken
	m.mu.Unlock()
}

// Look shows a closed job as at work for Looks times.
func (m *Memory) Look(ctx context.Context, id string) (b reverse.BulkJob, err error) {
	n, err := m.call(ctx, Look)
	if err != nil {
		return b, err
	}
	err = m.job(id, func(j *Job) error {
		if j.State == reverse.Closed {
			if j.Looked++; j.Looked > m.Looks {
				j.State = reverse.Done
				if j.Message != "" {
					j.State = reverse.Broken
				}
			}
		}
		b = reverse.BulkJob{ID: id, State: j.State, Message: j.Message}
		if j.State.Ended() {
			b.Processed, b.Failed = counts(j.Results)
		}
		return nil
	})
	if err != nil {
		return b, err
	}
	return b, m.done(Look, n)
}

func counts(rs []reverse.Result) (processed, failed int64) {
	for _, r := range rs {
		switch r.State {
		case reverse.RowFailed:
			processed, failed = processed+1, failed+1
		case reverse.RowSent:
			processed++
		}
	}
	return processed, failed
}

// Results streams a job's results.
func (m *Memory) Results(ctx context.Context, id string, _ reverse.Task) iter.Seq2[reverse.Result, error] {
	return func(yield func(reverse.Result, error) bool) {
		n, err := m.call(ctx, Results)
		var out []reverse.Result
		if err == nil {
			err = m.job(id, func(j *Job) error {
				if !j.State.Ended() {
					return fault.New(fault.Invalid, "job %s is %s: it has no results yet", id, j.State)
				}
				if out = slices.Clone(j.Results); j.State == reverse.Aborted && len(out) == 0 {
					for _, r := range j.Rows {
						out = append(out, reverse.Result{Key: r.Key, State: reverse.RowUnprocessed})
					}
				}
				return nil
			})
		}
		if out = shuffled(out); m.Say != nil {
			out = m.Say(id, out)
		}
		for i, r := range out {
			if i == len(out)/2 && err == nil { // an answer is lost in the middle of the stream
				err = m.done(Results, n)
			}
			if err != nil || !yield(r, nil) {
				break
			}
		}
		if err != nil {
			yield(reverse.Result{}, err)
		}
	}
}

// shuffled puts results in an order that is not the rows', and always the same.
func shuffled(rs []reverse.Result) []reverse.Result {
	slices.SortFunc(rs, func(a, b reverse.Result) int { return cmp.Compare(hash(a.Key), hash(b.Key)) })
	return rs
}

func hash(s string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(s))
	return h.Sum64()
}

func (m *Memory) job(id string, do func(*Job) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, j := range m.s.Jobs {
		if j.ID == id {
			return do(j)
		}
	}
	return fault.New(fault.NotFound, "there is no job %s", id)
}

// check refuses what would fail for every row.
func (m *Memory) check(t reverse.Task) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	o, ok := m.s.Objects[t.Object]
	if !ok {
		return fault.New(fault.Invalid, "there is no object %s", t.Object)
	}
	if k, ok := field(o, t.Key); !ok || !k.Key && t.Operation != reverse.Insert {
		return fault.New(fault.Invalid, "%s.%s is no key", t.Object, t.Key)
	}
	for _, f := range t.Fields {
		if _, ok := field(o, f.Name); !ok || f.Name == t.Key {
			return fault.New(fault.Invalid, "%s has no field %s to write", t.Object, f.Name)
		}
	}
	return nil
}

// apply does rows and logs each of them. A key that comes twice in one request
// fails the second time.
func (m *Memory) apply(job string, t reverse.Task, rows []reverse.Row) []reverse.Result {
	out := make([]reverse.Result, 0, len(rows))
	seen := map[string]bool{}
	for _, r := range rows {
		m.mu.Lock()
		m.s.Attempts[t.Object+"/"+r.Key]++
		n := m.s.Attempts[t.Object+"/"+r.Key]
		m.mu.Unlock()
		var f Failure
		if m.Fail != nil {
			f = m.Fail(t.Object, r.Key, n)
		}
		m.mu.Lock()
		if f.Code == "" && seen[r.Key] {
			f = Failure{Code: "DUPLICATE_VALUE", Message: "duplicate id specified"}
		}
		seen[r.Key] = true
		res := reverse.Result{Key: r.Key, State: reverse.RowFailed, Code: f.Code, Message: f.Message, Again: f.Again}
		if f.Code == "" {
			res = m.one(t, r)
		}
		m.s.Log = append(m.s.Log, entry(job, t, r, res))
		m.mu.Unlock()
		out = append(out, res)
	}
	return out
}

func entry(job string, t reverse.Task, r reverse.Row, res reverse.Result) Entry {
	e := Entry{Job: job, Object: t.Object, Operation: t.Operation, Key: r.Key, Values: map[string]*string{}, State: res.State, ID: res.ID, Created: res.Created, Code: res.Code}
	for i, v := range r.Values {
		if v.Set {
			e.Values[t.Fields[i].Name] = v.Text
		}
	}
	return e
}

// one does a row; the lock is held.
func (m *Memory) one(t reverse.Task, r reverse.Row) reverse.Result {
	fail := func(code, message string) reverse.Result {
		return reverse.Result{Key: r.Key, State: reverse.RowFailed, Code: code, Message: message}
	}
	o, records := m.s.Objects[t.Object], m.s.Records[t.Object]
	index := m.index(t.Object, t.Key)
	ids := index[short(o, t.Key, r.Key)]
	key, _ := field(o, t.Key)
	switch {
	case r.Key == "":
		return fail("MISSING_ARGUMENT", t.Key+" is not specified")
	case len(ids) > 1 && t.Operation != reverse.Insert:
		return fail("DUPLICATE_EXTERNAL_ID", "several records have this key")
	case t.Operation == reverse.Insert && key.Unique && len(ids) > 0:
		return fail("DUPLICATE_VALUE", "a record has this "+t.Key)
	case len(ids) == 0 && (t.Operation == reverse.Update || t.Operation == reverse.Delete):
		return fail("ENTITY_IS_DELETED", "entity is deleted")
	case t.Operation == reverse.Delete:
		delete(records, ids[0])
		delete(index, short(o, t.Key, r.Key))
		return reverse.Result{Key: r.Key, State: reverse.RowSent, ID: ids[0]}
	}
	create := t.Operation == reverse.Insert || len(ids) == 0
	if code, message := misfit(o, t, r, create); code != "" {
		return fail(code, message)
	}
	id := ""
	if create {
		if t.Key == "Id" {
			return fail("MALFORMED_ID", "no record has this id")
		}
		id = m.newID(o)
		records[id] = Fields{t.Key: r.Key}
		index[short(o, t.Key, r.Key)] = append(ids, id)
	} else {
		id = ids[0]
	}
	for i, v := range r.Values {
		switch name := t.Fields[i].Name; {
		case v.Set && v.Text != nil && *v.Text != "":
			records[id][name] = *v.Text
		case v.Set:
			delete(records[id], name)
		}
	}
	return reverse.Result{Key: r.Key, State: reverse.RowSent, ID: id, Created: create}
}

// misfit says why an object does not take the row's values.
func misfit(o reverse.Object, t reverse.Task, r reverse.Row, create bool) (code, message string) {
	given := map[string]bool{t.Key: true}
	for i, v := range r.Values {
		f, _ := field(o, t.Fields[i].Name)
		empty := v.Text == nil || *v.Text == ""
		given[f.Name] = v.Set && !empty
		switch {
		case !v.Set:
		case create && !f.Creatable || !create && !f.Updatable:
			return "INVALID_FIELD_FOR_INSERT_UPDATE", "unable to create/update field " + f.Name
		case empty && !f.Nullable:
			return "REQUIRED_FIELD_MISSING", "required fields are missing: [" + f.Name + "]"
		case empty:
		case f.Length > 0 && utf8.RuneCountInString(*v.Text) > f.Length:
			return "STRING_TOO_LONG", f.Name + ": data value too large"
		case f.Restricted && !slices.Contains(f.Values, *v.Text):
			return "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", f.Name + ": bad value for restricted picklist field"
		}
	}
	for _, f := range o.Fields {
		if create && f.Creatable && !f.Nullable && !f.Defaulted && !given[f.Name] {
			return "REQUIRED_FIELD_MISSING", "required fields are missing: [" + f.Name + "]"
		}
	}
	return "", ""
}
