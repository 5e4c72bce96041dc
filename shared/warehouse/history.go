package warehouse

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/millrace-data/millrace/shared/record"
)

// history keeps the versions of a row by key. A version is a run of equal
// sightings: it holds from the first of them until another one is seen, and
// remembers the last in _seen_at. So a slice that comes late is put where it
// belongs, even inside a version, and a slice that comes twice changes nothing.
//
// The versions that the slice's time falls into, and those after it, are laid out
// anew: what they say of other times, and what the slice says of its own. Between
// its two ends a version of a scanned table was seen by every committed scan; of
// windows and objects only the ends are known, so a version that is split by a
// slice later than two others may go on later than it did.
func (s *Staging) history(ctx context.Context, tx *sql.Tx) error {
	before, after, err := s.neighbours(ctx, tx)
	if err != nil {
		return err
	}
	cols, _, args := s.values()
	list, versions, now := strings.Join(cols, ", "), quote(versionsTable), s.stamp(s.asOf())
	keys := strings.Join(quoteAll(s.l.Table.Key), ", ")
	later := fmt.Sprintf(`("_valid_to" IS NULL OR "_valid_to" >= %s)`, now)
	mine := fmt.Sprintf(`SELECT %s FROM %s UNION SELECT %s FROM %s WHERE "_slice" = ? AND "_valid_from" = %s`, keys, quote(stagedTable), keys, s.name(), now)
	known := []any{s.l.Slice.ID}
	if s.adds { // what else the slice said stays as it is
		mine, known = fmt.Sprintf(`SELECT %s FROM %s`, keys, quote(stagedTable)), nil
	}
	for _, q := range []struct {
		sql  string
		args []any
	}{
		{fmt.Sprintf("INSERT INTO %s (%s) SELECT t.* FROM (SELECT %s FROM %s WHERE %s) AS t JOIN (%s) AS k ON %s",
			versions, list, list, s.name(), later, mine, equal("t", "=", "k", s.l.Table.Key)), known},
		{fmt.Sprintf("DELETE FROM %s WHERE %s AND EXISTS (SELECT 1 FROM %s AS v WHERE %s)",
			s.name(), later, versions, equal(s.name().String(), "=", "v", s.l.Table.Key)), nil},
		{fmt.Sprintf("INSERT INTO %s (%s) %s", s.name(), list, s.layout(s.sightings(before, after))), args},
	} {
		if _, err := tx.ExecContext(ctx, q.sql, q.args...); err != nil {
			return err
		}
	}
	return nil
}

// asOf is when the rows of a slice were true: the end of its window or the time of
// its scan; an object's rows since they were loaded.
func (s *Staging) asOf() time.Time {
	switch {
	case s.l.Slice.To.IsZero() && s.adds:
		return s.l.Slice.LoadedAt
	case s.l.Slice.To.IsZero():
		return s.l.Now
	}
	return s.l.Slice.To
}

// neighbours are the times of the committed scans next to this one; zero where
// there is none, and for slices that are no scans.
func (s *Staging) neighbours(ctx context.Context, tx *sql.Tx) (before, after time.Time, err error) {
	l := s.l.Slice
	if l.To.IsZero() || l.window() {
		return before, after, nil
	}
	now := s.stamp(l.To)
	err = tx.QueryRowContext(ctx, fmt.Sprintf(`SELECT max(CASE WHEN "range_to" < %[1]s THEN "range_to" END), min(CASE WHEN "range_to" > %[1]s THEN "range_to" END) FROM %[2]s
 WHERE "function" = ? AND "table_name" = ? AND "loaded_at" IS NOT NULL AND ("range_from" IS NULL OR "range_from" = "range_to")`, now, slicesTable), l.Function, l.Table).Scan(at{&before}, at{&after})
	return before, after, err
}

// sightings selects what the versions at hand say of the time before the slice and
// after it, and the slice's own rows.
func (s *Staging) sightings(before, after time.Time) string {
	now := s.stamp(s.asOf())
	last, first := `"_valid_from"`, `"_seen_at"` // of a version that is cut: all that is sure
	if !before.IsZero() {
		last = fmt.Sprintf(`greatest("_valid_from", %s)`, s.stamp(before))
	}
	if !after.IsZero() {
		first = fmt.Sprintf(`least("_seen_at", %s)`, s.stamp(after))
	}
	left := s.cut(ColumnSeen, fmt.Sprintf(`CASE WHEN "_seen_at" < %s THEN "_seen_at" ELSE %s END`, now, last))
	right := s.cut(record.ColumnFrom, fmt.Sprintf(`CASE WHEN "_valid_from" > %s THEN "_valid_from" ELSE %s END`, now, first))
	_, exprs, _ := s.values()
	return fmt.Sprintf(`SELECT %s FROM %s WHERE "_valid_from" < %s UNION ALL SELECT %s FROM %s WHERE "_seen_at" > %s UNION ALL SELECT %s FROM %s AS s`,
		left, quote(versionsTable), now, right, quote(versionsTable), now, strings.Join(exprs, ", "), quote(stagedTable))
}

// cut is the table's columns with one of them put otherwise.
func (s *Staging) cut(column, expr string) string {
	cols, _, _ := s.values()
	for i, c := range cols {
		if c == quote(column) {
			cols[i] = expr + " AS " + c
		}
	}
	return strings.Join(cols, ", ")
}

// layout makes versions of sightings: each run of equal ones becomes one, seen
// until its last, and valid until the next begins.
func (s *Staging) layout(sightings string) string {
	cols, _, _ := s.values()
	keys := strings.Join(quoteAll(s.l.Table.Key), ", ")
	over := fmt.Sprintf(`OVER (PARTITION BY %s ORDER BY "_valid_from")`, keys) // not every database has named windows
	for i, c := range cols {
		switch c {
		case quote(record.ColumnTo):
			cols[i] = `lead("_valid_from") ` + over
		case quote(ColumnSeen):
			cols[i] = `"millrace_seen"`
		}
	}
	differs := []string{`lag("_valid_from") ` + over + ` IS NULL`}
	for _, c := range s.content() {
		differs = append(differs, fmt.Sprintf("%[1]s IS DISTINCT FROM lag(%[1]s) %[2]s", quote(c), over))
	}
	first := fmt.Sprintf(`SELECT *, CASE WHEN %s THEN 1 ELSE 0 END AS "millrace_new" FROM (%s) AS a`, strings.Join(differs, " OR "), sightings)
	runs := fmt.Sprintf(`SELECT *, sum("millrace_new") %s AS "millrace_run" FROM (%s) AS b`, over, first)
	seen := fmt.Sprintf(`SELECT *, max("_seen_at") OVER (PARTITION BY %s, "millrace_run") AS "millrace_seen" FROM (%s) AS c`, keys, runs)
	return fmt.Sprintf(`SELECT %s FROM (%s) AS d WHERE "millrace_new" = 1`, strings.Join(cols, ", "), seen)
}
