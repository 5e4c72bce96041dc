package reverse_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/millrace-data/millrace/shared/reverse"
	"github.com/millrace-data/millrace/shared/reverse/reversetest"
)

// said is what a query says of a row; "-" is null.
type desired map[string][2]string

func (d desired) query() string {
	lines := []string{"none,-,-"}
	for _, k := range slices.Sorted(maps.Keys(d)) {
		lines = append(lines, k+","+d[k][0]+","+d[k][1])
	}
	return `SELECT * FROM (` + rows(lines...) + `) AS r WHERE "k" <> 'none'`
}

// Whatever the query says, whatever was accepted and whatever people write: a plan
// writes what the query says anew and does not stand there, and nothing else.
func TestPlanProperties(t *testing.T) {
	shared := embedded(t)
	n := 0
	rapid.Check(t, func(r *rapid.T) {
		w := newWorld(t, shared)
		n++
		name := fmt.Sprintf("scores_%d", n)
		nulls := rapid.SampledFrom([]reverse.Nulls{reverse.IgnoreNulls, reverse.BlankNulls}).Draw(r, "nulls")
		w.whole = rapid.Bool().Draw(r, "all records at once")
		keys := rapid.SampledFrom([]string{"k0", "k1", "k2", "k3"})
		score := rapid.SampledFrom([]string{"-", "0", "1", "1.0", "2.50"})
		tier := rapid.SampledFrom([]string{"-", "A", "B", "Z"}) // Z is no choice
		var accepted desired = desired{}
		for step := range rapid.IntRange(1, 4).Draw(r, "steps") {
			for range rapid.IntRange(0, 3).Draw(r, "edits") {
				k, f := keys.Draw(r, "edited"), reversetest.Fields{"Score__c": rapid.SampledFrom([]string{"", "1.0", "7"}).Draw(r, "by hand"), "Tier__c": rapid.SampledFrom([]string{"", "A", "C"}).Draw(r, "by hand")}
				if w.mem.Edit("Account", "DW_Key__c", k, f) == 0 && rapid.Bool().Draw(r, "made by hand") {
					w.mem.Add("Account", reversetest.Fields{"DW_Key__c": k})
				}
			}
			want := desired(rapid.MapOf(keys, rapid.Custom(func(r *rapid.T) [2]string { return [2]string{score.Draw(r, "score"), tier.Draw(r, "tier")} })).Draw(r, "desired"))
			j := job(want.query())
			j.Name, j.Nulls = name, nulls
			full := rapid.Bool().Draw(r, "full")
			w.now = clock.Add(time.Duration(step) * 48 * time.Hour)
			p := w.plan(j, reverse.PlanOptions{Full: full})
			w.balanced(p, int64(len(want)))
			w.sound(r, p, want, accepted, full)
			w.now = w.now.Add(25 * time.Hour)
			if again := w.plan(j, reverse.PlanOptions{Full: full}); again.Hash != p.Hash || again.ID == p.ID {
				r.Fatalf("the same plan has another hash: %v and %v", w.said(p), w.said(again))
			}
			w.apply(p)
			if left := w.said(w.plan(j, reverse.PlanOptions{Full: full})); len(left) > 0 {
				r.Fatalf("after all was applied: %v", left)
			}
			w.arrived(r, p, want, full, nulls)
			for k, v := range want {
				if v[1] != "Z" {
					accepted[k] = merge(accepted[k], v, nulls)
				}
			}
		}
	})
}

func merge(old, now [2]string, nulls reverse.Nulls) [2]string {
	for i := range now {
		if now[i] == "-" && nulls == reverse.IgnoreNulls && old[i] != "" {
			now[i] = old[i]
		}
	}
	return now
}

// sound checks each change against what stands there and what was accepted.
func (w *world) sound(r *rapid.T, p *reverse.Plan, want, accepted desired, full bool) {
	live := w.mem.Records("Account", "DW_Key__c")
	for c, err := range w.Changes(w.Context(), p.ID) {
		if err != nil {
			r.Fatal(err)
		}
		rec, there := live[c.Key]
		if there != (c.Kind == reverse.KindUpdate) {
			r.Fatalf("%s of %s, which is there: %v", c.Kind, c.Key, there)
		}
		for _, f := range c.Fields {
			i := strings.Index("Score__c Tier__c", f.Field) / len("Score__c ")
			before := strings.TrimSuffix(rec[f.Field], ".0")
			if f.Before == nil && before != "" || f.Before != nil && *f.Before != before {
				r.Fatalf("%s %s: before is %v, and there is %q", c.Key, f.Field, f.Before, before)
			}
			if f.After == nil && f.Before == nil || f.After != nil && f.Before != nil && *f.After == *f.Before {
				r.Fatalf("%s %s: what stands there is written", c.Key, f.Field)
			}
			if c.Kind == reverse.KindUpdate && !full && accepted[c.Key][i] == want[c.Key][i] {
				r.Fatalf("%s %s: somebody's edit would be lost, for the query says what it said", c.Key, f.Field)
			}
		}
	}
}

// arrived checks that what the query says stands there, where every row was compared.
func (w *world) arrived(r *rapid.T, p *reverse.Plan, want desired, full bool, nulls reverse.Nulls) {
	live := w.mem.Records("Account", "DW_Key__c")
	for k, v := range want {
		rejected := v[1] == "Z"
		if !full || rejected {
			continue
		}
		for i, f := range []string{"Score__c", "Tier__c"} {
			is, should := live[k][f], map[string]string{"-": "", "1.0": "1", "2.50": "2.5"}[v[i]]
			if should == "" && v[i] != "-" {
				should = v[i]
			}
			if v[i] == "-" && nulls == reverse.IgnoreNulls {
				continue
			}
			if strings.TrimSuffix(is, ".0") != should {
				r.Fatalf("%s %s is %q after plan %s, and the query says %q", k, f, is, p.ID, v[i])
			}
		}
	}
}

func TestPlanIsBlocked(t *testing.T) {
	w := newWorld(t, embedded(t))
	for i := range 4 {
		w.mem.Add("Account", reversetest.Fields{"DW_Key__c": fmt.Sprint("k", i), "Score__c": "10"})
	}
	j := job(rows("k0,0,A", "k1,0,A", "k2,11,A", "k9,1,A"))
	most, share := int64(1), 50.0
	j.Guards = reverse.Guards{Writes: &reverse.Limit{Max: ptr(int64(100))}, Share: &reverse.Limit{MaxPercent: &share}, Fields: map[string]reverse.FieldGuard{"Score__c": {Zeroed: &reverse.Limit{Max: &most}}}}
	p, err := w.Plan(t.Context(), j, reverse.PlanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := w.Get(t.Context(), p.ID)
	if err != nil || p.State != reverse.PlanBlocked || len(got.Blocked) != 2 {
		t.Fatalf("%s, %+v, %v", p.State, got.Blocked, err)
	}
	if b := got.Blocked[1]; b.Guard != "Score__c.zeroed" || len(b.Examples) != 2 {
		t.Errorf("block %+v", b)
	}
	j.Guards.Share, j.Guards.Fields = nil, nil
	next, err := w.Plan(t.Context(), j, reverse.PlanOptions{})
	if old, _ := w.Get(t.Context(), p.ID); err != nil || next.State != reverse.PlanReady || old.State != reverse.PlanStale || old.Next != next.ID {
		t.Errorf("without the guards %s, and the blocked plan is %s, %v", next.State, old.State, err)
	}
}

func ptr[T any](v T) *T { return &v }

func TestView(t *testing.T) {
	w := newWorld(t, embedded(t))
	for i := range 30 {
		w.mem.Add("Account", reversetest.Fields{"DW_Key__c": fmt.Sprintf("k%02d", i), "Score__c": fmt.Sprint(i), "Tier__c": "A"})
	}
	var lines []string
	for i := range 30 {
		lines = append(lines, fmt.Sprintf("k%02d,%d,B", i, i*i))
	}
	lines[7], lines[8] = "k07,0,-", "k08,8,-"
	j := job(rows(append(lines, "new,5,C")...))
	j.Nulls = reverse.BlankNulls
	p := w.plan(j, reverse.PlanOptions{})
	v, err := w.View(t.Context(), p.ID)
	if err != nil {
		t.Fatal(err)
	}
	if l := v.Largest; len(l) != 10 || l[0].Key != "k29" || *l[0].Before != "29" || *l[0].After != "841" {
		t.Errorf("largest %+v", l)
	}
	if len(v.Fields) != 2 {
		t.Fatalf("fields %+v", v.Fields)
	}
	s, tier := v.Fields[0], v.Fields[1]
	if s.Field != "Score__c" || s.Changed != 28 || s.Zeroed != 1 || s.Blanked != 0 || *s.Before != (reverse.Span{Min: "2", Max: "29"}) || *s.After != (reverse.Span{Min: "0", Max: "841"}) {
		t.Errorf("score %+v, before %+v, after %+v", s, s.Before, s.After)
	}
	if tier.Changed != 31 || tier.Blanked != 2 || tier.Before != nil || len(tier.Sample) != 5 || tier.Sample[0].Key == tier.Sample[4].Key {
		t.Errorf("tier %+v", tier)
	}
	if p.Blankings != tier.Blanked || p.Zeroings != s.Zeroed {
		t.Errorf("the plan counts %d blankings and %d zeroings", p.Blankings, p.Zeroings)
	}
}

func TestViewOfDeletes(t *testing.T) {
	w := newWorld(t, embedded(t))
	for i := range 30 {
		w.mem.Add("Account", reversetest.Fields{"DW_Key__c": fmt.Sprintf("k%02d", i), "Score__c": fmt.Sprint(i)})
	}
	j := job(lines(0, 30))
	j.Operation = reverse.Delete
	v, err := w.View(t.Context(), w.plan(j, reverse.PlanOptions{}).ID)
	if err != nil {
		t.Fatal(err)
	}
	if d := v.Deleted; len(d) != 5 || d[0].Key != "k00" || d[4].Key != "k24" || d[4].ID == "" || len(v.Fields) != 0 {
		t.Fatalf("got %+v", v)
	}
	if f := v.Deleted[1].Fields; f[0].Field != "Score__c" || *f[0].Before != "6" {
		t.Errorf("what is lost: %+v", f)
	}
}

// A plan of many rows holds few of them at a time.
func TestPlanIsBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("plans 300,000 records")
	}
	const records = 300_000
	w := newWorld(t, embedded(t))
	w.Connect = (&generated{object: account()}).connect
	stop := heap()
	p := w.plan(million(w, records, false), reverse.PlanOptions{})
	v, err := w.View(t.Context(), p.ID)
	if most := stop() >> 20; most > 128 {
		t.Errorf("%d MiB of heap for %d records", most, records)
	}
	if err != nil || p.Creates != records || v.Fields[0].Changed != records {
		t.Errorf("%d creates, %v", p.Creates, err)
	}
}
