package reverse

import (
	"log/slog"
	"time"

	"github.com/millrace-data/millrace/shared/warehouse"
)

// Engine plans, guards and applies syncs. Log and Warehouse are required; Connect
// is for all that reads or writes the destination.
type Engine struct {
	Warehouse *warehouse.Warehouse
	Connect   Connector
	Inputs    []Input // the tables that functions of this build fill
	Log       *slog.Logger
	Now       func() time.Time
	Owner     string                 // names this worker in leases
	Lease     time.Duration          // of an apply, renewed as it goes on; 0 = 2 min
	Poll      time.Duration          // before a bulk job is looked at again, growing; 0 = 2 s
	Bulk      int64                  // writes of a plan above which they go through jobs; 0 = BulkFrom
	Part      int64                  // rows of a bulk job at most; 0 = 200,000
	Scratch   string                 // folder for uploads and results; "" = the system's
	Point     func(name string)      // crash points, for tests; nil = none
	Progress  func(done, rows int64) // of a plan or an apply; nil = nobody looks
}

// Input is a table that a function fills, as the ledger and people know it.
type Input struct {
	Function string            // in millrace.slices
	Schema   string            //
	Table    string            // without schema
	Classes  map[string]string // column: its class of data, such as "email" or "mnpi"
}

// FullName is schema.table.
func (i Input) FullName() string { return i.Schema + "." + i.Table }

// Kind is what a plan does to one record.
type Kind string

// The kinds of a change.
const (
	KindCreate Kind = "create"
	KindUpdate Kind = "update"
	KindDelete Kind = "delete"
)

// Change is what a plan does to one record.
type Change struct {
	N      int64  // place in the plan, from 1 on: rows that go together are next to each other
	Key    string // value of the job's external id
	ID     string // of the record; "" for a create
	Kind   Kind
	Fields []FieldChange // by name; of a delete: what is lost

	// Accepted is what sync_sent is to hold once the change is sent; nil, of a
	// rollback, leaves it as it is. It is not written to the destination, and so not
	// part of the hash.
	Accepted *string
}

// FieldChange is a field before and after, in canonical text; nil is null.
type FieldChange struct {
	Field         string
	Before, After *string
}

// Plan is a row of millrace.sync_plans.
type Plan struct {
	ID, Sync, Object string
	Operation        Operation
	Undoes           string // plan that this one rolls back
	Hash             string // SHA-256 over the job and all changes, hexadecimal
	Job              Job
	State            PlanState

	Creates, Updates, Deletes int64 // records
	Blankings, Zeroings       int64 // fields
	Unchanged, Rejected, Kept int64 // Kept: of a rollback, records that no longer hold our value
	Sent, Failed, Unprocessed int64
	Blocked                   []Block

	PlannedAt             time.Time
	ApprovedBy            string
	ApprovedAt            time.Time
	ApprovedHash          string
	Fence                 int64
	Owner                 string
	LeaseUntil, AppliedAt time.Time
	PausedUntil           time.Time
	Next                  string // plan that was made because this one was out of date
	Error                 string
}

// Writes is how many records the plan touches.
func (p *Plan) Writes() int64 { return p.Creates + p.Updates + p.Deletes }

// PlanState is how far a plan is.
type PlanState string

// The states of a plan.
const (
	PlanBlocked  PlanState = "blocked"  // by a guard; see Blocked
	PlanReady    PlanState = "ready"    // may be approved
	PlanApproved PlanState = "approved" // may be applied
	PlanApplying PlanState = "applying" // some of it may be written; apply goes on with it
	PlanPaused   PlanState = "paused"   // applying, until the quota is back
	PlanApplied  PlanState = "applied"  // every row has ended; see Sent, Failed, Unprocessed
	PlanStale    PlanState = "stale"    // too old, or the destination changed: see Next
)

// Block is a guard that a plan ran into.
type Block struct {
	Guard    string    `json:"guard"`    // creates, or Score__c.zeroed
	Observed string    `json:"observed"` // in words that name the unit
	Allowed  string    `json:"allowed"`
	Examples []Example `json:"examples,omitempty"` // a few of the rows
}

// Example is a row that a guard objects to.
type Example struct {
	Key    string  `json:"key"`
	Field  string  `json:"field,omitempty"`
	Before *string `json:"before,omitempty"`
	After  *string `json:"after,omitempty"`
}
