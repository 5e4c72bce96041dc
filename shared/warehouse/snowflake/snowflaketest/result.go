package snowflaketest

import (
	"context"
	"database/sql"
	"encoding/hex"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/duckdb/duckdb-go/v2"
)

// Statement types that the driver tells apart.
const (
	typeSelect   = 0x1000
	typeInsert   = 0x3100
	typeUpdate   = 0x3200
	typeDelete   = 0x3300
	typeMerge    = 0x3400
	typeCopy     = 0x3600
	typeUse      = 0x4300
	typeShow     = 0x4400
	typeDescribe = 0x4500
	typeTCL      = 0x5000
	typeDDL      = 0x6000
	typeMulti    = 0xA000
)

// column is one column of a result, as the protocol names types.
type column struct {
	Name      string `json:"name"`
	Type      string `json:"type"`
	Precision int64  `json:"precision"`
	Scale     int64  `json:"scale"`
	Length    int64  `json:"length"`
	Nullable  bool   `json:"nullable"`
}

// answer is what a statement gives.
type answer struct {
	kind int64
	cols []column
	rows [][]*string
	more map[string]any // further fields of the data object: PUT, several statements
}

func textColumn(name string) column {
	return column{Name: name, Type: "text", Length: 16777216, Nullable: true}
}

func wholeColumn(name string) column {
	return column{Name: name, Type: "fixed", Precision: 38}
}

// done is the one-line answer of a statement that returns nothing else.
func done(kind int64, format string, args ...any) *answer {
	s := fmt.Sprintf(format, args...)
	return &answer{kind: kind, cols: []column{textColumn("status")}, rows: [][]*string{{&s}}}
}

// counted is the answer of DML: one column per count.
func counted(kind int64, names []string, counts ...int64) *answer {
	a := &answer{kind: kind, rows: [][]*string{nil}}
	for i, n := range names {
		s := strconv.FormatInt(counts[i], 10)
		a.cols, a.rows[0] = append(a.cols, wholeColumn("number of "+n)), append(a.rows[0], &s)
	}
	return a
}

// texts is a result of text columns; "" is null.
func texts(kind int64, names []string, rows ...[]string) *answer {
	a := &answer{kind: kind, rows: [][]*string{}}
	for _, n := range names {
		a.cols = append(a.cols, textColumn(n))
	}
	for _, r := range rows {
		cells := make([]*string, len(r))
		for i := range r {
			if r[i] != "" {
				cells[i] = &r[i]
			}
		}
		a.rows = append(a.rows, cells)
	}
	return a
}

// query runs SQL of the engine and keeps its rows. Documents are read as text, so
// that no digit is lost: the engine's driver would decode them.
func (s *session) query(ctx context.Context, q string, args []any) (*answer, error) {
	rows, err := s.conn.QueryContext(ctx, q, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	types, err := rows.ColumnTypes()
	if err != nil {
		return nil, err
	}
	a := &answer{kind: typeSelect, rows: [][]*string{}}
	list, names, document := make([]string, len(types)), make([]string, len(types)), false
	for i, t := range types {
		a.cols = append(a.cols, columnOf(t))
		names[i] = fmt.Sprintf("SF_C%d", i)
		if list[i] = names[i]; t.DatabaseTypeName() == "JSON" {
			list[i], document = "CAST("+names[i]+" AS VARCHAR)", true
		}
	}
	if document {
		rows.Close()
		if rows, err = s.conn.QueryContext(ctx, fmt.Sprintf("SELECT %s FROM (%s) AS SF_Q(%s)", strings.Join(list, ", "), q, strings.Join(names, ", ")), args...); err != nil {
			return nil, err
		}
		defer rows.Close()
	}
	if err := a.read(rows); err != nil {
		return nil, err
	}
	if s.params["JSON_INDENT"] != "0" {
		a.indent()
	}
	return a, nil
}

// indent writes documents as the service shows them.
func (a *answer) indent() {
	for i, c := range a.cols {
		for _, row := range a.rows {
			if c.Type == "variant" && row[i] != nil {
				s := pretty(*row[i])
				row[i] = &s
			}
		}
	}
}

func (a *answer) read(rows *sql.Rows) error {
	for rows.Next() {
		cells, dest := make([]any, len(a.cols)), make([]any, len(a.cols))
		for i := range cells {
			dest[i] = &cells[i]
		}
		if err := rows.Scan(dest...); err != nil {
			return err
		}
		line := make([]*string, len(cells))
		for i, c := range cells {
			line[i] = encodeCell(a.cols[i].Type, c)
		}
		a.rows = append(a.rows, line)
	}
	return rows.Err()
}

// headings of the service that the engine spells otherwise.
var headings = map[string]string{"count_star()": "COUNT(*)"}

func columnOf(t *sql.ColumnType) column {
	c := column{Name: decode(t.Name()), Nullable: true}
	if h := headings[c.Name]; h != "" {
		c.Name = h
	}
	typ := t.DatabaseTypeName()
	switch {
	case strings.HasPrefix(typ, "DECIMAL"):
		c.Type = "fixed"
		fmt.Sscanf(typ, "DECIMAL(%d,%d)", &c.Precision, &c.Scale)
	case strings.HasSuffix(typ, "INT"), strings.HasSuffix(typ, "INTEGER"):
		c.Type, c.Precision = "fixed", 38
	case typ == "DOUBLE", typ == "FLOAT":
		c.Type = "real"
	case typ == "BOOLEAN":
		c.Type = "boolean"
	case typ == "DATE":
		c.Type = "date"
	case typ == "TIME":
		c.Type, c.Scale = "time", 9
	case typ == "TIMESTAMPTZ":
		c.Type, c.Scale = "timestamp_ltz", 9
	case strings.HasPrefix(typ, "TIMESTAMP"):
		c.Type, c.Scale = "timestamp_ntz", 9
	case typ == "BLOB":
		c.Type, c.Length = "binary", 8388608
	case typ == "JSON":
		c.Type = "variant"
	default:
		c.Type, c.Length = "text", 16777216
	}
	return c
}

// encodeCell is a value as the protocol sends it, nil for null.
func encodeCell(typ string, v any) *string {
	var s string
	switch v := v.(type) {
	case nil:
		return nil
	case bool:
		if s = "0"; v {
			s = "1"
		}
	case time.Time:
		switch typ {
		case "date":
			s = strconv.FormatInt(floor(v.Unix(), 86400), 10)
		case "time":
			day := v.Sub(v.Truncate(24 * time.Hour))
			s = fmt.Sprintf("%d.%09d", int64(day/time.Second), int64(day%time.Second))
		default:
			s = moment(v)
		}
	case duckdb.Decimal:
		s = decimal(v.Value, int(v.Scale))
	case *big.Int:
		s = v.String()
	case float64:
		s = strconv.FormatFloat(v, 'g', -1, 64)
	case []byte:
		s = strings.ToUpper(hex.EncodeToString(v))
	case string:
		s = v
	default:
		s = fmt.Sprint(v)
	}
	return &s
}

func floor(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// moment is seconds and nanoseconds since 1970. The driver reads both parts on
// their own and adds them: before 1970 the seconds are rounded down.
func moment(t time.Time) string { return fmt.Sprintf("%d.%09d", t.Unix(), t.Nanosecond()) }

// decimal writes a number with every digit of its scale.
func decimal(v *big.Int, scale int) string {
	if scale == 0 {
		return v.String()
	}
	digits := new(big.Int).Abs(v).String()
	if len(digits) <= scale {
		digits = strings.Repeat("0", scale+1-len(digits)) + digits
	}
	sign := ""
	if v.Sign() < 0 {
		sign = "-"
	}
	return sign + digits[:len(digits)-scale] + "." + digits[len(digits)-scale:]
}
