package snowflake_test

import (
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/millrace-data/millrace/shared/warehouse"
)

// filled is a session with a temporary table to fill.
func filled(t *testing.T, w *warehouse.Warehouse, columns string) *sql.Conn {
	t.Helper()
	conn, err := w.Session(t.Context(), "fill")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := conn.ExecContext(t.Context(), `CREATE TEMPORARY TABLE "filled" (`+columns+`)`); err != nil {
		t.Fatal(err)
	}
	return conn
}

// Some thousand rows are one statement, a transaction stays open, and what is long is
// cut where it would be too much for one request.
func TestFillIsFewStatements(t *testing.T) {
	srv := start(t, "")
	r := &recorder{srv: srv}
	w := connect(t, srv, "CLIENT_STAGE_ARRAY_BINDING_THRESHOLD=1000") // as an administrator may have set it
	conn := filled(t, w, `"n" BIGINT, "text" VARCHAR, "at" TIMESTAMP_NTZ(6), "none" BOOLEAN`)
	for name, c := range map[string]struct {
		rows, size int
		want       int
	}{
		"short rows": {40_000, 5, 3}, // 60,000 values of four columns are 15,000 rows
		"long rows":  {10_000, 1024, 3},
		"nothing":    {0, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r.reset()
			tx, err := conn.BeginTx(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			n, err := w.Fill(t.Context(), conn, "", "filled", []string{"text", "none", "n", "at"}, func(yield func([]any, error) bool) {
				for i := range c.rows {
					if !yield([]any{strings.Repeat("x", c.size), nil, int64(i), nil}, nil) {
						return
					}
				}
			})
			if err != nil || n != int64(c.rows) {
				t.Fatalf("%d rows, %v", n, err)
			}
			var there, sum int64
			if err := conn.QueryRowContext(t.Context(), `SELECT count(*), coalesce(sum("n" + length("text")), 0) FROM "filled" WHERE "at" IS NULL AND "none" IS NULL`).Scan(&there, &sum); err != nil || there != n || sum != n*(n-1)/2+n*int64(c.size) {
				t.Errorf("%d rows with the sum %d, %v", there, sum, err)
			}
			if err := tx.Rollback(); err != nil {
				t.Fatal(err)
			}
			sent := r.srv.Statements()[r.from:]
			inserts := 0
			for _, q := range sent {
				if strings.HasPrefix(q, "INSERT") {
					inserts++
				}
			}
			if inserts != c.want || slices.ContainsFunc(sent, func(q string) bool { return strings.HasPrefix(q, "PUT") || strings.HasPrefix(q, "CREATE") }) {
				t.Errorf("%d inserts, want %d: %.200q", inserts, c.want, sent)
			}
			if err := conn.QueryRowContext(t.Context(), `SELECT count(*) FROM "filled"`).Scan(&there); err != nil || there != 0 {
				t.Errorf("%d rows are left of a transaction that was rolled back, %v", there, err)
			}
		})
	}
}

// A row of nothing but NULL is a row.
func TestFillNulls(t *testing.T) {
	w, _ := open(t, "")
	conn := filled(t, w, `"a" BIGINT, "b" VARCHAR`)
	fill := func(rows ...[]any) (int64, error) {
		return w.Fill(t.Context(), conn, "", "filled", []string{"a", "b"}, func(yield func([]any, error) bool) {
			for _, r := range rows {
				if !yield(r, nil) {
					return
				}
			}
		})
	}
	text := "x"
	if n, err := fill([]any{nil, nil}, []any{nil, (*string)(nil)}, []any{nil, nil}); n != 3 || err != nil {
		t.Errorf("%d rows, %v", n, err)
	}
	if n, err := fill([]any{1, &text}, []any{nil, (*string)(nil)}); n != 2 || err != nil {
		t.Errorf("%d rows, %v", n, err)
	}
	var got string
	if err := conn.QueryRowContext(t.Context(), `SELECT count(*) || ' ' || count("a") || ' ' || max("b") FROM "filled"`).Scan(&got); err != nil || got != "5 1 x" {
		t.Errorf("got %q, %v", got, err)
	}
	for _, bad := range [][]any{{1}, {1, struct{}{}}} {
		if _, err := fill(bad); err == nil {
			t.Errorf("filled with %s", fmt.Sprint(bad...))
		}
	}
}
