package snowflaketest

import (
	"context"
	"strings"
)

// created is the head of a CREATE statement.
type created struct {
	replace, temporary, ifNot bool
	what                      string // TABLE, VIEW, SCHEMA, DATABASE, STAGE, FILE …
	name                      []string
	next                      int // after the name
}

// parseCreate reads up to the object's name.
func parseCreate(toks []token) (c created, err error) {
	i := 1
	for ; i < len(toks) && c.what == ""; i++ {
		switch t := toks[i].text; t {
		case "OR", "TRANSIENT", "LOCAL", "GLOBAL", "SECURE":
		case "REPLACE":
			c.replace = true
		case "TEMP", "TEMPORARY", "VOLATILE":
			c.temporary = true
		case "FILE":
			c.what, i = "FILE FORMAT", i+1
		default:
			c.what = t
		}
	}
	for i < len(toks) && (toks[i].is("IF") || toks[i].is("NOT") || toks[i].is("EXISTS")) {
		c.ifNot = true
		i++
	}
	if i < len(toks) {
		var size int
		c.name, size = names(toks[i:])
		i += size
	}
	if len(c.name) == 0 {
		return c, syntax("CREATE %s without a name.", c.what)
	}
	c.next = i
	return c, nil
}

func (s *session) doCreate(ctx context.Context, st statement) (*answer, error) {
	c, err := parseCreate(st.toks)
	if err != nil {
		return nil, err
	}
	name := c.name[len(c.name)-1]
	switch c.what {
	case "TABLE":
		return s.createTable(ctx, st, c)
	case "VIEW":
		t := s.resolve(c.name)
		as := find(st.toks, c.next, "AS")
		if as < 0 {
			return nil, syntax("CREATE VIEW without AS.")
		}
		q, _ := render(s.engine(st.toks[as+1:]))
		return done(typeDDL, "View %s successfully created.", decode(t.name)), s.define(ctx, nil, c.head("VIEW")+t.String()+" AS "+q)
	case "SCHEMA":
		db := s.db
		if len(c.name) > 1 {
			db = c.name[0]
		}
		stmts := []string{"CREATE SCHEMA " + map[bool]string{true: "IF NOT EXISTS "}[c.ifNot] + quote(db) + "." + quote(name)}
		if c.replace {
			stmts = append([]string{"DROP SCHEMA IF EXISTS " + quote(db) + "." + quote(name) + " CASCADE"}, stmts...)
		}
		if err := s.define(ctx, nil, stmts...); err != nil {
			return nil, err
		}
		if !c.ifNot { // the service goes there
			if err := s.use(ctx, db, name); err != nil {
				return nil, err
			}
		}
		return done(typeDDL, "Schema %s successfully created.", decode(name)), nil
	case "DATABASE":
		if err := s.end(ctx, true); err != nil {
			return nil, err
		}
		return done(typeDDL, "Database %s successfully created.", decode(name)), s.srv.createDatabase(ctx, name, c.ifNot)
	}
	return s.createOther(ctx, st, c)
}

// createOther makes what the engine does not know.
func (s *session) createOther(ctx context.Context, st statement, c created) (*answer, error) {
	if c.what == "STAGE" {
		return s.createStage(ctx, st, c)
	}
	return nil, syntax("CREATE %s is not known to this fake.", c.what)
}

// head is the words before the name for the engine.
func (c created) head(what string) string {
	h := "CREATE "
	if c.replace {
		h += "OR REPLACE "
	}
	if c.temporary {
		h += "TEMPORARY "
	}
	h += what + " "
	if c.ifNot {
		h += "IF NOT EXISTS "
	}
	return h
}

// createTable makes a table from a list of columns, a query, or another table.
func (s *session) createTable(ctx context.Context, st statement, c created) (*answer, error) {
	t := s.resolve(c.name)
	if len(c.name) > 1 && !s.hasSchema(t) {
		return nil, missing("Schema", t.db+"."+t.schema)
	}
	place := t.String()
	if c.temporary {
		place = "temp.main." + quote(t.name)
	}
	if !c.temporary && s.temps[t] && c.replace { // the service would replace the temporary one
		return nil, syntax("a temporary table of the name %s is in the way.", t.words())
	}
	rest := st.toks[c.next:]
	stmts, err := s.tableSQL(ctx, st, c, place, rest)
	if err != nil {
		return nil, err
	}
	if err := s.define(ctx, &t, stmts...); err != nil {
		return nil, err
	}
	if c.temporary {
		s.temps[t] = true
	}
	if c.replace {
		s.srv.history.forget(t)
	}
	return done(typeDDL, "Table %s successfully created.", decode(t.name)), nil
}

func (s *session) tableSQL(ctx context.Context, st statement, c created, place string, rest []token) ([]string, error) {
	head := c.head("TABLE") + place
	if len(rest) > 1 && (rest[0].is("LIKE") || rest[0].is("CLONE")) {
		from, _, err := s.tableAt(rest, 1)
		if err != nil {
			return nil, err
		}
		defs, comments, err := s.definition(ctx, from, place)
		stmts := append([]string{head + defs}, comments...)
		if rest[0].is("CLONE") {
			stmts = append(stmts, "INSERT INTO "+place+" SELECT * FROM "+s.place(from))
		}
		return stmts, err
	}
	var cols []token
	var comments []string
	if len(rest) > 0 && rest[0].is("(") {
		end := closing(rest, 0)
		var err error
		if cols, comments, err = columnsOf(rest[:end+1], place); err != nil {
			return nil, err
		}
		rest = rest[end+1:]
	}
	if as := find(rest, 0, "AS"); as >= 0 {
		return s.tableAs(st, head, cols, rest[as+1:])
	}
	if cols == nil {
		return nil, syntax("CREATE TABLE without columns.")
	}
	if doc := property(rest, "COMMENT"); doc != "" {
		comments = append(comments, "COMMENT ON TABLE "+place+" IS "+literal(doc))
	}
	q, _ := render(s.engine(cols))
	return append([]string{head + q}, comments...), nil
}

// tableAs is CREATE TABLE AS SELECT. The engine takes no binds there.
func (s *session) tableAs(st statement, head string, cols, query []token) ([]string, error) {
	if len(cols) > 0 {
		return nil, syntax("CREATE TABLE with columns AS SELECT is not known to this fake.")
	}
	out := s.engine(query)
	for i := range out {
		if out[i].kind == bind {
			return nil, fail("002049", "42601", "bind variables are not allowed in CREATE TABLE AS SELECT by this fake.")
		}
	}
	q, _ := render(out)
	return []string{head + " AS " + q}, nil
}

// columnsOf is a column list without what the service takes and does not enforce:
// keys; and with the columns' comments as statements of their own.
func columnsOf(list []token, place string) (out []token, comments []string, err error) {
	out = []token{list[0]}
	items := split(list[1 : len(list)-1])
	for _, item := range items {
		switch item[0].text {
		case "PRIMARY", "UNIQUE", "FOREIGN", "CONSTRAINT":
			if item[0].kind == word {
				continue
			}
		}
		var one []token
		for i := 0; i < len(item); i++ {
			switch t := item[i]; {
			case t.is("PRIMARY") && i > 0:
				one = append(one, raws("NOT NULL"))
				i++
			case t.is("UNIQUE") && i > 0:
			case t.is("COMMENT") && i+1 < len(item) && item[i+1].kind == text:
				comments = append(comments, "COMMENT ON COLUMN "+place+"."+quote(spell(item[0]))+" IS "+literal(item[i+1].text))
				i++
			default:
				one = append(one, t)
			}
		}
		if len(out) > 1 {
			out = append(out, token{kind: op, text: ","})
		}
		out = append(out, one...)
	}
	return append(out, list[len(list)-1]), comments, nil
}

// split cuts at the commas outside brackets.
func split(in []token) (out [][]token) {
	for len(in) > 0 {
		c := find(in, 0, ",")
		if c < 0 {
			return append(out, in)
		}
		if c > 0 {
			out = append(out, in[:c])
		}
		in = in[c+1:]
	}
	return out
}

// property is the text after NAME = in an object's options.
func property(toks []token, name string) string {
	for i := range toks {
		if toks[i].is(name) {
			if i++; i < len(toks) && toks[i].is("=") {
				i++
			}
			if i < len(toks) {
				return toks[i].text
			}
		}
	}
	return ""
}

// definition is the column list of a table and its comments, for a copy of it.
func (s *session) definition(ctx context.Context, from table, to string) (defs string, comments []string, err error) {
	db, schema := from.db, from.schema
	if s.temps[from] {
		db, schema = "temp", "main"
	}
	rows, err := s.conn.QueryContext(ctx, "SELECT column_name, data_type, is_nullable, coalesce(column_default, ''), coalesce(comment, '') FROM duckdb_columns() WHERE database_name = ? AND schema_name = ? AND table_name = ? ORDER BY column_index", db, schema, from.name)
	if err != nil {
		return "", nil, err
	}
	defer rows.Close()
	var cols []string
	for rows.Next() {
		var name, typ, def, doc string
		var null bool
		if err := rows.Scan(&name, &typ, &null, &def, &doc); err != nil {
			return "", nil, err
		}
		c := quote(name) + " " + typ
		if !null {
			c += " NOT NULL"
		}
		if def != "" {
			c += " DEFAULT " + def
		}
		cols = append(cols, c)
		if doc != "" {
			comments = append(comments, "COMMENT ON COLUMN "+to+"."+quote(name)+" IS "+literal(doc))
		}
	}
	return "(" + strings.Join(cols, ", ") + ")", comments, rows.Err()
}

func (s *session) hasSchema(t table) bool {
	var n int
	err := s.conn.QueryRowContext(context.Background(), "SELECT count(*) FROM duckdb_schemas() WHERE database_name = ? AND schema_name = ?", t.db, t.schema).Scan(&n)
	return err == nil && n > 0
}
