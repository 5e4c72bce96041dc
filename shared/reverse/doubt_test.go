package reverse_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/reverse"
	"github.com/millrace-data/millrace/shared/reverse/reversetest"
)

// What the destination refuses as a whole ends the rows of that part, and no other.
func TestRefusedRequests(t *testing.T) {
	for _, call := range []reversetest.Call{reversetest.Write, reversetest.Create, reversetest.Upload, reversetest.End} {
		t.Run(string(call), func(t *testing.T) {
			w := newWorld(t, embedded(t))
			w.Poll = time.Millisecond
			all, left := int64(10), int64(10)
			if call != reversetest.Write {
				w.Bulk, w.Part, left = 1, 4, 4
			}
			p := w.approved(job(lines(0, int(all))))
			w.mem.Before = func(c reversetest.Call, n int) error {
				if c == call && n == 1 {
					return fault.New(fault.Invalid, "not like this")
				}
				return nil
			}
			if got := w.done(p.ID); got.Unprocessed != left || got.Sent != all-left {
				t.Errorf("%d sent, %d unprocessed", got.Sent, got.Unprocessed)
			}
			if n := w.count(`SELECT count(DISTINCT "n") FROM "millrace"."sync_rows" WHERE "plan" = ? AND "state" = 'unprocessed' AND "error" LIKE '%not like this%'`, p.ID); n != left {
				t.Errorf("%d rows say why", n)
			}
			w.mem.Before = nil
			if next := w.done(w.approved(job(lines(0, int(all)))).ID); next.Sent != left {
				t.Errorf("the next plan sent %d", next.Sent)
			}
		})
	}
}

// A job that is gone, with its results, was started: what it did is seen in the
// records.
func TestJobIsGone(t *testing.T) {
	for name, edit := range map[string]reversetest.Fields{"done": nil, "and somebody came after it": {"Score__c": "77"}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, embedded(t))
			w.Bulk, w.Poll = 1, time.Millisecond
			w.mem.Add("Account", reversetest.Fields{"DW_Key__c": "k00", "Score__c": "99"})
			p := w.approved(job(lines(0, 6)))
			w.mem.Break = func(reversetest.Job) int {
				w.mem.Break = nil
				return 4
			}
			w.mem.Before = func(c reversetest.Call, n int) error {
				if c != reversetest.Look || n != 1 {
					return nil
				}
				w.mem.Edit("Account", "DW_Key__c", "k00", edit)
				return fault.New(fault.NotFound, "no such job")
			}
			got := w.done(p.ID)
			if lost := int64(len(edit)); got.Unprocessed != lost || got.Sent != 6-lost {
				t.Errorf("%d sent, %d unprocessed", got.Sent, got.Unprocessed)
			}
			if edit != nil && w.values()["k00"]["Score__c"] != "77" {
				t.Errorf("k00 is %v", w.values()["k00"])
			}
		})
	}
}

// Who aborts our job at the destination does not want it.
func TestJobAbortedBySomebody(t *testing.T) {
	w := newWorld(t, embedded(t))
	w.Bulk, w.Poll = 1, time.Millisecond
	p := w.approved(job(lines(0, 6)))
	w.mem.Break = func(reversetest.Job) int { return 2 }
	w.mem.Before = func(c reversetest.Call, n int) error {
		if c == reversetest.Look && n == 1 {
			return w.mem.Abort(w.mem.Jobs()[0].ID)
		}
		return nil
	}
	if got := w.done(p.ID); got.Sent != 2 || got.Unprocessed != 4 || len(w.mem.Jobs()) != 1 {
		t.Errorf("%d sent, %d unprocessed, jobs %v", got.Sent, got.Unprocessed, w.mem.Jobs())
	}
}

// Where nothing was begun, a plan stays approved; where something may have been, it
// goes on. Either way nobody waits for a lease.
func TestTrouble(t *testing.T) {
	for name, tc := range map[string]struct {
		call  reversetest.Call
		after bool
		kind  error
		state reverse.PlanState
	}{
		"before the first write": {reversetest.Describe, false, fault.Auth, reverse.PlanApproved},
		"as it looks":            {reversetest.Read, false, fault.Transient, reverse.PlanApproved},
		"in a request":           {reversetest.Write, true, fault.Corrupt, reverse.PlanApplying},
		"before a request":       {reversetest.Write, false, fault.Auth, reverse.PlanApplying},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, embedded(t))
			w.Poll = time.Millisecond
			p := w.approved(job(lines(0, 6)))
			hook := func(c reversetest.Call, _ int) error {
				if c == tc.call {
					return fault.New(tc.kind, "trouble")
				}
				return nil
			}
			if w.mem.Before = hook; tc.after {
				w.mem.Before, w.mem.After = nil, hook
			}
			got, err := w.Apply(t.Context(), p.ID)
			if !errors.Is(err, tc.kind) || got.State != tc.state || !got.LeaseUntil.IsZero() || !strings.Contains(got.Error, "trouble") {
				t.Fatalf("got %s until %s, %q, %v", got.State, got.LeaseUntil, got.Error, err)
			}
			connect := w.Connect
			w.Connect = nowhere
			if again, err := w.Apply(t.Context(), p.ID); !errors.Is(err, fault.Auth) || again.State != tc.state {
				t.Fatalf("without a destination: %s, %v", again.State, err)
			}
			w.Connect, w.mem.Before, w.mem.After = connect, nil, nil
			if got := w.done(p.ID); got.Sent != 6 {
				t.Errorf("%d sent", got.Sent)
			}
		})
	}
}

func nowhere(context.Context) (reverse.Destination, error) {
	return nil, fault.New(fault.Auth, "the key is refused")
}
