package warehousetest

import (
	"fmt"

	"github.com/millrace-data/millrace/shared/gate"
	"github.com/millrace-data/millrace/shared/record"
	"github.com/millrace-data/millrace/shared/warehouse"
)

// sums says the ledger's totals and fails where they do not balance.
func (s *store) sums(sl warehouse.Slice) string {
	s.Helper()
	if sl.RowsSource != sl.RowsStaged+sl.RowsRejected || sl.RowsSource != sl.RowsLoaded+sl.RowsRejected {
		s.Errorf("totals do not balance: source %d, staged %d, rejected %d, loaded %d", sl.RowsSource, sl.RowsStaged, sl.RowsRejected, sl.RowsLoaded)
	}
	return fmt.Sprintf("%d = %d + %d", sl.RowsSource, sl.RowsLoaded, sl.RowsRejected)
}

var gateTests = []property{
	{"rules are measured", func(s *store) {
		rows := []row{{"id": "1", "name": "a", "amount": "5"}, {"id": "1", "name": "b", "amount": "-5"}, {"id": "2", "amount": "100.000000001"}, {"name": "it's"}, {"id": "3", "name": `b\c?`}}
		st := s.stage(s.prepare(table(record.Append), object("a"), rows))
		defer st.Close()
		rules := []gate.Rule{gate.Require("id"), gate.Once("id"), gate.OneOf("name", "a", "it's", `b\c?`), gate.Between("amount", "0", "100"), gate.Between("amount", "", "4"),
			gate.AtLeast(3), gate.MostlySet("name", 10), gate.Once("id", "name"), gate.OneOf("name")}
		n, got, err := st.Measure(s.ctx, rules)
		s.must(err)
		equal(s, "rows", n, 5)
		for i, bad := range []int64{1, 1, 1, 2, 2, 0, 1, 0, 4} {
			equal(s, rules[i].Name, got[i], gate.Measure{Rows: 5, Bad: bad})
		}
	}},
	{"no rows are measured as none", func(s *store) {
		st := s.stage(s.prepare(table(record.Append), object("a"), nil))
		defer st.Close()
		n, got, err := st.Measure(s.ctx, []gate.Rule{gate.Once("id"), gate.Require("id"), gate.AtLeast(1)})
		s.must(err)
		equal(s, "measures", fmt.Sprint(n, got), fmt.Sprint(0, make([]gate.Measure, 3)))
	}},
	{"each row rule quarantines its rows", func(s *store) {
		for _, c := range []struct {
			rule gate.Rule
			bad  row
		}{
			{gate.Require("name"), row{"id": "9"}},
			{gate.OneOf("name", "Ada", "it's"), row{"id": "9", "name": "Eve"}},
			{gate.Between("amount", "0", "10"), row{"id": "9", "name": "Ada", "amount": "10.000000001"}},
			{gate.Between("amount", "0", ""), row{"id": "9", "name": "Ada", "amount": "-0.1"}},
		} {
			t := table(record.Append)
			t.Name = "t " + c.rule.Name + c.rule.Max
			res := s.load(t, object("a"), []row{{"id": "1", "name": "Ada", "amount": "10"}, c.bad, {"id": "2", "name": "it's"}}, c.rule)
			equal(s, c.rule.Name, s.rows(t, "id"), []string{"1", "2"})
			equal(s, c.rule.Name+" totals", s.sums(res.Slice), "3 = 2 + 1")
			equal(s, c.rule.Name+" reject", s.query(`SELECT "rule", "state", "attempts" FROM "millrace"."rejects" WHERE "table_name" = ?`, t.FullName()), []string{c.rule.Name + "|open|1"})
			equal(s, c.rule.Name+" check", s.query(`SELECT "verdict" FROM "millrace"."checks" WHERE "table_name" = ?`, t.FullName()), []string{"quarantine"})
		}
	}},
	{"of rows with one key the last staged wins", func(s *store) {
		for _, mode := range []record.Mode{record.Append, record.Merge, record.ReplaceAll, record.History} {
			t := table(mode)
			rows := []row{{"id": "1", "name": "a"}, {"id": "2", "name": "x"}, {"id": "1", "name": "b"}, {"id": "3"}, {"id": "2", "name": "x"}, {"id": "1", "name": "c"}, {"id": "3"}}
			res := s.load(t, scan(1), rows, gate.Once("id"))
			equal(s, string(mode), s.rows(t, "id", "name"), []string{"1|c", "2|x", "3|-"})
			equal(s, string(mode)+" totals", s.sums(res.Slice), "7 = 3 + 4")
			equal(s, string(mode)+" rejects: equal rows tell nothing, others are open",
				s.query(`SELECT "state" FROM "millrace"."rejects" WHERE "table_name" = ?`, t.FullName()), []string{"discarded", "discarded", "open", "open"})
		}
	}},
	{"unique by several columns, with nulls", func(s *store) {
		t := table(record.Append)
		res := s.load(t, object("a"), []row{{"id": "1", "part": "x"}, {"id": "1"}, {"id": "1", "part": "x", "name": "n"}, {"id": "1", "name": "m"}}, gate.Once("id", "part"))
		equal(s, "rows", s.rows(t, "id", "part", "name"), []string{"1|-|m", "1|x|n"})
		equal(s, "totals", s.sums(res.Slice), "4 = 2 + 2")
	}},
	{"rows without a key and doubled ones, as every table has them", func(s *store) {
		t := table(record.Merge)
		s.load(t, object("a"), people("1:old", "9:z"))
		res := s.load(t, object("b"), []row{{"name": "no key"}, {"name": "no key"}, {"id": "1", "name": "a"}, {"id": "1", "name": "b"}}, gate.Require("id"), gate.Once("id"))
		equal(s, "rows", s.rows(t, "id", "name"), []string{"1|b", "9|z"})
		equal(s, "totals", s.sums(res.Slice), "4 = 1 + 3")
	}},
	{"a row that breaks several rules is rejected once", func(s *store) {
		t := table(record.Append)
		res := s.load(t, object("a"), []row{{"id": "1", "amount": "-1"}, {"id": "2", "amount": "1", "name": "x"}}, gate.Require("name"), gate.Between("amount", "0", ""))
		equal(s, "totals", s.sums(res.Slice), "2 = 1 + 1")
		equal(s, "rejects", s.control("rejects", "rule"), []string{"not_null:name"})
	}},
	{"all rows may be quarantined", func(s *store) {
		for _, mode := range modes {
			res := s.load(table(mode), scan(1), people("1:a"), gate.OneOf("name", "b"))
			equal(s, string(mode), s.sums(res.Slice), "1 = 0 + 1")
			equal(s, string(mode), s.rows(table(mode), "id"), []string{})
		}
	}},
	{"files quarantine by their row", func(s *store) {
		t := record.Table{Schema: "kit", Name: "file", Mode: record.Append, File: true, Columns: []record.Column{{Name: "v", Type: record.Text, Nullable: true}}}
		s.load(t, object("f"), []row{{"_row": "1", "v": "a"}, {"_row": "2"}, {"_row": "3", "v": "a"}}, gate.Require("v"), gate.Once("v"))
		equal(s, "rows", s.rows(t, "_row", "v"), []string{"3|a"})
		equal(s, "rejects", len(s.control("rejects", "rule")), 2)
	}},
	{"refuse keeps rows out and says why", func(s *store) {
		t := table(record.Append)
		first := s.load(t, window(0, 1), people("1:a"))
		l := s.prepare(t, window(1, 2), people("2:b"))
		l.Rejects = []string{s.write(`{"row":"{\"id\":\"7\"}","reason":"integer expected in n","rule":"integer"}`)}
		l.Slice.RowsRejected, l.Slice.RowsSource = 1, 2
		for i := range 2 {
			st := s.stage(l)
			res, err := st.Refuse(s.ctx, []gate.Check{{Rule: "min_rows", Observed: "1 rows", Expected: "at least 5 rows", Verdict: gate.Refusal}}, errGate)
			s.must(err)
			st.Close()
			equal(s, "slice", fmt.Sprint(res.Slice.State, res.Slice.RowsLoaded, res.Slice.LoadedAt.IsZero(), res.Slice.ErrorKind, res.Slice.Error, res.Again), fmt.Sprint("refused", 0, true, "refused", "too few rows", i == 1))
			equal(s, "mark", res.Mark, first.Mark)
		}
		equal(s, "rows", s.rows(t, "id"), []string{"1"})
		equal(s, "checks", s.control("checks", "slice", "rule", "observed", "expected", "verdict"), []string{"w001-002|min_rows|1 rows|at least 5 rows|refuse"})
		equal(s, "rejects", s.control("rejects", "reason", "attempts", "state"), []string{"integer expected in n|1|open"})
		res := s.commit(l) // a person said yes
		equal(s, "state", fmt.Sprint(res.Slice.State, res.Slice.Error), "loaded")
		equal(s, "rows", s.rows(t, "id"), []string{"1", "2"})
	}},
	{"a loaded slice that is read again and refused stays covered", func(s *store) {
		t := table(record.Append)
		s.load(t, window(0, 1), people("1:a"))
		st := s.stage(s.prepare(t, window(0, 1), people("2:b")))
		defer st.Close()
		res, err := st.Refuse(s.ctx, nil, errGate)
		s.must(err)
		equal(s, "slice", fmt.Sprint(res.Slice.State, res.Slice.LoadedAt.IsZero(), res.Mark.At), fmt.Sprint("refused", false, day(1)))
		equal(s, "rows", s.rows(t, "id"), []string{"1"})
	}},
}
