package reverse

import (
	"context"
	"fmt"
	"iter"
	"strings"
)

const (
	readAll   = 50_000 // changed rows above which all records are read at once
	comparing = 2000   // rows that are compared at a time, and asked for by their keys
	joined    = 20_000 // the same, of rows that lie beside all records
)

// candidate is a row of the query that may have to be written, beside what was
// accepted of it and what stands at the destination.
type candidate struct {
	key      string
	values   []*string
	accepted *string // nil: nothing was
	sent     string  // id of the record that it was of
	id       string  // "" = there is no such record
	many     int64   // records that have the key
	live     []*string
}

// live reads all records that have a key into a table of the session, where that
// takes fewer requests than asking for each page of rows by its keys.
func (p *planner) live(ctx context.Context) error {
	if p.changed <= p.most {
		return p.affordable((p.changed + readKeys - 1) / readKeys)
	}
	n, err := p.dest.Count(ctx, p.job.Object)
	if err == nil {
		err = p.affordable(n/readPage + 1)
	}
	if err != nil {
		return err
	}
	p.whole = true
	if err := p.create(ctx, standingTable, textDefs(append([]string{`"key"`, `"id"`}, p.fs("")...)...)...); err != nil {
		return err
	}
	cols := []string{"key", "id"}
	for i := range p.cols {
		cols = append(cols, fmt.Sprint("f", i))
	}
	if _, err := p.Warehouse.Fill(ctx, p.conn, "", standingTable, cols, p.records(ctx)); err != nil {
		return err
	}
	return p.join(ctx)
}

// records are all records as rows of the table.
func (p *planner) records(ctx context.Context) iter.Seq2[[]any, error] {
	return func(yield func([]any, error) bool) {
		for r, err := range p.dest.Read(ctx, Query{Object: p.job.Object, Key: p.key.Name, Fields: p.names()}) {
			if err != nil {
				yield(nil, err)
				return
			}
			row := []any{p.canonicalKey(r.Key), r.ID}
			for _, v := range r.Values {
				row = append(row, pointed(v))
			}
			if !yield(row, nil) {
				return
			}
		}
	}
}

// names are the fields of the job.
func (p *planner) names() []string {
	out := make([]string, len(p.cols))
	for i, c := range p.cols {
		out[i] = c.field.Name
	}
	return out
}

// join puts what stands at the destination beside what was changed, once: a join for
// each page would look at all records each time.
func (p *planner) join(ctx context.Context) error {
	var live []string
	for i := range p.cols {
		live = append(live, fmt.Sprintf(`"v%d"`, i))
	}
	defs := append([]string{`"r" BIGINT`, `"many" BIGINT`}, textDefs(append(append([]string{`"key"`, `"accepted"`, `"sent"`, `"id"`}, p.fs("")...), live...)...)...)
	if err := p.create(ctx, joinedTable, defs...); err != nil {
		return err
	}
	fold := p.fold(`l."key"`)
	err := p.exec(ctx, "compare", fmt.Sprintf(`INSERT INTO %[1]s (%[2]s) SELECT %[3]s
 FROM %[4]s AS c LEFT JOIN (SELECT * FROM (SELECT l.*, %[5]s AS "fold", count(*) OVER (PARTITION BY %[5]s) AS "many", row_number() OVER (PARTITION BY %[5]s ORDER BY l."id") AS "one" FROM %[6]s AS l) AS n WHERE n."one" = 1) AS o ON o."fold" = %[7]s`,
		quote(joinedTable), list(`"r", "many", "key", "accepted", "sent", "id"`, p.fs(""), live), list(`c."r", coalesce(o."many", 0), c."key", c."accepted", c."sent", o."id"`, p.fs("c."), p.fs("o.")), quote(changedTable), fold, quote(standingTable), p.fold(`c."key"`)))
	if err != nil {
		return err
	}
	return p.drop(ctx, standingTable, changedTable)
}

// candidates reads the rows with from < r ≤ to, and what stands at the destination.
func (p *planner) candidates(ctx context.Context, from, to int64) ([]candidate, error) {
	if p.whole {
		return p.stored(ctx, joinedTable, from, to)
	}
	page, err := p.stored(ctx, changedTable, from, to)
	if err != nil {
		return nil, err
	}
	at, keys := make(map[string]int, len(page)), make([]string, 0, len(page))
	for i, c := range page {
		// what is no key is not asked for: the destination would refuse the others with it
		if _, m := preflight(p.key, c.key, p.keyPrefixes()); m == nil && p.stirred(c) {
			keys, at[p.folded(c.key)] = append(keys, c.key), i
		}
	}
	if len(keys) == 0 {
		return page, nil
	}
	for r, err := range p.dest.Read(ctx, Query{Object: p.job.Object, Key: p.key.Name, Keys: keys, Fields: p.names()}) {
		if err != nil {
			return nil, err
		}
		if i, ok := at[p.folded(r.Key)]; ok {
			page[i].many++
			page[i].id, page[i].live = r.ID, r.Values
		}
	}
	return page, nil
}

// stored reads a page of a table.
func (p *planner) stored(ctx context.Context, table string, from, to int64) (out []candidate, err error) {
	cols := append([]string{`"key"`, `"accepted"`, `"sent"`}, p.fs("")...)
	if p.whole {
		cols = append(cols, `"many"`, `"id"`)
		for i := range p.cols {
			cols = append(cols, fmt.Sprintf(`"v%d"`, i))
		}
	}
	rows, err := p.conn.QueryContext(ctx, fmt.Sprintf(`SELECT %s FROM %s WHERE "r" > ? AND "r" <= ? ORDER BY "r"`, strings.Join(cols, ", "), quote(table)), from, to)
	if err != nil {
		return nil, p.Warehouse.Explain(err, "changed rows of sync %s", p.job.Name)
	}
	defer rows.Close()
	for rows.Next() {
		c := candidate{values: make([]*string, len(p.cols)), live: make([]*string, len(p.cols))}
		dest := []any{&c.key, &c.accepted, null[string]{&c.sent}}
		for i := range c.values {
			dest = append(dest, &c.values[i])
		}
		if p.whole {
			dest = append(dest, &c.many, null[string]{&c.id})
			for i := range c.live {
				dest = append(dest, &c.live[i])
			}
		}
		if err := rows.Scan(dest...); err != nil {
			return nil, p.Warehouse.Explain(err, "changed rows of sync %s", p.job.Name)
		}
		out = append(out, c)
	}
	return out, p.Warehouse.Explain(rows.Err(), "changed rows of sync %s", p.job.Name)
}
