package reverse_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/reverse"
	"github.com/millrace-data/millrace/shared/reverse/reversetest"
)

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
