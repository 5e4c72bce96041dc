package reverse

import (
	"context"
	"io"
	"iter"
	"time"
)

// Destination is a system that syncs write into, bound to one invocation.
//
// Its errors have the kinds of package fault: Limited, with a time, where a quota
// is used up; Auth; Invalid, where the request can never work; NotFound; Transient,
// after its own retries of what changes nothing.
type Destination interface {
	// Describe returns an object as the running user sees it; fault.NotFound where
	// there is none for them.
	Describe(ctx context.Context, object string) (*Object, error)
	// Read streams the records that q asks for, in any order, each once. Records
	// that are not there are not given.
	Read(ctx context.Context, q Query) iter.Seq2[Record, error]
	// Count is how many records an object has.
	Count(ctx context.Context, object string) (int64, error)
	// Write sends at most WriteMax rows in one request and returns a result for each
	// of them. An error says nothing about what was done, unless it is Limited, Auth
	// or Invalid: then nothing was.
	Write(ctx context.Context, t Task, rows []Row) ([]Result, error)
	// Budget is what the destination said last of the requests that are left.
	Budget() Budget
}

// Bulk is a Destination's way to write many rows: a job at its side, which is
// created, uploaded to exactly once, started, watched and read.
type Bulk interface {
	// Create makes an empty job and returns its id. The caller stores it before
	// anything else.
	Create(ctx context.Context, t Task) (id string, err error)
	// Upload sends the rows, once. Whatever the error is, it must not be called again
	// for this job: End(…, Aborted) it, and create another.
	Upload(ctx context.Context, id string, t Task, rows iter.Seq2[Row, error]) error
	// End starts the job's work (Closed), or gives it up (Aborted).
	End(ctx context.Context, id string, state JobState) error
	// Look returns how the job is doing, fault.NotFound where it is gone.
	Look(ctx context.Context, id string) (BulkJob, error)
	// Results streams what became of every row, in any order, once the job has ended.
	// Rows that it never attempted are Unprocessed.
	Results(ctx context.Context, id string, t Task) iter.Seq2[Result, error]
}

// Object is what a destination says of one of its objects.
type Object struct {
	Name                            string
	Creatable, Updatable, Deletable bool
	Readable                        bool
	Prefix                          string // that ids of its records begin with; "" = unknown
	Creator, Editor                 string // fields that say who made a record and who changed it last; "" = there are none
	Fields                          []Field
}

// Field is one field of an object, as the running user may use it.
type Field struct {
	Name                 string
	Type                 FieldType
	Length               int // characters, of text; 0 = no limit known
	Precision, Scale     int // digits in all and after the point, of numbers; Precision 0 = unknown
	Nullable             bool
	Creatable, Updatable bool
	Defaulted            bool     // gets a value of its own when a record is created without one
	Key                  bool     // records can be found by it: an external id
	Unique               bool     // no two records have the same
	CaseSensitive        bool     // of a Key: k1 and K1 are two records
	Restricted           bool     // only Values may be written
	Values               []string // the active ones of a picklist
	References           []string // objects that an id in it may be of
}

// FieldType is how a field's values are written and compared.
type FieldType string

// The types. What a destination has beside them is OtherType, and is not written.
const (
	TextType      FieldType = "text"
	NumberType    FieldType = "number"
	BooleanType   FieldType = "boolean"
	DateType      FieldType = "date"
	TimestampType FieldType = "timestamp"
	TimeType      FieldType = "time"
	PicklistType  FieldType = "picklist"
	MultiType     FieldType = "multipicklist" // values joined by ";"
	IDType        FieldType = "id"            // also references
	OtherType     FieldType = "other"
)

// Query asks for records by a key field.
type Query struct {
	Object string
	Key    string   // field; "Id" for the record's own id
	Keys   []string // nil = every record that has a Key; then the destination may take its time
	Fields []string
}

// Record is a record as it stands. Values are in the order of Query.Fields, as the
// destination writes them; nil is null.
type Record struct {
	ID     string
	Key    string
	Values []*string
}

// Operation is what a job or a task does to records.
type Operation string

// The operations.
const (
	Insert Operation = "insert"
	Update Operation = "update"
	Upsert Operation = "upsert"
	Delete Operation = "delete"
)

// Task is what all rows of one request, or one bulk job, have in common.
type Task struct {
	Object    string
	Operation Operation
	Key       string  // field that names the record: an external id, or "Id". Of an insert: the field whose value tells the rows apart
	Fields    []Field // that rows have values for, Key not among them
}

// Row is a record to write. Values are in the order of Task.Fields.
type Row struct {
	Key    string
	Values []Value
}

// Value is what to do with a field.
type Value struct {
	Set  bool    // false: leave it as it is
	Text *string // nil: blank it. Canonical otherwise; see Canonical
}

// Result is what the destination says became of a row.
type Result struct {
	Key     string // Row.Key
	State   RowState
	ID      string // of the record, where there is one
	Created bool
	Code    string // of a failure, the destination's own
	Message string // of a failure, in the destination's words
	Again   bool   // of a failure: another try may do it, such as after a lock
}

// RowState is how far a row of a plan is.
type RowState string

// The states of a row. All but the first three are ends.
const (
	RowPlanned     RowState = "planned"
	RowSending     RowState = "sending" // in a request, or a job, whose outcome is not known yet
	RowRetry       RowState = "retry"   // failed in a way that another try may cure
	RowSent        RowState = "sent"
	RowFailed      RowState = "failed"
	RowUnprocessed RowState = "unprocessed"
)

// BulkJob is a job at the destination's side.
type BulkJob struct {
	ID        string
	State     JobState
	Processed int64 // rows, failed ones among them
	Failed    int64
	Message   string    // why the whole job failed
	Created   time.Time // zero: not known
}

// JobState is how far a bulk job is.
type JobState string

// The states of a bulk job. The last three are ends.
const (
	Open    JobState = "open"    // waits for its upload; nothing was written
	Closed  JobState = "closed"  // uploaded and started, or at work
	Done    JobState = "done"    // every row was attempted
	Broken  JobState = "failed"  // some rows may have been attempted
	Aborted JobState = "aborted" // some rows may have been attempted
)

// Ended reports whether a job's results can be read.
func (s JobState) Ended() bool { return s == Done || s == Broken || s == Aborted }

// Budget is the requests of a period: Used of Max. Max 0 means that nothing is known.
type Budget struct {
	Used, Max int64
	Seen      time.Time
}

const (
	// WriteMax is how many rows one Write takes: Salesforce's limit of sObject
	// Collections, documentation read 2026-08.
	WriteMax = 200
	// BulkFrom is the number of rows above which writes go through Bulk.
	BulkFrom = 2000
	// UploadMax is how large an upload may be, in bytes: 100 MB raw are allowed.
	UploadMax = 90_000_000
)

// Connector opens a destination for one invocation, and makes no request. What it
// returns is a Bulk too, where the destination can, and closed where it is an
// [io.Closer].
type Connector func(ctx context.Context) (Destination, error)

func closeDestination(d Destination) error {
	if c, ok := d.(io.Closer); ok {
		return c.Close()
	}
	return nil
}
