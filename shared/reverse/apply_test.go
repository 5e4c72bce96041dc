package reverse_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/reverse"
	"github.com/millrace-data/millrace/shared/reverse/reversetest"
)

// ways are the two ways that rows take: bulk jobs of a few rows, and requests.
var ways = map[string]func(w *world){
	"bulk":  func(w *world) { w.Bulk, w.Part = 1, 4 },
	"write": func(*world) {},
}

func eachWay(t *testing.T, test func(t *testing.T, w *world)) {
	for name, set := range ways {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, embedded(t))
			w.Poll = time.Millisecond
			set(w)
			test(t, w)
		})
	}
}

// everyWay is eachWay in both warehouses.
func everyWay(t *testing.T, test func(t *testing.T, w *world)) {
	eachWay(t, test)
	if testing.Short() {
		return
	}
	for name, set := range ways {
		t.Run("Snowflake "+name, func(t *testing.T) {
			w := newWorld(t, standIn(t))
			w.Poll = time.Millisecond
			set(w)
			test(t, w)
		})
	}
}

// approved plans and approves.
func (w *world) approved(j reverse.Job) *reverse.Plan {
	w.Helper()
	p := w.plan(j, reverse.PlanOptions{})
	if p, err := w.Approve(w.Context(), p.ID, "ann@example.com", p.Hash); err != nil || p.State != reverse.PlanApproved {
		w.Fatalf("approve: %v, %v", p, err)
	}
	return p
}

// done applies a plan to its end.
func (w *world) done(id string) *reverse.Plan {
	w.Helper()
	p, err := w.Apply(w.Context(), id)
	if err != nil || p.State != reverse.PlanApplied {
		w.Fatalf("apply of plan %s, now %s: %v", id, p.State, err)
	}
	w.inBalance(p)
	return p
}

// inBalance makes sure that every row of an applied plan has ended, and that the
// destination took each but once.
func (w *world) inBalance(p *reverse.Plan) {
	w.Helper()
	if p.Sent+p.Failed+p.Unprocessed != p.Writes() {
		w.Errorf("%d sent, %d failed, %d unprocessed of %d", p.Sent, p.Failed, p.Unprocessed, p.Writes())
	}
	for key, n := range w.mem.Accepted() {
		if n != 1 {
			w.Errorf("row %s was written %d times", key, n)
		}
	}
	for _, j := range w.mem.Jobs() {
		if j.Uploads > 1 {
			w.Errorf("job %s was uploaded to %d times", j.ID, j.Uploads)
		}
	}
	if n := w.count(`SELECT count(*) FROM "millrace"."sync_jobs" WHERE "plan" = ? AND "state" NOT IN ('ended', 'aborted')`, p.ID); n > 0 {
		w.Errorf("%d parts have not ended", n)
	}
	if n := w.count(`SELECT count(*) FROM "millrace"."sync_jobs" WHERE "plan" = ? AND "state" = 'ended' AND "sent" + "failed" + "unprocessed" <> "rows"`, p.ID); n > 0 {
		w.Errorf("%d parts do not balance", n)
	}
	if n := w.count(`SELECT count(*) FROM "millrace"."sync_plans" WHERE "lease_until" IS NOT NULL`); n > 0 {
		w.Errorf("%d plans still have a lease", n)
	}
}

// lines is a query of n rows: key kN, score N, tier A, from i on.
func lines(from, n int) string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("k%02d,%d,A", from+i, from+i)
	}
	return rows(out...)
}

func TestApply(t *testing.T) {
	everyWay(t, func(t *testing.T, w *world) {
		for i := range 3 {
			w.mem.Add("Account", reversetest.Fields{"DW_Key__c": fmt.Sprintf("k%02d", i), "Score__c": "99", "Name": "kept"})
		}
		p := w.approved(job(lines(0, 10)))
		got := w.done(p.ID)
		if got.Sent != 10 || got.ApprovedBy != "ann@example.com" || got.AppliedAt.IsZero() {
			t.Errorf("got %+v", got)
		}
		now := w.mem.Records("Account", "DW_Key__c")
		if len(now) != 10 || now["k02"]["Score__c"] != "2" || now["k02"]["Name"] != "kept" || now["k09"]["Tier__c"] != "A" {
			t.Errorf("records are %v", now)
		}
		if n := w.count(`SELECT count(*) FROM "millrace"."sync_sent" WHERE "plan" = ? AND "destination_id" LIKE '001%' AND "accepted" LIKE 'Score__c=%'`, p.ID); n != 10 {
			t.Errorf("%d of 10 rows are known as accepted", n)
		}
		for key := range now { // results come in an order of their own
			if n := w.count(`SELECT count(*) FROM "millrace"."sync_sent" WHERE "key" = ? AND "destination_id" = ?`, key, w.mem.ID("Account", "DW_Key__c", key)); n != 1 {
				t.Errorf("%s is known under another record's id", key)
			}
		}
		if again := w.plan(job(lines(0, 10)), reverse.PlanOptions{}); again.Writes() != 0 {
			t.Errorf("the next plan writes %d rows", again.Writes())
		}
		if same, err := w.Apply(t.Context(), p.ID); err != nil || same.Sent != 10 {
			t.Errorf("apply of an applied plan: %v, %v", same, err)
		}
		w.inBalance(got)
	})
}

func TestApproval(t *testing.T) {
	w := newWorld(t, embedded(t))
	p := w.plan(job(lines(0, 2)), reverse.PlanOptions{})
	if _, err := w.Apply(t.Context(), p.ID); !errors.Is(err, fault.Refused) {
		t.Errorf("applied without approval: %v", err)
	}
	for _, by := range []string{"", " ", "a\nb", "auto"} {
		if _, err := w.Approve(t.Context(), p.ID, by, ""); !errors.Is(err, fault.Invalid) {
			t.Errorf("approved by %q: %v", by, err)
		}
	}
	if _, err := w.Approve(t.Context(), p.ID, "ann", strings.Repeat("0", 64)); !errors.Is(err, fault.Refused) {
		t.Errorf("approved another hash: %v", err)
	}
	for range 2 {
		if got, err := w.Approve(t.Context(), p.ID, "ann", ""); err != nil || got.ApprovedHash != p.Hash {
			t.Errorf("approve: %+v, %v", got, err)
		}
	}
	if _, err := w.Approve(t.Context(), p.ID, "ben", ""); !errors.Is(err, fault.Refused) {
		t.Errorf("approved over ann: %v", err)
	}
	w.exec(`UPDATE "millrace"."sync_plans" SET "state" = 'blocked', "blocked" = '[{"guard":"creates","observed":"2 records","allowed":"1"}]' WHERE "plan" = ?`, p.ID)
	if _, err := w.Approve(t.Context(), p.ID, "ann", ""); !errors.Is(err, fault.Refused) || !strings.Contains(err.Error(), "creates") {
		t.Errorf("approved a blocked plan: %v", err)
	}
	if _, err := w.Apply(t.Context(), p.ID); !errors.Is(err, fault.Refused) {
		t.Errorf("applied a blocked plan: %v", err)
	}
	if _, err := w.Approve(t.Context(), "none", "ann", ""); !errors.Is(err, fault.NotFound) {
		t.Errorf("approved a plan that is not there: %v", err)
	}
}

func TestApplyRefuses(t *testing.T) {
	for name, change := range map[string]func(w *world, p *reverse.Plan){
		"a record changed": func(w *world, p *reverse.Plan) {
			w.mem.Edit("Account", "DW_Key__c", "k00", reversetest.Fields{"Score__c": "5"})
		},
		"a record is gone": func(w *world, p *reverse.Plan) { w.mem.Remove("Account", "DW_Key__c", "k00") },
		"a record came":    func(w *world, p *reverse.Plan) { w.mem.Add("Account", reversetest.Fields{"DW_Key__c": "K05"}) },
		"it is too old":    func(w *world, p *reverse.Plan) { w.now = w.now.Add(25 * time.Hour) },
		"rows were changed": func(w *world, p *reverse.Plan) {
			w.exec(`UPDATE "millrace"."sync_rows" SET "after" = '7' WHERE "plan" = ? AND "n" = 2 AND "field" = 'Score__c'`, p.ID)
		},
		"a row was removed": func(w *world, p *reverse.Plan) {
			w.exec(`DELETE FROM "millrace"."sync_rows" WHERE "plan" = ? AND "n" = 2`, p.ID)
		},
		"approved another": func(w *world, p *reverse.Plan) {
			w.exec(`UPDATE "millrace"."sync_plans" SET "approved_hash" = 'x' WHERE "plan" = ?`, p.ID)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, embedded(t))
			w.mem.Add("Account", reversetest.Fields{"DW_Key__c": "k00", "Score__c": "99"})
			p := w.approved(job(lines(0, 6)))
			w.mem.Forget()
			change(w, p)
			got, err := w.Apply(t.Context(), p.ID)
			if !errors.Is(err, fault.Refused) || got.State != reverse.PlanStale || len(w.mem.Log()) > 0 {
				t.Fatalf("got %+v, %v, writes %v", got, err, w.mem.Log())
			}
			tampered := strings.Contains(name, "row") || strings.Contains(name, "approved")
			if next, err := w.Get(t.Context(), got.Next); !tampered && (err != nil || next.State != reverse.PlanReady) {
				t.Errorf("next plan %q: %v, %v", got.Next, next, err)
			}
			if _, err := w.Apply(t.Context(), p.ID); !errors.Is(err, fault.Refused) || len(w.mem.Log()) > 0 {
				t.Errorf("applied out of date: %v", err)
			}
		})
	}
}

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

// What people keep is kept while the destination would still take requests.
func TestApplyLeavesPeopleTheirRequests(t *testing.T) {
	eachWay(t, func(t *testing.T, w *world) {
		p := w.approved(job(lines(0, 10)))
		w.mem.Use(-1000)
		w.mem.Use(80)
		w.mem.Max = 100
		got, err := w.Apply(t.Context(), p.ID)
		if !errors.Is(err, fault.Limited) || got.State != reverse.PlanPaused || len(w.mem.Log()) > 0 {
			t.Fatalf("80 of 100 used and 20 kept: %+v, %v, writes %v", got, err, w.mem.Log())
		}
		w.mem.Use(-1000)
		w.now = got.PausedUntil
		w.done(p.ID)
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

func TestOneWriterPerObject(t *testing.T) {
	w := newWorld(t, embedded(t))
	p := w.approved(job(lines(0, 3)))
	other := job(lines(10, 3))
	other.Name = "others"
	q := w.approved(other)
	var errs []error
	w.mem.Before = func(c reversetest.Call, n int) error {
		if c == reversetest.Write {
			for _, id := range []string{p.ID, q.ID} {
				_, err := w.Apply(t.Context(), id)
				errs = append(errs, err)
			}
			w.mem.Before = nil
		}
		return nil
	}
	w.done(p.ID)
	if len(errs) != 2 || !errors.Is(errs[0], fault.Stale) || !errors.Is(errs[1], fault.Stale) {
		t.Errorf("meanwhile: %v", errs)
	}
	w.done(q.ID)
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

func TestResumedApplyLeavesOutWhatChanged(t *testing.T) {
	eachWay(t, func(t *testing.T, w *world) {
		for i := range 300 {
			w.mem.Add("Account", reversetest.Fields{"DW_Key__c": fmt.Sprintf("k%02d", i), "Score__c": "-1"})
		}
		w.Part = 100
		p := w.approved(job(lines(0, 300)))
		stop := errors.New("no more")
		w.mem.Before = func(c reversetest.Call, n int) error {
			if (c == reversetest.Write || c == reversetest.Create) && n == 2 {
				return fault.New(fault.Auth, "%w", stop)
			}
			return nil
		}
		if got, err := w.Apply(t.Context(), p.ID); !errors.Is(err, stop) || got.State != reverse.PlanApplying || got.Sent == 0 {
			t.Fatalf("got %+v, %v", got, err)
		}
		w.mem.Before = nil
		for _, key := range []string{"k98", "k99"} {
			w.mem.Edit("Account", "DW_Key__c", key, reversetest.Fields{"Score__c": "77"})
		}
		got := w.done(p.ID)
		if got.Sent != 298 || got.Unprocessed != 2 {
			t.Errorf("%d sent, %d unprocessed", got.Sent, got.Unprocessed)
		}
		if rec := w.mem.Records("Account", "DW_Key__c"); rec["k98"]["Score__c"] != "77" || rec["k97"]["Score__c"] != "97" {
			t.Errorf("k98 is %v, k97 is %v", rec["k98"], rec["k97"])
		}
		if h, err := w.History(t.Context(), "scores"); err != nil || len(h) != 1 || h[0].ID != p.ID || h[0].ApprovedBy != "ann@example.com" {
			t.Errorf("history: %v, %v", h, err)
		}
	})
}

func TestOtherOperations(t *testing.T) {
	for _, op := range []reverse.Operation{reverse.Insert, reverse.Update, reverse.Delete} {
		eachWay(t, func(t *testing.T, w *world) {
			for i := range 10 {
				if op != reverse.Insert {
					w.mem.Add("Account", reversetest.Fields{"DW_Key__c": fmt.Sprintf("k%02d", i), "Score__c": "99"})
				}
			}
			j := job(lines(0, 10))
			j.Operation = op
			got := w.done(w.approved(j).ID)
			rec := w.mem.Records("Account", "DW_Key__c")
			if want := map[reverse.Operation]int{reverse.Delete: 0}; got.Sent != 10 || op == reverse.Delete && len(rec) != want[op] || op != reverse.Delete && rec["k07"]["Score__c"] != "7" {
				t.Errorf("%s: %+v, %v", op, got, rec)
			}
			for _, e := range w.mem.Log() {
				if e.Operation != op {
					t.Fatalf("%s was done by %s", op, e.Operation)
				}
			}
		})
	}
}
