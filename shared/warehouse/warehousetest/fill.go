package warehousetest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-data/millrace/shared/record"
)

// filled is a table with a column of every type that Fill is for.
func filled() record.Table {
	return record.Table{Schema: "kit", Name: "filled", Mode: record.Append, Key: []string{"text"}, Open: true, Columns: []record.Column{
		{Name: "text", Type: record.Text, Nullable: true}, {Name: "whole", Type: record.Integer, Nullable: true},
		{Name: "at", Type: record.Timestamp, Nullable: true}, {Name: "yes", Type: record.Boolean, Nullable: true}}}
}

var fillCols = []string{"text", "at", "whole", "yes"} // not in the table's order, and not all of it

// fillRow is row i; every fifth is null but for its text, which may hold anything.
func fillRow(i int) []any {
	text := fmt.Sprintf("%06d '\"\\\n\tü€", i)
	if i%5 == 0 {
		return []any{text, nil, nil, nil}
	}
	return []any{text, time.Date(2026, 1, 2, 3, 4, 5, i%1000*1000, time.UTC), int64(i) << 30, i%2 == 0}
}

func fillRows(n int, then error) iter.Seq2[[]any, error] {
	return func(yield func([]any, error) bool) {
		for i := range n {
			if !yield(fillRow(i), nil) {
				return
			}
		}
		if then != nil {
			yield(nil, then)
		}
	}
}

var fillTests = []property{
	{"every type arrives", func(s *store) {
		conn := fillable(s)
		const rows = 10_001
		n, err := s.w.Fill(s.ctx, conn, "kit", "filled", fillCols, fillRows(rows, nil))
		if err != nil || n != rows {
			s.Fatalf("%d rows, %v", n, err)
		}
		got, err := conn.QueryContext(s.ctx, `SELECT "text", "at", "whole", "yes", "_loaded_at" FROM "kit"."filled" ORDER BY "text"`)
		if err != nil {
			s.Fatal(err)
		}
		defer got.Close()
		i := 0
		for ; got.Next(); i++ {
			var text string
			var at, loaded sql.NullTime
			var whole sql.NullInt64
			var yes sql.NullBool
			if err := got.Scan(&text, &at, &whole, &yes, &loaded); err != nil {
				s.Fatal(err)
			}
			row := []any{text, nil, nil, nil}
			if at.Valid && whole.Valid && yes.Valid {
				row = []any{text, at.Time.UTC(), whole.Int64, yes.Bool}
			}
			if diff := cmp.Diff(fillRow(i), row); diff != "" || loaded.Valid {
				s.Fatalf("row %d (-want +got):\n%s\nthe column that was not filled: %v", i, diff, loaded)
			}
		}
		if err := got.Err(); err != nil || i != rows {
			s.Errorf("%d rows are there, %v", i, err)
		}
	}},
	{"no rows", func(s *store) {
		conn := fillable(s)
		if n, err := s.w.Fill(s.ctx, conn, "kit", "filled", fillCols, fillRows(0, nil)); n != 0 || err != nil {
			s.Errorf("%d rows, %v", n, err)
		}
	}},
	{"an error half-way is the caller's", func(s *store) {
		conn := fillable(s)
		broken := errors.New("broken")
		n, err := s.w.Fill(s.ctx, conn, "kit", "filled", fillCols, fillRows(5000, broken))
		if there := filledRows(s, conn); !errors.Is(err, broken) || there != n || n > 5000 {
			s.Errorf("%d rows, %v, and %d are there", n, err, there)
		}
	}},
	{"a transaction that is rolled back leaves nothing", func(s *store) {
		conn := fillable(s)
		tx, err := conn.BeginTx(s.ctx, nil)
		if err != nil {
			s.Fatal(err)
		}
		if n, err := s.w.Fill(s.ctx, conn, "kit", "filled", fillCols, fillRows(5000, nil)); n != 5000 || err != nil {
			s.Fatalf("%d rows, %v", n, err)
		}
		if err := tx.Rollback(); err != nil {
			s.Fatal(err)
		}
		if there := filledRows(s, conn); there != 0 {
			s.Errorf("%d rows are there", there)
		}
	}},
	{"rows may come from the same session", func(s *store) {
		conn := fillable(s)
		if _, err := conn.ExecContext(s.ctx, `CREATE OR REPLACE TEMPORARY TABLE "kit_copy" ("text" VARCHAR, "whole" BIGINT)`); err != nil {
			s.Fatal(err)
		}
		asked := func(yield func([]any, error) bool) {
			for i := range 500 {
				var text string
				err := conn.QueryRowContext(s.ctx, `SELECT ? || 'x'`, fmt.Sprint(i)).Scan(&text)
				if !yield([]any{int64(i), text}, err) {
					return
				}
			}
		}
		if n, err := s.w.Fill(s.ctx, conn, "", "kit_copy", []string{"whole", "text"}, asked); n != 500 || err != nil {
			s.Fatalf("%d rows, %v", n, err)
		}
		var n int
		if err := conn.QueryRowContext(s.ctx, `SELECT count(*) FROM "kit_copy" WHERE "text" = CAST("whole" AS VARCHAR) || 'x'`).Scan(&n); err != nil || n != 500 {
			s.Errorf("%d rows of the temporary table are right, %v", n, err)
		}
	}},
	{"a table that is not there", func(s *store) {
		conn := fillable(s)
		if _, err := s.w.Fill(s.ctx, conn, "kit", "nowhere", fillCols, fillRows(1, nil)); err == nil {
			s.Error("filled")
		}
	}},
	{"a cancelled context", func(s *store) {
		conn := fillable(s)
		ctx, cancel := context.WithCancel(s.ctx)
		cancel()
		if _, err := s.w.Fill(ctx, conn, "kit", "filled", fillCols, fillRows(10, nil)); !errors.Is(err, context.Canceled) {
			s.Errorf("error %v", err)
		}
	}},
}

func fillable(s *store) *sql.Conn {
	s.Helper()
	_, err := s.w.Ensure(s.ctx, filled())
	s.must(err)
	conn, err := s.w.Session(s.ctx, "kit")
	s.must(err)
	s.Cleanup(func() { conn.Close() })
	return conn
}

func filledRows(s *store, conn *sql.Conn) (n int64) {
	s.Helper()
	s.must(conn.QueryRowContext(s.ctx, `SELECT count(*) FROM "kit"."filled"`).Scan(&n))
	return n
}
