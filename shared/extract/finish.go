package extract

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/gate"
	"github.com/millrace-data/millrace/shared/part"
	"github.com/millrace-data/millrace/shared/record"
	"github.com/millrace-data/millrace/shared/stage"
	"github.com/millrace-data/millrace/shared/warehouse"
)

// flush closes the open parts at a page boundary and stores the progress. After
// it a crash costs nothing that was read before.
func (o *Out) flush() error {
	if err := o.roll(); err != nil {
		return err
	}
	o.e.point("after_part")
	p := o.snapshot()
	for name, b := range o.beside {
		if p.Beside == nil {
			p.Beside = map[string]progress{}
		}
		p.Beside[name] = b.snapshot()
	}
	body, err := json.Marshal(p)
	if err != nil {
		return err
	}
	row := o.row
	row.Cursor = string(body)
	row.RowsSource, row.RowsStaged, row.RowsRejected, row.Bytes = p.Source, p.Staged, p.Rejected, size(p.Parts)
	if err := o.e.Warehouse.Progress(context.WithoutCancel(o.ctx), row, o.e.lease()); err != nil {
		return err
	}
	o.saved, o.flushed = row.Cursor, time.Now()
	return nil
}

func (o *Out) roll() error {
	for _, b := range o.beside {
		if err := b.roll(); err != nil {
			return err
		}
	}
	if err := o.parts.Roll(); err != nil {
		return fmt.Errorf("stage parts of slice %s: %w", o.s.ID, err)
	}
	if err := o.rejects.Roll(); err != nil {
		return fmt.Errorf("stage rejects of slice %s: %w", o.s.ID, err)
	}
	return nil
}

// snapshot is the progress with what this invocation staged and counted.
func (o *Out) snapshot() progress {
	p := o.p
	p.Beside = nil // the others' own
	p.Parts = append(slices.Clone(p.Parts), staged(o.parts.Parts())...)
	p.Rejects = append(slices.Clone(p.Rejects), staged(o.rejects.Parts())...)
	p.Requests += o.meter.Requests()
	p.Retries += o.meter.Retries()
	d := o.enc.Drift()
	p.New = union(p.New, d.New)
	if !o.enc.Begun() { // nothing was read yet in this invocation, for example while a job was asked after
		return p
	}
	if p.Resumed {
		p.Missing = slices.DeleteFunc(slices.Clone(p.Missing), func(f string) bool { return !slices.Contains(d.Missing, f) })
	} else {
		p.Missing = d.Missing
	}
	p.Resumed = true
	return p
}

func staged(stats []part.Stats) []stage.Part {
	out := make([]stage.Part, len(stats))
	for i, s := range stats {
		out[i] = stage.Part{Key: s.Key, Rows: s.Rows, Bytes: s.Bytes, SHA256: s.SHA256}
	}
	return out
}

func union(a, b []string) []string {
	out := append(slices.Clone(a), b...)
	slices.Sort(out)
	return slices.Compact(out)
}

func size(parts []stage.Part) (n int64) {
	for _, p := range parts {
		n += p.Bytes
	}
	return n
}

// end closes the last parts of a slice that was read to its end.
func (o *Out) end() error {
	if err := o.settle(); err != nil {
		return err
	}
	o.report()
	return o.roll()
}

// close gives up what is still open: after an error the rows since the last
// flush are not kept, because their page may not be whole.
func (o *Out) close() {
	for _, b := range o.beside {
		b.close()
	}
	o.stop()
	o.parts.Abort()
	o.rejects.Abort()
}

// verdict turns what the Source returned into a ledger state. An error that comes
// right after a page boundary costs nothing: what is staged is flushed first.
func (o *Out) verdict(ctx context.Context, err error) (state string, until time.Time, cause error) {
	if err == nil {
		return warehouse.Staged, until, nil
	}
	if errors.Is(err, errUnchanged) {
		return warehouse.Loaded, until, nil
	}
	if o.sincePage == 0 && o.p.Cursor != "" && !errors.Is(err, errContinue) && !errors.Is(err, fault.Corrupt) && !errors.Is(err, fault.Stale) {
		if ferr := o.flush(); ferr != nil {
			err = errors.Join(err, ferr)
		}
	}
	err = fmt.Errorf("%s slice %s: %w", o.t.FullName(), o.s.ID, err)
	switch {
	case errors.Is(err, errContinue):
		return warehouse.Planned, until, nil
	case errors.Is(err, fault.Stale):
		return Stale, until, nil
	case errors.Is(err, fault.Limited):
		until, ok := fault.Until(err)
		if !ok {
			until = time.Now().Add(time.Minute).UTC() // the vendor did not say; a minute is what its sheet's windows have in common
		}
		return warehouse.Paused, until, err
	case ctx.Err() == context.Canceled:
		return warehouse.Planned, until, fmt.Errorf("interrupted; the next run goes on from the last cursor: %w", err)
	case errors.Is(err, context.DeadlineExceeded):
		return o.late(err)
	}
	return warehouse.Failed, until, err
}

// late is a page that did not end before the deadline. With progress in this
// invocation the next one goes on; without any it never would.
func (o *Out) late(err error) (string, time.Time, error) {
	if o.saved != o.row.Cursor {
		return warehouse.Planned, time.Time{}, nil
	}
	return warehouse.Failed, time.Time{}, fault.New(fault.Transient, "no page was complete before the deadline: give the function more time (MILLRACE_DEADLINE): %w", err)
}

// manifest writes the manifest, which is what makes the slice visible to load. out
// is told where that did not go well.
func (o *Out) manifest(ctx context.Context, out *Outcome) error {
	p := o.snapshot()
	m := &stage.Manifest{Version: 1, Table: o.table(), Rules: rules(o.t), Function: o.s.Function, Slice: o.s.ID, Purpose: o.row.Purpose,
		From: o.row.From, To: o.row.To, Source: o.row.Source, Fence: o.row.Fence, Attempt: o.row.Attempt,
		Parts: p.Parts, Rejects: p.Rejects, RowsSource: p.Source, RowsStaged: p.Staged, RowsRejected: p.Rejected, Bytes: size(p.Parts),
		Pages: p.Pages, Requests: p.Requests, Retries: p.Retries, Cursor: p.Vendor, Expected: p.Expected, Sums: p.Sums, Warnings: p.Warnings,
		Drift: stage.Drift{New: p.New, Missing: p.Missing}, CreatedAt: time.Now().UTC()}
	o.e.point("before_manifest")
	dir := stage.Dir(o.s.Function, o.s.Table, o.s.ID, o.row.Fence)
	key, err := o.e.Stage.WriteManifest(ctx, dir, m, o.row.ClaimedAt)
	row := o.row
	if key == "" { // everything was read: the next attempt goes on from the last flush
		row.Cursor = o.saved
		out.State, out.Err = warehouse.Failed, fmt.Errorf("%s slice %s: write the manifest: %w", o.t.FullName(), o.s.ID, err)
		return o.e.Warehouse.End(ctx, row, warehouse.Failed, out.Err)
	}
	o.e.point("after_manifest")
	row.Manifest = key
	serr := o.e.Warehouse.Staged(ctx, row)
	if errors.Is(serr, fault.Stale) {
		out.State = Stale
		return nil
	}
	return errors.Join(err, serr) // visible but not announced: the message comes again and announces it
}

// rules are the table's own and those that every table has. Keys are unique by
// quarantine: of two rows with one key the one read last is the newer.
func rules(t Table) []gate.Rule {
	out := slices.Clone(t.Rules)
	for _, k := range t.Key {
		out = append(out, gate.Require(k))
	}
	if len(t.Key) > 0 && (t.Mode == record.Merge || t.Mode == record.History) {
		out = append(out, gate.Once(t.Key...))
	}
	if !slices.ContainsFunc(out, func(r gate.Rule) bool { return r.Kind == gate.MaxRejects }) {
		out = append(out, gate.FewRejects(100, 50))
	}
	return out
}
