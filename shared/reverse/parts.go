package reverse

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/millrace-data/millrace/shared/fault"
)

const (
	rowsTable = `"millrace"."sync_rows"`
	jobsTable = `"millrace"."sync_jobs"`
)

// The ways of a part.
const (
	wayBulk  = "bulk"
	wayWrite = "write"
)

// The states of a part in sync_jobs. A row whose state is aborted is the memory of a
// job that was given up before it began; the part has another row.
const (
	partPlanned = "planned" // cut; nothing was asked of the destination
	partOpen    = "open"    // a job with an id; what is uploaded is not started
	partClosed  = "closed"  // a job that is at work, or was
	partSending = "sending" // a request that may have been made
	partEnded   = "ended"   // every row has its result
	partAborted = "aborted"
)

const (
	partRows   = 200_000   // of a job: what is done stays done when a later one fails
	writeBytes = 4_000_000 // of one Write; how large a request may be is not documented
	serialRows = 20        // of a Write after a second failure that another try may cure
	rowTries   = 5         // requests that a row is in, at most
	jobTries   = 3         // jobs that a row is in, at most, where they fail before its turn
)

// part is rows of a plan that go together in one request or one job.
type part struct {
	N, Attempt, Rows int64
	Way, Job, State  string
	kinds            []Kind  // of its rows
	fresh            bool    // its job was made just now, so nothing was uploaded yet
	looked           bool    // this apply compared its records with what is live
	job              BulkJob // as it ended
	refused          error   // why the destination does not take it at all
}

// kindsOf is the kinds whose rows go in one task with those of a kind.
func (p *Plan) kindsOf(k Kind) []Kind {
	if p.Undoes == "" && p.Operation == Upsert && k != KindDelete {
		return []Kind{KindCreate, KindUpdate}
	}
	return []Kind{k}
}

// by is the operation and the key that write rows of a kind. What is undone by
// creating goes by the external id, so that it can be repeated.
func (a *applier) by(k Kind) (Operation, string) {
	switch {
	case k == KindDelete:
		return Delete, "Id"
	case a.p.Undoes == "" && a.p.Operation == Upsert:
		return Upsert, a.p.Job.ExternalID
	case k == KindUpdate:
		return Update, "Id"
	case a.p.Undoes != "" && a.key.Key:
		return Upsert, a.p.Job.ExternalID
	}
	return Insert, a.p.Job.ExternalID
}

// byID reports whether rows of these kinds are named by the record's own id.
func (a *applier) byID(kinds []Kind) bool {
	_, key := a.by(kinds[0])
	return key == "Id"
}

// task is what the part's rows have in common.
func (a *applier) task(ctx context.Context, kinds []Kind) (Task, error) {
	op, key := a.by(kinds[0])
	t := Task{Object: a.p.Object, Operation: op, Key: key}
	if op == Delete {
		return t, nil
	}
	if a.fields == nil {
		names, err := listed(ctx, a.e, `SELECT DISTINCT "field" FROM `+rowsTable+` WHERE "plan" = ? AND "kind" <> 'delete' ORDER BY "field"`, a.p.ID)
		if err != nil {
			return t, err
		}
		for _, name := range names {
			if name == a.p.Job.ExternalID {
				continue
			}
			f, ok := a.object.called(name)
			if !ok {
				return t, fault.New(fault.Invalid, "plan %s: %s has no field %s any more that the user may see: plan again", a.p.ID, a.p.Object, name)
			}
			a.fields = append(a.fields, f)
		}
	}
	t.Fields = a.fields
	return t, nil
}

func listed(ctx context.Context, e *Engine, q string, args ...any) (out []string, err error) {
	rows, err := e.Warehouse.DB().QueryContext(ctx, q, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, rows.Err()
}

// class is rows that may be in one part: of one task, and as often tried before.
type class struct {
	state   RowState
	attempt int64
	kinds   []Kind
}

// where selects the rows of the class.
func (c class) where(plan string) (string, []any) {
	kinds := `'` + string(c.kinds[0]) + `'`
	if len(c.kinds) > 1 {
		kinds += `, '` + string(c.kinds[1]) + `'`
	}
	q, args := `"plan" = ? AND "state" = ? AND "kind" IN (`+kinds+`)`, []any{plan, string(c.state)}
	if c.attempt == 0 {
		return q + ` AND "part" IS NULL`, args
	}
	return q + ` AND "part" IN (SELECT "part" FROM ` + jobsTable + ` WHERE "plan" = ? AND "attempt" = ? AND "state" <> 'aborted')`, append(args, plan, c.attempt)
}

// nextClass is the rows that wait and were tried least; those that never were in a
// request go first, those that another try may cure last.
func (a *applier) nextClass(ctx context.Context) (c class, ok bool, err error) {
	var k Kind
	err = a.e.Warehouse.DB().QueryRowContext(ctx, `SELECT r."state", coalesce(max(j."attempt"), 0), r."kind" FROM `+rowsTable+` AS r LEFT JOIN `+jobsTable+` AS j ON j."plan" = r."plan" AND j."part" = r."part" AND j."state" <> 'aborted'
 WHERE r."plan" = ? AND r."state" IN ('planned', 'retry') GROUP BY r."state", r."kind", j."attempt" ORDER BY 1, 2, 3 LIMIT 1`, a.p.ID).Scan(&c.state, &c.attempt, &k)
	if err == sql.ErrNoRows {
		return c, false, nil
	}
	c.kinds = a.p.kindsOf(k)
	return c, err == nil, a.e.Warehouse.Explain(err, "rows that wait in plan %s", a.p.ID)
}

// bounds is how much of a class one part takes, and which way it goes.
func (a *applier) bounds(c class) (way string, rows, bytes int64) {
	switch {
	case c.state == RowRetry && c.attempt > 1:
		return wayWrite, serialRows, writeBytes
	case c.state == RowRetry || a.bulk == nil || a.p.Writes() <= cmp.Or(a.e.Bulk, BulkFrom):
		return wayWrite, WriteMax, writeBytes
	}
	return wayBulk, cmp.Or(a.e.Part, partRows), UploadMax
}

// cut makes the next part of a class, nil where nothing is left of it.
func (a *applier) cut(ctx context.Context, c class) (*part, error) {
	way, most, bytes := a.bounds(c)
	t, err := a.task(ctx, c.kinds)
	if err != nil {
		return nil, err
	}
	where, args := c.where(a.p.ID)
	var n, last, chars int64
	err = a.e.Warehouse.DB().QueryRowContext(ctx, `SELECT count(*), coalesce(max("n"), 0), coalesce(sum("chars"), 0) FROM (SELECT "n", sum(coalesce(length("after"), 4)) + max(length("key")) + max(coalesce(length("destination_id"), 0)) AS "chars" FROM `+rowsTable+` WHERE `+where+` GROUP BY "n" ORDER BY "n" LIMIT `+fmt.Sprint(most)+`) AS s`, args...).
		Scan(null[int64]{&n}, null[int64]{&last}, null[int64]{&chars})
	if err != nil || n == 0 {
		return nil, a.e.Warehouse.Explain(err, "next part of plan %s", a.p.ID)
	}
	frame := int64(3 * (len(t.Fields) + 2)) // quotes and commas
	if 4*chars+n*frame > bytes {            // a character is four bytes at most
		if n, last, err = a.measure(ctx, where, args, measured{last: last, bytes: bytes, frame: frame}); err != nil {
			return nil, a.e.Warehouse.Explain(err, "next part of plan %s", a.p.ID)
		}
	}
	p := &part{Attempt: c.attempt + 1, Rows: n, Way: way, State: partPlanned, kinds: c.kinds, looked: true}
	return p, a.write(ctx, a.conn, "cut a part", func(tx *sql.Tx) error {
		if err := tx.QueryRowContext(ctx, `SELECT coalesce(max("part"), 0) + 1 FROM `+jobsTable+` WHERE "plan" = ?`, a.p.ID).Scan(null[int64]{&p.N}); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE `+rowsTable+` SET "part" = ?, "state" = 'sending' WHERE `+where+` AND "n" <= ?`, append(append([]any{p.N}, args...), last)...); err != nil {
			return err
		}
		return a.note(ctx, tx, *p)
	})
}

type measured struct{ last, bytes, frame int64 }

// measure counts the bytes of rows until they are too many for one part. One row
// goes in any case: what it weighs is the destination's to refuse.
func (a *applier) measure(ctx context.Context, where string, args []any, m measured) (n, last int64, err error) {
	rows, err := a.e.Warehouse.DB().QueryContext(ctx, `SELECT "n", "key", "destination_id", "after" FROM `+rowsTable+` WHERE `+where+` AND "n" <= ? ORDER BY "n", "field"`, append(slices.Clone(args), m.last)...)
	if err != nil {
		return 0, 0, err
	}
	defer rows.Close()
	var size, at int64
	for rows.Next() {
		var is int64
		var key, id, after string
		if err := rows.Scan(&is, null[string]{&key}, null[string]{&id}, null[string]{&after}); err != nil {
			return 0, 0, err
		}
		if is != at {
			if at > 0 {
				n, last = n+1, at
			}
			at, size = is, size+m.frame+quotedSize(key)+quotedSize(id)
		}
		if size += quotedSize(after); size > m.bytes && n > 0 {
			return n, last, nil
		}
	}
	return n + 1, at, rows.Err()
}

// quotedSize is a value's bytes where every quote is doubled.
func quotedSize(s string) int64 { return int64(len(s) + strings.Count(s, `"`)) }

// note writes the part's row.
func (a *applier) note(ctx context.Context, tx *sql.Tx, p part) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO `+jobsTable+` ("plan", "part", "attempt", "way", "job", "state", "rows", "sent", "failed", "unprocessed", "created_at", "updated_at") VALUES (?, ?, ?, ?, ?, ?, ?, 0, 0, 0, ?, ?)`,
		a.p.ID, p.N, p.Attempt, p.Way, orNull(p.Job), p.State, p.Rows, a.e.now(), a.e.now())
	return err
}

// mark stores how far the part is.
func (a *applier) mark(ctx context.Context, p *part, state, job string) error {
	err := a.write(ctx, a.conn, "mark a part", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE `+jobsTable+` SET "state" = ?, "job" = ?, "updated_at" = ? WHERE "plan" = ? AND "part" = ? AND "state" <> 'aborted'`, state, orNull(job), a.e.now(), a.p.ID, p.N)
		return err
	})
	if err == nil {
		p.State, p.Job = state, job
	}
	return err
}

// unfinished is the parts that an earlier apply left.
func (a *applier) unfinished(ctx context.Context) (out []*part, err error) {
	rows, err := a.e.Warehouse.DB().QueryContext(ctx, `SELECT j."part", j."attempt", j."way", j."job", j."state", j."rows", min(r."kind") FROM `+jobsTable+` AS j JOIN `+rowsTable+` AS r ON r."plan" = j."plan" AND r."part" = j."part"
 WHERE j."plan" = ? AND j."state" NOT IN ('ended', 'aborted') GROUP BY j."part", j."attempt", j."way", j."job", j."state", j."rows" ORDER BY j."part"`, a.p.ID)
	if err != nil {
		return nil, a.e.Warehouse.Explain(err, "parts of plan %s", a.p.ID)
	}
	defer rows.Close()
	for rows.Next() {
		p, k := &part{}, KindCreate
		if err := rows.Scan(null[int64]{&p.N}, null[int64]{&p.Attempt}, null[string]{&p.Way}, null[string]{&p.Job}, null[string]{&p.State}, null[int64]{&p.Rows}, &k); err != nil {
			return nil, err
		}
		p.kinds = a.p.kindsOf(k)
		out = append(out, p)
	}
	return out, rows.Err()
}

// rows streams the part's rows in the plan's order, a window at a time, so that no
// connection is held while the destination reads.
func (a *applier) rows(ctx context.Context, p *part, t Task) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		var from, last int64
		err := a.e.Warehouse.DB().QueryRowContext(ctx, `SELECT min("n") - 1, max("n") FROM `+rowsTable+` WHERE "plan" = ? AND "part" = ?`, a.p.ID, p.N).Scan(null[int64]{&from}, null[int64]{&last})
		window := int64(changePage)
		if p.Way == wayWrite {
			window = last
		}
		for ; err == nil && from < last; from += window {
			var some []Row
			some, err = a.window(ctx, p, t, [2]int64{from, from + window})
			for _, r := range some {
				if err == nil && !yield(r, nil) {
					return
				}
			}
		}
		if err != nil {
			yield(Row{}, a.e.Warehouse.Explain(err, "rows of part %d of plan %s", p.N, a.p.ID))
		}
	}
}

func (a *applier) window(ctx context.Context, p *part, t Task, n [2]int64) (out []Row, err error) {
	key := "key"
	if t.Key == "Id" {
		key = "destination_id"
	}
	rows, err := a.e.Warehouse.DB().QueryContext(ctx, `SELECT "n", "`+key+`", "kind", "field", "after" FROM `+rowsTable+` WHERE "plan" = ? AND "part" = ? AND "state" = 'sending' AND "n" > ? AND "n" <= ? ORDER BY "n", "field"`, a.p.ID, p.N, n[0], n[1])
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	place := map[string]int{}
	for i, f := range t.Fields {
		place[f.Name] = i
	}
	for last := int64(0); rows.Next(); {
		var is int64
		var k, field string
		var kind Kind
		var after *string
		if err := rows.Scan(null[int64]{&is}, null[string]{&k}, &kind, &field, &after); err != nil {
			return nil, err
		}
		if is != last {
			out, last = append(out, Row{Key: k, Values: make([]Value, len(t.Fields))}), is
		}
		if i, ok := place[field]; ok && (after != nil || kind == KindUpdate) {
			out[len(out)-1].Values[i] = Value{Set: true, Text: after}
		}
	}
	return out, rows.Err()
}
