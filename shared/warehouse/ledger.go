package warehouse

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/millrace-data/millrace/shared/fault"
)

// The states of a slice.
const (
	Planned    = "planned"    // due, or waiting for its continuation
	Extracting = "extracting" // claimed by a worker
	Staged     = "staged"     // its manifest is written
	Loaded     = "loaded"     // committed
	Refused    = "refused"    // the gate said no; nothing was loaded
	Paused     = "paused"     // the vendor's quota is used up until paused_until
	Failed     = "failed"     // see error; the next run tries again
)

// Slice is a row of millrace.slices. LoadedAt is set by the first commit and
// stays: a slice that is being read again is still covered.
type Slice struct {
	Function, Table, ID string
	Purpose             string // live, backfill or resync
	Source              string // object name and etag, of slices that are objects
	From, To            time.Time
	State               string
	Fence               int64
	Owner               string
	LeaseUntil          time.Time
	Attempt             int64
	Cursor              string // how far extract is, in extract's own words
	VendorCursor        string // the vendor's cursor that a committed scan left
	Manifest, Digest    string
	RowsSource          int64 // read from the vendor
	RowsStaged          int64 // in parts, less those the gate quarantined
	RowsRejected        int64
	RowsLoaded          int64
	Bytes               int64 // compressed parts
	ErrorKind, Error    string
	Until               time.Time // paused until
	PlannedAt, ClaimedAt, StagedAt, LoadedAt,
	UpdatedAt time.Time
}

// window reports whether the slice is a window of time.
func (s Slice) window() bool { return !s.From.IsZero() && s.From.Before(s.To) }

const sliceColumns = `"function", "table_name", "slice", "purpose", "source", "range_from", "range_to", "state", "fence", "owner",
 "lease_until", "attempt", "cursor", "vendor_cursor", "manifest", "digest", "rows_source", "rows_staged", "rows_rejected", "rows_loaded", "bytes",
 "error_kind", "error", "paused_until", "planned_at", "claimed_at", "staged_at", "loaded_at", "updated_at"`

const (
	slicesTable = `"millrace"."slices"`
	bySlice     = ` WHERE "function" = ? AND "table_name" = ? AND "slice" = ?`
)

func (s *Slice) scan(row interface{ Scan(...any) error }) error {
	return row.Scan(text{&s.Function}, text{&s.Table}, text{&s.ID}, text{&s.Purpose}, text{&s.Source}, at{&s.From}, at{&s.To},
		text{&s.State}, whole{&s.Fence}, text{&s.Owner}, at{&s.LeaseUntil}, whole{&s.Attempt}, text{&s.Cursor}, text{&s.VendorCursor},
		text{&s.Manifest}, text{&s.Digest}, whole{&s.RowsSource}, whole{&s.RowsStaged}, whole{&s.RowsRejected}, whole{&s.RowsLoaded}, whole{&s.Bytes},
		text{&s.ErrorKind}, text{&s.Error}, at{&s.Until}, at{&s.PlannedAt}, at{&s.ClaimedAt}, at{&s.StagedAt}, at{&s.LoadedAt}, at{&s.UpdatedAt})
}

// Plan adds the slices that the ledger does not know, in state planned. Slices it
// knows keep their row: what a live slice owes stays owed when a backfill asks
// for the same window.
func (w *Warehouse) Plan(ctx context.Context, plan []Slice) error {
	if len(plan) == 0 {
		return nil
	}
	return w.short(ctx, "plan slices", func(tx *sql.Tx) error {
		if err := w.queue(ctx, tx); err != nil {
			return err
		}
		known, err := knownSlices(ctx, tx, plan)
		if err != nil {
			return err
		}
		now, rows := time.Now().UTC(), [][]any{}
		for _, s := range plan {
			if id := [3]string{s.Function, s.Table, s.ID}; !known[id] {
				known[id] = true
				rows = append(rows, []any{s.Function, s.Table, s.ID, s.Purpose, nullText(s.Source), nullTime(s.From), nullTime(s.To), Planned, 0, 0, now, now})
			}
		}
		return insertRows(ctx, tx, slicesTable, []string{"function", "table_name", "slice", "purpose", "source", "range_from", "range_to", "state", "fence", "attempt", "planned_at", "updated_at"}, rows)
	})
}

// knownSlices is the ids, with function and table, of the slices that the ledger
// has of the tables at hand.
func knownSlices(ctx context.Context, tx *sql.Tx, plan []Slice) (map[[3]string]bool, error) {
	known, asked := map[[3]string]bool{}, map[[2]string]bool{}
	for _, s := range plan {
		if of := [2]string{s.Function, s.Table}; !asked[of] {
			asked[of] = true
			if err := addKnown(ctx, tx, known, of); err != nil {
				return nil, err
			}
		}
	}
	return known, nil
}

func addKnown(ctx context.Context, tx *sql.Tx, known map[[3]string]bool, of [2]string) error {
	rows, err := tx.QueryContext(ctx, `SELECT "slice" FROM `+slicesTable+` WHERE "function" = ? AND "table_name" = ?`, of[0], of[1])
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return err
		}
		known[[3]string{of[0], of[1], id}] = true
	}
	return rows.Err()
}

// insertRows inserts few rows in as few statements as can be: each is a way to the
// server and back while others wait.
func insertRows(ctx context.Context, on execer, table string, cols []string, rows [][]any) error {
	one := "(" + strings.TrimSuffix(strings.Repeat("?, ", len(cols)), ", ") + ")"
	for some := range slices.Chunk(rows, 200) {
		_, err := on.ExecContext(ctx, fmt.Sprintf("INSERT INTO %s (%s) VALUES %s", table, strings.Join(quoteAll(cols), ", "), strings.TrimSuffix(strings.Repeat(one+", ", len(some)), ", ")), join(some...)...)
		if err != nil {
			return err
		}
	}
	return nil
}

// Slices returns the ledger rows of a function, or of one of its tables, oldest
// window first.
func (w *Warehouse) Slices(ctx context.Context, function, table string) ([]Slice, error) {
	out, err := slicesOf(ctx, w.db, function, table)
	return out, w.fail(err, "slices of %s", function)
}

type rowsQuerier interface {
	QueryContext(ctx context.Context, q string, args ...any) (*sql.Rows, error)
}

func slicesOf(ctx context.Context, on rowsQuerier, function, table string) (out []Slice, err error) {
	rows, err := on.QueryContext(ctx, `SELECT `+sliceColumns+` FROM `+slicesTable+
		` WHERE "function" = ? AND (? = '' OR "table_name" = ?) ORDER BY "table_name", "range_from", "slice"`, function, table, table)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var s Slice
		if err := s.scan(rows); err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, rows.Err()
}

// Slice returns one ledger row, or fault.NotFound.
func (w *Warehouse) Slice(ctx context.Context, function, table, id string) (Slice, error) {
	s, err := sliceRow(ctx, w.db, function, table, id)
	if err == sql.ErrNoRows {
		return s, fault.New(fault.NotFound, "slice %s of %s.%s is not in the ledger", id, function, table)
	}
	return s, w.fail(err, "slice %s of %s.%s", id, function, table)
}

type querier interface {
	QueryRowContext(ctx context.Context, q string, args ...any) *sql.Row
}

func sliceRow(ctx context.Context, q querier, function, table, id string) (s Slice, err error) {
	return s, s.scan(q.QueryRowContext(ctx, `SELECT `+sliceColumns+` FROM `+slicesTable+bySlice, function, table, id))
}

// Claim gives the caller the slice under a new fence, for the length of a lease
// on the real clock. While somebody else's lease runs the answer is fault.Stale;
// the fence, not the lease, is what protects the data.
func (w *Warehouse) Claim(ctx context.Context, function, table, id, owner string, lease time.Duration) (s Slice, err error) {
	now, before := time.Now().UTC().Truncate(time.Microsecond), ""
	err = w.short(ctx, "claim slice "+id, func(tx *sql.Tx) error {
		mine := before // a try whose commit got no answer may have been done: then the lease is ours
		before = owner
		res, err := tx.ExecContext(ctx, `UPDATE `+slicesTable+` SET "fence" = "fence" + 1, "attempt" = "attempt" + 1, "state" = 'extracting', "owner" = ?,
 "lease_until" = ?, "claimed_at" = ?, "updated_at" = ?, "error_kind" = NULL, "error" = NULL, "paused_until" = NULL`+bySlice+` AND ("lease_until" IS NULL OR "lease_until" < ? OR ("owner" = ? AND "claimed_at" = ?))`,
			owner, now.Add(lease), now, now, function, table, id, now, mine, now)
		if err := one(res, err, fault.New(fault.Stale, "slice %s of %s.%s is being read by another worker", id, function, table)); err != nil {
			return err
		}
		s, err = sliceRow(ctx, tx, function, table, id)
		return err
	})
	return s, err
}

// Progress stores how far the holder of the fence is and renews its lease.
func (w *Warehouse) Progress(ctx context.Context, s Slice, lease time.Duration) error {
	return w.held(ctx, s, `"cursor" = ?, "lease_until" = ?, "rows_source" = ?, "rows_staged" = ?, "rows_rejected" = ?, "bytes" = ?`,
		s.Cursor, time.Now().UTC().Add(lease), s.RowsSource, s.RowsStaged, s.RowsRejected, s.Bytes)
}

// Staged records that the slice's manifest is written, and ends the lease. Where
// the arrival was faster and the slice is loaded by now, nothing changes.
func (w *Warehouse) Staged(ctx context.Context, s Slice) error {
	return w.held(ctx, s, `"state" = CASE WHEN "state" = 'extracting' THEN 'staged' ELSE "state" END, "cursor" = NULL, "lease_until" = NULL, "manifest" = ?, "staged_at" = ?`,
		s.Manifest, time.Now().UTC())
}

// End gives the slice back in a state other than loaded, with the reason.
// Planned keeps the cursor for a continuation; so does paused.
func (w *Warehouse) End(ctx context.Context, s Slice, state string, cause error) error {
	return w.held(ctx, s, `"state" = ?, "lease_until" = NULL, "cursor" = ?, "error_kind" = ?, "error" = ?, "paused_until" = ?`,
		state, nullText(s.Cursor), nullText(kindName(cause)), nullText(message(cause)), nullTime(s.Until))
}

// held updates a slice's row if the caller's fence is still the newest.
func (w *Warehouse) held(ctx context.Context, s Slice, set string, args ...any) error {
	return w.short(ctx, "slice "+s.ID, func(tx *sql.Tx) error {
		args := append(append([]any{}, args...), time.Now().UTC(), s.Function, s.Table, s.ID, s.Fence)
		res, err := tx.ExecContext(ctx, `UPDATE `+slicesTable+` SET `+set+`, "updated_at" = ?`+bySlice+` AND "fence" = ?`, args...)
		return one(res, err, stale(s))
	})
}

func stale(s Slice) error {
	return fault.New(fault.Stale, "slice %s of %s.%s: a newer fence than %d was given out", s.ID, s.Function, s.Table, s.Fence)
}

// one returns none unless exactly one row was changed.
func one(res sql.Result, err, none error) error {
	if err != nil {
		return err
	}
	n, err := res.RowsAffected()
	if err == nil && n != 1 {
		return none
	}
	return err
}

// Mark is how far a table is: the end of the contiguous prefix of committed
// slices, and the vendor's cursor where one exists.
type Mark struct {
	At     time.Time
	Cursor string
}

// Mark returns the table's mark, zero where nothing is committed yet.
func (w *Warehouse) Mark(ctx context.Context, function, table string) (Mark, error) {
	m, err := markRow(ctx, w.db, function, table)
	return m, w.fail(err, "mark of %s.%s", function, table)
}

func markRow(ctx context.Context, q querier, function, table string) (m Mark, err error) {
	err = q.QueryRowContext(ctx, `SELECT "mark", "cursor" FROM "millrace"."marks" WHERE "function" = ? AND "table_name" = ?`, function, table).Scan(at{&m.At}, text{&m.Cursor})
	if err == sql.ErrNoRows {
		return Mark{}, nil
	}
	return m, err
}

// Run is one invocation, a row of millrace.runs.
type Run struct {
	ID, Function, Step, Table, Slice, Outcome string
	Fence, Rows, Bytes                        int64
	Pages, Requests, Retries, QuotaLeft       int64
	StartedAt                                 time.Time
	TookMS                                    int64
	ErrorKind, Error                          string
}

// RecordRun adds one invocation to millrace.runs.
func (w *Warehouse) RecordRun(ctx context.Context, r Run) error {
	return w.short(ctx, "record run", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO "millrace"."runs" ("run", "function", "step", "table_name", "slice", "fence", "outcome", "rows", "bytes", "pages", "requests", "retries", "quota_left", "started_at", "took_ms", "error_kind", "error")
 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			r.ID, r.Function, r.Step, r.Table, r.Slice, r.Fence, r.Outcome, r.Rows, r.Bytes, r.Pages, r.Requests, r.Retries, r.QuotaLeft, r.StartedAt.UTC(), r.TookMS, nullText(r.ErrorKind), nullText(r.Error))
		return err
	})
}

// ByManifest returns the ledger row whose newest attempt wrote the manifest key,
// or fault.NotFound.
func (w *Warehouse) ByManifest(ctx context.Context, key string) (s Slice, err error) {
	err = s.scan(w.db.QueryRowContext(ctx, `SELECT `+sliceColumns+` FROM `+slicesTable+` WHERE "manifest" = ?`, key))
	if err == sql.ErrNoRows {
		return s, fault.New(fault.NotFound, "no slice has the manifest %s", key)
	}
	return s, w.fail(err, "slice of manifest %s", key)
}
