package warehousetest

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/millrace-data/millrace/shared/record"
	"github.com/millrace-data/millrace/shared/warehouse"
)

// inPart puts rows into a partition.
func inPart(p string, rows []row) []row {
	for _, r := range rows {
		r["part"] = p
	}
	return rows
}

var modes = []record.Mode{record.Append, record.Merge, record.ReplacePartition, record.ReplaceAll, record.History}

var modeTests = []property{
	{"every mode: first, again, changed, empty", func(s *store) {
		for _, mode := range modes {
			t := table(mode)
			kept := []string{} // what a merge keeps of keys that the slice no longer has
			changed := []string{"2|Bob", "3|Cid"}
			if mode == record.Merge {
				kept = []string{"1|Ada", "2|Bob", "3|Cid"}
				changed = kept
			}
			for _, step := range []struct {
				name string
				rows []row
				want []string
			}{
				{"first", people("1:Ada", "2:Bea"), []string{"1|Ada", "2|Bea"}},
				{"again", people("1:Ada", "2:Bea"), []string{"1|Ada", "2|Bea"}},
				{"changed", people("2:Bob", "3:Cid"), changed},
				{"empty", nil, kept},
				{"empty again", nil, kept},
			} {
				res := s.load(t, scan(1), inPart("p", step.rows))
				equal(s, string(mode)+" "+step.name, s.rows(t, "id", "name"), step.want)
				equal(s, string(mode)+" rows loaded", res.Slice.RowsLoaded, int64(len(step.rows)))
			}
		}
	}},
	{"every mode: the first load may be empty", func(s *store) {
		for _, mode := range modes {
			res := s.load(table(mode), scan(1), nil)
			equal(s, string(mode), s.rows(table(mode), "id"), []string{})
			equal(s, string(mode)+" state", res.Slice.State, warehouse.Loaded)
		}
	}},
	{"every mode: two slices in both orders", func(s *store) {
		for _, mode := range modes {
			for _, first := range []string{"a", "b"} {
				t := table(mode)
				t.Name += first
				rows := map[string][]row{"a": inPart("a", people("1:Ada", "2:Bea")), "b": inPart("b", people("3:Cid"))}
				last := map[string]string{"a": "b", "b": "a"}[first]
				want := []string{"1|Ada|a", "2|Bea|a", "3|Cid|b"}
				if mode == record.ReplaceAll { // the slice loaded last is the table
					want = map[string][]string{"b": want[2:], "a": want[:2]}[last]
				}
				s.load(t, object(first), rows[first])
				s.load(t, object(last), rows[last])
				s.load(t, object(last), rows[last])
				equal(s, string(mode)+" "+first+" first", s.rows(t, "id", "name", "_slice"), want)
			}
		}
	}},
	{"merge does not touch rows that are as they were", func(s *store) {
		t := table(record.Merge)
		s.load(t, object("a"), []row{{"id": "1", "name": "Ada", "amount": "1.5"}, {"id": "2"}, {"id": "3", "_extra": `{"x":1}`}, {"id": "4", "name": "x"}})
		before := s.rows(t, "id", "_slice", "_loaded_at")
		s.load(t, object("b"), []row{{"id": "1", "name": "Ada", "amount": "1.500"}, {"id": "2"}, {"id": "3", "_extra": `{"x":1}`}, {"id": "4"}, {"id": "5"}})
		after := s.rows(t, "id", "_slice", "_loaded_at")
		equal(s, "rows 1 to 3", after[:3], before[:3])
		equal(s, "slices of 4 and 5", s.rows(t, "id", "_slice")[3:], []string{"4|b", "5|b"})
		if after[3] == before[3] {
			s.Errorf("row 4 changed and is still %s", after[3])
		}
	}},
	{"merge by a key of several columns", func(s *store) {
		t := table(record.Merge)
		t.Key = []string{"id", "part"}
		s.load(t, object("a"), append(inPart("x", people("1:a")), inPart("y", people("1:b"))...))
		s.load(t, object("b"), append(inPart("y", people("1:c")), inPart("z", people("1:d"))...))
		equal(s, "rows", s.rows(t, "id", "part", "name"), []string{"1|x|a", "1|y|c", "1|z|d"})
	}},
	{"a merge table without a key is refused", func(s *store) {
		t := table(record.Merge)
		t.Key = nil
		st := s.stage(s.prepare(t, object("a"), people("1:a")))
		defer st.Close()
		if _, err := st.Commit(s.ctx, nil); err == nil {
			s.Error("merged without a key")
		}
	}},
	{"append keeps what other slices wrote, even of the same rows", func(s *store) {
		t := table(record.Append)
		s.load(t, object("a"), people("1:x"))
		s.load(t, object("b"), people("1:x"))
		s.load(t, object("a"), people("1:x"))
		equal(s, "rows", s.rows(t, "id", "_slice"), []string{"1|a", "1|b"})
	}},
	{"partitions are replaced by value", func(s *store) {
		t := table(record.ReplacePartition)
		s.load(t, object("a"), append(inPart("jan", people("1:a")), inPart("feb", people("2:a"))...))
		s.load(t, object("b"), append(inPart("feb", people("3:b")), inPart("mar", people("4:b"))...))
		equal(s, "rows", s.rows(t, "part", "id", "_slice"), []string{"feb|3|b", "jan|1|a", "mar|4|b"})
		s.load(t, object("b"), inPart("apr", people("4:b"))) // what it wrote before goes
		equal(s, "rows", s.rows(t, "part", "id", "_slice"), []string{"apr|4|b", "jan|1|a"})
	}},
	{"partitions are replaced by window", func(s *store) {
		for _, typ := range []record.Type{record.Timestamp, record.Date} {
			t := table(record.ReplacePartition)
			t.Name += string(typ)
			t.Columns = append(slices.Clone(t.Columns[:3]), record.Column{Name: "part", Type: typ})
			s.load(t, window(0, 2), append(inPart("2026-01-01", people("1:a")), inPart("2026-01-02", people("2:a"))...))
			s.load(t, window(1, 3), append(inPart("2026-01-02", people("3:b")), inPart("2026-01-03", people("4:b"))...))
			equal(s, "rows", s.rows(t, "id", "_slice"), []string{"1|w000-002", "3|w001-003", "4|w001-003"})
			s.load(t, window(1, 2), nil) // the window is known to be empty now
			equal(s, "rows", s.rows(t, "id", "_slice"), []string{"1|w000-002", "4|w001-003"})
		}
	}},
	{"replace_all never shows an empty or mixed table", func(s *store) {
		t := table(record.ReplaceAll)
		s.load(t, scan(0), people("1:0", "2:0", "3:0"))
		ctx, stop := context.WithCancel(s.ctx)
		var wg sync.WaitGroup
		wg.Go(func() {
			for ctx.Err() == nil {
				var rows, kinds int
				err := s.w.DB().QueryRowContext(s.ctx, `SELECT count(*), count(DISTINCT "name") FROM `+full(t)).Scan(&rows, &kinds)
				if err != nil || rows != 3 || kinds != 1 {
					s.Errorf("a reader saw %d rows of %d scans: %v", rows, kinds, err)
					return
				}
			}
		})
		for n := 1; n <= 15; n++ {
			v := fmt.Sprint(n)
			s.load(t, scan(n), people("1:"+v, "2:"+v, "3:"+v))
		}
		stop()
		wg.Wait()
		equal(s, "rows", s.rows(t, "id", "name"), []string{"1|15", "2|15", "3|15"})
	}},
	{"loads of different tables and slices may overlap", func(s *store) {
		var loads []warehouse.Load
		for _, mode := range []record.Mode{record.Append, record.Merge, record.ReplaceAll} {
			for n := range 3 {
				loads = append(loads, s.prepare(table(mode), scan(n), people(fmt.Sprintf("%d:x", n))))
			}
		}
		var wg sync.WaitGroup
		for _, l := range loads {
			wg.Go(func() {
				st, err := s.w.Stage(s.ctx, l)
				if err == nil {
					defer st.Close()
					_, err = st.Commit(s.ctx, nil)
				}
				if err != nil {
					s.Errorf("%s %s: %v", l.Table.Name, l.Slice.ID, err)
				}
			})
		}
		wg.Wait()
		equal(s, "append", s.rows(table(record.Append), "id"), []string{"0", "1", "2"})
		equal(s, "merge", s.rows(table(record.Merge), "id"), []string{"0", "1", "2"})
		equal(s, "replace_all", len(s.rows(table(record.ReplaceAll), "id")), 1)
	}},
}
