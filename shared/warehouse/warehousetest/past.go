package warehousetest

import (
	"fmt"
	"strings"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/gate"
	"github.com/millrace-data/millrace/shared/record"
	"github.com/millrace-data/millrace/shared/warehouse"
)

// worth is n rows whose amounts are all a.
func worth(n int, a string) (out []row) {
	for i := range n {
		out = append(out, row{"id": fmt.Sprint(i), "amount": a})
	}
	return out
}

// check is the newest verdict of a rule in a slice, with what was observed.
func (s *store) check(slice, rule, want string, says ...string) {
	s.Helper()
	got := s.query(`SELECT "verdict", "observed", "expected" FROM "millrace"."checks" WHERE "slice" = ? AND "rule" = ?`, slice, rule)
	if len(got) != 1 || !strings.HasPrefix(got[0], want+"|") {
		s.Fatalf("%s of %s: got %q, want %s", rule, slice, got, want)
	}
	for _, w := range says {
		if !strings.Contains(got[0], w) {
			s.Errorf("%s of %s: %q does not say %q", rule, slice, got[0], w)
		}
	}
}

var pastTests = []property{
	{"volume is compared with the same weekday", func(s *store) {
		t, rule := table(record.Append), gate.Volume(3, 20, 2)
		for d := range 22 { // every seventh day has more
			n := 2
			if d%7 == 0 {
				n = 10
			}
			s.load(t, window(d, d+1), worth(n, "1"), rule)
		}
		s.check("w014-015", "volume", "pass", "warming up: 2 of 3")
		s.check("w021-022", "volume", "pass", "10 rows", "the last 3 Thursdays had 10 to 10, median 10")
		s.load(t, window(28, 29), worth(6, "1"), rule)
		s.check("w028-029", "volume", "warn", "6 rows", "median 10")
		back := window(35, 36)
		back.Purpose = "backfill"
		s.load(t, back, worth(9, "1"), rule)
		s.check(back.ID, "volume", "pass")
	}},
	{"windows of another length and backfills are not comparable", func(s *store) {
		t, rule := table(record.Append), gate.Volume(1, 10, 1)
		s.load(t, window(0, 2), worth(2, "1"), rule)
		old := window(2, 4)
		old.Purpose = "backfill"
		s.load(t, old, worth(9, "1"), rule)
		s.load(t, window(4, 7), worth(9, "1"), rule)
		s.load(t, window(8, 10), worth(2, "1"), rule)
		s.check("w008-010", "volume", "pass", "the last 1 windows had 2 to 2")
	}},
	{"sums are kept and compared", func(s *store) {
		t, rule := table(record.Append), gate.SumWithin("amount", 2, 10).At(gate.Refuse)
		s.load(t, scan(1), worth(2, "50.25"), rule)
		s.load(t, scan(2), worth(3, "33.5"), rule)
		s.load(t, scan(3), worth(1, "101"), rule)
		s.check("scan-002", "sum:amount", "pass", "warming up")
		s.check("scan-003", "sum:amount", "pass", "101 in amount", "the last 2 scans had 100.5 to 100.5")
		equal(s, "values", s.query(`SELECT "value" FROM "millrace"."checks" WHERE "rule" = 'sum:amount'`), []string{"100.5", "100.5", "101"})
		st := s.stage(s.prepare(t, scan(4), worth(1, "120")))
		defer st.Close()
		_, m, err := st.Measure(s.ctx, []gate.Rule{rule})
		s.must(err)
		if c := gate.Judge(rule, m[0]); c.Verdict != gate.Refusal {
			s.Errorf("120 after 100.5 and 101: %+v, want it refused", c)
		}
	}},
	{"a source's total is reconciled to the last digit", func(s *store) {
		st := s.stage(s.prepare(table(record.Append), object("a"), worth(3, "0.000000001")))
		defer st.Close()
		rules := []gate.Rule{gate.Reconcile("amount", "0.000000003"), gate.Reconcile("amount", "0.000000004")}
		_, m, err := st.Measure(s.ctx, rules)
		s.must(err)
		equal(s, "verdicts", fmt.Sprint(gate.Judge(rules[0], m[0]).Verdict, gate.Judge(rules[1], m[1]).Verdict), "passrefuse")
	}},
	{"freshness is measured from the end of the window", func(s *store) {
		t := table(record.Append)
		t.Columns = append(t.Columns, record.Column{Name: "at", Field: "at", Type: record.Timestamp, Nullable: true})
		rule := gate.Fresh("at", 3600e9)
		s.load(t, window(0, 1), []row{{"id": "1", "at": "2026-01-01 22:00:00"}, {"id": "2"}}, rule)
		s.check("w000-001", "fresh:at", "warn", "newest 2026-01-01T22:00:00Z", "1h0m0s before 2026-01-02")
		s.load(t, window(1, 2), []row{{"id": "1", "at": "2026-01-02 23:30:00"}}, rule)
		s.check("w001-002", "fresh:at", "pass")
	}},
	{"references into another table", func(s *store) {
		t, other := table(record.Append), table(record.Merge)
		rule := gate.RefersTo([]string{"part"}, other.FullName(), []string{"id"}).At(gate.Quarantine)
		rows := []row{{"id": "1", "part": "p"}, {"id": "2", "part": "q"}, {"id": "3"}}
		s.load(t, object("early"), rows, rule)
		s.check("early", rule.Name, "warn", "is not there yet")
		s.load(other, object("p"), people("p:x"))
		res := s.load(t, object("late"), rows, rule)
		equal(s, "totals", s.sums(res.Slice), "3 = 2 + 1")
		equal(s, "reject", s.control("rejects", "rule", "state"), []string{rule.Name + "|open"})
	}},
	{"a rule over a column that has no numbers is told", func(s *store) {
		st := s.stage(s.prepare(table(record.Append), object("a"), people("1:a")))
		defer st.Close()
		_, _, err := st.Measure(s.ctx, []gate.Rule{gate.SumWithin("name", 3, 5)})
		s.is(err, fault.Invalid, "name", "mend the rule")
	}},
}

// again stages rows that were rejects of a committed slice.
func (s *store) again(t record.Table, slice string, rows ...row) *warehouse.Staging {
	s.Helper()
	sl, err := s.w.Slice(s.ctx, function, t.FullName(), slice)
	s.must(err)
	s.now = s.now.Add(1e9)
	sl.RowsStaged = int64(len(rows))
	return s.stage(warehouse.Load{Slice: sl, Table: t, Files: []string{s.part(t, 1, rows)}, Now: s.now})
}

// ids are the open rejects of a table.
func (s *store) ids(t record.Table) (out []string) {
	s.Helper()
	kept, err := s.w.Open(s.ctx, function, t.FullName(), "", "")
	s.must(err)
	for _, k := range kept {
		out = append(out, k.ID)
	}
	return out
}

var replayTests = []property{
	{"replayed rows join their slice, with ledger and mark", func(s *store) {
		for _, mode := range modes {
			t := table(mode)
			s.commit(s.withRejects(t, window(0, 1), []row{{"id": "1", "name": "a", "part": "p"}}, "7", "8"))
			equal(s, string(mode)+" mark is held", last(s.w.Mark(s.ctx, function, t.FullName())), error(nil))
			m, _ := s.w.Mark(s.ctx, function, t.FullName())
			equal(s, string(mode)+" held", m.At.IsZero(), true)
			ids := s.ids(t)
			st := s.again(t, "w000-001", row{"id": "7", "name": "g", "part": "p"})
			res, err := st.Add(s.ctx, ids[:1], []warehouse.Left{{ID: ids[1], Reason: "still wrong"}})
			st.Close()
			s.must(err)
			equal(s, string(mode)+" rows", s.rows(t, "id", "name", "_slice"), []string{"1|a|w000-001", "7|g|w000-001"})
			equal(s, string(mode)+" totals", s.sums(res.Slice), "3 = 2 + 1")
			equal(s, string(mode)+" rejects", s.query(`SELECT "state", "attempts" FROM "millrace"."rejects" WHERE "table_name" = ?`, t.FullName()), []string{"open|2", "replayed|2"})
			equal(s, string(mode)+" mark", res.Mark.At.IsZero(), true)
			n, err := s.w.DiscardRejects(s.ctx, warehouse.Discarded{Function: function, Table: t.FullName(), Reason: "known", Now: s.now})
			s.must(err)
			m, _ = s.w.Mark(s.ctx, function, t.FullName())
			equal(s, string(mode)+" mark after a discard", fmt.Sprint(n, m.At), fmt.Sprint(1, day(1)))
		}
	}},
	{"a replayed row does not overwrite a later one", func(s *store) {
		for _, mode := range []record.Mode{record.Merge, record.ReplacePartition, record.ReplaceAll, record.History} {
			t := table(mode)
			s.commit(s.withRejects(t, scan(1), nil, "7"))
			s.load(t, scan(2), []row{{"id": "7", "name": "new", "part": "p"}})
			st := s.again(t, "scan-001", row{"id": "7", "name": "old", "part": "p"})
			res, err := st.Add(s.ctx, s.ids(t), nil)
			st.Close()
			s.must(err)
			if mode == record.History {
				equal(s, "history", s.rows(t, "name", "_valid_from", "_valid_to"), []string{"new|2026-01-03 00:00:00|-", "old|2026-01-02 00:00:00|2026-01-03 00:00:00"})
			} else {
				equal(s, string(mode), s.rows(t, "id", "name"), []string{"7|new"})
			}
			equal(s, string(mode)+" totals", s.sums(res.Slice), "1 = 1 + 0")
		}
	}},
	{"a replayed row takes the place of an older one", func(s *store) {
		t := table(record.Merge)
		s.load(t, scan(1), people("7:old"))
		s.commit(s.withRejects(t, scan(2), nil, "7"))
		st := s.again(t, "scan-002", row{"id": "7", "name": "new"})
		defer st.Close()
		_, err := st.Add(s.ctx, s.ids(t), nil)
		s.must(err)
		equal(s, "rows", s.rows(t, "id", "name"), []string{"7|new"})
	}},
	{"who reads the slice again wins over a replay", func(s *store) {
		t := table(record.Append)
		s.commit(s.withRejects(t, window(0, 1), nil, "7"))
		st := s.again(t, "w000-001", people("7:g")...)
		defer st.Close()
		s.claim(t, window(0, 1))
		_, err := st.Add(s.ctx, s.ids(t), nil)
		s.is(err, fault.Stale)
		equal(s, "rows", s.rows(t, "id"), []string{})
		equal(s, "rejects", s.control("rejects", "state", "attempts"), []string{"open|1"})
	}},
	{"the mark is held by rejects, but not where nothing is missing", func(s *store) {
		t := table(record.Merge)
		s.load(t, window(0, 1), people("1:a"))
		s.commit(s.withRejects(t, window(1, 2), nil, "7"))
		res := s.load(t, window(2, 3), people("2:a", "2:b"), gate.Once("id"))
		equal(s, "held", res.Mark.At, day(1))
		early := window(-3, -2)
		early.Purpose = "backfill"
		equal(s, "a backfill before the base", s.commit(s.withRejects(t, early, nil, "9")).Mark.At, day(1))
		t.Pass = true
		equal(s, "a table that does without", s.load(t, window(3, 4), nil).Mark.At, day(4))
		scanned := table(record.Append)
		s.load(scanned, scan(1), nil)
		l := s.withRejects(scanned, scan(2), nil, "7")
		l.Slice.VendorCursor = "c2"
		equal(s, "a scan", s.commit(l).Mark, warehouse.Mark{At: day(1), Cursor: "c2"})
	}},
}
