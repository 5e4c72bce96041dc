package reverse

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
)

// compared streams the changes of the plan. What needs no write, and what cannot be
// written, goes into tables of the session on the way; see facts.
func (p *planner) compared(ctx context.Context) iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		if err := p.unkeyedRejects(ctx); err != nil {
			yield(Change{}, err)
			return
		}
		before := ""
		size := int64(comparing)
		if p.whole {
			size = joined
		}
		for from := int64(0); from < p.changed; from += size {
			page, err := p.candidates(ctx, from, from+size)
			var changes []Change
			if err == nil {
				changes, err = p.sort(ctx, page, &before)
			}
			for _, c := range changes {
				if err != nil || !yield(c, nil) {
					break
				}
			}
			if err != nil {
				yield(Change{}, err)
				return
			}
			p.progress(min(from+size, p.changed), p.changed)
		}
		p.plan.Unchanged = p.rows - p.plan.Rejected - p.plan.Writes()
	}
}

// sort tells the rows of a page apart by what becomes of them.
func (p *planner) sort(ctx context.Context, page []candidate, before *string) (changes []Change, err error) {
	var same, rejects [][]any
	for _, c := range page {
		if c.key == *before { // accepted twice under one key, by processes that met: once is enough
			continue
		}
		*before = c.key
		change, m := p.judge(c)
		switch {
		case m != nil:
			p.plan.Rejected++
			rejects = append(rejects, p.reject(c.key, *m, c.values))
		case change != nil:
			changes = append(changes, *change)
		case p.job.Operation == Upsert || p.job.Operation == Update:
			if merged := p.merged(c); c.accepted == nil || *c.accepted != merged {
				same = append(same, []any{c.key, orNull(cmp.Or(c.id, c.sent)), merged})
			}
		}
	}
	if len(same) > 0 {
		if _, err := p.Warehouse.Fill(ctx, p.conn, "", sameTable, []string{"key", "id", "accepted"}, rowsOf(same)); err != nil {
			return nil, err
		}
	}
	return changes, p.addRejects(ctx, rejects)
}

func rowsOf(rows [][]any) iter.Seq2[[]any, error] {
	return func(yield func([]any, error) bool) {
		for _, r := range rows {
			if !yield(r, nil) {
				return
			}
		}
	}
}

// judge decides what a row needs: a change, nothing, or to be rejected.
func (p *planner) judge(c candidate) (*Change, *misfit) {
	if c.many > 1 {
		return nil, bad(p.key, rejectAmbiguous, "%d records have this key; a key must name one", c.many)
	}
	key, m := preflight(p.key, c.key, p.keyPrefixes())
	if m != nil {
		return nil, m
	}
	if !p.stirred(c) {
		return nil, nil
	}
	change := &Change{Key: key, ID: c.id}
	switch op := p.job.Operation; {
	case op == Delete && c.id == "":
		return nil, nil
	case op == Delete:
		change.Kind, change.Fields = KindDelete, p.lost(c)
		return change, nil
	case op == Insert && c.accepted != nil:
		return nil, nil
	case op == Insert && c.id != "":
		return nil, bad(p.key, rejectExists, "there is a record with this key, and the sync only inserts; use upsert, or leave the row out of the query")
	case op == Update && c.id == "":
		return nil, bad(p.key, rejectMissing, "there is no record with this key, and the sync only updates; use upsert, or leave the row out of the query")
	case c.id == "":
		change.Kind = KindCreate
		change.Fields, m = p.created(c)
	default:
		change.Kind = KindUpdate
		if change.Fields, m = p.updated(c); m == nil && len(change.Fields) == 0 {
			return nil, nil
		}
	}
	if m != nil {
		return nil, m
	}
	merged := p.merged(c)
	change.Accepted = &merged
	return change, nil
}

func (p *planner) keyPrefixes() []string {
	if p.key.Name == "Id" && p.object.Prefix != "" {
		return []string{p.object.Prefix}
	}
	return nil
}

// created is the fields of a new record.
func (p *planner) created(c candidate) (out []FieldChange, m *misfit) {
	has := map[string]bool{strings.ToLower(p.key.Name): true}
	for i, col := range p.cols {
		if c.values[i] == nil {
			continue
		}
		v, m := preflight(col.field, *c.values[i], col.prefixes)
		if m != nil {
			return nil, m
		}
		if v != "" {
			out = append(out, FieldChange{Field: col.field.Name, After: &v})
			has[strings.ToLower(col.field.Name)] = true
		}
	}
	for _, f := range p.object.Fields {
		if !f.Nullable && f.Creatable && !f.Defaulted && !has[strings.ToLower(f.Name)] {
			return nil, bad(f, rejectRequired, "a new record needs a value")
		}
	}
	return out, nil
}

// updated is the fields that the query says anew and that do not hold that yet.
func (p *planner) updated(c candidate) (out []FieldChange, m *misfit) {
	news := p.news(c)
	for i, col := range p.cols {
		if !news[i] {
			continue
		}
		after, m := "", (*misfit)(nil)
		if c.values[i] != nil {
			after, m = preflight(col.field, *c.values[i], col.prefixes)
		}
		if m == nil && after == "" && !col.field.Nullable && c.live[i] != nil {
			m = bad(col.field, rejectRequired, "the field cannot be emptied; use nulls: ignore, or give it a value")
		}
		if m != nil {
			return nil, m
		}
		if before := standing(col.field, c.live[i]); before != after {
			out = append(out, FieldChange{Field: col.field.Name, Before: orNil(before), After: orNil(after)})
		}
	}
	return out, nil
}

// news tells which fields the query says otherwise than what was accepted. In all
// others, what people have written since stays.
func (p *planner) news(c candidate) []bool {
	out, known := make([]bool, len(p.cols)), map[string]*string(nil)
	all := c.accepted == nil || p.o.Full
	if !all {
		known = accepts(*c.accepted)
	}
	for i, col := range p.cols {
		old, ok := known[col.field.Name]
		out[i] = !p.ignored(c.values[i]) && (all || !ok || !same(c.values[i], old))
	}
	return out
}

// stirred reports whether there is a reason to look at what stands there.
func (p *planner) stirred(c candidate) bool {
	if p.job.Operation == Insert || p.job.Operation == Delete || c.accepted == nil || p.o.Full {
		return true
	}
	return slices.Contains(p.news(c), true)
}

// ignored reports whether a value says nothing.
func (p *planner) ignored(v *string) bool { return v == nil && !p.blanks() }

// blanks reports whether a null empties its field.
func (p *planner) blanks() bool { return p.job.Nulls == BlankNulls }

// standing is a live value in its canonical form. One that has none is shown as it
// is: it is no reason not to write a good one over it.
func standing(f Field, live *string) string {
	if live == nil {
		return ""
	}
	if v, err := Canonical(f, *live); err == nil {
		return v
	}
	return *live
}

func orNil(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// lost is what a deletion takes away.
func (p *planner) lost(c candidate) (out []FieldChange) {
	for i, col := range p.cols {
		out = append(out, FieldChange{Field: col.field.Name, Before: orNil(standing(col.field, c.live[i]))})
	}
	return out
}

// merged is what will have been accepted of a row: what it says now, and, where a
// null is ignored, what was accepted before.
func (p *planner) merged(c candidate) string {
	values, known := c.values, map[string]*string(nil)
	for i, v := range c.values {
		if !p.ignored(v) || c.accepted == nil {
			continue
		}
		if known == nil {
			known, values = accepts(*c.accepted), append([]*string{}, values...)
		}
		if old, ok := known[p.cols[i].field.Name]; ok {
			values[i] = old
		}
	}
	return accepted(p.names(), values, p.blanks())
}

// unkeyedRejects rejects the rows whose key is no key.
func (p *planner) unkeyedRejects(ctx context.Context) error {
	if err := p.create(ctx, sameTable, textDefs(`"key"`, `"id"`, `"accepted"`)...); err != nil {
		return err
	}
	if err := p.create(ctx, rejectedTable, textDefs(`"reject"`, `"rule"`, `"reason"`, `"row"`)...); err != nil {
		return err
	}
	for from := int64(0); ; from += comparing {
		rejects, err := p.badPage(ctx, from)
		if err != nil || len(rejects) == 0 {
			return err
		}
		if err := p.addRejects(ctx, rejects); err != nil {
			return err
		}
	}
}

func (p *planner) badPage(ctx context.Context, from int64) (out [][]any, err error) {
	rows, err := p.conn.QueryContext(ctx, fmt.Sprintf(`SELECT "rows", %s FROM %s WHERE "r" > ? AND "r" <= ? ORDER BY "r"`, list(`"key"`, p.fs("")), quote(badTable)), from, from+comparing)
	if err != nil {
		return nil, p.Warehouse.Explain(err, "rows without a key of sync %s", p.job.Name)
	}
	defer rows.Close()
	for rows.Next() {
		var n int64
		var key string
		values := make([]*string, len(p.cols))
		dest := []any{&n, null[string]{&key}}
		for i := range values {
			dest = append(dest, &values[i])
		}
		if err := rows.Scan(dest...); err != nil {
			return nil, p.Warehouse.Explain(err, "rows without a key of sync %s", p.job.Name)
		}
		m := misfit{rejectEmptyKey, fmt.Sprintf("%d rows of the query have no %s; this is one of them", n, p.job.Key)}
		if key != "" {
			m = misfit{rejectDuplicate, fmt.Sprintf("%d rows of the query have this %s; this is one of them, and none was planned", n, p.job.Key)}
		}
		p.plan.Rejected += n
		out = append(out, p.reject(key, m, values))
	}
	return out, p.Warehouse.Explain(rows.Err(), "rows without a key of sync %s", p.job.Name)
}
