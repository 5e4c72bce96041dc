package reverse

import (
	"context"
	"database/sql"
	"fmt"
	"iter"
	"strings"
)

// Names of temporary tables, each of one session.
const (
	standTable = `"millrace_stand"` // what the destination has: a line per record, with field '', and one per value
	seenTable  = `"millrace_seen"`  // rows of a plan beside that
)

// looking is rows of a plan whose records are read live: those that where selects.
// Rows of kind byKey are looked up by the external id, because they have no record
// of their own, or had none; all others by the record's id.
type looking struct {
	e      *Engine
	d      Destination
	conn   *sql.Conn // that has the temporary tables
	p      *Plan
	object *Object
	byKey  Kind
	edits  bool // also: which records somebody else changed after who made them; see people
	where  string
	args   []any
}

const (
	looksAtAll  = 10_000 // rows above which all records of an object are read at once
	looksAtMost = 20     // as long as they are not this many times as many
	lookPage    = 2_000  // keys of one Read

	lastEdited = "edited" // value of a record's own line
)

// look fills seenTable: for each row, the record's id, whether it is there ("here"),
// as it was before the plan ("before") and as the plan wants it ("after"); 1 is yes.
func (l looking) look(ctx context.Context) error {
	if err := l.read(ctx); err != nil {
		return err
	}
	q := `SELECT s."n", s."kind", s."id",
 s."here", CASE WHEN s."kind" = 'create' THEN 1 - s."here" WHEN s."kind" = 'delete' AND s."edited" = 1 THEN 0 WHEN s."here" = 1 AND s."as_before" = 1 THEN 1 ELSE 0 END AS "before",
 CASE WHEN s."kind" = 'delete' THEN 1 - s."here" WHEN s."here" = 1 AND s."as_after" = 1 THEN 1 ELSE 0 END AS "after"
 FROM (SELECT r."n", max(r."kind") AS "kind", max(h."id") AS "id", max(CASE WHEN h."id" IS NULL THEN 0 ELSE 1 END) AS "here", max(CASE WHEN h."value" IS NULL THEN 0 ELSE 1 END) AS "edited",
 min(CASE WHEN v."value" IS NOT DISTINCT FROM r."before" THEN 1 ELSE 0 END) AS "as_before", min(CASE WHEN v."value" IS NOT DISTINCT FROM r."after" THEN 1 ELSE 0 END) AS "as_after" FROM ` + l.joined() + ` GROUP BY r."n") AS s`
	err := remake(ctx, l.conn, seenTable, `"n" BIGINT, "kind" VARCHAR, "id" VARCHAR, "here" BIGINT, "before" BIGINT, "after" BIGINT`, q, append([]any{l.p.ID}, l.args...)...)
	return l.e.Warehouse.Explain(err, "compare plan %s with what is live", l.p.ID)
}

// remake makes a temporary table of the session anew, of what a query selects: in two
// statements, because some warehouses bind no values where a table is made.
func remake(ctx context.Context, conn *sql.Conn, table, columns, query string, args ...any) error {
	_, err := conn.ExecContext(ctx, `CREATE OR REPLACE TEMPORARY TABLE `+table+` (`+columns+`)`)
	if err == nil && query != "" {
		_, err = conn.ExecContext(ctx, `INSERT INTO `+table+` `+query, args...)
	}
	return err
}

// joined is the rows r with their records h and live values v.
func (l looking) joined() string {
	key := `r."key"`
	if f, _ := l.object.called(l.p.Job.ExternalID); !f.CaseSensitive {
		key = `lower(r."key")`
	}
	name := fmt.Sprintf(`CASE WHEN r."kind" = '%s' THEN 'key ' || %s WHEN length(r."destination_id") = 18 THEN 'id ' || substr(r."destination_id", 1, 15) ELSE 'id ' || r."destination_id" END`, l.byKey, key)
	return rowsTable + ` AS r LEFT JOIN ` + standTable + ` AS h ON h."field" = '' AND h."record" = ` + name +
		` LEFT JOIN ` + standTable + ` AS v ON v."field" = r."field" AND v."record" = h."record" AND v."id" = h."id" WHERE r."plan" = ? AND ` + l.where
}

// read fills standTable.
func (l looking) read(ctx context.Context) error {
	if err := remake(ctx, l.conn, standTable, `"record" VARCHAR, "id" VARCHAR, "field" VARCHAR, "value" VARCHAR`, ""); err != nil {
		return l.e.Warehouse.Explain(err, "look at what is live")
	}
	var n int64
	fields, err := listed(ctx, l.e, `SELECT DISTINCT "field" FROM `+rowsTable+` AS r WHERE r."plan" = ? AND "field" <> ? ORDER BY "field"`, l.p.ID, l.p.Job.ExternalID)
	if err == nil {
		err = l.e.Warehouse.DB().QueryRowContext(ctx, `SELECT count(DISTINCT r."n") FROM `+rowsTable+` AS r WHERE r."plan" = ? AND `+l.where, append([]any{l.p.ID}, l.args...)...).Scan(null[int64]{&n})
	}
	if err != nil || n == 0 {
		return l.e.Warehouse.Explain(err, "rows of plan %s", l.p.ID)
	}
	reads, err := l.queries(ctx, n, fields)
	if err != nil {
		return err
	}
	_, err = l.e.Warehouse.Fill(ctx, l.conn, "", strings.Trim(standTable, `"`), []string{"record", "id", "field", "value"}, l.lines(ctx, reads))
	return err
}

// queries is what to ask: for the records by their keys, or for all there are.
func (l looking) queries(ctx context.Context, n int64, fields []string) (iter.Seq2[Query, error], error) {
	all := Query{Object: l.p.Object, Key: l.p.Job.ExternalID, Fields: fields}
	all.Fields = append(all.Fields, l.people()...)
	if n > looksAtAll {
		size, err := l.d.Count(ctx, l.p.Object)
		if err != nil {
			return nil, err
		}
		if size <= looksAtMost*n {
			return func(yield func(Query, error) bool) { yield(all, nil) }, nil
		}
	}
	return func(yield func(Query, error) bool) {
		for _, by := range []struct{ key, column, is string }{{all.Key, `r."key"`, "="}, {"Id", `r."destination_id"`, "<>"}} {
			if by.column == `r."key"` && by.key == "Id" {
				continue // what has no key but its own id cannot be looked for before it is there
			}
			q := all
			q.Key = by.key
			for after := ""; ; after = q.Keys[len(q.Keys)-1] {
				var err error
				q.Keys, err = listed(ctx, l.e, fmt.Sprintf(`SELECT DISTINCT %[1]s FROM %[2]s AS r WHERE r."plan" = ? AND %[3]s AND r."kind" %[4]s '%[5]s' AND %[1]s > ? ORDER BY 1 LIMIT %[6]d`, by.column, rowsTable, l.where, by.is, l.byKey, lookPage),
					append(append([]any{l.p.ID}, l.args...), after)...)
				if len(q.Keys) == 0 && err == nil {
					break
				}
				if !yield(q, err) || err != nil {
					return
				}
			}
		}
	}, nil
}

// lines is what the destination answers, in canonical text, under the names that
// rows are looked up by.
func (l looking) lines(ctx context.Context, reads iter.Seq2[Query, error]) iter.Seq2[[]any, error] {
	return func(yield func([]any, error) bool) {
		for q, err := range reads {
			if err != nil {
				yield(nil, l.e.Warehouse.Explain(err, "keys of plan %s", l.p.ID))
				return
			}
			for rec, err := range l.d.Read(ctx, q) {
				if err != nil {
					yield(nil, fmt.Errorf("read %s live: %w", l.p.Object, err))
					return
				}
				for _, name := range l.names(q, rec) {
					if !l.record(name, q, rec, yield) {
						return
					}
				}
			}
		}
	}
}

// names is how rows refer to the record: by its id, its key, or, where all records
// were asked for, either.
func (l looking) names(q Query, rec Record) (out []string) {
	if q.Key == "Id" || q.Keys == nil {
		id := rec.ID
		if len(id) == 18 {
			id = id[:15]
		}
		out = append(out, "id "+id)
	}
	if f, _ := l.object.called(q.Key); q.Key == l.p.Job.ExternalID {
		key := canonicalOr(f, rec.Key)
		if !f.CaseSensitive {
			key = strings.ToLower(key)
		}
		out = append(out, "key "+key)
	}
	return out
}

func (l looking) record(name string, q Query, rec Record, yield func([]any, error) bool) bool {
	values, edited := rec.Values, any(nil)
	if who := len(l.people()); who > 0 { // they are asked for last
		n := len(values) - who
		if !same(values[n], values[n+1]) {
			edited = lastEdited
		}
		values = values[:n]
	}
	if !yield([]any{name, rec.ID, "", edited}, nil) {
		return false
	}
	for i, v := range values {
		if v == nil || *v == "" {
			continue
		}
		f, _ := l.object.called(q.Fields[i])
		if !yield([]any{name, rec.ID, q.Fields[i], canonicalOr(f, *v)}, nil) {
			return false
		}
	}
	return true
}

// people are the fields that say who made a record and who changed it last; none
// where that is not asked, or the destination does not tell.
func (l looking) people() []string {
	if !l.edits || l.object.Creator == "" || l.object.Editor == "" {
		return nil
	}
	return []string{l.object.Creator, l.object.Editor}
}

// canonicalOr is the canonical text; a live value that has none is compared as it is,
// and differs from all that we write.
func canonicalOr(f Field, text string) string {
	if c, err := Canonical(f, text); err == nil {
		return c
	}
	return text
}

// called finds a field, under the name that the job gives it. Every object has an Id.
func (o *Object) called(name string) (Field, bool) {
	if name == "Id" {
		return Field{Name: "Id", Type: IDType, Key: true, Unique: true, CaseSensitive: true}, true
	}
	for _, f := range o.Fields {
		if strings.EqualFold(f.Name, name) {
			f.Name = name
			return f, true
		}
	}
	return Field{}, false
}
