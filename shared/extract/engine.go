package extract

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"time"

	"github.com/millrace-data/millrace/shared/chain"
	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/rest"
	"github.com/millrace-data/millrace/shared/stage"
	"github.com/millrace-data/millrace/shared/warehouse"
)

const (
	// leaseDefault is how long a claim keeps others away without a sign of life. A worker
	// shows one at least every flushEvery while pages come; a page with its
	// retries is allowed the rest. The fence protects the data, not the lease.
	leaseDefault = 5 * time.Minute
	// tidyUp is kept free at the end of an invocation: closing a part and writing
	// the ledger must fit in.
	tidyUp = 3 * time.Second
	// turnWait is until a slice looks again whether another of its table is done.
	turnWait = 5 * time.Second
)

// Engine runs functions. All fields but Point and Progress are required.
type Engine struct {
	Warehouse *warehouse.Warehouse
	Stage     *stage.Store
	Chain     chain.Publisher
	Log       *slog.Logger
	Env       env.Lookup
	Scratch   string            // folder for spooled responses
	Owner     string            // who claims: something a person can find, such as host and process
	Point     func(name string) // crash points of the tests: after_page, after_part, before_manifest, after_manifest
	Progress  func(Progress)    // called at page boundaries, from several goroutines

	FlushEvery time.Duration // how much reading a crash may cost; 0 = 20 s
	Lease      time.Duration // how long a worker that gives no sign of life keeps others away; 0 = 5 min

	unreached breakers
}

// Progress is where a slice is, for people who wait.
type Progress struct {
	Function, Table, Slice       string
	Rows, Bytes, Pages, Requests int64
	QuotaLeft                    int64 // requests; -1 = the vendor did not say
}

// Outcome is how one invocation ended for its slice.
type Outcome struct {
	Slice                    Slice
	State                    string    // a ledger state, or "stale"; planned = goes on in the next invocation
	Until                    time.Time // of a pause or a wait; of stale: until when somebody else has the slice
	Rows, Rejected           int64
	Pages, Requests, Retries int64
	Err                      error // why it failed or paused; recorded in the ledger already
}

// Stale is the state of an Outcome whose work somebody else does or has done.
const Stale = "stale"

// Handle reads the slice that a message names. Faults of the vendor are outcomes:
// they are in the ledger, and the next run decides. An error means that the
// outcome could not be recorded; the message should be delivered again.
func (e *Engine) Handle(ctx context.Context, f *Function, m chain.Message) (Outcome, error) {
	var s Slice
	dec := json.NewDecoder(bytes.NewReader(m.Data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&s); err != nil || s.Function != f.Name {
		return Outcome{}, fault.New(fault.Invalid, "message %s is no slice of %s: %v", m.ID, f.Name, err)
	}
	if _, err := f.table(f.Tables, s.Table); err != nil {
		return Outcome{}, err
	}
	o := Outcome{Slice: s, State: Stale}
	if done, err := e.settled(ctx, f, s, &o); done || err != nil {
		return o, err
	}
	row, err := e.Warehouse.Claim(ctx, s.Function, s.Table, s.ID, e.Owner, e.lease())
	if errors.Is(err, fault.Stale) {
		o.Until = e.heldUntil(ctx, s)
		return o, nil
	}
	if err != nil {
		return o, err
	}
	return e.invoke(ctx, f, s, row)
}

// heldUntil is the end of the lease under which somebody else reads the slice, zero
// where nobody does.
func (e *Engine) heldUntil(ctx context.Context, s Slice) time.Time {
	row, err := e.Warehouse.Slice(ctx, s.Function, s.Table, s.ID)
	if err != nil || row.State != warehouse.Extracting {
		return time.Time{}
	}
	return row.LeaseUntil
}

func (e *Engine) lease() time.Duration { return cmp.Or(e.Lease, leaseDefault) }

// settled reports whether there is nothing to read: the wish this message carries
// was fulfilled by an earlier delivery, the manifest is there and only has to be
// announced again, or the vendor's quota is still used up.
func (e *Engine) settled(ctx context.Context, f *Function, s Slice, o *Outcome) (bool, error) {
	row, err := e.Warehouse.Slice(ctx, s.Function, s.Table, s.ID)
	if errors.Is(err, fault.NotFound) { // a message that outlived its ledger, or one made by hand
		return false, e.Warehouse.Plan(ctx, []warehouse.Slice{s.row()})
	}
	if err != nil {
		return false, err
	}
	switch {
	case row.Attempt > s.Attempt && (row.State == warehouse.Loaded || row.State == warehouse.Refused || row.State == warehouse.Failed):
		return true, nil
	case row.State == warehouse.Paused && time.Now().Before(row.Until) && s.Now.Before(row.Until): // a run may be made for a later time
		o.State, o.Until = warehouse.Paused, row.Until
		o.Err = fault.LimitedUntil(row.Until, "%s", row.Error)
		return true, nil
	case row.State == warehouse.Staged:
		err := e.announce(ctx, f, row)
		if errors.Is(err, fault.NotFound) {
			return false, nil // somebody removed it: read again
		}
		o.State = warehouse.Staged
		return err == nil, err
	}
	return false, nil
}

// announce has a manifest arrive again, and those of the tables beside it.
func (e *Engine) announce(ctx context.Context, f *Function, row warehouse.Slice) error {
	err := e.Stage.Announce(ctx, row.Manifest)
	for _, t := range f.Tables {
		if err != nil || t.Beside != row.Table {
			continue
		}
		var b warehouse.Slice
		if b, err = e.Warehouse.Slice(ctx, row.Function, t.Name, row.ID); err == nil && b.State == warehouse.Staged {
			err = e.Stage.Announce(ctx, b.Manifest)
		}
	}
	return err
}

// invoke reads a claimed slice and records how that ended.
func (e *Engine) invoke(ctx context.Context, f *Function, s Slice, row warehouse.Slice) (Outcome, error) {
	began := time.Now()
	in := Invocation{Meter: &rest.Meter{}, Scratch: e.Scratch, Now: s.Now}
	failed := func(cursor string, err error) (Outcome, error) {
		row.Cursor = cursor
		return Outcome{Slice: s, State: warehouse.Failed, Err: err}, e.Warehouse.End(context.WithoutCancel(ctx), row, warehouse.Failed, err)
	}
	src, err := f.Open(e.Env, in)
	if err != nil {
		return failed(row.Cursor, err)
	}
	defer closeSource(src)
	t, err := f.table(f.Chosen(src), s.Table)
	if err != nil {
		return failed(row.Cursor, err)
	}
	if s.Tail && t.TailMode != "" {
		t.Mode = t.TailMode
	}
	out, err := e.open(ctx, t, s, row, in.Meter)
	if err != nil {
		return failed("", err) // else no attempt would ever get further
	}
	defer out.close()
	if err := e.join(ctx, out, beside(f.Chosen(src), t), in.Meter); err != nil {
		return failed(row.Cursor, err)
	}
	e.Log.InfoContext(ctx, "slice started", "function", s.Function, "table", s.Table, "slice", s.ID, "fence", row.Fence)
	o := Outcome{Slice: s}
	read := e.turn(ctx, t, row)
	if read != nil {
		out.wait = turnWait
	} else if read = e.unreached.enter(f.Name); read == nil {
		read = e.read(ctx, src, s, out)
		e.unreached.leave(f.Name, read)
	}
	o.State, o.Until, o.Err = out.verdict(ctx, read)
	err = e.record(context.WithoutCancel(ctx), &o, out)
	o.Rows, o.Rejected, o.Pages = o.Rows+out.p.Staged, o.Rejected+out.p.Rejected, in.Meter.Pages()
	o.Requests, o.Retries = in.Meter.Requests(), in.Meter.Retries()
	e.account(context.WithoutCancel(ctx), o, row.Fence, began, in.Meter)
	return o, err
}

// turn is errContinue while an older claim on the table is alive, where only one
// slice of it may be read at a time. The claim was made before looking, so that of
// two workers at least one sees the other.
func (e *Engine) turn(ctx context.Context, t Table, row warehouse.Slice) error {
	if !t.Alone {
		return nil
	}
	rows, err := e.Warehouse.Slices(ctx, row.Function, row.Table)
	for _, r := range rows {
		older := cmp.Or(r.ClaimedAt.Compare(row.ClaimedAt), cmp.Compare(r.ID, row.ID)) < 0
		if r.ID != row.ID && r.State == warehouse.Extracting && older && time.Now().Before(r.LeaseUntil) {
			return errContinue
		}
	}
	return err
}

// read lets the Source work, with time in hand to tidy up after it.
func (e *Engine) read(ctx context.Context, src Source, s Slice, out *Out) error {
	if d, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, d.Add(-min(tidyUp, time.Until(d)/4)))
		defer cancel()
	}
	out.ctx = ctx
	for _, b := range out.beside {
		b.ctx = ctx
	}
	err := src.Read(ctx, s, out)
	// What became of the last page counts for more than what stopped the next one,
	// where it ends the invocation.
	if last := out.sync(); err == nil || errors.Is(last, errContinue) || errors.Is(last, fault.Stale) {
		err = last
	}
	if err == nil && out.same {
		return errUnchanged
	}
	if err != nil {
		return err
	}
	return out.end()
}

// record writes the outcome: a manifest and state staged, a continuation, or the
// reason why not.
func (e *Engine) record(ctx context.Context, o *Outcome, out *Out) error {
	switch o.State {
	case Stale:
		return nil
	case warehouse.Staged:
		return stopped(o, out.manifests(ctx, o))
	case warehouse.Loaded:
		out.saved = ""
	case warehouse.Planned:
		if out.wait > 0 {
			o.Until = time.Now().Add(out.wait).UTC()
		}
	}
	err := stopped(o, out.giveBack(ctx, *o))
	if err == nil && o.State == warehouse.Planned && o.Err == nil {
		next := o.Slice
		next.Attempt = out.row.Attempt
		err = e.publish(ctx, next, o.Until)
	}
	return err
}

// stopped makes an outcome of the error that somebody holds a newer fence.
func stopped(o *Outcome, err error) error {
	if errors.Is(err, fault.Stale) {
		o.State, o.Err, err = Stale, nil, nil
	}
	return err
}

func (e *Engine) account(ctx context.Context, o Outcome, fence int64, began time.Time, m *rest.Meter) {
	quota := int64(-1)
	if left, _, _, known := m.Quota(); known {
		quota = left
	}
	run := warehouse.Run{ID: began.UTC().Format("20060102T150405.000000Z"), Function: o.Slice.Function, Step: "extract", Table: o.Slice.Table, Slice: o.Slice.ID,
		Outcome: o.State, Fence: fence, Rows: o.Rows, Pages: o.Pages, Requests: o.Requests, Retries: o.Retries, QuotaLeft: quota,
		StartedAt: began, TookMS: time.Since(began).Milliseconds()}
	args := []any{"function", run.Function, "table", run.Table, "slice", run.Slice, "state", run.Outcome, "rows", run.Rows,
		"pages", run.Pages, "requests", run.Requests, "retries", run.Retries, "took_ms", run.TookMS}
	level := slog.LevelInfo
	if o.Err != nil {
		run.ErrorKind, run.Error = fault.Of(o.Err).Error(), o.Err.Error()
		level, args = slog.LevelWarn, append(args, "error", o.Err)
	}
	if err := e.Warehouse.RecordRun(ctx, run); err != nil {
		args = append(args, "run_not_recorded", err)
	}
	e.Log.Log(ctx, level, "slice ended", args...)
}

func closeSource(s Source) {
	if c, ok := s.(io.Closer); ok {
		c.Close()
	}
}

func (e *Engine) point(name string) {
	if e.Point != nil {
		e.Point(name)
	}
}
