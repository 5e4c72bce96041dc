package reverse

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/millrace-data/millrace/shared/fault"
)

// finish brings a part to its end, from wherever it is: one that was cut just now,
// or one that a worker left who died. What a part's state says is all there is to
// know:
//
//	planned             nothing was asked: create a job, or write
//	open                a job, uploaded to or not, that was not started: look, and if it
//	                    still waits, abort it and begin with another one
//	closed              a job that was started: wait for its end, and read its results
//	sending             a request whose outcome nobody knows: look at the records
//
// The same way is taken where the destination's answer is lost on the way.
func (a *applier) finish(ctx context.Context, p *part) error {
	const tries = 5 // at what may pass
	for try := 0; p.State != partEnded; {
		err := a.step(ctx, p)
		if err == nil {
			continue
		}
		if try++; try == tries || !fault.Retryable(err) {
			return err
		}
		a.e.Log.Warn("sync part is tried again", "plan", a.p.ID, "part", p.N, "error", err.Error())
		if err := a.wait(ctx, a.poll()<<try); err != nil {
			return err
		}
	}
	a.e.point("after_commit")
	a.e.progress(a.done[RowSent]+a.done[RowFailed]+a.done[RowUnprocessed], a.p.Writes())
	return nil
}

// step does what the part's state asks for.
func (a *applier) step(ctx context.Context, p *part) error {
	switch {
	case p.Way == wayWrite && p.State == partPlanned:
		return a.send(ctx, p)
	case p.Way == wayWrite:
		return a.unknown(ctx, p)
	case p.State == partPlanned:
		return a.create(ctx, p)
	case p.State == partOpen && p.fresh:
		return a.upload(ctx, p)
	case p.State == partOpen:
		return a.found(ctx, p)
	}
	return a.await(ctx, p)
}

// ready makes sure that a part can be sent: that there is room for requests and,
// where an earlier apply cut it, that its records are still as they were. It reports
// whether any row of it is left.
func (a *applier) ready(ctx context.Context, p *part) (bool, error) {
	if err := a.room(ctx); err != nil || p.looked {
		return true, err
	}
	moved, err := a.moved(ctx, `r."part" = ? AND r."state" = 'sending'`, p.N)
	if err == nil && moved > 0 {
		err = a.leaveOut(ctx)
	}
	if err != nil {
		return false, err
	}
	p.looked = true
	var n int64
	err = a.e.Warehouse.DB().QueryRowContext(ctx, `SELECT count(*) FROM `+rowsTable+` WHERE "plan" = ? AND "part" = ? AND "state" = 'sending'`, a.p.ID, p.N).Scan(null[int64]{&n})
	return n > 0, a.e.Warehouse.Explain(err, "rows of part %d of plan %s", p.N, a.p.ID)
}

// send writes a part in one request.
func (a *applier) send(ctx context.Context, p *part) error {
	if some, err := a.ready(ctx, p); err != nil || !some {
		if err == nil {
			err = a.settle(ctx, p, none)
		}
		return err
	}
	t, err := a.task(ctx, p.kinds)
	if err != nil {
		return err
	}
	var rows []Row
	for r, err := range a.rows(ctx, p, t) {
		if err != nil {
			return err
		}
		rows = append(rows, r)
	}
	if err := a.mark(ctx, p, partSending, ""); err != nil {
		return err
	}
	results, err := a.d.Write(ctx, t, rows)
	switch {
	case err == nil:
		a.e.point("after_write")
		return a.settle(ctx, p, slices.Values(results))
	case errors.Is(err, fault.Invalid):
		return a.refuse(ctx, p, err)
	case errors.Is(err, fault.Limited), errors.Is(err, fault.Auth): // nothing was done
		return errors.Join(err, a.mark(context.WithoutCancel(ctx), p, partPlanned, ""))
	}
	return fmt.Errorf("write part %d of plan %s: %w", p.N, a.p.ID, err)
}

// create makes a job for the part, and stores its id before anything else.
func (a *applier) create(ctx context.Context, p *part) error {
	if a.bulk == nil {
		return fault.New(fault.Invalid, "part %d of plan %s is for a bulk job, and the destination has none", p.N, a.p.ID)
	}
	if some, err := a.ready(ctx, p); err != nil || !some {
		if err == nil {
			err = a.settle(ctx, p, none)
		}
		return err
	}
	t, err := a.task(ctx, p.kinds)
	if err != nil {
		return err
	}
	job, err := a.bulk.Create(ctx, t)
	if errors.Is(err, fault.Invalid) {
		return a.refuse(ctx, p, err)
	}
	if err != nil {
		return fmt.Errorf("create a job for part %d of plan %s: %w", p.N, a.p.ID, err)
	}
	a.e.point("before_job_stored")
	if err := a.mark(ctx, p, partOpen, job); err != nil {
		return err
	}
	p.fresh = true
	a.e.point("after_job_created")
	return nil
}

// upload sends the part's rows, once, and starts the job.
func (a *applier) upload(ctx context.Context, p *part) error {
	p.fresh = false // whatever comes of it
	t, err := a.task(ctx, p.kinds)
	if err != nil {
		return err
	}
	if err := a.bulk.Upload(ctx, p.Job, t, a.rows(ctx, p, t)); err != nil {
		return a.doubt(p, err, "upload")
	}
	a.e.point("after_put")
	if err := a.renew(ctx); err != nil { // an upload takes its time: is the plan still ours?
		return err
	}
	if err := a.bulk.End(ctx, p.Job, Closed); err != nil {
		return a.doubt(p, err, "start")
	}
	a.e.point("after_close")
	return a.mark(ctx, p, partClosed, p.Job)
}

// doubt keeps why a job was refused, for found to give it up.
func (a *applier) doubt(p *part, err error, what string) error {
	err = fmt.Errorf("%s of job %s, part %d of plan %s: %w", what, p.Job, p.N, a.p.ID, err)
	if errors.Is(err, fault.Invalid) || errors.Is(err, fault.NotFound) {
		p.refused = err
		return nil // look at the job
	}
	return err
}

// found deals with a job that may have been uploaded to, and may have been started.
func (a *applier) found(ctx context.Context, p *part) error {
	b, err := a.bulk.Look(ctx, p.Job)
	switch {
	case errors.Is(err, fault.NotFound):
		return a.unknown(ctx, p)
	case err != nil:
		return fmt.Errorf("look at job %s, part %d of plan %s: %w", p.Job, p.N, a.p.ID, err)
	case b.State == Aborted && b.Processed == 0:
		return a.restart(ctx, p)
	case b.State != Open:
		return a.mark(ctx, p, partClosed, p.Job)
	}
	if err := a.bulk.End(ctx, p.Job, Aborted); err != nil {
		if errors.Is(err, fault.Invalid) || errors.Is(err, fault.NotFound) { // somebody was faster
			err = fault.New(fault.Transient, "%v", err)
		}
		return fmt.Errorf("abort job %s, part %d of plan %s: %w", p.Job, p.N, a.p.ID, err)
	}
	return a.restart(ctx, p)
}

// restart begins the part again with another job: the one it had wrote nothing.
func (a *applier) restart(ctx context.Context, p *part) error {
	if p.refused != nil {
		return a.refuse(ctx, p, p.refused)
	}
	old := *p
	old.State, old.Rows = partAborted, 0
	err := a.write(ctx, a.conn, "begin a part again", func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM `+jobsTable+` WHERE "plan" = ? AND "job" = ? AND "state" = 'aborted'`, a.p.ID, p.Job); err != nil {
			return err
		}
		if err := a.note(ctx, tx, old); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `UPDATE `+jobsTable+` SET "state" = 'planned', "job" = NULL, "updated_at" = ? WHERE "plan" = ? AND "part" = ? AND "state" <> 'aborted'`, a.e.now(), a.p.ID, p.N)
		return err
	})
	if err == nil {
		p.State, p.Job = partPlanned, ""
	}
	return err
}

// await waits for the job's end and reads its results.
func (a *applier) await(ctx context.Context, p *part) error {
	const deaf = 5 // answers in a row that may be missing: the job goes on without us
	failed := 0
	for every := a.poll(); ; every = every * 3 / 2 {
		b, err := a.bulk.Look(ctx, p.Job)
		switch {
		case err == nil && b.State.Ended():
			p.job = b
			return a.results(ctx, p)
		case err == nil:
			failed = 0
		case errors.Is(err, fault.NotFound):
			return a.unknown(ctx, p)
		default:
			if failed++; failed == deaf || !fault.Retryable(err) {
				return fmt.Errorf("look at job %s, part %d of plan %s: %w", p.Job, p.N, a.p.ID, err)
			}
		}
		if err := a.wait(ctx, min(every, time.Minute)); err != nil {
			return err
		}
	}
}

// results reads what became of the rows; where that is gone, it looks at the records.
func (a *applier) results(ctx context.Context, p *part) error {
	t, err := a.task(ctx, p.kinds)
	if err != nil {
		return err
	}
	var broken error
	rs := func(yield func(Result) bool) {
		for r, err := range a.bulk.Results(ctx, p.Job, t) {
			if err != nil {
				broken = fmt.Errorf("results of job %s, part %d of plan %s: %w", p.Job, p.N, a.p.ID, err)
				return
			}
			if r.State == RowUnprocessed && r.Message == "" {
				r.Message = unattempted + p.job.Message
			}
			if !yield(r) {
				return
			}
		}
	}
	err = a.settle(ctx, p, rs, &broken)
	if errors.Is(broken, fault.NotFound) {
		return a.unknown(ctx, p)
	}
	return err
}

const unattempted = "the job ended before its turn: "

// unknown finds out what became of a part whose outcome no answer tells: rows whose
// records hold our values were sent; those whose records stand as before were not,
// and go again; of all others nobody can say, and they do not.
func (a *applier) unknown(ctx context.Context, p *part) error {
	l := looking{e: a.e, d: a.d, conn: a.conn, p: a.p, object: a.object, byKey: KindCreate, where: `r."part" = ? AND r."state" = 'sending'`, args: []any{p.N}}
	if err := l.look(ctx); err != nil {
		return err
	}
	again := RowPlanned
	if p.Attempt >= rowTries {
		again = RowUnprocessed
	}
	err := a.outcome(ctx, `SELECT "n", "kind", CASE WHEN "after" = 1 THEN 'sent' WHEN "before" = 1 THEN CAST(? AS VARCHAR) ELSE 'unprocessed' END, "id", NULL,
 CASE WHEN "after" = 1 THEN NULL WHEN "before" = 1 THEN CAST(? AS VARCHAR) ELSE CAST(? AS VARCHAR) END FROM `+seenTable,
		string(again), "the destination did not answer, and the record is as it was", "the destination did not answer, and the record is neither as it was nor as it was to be")
	if err != nil {
		return a.e.Warehouse.Explain(err, "outcome of part %d of plan %s", p.N, a.p.ID)
	}
	return a.commit(ctx, p)
}

// refuse ends the rows of a part that the destination does not take as a whole.
func (a *applier) refuse(ctx context.Context, p *part, why error) error {
	err := a.outcome(ctx, `SELECT "n", max("kind"), 'unprocessed', NULL, NULL, CAST(? AS VARCHAR) FROM `+rowsTable+` WHERE "plan" = ? AND "part" = ? AND "state" = 'sending' GROUP BY "n"`,
		why.Error(), a.p.ID, p.N)
	if err != nil {
		return a.e.Warehouse.Explain(err, "outcome of part %d of plan %s", p.N, a.p.ID)
	}
	return a.commit(ctx, p)
}
