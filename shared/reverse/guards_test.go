package reverse

import (
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// text0 is a value as changes have it; "-" is null.
func text0(s string) *string {
	if s == "-" {
		return nil
	}
	return &s
}

func updates(field string, values ...string) (out []Change) {
	for i, v := range values {
		before, after, _ := strings.Cut(v, ">")
		kind := KindUpdate
		if before == "new" {
			before, kind = "-", KindCreate
		}
		out = append(out, Change{N: int64(i + 1), Key: fmt.Sprintf("k%d", i+1), Kind: kind,
			Fields: []FieldChange{{Field: field, Before: text0(before), After: text0(after)}}})
	}
	return out
}

func judge(g Guards, changes []Change, records int64) []Block {
	w := newWatch(g)
	for _, c := range changes {
		w.see(c)
	}
	return w.verdict(records)
}

func onField(g FieldGuard) Guards { return Guards{Fields: map[string]FieldGuard{"S": g}} }

// kinds are n creates, n updates and n deletes.
func kinds(creates, updates, deletes int) (out []Change) {
	for _, k := range []struct {
		kind Kind
		n    int
	}{{KindCreate, creates}, {KindUpdate, updates}, {KindDelete, deletes}} {
		for range k.n {
			out = append(out, Change{N: int64(len(out) + 1), Key: fmt.Sprintf("k%d", len(out)+1), Kind: k.kind})
		}
	}
	return out
}

func TestBoundaries(t *testing.T) {
	percentOnly := func(p float64) *Limit { return &Limit{MaxPercent: &p} }
	for _, c := range []struct {
		name    string
		guards  Guards
		changes []Change
		records int64
		want    string // guard | observed | allowed
	}{
		{"as many as allowed", Guards{Writes: limit(3)}, kinds(1, 1, 1), 0, ""},
		{"one more", Guards{Writes: limit(2)}, kinds(1, 1, 1), 0, "writes | 3 records would be written | at most 2"},
		{"no deletes", Guards{Deletes: limit(0)}, kinds(0, 1, 1), 0, "deletes | 1 record would be deleted (50 % of 2 planned writes) | none"},
		{"no deletes, and there are none", Guards{Deletes: limit(0)}, kinds(5, 5, 0), 0, ""},
		{"creates over both", Guards{Creates: limit(1, 50)}, kinds(2, 1, 0), 0, "creates | 2 records would be created (66.7 % of 3 planned writes) | at most 1 and 50 %"},
		{"creates over the count alone", Guards{Creates: limit(1, 70)}, kinds(2, 1, 0), 0, ""},
		{"creates over the percentage alone", Guards{Creates: limit(2, 50)}, kinds(2, 1, 0), 0, ""},
		{"a percentage alone, met exactly", Guards{Updates: percentOnly(50)}, kinds(1, 1, 0), 0, ""},
		{"a percentage that no float holds", Guards{Updates: percentOnly(33.3)}, kinds(667, 333, 0), 0, ""},
		{"and one over it", Guards{Updates: percentOnly(33.3)}, kinds(66, 34, 0), 0, "updates | 34 records would be updated (34 % of 100 planned writes) | at most 33.3 % of the planned writes"},
		{"a hair over", Guards{Updates: percentOnly(10)}, kinds(8999, 1001, 0), 0, "updates | 1,001 records would be updated (10.01 % of 10,000 planned writes) | at most 10 % of the planned writes"},
		{"a share of the object", Guards{Share: percentOnly(10)}, kinds(50, 5, 6), 100, "share | 11 records that are there would be touched (11 % of 100 records of the object) | at most 10 % of the records of the object"},
		{"creates touch no record", Guards{Share: percentOnly(10)}, kinds(50, 5, 5), 100, ""},
		{"a share of nothing", Guards{Share: percentOnly(10)}, kinds(1, 1, 0), 0, "share | 1 record that is there would be touched | at most 10 % of the records of the object"},
		{"a plan of nothing", Guards{Writes: limit(0), Share: percentOnly(0), Fields: map[string]FieldGuard{"S": {Zeroed: percentOnly(0), Factor: &Factor{Over: 2}}}}, nil, 0, ""},

		{"zeroed", onField(FieldGuard{Zeroed: limit(1)}), updates("S", "5>0", "-3>0", "0>0", "->0", "new>0", "x>0", "5>-"), 0, "S.zeroed | 2 values of S would become 0 (28.6 % of 7 planned writes) | at most 1"},
		{"blanked", onField(FieldGuard{Blanked: limit(1)}), updates("S", "5>-", "a>-", "->-", "5>0", "new>-"), 0, "S.blanked | 2 values of S would become empty (40 % of 5 planned writes) | at most 1"},
		{"five times is not more", onField(FieldGuard{Factor: &Factor{Over: 5}}), updates("S", "1>5", "5>1", "0.2>1", "-1>-5"), 0, ""},
		{"more than five times", onField(FieldGuard{Factor: &Factor{Over: 5}}), updates("S", "1>5.0000000000000000000000001"), 0, "S.factor | 1 value of S would become more than 5 times as large or as small, or change the sign (100 % of 1 planned write) | none"},
		{"less than a fifth", onField(FieldGuard{Factor: &Factor{Over: 5}}), updates("S", "5>0.9999999999999999999999999", "5>1"), 0, "S.factor | 1 value of S would become more than 5 times as large or as small, or change the sign (50 % of 2 planned writes) | none"},
		{"another sign", onField(FieldGuard{Factor: &Factor{Over: 5}}), updates("S", "1>-1"), 0, "S.factor | 1 value of S would become more than 5 times as large or as small, or change the sign (100 % of 1 planned write) | none"},
		{"no factor of zero, null or text", onField(FieldGuard{Factor: &Factor{Over: 5}}), updates("S", "0>100", "100>0", "->100", "100>-", "a>b", "new>9"), 0, ""},
		{"a factor within its limit", onField(FieldGuard{Factor: &Factor{Over: 1.5, Limit: *limit(2)}}), updates("S", "1>2", "2>1"), 0, ""},
		{"a factor over its limit", onField(FieldGuard{Factor: &Factor{Over: 1.5, Limit: *limit(1, 60)}}), updates("S", "1>2", "2>1"), 0, "S.factor | 2 values of S would become more than 1.5 times as large or as small, or change the sign (100 % of 2 planned writes) | at most 1 and 60 %"},
		{"the ends of a range", onField(FieldGuard{Range: &[2]Bound{"0", "100"}}), updates("S", "1>0", "1>100", "new>0.00", "1>-"), 0, ""},
		{"outside a range", onField(FieldGuard{Range: &[2]Bound{"0", "100"}}), updates("S", "1>-0.00000000001", "new>100.1", "1>high"), 0, "S.range | 3 new values of S are not from 0 to 100 (100 % of 3 planned writes) | only values from 0 to 100"},
		{"a range open above", onField(FieldGuard{Range: &[2]Bound{"0", ""}}), updates("S", "1>1000000000000000000000000", "1>-1"), 0, "S.range | 1 new value of S is not from 0 on (50 % of 2 planned writes) | only values from 0 on"},
		{"a range open below", onField(FieldGuard{Range: &[2]Bound{"", "9"}}), updates("S", "1>-5", "1>9.1"), 0, "S.range | 1 new value of S is not up to 9 (50 % of 2 planned writes) | only values up to 9"},
		{"a range of days", onField(FieldGuard{Range: &[2]Bound{"2026-01-01", "2026-12-31"}}), updates("S", "1>2026-12-31", "1>2026-12-31T23:59:59.999Z", "new>2027-01-01", "1>soon"), 0, "S.range | 2 new values of S are not from 2026-01-01 to 2026-12-31 (50 % of 4 planned writes) | only values from 2026-01-01 to 2026-12-31"},
		{"a set", onField(FieldGuard{Set: []string{"A", "B", "1.50"}}), updates("S", "x>A", "new>B", "x>1.5", "x>A;B", "x>-", "x>a", "x>A;C"), 0, "S.set | 2 new values of S are not in its set (28.6 % of 7 planned writes) | only A, B, 1.50"},
		{"another field", onField(FieldGuard{Zeroed: limit(0), Blanked: limit(0), Range: &[2]Bound{"5", ""}}), updates("T", "5>0", "5>-"), 0, ""},
		{"deletes are no changes of fields", onField(FieldGuard{Blanked: limit(0)}), []Change{{N: 1, Kind: KindDelete, Fields: []FieldChange{{Field: "S", Before: text0("5")}}}}, 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, b := range judge(c.guards, c.changes, c.records) {
				got = append(got, strings.Join([]string{b.Guard, b.Observed, b.Allowed}, " | "))
			}
			if all := strings.Join(got, "\n"); all != c.want {
				t.Errorf("got\n%s\nwant\n%s", all, c.want)
			}
		})
	}
}

func TestTheSentenceOfTheDesign(t *testing.T) {
	values := append(slices.Repeat([]string{"80>0"}, 412), slices.Repeat([]string{"80>81"}, 88)...)
	values[300] = "95.5>0"
	blocks := judge(onField(FieldGuard{Zeroed: limit(10, 1)}), updates("S", values...), 0)
	if len(blocks) != 1 || blocks[0].Observed != "412 values of S would become 0 (82.4 % of 500 planned writes)" || blocks[0].Allowed != "at most 10 and 1 %" {
		t.Fatalf("got %+v", blocks)
	}
	var keys []string
	for _, e := range blocks[0].Examples {
		keys = append(keys, e.Key+" "+*e.Before+" "+*e.After)
	}
	if diff := cmp.Diff([]string{"k301 95.5 0", "k1 80 0", "k2 80 0", "k3 80 0", "k4 80 0"}, keys); diff != "" {
		t.Errorf("examples, the largest first (-want +got):\n%s", diff)
	}
}

func TestCountsOfAllFields(t *testing.T) {
	w := newWatch(Guards{})
	for _, c := range updates("T", "5>0", "0.5>0", "->0", "a>-", "5>-", "0>0") {
		w.see(c)
	}
	if w.zeroings != 2 || w.blankings != 2 {
		t.Errorf("got %d zeroings and %d blankings, want 2 and 2", w.zeroings, w.blankings)
	}
}

func TestWatchKeepsLittle(t *testing.T) {
	w := newWatch(onField(FieldGuard{Zeroed: limit(0)}))
	change := updates("S", "5>0")[0]
	for i := range 100_000 {
		change.N = int64(i)
		w.see(change)
	}
	if n := len(w.fields["S"].zeroed.rows); n != examplesMax {
		t.Errorf("keeps %d rows, want %d", n, examplesMax)
	}
}

// TestLimitProperty holds limits against rational numbers.
func TestLimitProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		count, total := rapid.Int64Range(0, 5000).Draw(t, "count"), rapid.Int64Range(0, 5000).Draw(t, "total")
		hundredths := rapid.Int64Range(0, 10000).Draw(t, "hundredths of a percent")
		most := rapid.Int64Range(0, 5000).Draw(t, "max")
		p := float64(hundredths) / 100
		overMax := count > most
		overPercent := big.NewRat(count*10000, 1).Cmp(big.NewRat(hundredths*total, 1)) > 0
		for _, c := range []struct {
			limit Limit
			want  bool
		}{{Limit{}, count > 0}, {Limit{Max: &most}, overMax}, {Limit{MaxPercent: &p}, overPercent}, {Limit{&most, &p}, overMax && overPercent}} {
			if got := c.limit.over(count, total); got != c.want {
				t.Fatalf("%+v over %d of %d: got %v", c.limit, count, total, got)
			}
		}
	})
}

// TestFactorProperty holds the factor against rational numbers, and examples against
// a sort of everything.
func TestFactorProperty(t *testing.T) {
	value := rapid.StringMatching(`-?[0-9]{1,20}(\.[0-9]{1,10})?`)
	rapid.Check(t, func(t *rapid.T) {
		over := float64(rapid.IntRange(11, 200).Draw(t, "over")) / 10
		pairs := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) string { return value.Draw(t, "before") + ">" + value.Draw(t, "after") }), 0, 20).Draw(t, "values")
		changes := updates("S", pairs...)
		var want []Change
		diff := map[string]*big.Rat{}
		for _, c := range changes {
			b, a := rat(*c.Fields[0].Before), rat(*c.Fields[0].After)
			diff[c.Key] = new(big.Rat).Abs(new(big.Rat).Sub(a, b))
			if a.Sign()*b.Sign() == 0 {
				continue
			}
			low, high := new(big.Rat).Abs(a), new(big.Rat).Abs(b)
			if low.Cmp(high) > 0 {
				low, high = high, low
			}
			if a.Sign() != b.Sign() || high.Cmp(low.Mul(low, rat(fmt.Sprint(over)))) > 0 {
				want = append(want, c)
			}
		}
		slices.SortStableFunc(want, func(a, b Change) int { return diff[b.Key].Cmp(diff[a.Key]) })
		var keys, got []string
		for _, c := range want[:min(len(want), examplesMax)] {
			keys = append(keys, c.Key)
		}
		w := newWatch(onField(FieldGuard{Factor: &Factor{Over: over}}))
		for _, c := range changes {
			w.see(c)
		}
		for _, e := range w.fields["S"].factor.examples() {
			got = append(got, e.Key)
		}
		if w.fields["S"].factor.count != int64(len(want)) || !slices.Equal(got, keys) {
			t.Fatalf("got %d %v, want %d %v", w.fields["S"].factor.count, got, len(want), keys)
		}
		if blocks := w.verdict(0); (len(blocks) > 0) != (len(want) > 0) {
			t.Fatalf("blocks %v for %d values", blocks, len(want))
		}
	})
}

func rat(s string) *big.Rat {
	r, _ := new(big.Rat).SetString(s)
	return r
}
