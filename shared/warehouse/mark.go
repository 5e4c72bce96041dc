package warehouse

import (
	"context"
	"database/sql"
	"time"

	"github.com/millrace-data/millrace/shared/span"
)

// remark derives the mark of l's table from the committed slices and their open
// rejects, and stores it. Windows: the end of the contiguous prefix from where the
// live slices begin, but no further than the start of a window that holds. Scans:
// the start of the newest one that does not hold, with the cursor that the newest of
// all left: rejects are kept here, so reading them again would bring nothing.
// Objects have none.
//
// A slice holds while a row of it is missing: an open reject, unless pass says that
// the table does without, or it was rejected because another row of its key won.
func remark(ctx context.Context, tx *sql.Tx, l Slice, pass bool, now time.Time) (m Mark, err error) {
	held := map[string]bool{}
	if !pass {
		if held, err = holding(ctx, tx, l.Function, l.Table); err != nil {
			return m, err
		}
	}
	rows, err := tx.QueryContext(ctx, `SELECT "slice", "purpose", "range_from", "range_to", "loaded_at", "vendor_cursor" FROM `+slicesTable+
		` WHERE "function" = ? AND "table_name" = ? AND "range_to" IS NOT NULL AND "purpose" <> 'resync' ORDER BY "range_to", "loaded_at"`, l.Function, l.Table)
	if err != nil {
		return m, err
	}
	defer rows.Close()
	var p prefix
	for rows.Next() {
		var r Slice
		if err := rows.Scan(text{&r.ID}, text{&r.Purpose}, at{&r.From}, at{&r.To}, at{&r.LoadedAt}, text{&r.VendorCursor}); err != nil {
			return m, err
		}
		p.add(r, held[r.ID])
	}
	if err := rows.Err(); err != nil {
		return m, err
	}
	m = p.mark()
	return m, setMark(ctx, tx, l, m, now)
}

// remark sets the mark of the staging's table. What was computed is as far as its
// inputs were, which may be less far than before: its slice says it.
func (s *Staging) remark(ctx context.Context, tx *sql.Tx, res Result) (m Mark, err error) {
	switch {
	case s.l.Computed == nil:
		return remark(ctx, tx, s.l.Slice, s.l.Table.Pass, s.l.Now)
	case res.Slice.State == Loaded && !res.Again:
		m.At = s.l.Slice.To
		return m, setMark(ctx, tx, s.l.Slice, m, s.l.Now)
	}
	return markRow(ctx, tx, s.l.Slice.Function, s.l.Slice.Table)
}

func setMark(ctx context.Context, tx *sql.Tx, l Slice, m Mark, now time.Time) error {
	res, err := tx.ExecContext(ctx, `UPDATE "millrace"."marks" SET "mark" = ?, "cursor" = ?, "updated_at" = ? WHERE "function" = ? AND "table_name" = ?`,
		nullTime(m.At), nullText(m.Cursor), now, l.Function, l.Table)
	if err = one(res, err, errNone); err == errNone {
		_, err = tx.ExecContext(ctx, `INSERT INTO "millrace"."marks" ("function", "table_name", "mark", "cursor", "updated_at") VALUES (?, ?, ?, ?, ?)`, l.Function, l.Table, nullTime(m.At), nullText(m.Cursor), now)
	}
	return err
}

// Holds is the condition, over millrace.rejects, of a reject that holds its slice's
// mark: it is open, and no newer row of its key took its place.
const Holds = `"state" = 'open' AND "rule" NOT LIKE 'unique:%'`

// holding is the slices that hold the mark.
func holding(ctx context.Context, tx *sql.Tx, function, table string) (map[string]bool, error) {
	rows, err := tx.QueryContext(ctx, `SELECT DISTINCT "slice" FROM "millrace"."rejects" WHERE "function" = ? AND "table_name" = ? AND `+Holds, function, table)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	held := map[string]bool{}
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		held[id] = true
	}
	return held, rows.Err()
}

// prefix collects slices, oldest end first, into a mark.
type prefix struct {
	base, scan    time.Time
	cursor        string
	covered, held []span.Span
}

func (p *prefix) add(r Slice, held bool) {
	if r.window() && r.Purpose == "live" && (p.base.IsZero() || r.From.Before(p.base)) {
		p.base = r.From
	}
	switch {
	case r.LoadedAt.IsZero():
	case r.window():
		p.covered = append(p.covered, span.Span{From: r.From, To: r.To})
		if held {
			p.held = append(p.held, span.Span{From: r.From, To: r.To})
		}
	default:
		if !held {
			p.scan = r.To
		}
		if r.VendorCursor != "" {
			p.cursor = r.VendorCursor
		}
	}
}

func (p *prefix) mark() Mark {
	m := Mark{At: p.scan, Cursor: p.cursor}
	if p.base.IsZero() {
		return m
	}
	m.At = span.Prefix(p.base, p.covered)
	for _, h := range p.held { // what a backfill left before the base holds nothing
		if h.To.After(p.base) && h.From.Before(m.At) {
			m.At = h.From
		}
	}
	if !m.At.After(p.base) {
		m.At = time.Time{}
	}
	return m
}
