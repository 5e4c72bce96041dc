package main

import (
	"bufio"
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/platform/local"
)

func (a *app) queryCommand() *cobra.Command {
	grid := a.people
	c := &cobra.Command{Use: "query SQL", Short: "Query the warehouse, without changing it", Args: cobra.ExactArgs(1),
		Long: `Query the warehouse. With --json, or where stdout is no terminal, the rows are one
JSON array of objects: decimals, integers and JSON columns keep every digit,
timestamps are RFC 3339 in UTC. The statement runs in a read-only transaction.`,
		RunE: func(c *cobra.Command, args []string) error { return a.query(c.Context(), args[0], grid && !a.json) }}
	c.Flags().BoolVar(&grid, "grid", a.people, "print a table for people; the default on a terminal")
	return c
}

// embedded refuses to read a service's rows: it has tools of its own for that, and
// people who may use them.
func embedded(p local.Places) error {
	if !p.Remote() {
		return nil
	}
	return fault.New(fault.Invalid, "rows are read from the embedded warehouse only; ask %s with its own tools, the control tables are in schema millrace", p.Warehouse)
}

func (a *app) query(ctx context.Context, statement string, grid bool) error {
	w, p, err := a.warehouse(ctx)
	if err != nil {
		return err
	}
	defer w.Close()
	if err := embedded(p); err != nil {
		return err
	}
	r, err := read(ctx, w.DB(), statement)
	if err != nil {
		return err
	}
	defer r.close()
	a.answered = true
	if grid {
		_, err = r.writeGrid(a.out)
	} else {
		err = r.writeJSON(a.out)
	}
	return err
}

// result is the rows of a query, every value as the text that DuckDB prints: no
// digit can be lost on the way through a Go type.
type result struct {
	conn  *sql.Conn
	rows  *sql.Rows
	names []string
	types []string
}

// read runs a statement that reads. Anything else, and SQL that does not bind, is
// fault.Invalid.
func read(ctx context.Context, db *sql.DB, statement string) (*result, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	r := &result{conn: conn}
	if err := r.open(ctx, strings.TrimRight(strings.TrimSpace(statement), "; \t\n")); err != nil {
		r.close()
		return nil, fault.New(fault.Invalid, "query: %w", err)
	}
	return r, nil
}

func (r *result) open(ctx context.Context, statement string) (err error) {
	for _, q := range []string{
		"SET preserve_insertion_order = true", // the writer's setting is the opposite, and people sort
		"BEGIN TRANSACTION READ ONLY",         // the driver knows no sql.TxOptions.ReadOnly
	} {
		if _, err := r.conn.ExecContext(ctx, q); err != nil {
			return err
		}
	}
	if err := r.describe(ctx, statement); err != nil {
		return err
	}
	r.rows, err = r.conn.QueryContext(ctx, r.wrap(statement))
	return err
}

// single refuses text that is several statements: one of them could end our
// transaction. The driver's plain Prepare takes one and tells.
func (r *result) single(query string) error {
	return r.conn.Raw(func(c any) error {
		s, err := c.(driver.Conn).Prepare(query)
		switch {
		case err == nil:
			return s.Close()
		case strings.Contains(err.Error(), "multi-statement"):
			return errors.New("one statement at a time, please")
		case strings.Contains(err.Error(), "Parser Error"):
			return fmt.Errorf("%w (only statements that read are allowed)", err)
		}
		return err
	})
}

// describe learns the columns. It also refuses what is no query: only queries can
// be described.
func (r *result) describe(ctx context.Context, statement string) error {
	query := "DESCRIBE (\n" + statement + "\n)"
	if err := r.single(query); err != nil {
		return err
	}
	rows, err := r.conn.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	seen := map[string]int{}
	for rows.Next() {
		var name, typ string
		var rest [4]any
		if err := rows.Scan(&name, &typ, &rest[0], &rest[1], &rest[2], &rest[3]); err != nil {
			return err
		}
		if seen[name]++; seen[name] > 1 { // an object has every member once
			name = fmt.Sprintf("%s_%d", name, seen[name])
		}
		r.names, r.types = append(r.names, name), append(r.types, typ)
	}
	return rows.Err()
}

// wrap asks for every column as text, by position: names may be double.
func (r *result) wrap(statement string) string {
	cols, list := make([]string, len(r.names)), make([]string, len(r.names))
	for i, typ := range r.types {
		cols[i] = fmt.Sprintf("c%d", i)
		list[i] = fmt.Sprintf("CAST(c%d AS VARCHAR)", i)
		if nested(typ) {
			list[i] = fmt.Sprintf("CAST(to_json(c%d) AS VARCHAR)", i)
		}
	}
	return fmt.Sprintf("SELECT %s FROM (\n%s\n) AS q(%s)", strings.Join(list, ", "), statement, strings.Join(cols, ", "))
}

func (r *result) close() {
	if r.rows != nil {
		r.rows.Close()
	}
	// The transaction wrote nothing; an error here changes nothing.
	_, _ = r.conn.ExecContext(context.Background(), "ROLLBACK")
	r.conn.Close()
}

// each calls row with the texts of every row.
func (r *result) each(row func(cells []sql.NullString) error) error {
	cells := make([]sql.NullString, len(r.names))
	to := make([]any, len(cells))
	for i := range cells {
		to[i] = &cells[i]
	}
	for r.rows.Next() {
		if err := r.rows.Scan(to...); err != nil {
			return err
		}
		if err := row(cells); err != nil {
			return err
		}
	}
	return r.rows.Err()
}

// writeJSON writes an array with one object per line.
func (r *result) writeJSON(w io.Writer) error {
	out := bufio.NewWriter(w)
	keys := make([][]byte, len(r.names))
	for i, name := range r.names {
		keys[i], _ = json.Marshal(name)
	}
	separator := "[\n"
	var line []byte
	err := r.each(func(cells []sql.NullString) error {
		line = append(line[:0], separator...)
		separator = ",\n"
		for i, c := range cells {
			line = append(line, "{,"[min(i, 1)])
			line = append(append(line, keys[i]...), ':')
			line = appendValue(line, r.types[i], c)
		}
		_, err := out.Write(append(line, '}'))
		return err
	})
	if separator == "[\n" {
		out.WriteString("[")
	}
	if err != nil {
		return err
	}
	out.WriteString("]\n")
	return out.Flush()
}

// writeGrid writes a table for people and returns its number of rows.
func (r *result) writeGrid(w io.Writer) (int, error) {
	headings := make([]string, len(r.names))
	for i, name := range r.names {
		headings[i] = name
		if numeric(r.types[i]) {
			headings[i] += "#"
		}
	}
	g := newGrid(headings...)
	err := r.each(func(cells []sql.NullString) error {
		row := make([]string, len(cells))
		for i, c := range cells {
			row[i] = cell(r.types[i], c)
		}
		g.row(row...)
		return nil
	})
	if err != nil {
		return 0, err
	}
	return len(g.rows) - 1, g.write(w)
}
