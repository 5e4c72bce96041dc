// Package load is the second hop: it takes a manifest that arrived in the stage,
// checks everything that can be checked, and commits the slice in one transaction.
//
// One load engine serves all connectors, because a manifest says all there is to
// say: table, columns, key, load mode, rules, parts with digests, totals. The
// order is: newest fence? parts intact? gate; then one commit of rows, rejects,
// checks, ledger, mark; then the message "loaded". An event that comes again finds
// the slice committed and only publishes again; one of an older attempt stops
// quietly. Nothing is listed, nothing is guessed, no row is touched outside the
// transaction.
package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/millrace-data/millrace/shared/chain"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/gate"
	"github.com/millrace-data/millrace/shared/stage"
	"github.com/millrace-data/millrace/shared/warehouse"
)

// Engine loads slices. All fields but Point are required.
type Engine struct {
	Warehouse *warehouse.Warehouse
	Stage     *stage.Store
	Chain     chain.Publisher
	Log       *slog.Logger
	Now       func() time.Time
	Point     func(name string) // crash points of the tests: in_tx_before_data, in_tx_before_fence, after_commit_before_publish
}

// Outcome is how a manifest ended.
type Outcome struct {
	Function, Table, Slice string
	State                  string // loaded, refused, failed, or stale: a newer attempt is on its way
	Rows, Rejected         int64  // loaded rows, rejected rows
	Mark                   time.Time
	Again                  bool  // it was committed before; only the message was published again
	Err                    error // why it was refused or failed; recorded in the ledger already
}

// Loaded is the body of the message that follows a commit.
type Loaded struct {
	Function string    `json:"function"`
	Table    string    `json:"table"` // schema.table
	Slice    string    `json:"slice"`
	Rows     int64     `json:"rows"`
	Mark     time.Time `json:"mark,omitzero"`
}

// Stale is the state of an Outcome whose manifest a newer attempt has overtaken.
const Stale = "stale"

// Handle loads the manifest stored under key. event is the id of the event that
// brought it, "" by hand. An error means that nothing is decided and the event
// should be delivered again; everything else is an Outcome.
func (e *Engine) Handle(ctx context.Context, key, event string) (Outcome, error) {
	began := time.Now()
	m, err := e.Stage.ReadManifest(ctx, key)
	if err != nil {
		return e.unreadable(ctx, key, err)
	}
	o := Outcome{Function: m.Function, Table: m.Table.Name, Slice: m.Slice}
	res, err := e.load(ctx, key, event, m)
	switch {
	case err == nil:
		o.State, o.Again, o.Mark = res.Slice.State, res.Again, res.Mark.At
		o.Rows, o.Rejected = res.Slice.RowsLoaded, res.Slice.RowsRejected
		if o.State == warehouse.Refused {
			o.Err = fault.New(fault.Refused, "%s", res.Slice.Error)
		} else {
			e.point("after_commit_before_publish")
			err = e.publish(ctx, m, res)
		}
	case errors.Is(err, fault.Stale):
		o.State, err = Stale, nil
	case fault.Of(err) != fault.Transient:
		o.State, o.Err = warehouse.Failed, err
		err = e.fail(ctx, m, err)
	}
	e.account(ctx, m, o, began, err)
	return o, err
}

// unreadable ends the slice whose manifest is damaged, so that the next run reads
// it anew. The ledger knows which one it is, a moment after the manifest is there.
func (e *Engine) unreadable(ctx context.Context, key string, cause error) (Outcome, error) {
	if fault.Of(cause) == fault.Transient {
		return Outcome{}, cause
	}
	row, err := e.Warehouse.ByManifest(ctx, key)
	if err != nil {
		return Outcome{}, fmt.Errorf("%w; %w", cause, err)
	}
	o := Outcome{Function: row.Function, Table: row.Table, Slice: row.ID, State: warehouse.Failed, Err: cause}
	e.Log.WarnContext(ctx, "manifest not loaded", "manifest", key, "error", cause)
	if row.State != warehouse.Staged {
		o.State = Stale
		return o, nil
	}
	return o, e.Warehouse.End(ctx, row, warehouse.Failed, cause)
}

func (e *Engine) fail(ctx context.Context, m *stage.Manifest, cause error) error {
	err := e.Warehouse.End(ctx, warehouse.Slice{Function: m.Function, Table: m.Table.Name, ID: m.Slice, Fence: m.Fence}, warehouse.Failed, cause)
	if errors.Is(err, fault.Stale) {
		return nil
	}
	return err
}

// load does the work up to and including the commit.
func (e *Engine) load(ctx context.Context, key, event string, m *stage.Manifest) (warehouse.Result, error) {
	row, err := e.Warehouse.Slice(ctx, m.Function, m.Table.Name, m.Slice)
	if err != nil && !errors.Is(err, fault.NotFound) {
		return warehouse.Result{}, err
	}
	if row.Fence > m.Fence {
		return warehouse.Result{}, fault.New(fault.Stale, "a newer attempt is on its way")
	}
	if row.State == warehouse.Loaded && row.Fence == m.Fence && row.Digest == m.Digest {
		mark, err := e.Warehouse.Mark(ctx, m.Function, m.Table.Name)
		return warehouse.Result{Slice: row, Mark: mark, Again: true}, err
	}
	if c := gate.Balance(m.RowsSource, m.RowsStaged, m.RowsRejected); c.Verdict != gate.Pass {
		return warehouse.Result{}, fault.New(fault.Corrupt, "totals do not balance: %s", c.Observed)
	}
	files, rejects, release, err := e.fetch(ctx, m)
	defer release()
	if err != nil {
		return warehouse.Result{}, err
	}
	if _, err := e.Warehouse.Ensure(ctx, m.Table); err != nil {
		return warehouse.Result{}, err
	}
	s, err := e.Warehouse.Stage(ctx, warehouse.Load{Slice: slice(key, m), Table: m.Table, Files: files, Rejects: rejects, Remote: e.Warehouse.Remote(), Event: event,
		New: m.Drift.New, Missing: m.Drift.Missing, Now: e.Now().UTC(), Point: e.Point})
	if err != nil {
		return warehouse.Result{}, err
	}
	defer s.Close()
	checks, refusal, err := Judge(ctx, s, m)
	if err != nil {
		return warehouse.Result{}, err
	}
	if refusal != nil {
		return s.Refuse(ctx, checks, refusal)
	}
	return s.Commit(ctx, checks)
}

func slice(key string, m *stage.Manifest) warehouse.Slice {
	return warehouse.Slice{Function: m.Function, Table: m.Table.Name, ID: m.Slice, Purpose: m.Purpose, Source: m.Source, From: m.From, To: m.To,
		Fence: m.Fence, Attempt: m.Attempt, VendorCursor: m.Cursor, Manifest: key, Digest: m.Digest,
		RowsSource: m.RowsSource, RowsStaged: m.RowsStaged, RowsRejected: m.RowsRejected, Bytes: m.Bytes}
}

// fetch brings every part to a local file and verifies it. A warehouse that reads
// the stage itself is given their keys instead: parts are never overwritten, and
// it counts their rows.
func (e *Engine) fetch(ctx context.Context, m *stage.Manifest) (files, rejects []string, release func(), err error) {
	var held []func()
	release = func() {
		for _, r := range held {
			r()
		}
	}
	get := func(parts []stage.Part) (paths []string, err error) {
		for _, p := range parts {
			if e.Warehouse.Remote() {
				paths = append(paths, p.Key)
				continue
			}
			path, done, err := e.Stage.Fetch(ctx, p)
			if err != nil {
				return nil, err
			}
			held = append(held, done)
			paths = append(paths, path)
		}
		return paths, nil
	}
	if files, err = get(m.Parts); err == nil {
		rejects, err = get(m.Rejects)
	}
	return files, rejects, release, err
}

func (e *Engine) publish(ctx context.Context, m *stage.Manifest, res warehouse.Result) error {
	return Announce(ctx, e.Chain, Loaded{Function: m.Function, Table: m.Table.FullName(), Slice: m.Slice, Rows: res.Slice.RowsLoaded, Mark: res.Mark.At})
}

// Announce tells everybody who follows a table that a slice of it is committed. It
// comes after the commit, and again whenever the slice is found committed.
func Announce(ctx context.Context, to chain.Publisher, l Loaded) error {
	body, err := json.Marshal(l)
	if err != nil {
		return err
	}
	err = to.Publish(ctx, chain.Message{Topic: chain.TopicLoaded, Key: l.Table, Data: body,
		Attributes: map[string]string{"function": l.Function, "table": l.Table, "slice": l.Slice}})
	if err != nil {
		return fmt.Errorf("slice %s of %s is loaded, but saying so failed: %w", l.Slice, l.Table, err)
	}
	return nil
}

func (e *Engine) account(ctx context.Context, m *stage.Manifest, o Outcome, began time.Time, err error) {
	run := warehouse.Run{ID: began.UTC().Format("20060102T150405.000000Z"), Function: m.Function, Step: "load", Table: m.Table.Name, Slice: m.Slice,
		Outcome: o.State, Fence: m.Fence, Rows: o.Rows, Bytes: m.Bytes, QuotaLeft: -1, StartedAt: began, TookMS: time.Since(began).Milliseconds()}
	cause := errors.Join(o.Err, err)
	args := []any{"function", run.Function, "table", run.Table, "slice", run.Slice, "state", run.Outcome, "rows", run.Rows, "rejected", o.Rejected, "took_ms", run.TookMS}
	level := slog.LevelInfo
	if cause != nil {
		run.ErrorKind, run.Error = fault.Of(cause).Error(), cause.Error()
		level, args = slog.LevelWarn, append(args, "error_kind", run.ErrorKind, "error", cause)
	}
	if err := e.Warehouse.RecordRun(context.WithoutCancel(ctx), run); err != nil {
		args = append(args, "run_not_recorded", err)
	}
	e.Log.Log(ctx, level, "load ended", args...)
}

func (e *Engine) point(name string) {
	if e.Point != nil {
		e.Point(name)
	}
}
