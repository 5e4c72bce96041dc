package snowflaketest

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"strings"
)

// describeColumns is the headings of DESCRIBE TABLE that people look at.
var describeColumns = []string{"name", "type", "kind", "null?", "default", "primary key", "unique key", "check", "expression", "comment"}

func (s *session) doDescribe(ctx context.Context, st statement) (*answer, error) {
	at := 1
	if at < len(st.toks) && (st.toks[at].is("TABLE") || st.toks[at].is("VIEW")) {
		at++
	}
	t, _, err := s.tableAt(st.toks, at)
	if err != nil {
		return nil, missing("Table", strings.Join(namesWords(st.toks[at:]), "."))
	}
	s.read(ctx)
	db, schema := t.db, t.schema
	if s.temps[t] {
		db, schema = "temp", "main"
	}
	rows, err := s.conn.QueryContext(ctx, "SELECT column_name, data_type, is_nullable, coalesce(column_default, ''), coalesce(comment, '') FROM duckdb_columns() WHERE database_name = ? AND schema_name = ? AND table_name = ? ORDER BY column_index", db, schema, t.name)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out [][]string
	for rows.Next() {
		var name, typ, def, doc string
		var null bool
		if err := rows.Scan(&name, &typ, &null, &def, &doc); err != nil {
			return nil, err
		}
		out = append(out, []string{decode(name), spelled(typ), "COLUMN", map[bool]string{true: "Y", false: "N"}[null], def, "N", "N", "", "", doc})
	}
	return texts(typeDescribe, describeColumns, out...), rows.Err()
}

func namesWords(toks []token) []string {
	parts, _ := names(toks)
	return parts
}

// spelled is an engine's type as the service says it. Times are told with the six
// digits that the engine keeps.
func spelled(typ string) string {
	switch {
	case strings.HasPrefix(typ, "DECIMAL"):
		return "NUMBER" + strings.TrimPrefix(typ, "DECIMAL")
	case typ == "BIGINT", typ == "INTEGER", typ == "HUGEINT":
		return "NUMBER(38,0)"
	case typ == "VARCHAR":
		return "VARCHAR(16777216)"
	case typ == "JSON":
		return "VARIANT"
	case typ == "TIMESTAMP":
		return "TIMESTAMP_NTZ(6)"
	case strings.HasPrefix(typ, "TIMESTAMP WITH"):
		return "TIMESTAMP_LTZ(6)"
	case typ == "DOUBLE":
		return "FLOAT"
	case typ == "BLOB":
		return "BINARY(8388608)"
	case typ == "TIME":
		return "TIME(6)"
	}
	return typ
}

// shown is what SHOW lists, with the engine's catalog behind it.
var shown = map[string]string{
	"TABLES":    `SELECT SF_NAME(table_name), SF_NAME(database_name), SF_NAME(schema_name), 'TABLE', coalesce(comment, '') FROM duckdb_tables() WHERE NOT internal AND database_name = ? AND (? = '' OR schema_name = ?) ORDER BY 3, 1`,
	"VIEWS":     `SELECT SF_NAME(view_name), SF_NAME(database_name), SF_NAME(schema_name), 'VIEW', coalesce(comment, '') FROM duckdb_views() WHERE NOT internal AND database_name = ? AND (? = '' OR schema_name = ?) ORDER BY 3, 1`,
	"SCHEMAS":   `SELECT SF_NAME(schema_name), SF_NAME(database_name), '', 'SCHEMA', coalesce(comment, '') FROM duckdb_schemas() WHERE schema_name <> 'main' AND database_name = ? AND (? = '' OR schema_name = ? OR true) ORDER BY 1`,
	"DATABASES": `SELECT SF_NAME(database_name), '', '', 'DATABASE', coalesce(comment, '') FROM duckdb_databases() WHERE NOT internal AND database_name <> 'memory' AND (? = ? OR ? = ? OR true) ORDER BY 1`,
}

func (s *session) doShow(ctx context.Context, st statement) (*answer, error) {
	i := 1
	for i < len(st.toks) && st.toks[i].is("TERSE") {
		i++
	}
	what := ""
	if i < len(st.toks) {
		what = st.toks[i].text
	}
	switch {
	case what == "LOCKS":
		var rows [][]string
		for t, id := range s.srv.locks.holders() {
			rows = append(rows, []string{t.words(), "PARTITIONS", strconv.FormatInt(id, 10), "HOLDING"})
		}
		return texts(typeShow, []string{"resource", "type", "session", "status"}, rows...), nil
	case what == "PARAMETERS":
		var rows [][]string
		for k, v := range s.params {
			rows = append(rows, []string{k, v})
		}
		return texts(typeShow, []string{"key", "value"}, rows...), nil
	case what == "STAGES":
		return s.showStages(), nil
	case shown[what] == "":
		return nil, syntax("SHOW %s is not known to this fake.", what)
	}
	return s.showObjects(ctx, st, what)
}

func (s *session) showStages() *answer {
	all := maps.Clone(s.stages)
	s.srv.stages.mu.Lock()
	maps.Copy(all, s.srv.stages.named)
	s.srv.stages.mu.Unlock()
	var rows [][]string
	for t, one := range all {
		rows = append(rows, []string{decode(t.name), decode(t.db), decode(t.schema), one.url})
	}
	return texts(typeShow, []string{"name", "database_name", "schema_name", "url"}, rows...)
}

func (s *session) showObjects(ctx context.Context, st statement, what string) (*answer, error) {
	db, schema, like := s.db, s.schema, ""
	for i, t := range st.toks[:len(st.toks)-1] {
		switch {
		case t.is("LIKE"):
			like = st.toks[i+1].text
		case t.is("IN"):
			at := i + 1
			schema = ""
			kind := st.toks[at].text
			if kind == "ACCOUNT" {
				continue
			}
			if kind == "SCHEMA" || kind == "DATABASE" {
				at++
			}
			parts, _ := names(st.toks[min(at, len(st.toks)):])
			switch {
			case len(parts) == 2:
				db, schema = parts[0], parts[1]
			case len(parts) == 1 && kind == "DATABASE":
				db = parts[0]
			case len(parts) == 1:
				schema = parts[0]
			}
		}
	}
	s.read(ctx)
	args := []any{db, schema, schema}
	if what == "DATABASES" {
		args = []any{"", "", "", ""}
	}
	q := shown[what]
	if like != "" {
		q, args = fmt.Sprintf("SELECT * FROM (%s) AS q(n, d, s, k, c) WHERE n ILIKE ?", q), append(args, like)
	}
	a, err := s.query(ctx, q, args)
	if err != nil {
		return nil, err
	}
	a.kind = typeShow
	for i, n := range []string{"name", "database_name", "schema_name", "kind", "comment"} {
		a.cols[i].Name = n
	}
	return a, nil
}
