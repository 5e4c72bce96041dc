package snowflaketest

import (
	"context"
	"strings"
)

func (s *session) doDrop(ctx context.Context, st statement) (*answer, error) {
	i, ifExists := 2, false
	what := "OBJECT"
	if len(st.toks) > 1 {
		what = st.toks[1].text
	}
	for i < len(st.toks) && (st.toks[i].is("IF") || st.toks[i].is("EXISTS") || st.toks[i].is("FORMAT")) {
		ifExists = ifExists || st.toks[i].is("IF")
		i++
	}
	parts, _ := names(st.toks[min(i, len(st.toks)):])
	if len(parts) == 0 {
		return nil, syntax("DROP %s without a name.", what)
	}
	t := s.resolve(parts)
	ok := done(typeDDL, "%s successfully dropped.", decode(t.name))
	cond := map[bool]string{true: "IF EXISTS "}[ifExists]
	switch what {
	case "TABLE":
		if !s.temps[t] && !s.exists(t) {
			if err := s.end(ctx, true); err != nil || ifExists {
				return done(typeDDL, "Drop statement executed successfully (%s already dropped).", decode(t.name)), err
			}
			return nil, missing("Table", t.words())
		}
		err := s.define(ctx, &t, "DROP TABLE "+cond+s.place(t))
		if err == nil {
			delete(s.temps, t)
			s.srv.history.forget(t)
		}
		return ok, err
	case "VIEW":
		return ok, s.define(ctx, nil, "DROP VIEW "+cond+t.String())
	case "SCHEMA":
		db := s.db
		if len(parts) > 1 {
			db = parts[0]
		}
		return ok, s.define(ctx, nil, "DROP SCHEMA "+cond+quote(db)+"."+quote(t.name)+" CASCADE")
	}
	if what == "STAGE" {
		if err := s.define(ctx, nil); err != nil {
			return nil, err
		}
		if !s.dropStage(t) && !ifExists {
			return nil, missing("Stage", t.words())
		}
		return ok, nil
	}
	return nil, syntax("DROP %s is not known to this fake.", what)
}

func (s *session) doAlter(ctx context.Context, st statement) (*answer, error) {
	ok := done(typeDDL, "Statement executed successfully.")
	switch {
	case words(st.toks, "ALTER", "SESSION", "SET"):
		for i := 3; i+2 < len(st.toks) && st.toks[i+1].is("="); i += 3 {
			if err := s.set(st.toks[i].text, st.toks[i+2].text); err != nil {
				return nil, err
			}
		}
		return ok, nil
	case words(st.toks, "ALTER", "SESSION", "UNSET"):
		for _, t := range st.toks[3:] {
			delete(s.params, t.text)
		}
		return ok, nil
	case words(st.toks, "ALTER", "TABLE"):
		return ok, s.alterTable(ctx, st)
	}
	return nil, syntax("ALTER %s is not known to this fake.", st.toks[min(1, len(st.toks)-1)].text)
}

func (s *session) alterTable(ctx context.Context, st statement) error {
	i := 2
	for i < len(st.toks) && (st.toks[i].is("IF") || st.toks[i].is("EXISTS")) {
		i++
	}
	t, next, err := s.tableAt(st.toks, i)
	if err != nil {
		return err
	}
	rest := st.toks[next:]
	switch {
	case words(rest, "SWAP", "WITH"):
		other, _, err := s.tableAt(rest, 2)
		if err != nil {
			return err
		}
		return s.swap(ctx, t, other)
	case words(rest, "RENAME", "TO"):
		parts, _ := names(rest[2:])
		if len(parts) == 0 {
			return syntax("RENAME TO without a name.")
		}
		to := s.resolve(parts)
		if to.db != t.db || to.schema != t.schema {
			return syntax("a rename into another schema is not known to this fake.")
		}
		return s.define(ctx, &t, "ALTER TABLE "+s.place(t)+" RENAME TO "+quote(to.name))
	case words(rest, "SET"), words(rest, "CLUSTER"), words(rest, "UNSET"):
		return s.define(ctx, &t) // storage and retention mean nothing here
	}
	var stmts []string
	var verb []token
	if words(rest, "ADD") || words(rest, "DROP") {
		verb, rest = rest[:1], rest[1:]
		if words(rest, "COLUMN") {
			rest = rest[1:]
		}
		cond := []token{}
		for len(rest) > 0 && (rest[0].is("IF") || rest[0].is("NOT") || rest[0].is("EXISTS")) {
			cond, rest = append(cond, rest[0]), rest[1:]
		}
		for _, item := range split(rest) {
			q, _ := render(s.engine(append(append(append([]token{}, verb...), token{kind: word, text: "COLUMN"}), append(append([]token{}, cond...), item...)...)))
			stmts = append(stmts, "ALTER TABLE "+s.place(t)+" "+q)
		}
	} else {
		q, _ := render(s.engine(rest))
		stmts = []string{"ALTER TABLE " + s.place(t) + " " + q}
	}
	return s.define(ctx, &t, stmts...)
}

// swap exchanges two tables in one step, with their comments.
func (s *session) swap(ctx context.Context, a, b table) error {
	if a.db != b.db || a.schema != b.schema {
		return syntax("a swap across schemas is not known to this fake.")
	}
	if s.temps[a] || s.temps[b] {
		return syntax("temporary tables are not swapped by this fake.")
	}
	if err := s.end(ctx, true); err != nil {
		return err
	}
	for _, t := range []table{a, b} {
		if err := s.lock(ctx, t); err != nil {
			s.release()
			return err
		}
	}
	defer s.srv.tables.Clear()
	between := table{a.db, a.schema, "SF_SWAP"}
	err := s.write(ctx, func(ctx context.Context) error {
		for _, q := range []string{
			"ALTER TABLE " + a.String() + " RENAME TO " + quote(between.name),
			"ALTER TABLE " + b.String() + " RENAME TO " + quote(a.name),
			"ALTER TABLE " + between.String() + " RENAME TO " + quote(b.name),
		} {
			if _, err := s.conn.ExecContext(ctx, q); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		s.srv.history.swap(a, b)
	}
	return err
}

func (s *session) doComment(ctx context.Context, st statement) (*answer, error) {
	i := 1
	for i < len(st.toks) && (st.toks[i].is("IF") || st.toks[i].is("EXISTS") || st.toks[i].is("ON")) {
		i++
	}
	is := find(st.toks, i, "IS")
	if is < 0 || is+1 >= len(st.toks) || st.toks[is+1].kind != text {
		return nil, syntax("COMMENT needs ON and IS with a text.")
	}
	ok, doc := done(typeDDL, "Statement executed successfully."), literal(st.toks[is+1].text)
	parts, _ := names(st.toks[i+1 : is])
	switch what := st.toks[i].text; {
	case what == "TABLE" && len(parts) > 0:
		t, _, err := s.tableAt(st.toks, i+1)
		if err != nil {
			return nil, err
		}
		return ok, s.define(ctx, nil, "COMMENT ON TABLE "+s.place(t)+" IS "+doc)
	case what == "COLUMN" && len(parts) > 1:
		t := s.resolve(parts[:len(parts)-1])
		if !s.temps[t] && !s.exists(t) {
			return nil, missing("Object", t.words())
		}
		return ok, s.define(ctx, nil, "COMMENT ON COLUMN "+s.place(t)+"."+quote(parts[len(parts)-1])+" IS "+doc)
	case len(parts) > 0:
		return ok, s.define(ctx, nil) // comments of schemas, stages and the like are not kept
	}
	return nil, syntax("COMMENT ON %s without a name.", st.toks[i].text)
}

func (s *session) doUse(ctx context.Context, st statement) (*answer, error) {
	ok := done(typeUse, "Statement executed successfully.")
	what := "DATABASE"
	var parts []string
	if len(st.toks) > 1 {
		what = st.toks[1].text
	}
	switch what {
	case "WAREHOUSE", "ROLE", "SECONDARY":
		return ok, nil
	case "DATABASE", "SCHEMA":
		parts, _ = names(st.toks[2:])
	default:
		what = "DATABASE"
		parts, _ = names(st.toks[1:])
	}
	switch {
	case len(parts) == 2:
		return ok, s.use(ctx, parts[0], parts[1])
	case len(parts) == 1 && what == "SCHEMA":
		return ok, s.use(ctx, s.db, parts[0])
	case len(parts) == 1:
		return ok, s.use(ctx, parts[0], "PUBLIC")
	}
	return nil, syntax("USE %s without a name.", strings.ToLower(what))
}
