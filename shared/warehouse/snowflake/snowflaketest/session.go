package snowflaketest

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
)

// session is one login: one connection of the engine, one transaction at a time.
type session struct {
	srv  *Server
	id   int64
	conn *sql.Conn

	mu sync.Mutex // one statement at a time

	db, schema string            // engine names in use
	params     map[string]string // session parameters, upper-case names
	temps      map[table]bool    // temporary tables, by the name that Snowflake gives them

	stages map[table]stage // temporary stages

	open    bool                              // BEGIN was said
	begun   bool                              // the engine is in a transaction, too
	seen    int64                             // commits that the engine's transaction sees
	stale   bool                              // a lock was waited for: begin anew before the next write
	journal []func(ctx context.Context) error // what was written in the open transaction
	broken  bool                              // a statement failed, and the session wants that to be the end of it
	copied  map[string]bool                   // files that the open transaction has loaded
	after   []func()                          // to do once it is committed: load history
	last    string                            // query id of the statement before
}

// table is an object's full name in the engine.
type table struct{ db, schema, name string }

func (t table) String() string { return quote(t.db) + "." + quote(t.schema) + "." + quote(t.name) }

// words is the name as the service says it.
func (t table) words() string {
	return decode(t.db) + "." + decode(t.schema) + "." + decode(t.name)
}

// path makes unqualified names mean the session's schema, then our own functions.
func (s *session) path(ctx context.Context) error {
	_, err := s.conn.ExecContext(ctx, "SET search_path = "+literal(quote(s.db)+"."+quote(s.schema)+",memory.main"))
	return err
}

// use changes database and schema, each only where it exists.
func (s *session) use(ctx context.Context, db, schema string) error {
	if schema == "" {
		schema = "PUBLIC"
	}
	var n int
	if err := s.conn.QueryRowContext(ctx, "SELECT count(*) FROM duckdb_databases() WHERE database_name = ? AND NOT internal", db).Scan(&n); err != nil {
		return err
	}
	if n == 0 {
		return unseen(db)
	}
	if err := s.conn.QueryRowContext(ctx, "SELECT count(*) FROM duckdb_schemas() WHERE database_name = ? AND schema_name = ?", db, schema).Scan(&n); err != nil {
		return err
	}
	if n == 0 {
		return unseen(db + "." + schema)
	}
	s.db, s.schema = db, schema
	return s.path(ctx)
}

// resolve is the full engine name of a name of one to three parts.
func (s *session) resolve(parts []string) table {
	t := table{s.db, s.schema, parts[len(parts)-1]}
	if len(parts) > 1 {
		t.schema = parts[len(parts)-2]
	}
	if len(parts) > 2 {
		t.db = parts[0]
	}
	return t
}

// place is where the engine keeps a table: temporary ones are in a schema of
// their own.
func (s *session) place(t table) string {
	if s.temps[t] {
		return "temp.main." + quote(t.name)
	}
	return t.String()
}

// number is a session parameter in whole units.
func (s *session) number(name string) int {
	n, _ := strconv.Atoi(s.params[name])
	return n
}

// begin starts the engine's transaction with what is committed now.
func (s *session) begin(ctx context.Context) error {
	s.seen = s.srv.commits.Load()
	if _, err := s.conn.ExecContext(ctx, "BEGIN"); err != nil {
		return err
	}
	s.begun, s.stale = true, false
	// DuckDB takes its snapshot at the first read.
	_, err := s.conn.ExecContext(ctx, "SELECT 1")
	return err
}

// again begins anew, so that the transaction sees what is committed now, and does
// once more what it had written.
func (s *session) again(ctx context.Context) error {
	if s.begun {
		s.conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
		s.begun = false
	}
	if err := s.begin(ctx); err != nil {
		return err
	}
	for _, do := range s.journal {
		if err := do(ctx); err != nil {
			return fmt.Errorf("statements of the open transaction, run again: %w", err)
		}
	}
	return nil
}

// read prepares for a statement that writes nothing: until the first write each
// one sees what is committed, as READ COMMITTED promises.
func (s *session) read(ctx context.Context) error {
	if s.open && len(s.journal) == 0 && s.begun {
		s.conn.ExecContext(ctx, "ROLLBACK")
		s.begun = false
	}
	return nil
}

// write runs a statement that changes rows: alone in a transaction of its own, or
// in the open one, which it leaves as it was where it fails. Where two
// transactions of the engine meet, it is run again on what the other one left.
func (s *session) write(ctx context.Context, do func(ctx context.Context) error) error {
	const tries = 20
	for try := 1; ; try++ {
		err := s.tryWrite(ctx, do)
		if err == nil || try == tries || !conflict(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(try) * 5 * time.Millisecond): // the other one is still committing
		}
	}
}

func (s *session) tryWrite(ctx context.Context, do func(ctx context.Context) error) error {
	if !s.begun || s.open && len(s.journal) == 0 || s.stale {
		if err := s.again(ctx); err != nil {
			return err
		}
	}
	err := do(ctx)
	switch {
	case err == nil && s.open:
		s.journal = append(s.journal, do)
		return nil
	case err == nil:
		return s.end(ctx, true)
	}
	if !s.open || len(s.journal) == 0 {
		s.conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
		s.begun = false
		if !s.open {
			s.release()
		}
		return err
	}
	if back := s.again(context.WithoutCancel(ctx)); back != nil {
		return back
	}
	return err
}

// end commits or rolls back what is open, and lets go of the locks.
func (s *session) end(ctx context.Context, commit bool) error {
	ctx = context.WithoutCancel(ctx)
	var err error
	if s.begun {
		verb := "ROLLBACK"
		if commit {
			verb = "COMMIT"
		}
		_, err = s.conn.ExecContext(ctx, verb)
		if commit && conflict(err) {
			s.begun = false
			if err = s.again(ctx); err == nil {
				_, err = s.conn.ExecContext(ctx, verb)
			}
		}
	}
	if commit && err == nil {
		for _, f := range s.after {
			f()
		}
		s.srv.commits.Add(1)
	}
	s.open, s.begun, s.broken, s.journal, s.after, s.copied = false, false, false, nil, nil, nil
	s.release()
	return err
}

func (s *session) release() { s.srv.locks.release(s) }

// define runs statements that change objects. They commit what is open, as every
// DDL does, and are done together or not at all.
func (s *session) define(ctx context.Context, on *table, stmts ...string) error {
	if err := s.end(ctx, true); err != nil {
		return err
	}
	if on != nil {
		if err := s.lock(ctx, *on); err != nil {
			return err
		}
	}
	defer s.srv.tables.Clear()
	return s.write(ctx, func(ctx context.Context) error {
		for _, q := range stmts {
			if _, err := s.conn.ExecContext(ctx, q); err != nil {
				return err
			}
		}
		return nil
	})
}

// lock takes a table's lock until the transaction ends.
func (s *session) lock(ctx context.Context, t table) error {
	if s.temps[t] {
		return nil
	}
	fresh, err := s.srv.locks.take(ctx, s, t, time.Duration(s.number("LOCK_TIMEOUT"))*time.Second)
	if fresh && s.begun && s.seen != s.srv.commits.Load() {
		s.stale = true // others may have written the table meanwhile
	}
	return err
}

// close ends the session; what is open is rolled back.
func (s *session) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end(context.Background(), false)
	for t := range s.stages {
		s.dropStage(t)
	}
	s.conn.Close()
}

// set changes a session parameter.
func (s *session) set(name, value string) error {
	name = strings.ToUpper(name)
	if !known[name] && !strings.HasPrefix(name, "CLIENT_") && !strings.HasPrefix(name, "GO_") {
		return fail("001006", "42000", "SQL compilation error:\ninvalid property '%s' for 'SESSION'", name)
	}
	s.params[name] = value
	return nil
}

// known is the session parameters that are taken; a misspelt one must not pass.
var known = map[string]bool{
	"ABORT_DETACHED_QUERY": true, "AUTOCOMMIT": true, "BINARY_INPUT_FORMAT": true, "BINARY_OUTPUT_FORMAT": true,
	"DATE_INPUT_FORMAT": true, "DATE_OUTPUT_FORMAT": true, "ERROR_ON_NONDETERMINISTIC_MERGE": true, "ERROR_ON_NONDETERMINISTIC_UPDATE": true,
	"JSON_INDENT": true, "LOCK_TIMEOUT": true, "MULTI_STATEMENT_COUNT": true, "QUERY_TAG": true, "QUOTED_IDENTIFIERS_IGNORE_CASE": true,
	"ROWS_PER_RESULTSET": true, "STATEMENT_QUEUED_TIMEOUT_IN_SECONDS": true, "STATEMENT_TIMEOUT_IN_SECONDS": true, "STRICT_JSON_OUTPUT": true,
	"TIMESTAMP_INPUT_FORMAT": true, "TIMESTAMP_NTZ_OUTPUT_FORMAT": true, "TIMESTAMP_OUTPUT_FORMAT": true, "TIMESTAMP_TYPE_MAPPING": true,
	"TIMEZONE": true, "TIME_INPUT_FORMAT": true, "TIME_OUTPUT_FORMAT": true, "TRANSACTION_ABORT_ON_ERROR": true, "USE_CACHED_RESULT": true,
	"WEEK_OF_YEAR_POLICY": true, "WEEK_START": true, "VALIDATE_DEFAULT_PARAMETERS": true,
}
