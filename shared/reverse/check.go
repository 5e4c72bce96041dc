package reverse

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/millrace-data/millrace/shared/fault"
)

// idField is the record's own id. It is a key of every object, and never written.
const idField = "Id"

// Check compares a job with what the destination says of its object, and returns
// everything that can never work, as fault.Invalid. Upper and lower case of names is
// the same.
//
// What a record needs to be created is an error of an insert only. An upsert may
// find every record there; see [Job.Missing].
func (j Job) Check(o *Object) (out []error) {
	for _, p := range j.check(o) {
		out = append(out, fault.New(fault.Invalid, "sync %s: %s", j.Name, p.Message))
	}
	return out
}

// fitter notes what does not fit an object, at the key of the job that says it.
type fitter struct {
	job      Job
	object   *Object
	problems []problem
}

func (f *fitter) wrong(key, format string, args ...any) {
	f.problems = append(f.problems, problem{Key: key, Rule: ruleObject, Message: fmt.Sprintf(format, args...)})
}

func (j Job) check(o *Object) []problem {
	f := &fitter{job: j, object: o}
	if !o.Readable {
		f.wrong("object", "object %s cannot be read by the running user, so nothing can be compared before it is written: give the user Read on it", o.Name)
	}
	for _, need := range needs[j.Operation] {
		if !need.allowed(o) {
			f.wrong("operation", "%s is not possible: the running user cannot %s records of %s", j.Operation, need.what, o.Name)
		}
	}
	f.externalID()
	for _, column := range slices.Sorted(maps.Keys(j.Fields)) {
		if j.Operation != Delete {
			f.field(column)
		}
	}
	if missing := j.Missing(o); j.Operation == Insert && len(missing) > 0 {
		f.wrong("fields", "a record of %s cannot be created without %s, which the job does not send", o.Name, strings.Join(missing, ", "))
	}
	return f.problems
}

type need struct {
	what    string
	allowed func(*Object) bool
}

var (
	toCreate = need{"create", func(o *Object) bool { return o.Creatable }}
	toUpdate = need{"update", func(o *Object) bool { return o.Updatable }}
	toDelete = need{"delete", func(o *Object) bool { return o.Deletable }}
	needs    = map[Operation][]need{Insert: {toCreate}, Update: {toUpdate}, Upsert: {toCreate, toUpdate}, Delete: {toDelete}}
)

// find finds a field of an object, or says what may be the reason why not.
func (o *Object) find(name string) (Field, string) {
	var names []string
	for _, f := range o.Fields {
		if strings.EqualFold(f.Name, name) {
			return f, ""
		}
		names = append(names, f.Name)
	}
	reason := "there is none of this name, or the running user lacks field-level security for it"
	if near := nearest(name, names); near != "" {
		reason += "; did you mean " + near + "?"
	}
	return Field{}, reason
}

func (f *fitter) externalID() {
	j, o := f.job, f.object
	if strings.EqualFold(j.ExternalID, idField) {
		if j.ExternalID != idField {
			f.wrong("external_id", "external_id %s: write Id", j.ExternalID)
		}
		return
	}
	id, reason := o.find(j.ExternalID)
	switch {
	case reason != "":
		f.wrong("external_id", "external_id %s of %s: %s", j.ExternalID, o.Name, reason)
	case !id.Key || !id.Unique:
		f.wrong("external_id", "external_id %s of %s must be marked External ID and Unique: otherwise two records may answer to one key", id.Name, o.Name)
	case (j.Operation == Insert || j.Operation == Upsert) && !id.Creatable:
		f.wrong("external_id", "external_id %s of %s cannot be written by the running user, so no record could be created with it", id.Name, o.Name)
	}
}

func (f *fitter) field(column string) {
	j, o, at := f.job, f.object, "fields."+column
	name := j.Fields[column]
	to, reason := o.find(name)
	switch {
	case reason != "":
		f.wrong(at, "field %s of %s, from column %s: %s", name, o.Name, column, reason)
	case to.Type == OtherType:
		f.wrong(at, "field %s of %s is of a type that cannot be compared, and is not written: take it out of fields", name, o.Name)
	case !to.Updatable && (j.Operation == Update || j.Operation == Upsert):
		f.wrong(at, "field %s of %s cannot be updated by the running user: it is calculated, read-only, or lacks field-level security", name, o.Name)
	case !to.Creatable && (j.Operation == Insert || j.Operation == Upsert):
		f.wrong(at, "field %s of %s cannot be given to a new record by the running user", name, o.Name)
	}
}

// Missing are the fields without which the destination creates no record, and which
// the job does not send; none where it creates nothing.
func (j Job) Missing(o *Object) (fields []string) {
	if j.Operation != Insert && j.Operation != Upsert {
		return nil
	}
	sent := slices.Collect(maps.Values(j.Fields))
	for _, f := range o.Fields {
		if !f.Nullable && !f.Defaulted && f.Creatable && !strings.EqualFold(f.Name, j.ExternalID) &&
			!slices.ContainsFunc(sent, func(s string) bool { return strings.EqualFold(s, f.Name) }) {
			fields = append(fields, f.Name)
		}
	}
	return fields
}
