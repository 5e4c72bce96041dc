// Package job brings an export that a vendor queues to its end.
//
// Queuing is the step that must not happen twice: it costs quota and has no
// idempotency key. So the ledger hears of it before and after: first which jobs the
// vendor shows, then, as soon as the vendor has answered, the job's id. Whatever
// happens in between, a crash or an answer that was lost, the next invocation finds
// a job that was not there before, and takes it for its own instead of queuing
// another one. A job that runs is asked after, and the invocation ends: the next one
// asks again, later each time, so that nobody pays for waiting.
//
//	jobs before ─saved─▶ queue ─saved─▶ id ──▶ ask ⟲ later ──▶ done
//
// The package does not know what a job is for, and does not fetch its result.
package job

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/rest"
)

const (
	waitMin  = 500 * time.Millisecond // before a job is asked after again; doubled each time
	waitMax  = time.Minute
	patience = 30 * time.Minute // then the slice is paused: the vendor is stuck, and the job stays queued
	pause    = 30 * time.Minute
	yield    = 2 * time.Second // until it is looked again whether another slice is still in doubt
	doubtMax = 2 * time.Minute // of another slice that keeps others from queuing; then nobody works on it
	lookMax  = 6               // times that a job whose queuing is in doubt is looked for, within 16 s, before another is queued
	soon     = 2 * time.Minute // a vendor that takes a job by then is waited for; else the slice is paused
)

// Queue is a vendor that exports by jobs. None of its methods waits.
type Queue interface {
	// Jobs returns the ids of all jobs that the vendor shows us, of any state.
	Jobs(ctx context.Context) ([]string, error)
	// Post queues one job and returns its id. rest.ErrUnknown: it may be queued.
	// fault.Limited: it is not, and there is no room before the time it names.
	Post(ctx context.Context) (id string, err error)
	// Status asks after a job. fault.NotFound: the vendor does not know it.
	Status(ctx context.Context, id string) (Status, error)
}

// Status is how far a job is.
type Status struct {
	State State
	Why   string // in the vendor's words, where it failed
}

// State is what the vendor says of a job.
type State int

// The states.
const (
	Running State = iota // or waiting for its turn
	Done
	Failed // or cancelled: it will never be done
)

// Saver is where progress is kept: *extract.Out.
type Saver interface {
	Cursor() string
	Save(cursor string) error
	Later(cursor string, wait time.Duration) error
	// Others returns the cursors of the other slices: what they saved, or what they
	// left when they were done, which is to be the id of their job.
	Others() ([]string, error)
}

// progress is what the ledger knows of a job; JSON in the slice's cursor.
type progress struct {
	Before []string  `json:"before,omitempty"` // ids there were when ours was about to be queued
	Asked  time.Time `json:"asked,omitzero"`   // when it was about to be queued; zero: it is not
	Looked int       `json:"looked,omitempty"` // times it was looked for since
	ID     string    `json:"job,omitempty"`
	Polls  int       `json:"polls,omitempty"`
	Since  time.Time `json:"since,omitzero"` // when the waiting, or its last pause, began
}

// Do brings the slice's one job to its end, over as many invocations as that takes,
// and returns its id once it is done. Every error is to be returned by Read
// unchanged: it may be a continuation. A job that failed or was lost is
// fault.Transient, and the next run queues a new one; one that does not end is
// fault.Limited, and stays ours.
func Do(ctx context.Context, out Saver, q Queue) (id string, err error) {
	var p progress
	if c := out.Cursor(); c != "" {
		if err := json.Unmarshal([]byte(c), &p); err != nil {
			return "", fault.New(fault.Invalid, "cursor in the ledger is no job's: run the function again, which reads the slice from its start")
		}
	}
	for p.ID == "" {
		step := p.post
		if !p.Asked.IsZero() {
			step = p.find
		}
		if err := step(ctx, out, q); err != nil {
			return "", err
		}
	}
	return p.await(ctx, out, q)
}

// post queues the job, and says so in the ledger before and after.
func (p *progress) post(ctx context.Context, out Saver, q Queue) error {
	before, err := q.Jobs(ctx)
	if err != nil {
		return err
	}
	*p = progress{Before: before, Asked: time.Now().UTC()}
	if err := out.Save(p.text()); err != nil {
		return err
	}
	// Looked for after that was saved: of two slices that are about to queue at least
	// one sees the other.
	if _, doubt, err := others(out); err != nil || doubt {
		return cmp.Or(err, out.Later("", yield))
	}
	id, err := q.Post(ctx)
	until, _ := fault.Until(err)
	switch {
	case err == nil:
		return p.take(out, id)
	case errors.Is(err, rest.ErrUnknown):
		return nil // to be found
	case !until.IsZero() && time.Until(until) <= soon: // the vendor is busy with jobs of ours
		return out.Later("", time.Until(until))
	}
	return errors.Join(err, out.Save("")) // nothing was queued: forget that we wanted to
}

// others returns the jobs of other slices, which are not ours, and whether one of them
// is in doubt: a job queued now would look like its own.
func others(out Saver) (taken []string, doubt bool, err error) {
	cursors, err := out.Others()
	for _, c := range cursors {
		var p progress
		switch {
		case json.Unmarshal([]byte(c), &p) != nil:
			taken = append(taken, c)
		case p.ID != "":
			taken = append(taken, p.ID)
		default:
			doubt = doubt || time.Since(p.Asked) < doubtMax
		}
	}
	return taken, doubt, err
}

// ID is the job that a cursor names, "" where it names none.
func ID(cursor string) string {
	var p progress
	_ = json.Unmarshal([]byte(cursor), &p) // a cursor that is no job's names none
	return p.ID
}

// take notes the id. The ids before it are of no more use.
func (p *progress) take(out Saver, id string) error {
	*p = progress{ID: id, Asked: p.Asked, Since: time.Now().UTC()}
	return out.Save(p.text())
}

// find looks for a job that was not there when ours was about to be queued. One
// that is not there yet may still appear; after a few looks it never was queued.
func (p *progress) find(ctx context.Context, out Saver, q Queue) error {
	now, err := q.Jobs(ctx)
	if err != nil {
		return err
	}
	taken, _, err := others(out)
	if err != nil {
		return err
	}
	fresh := slices.DeleteFunc(now, func(id string) bool { return id == "" || slices.Contains(p.Before, id) || slices.Contains(taken, id) })
	switch {
	case len(fresh) == 1:
		return p.take(out, fresh[0])
	case len(fresh) > 1:
		return fault.New(fault.Invalid, "a job was queued and its id lost, and %d jobs are new since then (%v): somebody else queues jobs with the same key; cancel those that are not needed, give Millrace a key of its own, and run the function again", len(fresh), fresh)
	}
	if p.Looked++; p.Looked < lookMax {
		return out.Later(p.text(), p.wait(p.Looked))
	}
	*p = progress{}
	return nil
}

// await asks after the job.
func (p *progress) await(ctx context.Context, out Saver, q Queue) (string, error) {
	s, err := q.Status(ctx, p.ID)
	switch {
	case errors.Is(err, fault.NotFound):
		return "", errors.Join(fault.New(fault.Transient, "the vendor lost job %s; the next run queues a new one: %v", p.ID, err), out.Save(""))
	case err != nil:
		return "", err
	case s.State == Done:
		return p.ID, nil
	case s.State == Failed:
		return "", errors.Join(fault.New(fault.Transient, "job %s came to nothing (%s); the next run queues a new one", p.ID, s.Why), out.Save(""))
	}
	if now := time.Now(); now.Sub(p.Since) > patience {
		job := p.ID
		p.Polls, p.Since = 0, now.UTC().Add(pause)
		return "", errors.Join(fault.LimitedUntil(p.Since, "job %s has not ended after %s; it is asked after again then, and no other is queued", job, patience), out.Save(p.text()))
	}
	p.Polls++
	return "", out.Later(p.text(), p.wait(p.Polls))
}

// wait is the n-th wait, from 1 on.
func (p *progress) wait(n int) time.Duration { return min(waitMin<<min(n-1, 10), waitMax) }

func (p progress) text() string {
	b, err := json.Marshal(p)
	if err != nil {
		panic(err) // plain data; cannot fail
	}
	return string(b)
}
