package warehouse

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/record"
)

// apply moves the accepted rows into the table by its load mode. Each mode leaves
// the same table whether a slice is loaded once or many times.
func (s *Staging) apply(ctx context.Context, tx *sql.Tx) error {
	err := s.move(ctx, tx)
	if g := s.l.Table.Gone; err == nil && s.named {
		_, err = tx.ExecContext(ctx, fmt.Sprintf("DELETE FROM %s WHERE %[2]s IN (SELECT %[2]s FROM %[3]s)", Name{s.l.Table.Schema, g.Table}, quote(g.Column), Name{s.l.Table.Schema, g.Named}))
	}
	return err
}

func (s *Staging) move(ctx context.Context, tx *sql.Tx) error {
	switch s.l.Table.Mode {
	case record.Append:
		if s.l.Table.File && s.l.Slice.Source != "" { // a rewritten object takes the place of its older version
			return s.replace(ctx, tx, `"_slice" = ? OR "_source" = ?`, s.l.Slice.ID, s.l.Slice.Source)
		}
		return s.replace(ctx, tx, `"_slice" = ?`, s.l.Slice.ID)
	case record.ReplacePartition:
		return s.partition(ctx, tx)
	case record.ReplaceAll:
		return s.w.driver.Replace(ctx, tx, s.name(), func(shadow string) error { return s.insert(ctx, tx, shadow) })
	case record.Merge:
		return s.merge(ctx, tx)
	case record.History:
		return s.history(ctx, tx)
	}
	return fault.New(fault.Invalid, "table %s has no load mode %q", s.l.Table.FullName(), s.l.Table.Mode)
}

func (s *Staging) name() Name { return Name{s.l.Table.Schema, s.l.Table.Name} }

// values is the column list of the table and, in the same order, what to select
// from a staged row aliased s, with its bound values. Ours are constants of the load.
func (s *Staging) values() (cols, exprs []string, args []any) {
	for _, c := range physical(s.l.Table) {
		cols = append(cols, quote(c.Name))
		e := "?"
		switch c.Name {
		case record.ColumnSource:
			args = append(args, s.l.Slice.Source)
		case record.ColumnSlice:
			args = append(args, s.l.Slice.ID)
		case record.ColumnLoadedAt:
			e = s.stamp(s.l.Now)
		case record.ColumnFrom, ColumnSeen:
			e = s.stamp(s.asOf())
		case record.ColumnTo:
			e = "CAST(NULL AS " + s.timestamp() + ")"
		default:
			e = "s." + quote(c.Name)
		}
		exprs = append(exprs, e)
	}
	return cols, exprs, args
}

// stamp is t in SQL. Such constants are ours; everything else is bound.
func (s *Staging) stamp(t time.Time) string {
	return fmt.Sprintf("CAST('%s' AS %s)", t.UTC().Format("2006-01-02 15:04:05.999999"), s.timestamp())
}

func (s *Staging) timestamp() string {
	return s.w.driver.Type(record.Column{Type: record.Timestamp})
}

// insert adds the accepted rows.
func (s *Staging) insert(ctx context.Context, tx *sql.Tx, into string) error {
	cols, exprs, args := s.values()
	_, err := tx.ExecContext(ctx, fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM %s AS s", into, strings.Join(cols, ", "), strings.Join(exprs, ", "), quote(stagedTable)), args...)
	return err
}

// counted makes sure that what was applied is all that the manifest promised.
func (s *Staging) counted(ctx context.Context, tx *sql.Tx) error {
	var n int64
	err := tx.QueryRowContext(ctx, "SELECT count(*) FROM "+quote(stagedTable)).Scan(whole{&n})
	if want := s.l.Slice.RowsStaged - s.bad; err == nil && n != want {
		return fault.New(fault.Corrupt, "%d rows in the parts for %s, %d expected: the parts are not the manifest's", n, s.l.Table.FullName(), want)
	}
	return err
}

func (s *Staging) replace(ctx context.Context, tx *sql.Tx, where string, args ...any) error {
	if _, err := tx.ExecContext(ctx, fmt.Sprintf("DELETE FROM %s WHERE %s", s.name(), where), args...); err != nil {
		return err
	}
	return s.insert(ctx, tx, s.name().String())
}

// partition replaces the partitions that the slice holds: those of its window
// where it is one, else those found in its rows, and what it wrote before.
func (s *Staging) partition(ctx context.Context, tx *sql.Tx) error {
	p := quote(s.l.Table.Partition)
	if c, _ := s.l.Table.Column(s.l.Table.Partition); s.l.Slice.window() && (c.Type == record.Timestamp || c.Type == record.Date) {
		return s.replace(ctx, tx, fmt.Sprintf(`(%[1]s >= %[2]s AND %[1]s < %[3]s) OR "_slice" = ?`, p, s.stamp(s.l.Slice.From), s.stamp(s.l.Slice.To)), s.l.Slice.ID)
	}
	return s.replace(ctx, tx, fmt.Sprintf(`%[1]s IN (SELECT %[1]s FROM %[2]s) OR "_slice" = ?`, p, quote(stagedTable)), s.l.Slice.ID)
}

// merge updates by key where something differs and inserts what is new. Rows that
// are as they were are not touched, so _loaded_at says when a row last changed.
func (s *Staging) merge(ctx context.Context, tx *sql.Tx) error {
	if len(s.l.Table.Key) == 0 {
		return fault.New(fault.Invalid, "table %s is merged but has no key", s.l.Table.FullName())
	}
	on, staged := equal("t", "=", "s", s.l.Table.Key), quote(stagedTable)
	if s.w.strict() {
		staged = s.last()
	} else {
		var known int64
		err := tx.QueryRowContext(ctx, fmt.Sprintf("SELECT count(*) FROM (SELECT 1 AS one FROM %s AS t WHERE EXISTS (SELECT 1 FROM %s AS s WHERE %s) LIMIT 1) AS k", s.name(), staged, on)).Scan(whole{&known})
		if err != nil {
			return err
		}
		if known == 0 { // all new: an insert is half the work of a merge
			return s.insert(ctx, tx, s.name().String())
		}
	}
	cols, exprs, args := s.values()
	set := make([]string, len(cols))
	for i := range cols {
		set[i] = cols[i] + " = " + exprs[i]
	}
	differ := "NOT (" + equal("t", same, "s", s.content()) + ")"
	if n := quote(s.l.Table.Newest); s.l.Table.Newest != "" {
		differ += fmt.Sprintf(" AND (t.%[1]s IS NULL OR s.%[1]s >= t.%[1]s)", n)
	}
	matched := " AND " + differ
	if o, ok := s.w.driver.(Ordered); ok { // rows that are to be written, and no others
		matched = ""
		staged = fmt.Sprintf("(SELECT s.* FROM %s AS s LEFT JOIN %s AS t ON %s WHERE t.%s IS NULL OR %s ORDER BY %s)", staged, s.name(), on, quote(s.l.Table.Key[0]), differ, o.Place("t"))
	}
	_, err := tx.ExecContext(ctx, fmt.Sprintf("MERGE INTO %s AS t USING %s AS s ON %s WHEN MATCHED%s THEN UPDATE SET %s WHEN NOT MATCHED THEN INSERT (%s) VALUES (%s)",
		s.name(), staged, on, matched, strings.Join(set, ", "), strings.Join(cols, ", "), strings.Join(exprs, ", ")), append(args, args...)...)
	return err
}

// last selects the staged rows with one of each key. The gate sees to it that there
// is only one; should it not, a strict MERGE must not fail for ever.
func (s *Staging) last() string {
	order := seq(s.l.Table) + " DESC"
	if s.l.Table.Newest != "" {
		order = quote(s.l.Table.Newest) + " DESC NULLS LAST, " + order
	}
	return fmt.Sprintf("(SELECT * FROM %s QUALIFY row_number() OVER (PARTITION BY %s ORDER BY %s) = 1)", quote(stagedTable), strings.Join(quoteAll(s.l.Table.Key), ", "), order)
}

// content is the columns that make two versions of a row differ.
func (s *Staging) content() []string {
	cols := names(staging(s.l.Table))
	return cols[:len(cols)-1] // without the line number
}

// equal compares columns of two aliases. Keys are never null (the gate sees to
// it) and join faster with =; content needs the comparison that knows nulls.
func equal(a, op, b string, cols []string) string {
	var out []string
	for _, c := range cols {
		out = append(out, fmt.Sprintf("%s.%s %s %s.%s", a, quote(c), op, b, quote(c)))
	}
	return strings.Join(out, " AND ")
}

const same = "IS NOT DISTINCT FROM"
