package snowflaketest

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// tableAt reads the table's name at a place; it must exist.
func (s *session) tableAt(toks []token, i int) (t table, next int, err error) {
	if i >= len(toks) {
		return t, i, syntax("unexpected end of statement.")
	}
	parts, size := names(toks[i:])
	if size == 0 {
		return t, i, syntax("unexpected '%s'.", toks[i].text)
	}
	t = s.resolve(parts)
	if !s.temps[t] && !s.exists(t) {
		return t, i, missing("Object", t.words())
	}
	return t, i + size, nil
}

// change runs a statement of the engine that changes rows, for each row of binds,
// and tells how many rows it changed.
func (s *session) change(ctx context.Context, st statement) (int64, error) {
	var total int64
	err := s.write(ctx, func(ctx context.Context) error {
		total = 0
		for row, size := 0, 0; row < max(1, len(st.binds.rows)); row += size {
			q, args, rows, err := s.batch(st, row)
			if err != nil {
				return err
			}
			size = rows
			res, err := s.conn.ExecContext(ctx, q, args...)
			if err != nil {
				return err
			}
			n, _ := res.RowsAffected()
			total += n
		}
		return nil
	})
	return total, err
}

// batch is the statement with the binds of one row, or of many where it is an
// INSERT of one VALUES list.
func (s *session) batch(st statement, row int) (q string, args []any, size int, err error) {
	const most = 500
	if q, args, err = s.prepare(st, st.toks, row); err != nil || !st.binds.array {
		return q, args, 1, err
	}
	at := find(st.toks, 0, "VALUES")
	if at < 0 || at+1 >= len(st.toks) || closing(st.toks, at+1) != len(st.toks)-1 {
		return q, args, 1, nil
	}
	size = min(most, len(st.binds.rows)-row)
	group, order := render(s.typed(st, st.toks[at+1:]))
	var b strings.Builder
	b.WriteString(q)
	for i := 1; i < size; i++ {
		more, err := st.binds.args(row+i, order)
		if err != nil {
			return "", nil, 0, err
		}
		b.WriteString(", " + group)
		args = append(args, more...)
	}
	return b.String(), args, size, nil
}

func (s *session) doInsert(ctx context.Context, st statement) (*answer, error) {
	if len(st.toks) < 3 || !st.toks[1].is("INTO") && !st.toks[1].is("OVERWRITE") {
		return nil, syntax("INSERT without INTO.")
	}
	if st.toks[1].is("OVERWRITE") {
		return nil, syntax("INSERT OVERWRITE is not known to this fake.")
	}
	t, next, err := s.tableAt(st.toks, 2)
	if err != nil {
		return nil, err
	}
	if err := s.fits(ctx, st, t, next); err != nil {
		return nil, err
	}
	n, err := s.change(ctx, st)
	return counted(typeInsert, []string{"rows inserted"}, n), err
}

func (s *session) doUpdate(ctx context.Context, st statement) (*answer, error) {
	t, next, err := s.tableAt(st.toks, 1)
	if err != nil {
		return nil, err
	}
	if err := s.lock(ctx, t); err != nil {
		return nil, err
	}
	st.toks = unqualified(st.toks, find(st.toks, next, "SET"))
	n, err := s.change(ctx, st)
	return counted(typeUpdate, []string{"rows updated", "multi-joined rows updated"}, n, 0), err
}

// unqualified drops the table's name before the columns that SET assigns: the
// engine knows no other table there.
func unqualified(toks []token, set int) []token {
	if set < 0 {
		return toks
	}
	out := slices.Clone(toks[:set+1])
	depth, target := 0, true
	for i := set + 1; i < len(toks); i++ {
		switch t := toks[i]; {
		case t.is("("):
			depth++
		case t.is(")"):
			depth--
		case depth == 0 && t.is(","):
			target = true
		case depth == 0 && t.is("="):
			target = false
		case depth == 0 && (t.is("WHEN") || t.is("WHERE") || t.is("FROM")):
			return append(out, toks[i:]...)
		}
		if target && depth == 0 && i+1 < len(toks) && toks[i].name() && toks[i+1].is(".") {
			i++
			continue
		}
		out = append(out, toks[i])
	}
	return out
}

func (s *session) doDelete(ctx context.Context, st statement) (*answer, error) {
	if len(st.toks) < 3 || !st.toks[1].is("FROM") {
		return nil, syntax("DELETE without FROM.")
	}
	t, _, err := s.tableAt(st.toks, 2)
	if err != nil {
		return nil, err
	}
	if err := s.lock(ctx, t); err != nil {
		return nil, err
	}
	n, err := s.change(ctx, st)
	return counted(typeDelete, []string{"rows deleted"}, n), err
}

func (s *session) doTruncate(ctx context.Context, st statement) (*answer, error) {
	at := 1
	for at < len(st.toks) && (st.toks[at].is("TABLE") || st.toks[at].is("IF") || st.toks[at].is("EXISTS")) {
		at++
	}
	t, _, err := s.tableAt(st.toks, at)
	if err != nil {
		return nil, err
	}
	if err := s.lock(ctx, t); err != nil {
		return nil, err
	}
	err = s.write(ctx, func(ctx context.Context) error {
		_, err := s.conn.ExecContext(ctx, "DELETE FROM "+s.place(t))
		return err
	})
	return done(typeDDL, "Statement executed successfully."), err
}

// merge is the parts of a MERGE.
type merge struct {
	target, source, on []token
	clauses            []clause
}

type clause struct {
	matched bool
	and     []token
	action  string // UPDATE, DELETE or INSERT
}

// parseMerge finds what decides whether a MERGE is deterministic.
func parseMerge(toks []token) (m merge, err error) {
	using := find(toks, 0, "USING")
	on := find(toks, max(using, 0), "ON")
	when := find(toks, max(on, 0), "WHEN")
	if !words(toks, "MERGE", "INTO") || using < 0 || on < 0 || when < 0 {
		return m, syntax("MERGE needs INTO, USING, ON and WHEN.")
	}
	m.target, m.source, m.on = toks[2:using], toks[using+1:on], toks[on+1:when]
	for when >= 0 {
		then := find(toks, when, "THEN")
		if then < 0 || then+1 >= len(toks) {
			return m, syntax("WHEN without THEN.")
		}
		c := clause{matched: toks[when+1].is("MATCHED"), action: toks[then+1].text}
		if and := find(toks[:then], when, "AND"); and >= 0 {
			c.and = toks[and+1 : then]
		}
		m.clauses = append(m.clauses, c)
		when = find(toks, then, "WHEN")
		for when >= 0 && when+1 < len(toks) && !toks[when+1].is("MATCHED") && !toks[when+1].is("NOT") {
			when = find(toks, when+1, "WHEN") // of a CASE
		}
	}
	return m, nil
}

// twice is the query for a target row that several source rows would change: the
// service refuses to choose between them.
func (m merge) twice() []token {
	q := []token{raws("SELECT count(*) FROM (SELECT SF_R FROM (SELECT")}
	q = append(append(q, alias(m.target)), raws(".rowid AS SF_R, CASE"))
	for _, c := range m.clauses {
		if !c.matched {
			continue
		}
		q = append(q, raws("WHEN"))
		if c.and == nil {
			q = append(q, raws("TRUE"))
		}
		q = append(append(q, c.and...), raws("THEN "+literal(c.action)))
	}
	q = append(append(append(q, raws("END AS SF_A"), token{kind: word, text: "FROM"}), m.target...), token{kind: word, text: "JOIN"})
	q = append(append(append(q, m.source...), token{kind: word, text: "ON"}), m.on...)
	return append(q, raws(") GROUP BY SF_R HAVING count(*) FILTER (WHERE SF_A = 'UPDATE') > 1 OR count(DISTINCT SF_A) > 1)"))
}

// alias is the name by which a table reference is known.
func alias(ref []token) token { return ref[len(ref)-1] }

func (s *session) doMerge(ctx context.Context, st statement) (*answer, error) {
	m, err := parseMerge(st.toks)
	if err != nil {
		return nil, err
	}
	t, _, err := s.tableAt(st.toks, 2)
	if err != nil {
		return nil, err
	}
	if err := s.lock(ctx, t); err != nil {
		return nil, err
	}
	toks := slices.Clone(st.toks)
	for i := find(toks, 0, "SET"); i >= 0; i = find(toks, i+1, "SET") {
		toks = unqualified(toks, i)
	}
	var counts map[string]int64
	err = s.write(ctx, func(ctx context.Context) error {
		counts = map[string]int64{}
		if err := s.deterministic(ctx, st, m); err != nil {
			return err
		}
		q, args, err := s.prepare(st, toks, 0)
		if err != nil {
			return err
		}
		return s.count(ctx, counts, q+" RETURNING merge_action", args)
	})
	var names []string
	var ns []int64
	for _, c := range []struct{ action, name string }{{"INSERT", "rows inserted"}, {"UPDATE", "rows updated"}, {"DELETE", "rows deleted"}} {
		if slices.ContainsFunc(m.clauses, func(x clause) bool { return x.action == c.action }) {
			names, ns = append(names, c.name), append(ns, counts[c.action])
		}
	}
	return counted(typeMerge, names, ns...), err
}

func (s *session) deterministic(ctx context.Context, st statement, m merge) error {
	if strings.EqualFold(s.params["ERROR_ON_NONDETERMINISTIC_MERGE"], "false") || !slices.ContainsFunc(m.clauses, func(c clause) bool { return c.matched }) {
		return nil
	}
	q, args, err := s.prepare(st, m.twice(), 0)
	if err != nil {
		return err
	}
	var n int64
	if err := s.conn.QueryRowContext(ctx, q, args...).Scan(&n); err != nil {
		return fmt.Errorf("duplicate rows of a MERGE: %w", err)
	}
	if n > 0 {
		return fail("100090", "42P18", "Duplicate row detected during DML action")
	}
	return nil
}

// count adds up what MERGE says it did, row by row.
func (s *session) count(ctx context.Context, into map[string]int64, q string, args []any) error {
	rows, err := s.conn.QueryContext(ctx, q, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var action string
		if err := rows.Scan(&action); err != nil {
			return err
		}
		into[action]++
	}
	return rows.Err()
}
