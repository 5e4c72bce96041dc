package reverse

import (
	"strings"
	"testing"
)

func TestStatement(t *testing.T) {
	for _, c := range []struct{ name, sql, want, wrong string }{
		{"plain", "select 1", "select 1", ""},
		{"with", "WITH a AS (SELECT 1) SELECT * FROM a", "WITH a AS (SELECT 1) SELECT * FROM a", ""},
		{"blanks, semicolons and a comment at its end", "  \n select 1 ;; -- done", "select 1", ""},
		{"a comment in front", "/* scores */ -- of today\nselect 1", "select 1", ""},
		{"a semicolon in a text", "select ';' || ''';' || $$;'$$", "select ';' || ''';' || $$;'$$", ""},
		{"a semicolon in a name", `select ";" as "a"";"`, `select ";" as "a"";"`, ""},
		{"a semicolon in comments", "select 1 -- ;\n + /* ; */ 2", "select 1 -- ;\n + /* ; */ 2", ""},
		{"a comment in a text", "select '--', '/*' ; ", "select '--', '/*'", ""},
		{"a backslash in a text", `select 'a\b'`, `select 'a\b'`, ""},
		{"columns named like statements", `select "delete", t.update from t`, `select "delete", t.update from t`, ""},
		{"two statements", "select 1; drop table x", "", "a query is one statement: there is a ; in its middle"},
		{"two, behind a comment", "select 1 --\n; drop table x", "", "a query is one statement: there is a ; in its middle"},
		{"empty", " ; -- nothing", "", "the query is empty"},
		{"no query", "delete from x", "", `a query begins with SELECT or WITH, and not with "delete"`},
		{"a writing WITH", "with a as (select 1) insert into x select * from a", "", "a query reads only, and this one has INSERT"},
		{"a WITH of nothing", "with a as (select 1)", "", "the query has no SELECT outside of brackets"},
		{"brackets that close too much", "select 1) union all (select 2", "", "the brackets of the query do not match"},
		{"brackets that stay open", "select (1", "", "the brackets of the query do not match"},
		{"brackets in a text", "select '('", "select '('", ""},
		{"a text without end", "select 'x", "", "a ' that does not end in line 1 of the query"},
		{"a name without end", "select\n\"x", "", "a \" that does not end in line 2 of the query"},
		{"a comment without end", "select 1 /* x", "", "a comment that does not end in line 1 of the query"},
		{"dollars without end", "select $$x$", "", "a $$ that does not end in line 1 of the query"},
		{"a quote that a backslash hides or not", `select '\'; drop table x; --'`, "", `\' ends a text in one warehouse and not in another: write '' for a quote, or $$…$$; it is in line 1 of the query`},
		{"a comment or a division", "select 1 // ;' \n; drop table x --'", "", "// is a comment to one warehouse and a division to another: write -- or floor(a / b); it is in line 1 of the query"},
		{"a comment in a comment", "select 1 /* /* */ ; drop table x; -- */", "", "a comment within a comment, which not every warehouse can read, in line 1 of the query"},
		{"a tagged dollar", "select $a$;$a$", "", "a $ that stands alone: only $$…$$ is taken, in line 1 of the query"},
		{"a place for a value", "select ?", "", "a query has no ? in it: nothing is bound to it"},
		{"not UTF-8", "select '\xff", "", "the query is not UTF-8"},
		{"a zero byte", "select 1\x00", "", "a zero byte in line 1 of the query"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := statement(c.sql)
			wrong := ""
			if err != nil {
				wrong = err.Error()
			}
			if got != c.want || wrong != c.wrong {
				t.Errorf("got %q, %q\nwant %q, %q", got, wrong, c.want, c.wrong)
			}
		})
	}
}

// FuzzStatement: tokens cover the query in order, what is accepted is accepted again
// as it is, and nothing that is accepted has a semicolon outside of its tokens.
func FuzzStatement(f *testing.F) {
	for _, sql := range []string{"select 1;", "with a as (select ';') select * from a -- x", `select "a""b", 'x''y', $$;$$ /* ; */`, "select a.b::text, 1.5e3 from \"s\".t as x"} {
		f.Add(sql)
	}
	f.Fuzz(func(t *testing.T, sql string) {
		all, err := tokens(sql)
		if err != nil {
			return
		}
		at := 0
		for _, k := range all {
			if k.from < at || k.to <= k.from {
				t.Fatalf("token %+v begins before %d", k, at)
			}
			at = k.to
		}
		got, err := statement(sql)
		if err != nil {
			return
		}
		if !strings.Contains(sql, got) {
			t.Fatalf("%q is not of %q", got, sql)
		}
		again, err := statement(got)
		if err != nil || again != got {
			t.Fatalf("%q became %q, %v", got, again, err)
		}
		read(got, stocked)
	})
}
