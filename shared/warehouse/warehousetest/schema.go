package warehousetest

import (
	"slices"
	"strings"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/record"
)

var schemaTests = []property{
	{"control tables are there", func(s *store) {
		for name, col := range map[string]string{"slices": "fence", "marks": "mark", "runs": "outcome", "checks": "verdict", "rejects": "row", "drift": "field", "inbox": "event"} {
			equal(s, name, s.control(name, col), []string{})
		}
	}},
	{"table is created once", func(s *store) {
		t := table(record.Merge)
		for range 2 {
			added, err := s.w.Ensure(s.ctx, t)
			s.must(err)
			equal(s, "columns added", added, nil)
		}
		s.load(t, object("a"), people("1:Ada"))
		equal(s, "rows", s.rows(t, "id", "name", "amount", "part", "_extra", "_slice"), []string{"1|Ada|-|-|-|a"})
	}},
	{"each kind of table has its own columns", func(s *store) {
		for _, c := range []struct {
			t    record.Table
			cols []string
		}{
			{record.Table{Name: "plain", Mode: record.Append}, []string{"_extra", "_slice", "_loaded_at"}},
			{record.Table{Name: "open", Mode: record.Append, Open: true}, []string{"_slice", "_loaded_at"}},
			{record.Table{Name: "file", Mode: record.Append, File: true}, []string{"_extra", "_row", "_source", "_slice", "_loaded_at"}},
			{record.Table{Name: "history", Mode: record.History, Key: []string{"id"}}, []string{"_extra", "_valid_from", "_valid_to", "_seen_at", "_slice", "_loaded_at"}},
		} {
			c.t.Schema, c.t.Columns = "kit", []record.Column{{Name: "id", Type: record.Text}}
			_, err := s.w.Ensure(s.ctx, c.t)
			s.must(err)
			rows, err := s.w.DB().QueryContext(s.ctx, "SELECT * FROM "+full(c.t))
			s.must(err)
			got, err := rows.Columns()
			s.must(err)
			rows.Close()
			equal(s, c.t.Name, got, append([]string{"id"}, c.cols...))
		}
	}},
	{"new columns are added and keep old rows", func(s *store) {
		t := table(record.Append)
		s.load(t, object("a"), people("1:Ada"))
		t.Columns = append(slices.Clone(t.Columns), record.Column{Name: "born", Type: record.Date, Nullable: true}, record.Column{Name: "more", Type: record.Document, Nullable: true})
		added, err := s.w.Ensure(s.ctx, t)
		s.must(err)
		equal(s, "columns added", added, []string{"born", "more"})
		s.load(t, object("b"), []row{{"id": "2", "born": "1815-12-10"}})
		equal(s, "rows", s.rows(t, "id", "born"), []string{"1|-", "2|1815-12-10"})
	}},
	{"a column that is no longer declared stays", func(s *store) {
		t := table(record.Merge)
		s.load(t, object("a"), []row{{"id": "1", "name": "Ada", "part": "x"}})
		t.Columns = t.Columns[:2]
		s.load(t, object("b"), people("1:Bea", "2:Cid"))
		equal(s, "rows", s.rows(t, "id", "name", "part"), []string{"1|Bea|x", "2|Cid|-"})
	}},
	{"a changed type is refused in clear words", func(s *store) {
		t := table(record.Append)
		_, err := s.w.Ensure(s.ctx, t)
		s.must(err)
		t.Columns = slices.Clone(t.Columns)
		t.Columns[1].Type = record.Integer
		_, err = s.w.Ensure(s.ctx, t)
		s.is(err, fault.Invalid, "name", t.FullName(), "declared")
		t.Columns[1].Type = record.Text
		t.Columns[2].Scale = 2
		_, err = s.w.Ensure(s.ctx, t)
		s.is(err, fault.Invalid, "amount")
	}},
	{"comments may hold anything", func(s *store) {
		t := table(record.ReplaceAll)
		t.Doc = "It's a \"table\" \\ of ; -- things"
		t.Columns = slices.Clone(t.Columns)
		t.Columns[1].Doc = "The person's \"name\" \\ 名前; $$ ? :1"
		s.load(t, scan(1), people("1:Ada"))
		t.Columns = append(t.Columns, record.Column{Name: "later", Type: record.Text, Nullable: true, Doc: "It's new."})
		s.load(t, scan(2), people("1:Ada"))
		equal(s, "rows", s.rows(t, "id"), []string{"1"})
	}},
	{"odd identifiers", odd},
	{"every column of every control table is named in lower case", func(s *store) {
		for _, name := range []string{"slices", "marks", "runs", "checks", "rejects", "drift", "inbox"} {
			rows, err := s.w.DB().QueryContext(s.ctx, `SELECT * FROM "millrace".`+ident(name))
			s.must(err)
			cols, err := rows.Columns()
			s.must(err)
			rows.Close()
			for _, c := range cols {
				if c != strings.ToLower(c) {
					s.Errorf("%s has column %s", name, c)
				}
			}
		}
	}},
}

// odd loads, updates and quarantines in tables whose every name needs quoting.
func odd(s *store) {
	names := []string{`select`, `two words`, `a"quote`, `it's`, `größe`, `MixedCase`, `semi;colon--`, `per%cent`, `100`, `back\slash`, `q?`, `名前`}
	for _, mode := range []record.Mode{record.Append, record.Merge, record.ReplaceAll, record.ReplacePartition, record.History} {
		t := record.Table{Schema: `Kit "odd"`, Name: `the table's ` + string(mode), Mode: mode, Key: []string{`a"quote`, `two words`}, Partition: `per%cent`}
		r, again := row{}, row{}
		for _, n := range names {
			t.Columns = append(t.Columns, record.Column{Name: n, Type: record.Text, Nullable: true, Doc: n})
			r[n], again[n] = n+" value", n+" value"
		}
		again["it's"] = "changed"
		s.load(t, scan(1), []row{r})
		s.load(t, scan(1), []row{again})
		want := strings.Join([]string{"select value", "changed", `back\slash value`, "q? value"}, "|")
		equal(s, string(mode), s.rows(t, "select", "it's", `back\slash`, "q?"), []string{want})
	}
}
