package reverse

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-data/millrace/shared/fault"
)

func account() *Object {
	open := func(name string, t FieldType) Field {
		return Field{Name: name, Type: t, Nullable: true, Creatable: true, Updatable: true}
	}
	key := open("DW_Key__c", TextType)
	key.Key, key.Unique = true, true
	formula := Field{Name: "Margin__c", Type: NumberType, Nullable: true}
	return &Object{Name: "Account", Readable: true, Creatable: true, Updatable: true, Deletable: true,
		Fields: []Field{{Name: "Id", Type: IDType}, key, open("Score__c", NumberType), open("Tier__c", PicklistType), formula,
			open("BillingAddress", OtherType), {Name: "Name", Type: TextType, Creatable: true, Updatable: true},
			{Name: "OwnerId", Type: IDType, Creatable: true, Updatable: true, Defaulted: true}}}
}

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		name   string
		job    func(*Job)
		object func(*Object)
		want   []string
	}{
		{"the example", nil, nil, nil},
		{"a field with a slip", func(j *Job) { j.Fields["score"] = "Scrore__c" }, nil,
			[]string{"sync account_scores: field Scrore__c of Account, from column score: there is none of this name, or the running user lacks field-level security for it; did you mean Score__c?"}},
		{"a field in other case", func(j *Job) { j.Fields["score"] = "score__c" }, nil, nil},
		{"a field that is far from any", func(j *Job) { j.Fields["score"] = "Whatever__c" }, nil,
			[]string{"sync account_scores: field Whatever__c of Account, from column score: there is none of this name, or the running user lacks field-level security for it"}},
		{"a formula", func(j *Job) { j.Fields["m"] = "Margin__c" }, nil,
			[]string{"sync account_scores: field Margin__c of Account cannot be updated by the running user: it is calculated, read-only, or lacks field-level security"}},
		{"an address", func(j *Job) { j.Fields["m"] = "BillingAddress" }, nil,
			[]string{"sync account_scores: field BillingAddress of Account is of a type that cannot be compared, and is not written: take it out of fields"}},
		{"a key that is none", func(j *Job) { j.ExternalID = "Tier__c"; delete(j.Fields, "tier") }, nil,
			[]string{"sync account_scores: external_id Tier__c of Account must be marked External ID and Unique: otherwise two records may answer to one key"}},
		{"a key that is not unique", nil, func(o *Object) { o.Fields[1].Unique = false },
			[]string{"sync account_scores: external_id DW_Key__c of Account must be marked External ID and Unique: otherwise two records may answer to one key"}},
		{"a key that is not there", func(j *Job) { j.ExternalID = "DWKey__c" }, nil,
			[]string{"sync account_scores: external_id DWKey__c of Account: there is none of this name, or the running user lacks field-level security for it; did you mean DW_Key__c?"}},
		{"an upsert of what cannot be created or read", nil, func(o *Object) { o.Creatable, o.Readable = false, false },
			[]string{"sync account_scores: object Account cannot be read by the running user, so nothing can be compared before it is written: give the user Read on it",
				"sync account_scores: upsert is not possible: the running user cannot create records of Account"}},
		{"an insert without a name", func(j *Job) { j.Operation = Insert }, nil,
			[]string{"sync account_scores: a record of Account cannot be created without Name, which the job does not send"}},
		{"an insert with it", func(j *Job) { j.Operation = Insert; j.Fields["name"] = "Name" }, nil, nil},
		{"an update by id", func(j *Job) { j.Operation, j.ExternalID = Update, "Id" }, nil, nil},
		{"an update by id in other case", func(j *Job) { j.Operation, j.ExternalID = Update, "ID" }, nil,
			[]string{"sync account_scores: external_id ID: write Id"}},
		{"an update of a field that only new records take", func(j *Job) { j.Operation, j.ExternalID = Update, "Id" }, func(o *Object) { o.Fields[2].Updatable = false },
			[]string{"sync account_scores: field Score__c of Account cannot be updated by the running user: it is calculated, read-only, or lacks field-level security"}},
		{"a delete that is not allowed", func(j *Job) { j.Operation, j.ExternalID, j.Fields = Delete, "Id", nil }, func(o *Object) { o.Deletable = false },
			[]string{"sync account_scores: delete is not possible: the running user cannot delete records of Account"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			job, object := example(), account()
			if c.job != nil {
				c.job(&job)
			}
			if c.object != nil {
				c.object(object)
			}
			var got []string
			for _, err := range job.Check(object) {
				if got = append(got, err.Error()); !errors.Is(err, fault.Invalid) {
					t.Errorf("%v is not fault.Invalid", err)
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestMissing(t *testing.T) {
	job := example()
	if got := job.Missing(account()); !cmp.Equal(got, []string{"Name"}) {
		t.Errorf("of an upsert: %v, want Name", got)
	}
	job.Operation = Update
	if got := job.Missing(account()); got != nil {
		t.Errorf("of an update: %v, want none", got)
	}
}
