package reverse

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"strings"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/warehouse"
)

// The temporary tables of a plan. They are made before any transaction: in some
// warehouses DDL commits.
const (
	desiredTable  = "millrace_desired"  // what the query says
	repeatedTable = "millrace_repeated" // keys that it says more than once
	badTable      = "millrace_bad"      // rows whose key is no key
	changedTable  = "millrace_changed"  // rows that the destination has not accepted as they are
	standingTable = "millrace_live"     // what stands there
	joinedTable   = "millrace_joined"   // both
	sameTable     = "millrace_same"     // rows that stand there as they should
	rejectedTable = "millrace_rejected" // and such as cannot be written
	oddTable      = "millrace_odd"      // keys that are not canonical
	keysTable     = "millrace_keys"     // and how they are
)

// drop gives the session back without the tables.
func (p *planner) drop(ctx context.Context, tables ...string) error {
	for _, t := range tables {
		if err := p.exec(ctx, "table "+t, "DROP TABLE IF EXISTS "+quote(t)); err != nil {
			return err
		}
	}
	return nil
}

func (p *planner) clean(ctx context.Context) {
	err := p.drop(context.WithoutCancel(ctx), desiredTable, repeatedTable, badTable, changedTable, standingTable, joinedTable, sameTable, rejectedTable, oddTable, keysTable)
	if err != nil { // the next plan on this session makes them anew
		p.Log.Warn("temporary tables are left", slog.String("sync", p.job.Name), slog.Any("error", err))
	}
}

func quote(name string) string { return warehouse.Quote(name) }

// exec runs SQL of ours on the session.
func (p *planner) exec(ctx context.Context, what, q string, args ...any) error {
	_, err := p.conn.ExecContext(ctx, q, args...)
	return p.Warehouse.Explain(err, "%s of sync %s", what, p.job.Name)
}

// create makes a temporary table anew.
func (p *planner) create(ctx context.Context, table string, defs ...string) error {
	return p.exec(ctx, "table "+table, fmt.Sprintf("CREATE OR REPLACE TEMPORARY TABLE %s (%s)", quote(table), strings.Join(defs, ", ")))
}

// f is the name of the ith field in our tables, in which fields are texts.
func f(i int) string { return fmt.Sprintf(`"f%d"`, i) }

// fs are all fields as alias.f0, alias.f1, …
func (p *planner) fs(alias string) []string {
	out := make([]string, len(p.cols))
	for i := range p.cols {
		out[i] = alias + f(i)
	}
	return out
}

// list is columns of ours, and then others.
func list(ours string, others ...[]string) string {
	for _, o := range others {
		for _, c := range o {
			ours += ", " + c
		}
	}
	return ours
}

// textDefs defines columns of text.
func textDefs(names ...string) (defs []string) {
	for _, n := range names {
		defs = append(defs, n+" VARCHAR")
	}
	return defs
}

// desire runs the query into a table of texts, in which an empty text is null.
func (p *planner) desire(ctx context.Context) error {
	key, order, err := p.bind(ctx)
	if err != nil {
		return err
	}
	sel := []string{cast(key) + ` AS "key"`}
	for i, c := range p.cols {
		sel = append(sel, cast(c.sql)+" AS "+f(i))
	}
	q := fmt.Sprintf("CREATE OR REPLACE TEMPORARY TABLE %s AS SELECT %s, %s AS \"o\" FROM (\n%s\n) AS q", quote(desiredTable), strings.Join(sel, ", "), order, p.query())
	if _, err := p.conn.ExecContext(ctx, q); err != nil {
		return p.broken(err)
	}
	if err := p.conn.QueryRowContext(ctx, "SELECT count(*) FROM "+quote(desiredTable)).Scan(&p.rows); err != nil {
		return p.Warehouse.Explain(err, "rows of sync %s", p.job.Name)
	}
	if err := p.rekey(ctx); err != nil {
		return err
	}
	return p.unkeyed(ctx)
}

func cast(sql string) string { return "nullif(CAST(" + sql + " AS VARCHAR), '')" }

// query is the job's query without what may end it but not a subquery.
func (p *planner) query() string { return strings.TrimRight(p.job.Query, "; \t\r\n") }

// bind finds the job's columns in the query, whose spelling the warehouse decides
// where the query does not quote.
func (p *planner) bind(ctx context.Context) (key, order string, err error) {
	if p.query() == "" {
		return "", "", fault.New(fault.Invalid, "sync %s has no query: set query, or query_file", p.job.Name)
	}
	rows, err := p.conn.QueryContext(ctx, fmt.Sprintf("SELECT * FROM (\n%s\n) AS q LIMIT 0", p.query()))
	if err != nil {
		return "", "", p.broken(err)
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return "", "", p.broken(err)
	}
	if key, err = p.column(names, p.job.Key); err != nil {
		return "", "", err
	}
	order = "CAST(NULL AS VARCHAR)"
	if p.job.OrderBy != "" {
		if order, err = p.column(names, p.job.OrderBy); err != nil {
			return "", "", err
		}
	}
	for i := range p.cols {
		if p.cols[i].sql, err = p.column(names, p.cols[i].name); err != nil {
			return "", "", err
		}
	}
	return key, order, rows.Err()
}

// column is a column of the query as SQL.
func (p *planner) column(names []string, name string) (string, error) {
	i := slices.Index(names, name)
	if i < 0 {
		i = slices.IndexFunc(names, func(n string) bool { return strings.EqualFold(n, name) })
	}
	if i < 0 {
		return "", fault.New(fault.Invalid, "sync %s: its query has no column %s, only %s; mend the job", p.job.Name, name, strings.Join(names, ", "))
	}
	return "q." + quote(names[i]), nil
}

// broken says that the query does not work, without values of its rows.
func (p *planner) broken(err error) error {
	err = p.Warehouse.Explain(err, "query of sync %s", p.job.Name)
	if fault.Of(err) == fault.Corrupt {
		return fault.New(fault.Invalid, "query of sync %s: a value does not convert to the type that the query casts it to; run it with millrace query to see where, and cast with try_cast", p.job.Name)
	}
	for _, in := range p.Inputs { // a warehouse that looks for capitals says so in its error
		if fault.Of(err) == fault.Invalid && strings.Contains(err.Error(), strings.ToUpper(in.Schema)) {
			return fmt.Errorf(`%w; the names that Millrace makes are lower case, so write them in quotes: "%s"."%s"`, err, in.Schema, in.Table)
		}
	}
	return err
}

// fold is a canonical key, as SQL, in the form that tells records apart.
func (p *planner) fold(key string) string {
	if p.cased() {
		return key
	}
	return "lower(" + key + ")"
}

// folded is the same for a key in hand.
func (p *planner) folded(key string) string {
	if key = p.canonicalKey(key); p.cased() {
		return key
	}
	return strings.ToLower(key)
}

// cased reports whether keys that differ only in case are two.
func (p *planner) cased() bool {
	return p.key.CaseSensitive || p.key.Type == IDType || p.key.Type == NumberType
}

// canonicalKey is a key as plans and the destination have it. One that has no such
// form is rejected later.
func (p *planner) canonicalKey(key string) string {
	if v, err := Canonical(p.key, key); err == nil {
		return v
	}
	return key
}

// rekey brings the keys into their canonical form that can have another: 10.00 is
// the record 10, and an id of 15 characters is that of 18.
func (p *planner) rekey(ctx context.Context) error {
	odd := map[FieldType]string{
		IDType:     `length("key") = 15`,
		NumberType: `"key" LIKE '%.%' OR "key" LIKE '%e%' OR "key" LIKE '%E%' OR "key" LIKE '+%' OR "key" LIKE '0_%' OR "key" LIKE '-0%'`,
	}[p.key.Type]
	if odd == "" {
		return nil
	}
	if err := p.create(ctx, oddTable, append([]string{`"r" BIGINT`}, textDefs(`"key"`)...)...); err != nil {
		return err
	}
	if err := p.create(ctx, keysTable, textDefs(`"key"`, `"canonical"`)...); err != nil {
		return err
	}
	if err := p.exec(ctx, "keys", fmt.Sprintf(`INSERT INTO %s ("r", "key") SELECT row_number() OVER (ORDER BY "key"), "key" FROM (SELECT DISTINCT "key" FROM %s WHERE %s) AS k`, quote(oddTable), quote(desiredTable), odd)); err != nil {
		return err
	}
	n, err := p.Warehouse.Fill(ctx, p.conn, "", keysTable, []string{"key", "canonical"}, p.oddKeys(ctx))
	if err != nil || n == 0 {
		return err
	}
	return p.exec(ctx, "keys", fmt.Sprintf(`UPDATE %s AS d SET "key" = k."canonical" FROM %s AS k WHERE d."key" = k."key"`, quote(desiredTable), quote(keysTable)))
}

func (p *planner) oddKeys(ctx context.Context) iter.Seq2[[]any, error] {
	return func(yield func([]any, error) bool) {
		for from := int64(0); ; from += comparing {
			keys, err := p.oddPage(ctx, from)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, k := range keys {
				if !yield([]any{k, p.canonicalKey(k)}, nil) {
					return
				}
			}
			if len(keys) < comparing {
				return
			}
		}
	}
}

func (p *planner) oddPage(ctx context.Context, from int64) (keys []string, err error) {
	rows, err := p.conn.QueryContext(ctx, fmt.Sprintf(`SELECT "key" FROM %s WHERE "r" > ? AND "r" <= ?`, quote(oddTable)), from, from+comparing)
	if err != nil {
		return nil, p.Warehouse.Explain(err, "keys of sync %s", p.job.Name)
	}
	defer rows.Close()
	for rows.Next() {
		var k string
		if err := rows.Scan(&k); err != nil {
			return nil, p.Warehouse.Explain(err, "keys of sync %s", p.job.Name)
		}
		keys = append(keys, k)
	}
	return keys, p.Warehouse.Explain(rows.Err(), "keys of sync %s", p.job.Name)
}

// unkeyed finds the rows that have no key, or one that others have too: none of them
// is written. A row stands for all those of one key.
func (p *planner) unkeyed(ctx context.Context) error {
	if err := p.create(ctx, repeatedTable, textDefs(`"fold"`)...); err != nil {
		return err
	}
	defs := append([]string{`"r" BIGINT`, `"rows" BIGINT`}, textDefs(append([]string{`"key"`}, p.fs("")...)...)...)
	if err := p.create(ctx, badTable, defs...); err != nil {
		return err
	}
	fold := p.fold(`d."key"`)
	if err := p.exec(ctx, "repeated keys", fmt.Sprintf(`INSERT INTO %s ("fold") SELECT %s FROM %s AS d WHERE d."key" IS NOT NULL GROUP BY 1 HAVING count(*) > 1`, quote(repeatedTable), fold, quote(desiredTable))); err != nil {
		return err
	}
	var odd int64
	q := fmt.Sprintf(`SELECT (SELECT count(*) FROM %s) + (SELECT count(*) FROM %s WHERE "key" IS NULL)`, quote(repeatedTable), quote(desiredTable))
	if err := p.conn.QueryRowContext(ctx, q).Scan(&odd); err != nil || odd == 0 {
		return p.Warehouse.Explain(err, "keys of sync %s", p.job.Name)
	}
	p.unkeyable = true
	all := list(`"key"`, p.fs(""))
	within := "PARTITION BY " + fold
	return p.exec(ctx, "rows without a key", fmt.Sprintf(`INSERT INTO %[1]s ("r", "rows", %[2]s) SELECT row_number() OVER (ORDER BY "key" NULLS FIRST), "rows", %[2]s FROM (
 SELECT count(*) OVER (%[3]s) AS "rows", row_number() OVER (%[3]s ORDER BY %[4]s) AS "one", %[2]s FROM %[5]s AS d WHERE d."key" IS NULL OR %[6]s IN (SELECT "fold" FROM %[7]s)) AS b WHERE b."one" = 1`,
		quote(badTable), all, within, all, quote(desiredTable), fold, quote(repeatedTable)))
}
