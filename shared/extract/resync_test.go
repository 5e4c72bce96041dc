package extract_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/extract/extracttest"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/record"
	"github.com/millrace-data/millrace/shared/warehouse"
)

// book is a vendor that can change what it said: numbers by id, each on a day of
// January 2025.
type book struct {
	numbers map[string]int64 // "DAY-x"
	reads   []string         // slices read, in order
	fail    func(s extract.Slice) error
}

func (b *book) Read(_ context.Context, s extract.Slice, out *extract.Out) error {
	b.reads = append(b.reads, s.Table+" "+s.ID)
	if b.fail != nil {
		if err := b.fail(s); err != nil {
			return err
		}
	}
	for _, id := range slices.Sorted(maps.Keys(b.numbers)) {
		var d int
		fmt.Sscanf(id, "%d-", &d)
		if at := time.Date(2025, 1, d, 12, 0, 0, 0, time.UTC); !s.From.Before(s.To) || (!at.Before(s.From) && at.Before(s.To)) {
			if err := out.Row(fmt.Appendf(nil, `{"id":%q,"at":%q,"n":%d}`, id, at.Format(time.RFC3339), b.numbers[id])); err != nil {
				return err
			}
		}
	}
	return out.Page("end")
}

// resyncing is a mill whose live table is filled from a book.
type resyncing struct {
	*testing.T
	mill *extracttest.Mill
	book *book
	f    *extract.Function
	now  time.Time
}

func newResyncing(t *testing.T, s extract.Slicing, mode record.Mode) *resyncing {
	b := &book{numbers: map[string]int64{}}
	for d := 1; d <= 4; d++ {
		for _, x := range "abc" {
			b.numbers[fmt.Sprintf("%d-%c", d, x)] = int64(d)
		}
	}
	f := (&counter{}).function()
	f.Tables[0].Slices, f.Tables[0].Mode = s, mode
	f.Open = func(env.Lookup, extract.Invocation) (extract.Source, error) { return b, nil }
	r := &resyncing{t, extracttest.New(t, env.Map(nil)), b, f, now}
	r.live()
	return r
}

func daily() extract.Slicing {
	return extract.Windows(day, time.Hour, day, time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC))
}

func (r *resyncing) live() {
	r.Helper()
	if err := r.mill.Run(r.Context(), r.f, extract.Request{Now: r.now}); err != nil {
		r.Fatal(err)
	}
}

func (r *resyncing) begin() *extract.TableResync {
	r.Helper()
	x, err := extract.NewResync(r.f, env.Map(nil), "numbers", r.now)
	if err != nil {
		r.Fatal(err)
	}
	x.Warehouse = r.mill.Warehouse
	return x
}

// read fills the shadow.
func (r *resyncing) read(x *extract.TableResync) {
	r.Helper()
	if err := x.Prepare(r.Context()); err != nil {
		r.Fatal(err)
	}
	if err := r.mill.Run(r.Context(), x.Function(), extract.Request{Now: r.now}); err != nil {
		r.Fatal(err)
	}
}

// resync is what the command does.
func (r *resyncing) resync(c extract.Choice) extract.Verdict {
	r.Helper()
	x := r.begin()
	r.read(x)
	v, err := x.Finish(r.Context(), c)
	if errors.Is(err, extract.ErrBehind) {
		r.read(x)
		v, err = x.Finish(r.Context(), c)
	}
	if err != nil {
		r.Fatal(err)
	}
	return v
}

func (r *resyncing) numbers() []string {
	r.Helper()
	return r.mill.Rows(r, `SELECT id, n FROM counter.numbers ORDER BY id`)
}

func (r *resyncing) want() (out []string) {
	for _, id := range slices.Sorted(maps.Keys(r.book.numbers)) {
		out = append(out, fmt.Sprintf("%s|%d", id, r.book.numbers[id]))
	}
	return out
}

// clean fails unless the table is the book, nothing of a shadow is left, and the
// ledger balances.
func (r *resyncing) clean() {
	r.Helper()
	if diff := cmp.Diff(r.want(), r.numbers()); diff != "" {
		r.Errorf("rows (-want +got):\n%s", diff)
	}
	for _, q := range []string{
		`SELECT table_name, slice FROM millrace.slices WHERE table_name LIKE '%resync%' OR rows_source <> rows_loaded + rows_rejected`,
		`SELECT table_name FROM information_schema.tables WHERE table_name LIKE '%__resync'`,
		`SELECT table_name FROM millrace.marks WHERE table_name <> 'numbers'`,
	} {
		if left := r.mill.Rows(r, q); len(left) > 0 {
			r.Errorf("%s: %v", q, left)
		}
	}
}

func tallied(v extract.Verdict) string {
	return fmt.Sprintf("%s added %d removed %d changed %d same %d", v.Outcome, v.Added, v.Removed, v.Changed, v.Same)
}

func (r *resyncing) got(v extract.Verdict, want string) {
	r.Helper()
	if got := tallied(v); got != want {
		r.Errorf("got %s, want %s; %v", got, want, v.Why)
	}
}

func TestResync(t *testing.T) {
	for _, tc := range []struct {
		name    string
		slicing extract.Slicing
		mode    record.Mode
	}{
		{"windows merged", daily(), record.Merge}, {"windows appended", daily(), record.Append},
		{"scans merged", extract.Scans(day, 0), record.Merge}, {"scans replaced", extract.Scans(day, 0), record.ReplaceAll},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newResyncing(t, tc.slicing, tc.mode)
			r.got(r.resync(extract.Choice{}), "same added 0 removed 0 changed 0 same 12")
			r.clean()
			mark := r.mill.Rows(t, `SELECT mark FROM millrace.marks`)
			delete(r.book.numbers, "1-b") // long before the lookback
			r.book.numbers["2-a"], r.book.numbers["3-z"] = 77, 3
			r.got(r.resync(extract.Choice{}), "swapped added 1 removed 1 changed 1 same 10")
			r.clean()
			if diff := cmp.Diff(mark, r.mill.Rows(t, `SELECT mark FROM millrace.marks`)); diff != "" {
				t.Errorf("mark (-before +after):\n%s", diff)
			}
			reads := len(r.book.reads)
			r.now = r.now.Add(time.Hour)
			r.live()
			r.clean()
			for _, s := range r.book.reads[reads:] {
				if s != "numbers 2025-01-04" {
					t.Errorf("the run after it read %s: the swapped ledger owes nothing but the lookback", s)
				}
			}
		})
	}
}

// change edits n numbers, which the table must have: more than the gate lets pass.
func (r *resyncing) change(n int) {
	for i := range n {
		id := fmt.Sprintf("1-%04d", i)
		r.book.numbers[id]++
	}
}

func TestResyncIsRefusedAndAccepted(t *testing.T) {
	r := newResyncing(t, daily(), record.Merge)
	r.change(150)
	r.got(r.resync(extract.Choice{}), "swapped added 150 removed 0 changed 0 same 12") // additions are what a re-sync is for
	r.change(101)
	before := r.numbers()
	first := r.resync(extract.Choice{})
	r.got(first, "refused added 0 removed 0 changed 101 same 61")
	if len(first.Why) != 1 || !strings.Contains(first.Why[0], "101 of 162 rows would be changed") {
		t.Errorf("why: %q", first.Why)
	}
	if diff := cmp.Diff(before, r.numbers()); diff != "" {
		t.Errorf("a refused re-sync changed the table (-before +after):\n%s", diff)
	}
	r.book.numbers["4-c"] = 99
	r.got(r.resync(extract.Choice{Accept: first.ID}), "refused added 0 removed 0 changed 102 same 60") // another difference
	second, err := r.begin().Finish(t.Context(), extract.Choice{DryRun: true})
	if err != nil {
		t.Fatal(err)
	}
	reads := len(r.book.reads)
	v, err := r.begin().Finish(t.Context(), extract.Choice{Accept: second.ID})
	if err != nil {
		t.Fatal(err)
	}
	r.got(v, "swapped added 0 removed 0 changed 102 same 60")
	if len(r.book.reads) != reads {
		t.Error("to accept, the vendor was read again")
	}
	r.clean()
	want := []string{first.ID + "|refused|101", second.ID + "|swapped|102"}
	got := r.mill.Rows(t, `SELECT resync, outcome, changed FROM millrace.resyncs WHERE changed > 0 ORDER BY changed`)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("millrace.resyncs (-want +got):\n%s", diff)
	}
}

func TestResyncWithoutRowsIsRefused(t *testing.T) {
	r := newResyncing(t, daily(), record.Merge)
	before := r.numbers()
	clear(r.book.numbers)
	v := r.resync(extract.Choice{})
	r.got(v, "refused added 0 removed 12 changed 0 same 0")
	if diff := cmp.Diff(before, r.numbers()); diff != "" {
		t.Errorf("rows (-before +after):\n%s", diff)
	}
	r.got(r.resync(extract.Choice{Accept: v.ID}), "swapped added 0 removed 12 changed 0 same 0")
	r.clean()
}

func TestResyncDryRun(t *testing.T) {
	r := newResyncing(t, daily(), record.Merge)
	r.book.numbers["2-a"] = 77
	before := r.numbers()
	r.got(r.resync(extract.Choice{DryRun: true}), "compared added 0 removed 0 changed 1 same 11")
	if diff := cmp.Diff(before, r.numbers()); diff != "" {
		t.Errorf("a dry run changed the table (-before +after):\n%s", diff)
	}
	if err := r.begin().Discard(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.book.numbers["2-a"] = 2
	r.clean()
}

func TestResyncGoesOn(t *testing.T) {
	r := newResyncing(t, daily(), record.Merge)
	r.book.numbers["2-a"] = 77
	r.book.fail = func(s extract.Slice) error {
		if s.ID == "2025-01-04" {
			return fault.New(fault.Transient, "the vendor is away")
		}
		return nil
	}
	r.read(r.begin())
	if waiting, err := r.begin().Waiting(t.Context()); err != nil || !waiting {
		t.Errorf("waiting %v, %v: want a shadow that was begun", waiting, err)
	}
	r.book.fail, r.book.reads = nil, nil
	r.got(r.resync(extract.Choice{}), "swapped added 0 removed 0 changed 1 same 11")
	if diff := cmp.Diff([]string{"numbers 2025-01-04"}, r.book.reads); diff != "" {
		t.Errorf("read when it went on (-want +got):\n%s", diff)
	}
	r.clean()
}

func TestResyncIsNotOlderThanTheTable(t *testing.T) {
	for name, tc := range map[string]struct {
		s    extract.Slicing
		next time.Duration // until the table reads the fourth of January again
	}{"windows": {daily(), time.Hour}, "scans": {extract.Scans(day, 0), day}} {
		t.Run(name, func(t *testing.T) {
			r := newResyncing(t, tc.s, record.Merge)
			x := r.begin()
			r.book.numbers["2-a"] = 77
			r.read(x)
			r.now = r.now.Add(tc.next) // the table goes on meanwhile
			r.book.numbers["4-b"] = 88
			delete(r.book.numbers, "4-a")
			r.live()
			if _, err := x.Finish(t.Context(), extract.Choice{}); !errors.Is(err, extract.ErrBehind) {
				t.Fatalf("error %v, want ErrBehind: the swap would take the table back", err)
			}
			if v := r.resync(extract.Choice{}); v.Outcome != warehouse.Swapped || v.Added != 0 {
				t.Errorf("got %s: want a swap that adds nothing", tallied(v))
			}
			r.clean()
		})
	}
}

func TestResyncOfBackfilledTime(t *testing.T) {
	r := newResyncing(t, extract.Windows(day, time.Hour, day, time.Date(2025, 1, 3, 0, 0, 0, 0, time.UTC)), record.Append)
	old := extract.Request{Now: r.now, Purpose: extract.Backfill, From: time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC), To: time.Date(2025, 1, 2, 0, 0, 0, 0, time.UTC)}
	if err := r.mill.Run(t.Context(), r.f, old); err != nil {
		t.Fatal(err)
	}
	r.book.numbers["1-a"] = 11
	r.got(r.resync(extract.Choice{}), "swapped added 0 removed 0 changed 1 same 8") // not the second of January, which nobody asked for
	got := r.mill.Rows(t, `SELECT slice, purpose FROM millrace.slices ORDER BY range_from`)
	if diff := cmp.Diff([]string{"2025-01-01|backfill", "2025-01-03|live", "2025-01-04|live"}, got); diff != "" {
		t.Errorf("ledger (-want +got):\n%s", diff)
	}
}

func TestResyncCrash(t *testing.T) {
	for _, point := range []string{"in_swap_before_data", "in_swap_before_commit", "after_swap"} {
		t.Run(point, func(t *testing.T) {
			r := newResyncing(t, daily(), record.Merge)
			r.book.numbers["2-a"] = 77
			x := r.begin()
			x.Point = func(name string) {
				if name == point {
					panic(name)
				}
			}
			r.read(x)
			func() {
				defer func() {
					if recover() != any(point) {
						t.Errorf("point %s was not met", point)
					}
				}()
				_, _ = x.Finish(t.Context(), extract.Choice{})
			}()
			want := "swapped added 0 removed 0 changed 1 same 11"
			if point == "after_swap" {
				want = "same added 0 removed 0 changed 0 same 12"
			}
			r.got(r.resync(extract.Choice{}), want)
			r.clean()
		})
	}
}

func TestResyncThatCannotBe(t *testing.T) {
	b := (&counter{pages: 1, perPage: 1}).function()
	for name, tc := range map[string]struct {
		change func(*extract.Function)
		words  string
	}{
		"once":    {func(f *extract.Function) { f.Tables[0].Once = true }, "does not give again"},
		"history": {func(f *extract.Function) { f.Tables[0].Mode = record.History }, "keeps history"},
		"beside": {func(f *extract.Function) {
			f.Tables = append(f.Tables, extract.Table{Table: record.Table{Name: "more"}, Beside: "numbers"})
		}, "several tables at once"},
		"unknown": {func(f *extract.Function) { f.Tables[0].Name = "other" }, "no table"},
		"empty":   {func(*extract.Function) {}, "nothing was ever loaded"},
	} {
		t.Run(name, func(t *testing.T) {
			f := *b
			f.Tables = slices.Clone(b.Tables)
			tc.change(&f)
			m := extracttest.New(t, env.Map(nil))
			x, err := extract.NewResync(&f, env.Map(nil), "numbers", now)
			if err == nil {
				x.Warehouse = m.Warehouse
				err = x.Prepare(t.Context())
			}
			if !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), tc.words) {
				t.Errorf("error %v, want fault.Invalid that says %q", err, tc.words)
			}
		})
	}
}
