package job_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/job"
	"github.com/millrace-data/millrace/shared/rest"
)

var (
	errLater  = errors.New("later")
	errKilled = errors.New("killed")
)

// ledger keeps the cursor, and can be killed at its n-th operation.
type ledger struct {
	cursor string
	wait   time.Duration
	kill   func() bool
	others []string
}

func (l *ledger) Others() ([]string, error) { return l.others, nil }

func (l *ledger) Cursor() string { return l.cursor }

func (l *ledger) Save(c string) error {
	if l.kill != nil && l.kill() {
		return errKilled
	}
	l.cursor = c
	if l.kill != nil && l.kill() {
		return errKilled
	}
	return nil
}

func (l *ledger) Later(c string, wait time.Duration) error {
	l.wait = wait
	return errors.Join(l.Save(c), errLater)
}

// vendor queues jobs; what it does wrong is set by a test.
type vendor struct {
	ids     []string
	polls   map[string]int // how often each was asked after
	slow    int            // polls before a job is done
	post    func(id string) error
	status  func(id string) (job.Status, error)
	hidden  int // looks before a new job is shown
	appears []string
}

func (v *vendor) Jobs(context.Context) ([]string, error) {
	if v.hidden > 0 {
		v.hidden--
		return v.appears, nil
	}
	return slices.Clone(v.ids), nil
}

func (v *vendor) Post(context.Context) (string, error) {
	id := fmt.Sprint("job", len(v.ids)+1)
	if v.post != nil {
		if err := v.post(id); err != nil {
			return "", err
		}
	}
	v.ids = append(v.ids, id)
	return id, nil
}

func (v *vendor) Status(_ context.Context, id string) (job.Status, error) {
	if v.status != nil {
		return v.status(id)
	}
	if v.polls == nil {
		v.polls = map[string]int{}
	}
	if v.polls[id]++; v.polls[id] <= v.slow {
		return job.Status{}, nil
	}
	return job.Status{State: job.Done}, nil
}

// run invokes Do until it does not ask for a continuation.
func run(ctx context.Context, l *ledger, v *vendor) (id string, invocations int, err error) {
	for invocations = 1; invocations < 100; invocations++ {
		if id, err = job.Do(ctx, l, v); !errors.Is(err, errLater) && !errors.Is(err, errKilled) {
			return id, invocations, err
		}
	}
	return id, invocations, err
}

// Polling is by continuation, and waits longer each time.
func TestWaitsInContinuations(t *testing.T) {
	l, v := &ledger{}, &vendor{slow: 9, ids: []string{"of another day"}}
	var last time.Duration
	for i := range 9 {
		if _, err := job.Do(t.Context(), l, v); !errors.Is(err, errLater) {
			t.Fatalf("invocation %d: %v", i, err)
		}
		if l.wait < last || l.wait > time.Minute {
			t.Errorf("invocation %d waits %s after %s", i, l.wait, last)
		}
		last = l.wait
	}
	id, err := job.Do(t.Context(), l, v)
	if err != nil || id != "job2" || len(v.ids) != 2 {
		t.Errorf("got %s, %v, jobs %v", id, err, v.ids)
	}
}

// Killed at every write of the ledger, before or after it: one job is queued.
func TestKilledAnywhere(t *testing.T) {
	for n := 1; ; n++ {
		step := 0
		l := &ledger{kill: func() bool { step++; return step == n }}
		v := &vendor{slow: 2}
		id, _, err := run(t.Context(), l, v)
		if err != nil || id != "job1" || len(v.ids) != 1 {
			t.Fatalf("killed at step %d: %s, %v, jobs %v", n, id, err, v.ids)
		}
		if step < n {
			return
		}
	}
}

// The vendor queued the job and its answer was lost; the job shows up later.
func TestAnswerLost(t *testing.T) {
	for looks := range 5 {
		v := &vendor{}
		v.post = func(id string) error {
			v.ids, v.hidden = append(v.ids, id), looks
			return fmt.Errorf("connection reset: %w", rest.ErrUnknown)
		}
		id, _, err := run(t.Context(), &ledger{}, v)
		if err != nil || id != "job1" || len(v.ids) != 1 {
			t.Errorf("shown after %d looks: %s, %v, jobs %v", looks, id, err, v.ids)
		}
	}
}

// The answer was lost and nothing was queued: after a while another is.
func TestNothingWasQueued(t *testing.T) {
	v := &vendor{}
	v.post = func(string) error { v.post = nil; return rest.ErrUnknown }
	id, invocations, err := run(t.Context(), &ledger{}, v)
	if err != nil || id != "job1" || invocations < 5 {
		t.Errorf("got %s after %d invocations, %v", id, invocations, err)
	}
}

// While one slice looks for its job no other queues one, and what others queued is
// never taken for its own.
func TestOthers(t *testing.T) {
	v := &vendor{}
	v.post = func(id string) error { return errors.Join(errKilled) } // nothing was queued
	first := &ledger{}
	if _, err := job.Do(t.Context(), first, v); !errors.Is(err, errKilled) {
		t.Fatal(err)
	}
	v.post = func(id string) error {
		v.ids = append(v.ids, id)
		return rest.ErrUnknown
	}
	first.kill = func() bool { return len(v.ids) > 0 } // the intention is saved, the job is not
	if _, err := job.Do(t.Context(), first, v); !errors.Is(err, errKilled) {
		t.Fatal(err)
	}
	v.ids, v.post, first.kill = nil, nil, nil // it never reached the vendor
	second := &ledger{others: []string{first.cursor}}
	if _, err := job.Do(t.Context(), second, v); !errors.Is(err, errLater) || second.cursor != "" || len(v.ids) != 0 {
		t.Errorf("while another is in doubt: %v, cursor %q, jobs %v; want to come again, with nothing queued", err, second.cursor, v.ids)
	}
	second.others = []string{"job9"} // done
	if id, err := job.Do(t.Context(), second, v); err != nil || id != "job1" {
		t.Fatalf("got %s, %v", id, err)
	}
	for _, cursor := range []string{second.cursor, job.ID(second.cursor)} { // under way, and done
		l := &ledger{cursor: first.cursor, others: []string{cursor}}
		if id, _, err := run(t.Context(), l, v); err != nil || id == "job1" {
			t.Errorf("the other's cursor is %q: got %s, %v; want a job of its own", cursor, id, err)
		}
	}
}

// Which of two new jobs is ours nobody can know.
func TestTwoNewJobs(t *testing.T) {
	v := &vendor{}
	v.post = func(id string) error {
		v.ids = append(v.ids, id, "another's")
		return rest.ErrUnknown
	}
	_, _, err := run(t.Context(), &ledger{}, v)
	if !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "another's") {
		t.Errorf("got %v", err)
	}
}

func TestEnds(t *testing.T) {
	for name, c := range map[string]struct {
		status job.Status
		err    error
		kind   error
		says   string
	}{
		"failed": {status: job.Status{State: job.Failed, Why: "ABORTED"}, kind: fault.Transient, says: "ABORTED"},
		"lost":   {err: fault.New(fault.NotFound, "no such job"), kind: fault.Transient, says: "lost"},
		"denied": {err: fault.New(fault.Auth, "not yours"), kind: fault.Auth, says: "not yours"},
	} {
		t.Run(name, func(t *testing.T) {
			l, v := &ledger{}, &vendor{}
			v.status = func(string) (job.Status, error) { return c.status, c.err }
			_, _, err := run(t.Context(), l, v)
			if fault.Of(err) != c.kind || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want %v with %q", err, c.kind, c.says)
			}
			v.status = nil
			id, _, err := run(t.Context(), l, v) // the next run
			if want := map[string]string{"failed": "job2", "lost": "job2", "denied": "job1"}[name]; err != nil || id != want {
				t.Errorf("the next run: %s, %v; want %s", id, err, want)
			}
		})
	}
}

// A full queue is waited for; a quota that is used up pauses the slice.
func TestNoRoom(t *testing.T) {
	v := &vendor{}
	v.post = func(string) error {
		v.post = nil
		return fault.LimitedUntil(time.Now().Add(time.Minute), "three jobs run")
	}
	if id, n, err := run(t.Context(), &ledger{}, v); err != nil || id != "job1" || n != 2 {
		t.Errorf("got %s in %d invocations, %v", id, n, err)
	}
	v = &vendor{post: func(string) error { return fault.LimitedUntil(time.Now().Add(time.Hour), "30 exports in 30 days") }}
	if _, _, err := run(t.Context(), &ledger{}, v); !errors.Is(err, fault.Limited) {
		t.Errorf("got %v", err)
	}
}

// A job that does not end pauses the slice and stays ours.
func TestStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, v := &ledger{}, &vendor{slow: 1000}
		var err error
		for began := time.Now(); time.Since(began) < time.Hour; time.Sleep(l.wait) {
			if _, err = job.Do(t.Context(), l, v); !errors.Is(err, errLater) {
				break
			}
		}
		until, ok := fault.Until(err)
		if !errors.Is(err, fault.Limited) || !ok || !until.After(time.Now()) {
			t.Fatalf("got %v", err)
		}
		time.Sleep(time.Until(until))
		v.slow = 0
		if id, _, err := run(t.Context(), l, v); err != nil || id != "job1" || len(v.ids) != 1 {
			t.Errorf("after the pause: %s, %v, jobs %v", id, err, v.ids)
		}
	})
}

func TestCursorNotOurs(t *testing.T) {
	if _, err := job.Do(t.Context(), &ledger{cursor: "7"}, &vendor{}); !errors.Is(err, fault.Invalid) {
		t.Errorf("got %v", err)
	}
}
