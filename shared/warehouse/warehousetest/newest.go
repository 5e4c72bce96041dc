package warehousetest

import (
	"slices"

	"github.com/millrace-data/millrace/shared/gate"
	"github.com/millrace-data/millrace/shared/record"
)

// versioned is a merge table whose column part says which of two rows is newer.
func versioned() record.Table {
	t := table(record.Merge)
	t.Newest = "part"
	return t
}

// gone is a table of rows, and one that names those that the vendor deleted.
func gone(mode record.Mode) (rows, named record.Table) {
	rows, named = table(mode), table(mode)
	rows.Name, named.Name = "rows_"+string(mode), "named_"+string(mode)
	rows.Key = []string{"id", "name"}
	rows.Gone = &record.Gone{Table: rows.Name, Named: named.Name, Column: "id"}
	named.Gone = rows.Gone
	return rows, named
}

var newestTests = []property{
	{"the newer of two rows stays, whichever is loaded last", func(s *store) {
		t := versioned()
		s.load(t, object("b"), slices.Concat(inPart("2026-02", people("1:new", "2:new")), []row{{"id": "3", "name": "undated"}}))
		s.load(t, object("a"), slices.Concat(inPart("2026-01", people("1:old", "3:dated", "4:first")), []row{{"id": "2", "name": "undated"}}))
		equal(s, "rows", s.rows(t, "id", "name"), []string{"1|new", "2|new", "3|dated", "4|first"})
		s.load(t, object("c"), inPart("2026-02", people("1:same time"))) // an edit within the tick of the vendor's clock
		equal(s, "the same time", s.rows(t, "id", "name")[0], "1|same time")
	}},
	{"the newest of the rows in one slice is loaded, the others are rejected", func(s *store) {
		t := versioned()
		res := s.load(t, object("a"), slices.Concat(inPart("2026-03", people("1:new")), inPart("2026-01", people("1:old")),
			[]row{{"id": "1", "name": "undated"}}, inPart("2026-02", people("2:x", "2:last"))), gate.Once("id"))
		equal(s, "rows", s.rows(t, "id", "name"), []string{"1|new", "2|last"})
		equal(s, "rejected", res.Slice.RowsRejected, int64(3))
	}},
	{"rows that another table names are gone, in both orders", func(s *store) {
		for _, mode := range []record.Mode{record.Merge, record.ReplaceAll} {
			rows, named := gone(mode)
			s.load(rows, scan(0), people("1:a", "1:b", "2:a", "3:a"))
			s.load(named, scan(0), people("1:"))
			equal(s, string(mode)+" named after", s.rows(rows, "id", "name"), []string{"2|a", "3|a"})
			s.load(rows, scan(1), people("1:a", "2:a", "3:a"))
			equal(s, string(mode)+" named before", s.rows(rows, "id", "name"), []string{"2|a", "3|a"})
			s.load(named, scan(1), people("1:", "3:"))
			s.load(named, scan(1), people("1:", "3:"))
			equal(s, string(mode)+" named twice", s.rows(rows, "id", "name"), []string{"2|a"})
			equal(s, string(mode)+" who names them", s.rows(named, "id"), []string{"1", "3"})
		}
	}},
	{"the table that names rows may come first, or alone", func(s *store) {
		rows, named := gone(record.Merge)
		s.load(named, scan(0), people("1:"))
		s.load(rows, scan(0), people("1:a", "2:a"))
		equal(s, "rows", s.rows(rows, "id", "name"), []string{"2|a"})
	}},
}
