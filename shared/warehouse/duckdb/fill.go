package duckdb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"iter"

	"github.com/duckdb/duckdb-go/v2"
)

// fillRows is how many rows of Fill are held at a time.
const fillRows = 4096

// Fill appends the rows, which is far faster than INSERT. The connection is free
// while rows makes more of them, so that they may come from it.
func (Driver) Fill(ctx context.Context, conn *sql.Conn, schema, table string, cols []string, rows iter.Seq2[[]any, error]) (n int64, err error) {
	some := make([][]any, 0, fillRows)
	flush := func() error {
		err := appendRows(ctx, conn, [2]string{schema, table}, cols, some)
		n += int64(len(some))
		some = some[:0]
		return err
	}
	for row, err := range rows {
		if err != nil {
			return n, err
		}
		if some = append(some, row); len(some) == fillRows {
			if err := flush(); err != nil {
				return n, err
			}
		}
	}
	return n, flush()
}

// appendRows adds rows in the transaction that is open on conn, or in one of its own.
func appendRows(ctx context.Context, conn *sql.Conn, name [2]string, cols []string, rows [][]any) error {
	if len(rows) == 0 || ctx.Err() != nil {
		return ctx.Err()
	}
	return conn.Raw(func(c any) error {
		raw, ok := c.(driver.Conn)
		if !ok {
			return errors.New("the connection is not DuckDB's")
		}
		catalog, schema := "", name[0]
		if schema == "" {
			catalog, schema = "temp", "main"
		}
		a, err := duckdb.NewAppenderWithColumns(raw, catalog, schema, name[1], cols)
		if err != nil {
			return err
		}
		values := make([]driver.Value, len(cols))
		for _, row := range rows {
			for i, v := range row {
				values[i] = v
			}
			if err = a.AppendRow(values...); err != nil {
				break
			}
		}
		if err != nil {
			_ = a.Clear() // what was appended of these is not to be written by Close
		}
		return errors.Join(err, a.Close())
	})
}
