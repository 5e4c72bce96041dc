package warehousetest

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/record"
	"github.com/millrace-data/millrace/shared/warehouse"
)

// due is a planned slice without a table.
func (s *store) due(id string) warehouse.Slice {
	s.Helper()
	sl := window(0, 1)
	sl.ID, sl.Function, sl.Table, sl.Purpose = id, function, "kit.t", "live"
	s.must(s.w.Plan(s.ctx, []warehouse.Slice{sl}))
	return sl
}

func (s *store) take(sl warehouse.Slice, owner string, lease time.Duration) (warehouse.Slice, error) {
	return s.w.Claim(s.ctx, sl.Function, sl.Table, sl.ID, owner, lease)
}

var ledgerTests = []property{
	{"planning twice changes nothing", func(s *store) {
		sl := s.due("a")
		got, err := s.take(sl, "x", time.Minute)
		s.must(err)
		sl.Purpose = "backfill"
		s.must(s.w.Plan(s.ctx, []warehouse.Slice{sl, sl}))
		all, err := s.w.Slices(s.ctx, function, "")
		s.must(err)
		equal(s, "slices", len(all), 1)
		equal(s, "slice", all[0], got)
		equal(s, "purpose", all[0].Purpose, "live")
	}},
	{"slices come by function and table, oldest first", func(s *store) {
		s.must(s.w.Plan(s.ctx, nil))
		for i, tbl := range []string{"kit.b", "kit.a"} {
			for n := 2; n >= 0; n-- {
				sl := window(n, n+1)
				sl.Function, sl.Table, sl.Purpose = function, tbl, "live"
				s.must(s.w.Plan(s.ctx, []warehouse.Slice{sl, {Function: "other", Table: tbl, ID: fmt.Sprint(i, n), Purpose: "live"}}))
			}
		}
		all, err := s.w.Slices(s.ctx, function, "")
		s.must(err)
		var got []string
		for _, sl := range all {
			got = append(got, sl.Table+" "+sl.ID)
		}
		equal(s, "all", got, []string{"kit.a w000-001", "kit.a w001-002", "kit.a w002-003", "kit.b w000-001", "kit.b w001-002", "kit.b w002-003"})
		one, err := s.w.Slices(s.ctx, function, "kit.b")
		s.must(err)
		equal(s, "of one table", len(one), 3)
	}},
	{"an unknown slice is not found", func(s *store) {
		_, err := s.w.Slice(s.ctx, function, "kit.t", "nope")
		s.is(err, fault.NotFound, "nope")
		m, err := s.w.Mark(s.ctx, function, "kit.t")
		s.must(err)
		equal(s, "mark", m, warehouse.Mark{})
	}},
	{"fences grow with every claim", func(s *store) {
		sl := s.due("a")
		for want := int64(1); want <= 3; want++ {
			got, err := s.take(sl, "x", -time.Second)
			s.must(err)
			equal(s, "fence and attempt", []int64{got.Fence, got.Attempt}, []int64{want, want})
			equal(s, "state", got.State, warehouse.Extracting)
		}
	}},
	{"a lease that runs keeps others out", func(s *store) {
		sl := s.due("a")
		_, err := s.take(sl, "x", time.Minute)
		s.must(err)
		_, err = s.take(sl, "y", time.Minute)
		s.is(err, fault.Stale, "a")
		got, err := s.w.Slice(s.ctx, sl.Function, sl.Table, sl.ID)
		s.must(err)
		equal(s, "owner and fence", fmt.Sprint(got.Owner, got.Fence), "x1")
	}},
	{"a lease that ran out may be taken", func(s *store) {
		sl := s.due("a")
		old, err := s.take(sl, "x", -time.Second)
		s.must(err)
		got, err := s.take(sl, "y", time.Minute)
		s.must(err)
		equal(s, "owner and fence", fmt.Sprint(got.Owner, got.Fence), "y2")
		s.is(s.w.Progress(s.ctx, old, time.Minute), fault.Stale, "fence")
		s.is(s.w.Staged(s.ctx, old), fault.Stale)
		s.is(s.w.End(s.ctx, old, warehouse.Failed, errors.New("x")), fault.Stale)
		still, err := s.w.Slice(s.ctx, sl.Function, sl.Table, sl.ID)
		s.must(err)
		equal(s, "slice", still, got)
	}},
	{"progress keeps the cursor and renews the lease", func(s *store) {
		got, err := s.take(s.due("a"), "x", -time.Second)
		s.must(err)
		got.Cursor, got.RowsSource, got.RowsStaged, got.RowsRejected, got.Bytes = `{"page":7}`, 10, 9, 1, 1234
		s.must(s.w.Progress(s.ctx, got, time.Minute))
		_, err = s.take(got, "y", time.Minute)
		s.is(err, fault.Stale)
		now, err := s.w.Slice(s.ctx, got.Function, got.Table, got.ID)
		s.must(err)
		equal(s, "totals", fmt.Sprint(now.Cursor, " ", now.RowsSource, now.RowsStaged, now.RowsRejected, now.Bytes), `{"page":7} 10 9 1 1234`)
	}},
	{"a continuation goes on from the cursor", func(s *store) {
		got, err := s.take(s.due("a"), "x", time.Minute)
		s.must(err)
		got.Cursor = "page 7"
		s.must(s.w.End(s.ctx, got, warehouse.Planned, nil))
		next, err := s.take(got, "y", time.Minute)
		s.must(err)
		equal(s, "cursor and fence", fmt.Sprint(next.Cursor, next.Fence), "page 72")
	}},
	{"an end says why and until when", func(s *store) {
		got, err := s.take(s.due("a"), "x", time.Minute)
		s.must(err)
		got.Until = day(3)
		s.must(s.w.End(s.ctx, got, warehouse.Paused, fault.LimitedUntil(day(3), "quota is used up")))
		now, err := s.w.Slice(s.ctx, got.Function, got.Table, got.ID)
		s.must(err)
		equal(s, "end", fmt.Sprint(now.State, now.ErrorKind, now.Error, now.Until, now.LeaseUntil.IsZero()), fmt.Sprint("paused", "limited", "quota is used up", day(3), true))
		again, err := s.take(got, "y", time.Minute)
		s.must(err)
		equal(s, "after a new claim", fmt.Sprint(again.ErrorKind, again.Error, again.Until.IsZero()), fmt.Sprint("", "", true))
	}},
	{"staged ends the lease and not a load that was faster", func(s *store) {
		l := s.prepare(table(record.Append), object("a"), people("1:a"))
		now := s.ledger(l)
		equal(s, "state", fmt.Sprint(now.State, now.LeaseUntil.IsZero(), now.Manifest), fmt.Sprint("staged", true, l.Slice.Manifest))
		s.commit(l)
		s.must(s.w.Staged(s.ctx, l.Slice))
		equal(s, "state", s.ledger(l).State, warehouse.Loaded)
	}},
	{"of claims at the same time exactly one wins", func(s *store) {
		sl := s.due("a")
		for round := int64(1); round <= 5; round++ {
			const workers = 6
			errs := make([]error, workers)
			var wg sync.WaitGroup
			for i := range workers {
				wg.Go(func() { _, errs[i] = s.take(sl, fmt.Sprint(i), time.Minute) })
			}
			wg.Wait()
			won := 0
			for _, err := range errs {
				if err == nil {
					won++
				} else if !errors.Is(err, fault.Stale) {
					s.Errorf("a loser got %v, want stale", err)
				}
			}
			now, err := s.w.Slice(s.ctx, sl.Function, sl.Table, sl.ID)
			s.must(err)
			equal(s, "winners and fence", []int64{int64(won), now.Fence}, []int64{1, round})
			s.must(s.w.End(s.ctx, now, warehouse.Planned, nil))
		}
	}},
	{"a slice that is read again stays covered", func(s *store) {
		t := table(record.Append)
		first := s.load(t, window(0, 1), people("1:a"))
		again := s.claim(t, window(0, 1))
		equal(s, "loaded_at", again.LoadedAt, first.Slice.LoadedAt)
		s.must(s.w.End(s.ctx, again, warehouse.Failed, errors.New("boom")))
		now, err := s.w.Slice(s.ctx, again.Function, again.Table, again.ID)
		s.must(err)
		equal(s, "state and loaded_at", fmt.Sprint(now.State, now.LoadedAt), fmt.Sprint("failed", first.Slice.LoadedAt))
	}},
	{"runs are recorded", func(s *store) {
		s.must(s.w.RecordRun(s.ctx, warehouse.Run{ID: "r", Function: function, Step: "load", Table: "kit.t", Slice: "a", Outcome: "ok", Fence: 3, Rows: 10, Bytes: 20, QuotaLeft: -1, StartedAt: start, TookMS: 5}))
		equal(s, "runs", s.control("runs", "run", "step", "rows", "quota_left", "took_ms", "error"), []string{"r|load|10|-1|5|-"})
	}},
}
