package warehousetest

import (
	"context"
	"fmt"
	"maps"
	"strings"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/record"
	"github.com/millrace-data/millrace/shared/warehouse"
)

// shadow is the table beside t that a re-sync fills.
func shadow(t record.Table) record.Table {
	t.Name += warehouse.ShadowSuffix
	return t
}

func resync(t record.Table) warehouse.Resync {
	return warehouse.Resync{Function: function, Ledger: t.FullName(), Table: t, Now: start}
}

// both fills a table and its shadow, under different slices, and compares them.
func (s *store) both(t record.Table, live, fresh []row) warehouse.Difference {
	s.Helper()
	s.load(t, window(0, 2), live)
	s.load(shadow(t), window(0, 3), fresh)
	return s.compare(t)
}

func (s *store) compare(t record.Table) warehouse.Difference {
	s.Helper()
	d, err := s.w.Compare(s.ctx, resync(t))
	s.must(err)
	return d
}

// counts are added, removed, changed, same.
func counts(d warehouse.Difference) [4]int64 {
	return [4]int64{d.Added, d.Removed, d.Changed, d.Same}
}

func told(d warehouse.Difference) (out []string) {
	for _, e := range d.Examples {
		out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s %s", e.Kind, e.Key, strings.Join(e.Columns, ","))))
	}
	return out
}

func keyless() record.Table {
	t := table(record.Append)
	t.Name, t.Key = "bag", nil
	return t
}

var resyncTests = []property{
	{"tables with a key differ by key", func(s *store) {
		live := []row{{"id": "1", "name": "a", "amount": "1.5"}, {"id": "2", "name": "b"}, {"id": "3", "name": "c"}, {"id": "4"}}
		fresh := []row{{"id": "4"}, {"id": "1", "name": "a", "amount": "1.50"}, {"id": "2", "name": "B", "part": "p"}, {"id": "5", "name": "e"}}
		d := s.both(table(record.Merge), live, fresh)
		equal(s, "added, removed, changed, same", counts(d), [4]int64{1, 1, 1, 2})
		equal(s, "rows", [2]int64{d.Live, d.Shadow}, [2]int64{4, 4})
		equal(s, "examples", told(d), []string{`removed {"id":"3"}`, `changed {"id":"2"} name,part`, `added {"id":"5"}`})
	}},
	{"a null is no empty text, and equals a null", func(s *store) {
		d := s.both(table(record.Merge), []row{{"id": "1"}, {"id": "2"}}, []row{{"id": "1", "name": ""}, {"id": "2"}})
		equal(s, "added, removed, changed, same", counts(d), [4]int64{0, 0, 1, 1})
	}},
	{"tables without a key differ by how often a row is there", func(s *store) {
		a, b := row{"id": "1", "name": "a"}, row{"id": "2"}
		d := s.both(keyless(), []row{a, a, a, b}, []row{a, b, b})
		equal(s, "added, removed, changed, same", counts(d), [4]int64{1, 2, 0, 2})
		equal(s, "examples", told(d), []string{`removed {"id":"1","name":"a"}`, `added {"id":"2"}`})
	}},
	{"files and rows in them do not count", func(s *store) {
		t := typed()
		t.Mode, t.Key, t.File = record.Append, nil, true
		s.load(t, object("old"), []row{{"id": "1", "n": "5", "_row": "1"}, {"id": "2", "n": "6", "_row": "2"}})
		s.load(shadow(t), object("new"), []row{{"id": "2", "n": "6", "_row": "1"}, {"id": "1", "n": "5", "_row": "9"}})
		equal(s, "none differs", s.compare(t).None(), true)
	}},
	{"values of every type that differ are seen, and equal ones are equal", func(s *store) {
		t, full := typed(), row{}
		values := map[record.Type][2]string{record.Integer: {"5", "6"}, record.Number: {"1.5", "1.25"}, record.Boolean: {"true", "false"},
			record.Timestamp: {"2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z"}, record.Date: {"2026-01-01", "2026-01-02"}, record.Document: {`{"a":1}`, `{"a":2}`}, record.Text: {"x", "y"}}
		for _, c := range t.Columns {
			full[c.Name] = values[c.Type][0]
		}
		s.load(t, object("old"), []row{full})
		s.load(shadow(t), object("new"), []row{full})
		equal(s, "none differs", s.compare(t).None(), true)
		for _, c := range t.Columns {
			if c.Name == "id" {
				continue
			}
			other := maps.Clone(full)
			other[c.Name] = values[c.Type][1]
			s.load(shadow(t), object("new"), []row{other})
			equal(s, "difference", told(s.compare(t)), []string{`changed {"id":"x"} ` + c.Name})
		}
	}},
	{"an ID names one difference", func(s *store) {
		t := table(record.Merge)
		one := s.both(t, people("1:a", "2:b"), people("1:a", "2:c"))
		equal(s, "again", s.compare(t).ID, one.ID)
		s.load(shadow(t), window(3, 4), people("2:d"))
		if two := s.compare(t); two.ID == one.ID || counts(two) != counts(one) {
			s.Errorf("ID %s, counts %v; then %s, %v: want another ID and the same counts", one.ID, counts(one), two.ID, counts(two))
		}
	}},
	{"a column that one side lacks is null there", func(s *store) {
		t := table(record.Merge)
		s.load(t, window(0, 1), people("1:a", "2:b"))
		wide := shadow(t)
		wide.Columns = append(append([]record.Column{}, t.Columns...), record.Column{Name: "colour", Field: "colour", Type: record.Text, Nullable: true})
		s.load(wide, window(0, 1), []row{{"id": "1", "name": "a", "colour": "red"}, {"id": "2", "name": "b"}})
		d := s.compare(t)
		equal(s, "examples", told(d), []string{`changed {"id":"1"} colour`})
		s.must(s.w.Swap(s.ctx, resync(t), d))
		equal(s, "rows", s.rows(t, "id", "colour"), []string{"1|red", "2|-"})
	}},
	{"a column of another type is told", func(s *store) {
		t := table(record.Merge)
		s.load(t, window(0, 1), people("1:a"))
		other := shadow(t)
		other.Columns = append([]record.Column{}, t.Columns...)
		other.Columns[1].Type = record.Integer
		s.load(other, window(0, 1), people("1:5"))
		_, err := s.w.Compare(s.ctx, resync(t))
		s.is(err, fault.Invalid, "name", "change the column's type")
	}},
	{"a swap moves rows, ledger, mark and rejects in one", func(s *store) {
		for _, mode := range []record.Mode{record.Append, record.Merge, record.ReplacePartition, record.ReplaceAll} {
			t := table(mode)
			t.Pass = true // rejects do not hold its mark
			s.commit(s.withRejects(t, window(0, 2), inPart("p", people("1:a", "2:b")), "gone", "both"))
			s.commit(s.withRejects(shadow(t), window(0, 2), inPart("p", people("2:B", "3:c")), "came", "both"))
			d := s.compare(t)
			s.must(s.w.Swap(s.ctx, resync(t), d))
			name := string(mode)
			equal(s, name+" rows", s.rows(t, "id", "name", "_slice"), []string{"2|B|w000-002", "3|c|w000-002"})
			equal(s, name+" ledger", s.query(`SELECT "table_name", "slice", "state", "fence", "rows_loaded" FROM "millrace"."slices" WHERE "table_name" LIKE ?`, t.FullName()+"%"), []string{t.FullName() + "|w000-002|loaded|3|2"})
			equal(s, name+" mark", last(s.w.Mark(s.ctx, function, t.FullName())), error(nil))
			m, _ := s.w.Mark(s.ctx, function, t.FullName())
			equal(s, name+" mark", m.At, day(2))
			equal(s, name+" rejects", s.query(`SELECT "state", count(*) FROM "millrace"."rejects" WHERE "table_name" = ? GROUP BY 1`, t.FullName()), []string{"open|2", "replayed|1"})
			equal(s, name+" proof", s.query(`SELECT "outcome", "added", "removed", "changed", "same" FROM "millrace"."resyncs" WHERE "resync" = ?`, d.ID), []string{"swapped|1|1|1|0"})
			equal(s, name+" differences", s.query(`SELECT "kind" FROM "millrace"."differences" WHERE "resync" = ?`, d.ID), []string{"added", "changed", "removed"})
			equal(s, name+" shadow", s.query(`SELECT table_name FROM information_schema.tables WHERE table_name = ?`, shadow(t).Name), []string{})
			s.load(t, window(0, 2), inPart("p", people("2:b", "4:d"))) // the slice is the rows' own: read again, it replaces them
			if mode == record.Append {
				equal(s, name+" rows after", s.rows(t, "id"), []string{"2", "4"})
			}
		}
	}},
	{"a crash in the swap leaves the old table, and readers see one or the other", func(s *store) {
		t := table(record.Merge)
		old, fresh := []string{"1|a", "2|b"}, []string{"2|B", "3|c"}
		s.both(t, people("1:a", "2:b"), people("2:B", "3:c"))
		for _, point := range []string{"in_swap_before_data", "in_swap_before_commit", "after_swap"} {
			r := resync(t)
			seen := old
			r.Point = func(name string) {
				if equal(s, "seen at "+name, s.rows(t, "id", "name"), seen); name == point {
					panic(errCrash)
				}
				if name == "in_swap_before_commit" {
					seen = fresh
				}
			}
			s.dies(func() { s.w.Swap(s.ctx, r, s.compare(t)) })
			equal(s, "after a crash at "+point, s.rows(t, "id", "name"), seen)
		}
		s.must(s.w.Discard(s.ctx, resync(t))) // the shadow that the last crash left
		equal(s, "shadow", s.query(`SELECT table_name FROM information_schema.tables WHERE table_name = ?`, shadow(t).Name), []string{})
		equal(s, "rows", s.rows(t, "id", "name"), fresh)
	}},
	{"a load that commits after the comparison is not lost", func(s *store) {
		t := table(record.Merge)
		d := s.both(t, people("1:a"), people("1:a", "2:b"))
		s.load(t, window(3, 4), people("3:c"))
		s.is(s.w.Swap(s.ctx, resync(t), d), fault.Stale, "compare again")
		equal(s, "rows", s.rows(t, "id"), []string{"1", "3"})
		d = s.compare(t)
		s.claim(t, window(0, 2))
		s.is(s.w.Swap(s.ctx, resync(t), d), fault.Stale)
	}},
	{"a slice that was staged before the swap cannot be loaded after it", func(s *store) {
		t := keyless()
		s.load(t, window(0, 1), people("1:a"))
		same, other := s.prepare(t, window(0, 1), people("1:zombie")), s.prepare(t, window(1, 2), people("2:zombie"))
		s.load(shadow(t), window(0, 1), people("1:b"))
		s.must(s.w.Swap(s.ctx, resync(t), s.compare(t)))
		for _, l := range []warehouse.Load{same, other} {
			st := s.stage(l)
			s.is(last(st.Commit(s.ctx, nil)), fault.Stale)
			st.Close()
		}
		equal(s, "rows", s.rows(t, "name"), []string{"b"})
		equal(s, "what is owed", s.control("slices", "slice", "state"), []string{"w000-001|loaded", "w001-002|planned"})
		s.load(t, window(1, 2), people("2:c")) // read again
		equal(s, "rows", s.rows(t, "name"), []string{"b", "c"})
	}},
	{"slices that the shadow lacks stay known, without rows", func(s *store) {
		t := keyless()
		s.load(t, window(0, 1), people("1:a"))
		late := s.prepare(t, window(1, 2), people("2:b"))
		s.commit(late)
		s.load(shadow(t), window(0, 2), people("1:a", "2:b"))
		s.must(s.w.Swap(s.ctx, resync(t), s.compare(t)))
		st := s.stage(late) // its event comes again
		s.is(last(st.Commit(s.ctx, nil)), fault.Stale)
		st.Close()
		equal(s, "rows", s.rows(t, "id", "_slice"), []string{"1|w000-002", "2|w000-002"})
		equal(s, "ledger", s.control("slices", "slice", "state", "rows_loaded"), []string{"w000-001|loaded|0", "w000-002|loaded|2", "w001-002|loaded|0"})
	}},
	{"slices of the shadow are owed again without their rows", func(s *store) {
		t := table(record.Merge)
		s.load(shadow(t), window(0, 1), people("1:a"))
		s.load(shadow(t), window(1, 2), people("2:b"))
		s.must(s.w.Owe(s.ctx, resync(t), []string{window(0, 1).ID}))
		equal(s, "rows", s.rows(shadow(t), "id"), []string{"2"})
		sl, err := s.w.Slice(s.ctx, function, t.FullName()+warehouse.ShadowSuffix, window(0, 1).ID)
		s.must(err)
		equal(s, "owed", sl.LoadedAt.IsZero() && sl.State == warehouse.Planned, true)
	}},
	{"a shadow that is discarded leaves nothing, and where there is none nothing happens", func(s *store) {
		t := table(record.Merge)
		s.must(s.w.Discard(s.ctx, resync(t)))
		d := s.both(t, people("1:a"), people("2:b"))
		s.must(s.w.RecordResync(s.ctx, resync(t), d, warehouse.Refused, errGate))
		s.must(s.w.RecordResync(s.ctx, resync(t), d, warehouse.Refused, errGate)) // the same is one
		s.must(s.w.Discard(s.ctx, resync(t)))
		equal(s, "ledger", s.control("slices", "table_name"), []string{t.FullName()})
		equal(s, "marks", s.control("marks", "table_name"), []string{t.FullName()})
		equal(s, "rows", s.rows(t, "id"), []string{"1"})
		equal(s, "proof", s.control("resyncs", "outcome", "error"), []string{"refused|" + errGate.Error()})
		_, err := s.w.Compare(s.ctx, resync(t))
		if err == nil {
			s.Error("a table was compared with a shadow that is gone")
		}
	}},
	{"comparing waits for nobody and can be cancelled", func(s *store) {
		t := table(record.Merge)
		s.both(t, people("1:a"), people("1:a"))
		ctx, cancel := context.WithCancel(s.ctx)
		cancel()
		if _, err := s.w.Compare(ctx, resync(t)); err == nil {
			s.Error("compared under a context that is over")
		}
		s.claim(t, window(5, 6)) // somebody reads
		equal(s, "none differs", s.compare(t).None(), true)
	}},
}

// dies runs do, which must stop as a killed process would.
func (s *store) dies(do func()) {
	s.Helper()
	defer func() {
		if r := recover(); r != errCrash {
			s.Errorf("the crash point was not met: %v", r)
		}
	}()
	do()
}
