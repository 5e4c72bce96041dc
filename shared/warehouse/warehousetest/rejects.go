package warehousetest

import (
	"fmt"
	"strings"

	"github.com/millrace-data/millrace/shared/gate"
	"github.com/millrace-data/millrace/shared/record"
	"github.com/millrace-data/millrace/shared/warehouse"
)

// withRejects is an attempt whose extract rejected these rows.
func (s *store) withRejects(t record.Table, sl warehouse.Slice, rows []row, rejects ...string) warehouse.Load {
	s.Helper()
	l := s.prepare(t, sl, rows)
	for _, r := range rejects {
		l.Rejects = append(l.Rejects, s.write(`{"row":"{\"id\":\"`+r+`\",\"n\":12345678901234567890.5}","reason":"text in n","rule":"integer"}`))
	}
	l.Slice.RowsRejected = int64(len(rejects))
	l.Slice.RowsSource += l.Slice.RowsRejected
	return l
}

var rejectTests = []property{
	{"extract's rejects are kept with their row", func(s *store) {
		res := s.commit(s.withRejects(table(record.Append), object("a"), people("1:a"), "7", "8"))
		equal(s, "totals", s.sums(res.Slice), "3 = 1 + 2")
		equal(s, "rejects", s.control("rejects", "function", "slice", "reason", "rule", "attempts", "state"), []string{"kit|a|text in n|integer|1|open", "kit|a|text in n|integer|1|open"})
		for _, r := range s.control("rejects", "row") {
			if !strings.Contains(r, "12345678901234567890.5") {
				s.Errorf("reject's row is %s", r)
			}
		}
	}},
	{"a reject that comes again counts one attempt more", func(s *store) {
		s.commit(s.withRejects(table(record.Append), object("a"), nil, "7"))
		s.commit(s.withRejects(table(record.Append), object("a"), nil, "7", "8"))
		equal(s, "rejects", s.control("rejects", "attempts", "state"), []string{"1|open", "2|open"})
		equal(s, "seen", s.query(`SELECT count(*) FROM "millrace"."rejects" WHERE "first_seen" < "last_seen"`), []string{"1"})
	}},
	{"a reject that is gone was replayed, and may come back", func(s *store) {
		s.commit(s.withRejects(table(record.Append), object("a"), nil, "7"))
		s.commit(s.withRejects(table(record.Append), object("a"), people("7:a")))
		equal(s, "rejects", s.control("rejects", "attempts", "state"), []string{"1|replayed"})
		s.commit(s.withRejects(table(record.Append), object("a"), nil, "7"))
		equal(s, "rejects", s.control("rejects", "attempts", "state"), []string{"2|open"})
	}},
	{"another slice's rejects are left alone", func(s *store) {
		s.commit(s.withRejects(table(record.Append), object("a"), nil, "7"))
		s.commit(s.withRejects(table(record.Append), object("b"), nil))
		s.commit(s.withRejects(table(record.Merge), object("a"), nil))
		equal(s, "rejects", s.control("rejects", "slice", "attempts", "state"), []string{"a|1|open"})
	}},
	{"a refused attempt replays nothing", func(s *store) {
		s.commit(s.withRejects(table(record.Append), object("a"), nil, "7"))
		st := s.stage(s.prepare(table(record.Append), object("a"), nil))
		defer st.Close()
		_, err := st.Refuse(s.ctx, nil, errGate)
		s.must(err)
		equal(s, "rejects", s.control("rejects", "attempts", "state"), []string{"1|open"})
	}},
	{"what a person discarded stays discarded", func(s *store) {
		s.commit(s.withRejects(table(record.Append), object("a"), nil, "7"))
		_, err := s.w.DB().ExecContext(s.ctx, `UPDATE "millrace"."rejects" SET "state" = 'discarded'`)
		s.must(err)
		s.commit(s.withRejects(table(record.Append), object("a"), nil, "7"))
		equal(s, "rejects", s.control("rejects", "attempts", "state"), []string{"2|discarded"})
	}},
	{"the same reject twice in one attempt is one", func(s *store) {
		s.commit(s.withRejects(table(record.Append), object("a"), nil, "7", "7"))
		equal(s, "rejects", s.control("rejects", "attempts"), []string{"1"})
	}},
	{"quarantined rows and extract's are kept together", func(s *store) {
		l := s.withRejects(table(record.Append), object("a"), []row{{"id": "1", "name": "a"}, {"id": "2", "amount": "0.000000001", "_extra": `{"k":[1,12345678901234567890.5]}`, "part": `q"uo\te`}}, "7")
		res := s.commit(l, gate.Require("name"))
		equal(s, "totals", s.sums(res.Slice), "3 = 1 + 2")
		equal(s, "rejects", s.control("rejects", "rule", "state"), []string{"integer|open", "not_null:name|open"})
		got := fmt.Sprint(s.query(`SELECT CAST("row" AS VARCHAR) FROM "millrace"."rejects" WHERE "rule" <> 'integer'`))
		for _, want := range []string{`"id"`, "0.000000001", "12345678901234567890.5", `q\"uo\\te`} {
			if !strings.Contains(got, want) {
				s.Errorf("the reject's row %s does not hold %s", got, want)
			}
		}
		if strings.Contains(got, warehouse.ColumnSeq) {
			s.Errorf("the reject's row %s holds the line's number", got)
		}
		equal(s, "rows", s.rows(l.Table, "id"), []string{"1"})
	}},
	{"a row quarantined in every attempt is one reject", func(s *store) {
		for n := range 3 {
			rows := people("1:a")
			for i := range n {
				rows = append(rows, row{"id": fmt.Sprint(10 + i), "name": "x"})
			}
			s.load(table(record.Append), object("a"), append(rows, row{"id": "2"}), gate.Require("name"))
		}
		equal(s, "rejects", s.control("rejects", "attempts", "state"), []string{"3|open"})
	}},
}
