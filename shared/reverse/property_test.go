package reverse_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/reverse"
	"github.com/millrace-data/millrace/shared/reverse/reversetest"
	"github.com/millrace-data/millrace/shared/warehouse"
)

// drawn is a test whose failures are those of one random case.
type drawn struct {
	testing.TB
	rt *rapid.T
}

func (d drawn) Helper()                      {}
func (d drawn) Fatal(args ...any)            { d.rt.Fatal(args...) }
func (d drawn) Fatalf(f string, args ...any) { d.rt.Fatalf(f, args...) }
func (d drawn) Errorf(f string, args ...any) { d.rt.Fatalf(f, args...) }
func (d drawn) Error(args ...any)            { d.rt.Fatal(args...) }

// scene is a random sync: what stands at the destination, and what the query says.
type scene struct {
	*world
	rt   *rapid.T
	job  reverse.Job
	keys []string
	want map[string]reversetest.Fields // by key: what the query says of score and tier
}

var scenes int

// draw makes a scene of its own sync and destination in a warehouse that all share.
func draw(t *testing.T, rt *rapid.T, w *warehouse.Warehouse, ops ...reverse.Operation) *scene {
	s := &scene{world: newWorld(drawn{t, rt}, w), rt: rt, want: map[string]reversetest.Fields{}}
	s.Poll = time.Microsecond
	if rapid.Bool().Draw(rt, "bulk") {
		s.Bulk, s.Part = 1, rapid.Int64Range(1, 5).Draw(rt, "rows of a part")
	}
	var query []string
	for i := range 8 {
		key := fmt.Sprintf("k%d", i)
		s.keys = append(s.keys, key)
		if rapid.Bool().Draw(rt, key+" is live") {
			f := reversetest.Fields{"DW_Key__c": key, "Name": "n" + key}
			maps.Copy(f, s.fields(key+" live"))
			s.mem.Add("Account", f)
		}
		if rapid.Bool().Draw(rt, key+" is wanted") {
			f := s.fields(key + " wanted")
			s.want[key] = f
			cells := key
			for _, name := range []string{"Score__c", "Tier__c"} {
				v, ok := f[name]
				if !ok {
					v = "-"
				}
				cells += "," + v
			}
			query = append(query, cells)
		}
	}
	if len(query) == 0 {
		query, s.want["k0"] = []string{"k0,1,A"}, reversetest.Fields{"Score__c": "1", "Tier__c": "A"}
	}
	scenes++
	s.job = job(rows(query...))
	s.job.Name = fmt.Sprintf("s%d", scenes)
	s.job.Operation = rapid.SampledFrom(ops).Draw(rt, "operation")
	s.job.Nulls = rapid.SampledFrom([]reverse.Nulls{reverse.IgnoreNulls, reverse.BlankNulls}).Draw(rt, "nulls")
	return s
}

func (s *scene) fields(label string) reversetest.Fields {
	f := reversetest.Fields{}
	if v := rapid.SampledFrom([]string{"", "0", "1", "2.5"}).Draw(s.rt, label+" score"); v != "" {
		f["Score__c"] = v
	}
	if v := rapid.SampledFrom([]string{"", "A", "B"}).Draw(s.rt, label+" tier"); v != "" {
		f["Tier__c"] = v
	}
	return f
}

// faulty draws what goes wrong on the way.
func (s *scene) faulty() {
	codes, times := map[string]string{}, map[string]int{}
	for _, key := range s.keys {
		switch rapid.IntRange(0, 5).Draw(s.rt, key+" fails") {
		case 0:
			codes[key] = "BAD"
		case 1:
			times[key] = rapid.IntRange(1, 6).Draw(s.rt, key+" is locked")
		}
	}
	s.mem.Fail = func(_, key string, n int) reversetest.Failure {
		switch {
		case codes[key] != "":
			return reversetest.Failure{Code: codes[key]}
		case n <= times[key]:
			return reversetest.Failure{Code: "UNABLE_TO_LOCK_ROW", Again: true}
		}
		return reversetest.Failure{}
	}
	most := rapid.IntRange(-1, 3).Draw(s.rt, "job fails after")
	s.mem.Break = func(reversetest.Job) int { return most }
	calls := []reversetest.Call{reversetest.Write, reversetest.Create, reversetest.Upload, reversetest.End, reversetest.Look, reversetest.Results, reversetest.Read}
	lost, gone := map[reversetest.Call]int{}, map[reversetest.Call]int{}
	for range rapid.IntRange(0, 3).Draw(s.rt, "answers that are lost") {
		c := rapid.SampledFrom(calls).Draw(s.rt, "answer of")
		lost[c] = s.mem.Calls(c) + rapid.IntRange(1, 4).Draw(s.rt, "the nth")
	}
	for range rapid.IntRange(0, 3).Draw(s.rt, "requests that are not taken") {
		c := rapid.SampledFrom(calls).Draw(s.rt, "request")
		gone[c] = s.mem.Calls(c) + rapid.IntRange(1, 4).Draw(s.rt, "the nth")
	}
	kind := rapid.SampledFrom([]error{fault.Transient, fault.Limited, fault.Auth}).Draw(s.rt, "because")
	s.mem.After = func(c reversetest.Call, n int) error {
		if lost[c] == n {
			return fault.New(fault.Transient, "the answer of %s is lost", c)
		}
		return nil
	}
	s.mem.Before = func(c reversetest.Call, n int) error {
		if gone[c] == n {
			return fault.New(kind, "%s is not taken", c)
		}
		return nil
	}
}

// through applies until the plan is at its end, each time with another engine.
func (s *scene) through(id string) *reverse.Plan {
	for range 30 {
		e := *s.Engine
		p, err := e.Apply(s.Context(), id)
		switch {
		case err == nil && p.State == reverse.PlanApplied:
			s.inBalance(p)
			return p
		case err == nil || errors.Is(err, fault.Refused) || errors.Is(err, fault.Corrupt) || errors.Is(err, fault.Invalid):
			s.Fatalf("apply: %s, %v", p.State, err)
		case p.State == reverse.PlanPaused:
			s.now = p.PausedUntil
		}
	}
	s.Fatal("the plan comes to no end")
	return nil
}

// ended is the state of every row of a plan, by key.
func (s *scene) ended(p *reverse.Plan) map[string]reverse.RowState {
	rows, err := s.Warehouse.DB().QueryContext(s.Context(), `SELECT DISTINCT "key", "state" FROM "millrace"."sync_rows" WHERE "plan" = ?`, p.ID)
	if err != nil {
		s.Fatal(err)
	}
	defer rows.Close()
	out := map[string]reverse.RowState{}
	for rows.Next() {
		var key string
		var state reverse.RowState
		if err := rows.Scan(&key, &state); err != nil {
			s.Fatal(err)
		}
		if out[key] != "" {
			s.Fatalf("row %s is %s and %s", key, out[key], state)
		}
		out[key] = state
	}
	return out
}

// expected is the records after the rows of a plan that were sent.
func (s *scene) expected(before map[string]reversetest.Fields, p *reverse.Plan, states map[string]reverse.RowState) map[string]reversetest.Fields {
	out := map[string]reversetest.Fields{}
	for key, f := range before {
		out[key] = maps.Clone(f)
	}
	for c, err := range s.Changes(s.Context(), p.ID) {
		switch {
		case err != nil:
			s.Fatal(err)
		case states[c.Key] != reverse.RowSent:
			continue
		case c.Kind == reverse.KindDelete:
			delete(out, c.Key)
			continue
		case c.Kind == reverse.KindCreate:
			out[c.Key] = reversetest.Fields{"DW_Key__c": c.Key}
		}
		for _, f := range c.Fields {
			if delete(out[c.Key], f.Field); f.After != nil {
				out[c.Key][f.Field] = *f.After
			}
		}
	}
	return out
}

func (s *scene) approve(p *reverse.Plan) *reverse.Plan {
	p, err := s.Approve(s.Context(), p.ID, "ann", p.Hash)
	if err != nil {
		s.Fatal(err)
	}
	return p
}

func TestWhateverGoesWrongEveryRowEndsOnce(t *testing.T) {
	w := embedded(t)
	rapid.Check(t, func(rt *rapid.T) {
		s := draw(t, rt, w, reverse.Upsert, reverse.Insert, reverse.Update, reverse.Delete)
		before := s.values()
		p := s.approve(s.plan(s.job, reverse.PlanOptions{}))
		s.faulty()
		done := s.through(p.ID)
		states := s.ended(done)
		s.world.want("records after the plan", s.values(), s.expected(before, done, states))
		if int64(len(states)) != p.Writes() {
			rt.Fatalf("%d rows of %d", len(states), p.Writes())
		}
		s.mem.Fail, s.mem.Break, s.mem.After, s.mem.Before = nil, nil, nil, nil
		s.mem.Forget()
		if next := s.plan(s.job, reverse.PlanOptions{}); next.Writes() > 0 { // what failed comes again
			s.through(s.approve(next).ID)
		}
		s.desired(before)
	})
}

// desired makes sure that the destination is as the query says, and otherwise as it
// was.
func (s *scene) desired(before map[string]reversetest.Fields) {
	want := map[string]reversetest.Fields{}
	for key, f := range before {
		want[key] = maps.Clone(f)
	}
	for _, key := range slices.Sorted(maps.Keys(s.want)) {
		_, live := before[key]
		switch op := s.job.Operation; {
		case op == reverse.Delete:
			delete(want, key)
			continue
		case op == reverse.Insert && live, op == reverse.Update && !live:
			continue
		case !live:
			want[key] = reversetest.Fields{"DW_Key__c": key}
		}
		for _, name := range []string{"Score__c", "Tier__c"} {
			if v, ok := s.want[key][name]; ok {
				want[key][name] = v
			} else if s.job.Nulls == reverse.BlankNulls {
				delete(want[key], name)
			}
		}
	}
	s.world.want("records", s.values(), want)
	if next := s.plan(s.job, reverse.PlanOptions{}); next.Writes() != 0 {
		s.Fatalf("the next plan: %v", s.said(next))
	}
}

func TestRollbackBringsBackWhatNobodyChanged(t *testing.T) {
	w := embedded(t)
	rapid.Check(t, func(rt *rapid.T) {
		s := draw(t, rt, w, reverse.Upsert, reverse.Update, reverse.Insert, reverse.Delete)
		p := s.through(s.approve(s.plan(s.job, reverse.PlanOptions{})).ID)
		for _, key := range s.keys {
			switch rapid.IntRange(0, 5).Draw(rt, key+" by others") {
			case 0:
				s.mem.Edit("Account", "DW_Key__c", key, reversetest.Fields{"Score__c": rapid.SampledFrom([]string{"", "7"}).Draw(rt, key+" to")})
			case 1:
				s.mem.Remove("Account", "DW_Key__c", key)
			case 2:
				s.mem.Edit("Account", "DW_Key__c", key, reversetest.Fields{"Name": "other"})
			case 3:
				if s.values()[key] == nil {
					s.mem.Add("Account", reversetest.Fields{"DW_Key__c": key})
				}
			}
		}
		want := s.back(p, s.values())
		s.mem.Forget()
		r, err := s.Rollback(t.Context(), p.ID)
		if err != nil {
			rt.Fatal(err)
		}
		if r.Writes()+r.Kept != p.Sent || r.Writes() > p.Writes() {
			rt.Fatalf("%d written and %d kept of %d", r.Writes(), r.Kept, p.Sent)
		}
		s.through(s.approve(r).ID)
		s.world.want("records after the rollback", s.values(), want)
	})
}

// back is the records with the changes of a plan undone that nobody changed since.
func (s *scene) back(p *reverse.Plan, now map[string]reversetest.Fields) map[string]reversetest.Fields {
	out := map[string]reversetest.Fields{}
	for key, f := range now {
		out[key] = maps.Clone(f)
	}
	is := func(f reversetest.Fields, name string, v *string) bool {
		got, ok := f[name]
		return ok == (v != nil) && (v == nil || got == *v)
	}
	for c, err := range s.Changes(s.Context(), p.ID) {
		if err != nil {
			s.Fatal(err)
		}
		live, here := now[c.Key]
		ours := here
		for _, f := range c.Fields {
			ours = ours && is(live, f.Field, f.After)
		}
		switch {
		case c.Kind == reverse.KindDelete && !here:
			out[c.Key] = reversetest.Fields{"DW_Key__c": c.Key}
			for _, f := range c.Fields {
				if f.Before != nil {
					out[c.Key][f.Field] = *f.Before
				}
			}
		case c.Kind == reverse.KindCreate && ours:
			delete(out, c.Key)
		case c.Kind == reverse.KindUpdate && here && s.mem.ID("Account", "DW_Key__c", c.Key) == c.ID:
			for _, f := range c.Fields {
				if is(live, f.Field, f.After) {
					if delete(out[c.Key], f.Field); f.Before != nil {
						out[c.Key][f.Field] = *f.Before
					}
				}
			}
		}
	}
	return out
}

func TestTwoAppliesAtOnce(t *testing.T) {
	w := embedded(t)
	rapid.Check(t, func(rt *rapid.T) {
		s := draw(t, rt, w, reverse.Upsert, reverse.Insert)
		p := s.approve(s.plan(s.job, reverse.PlanOptions{}))
		var wg sync.WaitGroup
		errs := make([]error, 3)
		for i := range errs {
			e := *s.Engine
			e.Owner = fmt.Sprint("worker ", i)
			wg.Go(func() { _, errs[i] = e.Apply(t.Context(), p.ID) })
		}
		wg.Wait()
		won := 0
		for _, err := range errs {
			if err == nil {
				won++
			} else if !errors.Is(err, fault.Stale) {
				rt.Fatalf("apply: %v", err)
			}
		}
		got, err := s.Get(t.Context(), p.ID)
		if err != nil || won == 0 || got.State != reverse.PlanApplied || got.Sent != p.Writes() {
			rt.Fatalf("%d won, %+v, %v", won, got, err)
		}
		s.inBalance(got)
	})
}
