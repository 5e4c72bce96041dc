// Package warehouse is the port to the database that holds both the data and all
// of Millrace's state: control tables in schema millrace, vendor tables beside them.
//
// A [Warehouse] does few and coarse things: the ledger of slices (plan, claim,
// progress, end), the staging of parts as a relation, the measuring of gate rules
// against it, and one transaction that moves data, ledger, rejects, checks and
// mark together under a fence. Everything it says is portable SQL with bound
// values and quoted identifiers; what differs between databases is a [Driver].
//
// It does not decide: rules are judged by package gate, kinds of faults have their
// consequence in the engines. It does not open databases: drivers do, and
// platforms choose one.
package warehouse

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"
	"time"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/record"
)

// Driver is what differs between databases. A driver is dumb and short: it does
// not retry and does not wrap errors.
type Driver interface {
	// Type is the SQL type of a column.
	Type(c record.Column) string
	// Columns returns the columns of a table with their SQL types as Type would
	// spell them, empty where the table does not exist.
	Columns(ctx context.Context, conn *sql.Conn, schema, table string) (map[string]string, error)
	// Document is the SQL that makes a document of a JSON text, Text the reverse.
	Document(text string) string
	Text(document string) string
	// Stage copies the lines of parts into a new temporary table, on this
	// connection only, with the given columns; one of that name is replaced. No
	// parts make an empty table. A line that does not fit is fault.Corrupt, in
	// words that do not repeat the row.
	Stage(ctx context.Context, conn *sql.Conn, name string, cols []record.Column, parts Parts) error
	// Replace swaps a table's content inside tx: fill writes into a shadow, which
	// then takes the table's place with its comments. Readers never see an empty
	// table. Only here may there be DDL inside a transaction, where it is part of it.
	Replace(ctx context.Context, tx *sql.Tx, t Name, fill func(shadow string) error) error
	// Fill inserts many rows on conn, outside of transactions or in the one that is
	// open there, and returns how many. Schema is "" for a temporary table. It holds
	// few of them at a time, and conn is free while rows makes more.
	Fill(ctx context.Context, conn *sql.Conn, schema, table string, cols []string, rows iter.Seq2[[]any, error]) (int64, error)
	// Fault gives a database error its kind; nil kind leaves it Transient.
	Fault(err error) error
}

// Exclusive is an optional ability: a driver whose process holds the only handle
// on the database. Leases of other owners are then void: they cannot be alive.
type Exclusive interface{ Exclusive() bool }

// Ordered is an optional ability: a driver that updates rows hundreds of times as
// slowly where they come in another order than the table has them.
type Ordered interface {
	// Place is the SQL of where a row of the table lies.
	Place(table string) string
}

// Remote is an optional ability: a driver that reads the stage's objects itself,
// so that nobody fetches them first.
type Remote interface{ Remote() bool }

// Shared is an optional ability of a driver whose database other processes write
// to at the same time and whose transactions see what they commit meanwhile.
type Shared interface {
	// Queue makes tx wait for every other transaction that has called it, before
	// it inserts what must be there once. Nothing else in such a database would.
	Queue(ctx context.Context, tx *sql.Tx) error
}

// Parts is files of staged lines: local ones, and, for a driver that is [Remote],
// objects of the stage by their keys.
type Parts struct{ Files, Keys []string }

// Name is a table's schema and name, unquoted.
type Name struct{ Schema, Table string }

// String is the name quoted for SQL.
func (n Name) String() string { return quote(n.Schema) + "." + quote(n.Table) }

// Warehouse is an open warehouse with its control tables in place. It is safe for
// concurrent use.
type Warehouse struct {
	db     *sql.DB
	driver Driver

	ledger sync.Mutex // short writes to control tables, one at a time
	mu     sync.Mutex
	tables map[string]*sync.Mutex // one commit per table at a time in this process
}

// Open creates or upgrades the control tables and returns the warehouse, which
// owns db from then on.
func Open(ctx context.Context, db *sql.DB, d Driver) (*Warehouse, error) {
	w := &Warehouse{db: db, driver: d, tables: map[string]*sync.Mutex{}}
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, w.fail(err, "open warehouse")
	}
	defer conn.Close()
	for _, t := range control {
		if _, err := w.ensure(ctx, conn, t); err != nil {
			return nil, fmt.Errorf("control table %s: %w", t.Name, err)
		}
	}
	if x, ok := d.(Exclusive); ok && x.Exclusive() {
		err = run(ctx, conn, `UPDATE "millrace"."slices" SET "lease_until" = NULL WHERE "lease_until" IS NOT NULL`,
			`UPDATE "millrace"."sync_plans" SET "lease_until" = NULL WHERE "lease_until" IS NOT NULL`)
	}
	return w, w.fail(err, "void leases of processes that are gone")
}

// Close closes the database.
func (w *Warehouse) Close() error { return w.db.Close() }

// DB is the database, for queries by people and tests.
func (w *Warehouse) DB() *sql.DB { return w.db }

// fail wraps a database error once: kind from the driver, words from the caller.
func (w *Warehouse) fail(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	what := fmt.Sprintf(format, args...)
	if kind := w.driver.Fault(err); kind != nil {
		return fault.New(kind, "%s: %w", what, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// lock serialises commits and schema changes of one table within this process;
// between processes the fence and the database do it.
func (w *Warehouse) lock(table string) (unlock func()) {
	w.mu.Lock()
	m := w.tables[table]
	if m == nil {
		m = &sync.Mutex{}
		w.tables[table] = m
	}
	w.mu.Unlock()
	m.Lock()
	return m.Unlock
}

// short runs a small transaction on the control tables. A conflict with another
// writer is tried again: nothing was written.
func (w *Warehouse) short(ctx context.Context, what string, do func(tx *sql.Tx) error) error {
	const tries = 9 // about 5 s in all: a conflict is with a commit that holds the same ledger row
	var err error
	for try := range tries {
		if err = w.once(ctx, do); !fault.Retryable(err) {
			break
		}
		select {
		case <-ctx.Done():
			return w.fail(ctx.Err(), "%s", what)
		case <-time.After(time.Duration(10<<try) * time.Millisecond):
		}
	}
	return w.fail(err, "%s", what)
}

func (w *Warehouse) once(ctx context.Context, do func(tx *sql.Tx) error) error {
	w.ledger.Lock()
	defer w.ledger.Unlock()
	conn, err := w.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = transaction(ctx, conn, do)
	return err
}

// Ensure creates the table or adds the columns it lacks, and returns the names of
// the columns added to a table that was there. A column whose type differs from
// the declared one is fault.Invalid: types are changed by people.
func (w *Warehouse) Ensure(ctx context.Context, t record.Table) (added []string, err error) {
	defer w.lock(t.FullName())()
	conn, err := w.db.Conn(ctx)
	if err != nil {
		return nil, w.fail(err, "table %s", t.FullName())
	}
	defer conn.Close()
	return w.ensure(ctx, conn, t)
}

func (w *Warehouse) ensure(ctx context.Context, conn *sql.Conn, t record.Table) (added []string, err error) {
	have, err := w.driver.Columns(ctx, conn, t.Schema, t.Name)
	if err != nil {
		return nil, w.fail(err, "columns of %s", t.FullName())
	}
	if len(have) == 0 {
		return nil, w.fail(w.create(ctx, conn, t), "create table %s", t.FullName())
	}
	for _, c := range physical(t) {
		is, ok := have[c.Name]
		switch want := w.driver.Type(c); {
		case !ok:
			if err := w.add(ctx, conn, Name{t.Schema, t.Name}, c); err != nil {
				return added, w.fail(err, "add column %s to %s", c.Name, t.FullName())
			}
			added = append(added, c.Name)
		case is != want:
			return added, fault.New(fault.Invalid, "column %s of %s is %s in the warehouse but declared %s: change the column's type in the warehouse, or rename the table and load it again", c.Name, t.FullName(), is, want)
		}
	}
	return added, nil
}

func (w *Warehouse) create(ctx context.Context, conn *sql.Conn, t record.Table) error {
	name := Name{t.Schema, t.Name}
	table := fmt.Sprintf("CREATE TABLE IF NOT EXISTS %s (%s)", name, w.definitions(physical(t)))
	err := run(ctx, conn, table)
	if err != nil && errors.Is(w.driver.Fault(err), fault.Invalid) { // there is no such schema; who has one may lack the right to create it
		err = run(ctx, conn, "CREATE SCHEMA IF NOT EXISTS "+quote(name.Schema), table)
	}
	if err != nil {
		return err
	}
	var stmts []string
	if t.Doc != "" {
		stmts = append(stmts, fmt.Sprintf("COMMENT ON TABLE %s IS %s", name, comment(t.Doc)))
	}
	for _, c := range physical(t) {
		if c.Doc != "" {
			stmts = append(stmts, describe(name, c))
		}
	}
	return run(ctx, conn, stmts...)
}

func (w *Warehouse) add(ctx context.Context, conn *sql.Conn, name Name, c record.Column) error {
	stmts := []string{fmt.Sprintf("ALTER TABLE %s ADD COLUMN IF NOT EXISTS %s %s", name, quote(c.Name), w.driver.Type(c))}
	if c.Doc != "" {
		stmts = append(stmts, describe(name, c))
	}
	return run(ctx, conn, stmts...)
}

// definitions is the column list of a CREATE TABLE.
func (w *Warehouse) definitions(cols []record.Column) string {
	defs := make([]string, len(cols))
	for i, c := range cols {
		defs[i] = quote(c.Name) + " " + w.driver.Type(c)
	}
	return strings.Join(defs, ", ")
}

func describe(name Name, c record.Column) string {
	return fmt.Sprintf("COMMENT ON COLUMN %s.%s IS %s", name, quote(c.Name), comment(c.Doc))
}

type execer interface {
	ExecContext(ctx context.Context, q string, args ...any) (sql.Result, error)
}

func run(ctx context.Context, on execer, stmts ...string) error {
	for _, q := range stmts {
		if _, err := on.ExecContext(ctx, q); err != nil {
			return err
		}
	}
	return nil
}

// physical is the table's columns as they lie in the warehouse: the declared
// ones, then ours.
func physical(t record.Table) []record.Column {
	cols := append([]record.Column(nil), t.Columns...)
	if t.Schema == controlSchema {
		return cols
	}
	cols = append(cols, staging(t)[len(t.Columns):]...)
	if !t.File {
		cols = cols[:len(cols)-1] // _seq orders the staged lines and is not kept
	} else {
		cols = append(cols, record.Column{Name: record.ColumnSource, Type: record.Text, Doc: "Object that the row came from."})
	}
	if t.Mode == record.History {
		cols = append(cols,
			record.Column{Name: record.ColumnFrom, Type: record.Timestamp, Doc: "This version holds from here on, UTC, inclusive."},
			record.Column{Name: record.ColumnTo, Type: record.Timestamp, Doc: "This version held until here, UTC, exclusive; null = current."},
			record.Column{Name: ColumnSeen, Type: record.Timestamp, Doc: "When the vendor was last seen to hold this version, UTC."})
	}
	return append(cols,
		record.Column{Name: record.ColumnSlice, Type: record.Text, Doc: "Slice that wrote the row last; see millrace.slices."},
		record.Column{Name: record.ColumnLoadedAt, Type: record.Timestamp, Doc: "When that slice was committed, UTC."})
}

// staging is the columns of a table's staged lines: the declared ones, _extra
// where undeclared fields go there, and last the line's number in the slice.
func staging(t record.Table) []record.Column {
	cols := append([]record.Column(nil), t.Columns...)
	if !t.Open {
		cols = append(cols, record.Column{Name: record.ColumnExtra, Type: record.Document, Nullable: true, Doc: "Fields the vendor sent that are not declared."})
	}
	if t.File {
		return append(cols, record.Column{Name: record.ColumnRow, Type: record.Integer, Doc: "Row in the file; 1 = first data row."})
	}
	return append(cols, record.Column{Name: ColumnSeq, Type: record.Integer})
}

// ColumnSeq numbers the staged lines of a slice that is no file, from 1 on. It
// tells which of two rows with one key was read last, and names rows to reject.
const ColumnSeq = "_seq"

// ColumnSeen says, in history tables, when a version was last seen. A late slice
// can then fall between two sightings of one version, and a current version not
// seen for long is a row that the vendor deleted.
const ColumnSeen = "_seen_at"

func seq(t record.Table) string {
	if t.File {
		return quote(record.ColumnRow)
	}
	return quote(ColumnSeq)
}

func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// comment is the text of a COMMENT, the one place where a value cannot be bound.
// Databases disagree on what a backslash in quotes means, so none goes there.
func comment(s string) string {
	return "'" + strings.ReplaceAll(strings.ReplaceAll(s, "\\", "/"), "'", "''") + "'"
}

func quoteAll(names []string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = quote(n)
	}
	return out
}

func names(cols []record.Column) []string {
	out := make([]string, len(cols))
	for i, c := range cols {
		out[i] = c.Name
	}
	return out
}
