package reverse

import (
	"context"
	"fmt"
	"strings"
)

// The encoding of what was accepted: a line Field=value for each field that is not
// null, by name, in which a backslash, a newline and a carriage return are \\, \n
// and \r, and a line Field for one that was emptied. A field that nothing was said
// about has no line: a null that was ignored says nothing, and when the job begins to
// empty fields, it is news. The warehouse builds it, too, so that the diff is a join
// inside it; values are in it as the query says them.

// accepted is the encoding.
func accepted(fields []string, values []*string, blank bool) string {
	var b strings.Builder
	for i, v := range values {
		switch {
		case v != nil:
			b.WriteString(fields[i] + "=" + escaped(*v) + "\n")
		case blank:
			b.WriteString(fields[i] + "\n")
		}
	}
	return b.String()
}

func escaped(v string) string {
	if !strings.ContainsAny(v, "\\\n\r") { // as nearly all
		return v
	}
	return strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\r", `\r`).Replace(v)
}

// accepts reads the encoding; nil is a field that was emptied.
func accepts(text string) map[string]*string {
	out := map[string]*string{}
	for line := range strings.Lines(text) {
		field, v, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		out[field] = nil
		if ok {
			v = unescaped(v)
			out[field] = &v
		}
	}
	return out
}

func unescaped(v string) string {
	if !strings.Contains(v, `\`) {
		return v
	}
	return strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\r`, "\r").Replace(v)
}

// encoded is the encoding of a row as SQL. Databases disagree on what a backslash in
// quotes means, so there is none.
func (p *planner) encoded(alias string) string {
	parts := []string{"''"}
	for i, c := range p.cols {
		v := alias + f(i)
		for _, sign := range []struct{ code, letter string }{{"92", "chr(92)"}, {"10", "'n'"}, {"13", "'r'"}} {
			v = fmt.Sprintf("replace(%s, chr(%s), chr(92) || %s)", v, sign.code, sign.letter)
		}
		name, null := strings.ReplaceAll(c.field.Name, "'", "''"), "''"
		if p.blanks() {
			null = "'" + name + "' || chr(10)"
		}
		parts = append(parts, fmt.Sprintf("coalesce('%s=' || %s || chr(10), %s)", name, v, null))
	}
	return strings.Join(parts, " || ")
}

// diff finds the rows of the query that the destination has not accepted as they
// are, in the order in which they will be written.
func (p *planner) diff(ctx context.Context) error {
	defs := append([]string{`"r" BIGINT`}, textDefs(append([]string{`"key"`, `"accepted"`, `"sent"`}, p.fs("")...)...)...)
	if err := p.create(ctx, changedTable, defs...); err != nil {
		return err
	}
	cond := fmt.Sprintf(`(s."key" IS NULL OR s."accepted" IS DISTINCT FROM %s)`, p.encoded("d."))
	switch {
	case p.o.Full, p.job.Operation == Delete: // what was deleted may have been made again
		cond = "TRUE"
	case p.job.Operation == Insert:
		cond = `s."key" IS NULL`
	}
	if p.unkeyable {
		cond += fmt.Sprintf(` AND d."key" IS NOT NULL AND %s NOT IN (SELECT "fold" FROM %s)`, p.fold(`d."key"`), quote(repeatedTable))
	}
	err := p.exec(ctx, "diff", fmt.Sprintf(`INSERT INTO %[1]s (%[2]s) SELECT row_number() OVER (ORDER BY d."o" NULLS LAST, d."key"), %[3]s
 FROM %[4]s AS d LEFT JOIN (SELECT "key", "accepted", "destination_id" FROM "millrace"."sync_sent" WHERE "sync" = ? AND "object" = ?) AS s ON s."key" = d."key"
 WHERE %[5]s`,
		quote(changedTable), list(`"r", "key", "accepted", "sent"`, p.fs("")), list(`d."key", s."accepted", s."destination_id"`, p.fs("d.")), quote(desiredTable), cond),
		p.job.Name, p.job.Object)
	if err != nil {
		return err
	}
	err = p.conn.QueryRowContext(ctx, "SELECT count(*) FROM "+quote(changedTable)).Scan(&p.changed)
	return p.Warehouse.Explain(err, "changed rows of sync %s", p.job.Name)
}
