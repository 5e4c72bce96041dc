package warehouse

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/millrace-data/millrace/shared/gate"
	"github.com/millrace-data/millrace/shared/record"
)

// Load is one staged attempt at a slice, ready to be measured and committed.
type Load struct {
	Slice        Slice // Function, Table, ID, Purpose, Source, From, To, Fence, VendorCursor, Manifest, Digest and totals as the manifest has them
	Table        record.Table
	Files        []string // local paths of verified parts; keys of the stage where Remote is set
	Rejects      []string // the same of reject parts
	Remote       bool     // see Warehouse.Remote
	Event        string   // id of the event that brought it; "" = by hand
	New, Missing []string // drift: the vendor's fields that are not declared, declared ones never seen
	Now          time.Time
	Point        func(name string) // crash points of the tests; nil otherwise
	Computed     *Computed         // instead of Files: its totals are counted, not promised
}

func (l Load) parts(of []string) Parts {
	if l.Remote {
		return Parts{Keys: of}
	}
	return Parts{Files: of}
}

// Staging is a Load made readable on a connection of its own. Close it.
type Staging struct {
	w    *Warehouse
	conn *sql.Conn
	l    Load
	bad  int64 // rows that Quarantine took out

	made  []string // temporary tables
	named bool     // both tables of Table.Gone are there
	adds  bool     // the rows are added to those that the slice has
}

// The temporary tables of a Staging. All are created before its transaction
// begins: in some databases DDL commits.
const (
	stagedTable   = "millrace_staged"   // the rows to load
	rejectTable   = "millrace_rejected" // the reject lines
	badTable      = "millrace_bad"      // the rows that a Quarantine takes out
	seenTable     = "millrace_seen"     // the rejects of this attempt, each once
	versionsTable = "millrace_versions" // of history: the versions to lay out anew
)

// Stage makes the rows of l readable and returns them for measuring. Parts that
// do not read as the manifest says are fault.Corrupt.
func (w *Warehouse) Stage(ctx context.Context, l Load) (*Staging, error) {
	conn, err := w.db.Conn(ctx)
	if err != nil {
		return nil, w.fail(err, "stage slice %s", l.Slice.ID)
	}
	s := &Staging{w: w, conn: conn, l: l, made: []string{stagedTable, rejectTable}}
	if l.Computed != nil {
		err = s.compute(ctx)
	} else {
		err = w.driver.Stage(ctx, conn, stagedTable, staging(l.Table), l.parts(l.Files))
	}
	if err == nil {
		err = w.driver.Stage(ctx, conn, rejectTable, rejectColumns, l.parts(l.Rejects))
	}
	if err != nil {
		s.Close()
		return nil, w.fail(err, "stage slice %s of %s", l.Slice.ID, l.Table.FullName())
	}
	return s, nil
}

// Close gives the connection back. What was staged and not committed is gone.
func (s *Staging) Close() error {
	// What cannot be dropped is only in the way of the space it takes: the next
	// Staging on this connection replaces it.
	for _, t := range s.made {
		s.conn.ExecContext(context.Background(), "DROP TABLE IF EXISTS "+quote(t))
	}
	return s.conn.Close()
}

// Measure counts what each rule wants to know, all but unique and refers in one
// scan of the staged rows. Rules of history are answered from the ledger. The measures are in the order of the rules; Rows is
// always the number of staged rows.
func (s *Staging) Measure(ctx context.Context, rules []gate.Rule) (rows int64, out []gate.Measure, err error) {
	out = make([]gate.Measure, len(rules))
	exprs, dest, args := []string{"count(*)"}, []any{whole{&rows}}, []any{}
	for i, r := range rules {
		if p, a := s.predicate(r); p != "" {
			exprs, args = append(exprs, "coalesce(sum(CASE WHEN "+p+" THEN 1 ELSE 0 END), 0)"), append(args, a...)
			dest = append(dest, count{&out[i].Bad})
		}
		expr, to, err := s.look(r, &out[i])
		if err != nil {
			return 0, nil, err
		}
		if expr != "" {
			exprs, dest = append(exprs, expr), append(dest, to)
		}
	}
	q := "SELECT " + strings.Join(exprs, ", ") + " FROM " + quote(stagedTable)
	if err := s.conn.QueryRowContext(ctx, q, args...).Scan(dest...); err != nil {
		return 0, nil, s.w.fail(err, "measure slice %s of %s", s.l.Slice.ID, s.l.Table.FullName())
	}
	for i, r := range rules {
		out[i].Rows = rows
		if err := s.beyond(ctx, r, &out[i]); err != nil {
			return 0, nil, s.w.fail(err, "measure %s of slice %s", r.Name, s.l.Slice.ID)
		}
		if r.Kind == gate.Unique && rows > 0 {
			key := strings.Join(quoteAll(r.Columns), ", ")
			q := fmt.Sprintf("SELECT coalesce(sum(n - 1), 0) FROM (SELECT count(*) AS n FROM %s GROUP BY %s) AS g WHERE n > 1", quote(stagedTable), key)
			if err := s.conn.QueryRowContext(ctx, q).Scan(count{&out[i].Bad}); err != nil {
				return 0, nil, s.w.fail(err, "measure %s of slice %s", r.Name, s.l.Slice.ID)
			}
		}
	}
	return rows, out, nil
}

// predicate is the condition that a bad row (a null, for null_percent) meets, and
// its bound values; "" for rules that no single row breaks.
func (s *Staging) predicate(r gate.Rule) (p string, args []any) {
	if len(r.Columns) == 0 {
		return "", nil
	}
	col := quote(r.Columns[0])
	switch r.Kind {
	case gate.NotNull, gate.NullPercent:
		return col + " IS NULL", nil
	case gate.Accepted:
		p = col + " IS NOT NULL"
		for _, v := range r.Values {
			p, args = p+fmt.Sprintf(" AND CAST(%s AS VARCHAR) <> ?", col), append(args, v)
		}
		return "(" + p + ")", args
	case gate.Range:
		c, _ := s.l.Table.Column(r.Columns[0])
		typ := s.w.driver.Type(c)
		var parts []string
		if r.Min != "" {
			parts, args = append(parts, fmt.Sprintf("%s < CAST(? AS %s)", col, typ)), append(args, r.Min)
		}
		if r.Max != "" {
			parts, args = append(parts, fmt.Sprintf("%s > CAST(? AS %s)", col, typ)), append(args, r.Max)
		}
		if parts != nil {
			p = "(" + strings.Join(parts, " OR ") + ")"
		}
	}
	return p, args
}

// count scans sums, which databases like to widen.
type count struct{ to *int64 }

func (c count) Scan(v any) error {
	_, err := fmt.Sscan(fmt.Sprint(v), c.to)
	return err
}
