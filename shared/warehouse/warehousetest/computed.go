package warehousetest

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/gate"
	"github.com/millrace-data/millrace/shared/record"
	"github.com/millrace-data/millrace/shared/warehouse"
)

// sums is a table that is computed from the kit's usual one.
func sums() record.Table {
	return record.Table{Schema: "kit", Name: "sums", Mode: record.ReplaceAll, Open: true, Key: []string{"part"}, Columns: []record.Column{
		{Name: "part", Field: "part", Type: record.Text},
		{Name: "n", Field: "n", Type: record.Integer},
		{Name: "amount", Field: "amount", Type: record.Number, Precision: 20, Scale: 2, Nullable: true},
	}}
}

const sumsQuery = `SELECT "part", count(*) AS "n", sum("amount") AS "amount" FROM "kit"."t_append" GROUP BY "part" -- a comment`

// computed is a computation of sums from what is committed now.
func (s *store) computed() warehouse.Load {
	s.Helper()
	_, err := s.w.Ensure(s.ctx, sums())
	s.must(err)
	s.now = s.now.Add(time.Minute)
	input := table(record.Append)
	rows, err := s.w.Slices(s.ctx, function, input.FullName())
	s.must(err)
	m, err := s.w.Mark(s.ctx, function, input.FullName())
	s.must(err)
	state := warehouse.State(rows)
	t := sums()
	return warehouse.Load{Table: t, Now: s.now,
		Slice:    warehouse.Slice{Function: function, Table: t.FullName(), ID: warehouse.ComputedID(state, 0), Purpose: "live", From: m.At, To: m.At, Fence: 1, Digest: state},
		Computed: &warehouse.Computed{Query: sumsQuery, Inputs: []warehouse.Ledger{{Function: function, Table: input.FullName()}}, State: state}}
}

// feed loads a day of the input.
func (s *store) feed(day int, rows ...row) {
	s.Helper()
	s.load(table(record.Append), window(day, day+1), rows)
}

// sumsAre fails unless the computed table holds these rows.
func (s *store) sumsAre(what string, want ...string) {
	s.Helper()
	equal(s, what, s.rows(sums(), "part", "n", "amount"), append([]string{}, want...))
}

func of(part, amount string) row { return row{"id": part + amount, "part": part, "amount": amount} }

var computedTests = []property{
	{"rows of a query are counted and committed like those of parts", func(s *store) {
		s.feed(0, of("p", "1.5"), of("p", "2"), of("q", "3"))
		l := s.computed()
		st := s.stage(l)
		equal(s, "totals", fmt.Sprint(st.Slice().RowsSource, st.Slice().RowsStaged), "2 2")
		rows, measures, err := st.Measure(s.ctx, []gate.Rule{gate.Between("amount", "0", "3"), gate.Once("part"), gate.SumWithin("n", 1, 5)})
		s.must(err)
		equal(s, "measured", []any{rows, measures[0].Bad, measures[1].Bad, measures[2].Value}, []any{2, 1, 0, 3})
		res, err := st.Commit(s.ctx, []gate.Check{{Rule: "x", Verdict: gate.Pass}})
		s.must(err)
		st.Close()
		s.sumsAre("rows", "p|2|3.50", "q|1|3.00")
		now := s.ledger(l)
		equal(s, "slice returned", res.Slice, now)
		equal(s, "slice", fmt.Sprint(now.State, now.RowsSource, now.RowsStaged, now.RowsRejected, now.RowsLoaded, now.Digest, now.LoadedAt), fmt.Sprint("loaded", 2, 2, 0, 2, l.Computed.State, l.Now))
		equal(s, "mark", res.Mark.At, day(1))
		equal(s, "checks", s.query(`SELECT "rule" FROM "millrace"."checks" WHERE "slice" = ?`, now.ID), []string{"x"})
		equal(s, "whose rows", s.query(`SELECT DISTINCT "_slice" FROM "kit"."sums"`), []string{now.ID})
	}},
	{"what was computed from less than there is now is stale", func(s *store) {
		s.feed(0, of("p", "1"))
		old := s.stage(s.computed())
		defer old.Close()
		s.feed(1, of("q", "2"))
		for range 2 {
			_, err := old.Commit(s.ctx, nil)
			s.is(err, fault.Stale, "was loaded while")
			_, err = old.Refuse(s.ctx, nil, errGate)
			s.is(err, fault.Stale)
		}
		s.sumsAre("nothing")
		s.compute(s.computed())
		s.sumsAre("the newer", "p|1|1.00", "q|1|2.00")
		_, err := old.Commit(s.ctx, nil)
		s.is(err, fault.Stale)
		s.sumsAre("still the newer", "p|1|1.00", "q|1|2.00")
	}},
	{"one state is computed once, also at the same time", func(s *store) {
		s.feed(0, of("p", "1"))
		l := s.computed()
		var wg sync.WaitGroup
		again := make([]bool, 4)
		for i := range again {
			wg.Go(func() {
				st, err := s.w.Stage(s.ctx, l)
				if err != nil {
					s.Error(err)
					return
				}
				defer st.Close()
				res, err := st.Commit(s.ctx, []gate.Check{{Rule: "x", Verdict: gate.Pass}})
				if again[i] = res.Again; err != nil {
					s.Error(err)
				}
			})
		}
		wg.Wait()
		fresh := strings.Count(fmt.Sprint(again), "false")
		equal(s, "computations that did something", fresh, 1)
		equal(s, "checks", s.query(`SELECT "rule" FROM "millrace"."checks" WHERE "slice" = ?`, l.Slice.ID), []string{"x"})
		s.sumsAre("rows", "p|1|1.00")
	}},
	{"a state is what is committed", func(s *store) {
		state := func() string {
			rows, err := s.w.Slices(s.ctx, function, "kit.t_append")
			s.must(err)
			return warehouse.State(rows)
		}
		s.feed(0, of("p", "1"))
		first := state()
		s.owed(window(5, 6))
		claimed := s.claim(table(record.Append), window(0, 1))
		equal(s, "after a claim and a plan", state(), first)
		s.commit(s.attempt(table(record.Append), claimed, []row{of("p", "1")}))
		if state() == first {
			s.Error("a slice that was loaded again left the state as it was")
		}
	}},
	{"a computation that is refused leaves the table as it was", func(s *store) {
		s.feed(0, of("p", "1"))
		s.compute(s.computed())
		s.feed(1, of("q", "2"))
		l := s.computed()
		st := s.stage(l)
		defer st.Close()
		res, err := st.Refuse(s.ctx, []gate.Check{{Rule: "no", Verdict: gate.Refusal}}, errGate)
		s.must(err)
		equal(s, "slice", []any{res.Slice.State, res.Slice.RowsSource, res.Slice.RowsLoaded, res.Slice.ErrorKind}, []any{"refused", 2, 0, "refused"})
		equal(s, "mark", res.Mark.At, day(1))
		s.sumsAre("rows", "p|1|1.00")
		s.compute(l) // after the rule was mended
		s.sumsAre("rows", "p|1|1.00", "q|1|2.00")
	}},
	{"a crash in the middle of the commit leaves nothing of it", func(s *store) {
		s.feed(0, of("p", "1"))
		s.compute(s.computed())
		s.feed(1, of("q", "2"))
		l := s.computed()
		for _, point := range []string{"in_tx_before_data", "in_tx_before_fence"} {
			s.crash(l, point, false)
			s.sumsAre(point, "p|1|1.00")
			equal(s, point+" ledger", len(s.query(`SELECT "slice" FROM "millrace"."slices" WHERE "table_name" = 'kit.sums'`)), 1)
		}
		s.compute(l)
		s.sumsAre("afterwards", "p|1|1.00", "q|1|2.00")
	}},
	{"runs are compared with runs, and are as far as their inputs", func(s *store) {
		rule := gate.Shrink(1, 50, 0).At(gate.Refuse)
		s.feed(0, of("p", "1"), of("q", "1"), of("r", "1"))
		s.compute(s.computed(), rule)
		s.feed(0, of("p", "1")) // the mark stays
		l := s.computed()
		st := s.stage(l)
		defer st.Close()
		_, m, err := st.Measure(s.ctx, []gate.Rule{rule})
		s.must(err)
		c := gate.Judge(rule, m[0])
		equal(s, "verdict", c.Verdict, gate.Refusal)
		if !strings.Contains(c.Expected, "the last 1 runs had 3 to 3") {
			s.Errorf("expected: %q", c.Expected)
		}
		s.feed(1)
		equal(s, "mark", s.compute(s.computed()).Mark.At, day(2))
		l = s.computed()
		l.Slice.ID, l.Slice.From, l.Slice.To = "run-earlier", day(1), day(1)
		equal(s, "mark of inputs that went back", s.compute(l).Mark.At, day(1))
	}},
	{"a value that does not convert is told without the value", func(s *store) {
		s.feed(0, of("p", "1"))
		l := s.computed()
		l.Computed.Query = `SELECT "part", CAST('s3cret' AS INTEGER) AS "n", 1 AS "amount" FROM "kit"."t_append"`
		_, err := s.w.Stage(s.ctx, l)
		s.is(err, fault.Corrupt, "kit.sums", "TRY_CAST")
		if strings.Contains(err.Error(), "s3cret") {
			s.Errorf("the error repeats the value: %v", err)
		}
		l.Computed.Query = `SELECT "nobody" FROM "kit"."t_append"`
		_, err = s.w.Stage(s.ctx, l)
		s.is(err, fault.Invalid)
	}},
}

// compute commits a computation whose number of rows nobody knows before.
func (s *store) compute(l warehouse.Load, rules ...gate.Rule) warehouse.Result {
	s.Helper()
	st := s.stage(l)
	defer st.Close()
	_, measures, err := st.Measure(s.ctx, rules)
	s.must(err)
	var checks []gate.Check
	for i, r := range rules {
		checks = append(checks, gate.Judge(r, measures[i]))
	}
	res, err := st.Commit(s.ctx, checks)
	s.must(err)
	return res
}
