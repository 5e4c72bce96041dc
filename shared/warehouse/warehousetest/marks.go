package warehousetest

import (
	"time"

	"github.com/millrace-data/millrace/shared/record"
	"github.com/millrace-data/millrace/shared/warehouse"
)

// owed plans a slice without loading it.
func (s *store) owed(sl warehouse.Slice) {
	s.Helper()
	sl.Function, sl.Table, sl.Purpose = function, "kit.t_append", "live"
	s.must(s.w.Plan(s.ctx, []warehouse.Slice{sl}))
}

// marks loads a slice of no rows and compares the mark.
func (s *store) marks(sl warehouse.Slice, purpose string, at time.Time, cursor string) {
	s.Helper()
	sl.Purpose = purpose
	res := s.load(table(record.Append), sl, nil)
	equal(s, "mark after "+sl.ID, res.Mark, warehouse.Mark{At: at, Cursor: cursor})
	got, err := s.w.Mark(s.ctx, function, "kit.t_append")
	s.must(err)
	equal(s, "stored mark after "+sl.ID, got, res.Mark)
}

var markTests = []property{
	{"the mark is the end of the contiguous prefix", func(s *store) {
		for d := range 5 {
			s.owed(window(d, d+1))
		}
		s.marks(window(1, 2), "live", time.Time{}, "")
		s.marks(window(0, 1), "live", day(2), "")
		s.marks(window(3, 4), "live", day(2), "")
		s.marks(window(4, 5), "live", day(2), "")
		s.marks(window(2, 3), "live", day(5), "")
	}},
	{"a slice read again does not move the mark back", func(s *store) {
		s.marks(window(0, 1), "live", day(1), "")
		s.marks(window(1, 2), "live", day(2), "")
		s.marks(window(0, 1), "live", day(2), "")
		s.claim(table(record.Append), window(0, 1))
		s.marks(window(2, 3), "live", day(3), "")
	}},
	{"a backfill fills a hole", func(s *store) {
		s.marks(window(0, 1), "live", day(1), "")
		s.marks(window(2, 3), "live", day(1), "")
		s.marks(window(1, 2), "backfill", day(3), "")
	}},
	{"a backfill beyond a hole does not move the mark", func(s *store) {
		s.marks(window(0, 1), "live", day(1), "")
		s.marks(window(5, 9), "backfill", day(1), "")
		s.marks(window(1, 5), "live", day(9), "")
	}},
	{"a backfill before the base does not set or move the base", func(s *store) {
		s.marks(window(-9, -5), "backfill", time.Time{}, "")
		s.marks(window(0, 1), "live", day(1), "")
		s.marks(window(-5, -2), "backfill", day(1), "")
		s.marks(window(-2, 0), "backfill", day(1), "")
	}},
	{"a resync covers nothing", func(s *store) {
		s.marks(window(0, 1), "live", day(1), "")
		re := window(1, 2)
		re.ID = "resync"
		s.marks(re, "resync", day(1), "")
	}},
	{"overlapping windows count once", func(s *store) {
		s.marks(window(0, 3), "live", day(3), "")
		s.marks(window(1, 2), "live", day(3), "")
		s.marks(window(2, 5), "live", day(5), "")
	}},
	{"scans leave the vendor's cursor of the newest", func(s *store) {
		for _, c := range []struct {
			day    int
			cursor string
			at     int
			want   string
		}{{1, "c1", 1, "c1"}, {3, "c3", 3, "c3"}, {2, "c2", 3, "c3"}, {4, "", 4, "c3"}, {4, "c4", 4, "c4"}} {
			sl := scan(c.day)
			sl.VendorCursor = c.cursor
			s.marks(sl, "live", day(c.at), c.want)
		}
	}},
	{"objects have no mark", func(s *store) {
		s.marks(object("a"), "live", time.Time{}, "")
		s.marks(object("b"), "live", time.Time{}, "")
	}},
	{"functions and tables have marks of their own", func(s *store) {
		s.marks(window(0, 1), "live", day(1), "")
		s.load(table(record.Merge), window(3, 4), nil)
		got, err := s.w.Mark(s.ctx, function, "kit.t_merge")
		s.must(err)
		equal(s, "mark", got.At, day(4))
		s.marks(window(1, 2), "live", day(2), "")
	}},
}
