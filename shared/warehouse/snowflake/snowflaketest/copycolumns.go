package snowflaketest

import (
	"context"
	"fmt"
	"regexp"
	"strconv"

	"github.com/duckdb/duckdb-go/v2"
)

// columnsFor fills in which columns a COPY writes and from what.
func (s *session) columnsFor(ctx context.Context, c *copying) error {
	types, all, err := s.columns(ctx, c.into)
	if err != nil {
		return err
	}
	if c.cols == nil {
		c.cols = all
	}
	for _, col := range c.cols {
		if types[col] == "" {
			return fail("000904", "42000", "SQL compilation error: invalid identifier '%s'", decode(col))
		}
	}
	if c.exprs == nil {
		err = c.direct(types)
	}
	if err == nil && len(c.exprs) != len(c.cols) {
		err = fail("002020", "21S01", "SQL compilation error:\nInsert value list does not match column list expecting %d but got %d", len(c.cols), len(c.exprs))
	}
	return err
}

// direct is the expressions of a COPY without SELECT: the whole line into one
// VARIANT, or each column from the field of its name.
func (c *copying) direct(types map[string]string) error {
	doc := token{kind: word, text: "$1"}
	if c.match == "" || c.match == "NONE" {
		if len(c.cols) != 1 || types[c.cols[0]] != "JSON" {
			return fail("002018", "22000", "SQL compilation error: JSON file format can produce one and only one column of variant, object, or array type. Load data into separate columns using the MATCH_BY_COLUMN_NAME copy option or copy with transformation.")
		}
		c.exprs = [][]token{{doc}}
		return nil
	}
	for _, col := range c.cols {
		field := func(name string) string { return "SF_LOOK(SF_DOC, " + literal("/"+name) + ")" }
		from := field(decode(col))
		if c.match == "CASE_INSENSITIVE" {
			from = fmt.Sprintf("(list_extract(list_transform(list_filter(json_keys(SF_DOC), k -> lower(k) = lower(%s)), k -> SF_DOC -> ('/' || k)), 1))", literal(decode(col)))
		}
		if types[col] != "JSON" {
			from = "CAST(SF_TEXT(" + from + ", '') AS " + types[col] + ")"
		}
		c.exprs = append(c.exprs, []token{raws(from)})
	}
	return nil
}

// lineOf is where the engine says that a line is no JSON.
var lineOf = regexp.MustCompile(`in (?:line|record/value) (\d+)`)

// misfit finds the first line of a file that does not load, and why. It looks from
// a connection of its own: the session's may be in the middle of a transaction.
func (s *session) misfit(ctx context.Context, c copying, f staged, known error) (line int64, why *failure) {
	conn, err := s.srv.engine.Conn(ctx)
	if err != nil {
		return 0, failed(err)
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, "SET search_path = 'memory.main'"); err != nil {
		return 0, failed(err)
	}
	try := func(from, to int64) error {
		q, err := s.source(c, f, fmt.Sprintf("WHERE SF_ROW BETWEEN %d AND %d", from, to))
		if err != nil {
			return err
		}
		rows, err := conn.QueryContext(ctx, q)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
		}
		return rows.Err()
	}
	const end = 1 << 40
	err = try(1, end)
	if err == nil {
		if known != nil { // NOT NULL, or a size
			return 0, failed(known)
		}
		return 0, nil
	}
	var low, high int64 = 1, 2
	if m := lineOf.FindStringSubmatch(err.Error()); m != nil {
		low, _ = strconv.ParseInt(m[1], 10, 64)
	} else {
		for try(1, high) == nil && high < end {
			low, high = high, high*2
		}
		for low < high {
			if mid := (low + high) / 2; try(1, mid) != nil {
				high = mid
			} else {
				low = mid + 1
			}
		}
	}
	why = failed(err)
	why = &failure{why.code, why.state, fmt.Sprintf("%s\n  File '%s', line %d, character 1\n  Row %d\n  If you would like to continue loading when an error is encountered, use other values such as 'SKIP_FILE' or 'CONTINUE' for the ON_ERROR option.", why.message, f.name, low, low)}
	return low, why
}

var (
	badText = regexp.MustCompile(`(?s)Could not convert string ["'](.*)["'] to (\S+)`)
	badTime = regexp.MustCompile(`(?s)(timestamp|date|time) field[^"']*["'](.*?)["']`)
)

// badValue says in the service's words what could not be converted. The value is in
// them, as there.
func badValue(e *duckdb.Error) *failure {
	if m := badTime.FindStringSubmatch(e.Msg); m != nil {
		if m[1] == "date" {
			return fail("100040", "22007", "Date '%s' is not recognized", m[2])
		}
		return fail("100035", "22007", "Timestamp '%s' is not recognized", m[2])
	}
	if m := badText.FindStringSubmatch(e.Msg); m != nil {
		if m[2] == "BOOL" || m[2] == "BOOLEAN" {
			return fail("100037", "22018", "Boolean value '%s' is not recognized", m[1])
		}
		return fail("100038", "22018", "Numeric value '%s' is not recognized", m[1])
	}
	return nil
}
