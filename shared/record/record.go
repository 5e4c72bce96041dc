// Package record is the vocabulary of the data: tables, columns, types, load
// modes, and the rows' common columns.
//
// A connector declares a table as a Go struct; [Columns] reads it:
//
//	type login struct {
//		ID        string       `field:"id" key:"true" doc:"The vendor's id."`
//		Timestamp time.Time    `field:"timestamp"`
//		Amount    *record.Decimal `field:"amountNet" decimal:"38,9"`
//		Geo       *record.JSON `field:"ipGeoInfo" pii:"location"`
//	}
//
// The column's name is the vendor's field name in snake_case (see [Snake]); a
// pointer is nullable. The struct is never filled: rows travel as bytes.
// The package holds no behaviour beyond names and types, and imports only the
// standard library.
package record

// Type is what a column holds.
type Type string

// The column types. Times are UTC, decimals are exact, integers have 64 bits.
const (
	Text      Type = "text"
	Integer   Type = "integer"
	Number    Type = "decimal"
	Boolean   Type = "boolean"
	Timestamp Type = "timestamp"
	Date      Type = "date"
	Document  Type = "json"
)

// Decimal is the Go type of an exact decimal field. The tag decimal:"38,9" sets
// precision (digits in all) and scale (digits after the point); 38,9 is the default.
type Decimal string

// JSON is the Go type of a nested object or array kept as a document.
type JSON string

// The columns that Millrace adds. Their names start with an underscore, and no
// vendor field may.
const (
	ColumnSlice    = "_slice"      // text: the slice that wrote the row last
	ColumnLoadedAt = "_loaded_at"  // timestamp: when that slice was committed
	ColumnExtra    = "_extra"      // json: fields the vendor sent that we did not declare
	ColumnSource   = "_source"     // text: object name, file tables only
	ColumnRow      = "_row"        // integer: 1 = first data row, file tables only
	ColumnKey      = "_key"        // text: key of rows that have none of their own
	ColumnFrom     = "_valid_from" // timestamp: history tables, inclusive
	ColumnTo       = "_valid_to"   // timestamp: history tables, exclusive, null = current
)

// Column is one column of a table.
type Column struct {
	Name      string `json:"name"`                // in the warehouse
	Field     string `json:"field"`               // the vendor's own name
	Type      Type   `json:"type"`                //
	Precision int    `json:"precision,omitempty"` // of a decimal: digits in all
	Scale     int    `json:"scale,omitempty"`     // of a decimal: digits after the point
	Nullable  bool   `json:"nullable,omitempty"`
	PII       string `json:"pii,omitempty"`  // class of personal data, e.g. "email"
	MNPI      bool   `json:"mnpi,omitempty"` // material, not public: what would move a share price if it were known
	Doc       string `json:"doc,omitempty"`  // becomes the column's comment
}

// Mode is how the rows of a slice meet the rows that are there.
type Mode string

// The load modes. All of them make a slice loaded twice equal to once.
const (
	Append           Mode = "append"            // delete this slice, insert this slice
	Merge            Mode = "merge"             // update by key where something differs, else insert
	ReplacePartition Mode = "replace_partition" // delete the partitions that the slice holds, insert
	ReplaceAll       Mode = "replace_all"       // build a shadow table, then swap
	History          Mode = "history"           // close the open version where something differs, insert the new one
)

// Table is one warehouse table that a function fills.
type Table struct {
	Schema    string   `json:"schema"`
	Name      string   `json:"name"`
	Doc       string   `json:"doc,omitempty"`
	Columns   []Column `json:"columns"`
	Key       []string `json:"key,omitempty"`       // column names; required for merge and history
	Partition string   `json:"partition,omitempty"` // column name; required for replace_partition
	Mode      Mode     `json:"mode"`
	File      bool     `json:"file,omitempty"`   // has _source and _row
	Open      bool     `json:"open,omitempty"`   // undeclared fields become text columns, instead of going to _extra
	Newest    string   `json:"newest,omitempty"` // of a merge, a column name: of two rows with one key the greater wins, whichever comes last
	Pass      bool     `json:"pass,omitempty"`   // rows that were rejected do not hold the mark: the table does without them
	Gone      *Gone    `json:"gone,omitempty"`   // rows that go because another table names them
	MNPI      bool     `json:"mnpi,omitempty"`   // every column is MNPI, also those that are not declared
}

// Gone is two tables of one schema, one of which names rows of the other that the
// vendor deleted. Both tables carry it: a load of either removes, in its commit,
// the rows that are named by then, so that the order of the loads does not matter.
type Gone struct {
	Table  string `json:"table"`  // loses the rows
	Named  string `json:"named"`  // names them
	Column string `json:"column"` // of both, by which they are named
}

// Column finds a column by its warehouse name.
func (t *Table) Column(name string) (Column, bool) {
	for _, c := range t.Columns {
		if c.Name == name {
			return c, true
		}
	}
	return Column{}, false
}

// The classes of data beside those of PII, and the column that stands for all.
const (
	ClassMNPI = "mnpi"
	AnyColumn = "*"
)

// Classes are the classes of data that the table holds, by column: the class of PII,
// or mnpi. Under [AnyColumn] is the class of every column, where the table has one.
func (t *Table) Classes() map[string]string {
	out := map[string]string{}
	if t.MNPI {
		out[AnyColumn] = ClassMNPI
	}
	for _, c := range t.Columns {
		switch {
		case c.PII != "":
			out[c.Name] = c.PII
		case c.MNPI:
			out[c.Name] = ClassMNPI
		}
	}
	return out
}

// FullName is schema.name, for messages and ledgers.
func (t *Table) FullName() string { return t.Schema + "." + t.Name }
