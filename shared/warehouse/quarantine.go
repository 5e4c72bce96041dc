package warehouse

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/klauspost/compress/zstd"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/gate"
	"github.com/millrace-data/millrace/shared/record"
)

// Quarantine takes the rows that break the given row rules out of what Commit
// will load and into the rejects, and returns how many. A row that breaks several
// rules is rejected by the first. It is called once, with all the rules.
func (s *Staging) Quarantine(ctx context.Context, rules []gate.Rule) (int64, error) {
	if s.bad > 0 {
		return 0, fault.New(fault.Invalid, "slice %s of %s has been through quarantine", s.l.Slice.ID, s.l.Table.FullName())
	}
	n, err := s.quarantine(ctx, rules)
	if err == nil && n > 0 {
		err = s.takeOut(ctx)
	}
	if err == nil {
		s.bad = n
	}
	return n, s.w.fail(err, "quarantine rows of slice %s of %s", s.l.Slice.ID, s.l.Table.FullName())
}

// quarantine fills badTable.
func (s *Staging) quarantine(ctx context.Context, rules []gate.Rule) (n int64, err error) {
	s.made = append(s.made, badTable)
	err = run(ctx, s.conn, fmt.Sprintf(`CREATE OR REPLACE TEMPORARY TABLE %s ("line" BIGINT, "rule" VARCHAR, "same" BOOLEAN)`, quote(badTable)))
	for _, r := range rules {
		if err != nil {
			return 0, err
		}
		sel, args, e := s.offenders(ctx, r)
		if err = e; err != nil || sel == "" {
			continue
		}
		_, err = s.conn.ExecContext(ctx, fmt.Sprintf(`INSERT INTO %[1]s ("line", "rule", "same") SELECT r."line", ?, r."same" FROM (%[2]s) AS r WHERE r."line" NOT IN (SELECT "line" FROM %[1]s)`, quote(badTable), sel),
			append([]any{r.Name}, args...)...)
	}
	if err == nil {
		err = s.conn.QueryRowContext(ctx, "SELECT count(*) FROM "+quote(badTable)).Scan(whole{&n})
	}
	return n, err
}

// offenders selects the line numbers of the rows that break a rule; "" where none
// can be told.
func (s *Staging) offenders(ctx context.Context, r gate.Rule) (sel string, args []any, err error) {
	if r.Kind == gate.Unique {
		return s.repeated(r), nil, nil
	}
	p, args := s.predicate(r)
	if r.Kind == gate.RefersKind {
		p, _, err = s.refers(ctx, r)
	}
	if err != nil || p == "" {
		return "", nil, err
	}
	return fmt.Sprintf(`SELECT s.%s AS "line", FALSE AS "same" FROM %s AS s WHERE %s`, seq(s.l.Table), quote(stagedTable), p), args, nil
}

// repeated selects the rows that share a key with one staged later (or, where the
// table says which is the newest, with that), and whether they are equal to it in
// every column: such a one carries no information, and its reject is discarded
// from the start.
func (s *Staging) repeated(r gate.Rule) string {
	n, key, staged := seq(s.l.Table), strings.Join(quoteAll(r.Columns), ", "), quote(stagedTable)
	last := fmt.Sprintf(`SELECT %s, max(%s) AS "millrace_last" FROM %s GROUP BY %s HAVING count(*) > 1`, key, n, staged, key)
	if newest := s.l.Table.Newest; newest != "" {
		last = fmt.Sprintf(`SELECT %[1]s, "millrace_last" FROM (SELECT %[1]s, %[2]s AS "millrace_last", row_number() OVER (PARTITION BY %[1]s ORDER BY %[3]s DESC NULLS LAST, %[2]s DESC) AS "millrace_place" FROM %[4]s) AS p WHERE "millrace_place" = 1`,
			key, n, quote(newest), staged)
	}
	return fmt.Sprintf(`SELECT a.%[1]s AS "line", %[2]s AS "same" FROM (%[3]s) AS k JOIN %[4]s AS a ON %[5]s AND a.%[1]s <> k."millrace_last" JOIN %[4]s AS b ON b.%[1]s = k."millrace_last"`,
		n, equal("a", same, "b", s.content()), last, staged, equal("a", same, "k", r.Columns))
}

// takeOut moves the rows named in badTable out of the staged ones and into one
// more file of reject lines, which is staged like those that extract wrote.
func (s *Staging) takeOut(ctx context.Context) error {
	f, err := os.CreateTemp("", "millrace-rejects-*.ndjson.zst")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if err = s.writeRejects(ctx, f); err == nil {
		err = f.Close()
	}
	if err == nil {
		rejects := s.l.parts(s.l.Rejects)
		rejects.Files = append(slices.Clone(rejects.Files), f.Name())
		err = s.w.driver.Stage(ctx, s.conn, rejectTable, rejectColumns, rejects)
	}
	if err != nil {
		return err
	}
	return run(ctx, s.conn, fmt.Sprintf(`DELETE FROM %s WHERE %s IN (SELECT "line" FROM %s)`, quote(stagedTable), seq(s.l.Table), quote(badTable)))
}

// rejectColumns is what a reject line holds. Extract's lines have no state.
var rejectColumns = columns("row json", "reason text", "rule text", "state text")

// writeRejects writes the rows named in badTable as zstd NDJSON.
func (s *Staging) writeRejects(ctx context.Context, to io.Writer) error {
	z, err := zstd.NewWriter(to)
	if err != nil {
		return err
	}
	defer z.Close()
	cols := staging(s.l.Table)
	if !s.l.Table.File { // a row's number in its file says where to look; one in the slice says nothing
		cols = cols[:len(cols)-1]
	}
	exprs := []string{`b."rule"`, `b."same"`}
	for _, c := range cols {
		if c.Type == record.Document {
			exprs = append(exprs, s.w.driver.Text("s."+quote(c.Name)))
			continue
		}
		exprs = append(exprs, fmt.Sprintf("CAST(s.%s AS VARCHAR)", quote(c.Name)))
	}
	rows, err := s.conn.QueryContext(ctx, fmt.Sprintf(`SELECT %s FROM %s AS s JOIN %s AS b ON b."line" = s.%s`, strings.Join(exprs, ", "), quote(stagedTable), quote(badTable), seq(s.l.Table)))
	if err != nil {
		return err
	}
	defer rows.Close()
	var line []byte
	for rows.Next() {
		if line, err = rejectLine(line[:0], rows, cols); err == nil {
			_, err = z.Write(line)
		}
		if err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	return z.Close()
}

// lineMax is the longest line that drivers must read; quoted, a row grows.
const lineMax = 15 << 20

// rejectLine appends the reject line of the current row: values that are not null
// under their column names, documents as they are and all else as text.
func rejectLine(dst []byte, rows *sql.Rows, cols []record.Column) ([]byte, error) {
	var rule string
	var same bool
	values, dest := make([]sql.NullString, len(cols)), []any{&rule, &same}
	for i := range values {
		dest = append(dest, &values[i])
	}
	if err := rows.Scan(dest...); err != nil {
		return dst, err
	}
	row := []byte{'{'}
	for i, v := range values {
		if !v.Valid {
			continue
		}
		if len(row) > 1 {
			row = append(row, ',')
		}
		row = append(quoted(row, cols[i].Name), ':')
		if cols[i].Type == record.Document {
			row = append(row, v.String...)
		} else {
			row = quoted(row, v.String)
		}
	}
	reason, state := "breaks the rule "+rule, "open"
	if same {
		reason, state = "the same row was read more than once", "discarded"
	}
	text := quoted(nil, string(append(row, '}')))
	if len(text) > lineMax {
		reason += fmt.Sprintf("; a row of %d bytes, whose contents are too long to be kept here: they are in the slice's parts in the stage", len(row))
		text = []byte(`"{}"`)
	}
	dst = append(append(append(dst, `{"row":`...), text...), `,"reason":`...)
	dst = append(quoted(dst, reason), `,"rule":`...)
	dst = append(quoted(dst, rule), `,"state":"`+state+"\"}\n"...)
	return dst, nil
}

// keepRejects lists the rejects of this attempt, each once, before the
// transaction begins.
func (s *Staging) keepRejects(ctx context.Context) error {
	s.made = append(s.made, seenTable)
	return run(ctx, s.conn, fmt.Sprintf(`CREATE OR REPLACE TEMPORARY TABLE %s AS SELECT md5("rule" || "text") AS "reject", any_value("row") AS "row", min("reason") AS "reason", "rule", min("state") AS "state"
 FROM (SELECT "row", coalesce(%s, '') AS "text", "reason", coalesce("rule", '') AS "rule", coalesce("state", 'open') AS "state" FROM %s) AS r GROUP BY "rule", "text"`, quote(seenTable), s.w.driver.Text(`"row"`), quote(rejectTable)))
}

// writeKept keeps the rows that were not loaded: those extract could not stage and
// those the gate took out. A reject seen before counts one attempt more; an open
// one that a loaded attempt no longer has went through, so it is replayed.
func (s *Staging) writeKept(ctx context.Context, tx *sql.Tx, state string) error {
	l, seen := s.l.Slice, quote(seenTable)
	const here = `"function" = ? AND "table_name" = ? AND "slice" = ?`
	if state == Loaded {
		_, err := tx.ExecContext(ctx, `UPDATE "millrace"."rejects" SET "state" = 'replayed', "last_seen" = ? WHERE `+here+` AND "state" = 'open' AND "reject" NOT IN (SELECT "reject" FROM `+seen+`)`,
			s.l.Now, l.Function, l.Table, l.ID)
		if err != nil {
			return fmt.Errorf("rejects: %w", err)
		}
	}
	_, err := tx.ExecContext(ctx, `UPDATE "millrace"."rejects" SET "last_seen" = ?, "attempts" = "attempts" + 1, "state" = CASE WHEN "state" = 'replayed' THEN 'open' ELSE "state" END WHERE `+here+` AND "reject" IN (SELECT "reject" FROM `+seen+`)`,
		s.l.Now, l.Function, l.Table, l.ID)
	if err != nil {
		return fmt.Errorf("rejects: %w", err)
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO "millrace"."rejects" ("reject", "function", "table_name", "slice", "row", "reason", "rule", "first_seen", "last_seen", "attempts", "state")
 SELECT n."reject", ?, ?, ?, n."row", n."reason", n."rule", `+s.stamp(s.l.Now)+`, `+s.stamp(s.l.Now)+`, 1, n."state" FROM `+seen+` AS n WHERE n."reject" NOT IN (SELECT "reject" FROM "millrace"."rejects" WHERE `+here+`)`,
		l.Function, l.Table, l.ID, l.Function, l.Table, l.ID)
	if err != nil {
		return fmt.Errorf("rejects: %w", err)
	}
	return nil
}

// quoted appends s as a JSON string. Texts come from the database, so they are
// valid UTF-8; should one not be, its bad bytes become U+FFFD.
func quoted(dst []byte, s string) []byte {
	dst, err := jsontext.AppendQuote(dst, s)
	if err != nil {
		return quoted(dst, strings.ToValidUTF8(s, "\uFFFD"))
	}
	return dst
}
