package snowflaketest

import (
	"context"
	"slices"
)

// notInValues is the functions that the service refuses in a VALUES clause.
var notInValues = []string{"PARSE_JSON", "TRY_PARSE_JSON", "TO_VARIANT", "OBJECT_CONSTRUCT", "ARRAY_CONSTRUCT", "TO_JSON"}

// fits refuses what the engine would take and the service does not: a text for a
// VARIANT column, and functions of documents in VALUES.
func (s *session) fits(ctx context.Context, st statement, t table, next int) error {
	rest := st.toks[next:]
	types, all, err := s.columns(ctx, t)
	if err != nil {
		return err
	}
	if len(rest) > 0 && rest[0].is("(") && !words(rest, "(", "SELECT") && !words(rest, "(", "WITH") {
		end := closing(rest, 0)
		all = nil
		for _, item := range split(rest[1:end]) {
			all = append(all, spell(item[0]))
		}
		rest = rest[end+1:]
	}
	if words(rest, "VALUES") {
		for i, tok := range rest[:len(rest)-1] {
			if tok.kind == word && slices.Contains(notInValues, tok.text) && rest[i+1].is("(") {
				return fail("002014", "22000", "SQL compilation error:\nInvalid expression [%s(…)] in VALUES clause", tok.text)
			}
		}
	}
	if !slices.ContainsFunc(all, func(c string) bool { return types[c] == "JSON" }) {
		return nil
	}
	query := append(append([]token{raws("SELECT * FROM (")}, rest...), raws(") AS SF_SOURCE LIMIT 0"))
	q, args, err := s.prepare(st, query, 0)
	if err != nil {
		return err
	}
	a, err := s.query(ctx, q, args)
	if err != nil {
		if s.begun {
			if back := s.again(context.WithoutCancel(ctx)); back != nil {
				return back
			}
		}
		return err
	}
	for i, c := range all {
		if i < len(a.cols) && types[c] == "JSON" && a.cols[i].Type == "text" {
			return fail("002023", "22000", "SQL compilation error:\nExpression type does not match column data type, expecting VARIANT but got VARCHAR(16777216) for column %s", decode(c))
		}
	}
	return nil
}

// columns is a table's columns, in order, and the engine's types of them.
func (s *session) columns(ctx context.Context, t table) (types map[string]string, all []string, err error) {
	db, schema := t.db, t.schema
	if s.temps[t] {
		db, schema = "temp", "main"
	}
	rows, err := s.conn.QueryContext(ctx, "SELECT column_name, data_type FROM duckdb_columns() WHERE database_name = ? AND schema_name = ? AND table_name = ? ORDER BY column_index", db, schema, t.name)
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	types = map[string]string{}
	for rows.Next() {
		var name, typ string
		if err := rows.Scan(&name, &typ); err != nil {
			return nil, nil, err
		}
		types[name], all = typ, append(all, name)
	}
	return types, all, rows.Err()
}
