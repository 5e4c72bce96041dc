// Package snowflake is the warehouse driver for Snowflake.
//
// It opens sessions with the settings that the port relies on, says how Snowflake
// spells types, and stages parts: by COPY from an external stage over the bucket
// that holds them, or by PUT into a stage of the session and COPY from there. The
// rows come to lie in temporary tables before the transaction begins, because in
// Snowflake DDL commits; the transaction itself is short and holds only the
// ledger's row lock, the move of the rows, and COMMIT.
//
// It does not retry, but for what the vendor's own client retries with one request
// id, and it creates no roles, integrations or external stages: see infra.
package snowflake

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	sf "github.com/snowflakedb/gosnowflake/v2"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/record"
	"github.com/millrace-data/millrace/shared/warehouse"
	_ "github.com/millrace-data/millrace/shared/warehouse/snowflake/internal/hush" // before the client
)

// Options say where the warehouse is and how sessions behave.
type Options struct {
	DSN       string                           // what follows "snowflake:" in MILLRACE_WAREHOUSE; see [Parse]
	Lookup    func(name string) (string, bool) // the environment that the DSN refers to
	Tag       map[string]string                // of the query history, for the cost of each function
	Statement time.Duration                    // longest statement; 0 = DefaultStatement
	Lock      time.Duration                    // longest wait for another writer; 0 = DefaultLock
	Sessions  int                              // at a time; 0 = 4
	Transport http.RoundTripper                // nil = the client's own
}

const (
	// DefaultStatement is the longest that a statement may run.
	DefaultStatement = 15 * time.Minute
	// DefaultLock is the longest wait for another writer. Commits take seconds.
	DefaultLock = 2 * time.Minute
	sessions    = 4
	idle        = 30 * time.Minute // an idle session of Snowflake's ends after four hours
)

// Open opens the warehouse and creates what it lacks in schema millrace.
func Open(ctx context.Context, o Options) (*warehouse.Warehouse, error) {
	cfg, own, err := Parse(o.DSN, o.Lookup)
	if err != nil {
		return nil, err
	}
	if err := o.settle(cfg); err != nil {
		return nil, err
	}
	quiet()
	d := Driver{stage: own.Stage}
	db := sql.OpenDB(connector{sf.NewConnector(sf.SnowflakeDriver{}, *cfg)})
	n := o.Sessions
	if n == 0 {
		n = sessions
	}
	db.SetMaxOpenConns(n)
	db.SetMaxIdleConns(n)
	db.SetConnMaxIdleTime(idle)
	if err := d.seed(ctx, db); err != nil {
		db.Close()
		return nil, opened(cfg, d.Fault(err), err)
	}
	w, err := warehouse.Open(ctx, db, d)
	if err != nil {
		db.Close()
		return nil, err
	}
	return w, nil
}

// opened says what was opened, without the secret half of it.
func opened(cfg *sf.Config, kind, err error) error {
	if kind == nil {
		kind = fault.Transient
	}
	return fault.New(kind, "open Snowflake account %s, database %s, as %s with role %s: %w", cfg.Account, cfg.Database, cfg.User, cfg.Role, err)
}

// quiet stops the client's own log: it is not ours, and what a query text holds is
// nobody's business. Errors come back as errors.
var quiet = sync.OnceFunc(func() {
	l := sf.GetLogger()
	l.SetOutput(io.Discard)
	_ = l.SetLogLevel("OFF") // a level that it does not know changes nothing; the output is gone all the same
})

// Driver is the Snowflake side of package warehouse.
type Driver struct {
	stage string // the external stage as SQL writes it; "" = parts are PUT
}

// Remote reports whether an external stage covers the bucket of the parts.
func (d Driver) Remote() bool { return d.stage != "" }

// seed makes the row that Queue writes.
func (Driver) seed(ctx context.Context, db *sql.DB) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	cols, err := describe(ctx, conn, `"millrace"."queue"`)
	if err != nil || len(cols) > 0 {
		return err
	}
	for _, q := range []string{
		`CREATE TABLE IF NOT EXISTS "millrace"."queue" ("turn" NUMBER(38,0))`,
		`INSERT INTO "millrace"."queue" ("turn") SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM "millrace"."queue")`,
	} {
		if _, err := conn.ExecContext(ctx, q); err != nil {
			return err
		}
	}
	return nil
}

// Queue writes one row that all writers write. Primary keys are not enforced and
// inserts do not wait for each other, so two processes would insert one slice twice.
// Should two processes have seeded the table at once, it has two rows, which does
// no harm.
func (Driver) Queue(ctx context.Context, tx *sql.Tx) error {
	_, err := tx.ExecContext(ctx, `UPDATE "millrace"."queue" SET "turn" = "turn" + 1`)
	return err
}

// Type is the SQL type of a column, as DESCRIBE spells it.
func (Driver) Type(c record.Column) string {
	switch c.Type {
	case record.Integer:
		return "NUMBER(38,0)"
	case record.Number:
		return fmt.Sprintf("NUMBER(%d,%d)", c.Precision, c.Scale)
	case record.Boolean:
		return "BOOLEAN"
	case record.Timestamp:
		return "TIMESTAMP_NTZ(6)"
	case record.Date:
		return "DATE"
	case record.Document:
		return "VARIANT"
	}
	return "VARCHAR"
}

// Document parses.
func (Driver) Document(text string) string { return "PARSE_JSON(" + text + ")" }

// Text writes JSON; a CAST would leave out the quotes of a text.
func (Driver) Text(document string) string { return "TO_JSON(" + document + ")" }

// Columns describes the table, which needs no running warehouse.
func (Driver) Columns(ctx context.Context, conn *sql.Conn, schema, table string) (map[string]string, error) {
	return describe(ctx, conn, warehouse.Name{Schema: schema, Table: table}.String())
}

func describe(ctx context.Context, conn *sql.Conn, table string) (map[string]string, error) {
	rows, err := conn.QueryContext(ctx, "DESCRIBE TABLE "+table)
	if missing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	cols := map[string]string{}
	err = each(rows, func(row map[string]string) { cols[row["name"]] = spelled(row["type"]) })
	return cols, err
}

// spelled is a type as Type spells it. A text column has a length, even where none
// was given: the most at the time it was made.
func spelled(typ string) string {
	typ = strings.ToUpper(strings.ReplaceAll(typ, " ", ""))
	var n int
	if _, err := fmt.Sscanf(typ, "VARCHAR(%d)", &n); err == nil && n >= 16<<20 {
		return "VARCHAR"
	}
	return typ
}

// each reads rows as texts by their columns' names, in lower case.
func each(rows *sql.Rows, do func(row map[string]string)) error {
	names, err := rows.Columns()
	if err != nil {
		return err
	}
	for rows.Next() {
		cells, dest := make([]sql.NullString, len(names)), make([]any, len(names))
		for i := range cells {
			dest[i] = &cells[i]
		}
		if err := rows.Scan(dest...); err != nil {
			return err
		}
		row := map[string]string{}
		for i, n := range names {
			row[strings.ToLower(n)] = cells[i].String
		}
		do(row)
	}
	return rows.Err()
}

// Replace empties the table and fills it, inside tx. ALTER TABLE … SWAP would be as
// atomic for readers, but it is DDL: it would commit the ledger's half of the
// transaction, and take the table's grants along. A DELETE of all rows only drops
// the names of files; who reads meanwhile sees the old rows until COMMIT.
func (Driver) Replace(ctx context.Context, tx *sql.Tx, t warehouse.Name, fill func(shadow string) error) error {
	if _, err := tx.ExecContext(ctx, "DELETE FROM "+t.String()); err != nil {
		return err
	}
	return fill(t.String())
}

// missing reports whether an object does not exist, or is not ours to see.
func missing(err error) bool {
	var e *sf.SnowflakeError
	return errors.As(err, &e) && (e.Number == 2003 || e.Number == 2043)
}

func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// literal is a text in SQL, where a backslash escapes.
func literal(s string) string {
	return "'" + strings.ReplaceAll(strings.ReplaceAll(s, `\`, `\\`), "'", "''") + "'"
}
