package warehouse

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/gate"
	"github.com/millrace-data/millrace/shared/record"
)

// Load is one staged attempt at a slice, ready to be measured and committed.
type Load struct {
	Slice        Slice // Function, Table, ID, Purpose, Source, From, To, Fence, VendorCursor, Manifest, Digest and totals as the manifest has them
	Table        record.Table
	Files        []string // local paths of verified parts
	Rejects      []string // local paths of verified reject parts
	Event        string   // id of the event that brought it; "" = by hand
	New, Missing []string // drift: the vendor's fields that are not declared, declared ones never seen
	Now          time.Time
	Point        func(name string) // crash points of the tests; nil otherwise
}

// Staging is a Load made readable on a connection of its own. Close it.
type Staging struct {
	w    *Warehouse
	conn *sql.Conn
	l    Load
	bad  int64 // rows that Quarantine took out
}

const (
	stagedView = "millrace_staged"
	rejectView = "millrace_reject_lines"
	badTable   = "millrace_bad"
)

// Stage makes the rows of l readable and returns them for measuring.
func (w *Warehouse) Stage(ctx context.Context, l Load) (*Staging, error) {
	conn, err := w.db.Conn(ctx)
	if err != nil {
		return nil, w.fail(err, "stage slice %s", l.Slice.ID)
	}
	s := &Staging{w: w, conn: conn, l: l}
	err = w.driver.Stage(ctx, conn, stagedView, staging(l.Table), l.Files)
	if err == nil {
		err = w.driver.Stage(ctx, conn, rejectView, columns("row text", "reason text", "rule text"), l.Rejects)
	}
	if err != nil {
		s.Close()
		return nil, w.fail(err, "stage slice %s of %s", l.Slice.ID, l.Table.FullName())
	}
	return s, nil
}

// Close gives the connection back. What was staged and not committed is gone.
func (s *Staging) Close() error {
	for _, q := range []string{"DROP TABLE IF EXISTS " + badTable, "DROP VIEW IF EXISTS " + stagedView, "DROP VIEW IF EXISTS " + rejectView} {
		s.conn.ExecContext(context.Background(), q) // the connection goes back to the pool; leftovers would only be in the next one's way
	}
	return s.conn.Close()
}

// Measure counts what each rule wants to know, all but the unique ones in one
// scan of the staged rows. The measures are in the order of the rules; Rows is
// always the number of staged rows.
func (s *Staging) Measure(ctx context.Context, rules []gate.Rule) (rows int64, out []gate.Measure, err error) {
	out = make([]gate.Measure, len(rules))
	exprs, dest := []string{"count(*)"}, []any{whole{&rows}}
	for i, r := range rules {
		if p := s.predicate(r); p != "" {
			exprs = append(exprs, "coalesce(sum(CASE WHEN "+p+" THEN 1 ELSE 0 END), 0)")
			dest = append(dest, count{&out[i].Bad})
		}
	}
	q := "SELECT " + strings.Join(exprs, ", ") + " FROM " + stagedView
	if err := s.conn.QueryRowContext(ctx, q).Scan(dest...); err != nil {
		return 0, nil, s.unreadable(err)
	}
	for i, r := range rules {
		out[i].Rows = rows
		if r.Kind == gate.Unique && rows > 0 {
			key := strings.Join(quoteAll(r.Columns), ", ")
			q := fmt.Sprintf("SELECT coalesce(sum(n - 1), 0) FROM (SELECT count(*) AS n FROM %s GROUP BY %s HAVING count(*) > 1)", stagedView, key)
			if err := s.conn.QueryRowContext(ctx, q).Scan(count{&out[i].Bad}); err != nil {
				return 0, nil, s.unreadable(err)
			}
		}
	}
	return rows, out, nil
}

func (s *Staging) unreadable(err error) error {
	err = s.w.fail(err, "parts of slice %s of %s do not read as the manifest says", s.l.Slice.ID, s.l.Table.FullName())
	return fault.Wrap(fault.Corrupt, err)
}

// predicate is the condition that a bad row (a null, for null_percent) meets.
func (s *Staging) predicate(r gate.Rule) string {
	if len(r.Columns) == 0 || r.Kind == gate.Unique {
		return ""
	}
	col := quote(r.Columns[0])
	switch r.Kind {
	case gate.NotNull, gate.NullPercent:
		return col + " IS NULL"
	case gate.Accepted:
		vals := make([]string, len(r.Values))
		for i, v := range r.Values {
			vals[i] = literal(v)
		}
		return fmt.Sprintf("CAST(%s AS VARCHAR) NOT IN (%s)", col, strings.Join(vals, ", "))
	case gate.Range:
		var parts []string
		c, _ := s.l.Table.Column(r.Columns[0])
		for op, bound := range map[string]string{"<": r.Min, ">": r.Max} {
			if bound != "" {
				parts = append(parts, fmt.Sprintf("%s %s CAST(%s AS %s)", col, op, literal(bound), s.w.driver.Type(c)))
			}
		}
		return strings.Join(parts, " OR ")
	}
	return ""
}

// Quarantine takes the rows that break the given row rules out of what Commit
// will load and into the rejects, and returns how many. A row that breaks several
// rules is rejected by the first.
func (s *Staging) Quarantine(ctx context.Context, rules []gate.Rule) (int64, error) {
	q := fmt.Sprintf("CREATE TEMPORARY TABLE %s (%s BIGINT, rule VARCHAR, same BOOLEAN)", badTable, quote("line"))
	if _, err := s.conn.ExecContext(ctx, q); err != nil {
		return 0, s.w.fail(err, "quarantine rows of slice %s", s.l.Slice.ID)
	}
	for _, r := range rules {
		sel := fmt.Sprintf("SELECT %s, %s, FALSE FROM %s WHERE %s", seq(s.l.Table), literal(r.Name), stagedView, s.predicate(r))
		if r.Kind == gate.Unique {
			sel = s.repeated(r)
		}
		q := fmt.Sprintf("INSERT INTO %s SELECT * FROM (%s) AS r(line, rule, same) WHERE line NOT IN (SELECT line FROM %s)", badTable, sel, badTable)
		if _, err := s.conn.ExecContext(ctx, q); err != nil {
			return 0, s.w.fail(err, "quarantine rows of slice %s by %s", s.l.Slice.ID, r.Name)
		}
	}
	err := s.conn.QueryRowContext(ctx, "SELECT count(*) FROM "+badTable).Scan(whole{&s.bad})
	return s.bad, s.w.fail(err, "quarantine rows of slice %s", s.l.Slice.ID)
}

// repeated selects the rows that share a key with one staged later, and whether
// they are equal to it in every column: such a one carries no information, and
// its reject is discarded from the start.
func (s *Staging) repeated(r gate.Rule) string {
	n, key := seq(s.l.Table), strings.Join(quoteAll(r.Columns), ", ")
	ranked := fmt.Sprintf("SELECT *, row_number() OVER (PARTITION BY %s ORDER BY %s DESC) AS pos FROM %s WHERE %s IN (SELECT %s FROM %s GROUP BY %s HAVING count(*) > 1)",
		key, n, stagedView, tuple(r.Columns), key, stagedView, key)
	return fmt.Sprintf("WITH ranked AS (%s) SELECT a.%s, %s, %s FROM ranked a JOIN ranked b ON b.pos = 1 AND %s WHERE a.pos > 1",
		ranked, n, literal(r.Name), equal("a", same, "b", s.content()), equal("a", same, "b", r.Columns))
}

func tuple(cols []string) string {
	if len(cols) == 1 {
		return quote(cols[0])
	}
	return "(" + strings.Join(quoteAll(cols), ", ") + ")"
}

// good is the relation of the rows to load.
func (s *Staging) good() string {
	if s.bad == 0 {
		return stagedView
	}
	return fmt.Sprintf("(SELECT * FROM %s WHERE %s NOT IN (SELECT line FROM %s))", stagedView, seq(s.l.Table), badTable)
}

// count scans sums, which databases like to widen.
type count struct{ to *int64 }

func (c count) Scan(v any) error {
	_, err := fmt.Sscan(fmt.Sprint(v), c.to)
	return err
}
