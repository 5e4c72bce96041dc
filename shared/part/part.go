// Package part turns what vendors send into the parts of a slice.
//
// A part is a zstd file of NDJSON: one object per line, keyed by column name,
// and EVERY value is a JSON string or absent (absent = null). Text carries each
// type without loss: integers and decimals as plain digits, booleans as true and
// false, timestamps as 2006-01-02 15:04:05.999999 in UTC, dates as 2006-01-02,
// documents as their JSON text. So each warehouse reads the same bytes and casts
// once, and no number ever passes through a float.
//
// [Encoder] makes the lines from JSON objects or CSV cells, [Writer] compresses
// them and rolls over to a next part, [CSV] and [Decompress] read files.
// A value that does not fit its column makes the row a [Reject]: no number is
// rounded and nothing is guessed. Only digits below a microsecond are cut.
//
// The package knows no vendor, no stage and no warehouse, and it does not check
// rules: that a key is unique is a gate's business.
package part

// Field is a value that the connector knows and the vendor's row does not hold,
// such as the id of the page's owner. Column is the warehouse name; Value is
// converted as a text of the vendor would be. It wins over the vendor's member
// for the same column.
type Field struct {
	Column string
	Value  string
}

// CSVOptions says how to read one CSV file.
type CSVOptions struct {
	Nulls  []string          // texts that mean null besides ""
	Header []string          // for CSVRows: the names to use where the first record is a row already; nil = the first record is the header
	Gather map[string]string // header prefix → json column that collects such cells as {"exact header": "cell"}
}

// Reject is a row that could not become a line. It counts, is staged beside the
// parts, and ends in millrace.rejects.
type Reject struct {
	Row    []byte // JSON object: the row as sent and what the connector added to it, or header → cell; always UTF-8
	Reason string // names the column and its type, never the value
	Rule   string // one word for counting: the column's type, or cells, duplicate
}

// Drift is how the vendor's rows differ from the declared table.
type Drift struct {
	New     []string // vendor names that are not declared, at most 1000, sorted
	Missing []string // vendor names that are declared and were never seen, sorted
}

// Stats describes one finished part.
type Stats struct {
	Key    string // as create returned it
	Rows   int64  // lines
	Bytes  int64  // compressed
	SHA256 string // hex, of the compressed bytes
}
