package snowflaketest

import (
	"context"
	"errors"
	"slices"

	"github.com/duckdb/duckdb-go/v2"
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
			return notVariant(c)
		}
	}
	return nil
}

// assigned refuses a text that UPDATE gives to a VARIANT column.
func (s *session) assigned(ctx context.Context, st statement, t table, set int) error {
	types, _, err := s.columns(ctx, t)
	if err != nil || set < 0 {
		return err
	}
	end := len(st.toks)
	for _, w := range []string{"FROM", "WHERE"} {
		if at := find(st.toks, set, w); at >= 0 {
			end = min(end, at)
		}
	}
	for _, item := range split(st.toks[set+1 : end]) {
		eq := find(item, 0, "=")
		if eq < 1 || eq != len(item)-2 || types[spell(item[eq-1])] != "JSON" {
			continue
		}
		x := item[eq+1]
		value := x.kind == bind && x.bind < len(st.binds.types) && st.binds.types[x.bind] == "TEXT" && st.binds.rows[0][x.bind] != nil
		if value || x.kind == text {
			return notVariant(spell(item[eq-1]))
		}
	}
	return nil
}

func notVariant(column string) *failure {
	return fail("002023", "22000", "SQL compilation error:\nExpression type does not match column data type, expecting VARIANT but got VARCHAR(16777216) for column %s", decode(column))
}

// columnList is a table's columns, in order, and the engine's types of them.
type columnList struct {
	types map[string]string
	all   []string
}

// columns is the columns of a table, looked up once until the next DDL.
func (s *session) columns(ctx context.Context, t table) (types map[string]string, all []string, err error) {
	type key struct{ columns table }
	if c, known := s.srv.tables.Load(key{t}); known && !s.temps[t] {
		list := c.(columnList)
		return list.types, list.all, nil
	}
	defer func() {
		if err == nil && !s.temps[t] {
			s.srv.tables.Store(key{t}, columnList{types, all})
		}
	}()
	rows, err := s.conn.QueryContext(ctx, "SELECT column_name, column_type FROM (DESCRIBE "+s.place(t)+")")
	var e *duckdb.Error
	if errors.As(err, &e) && e.Type == duckdb.ErrorTypeCatalog {
		return nil, nil, nil // there is none
	}
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
