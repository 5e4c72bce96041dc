package reverse_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/reverse"
	"github.com/millrace-data/millrace/shared/reverse/reversetest"
)

func TestFailedRowsAreRejects(t *testing.T) {
	everyWay(t, func(t *testing.T, w *world) {
		w.mem.Fail = reversetest.Failing(map[string]string{"k04": "FIELD_CUSTOM_VALIDATION_EXCEPTION"}, 0)
		got := w.done(w.approved(job(lines(0, 6))).ID)
		if got.Sent != 5 || got.Failed != 1 {
			t.Errorf("%d sent, %d failed", got.Sent, got.Failed)
		}
		if n := w.count(`SELECT count(*) FROM "millrace"."rejects" WHERE "function" = 'salesforcesync' AND "table_name" = 'scores' AND "slice" = ? AND "rule" = 'FIELD_CUSTOM_VALIDATION_EXCEPTION' AND "state" = 'open'`, got.ID); n != 1 {
			t.Errorf("rejects: %v", w.rejects("open"))
		}
		w.want("rejects", w.rejects("open"), []string{`FIELD_CUSTOM_VALIDATION_EXCEPTION {"k":"k04","score":"4","tier":"A"}`})
		w.mem.Fail = nil
		again := w.approved(job(lines(0, 6)))
		if again.Writes() != 1 {
			t.Fatalf("the next plan writes %d rows", again.Writes())
		}
		w.done(again.ID)
		if open := w.rejects("open"); len(open) > 0 {
			t.Errorf("still open: %v", open)
		}
	})
}

func TestLocksAreTriedAgainSmaller(t *testing.T) {
	eachWay(t, func(t *testing.T, w *world) {
		codes := map[string]string{}
		for i := range 30 {
			codes[fmt.Sprintf("k%02d", i)] = "UNABLE_TO_LOCK_ROW"
		}
		w.mem.Fail = reversetest.Failing(codes, 2)
		if got := w.done(w.approved(job(lines(0, 40))).ID); got.Sent != 40 {
			t.Errorf("%d sent", got.Sent)
		}
		if most := w.count(`SELECT max("rows") FROM "millrace"."sync_jobs" WHERE "attempt" = 3`); most != 20 {
			t.Errorf("parts of %d rows after the second lock", most)
		}
		w.mem.Fail = reversetest.Failing(map[string]string{"x": "UNABLE_TO_LOCK_ROW"}, 100)
		if got := w.done(w.approved(job(rows("x,1,A"))).ID); got.Failed != 1 {
			t.Errorf("locked for ever: %+v", got)
		}
		if n := len(w.mem.Log()); n != 30*2+40+5 {
			t.Errorf("%d attempts in all", n)
		}
	})
}

func TestJobThatFailsHalfWay(t *testing.T) {
	for name, say := range map[string]func(string, []reverse.Result) []reverse.Result{
		"it lists what it left": nil,
		"it does not": func(_ string, rs []reverse.Result) []reverse.Result {
			return slices.DeleteFunc(rs, func(r reverse.Result) bool { return r.State == reverse.RowUnprocessed })
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, embedded(t))
			w.Bulk, w.Part, w.Poll = 1, 4, time.Millisecond
			w.mem.Say = say
			w.mem.Break = func(j reversetest.Job) int { return len(j.Rows) / 2 }
			got := w.done(w.approved(job(lines(0, 12))).ID)
			if left := int64(12 - len(w.mem.Records("Account", "Id"))); got.Sent != 12-left || got.Unprocessed != left || left == 0 || left == 6 {
				t.Errorf("%d sent, %d unprocessed, %d left", got.Sent, got.Unprocessed, left)
			}
			w.mem.Break = nil
			next := w.done(w.approved(job(lines(0, 12))).ID)
			if next.Sent != got.Unprocessed || len(w.mem.Records("Account", "Id")) != 12 {
				t.Errorf("the next plan sent %d of %d", next.Sent, got.Unprocessed)
			}
		})
	}
}

func TestStrangeResults(t *testing.T) {
	for name, tc := range map[string]struct {
		say         func(string, []reverse.Result) []reverse.Result
		kind        error
		unprocessed int64
	}{
		"of a row not sent": {func(_ string, rs []reverse.Result) []reverse.Result {
			return append(rs, reverse.Result{Key: "z", State: reverse.RowSent})
		}, fault.Corrupt, 0},
		"two of one row": {func(_ string, rs []reverse.Result) []reverse.Result { return append(rs, rs[0]) }, fault.Corrupt, 0},
		"none of a row":  {func(_ string, rs []reverse.Result) []reverse.Result { return rs[1:] }, nil, 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, embedded(t))
			w.Bulk, w.Poll = 1, time.Millisecond
			w.mem.Say = tc.say
			p := w.approved(job(lines(0, 5)))
			got, err := w.Apply(t.Context(), p.ID)
			if (tc.kind != nil || err != nil) && !errors.Is(err, tc.kind) || got.Unprocessed != tc.unprocessed {
				t.Fatalf("got %+v, %v", got, err)
			}
			if tc.kind != nil && w.count(`SELECT count(*) FROM "millrace"."sync_sent"`)+w.count(`SELECT count(*) FROM "millrace"."sync_rows" WHERE "state" <> 'sending'`) > 0 {
				t.Error("something was believed")
			}
			w.mem.Say = nil
			w.done(p.ID)
		})
	}
}

// A row that somebody removes from a plan on its way is missed, by the part that has
// it or at the end.
func TestRowsThatVanish(t *testing.T) {
	for name, tc := range map[string]struct {
		point string
		sent  int64
	}{"before it is sent": {"after_job_created", 0}, "after it was sent": {"after_commit", 10}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, embedded(t))
			w.Bulk, w.Part, w.Poll = 1, 4, time.Millisecond
			p := w.approved(job(lines(0, 10)))
			w.Point = func(name string) {
				if name == tc.point {
					w.Point = nil
					w.exec(`DELETE FROM "millrace"."sync_rows" WHERE "plan" = ? AND "n" = 2`, p.ID)
				}
			}
			got, err := w.Apply(t.Context(), p.ID)
			if !errors.Is(err, fault.Corrupt) || got.State != reverse.PlanApplying {
				t.Errorf("got %+v, %v", got, err)
			}
			if n := w.count(`SELECT count(*) FROM "millrace"."sync_sent"`); n != tc.sent {
				t.Errorf("%d rows are known as accepted, want %d", n, tc.sent)
			}
		})
	}
}

func TestLostAnswers(t *testing.T) {
	for _, call := range []reversetest.Call{reversetest.Write, reversetest.Create, reversetest.Upload, reversetest.End, reversetest.Look, reversetest.Results, reversetest.Read} {
		t.Run(string(call), func(t *testing.T) {
			everyWay(t, func(t *testing.T, w *world) {
				p := w.approved(job(lines(0, 10)))
				w.mem.After = reversetest.Lose(call, w.mem.Calls(call)+1)
				got, err := w.Apply(t.Context(), p.ID)
				if call == reversetest.Read {
					if !errors.Is(err, fault.Transient) || got.State != reverse.PlanApproved {
						t.Fatalf("got %+v, %v", got, err)
					}
					got, err = w.Apply(t.Context(), p.ID)
				}
				if err != nil || got.Sent != 10 {
					t.Fatalf("got %+v, %v", got, err)
				}
				w.inBalance(got)
			})
		})
	}
}

func TestQuota(t *testing.T) {
	eachWay(t, func(t *testing.T, w *world) {
		p := w.approved(job(lines(0, 10)))
		w.mem.Use(-1000)
		w.mem.Max = 10
		var got *reverse.Plan
		var err error
		pauses := 0
		for range 20 {
			if got, err = w.Apply(t.Context(), p.ID); err == nil {
				break
			}
			if !errors.Is(err, fault.Limited) || got.State != reverse.PlanPaused || !got.PausedUntil.After(w.now) {
				t.Fatalf("got %+v, %v", got, err)
			}
			if due, err := w.Waiting(t.Context()); err != nil || len(due) != 0 {
				t.Fatalf("waiting: %v, %v", due, err)
			}
			pauses++
			w.now = got.PausedUntil
			if due, err := w.Waiting(t.Context()); err != nil || len(due) != 1 {
				t.Fatalf("waiting: %v, %v", due, err)
			}
			w.mem.Use(-1000)
		}
		if err != nil || got.Sent != 10 {
			t.Fatalf("got %+v, %v", got, err)
		}
		if w.Bulk > 0 && pauses == 0 {
			t.Error("there was no pause to speak of")
		}
		w.inBalance(got)
	})
}

func TestTimeEnds(t *testing.T) {
	eachWay(t, func(t *testing.T, w *world) {
		p := w.approved(job(lines(0, 10)))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		w.Poll = time.Hour // is longer than what is left
		w.mem.Fail = reversetest.Failing(map[string]string{"k00": "UNABLE_TO_LOCK_ROW"}, 1)
		got, err := w.Apply(ctx, p.ID)
		if !errors.Is(err, fault.Transient) || got.State != reverse.PlanApplying || !got.LeaseUntil.IsZero() {
			t.Fatalf("got %+v, %v", got, err)
		}
		w.Poll = time.Millisecond
		if got := w.done(p.ID); got.Sent != 10 {
			t.Errorf("%d sent", got.Sent)
		}
	})
}

func TestWhoLosesTheFenceWritesNothing(t *testing.T) {
	everyWay(t, func(t *testing.T, w *world) {
		p := w.approved(job(lines(0, 10)))
		w.Point = func(name string) {
			if name == "after_results" {
				w.Point = nil
				w.exec(`UPDATE "millrace"."sync_plans" SET "fence" = "fence" + 1, "lease_until" = NULL WHERE "plan" = ?`, p.ID)
			}
		}
		got, err := w.Apply(t.Context(), p.ID)
		if !errors.Is(err, fault.Stale) || got.State != reverse.PlanApplying || w.count(`SELECT count(*) FROM "millrace"."sync_sent"`) > 0 {
			t.Fatalf("got %+v, %v", got, err)
		}
		if got := w.done(p.ID); got.Sent != 10 {
			t.Errorf("%d sent", got.Sent)
		}
	})
}
