package extract_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/extract/extracttest"
	"github.com/millrace-data/millrace/shared/gate"
	"github.com/millrace-data/millrace/shared/record"
)

// pair is a vendor whose one document holds letters and words.
func pair() *scripted {
	words := letters("words", record.Merge)
	words.Slices, words.Beside = extract.Slicing{}, "letters"
	v := &scripted{tables: []extract.Table{letters("letters", record.Merge), words}, objects: object("o")}
	v.read = func(_ context.Context, _ extract.Slice, out *extract.Out) error {
		var page int
		_, _ = fmt.Sscan(out.Cursor(), &page)
		for ; page < 3; page++ {
			err := errors.Join(rows(out, fmt.Sprint("l", page)), rows(out.Beside("words"), fmt.Sprint("w", page), fmt.Sprint("v", page)))
			if err == nil {
				err = out.Page(fmt.Sprint(page + 1))
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
	return v
}

var pairLoaded = []string{"letters|o|loaded|3", "words|o|loaded|6"}

func checkPair(t *testing.T, m *extracttest.Mill) {
	t.Helper()
	if diff := cmp.Diff(pairLoaded, m.Rows(t, stateOf)); diff != "" {
		t.Errorf("ledger (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"3|6"}, m.Rows(t, `SELECT (SELECT count(*) FROM scripted.letters), (SELECT count(*) FROM scripted.words)`)); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

func TestBeside(t *testing.T) {
	v, m := pair(), extracttest.New(t, env.Map(nil))
	v.run(t, m)
	checkPair(t, m)
	if len(m.Outcomes) != 1 || m.Outcomes[0].Rows != 9 || len(m.Loads) != 2 {
		t.Errorf("%d readings, %d rows, %d loads; want 1, 9, 2", len(m.Outcomes), m.Outcomes[0].Rows, len(m.Loads))
	}
	v.run(t, m)
	if len(m.Outcomes) != 1 {
		t.Errorf("loaded tables were read again")
	}
	if _, err := m.Extract.Tick(t.Context(), v.function(), extract.Request{Now: now, Tables: []string{"words"}, Purpose: extract.Backfill}); err != nil || len(m.Slices) != 1 {
		t.Errorf("asked for the table beside: %d slices, %v; want the one they share", len(m.Slices), err)
	}
}

// Killed at every point, a slice of two tables ends with each row once in both.
func TestBesideKilledAnywhere(t *testing.T) {
	for n := 1; ; n++ {
		passed := killPair(t, n)
		if passed < n {
			if n < 8 {
				t.Errorf("only %d points were passed", passed)
			}
			return
		}
	}
}

type kill struct{}

// killPair runs the pair and ends it by a panic at the n-th point, then again.
func killPair(t *testing.T, n int) (passed int) {
	v, m := pair(), extracttest.New(t, env.Map(nil))
	m.Extract.FlushEvery = 1 // every page
	die := func(string) {
		if passed++; passed == n {
			panic(kill{})
		}
	}
	m.Extract.Point, m.Load.Point = die, die
	func() {
		defer func() {
			if r := recover(); r != nil && r != (kill{}) {
				panic(r)
			}
		}()
		// Points of pages are passed on another goroutine, which a test cannot kill;
		// with a table beside they are passed on this one.
		v.run(t, m)
	}()
	m.Extract.Point, m.Load.Point = nil, nil
	m.Slices, m.Arrivals = nil, nil
	if _, err := m.Warehouse.DB().ExecContext(t.Context(), `UPDATE millrace.slices SET lease_until = NULL`); err != nil {
		t.Fatal(err)
	}
	v.run(t, m)
	checkPair(t, m)
	return passed
}

// While one of its tables is not loaded, a slice is due.
func TestBesideRefused(t *testing.T) {
	v, m := pair(), extracttest.New(t, env.Map(nil))
	v.tables[1].Rules = []gate.Rule{gate.AtLeast(100)}
	v.run(t, m)
	if diff := cmp.Diff([]string{"letters|o|loaded|3", "words|o|refused|0"}, m.Rows(t, stateOf)); diff != "" {
		t.Errorf("ledger (-want +got):\n%s", diff)
	}
	v.tables[1].Rules = nil
	v.run(t, m)
	checkPair(t, m)
}
