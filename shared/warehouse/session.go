package warehouse

import (
	"context"
	"database/sql"
	"iter"
)

// What engines need that keep tables of their own in schema millrace, such as the
// plans of syncs. They write portable SQL with bound values and quoted names.

// Quote is a name as SQL takes it.
func Quote(name string) string { return quote(name) }

// Document is the SQL that makes a document of a JSON text, such as of "?".
func (w *Warehouse) Document(text string) string { return w.driver.Document(text) }

// Session is a connection of its own, for temporary tables that belong to it. Close it.
func (w *Warehouse) Session(ctx context.Context, what string) (*sql.Conn, error) {
	conn, err := w.db.Conn(ctx)
	return conn, w.fail(err, "%s", what)
}

// Transact runs a transaction on the control tables. A conflict with another writer
// is tried again, so do must bear to be run more than once, also where an earlier
// try was committed and its answer lost.
func (w *Warehouse) Transact(ctx context.Context, what string, do func(tx *sql.Tx) error) error {
	return w.short(ctx, what, do)
}

// Explain gives a database error its kind and says what was being done.
func (w *Warehouse) Explain(err error, format string, args ...any) error {
	return w.fail(err, format, args...)
}

// Fill inserts rows into a table on conn, holding few of them at a time. Schema is ""
// for a temporary table. It stops at the first error of rows; what was inserted until
// then stays, unless a transaction is open on conn and rolled back.
func (w *Warehouse) Fill(ctx context.Context, conn *sql.Conn, schema, table string, cols []string, rows iter.Seq2[[]any, error]) (int64, error) {
	n, err := w.driver.Fill(ctx, conn, schema, table, cols, rows)
	return n, w.fail(err, "fill %s", table)
}
