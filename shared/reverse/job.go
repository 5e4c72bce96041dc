package reverse

import "time"

// Job is a sync as its file describes it: which query feeds which fields of which
// object, and what no plan of it may do. Files are decoded strictly; see [ReadJob].
type Job struct {
	Name       string            `yaml:"name"`
	Owner      string            `yaml:"owner"` // who is asked when it is blocked
	Query      string            `yaml:"query,omitempty"`
	QueryFile  string            `yaml:"query_file,omitempty"` // relative to the job's file; read into Query, and empty then
	Object     string            `yaml:"object"`
	Operation  Operation         `yaml:"operation"`
	ExternalID string            `yaml:"external_id"`        // field of the object that tells records apart; Id for update and delete
	Key        string            `yaml:"key"`                // column of the query that carries it
	Fields     map[string]string `yaml:"fields"`             // column of the query: field of the object
	OrderBy    string            `yaml:"order_by,omitempty"` // column of the query whose equal values are sent together, such as the parent's id: fewer locks
	Nulls      Nulls             `yaml:"nulls,omitempty"`    // "" = ignore
	After      string            `yaml:"after,omitempty"`    // schema.table whose loads start it
	Schedule   string            `yaml:"schedule,omitempty"` // cron, five fields, UTC
	Guards     Guards            `yaml:"guards,omitempty"`
	Approval   Approval          `yaml:"approval,omitempty"` // "" = required
	Expires    time.Duration     `yaml:"expires,omitempty"`  // how old a plan may be when it is applied; 0 = 24h
	Classes    []string          `yaml:"classes,omitempty"`  // data classes that it may send
	Reserve    int               `yaml:"reserve,omitempty"`  // percent of the destination's requests that are left to people; 0 = 20
}

// Nulls is what a null in the query does to a field.
type Nulls string

// The ways with nulls.
const (
	IgnoreNulls Nulls = "ignore" // leave the field as it is
	BlankNulls  Nulls = "blank"  // empty the field
)

// Approval is who lets a plan be applied.
type Approval string

// The approvals.
const (
	ApprovalRequired Approval = "required" // a person, for each plan
	ApprovalAuto     Approval = "auto"     // nobody, within the guards
)

// Guards are what blocks a plan before anything is written.
type Guards struct {
	Writes  *Limit                `yaml:"writes,omitempty"` // creates, updates and deletes together
	Creates *Limit                `yaml:"creates,omitempty"`
	Updates *Limit                `yaml:"updates,omitempty"`
	Deletes *Limit                `yaml:"deletes,omitempty"`
	Share   *Limit                `yaml:"share,omitempty"` // records touched; max_percent is of the records of the object
	Inputs  *Inputs               `yaml:"inputs,omitempty"`
	Fields  map[string]FieldGuard `yaml:"fields,omitempty"` // by field of the object
}

// Limit blocks a count that is over Max and over MaxPercent; where one of them is
// missing, the other counts alone. Percent is of the planned writes, unless the
// guard says otherwise.
type Limit struct {
	Max        *int64   `yaml:"max,omitempty"`
	MaxPercent *float64 `yaml:"max_percent,omitempty"`
}

// FieldGuard limits what a plan may do to one field.
type FieldGuard struct {
	Zeroed  *Limit    `yaml:"zeroed,omitempty"`  // from another number to 0
	Blanked *Limit    `yaml:"blanked,omitempty"` // from a value to none
	Factor  *Factor   `yaml:"factor,omitempty"`
	Range   *[2]Bound `yaml:"range,omitempty"` // of the new value, inclusive
	Set     []string  `yaml:"set,omitempty"`   // that the new value must be of
}

// Factor blocks where more values than its Limit allows (0, where it has none)
// become more than Over times as large, or as small, as they were.
type Factor struct {
	Over float64 `yaml:"over"`
	Limit
}

// Bound is one end of a range, kept as it is written so that no digit is lost; null
// is open.
type Bound string

// Inputs is what the tables must be that the query reads. One whose last slice was
// refused blocks always.
type Inputs struct {
	MaxAge time.Duration `yaml:"max_age,omitempty"` // since what the table is complete up to; 0 = any age
}
