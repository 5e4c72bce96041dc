package warehousetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/gate"
	"github.com/millrace-data/millrace/shared/record"
	"github.com/millrace-data/millrace/shared/warehouse"
)

var commitTests = []property{
	{"ledger, totals and mark move with the data", func(s *store) {
		l := s.prepare(table(record.Append), window(0, 1), people("1:a", "2:b"))
		l.Event = "event-1"
		res := s.commit(l)
		now := s.ledger(l)
		equal(s, "slice returned", res.Slice, now)
		equal(s, "slice", fmt.Sprint(now.State, now.RowsSource, now.RowsStaged, now.RowsRejected, now.RowsLoaded, now.Bytes, now.Digest, now.Manifest, now.LoadedAt),
			fmt.Sprint("loaded", 2, 2, 0, 2, 100, l.Slice.Digest, l.Slice.Manifest, l.Now))
		equal(s, "mark returned", res.Mark.At, day(1))
		m, err := s.w.Mark(s.ctx, l.Slice.Function, l.Slice.Table)
		s.must(err)
		equal(s, "mark", m, res.Mark)
		equal(s, "inbox", s.control("inbox", "event", "consumer"), []string{"event-1|load"})
	}},
	{"a newer fence makes the load stale", func(s *store) {
		l := s.prepare(table(record.Append), window(0, 1), people("1:a"))
		st := s.stage(l)
		defer st.Close()
		next := s.claim(l.Table, window(0, 1))
		for range 2 {
			_, err := st.Commit(s.ctx, []gate.Check{{Rule: "x", Verdict: gate.Pass}})
			s.is(err, fault.Stale, "fence")
		}
		_, err := st.Refuse(s.ctx, nil, errGate)
		s.is(err, fault.Stale)
		equal(s, "rows", s.rows(l.Table, "id"), []string{})
		equal(s, "checks", s.control("checks", "rule"), []string{})
		equal(s, "slice", s.ledger(l), next)
	}},
	{"a zombie's manifest is stale after the new one is loaded", func(s *store) {
		zombie := s.prepare(table(record.Append), window(0, 1), people("1:old"))
		s.load(zombie.Table, window(0, 1), people("1:new"))
		st := s.stage(zombie)
		defer st.Close()
		_, err := st.Commit(s.ctx, nil)
		s.is(err, fault.Stale)
		equal(s, "rows", s.rows(zombie.Table, "name"), []string{"new"})
	}},
	{"the same manifest twice is one load", func(s *store) {
		for _, mode := range modes {
			l := s.prepare(table(mode), scan(1), people("1:a"))
			first := s.commit(l)
			before := s.rows(l.Table, "id", "_loaded_at")
			l.Now = l.Now.Add(time.Hour)
			again := s.commit(l)
			equal(s, "again", fmt.Sprint(first.Again, again.Again), "false true")
			equal(s, "slice", again.Slice, first.Slice)
			equal(s, "mark", again.Mark, first.Mark)
			equal(s, "rows", s.rows(l.Table, "id", "_loaded_at"), before)
		}
	}},
	{"two loads of one manifest at the same time have one effect", func(s *store) {
		for _, mode := range modes {
			l := s.prepare(table(mode), scan(1), people("1:a", "2:b"))
			const loaders = 4
			var wg sync.WaitGroup
			again := make([]bool, loaders)
			for i := range loaders {
				wg.Go(func() {
					st, err := s.w.Stage(s.ctx, l)
					if err != nil {
						s.Error(err)
						return
					}
					defer st.Close()
					res, err := st.Commit(s.ctx, []gate.Check{{Rule: string(mode), Verdict: gate.Pass}})
					if again[i] = res.Again; err != nil {
						s.Error(err)
					}
				})
			}
			wg.Wait()
			fresh := 0
			for _, a := range again {
				if !a {
					fresh++
				}
			}
			equal(s, string(mode)+" loads that did something", fresh, 1)
			equal(s, string(mode), s.rows(l.Table, "id"), []string{"1", "2"})
		}
		equal(s, "checks", len(s.control("checks", "rule")), len(modes))
	}},
	{"a manifest loaded by hand brings its slice along", func(s *store) {
		t := table(record.Append)
		_, err := s.w.Ensure(s.ctx, t)
		s.must(err)
		sl := window(0, 1)
		sl.Function, sl.Table, sl.Purpose, sl.Fence = function, t.FullName(), "live", 7
		res := s.commit(s.attempt(t, sl, people("1:a")))
		equal(s, "slice", fmt.Sprint(res.Slice.Fence, res.Slice.State, res.Mark.At), fmt.Sprint(7, "loaded", day(1)))
	}},
	{"a cancelled load leaves nothing and the connection works", func(s *store) {
		l := s.prepare(table(record.Append), window(0, 1), people("1:a"))
		gone, cancel := context.WithCancel(s.ctx)
		cancel()
		if _, err := s.w.Stage(gone, l); !errors.Is(err, context.Canceled) {
			s.Errorf("stage: got %v, want context canceled", err)
		}
		st := s.stage(l)
		for _, err := range []error{
			second(st.Measure(gone, []gate.Rule{gate.Once("id")})), last(st.Quarantine(gone, []gate.Rule{gate.Require("id")})), last(st.Commit(gone, nil)),
		} {
			if !errors.Is(err, context.Canceled) || errors.Is(err, fault.Corrupt) {
				s.Errorf("got %v, want context canceled and nothing else", err)
			}
		}
		during, stop := context.WithCancel(s.ctx)
		st.Close()
		l.Point = func(string) { stop() }
		st = s.stage(l)
		if _, err := st.Commit(during, nil); !errors.Is(err, context.Canceled) {
			s.Errorf("commit: got %v, want context canceled", err)
		}
		st.Close()
		equal(s, "rows", s.rows(l.Table, "id"), []string{})
		equal(s, "state", s.ledger(l).State, warehouse.Staged)
		l.Point = nil
		s.commit(l)
		equal(s, "rows", s.rows(l.Table, "id"), []string{"1"})
	}},
	{"what a load leaves on its connection is not in the next one's way", func(s *store) {
		s.w.DB().SetMaxOpenConns(1)
		a := s.prepare(table(record.History), scan(1), append(people("1:a"), row{"name": "no key"}))
		wide := typed()
		b := s.prepare(wide, object("b"), []row{{"id": "1", "n": "5"}})
		st := s.stage(a)
		_, err := st.Quarantine(s.ctx, []gate.Rule{gate.Require("id")})
		s.must(err)
		st.Close() // not committed
		s.commit(b)
		equal(s, "rows", s.rows(wide, "id", "n"), []string{"1|5"})
		s.commit(a, gate.Require("id"))
		equal(s, "rows", s.rows(a.Table, "id", "name"), []string{"1|a"})
		equal(s, "rejects", s.control("rejects", "slice", "state"), []string{"scan-001|open"})
	}},
	{"drift is kept once per field", func(s *store) {
		for i, fields := range [][]string{{"newField"}, {"newField", "it's"}} {
			l := s.prepare(table(record.Append), window(i, i+1), people("1:a"))
			l.New, l.Missing = fields, []string{"gone"}
			s.commit(l)
		}
		equal(s, "drift", s.control("drift", "field", "kind", "slice"), []string{"gone|missing|w001-002", "it's|new|w001-002", "newField|new|w001-002"})
		equal(s, "first seen", s.query(`SELECT count(*) FROM "millrace"."drift" WHERE "first_seen" < "last_seen"`), []string{"2"})
	}},
	{"an event is in the inbox once", func(s *store) {
		for i := range 2 {
			l := s.prepare(table(record.Append), window(i, i+1), nil)
			l.Event = "same"
			s.commit(l)
		}
		equal(s, "inbox", s.control("inbox", "event"), []string{"same"})
	}},
}

func last[T any](_ T, err error) error { return err }

func second[A, B any](_ A, _ B, err error) error { return err }

var errCrash = errors.New("crash")

// crash commits and panics at a named point, as a killed process would stop there.
func (s *store) crash(l warehouse.Load, point string, refuse bool) {
	s.Helper()
	l.Point = func(name string) {
		if name == point {
			panic(errCrash)
		}
	}
	st := s.stage(l)
	defer st.Close()
	defer func() {
		if r := recover(); r != errCrash {
			s.Errorf("the point %s was not met: %v", point, r)
		}
	}()
	if refuse {
		st.Refuse(s.ctx, nil, errGate)
		return
	}
	st.Commit(s.ctx, []gate.Check{{Rule: "x", Verdict: gate.Pass}})
}

var crashTests = []property{
	{"nothing is visible after a crash and the next load is whole", func(s *store) {
		for _, mode := range modes {
			for _, point := range []string{"in_tx_before_data", "in_tx_before_fence"} {
				t := table(mode)
				t.Name += point
				s.load(t, scan(1), inPart("p", people("1:a", "2:b")))
				before := s.rows(t, "id", "name", "_slice", "_loaded_at")
				mark, err := s.w.Mark(s.ctx, function, t.FullName())
				s.must(err)
				checks := s.control("checks", "rule")

				l := s.prepare(t, scan(2), inPart("p", people("1:A", "3:c")))
				l.Rejects, l.New, l.Event = []string{s.write(`{"row":"{}","reason":"r","rule":"u"}`)}, []string{"f"}, t.Name
				s.crash(l, point, false)
				s.crash(l, point, true)
				name := string(mode) + " " + point
				equal(s, name, s.rows(t, "id", "name", "_slice", "_loaded_at"), before)
				equal(s, name+" state", s.ledger(l).State, warehouse.Staged)
				equal(s, name+" checks", s.control("checks", "rule"), checks)
				equal(s, name+" inbox", s.query(`SELECT "event" FROM "millrace"."inbox" WHERE "event" = ?`, t.Name), []string{})
				equal(s, name+" rejects and drift", s.query(`SELECT "reject" FROM "millrace"."rejects" WHERE "table_name" = ? UNION ALL SELECT "field" FROM "millrace"."drift" WHERE "table_name" = ?`, t.FullName(), t.FullName()), []string{})
				now, err := s.w.Mark(s.ctx, function, t.FullName())
				s.must(err)
				equal(s, name+" mark", now, mark)

				l.Slice.RowsSource, l.Slice.RowsRejected = 3, 1
				s.commit(l)
				equal(s, name+" afterwards", len(s.query(`SELECT "id" FROM `+full(t)+` WHERE "name" = 'A'`)), 1)
			}
		}
	}},
	{"a failure in the middle rolls all of it back", func(s *store) {
		for _, mode := range modes {
			t := table(mode)
			s.load(t, scan(1), inPart("p", people("1:a")))
			l := s.prepare(t, scan(1), inPart("p", people("2:b")))
			l.Slice.RowsStaged = 5 // the manifest promises more
			st := s.stage(l)
			_, err := st.Commit(s.ctx, nil)
			s.is(err, fault.Corrupt)
			st.Close()
			equal(s, string(mode), s.rows(t, "id"), []string{"1"})
		}
	}},
}
