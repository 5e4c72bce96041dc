package snowflaketest

import (
	"context"
	"strings"
)

// doDescribe is DESCRIBE TABLE: the columns with their types, as the service spells
// them.
func (s *session) doDescribe(ctx context.Context, st statement) (*answer, error) {
	if len(st.toks) < 3 || !st.toks[1].is("TABLE") {
		return nil, syntax("this fake knows DESCRIBE TABLE.")
	}
	t, _, err := s.tableAt(st.toks, 2)
	if err != nil {
		return nil, err
	}
	db, schema := t.db, t.schema
	if s.temps[t] {
		db, schema = "temp", "main"
	}
	rows, err := s.conn.QueryContext(ctx, "SELECT column_name, data_type, is_nullable, coalesce(comment, '') FROM duckdb_columns() WHERE database_name = ? AND schema_name = ? AND table_name = ? ORDER BY column_index", db, schema, t.name)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out [][]string
	for rows.Next() {
		var name, typ, doc string
		var null bool
		if err := rows.Scan(&name, &typ, &null, &doc); err != nil {
			return nil, err
		}
		out = append(out, []string{decode(name), described(typ), "COLUMN", map[bool]string{true: "Y", false: "N"}[null], doc})
	}
	return texts(typeDescribe, []string{"name", "type", "kind", "null?", "comment"}, out...), rows.Err()
}

// described is the engine's type as the service says it. Times have microseconds
// here, whatever was asked for.
func described(typ string) string {
	switch {
	case strings.HasPrefix(typ, "DECIMAL"):
		return "NUMBER" + strings.TrimPrefix(typ, "DECIMAL")
	case typ == "VARCHAR":
		return "VARCHAR(16777216)"
	case typ == "JSON":
		return "VARIANT"
	case typ == "TIMESTAMP":
		return "TIMESTAMP_NTZ(6)"
	case typ == "TIMESTAMP WITH TIME ZONE":
		return "TIMESTAMP_LTZ(6)"
	case typ == "DOUBLE":
		return "FLOAT"
	case typ == "BLOB":
		return "BINARY(8388608)"
	case typ == "BIGINT" || typ == "INTEGER" || typ == "HUGEINT":
		return "NUMBER(38,0)"
	}
	return typ
}
