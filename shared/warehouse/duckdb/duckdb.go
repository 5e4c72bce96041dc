// Package duckdb is the warehouse driver for an embedded DuckDB file, the default
// on a laptop and in tests.
//
// One process holds the file at a time; a second one is told which process that
// is. Memory is bounded by [Options.Memory]: beyond it DuckDB spills to a folder
// beside the file. Times are TIMESTAMP in UTC, documents JSON, decimals
// DECIMAL(p,s). The driver needs cgo and is never linked into a cloud binary.
package duckdb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/duckdb/duckdb-go/v2"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/record"
	"github.com/millrace-data/millrace/shared/warehouse"
)

// DefaultMemory is DuckDB's memory limit where none is given. A merge of a million
// rows of 230 bytes stays under it; larger ones spill to disk.
const DefaultMemory = "1GiB"

// Options are how the file is opened.
type Options struct {
	Path    string // of the database file; its folder is created
	Memory  string // DuckDB's memory_limit; "" = DefaultMemory
	Threads int    // 0 = one per core
}

// Open opens the warehouse in a file, and creates it where it does not exist.
func Open(ctx context.Context, o Options) (*warehouse.Warehouse, error) {
	if err := os.MkdirAll(filepath.Dir(o.Path), 0o755); err != nil {
		return nil, fault.New(fault.Invalid, "folder of the warehouse file: %w", err)
	}
	if o.Memory == "" {
		o.Memory = DefaultMemory
	}
	settings := []string{
		"SET TimeZone = 'UTC'",
		"SET preserve_insertion_order = false", // rows carry their own number; unordered inserts use less memory
		"SET memory_limit = " + literal(o.Memory),
		"SET temp_directory = " + literal(o.Path+".tmp"),
		"SET checkpoint_threshold = '256MiB'", // of the write-ahead log: a checkpoint rewrites the file and costs more than a small commit
	}
	if o.Threads > 0 {
		settings = append(settings, fmt.Sprintf("SET threads = %d", o.Threads))
	}
	ctx = context.WithoutCancel(ctx) // connections are opened later, too, and a cancelled run still writes its ledger
	c, err := duckdb.NewConnector(o.Path, func(e driver.ExecerContext) error {
		for _, q := range settings {
			if _, err := e.ExecContext(ctx, q, nil); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, locked(o.Path, err)
	}
	w, err := warehouse.Open(ctx, sql.OpenDB(c), Driver{})
	return w, locked(o.Path, err)
}

// locked says which process holds the file; DuckDB's own message has its number.
func locked(path string, err error) error {
	if err == nil || !strings.Contains(err.Error(), "Could not set lock") {
		return err
	}
	holder := "another process"
	if _, after, ok := strings.Cut(err.Error(), "Conflicting lock is held in "); ok {
		holder, _, _ = strings.Cut(after, ". ")
		if i := strings.Index(holder, ")"); i >= 0 {
			holder = holder[:i+1]
		}
	}
	return fault.New(fault.Invalid, "warehouse file %s is in use by %s: wait until it ends, or set MILLRACE_HOME or MILLRACE_WAREHOUSE to another place", path, holder)
}

// Driver is the DuckDB side of package warehouse.
type Driver struct{}

// Place is the row's number. Updates of rows in a random order touch everything that
// was updated before, again and again.
func (Driver) Place(table string) string { return table + ".rowid" }

// Exclusive reports that no other process can have the file open.
func (Driver) Exclusive() bool { return true }

// Type is the SQL type of a column, as DESCRIBE spells it.
func (Driver) Type(c record.Column) string {
	switch c.Type {
	case record.Integer:
		return "BIGINT"
	case record.Number:
		return fmt.Sprintf("DECIMAL(%d,%d)", c.Precision, c.Scale)
	case record.Boolean:
		return "BOOLEAN"
	case record.Timestamp:
		return "TIMESTAMP"
	case record.Date:
		return "DATE"
	case record.Document:
		return "JSON"
	}
	return "VARCHAR"
}

// Document casts: JSON is text that was looked at.
func (Driver) Document(text string) string { return "CAST(" + text + " AS JSON)" }

// Text is the document as it is kept.
func (Driver) Text(document string) string { return "CAST(" + document + " AS VARCHAR)" }

// Columns describes the table: information_schema is ten times as slow, because it
// reads all of the catalog.
func (Driver) Columns(ctx context.Context, conn *sql.Conn, schema, table string) (map[string]string, error) {
	rows, err := conn.QueryContext(ctx, `SELECT column_name, column_type FROM (DESCRIBE `+warehouse.Name{Schema: schema, Table: table}.String()+`)`)
	var e *duckdb.Error
	if errors.As(err, &e) && e.Type == duckdb.ErrorTypeCatalog {
		return nil, nil // there is no such table, or no such schema
	}
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	cols := map[string]string{}
	for rows.Next() {
		var name, typ string
		if err := rows.Scan(&name, &typ); err != nil {
			return nil, err
		}
		cols[name] = typ
	}
	return cols, rows.Err()
}

// Stage reads the zstd NDJSON once into a temporary table, which spills to disk
// where memory ends: every further look at it is a scan of columns.
func (d Driver) Stage(ctx context.Context, conn *sql.Conn, name string, cols []record.Column, parts warehouse.Parts) error {
	files := parts.Files
	read, list := make([]string, len(cols)), make([]string, len(cols))
	for i, c := range cols {
		typ := d.Type(c)
		list[i] = quote(c.Name)
		switch {
		case c.Type == record.Document: // staged as text, so that its numbers keep every digit
			list[i], typ = fmt.Sprintf("CAST(%[1]s AS JSON) AS %[1]s", quote(c.Name)), "VARCHAR"
		case c.Type == record.Number && c.Precision > narrow:
			list[i], typ = wide(quote(c.Name), c.Precision, c.Scale)+" AS "+quote(c.Name), "VARCHAR"
		}
		read[i] = literal(c.Name) + ": " + literal(typ)
		if len(files) == 0 {
			list[i] = fmt.Sprintf("CAST(NULL AS %s) AS %s", d.Type(c), quote(c.Name))
		}
	}
	q := "CREATE OR REPLACE TEMPORARY TABLE " + quote(name) + " AS SELECT " + strings.Join(list, ", ")
	if len(files) == 0 {
		_, err := conn.ExecContext(ctx, q+" WHERE false")
		return err
	}
	paths := make([]string, len(files))
	for i, f := range files {
		paths[i] = literal(f)
	}
	q += fmt.Sprintf(" FROM read_json([%s], format = 'newline_delimited', compression = 'zstd', columns = {%s})", strings.Join(paths, ", "), strings.Join(read, ", "))
	_, err := conn.ExecContext(ctx, q)
	return misfit(err)
}

var where = regexp.MustCompile(`in file "[^"]*?([^"/\\\\]+)", in (?:line|record/value) \d+`)

// misfit says where a line does not fit its columns, and leaves out the value,
// which DuckDB repeats.
func misfit(err error) error {
	if (Driver{}).Fault(err) != fault.Corrupt {
		return err
	}
	at := where.FindString(err.Error())
	if at == "" {
		at = "in one of the parts"
	}
	return fault.New(fault.Corrupt, "a value does not fit its column %s", at)
}

// Replace fills a shadow table and renames it over the live one, all inside tx:
// DuckDB's DDL is transactional.
func (d Driver) Replace(ctx context.Context, tx *sql.Tx, t warehouse.Name, fill func(shadow string) error) error {
	shadow := warehouse.Name{Schema: t.Schema, Table: t.Table + "__shadow"}
	if _, err := tx.ExecContext(ctx, fmt.Sprintf("CREATE TABLE %s AS SELECT * FROM %s WHERE false", shadow, t)); err != nil {
		return err
	}
	restore, err := comments(ctx, tx, t)
	if err != nil {
		return err
	}
	if err := fill(shadow.String()); err != nil {
		return err
	}
	for _, q := range append([]string{
		"DROP TABLE " + t.String(),
		fmt.Sprintf("ALTER TABLE %s RENAME TO %s", shadow, quote(t.Table)),
	}, restore...) {
		if _, err := tx.ExecContext(ctx, q); err != nil {
			return err
		}
	}
	return nil
}

// comments is the statements that give a table of this name its comments again:
// the shadow does not inherit them.
func comments(ctx context.Context, tx *sql.Tx, t warehouse.Name) (out []string, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT NULL, comment FROM duckdb_tables() WHERE database_name = current_database() AND schema_name = $1 AND table_name = $2 AND comment IS NOT NULL
 UNION ALL SELECT column_name, comment FROM duckdb_columns() WHERE database_name = current_database() AND schema_name = $1 AND table_name = $2 AND comment IS NOT NULL`, t.Schema, t.Table)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var col sql.NullString
		var doc string
		if err := rows.Scan(&col, &doc); err != nil {
			return nil, err
		}
		on := "TABLE " + t.String()
		if col.Valid {
			on = "COLUMN " + t.String() + "." + quote(col.String)
		}
		out = append(out, fmt.Sprintf("COMMENT ON %s IS %s", on, literal(doc)))
	}
	return out, rows.Err()
}

// Fault sorts DuckDB's errors: conflicts and I/O may pass, a line that does not
// convert is the data's fault, a statement that does not bind is ours or the user's.
func (Driver) Fault(err error) error {
	var e *duckdb.Error
	if !errors.As(err, &e) {
		return nil
	}
	switch e.Type {
	case duckdb.ErrorTypeConversion, duckdb.ErrorTypeInvalidInput, duckdb.ErrorTypeOutOfRange, duckdb.ErrorTypeDecimal:
		return fault.Corrupt
	case duckdb.ErrorTypeParser, duckdb.ErrorTypeBinder, duckdb.ErrorTypeCatalog, duckdb.ErrorTypeSyntax, duckdb.ErrorTypePermission:
		return fault.Invalid
	}
	return nil
}

func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

func literal(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
