package snowflake

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"iter"
	"strings"

	sf "github.com/snowflakedb/gosnowflake/v2"

	"github.com/millrace-data/millrace/shared/warehouse"
)

const (
	fillValues = 60_000  // values of one statement; the client puts none of them to a stage, see settle
	fillBytes  = 4 << 20 // of texts in one statement
)

// Fill inserts columns of values: one statement for some thousand rows, where VALUES
// of single ones would take as many as there are hundreds of rows. They go with the
// statement and not through a stage, because making a stage would commit the
// transaction that is open on conn.
func (Driver) Fill(ctx context.Context, conn *sql.Conn, schema, table string, cols []string, rows iter.Seq2[[]any, error]) (n int64, err error) {
	p := piece{into: quote(table), cols: cols}
	if schema != "" {
		p.into = warehouse.Name{Schema: schema, Table: table}.String()
	}
	p.reset()
	flush := func() error {
		rows := p.rows
		err := p.insert(ctx, conn)
		if err == nil {
			n += rows
		}
		return err
	}
	for row, err := range rows {
		if err == nil {
			err = p.add(row)
		}
		if err != nil {
			return n, err
		}
		if p.full() {
			if err := flush(); err != nil {
				return n, err
			}
		}
	}
	return n, flush()
}

// piece is the rows of one statement, by column.
type piece struct {
	into   string
	cols   []string
	values [][]any
	some   []bool // columns that have a value at all
	rows   int64
	bytes  int
}

func (p *piece) reset() {
	p.values, p.some, p.rows, p.bytes = make([][]any, len(p.cols)), make([]bool, len(p.cols)), 0, 0
}

func (p *piece) full() bool {
	return p.bytes >= fillBytes || (int(p.rows)+1)*len(p.cols) > fillValues
}

func (p *piece) add(row []any) error {
	if len(row) != len(p.cols) {
		return fmt.Errorf("a row of %d values for %d columns", len(row), len(p.cols))
	}
	for i, v := range row {
		v, err := driver.DefaultParameterConverter.ConvertValue(v)
		if err != nil {
			return fmt.Errorf("column %s: %w", p.cols[i], err)
		}
		if text, ok := v.(string); ok {
			p.bytes += len(text)
		}
		p.values[i] = append(p.values[i], v)
		p.some[i] = p.some[i] || v != nil
	}
	p.rows++
	return nil
}

// insert writes the rows and forgets them. A column without any value is NULL in the
// statement: the client would bind it as a number, which is not what every column is.
func (p *piece) insert(ctx context.Context, conn *sql.Conn) error {
	if p.rows == 0 {
		return ctx.Err()
	}
	marks, args := make([]string, len(p.cols)), []any(nil)
	for i := range p.cols {
		if marks[i] = "NULL"; !p.some[i] {
			continue
		}
		column, err := sf.Array(p.values[i], sf.TimestampNTZType)
		if err != nil {
			return err
		}
		marks[i], args = "?", append(args, column)
	}
	names := make([]string, len(p.cols))
	for i, c := range p.cols {
		names[i] = quote(c)
	}
	insert := "INSERT INTO " + p.into + " (" + strings.Join(names, ", ") + ") VALUES "
	one := "(" + strings.Join(marks, ", ") + ")"
	if len(args) == 0 { // rows of nothing at all
		one = strings.TrimSuffix(strings.Repeat(one+", ", int(p.rows)), ", ")
	}
	_, err := conn.ExecContext(ctx, insert+one, args...)
	p.reset()
	return err
}
