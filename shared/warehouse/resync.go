package warehouse

import (
	"cmp"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/record"
)

// ShadowSuffix ends the name of a table's shadow, in the warehouse and in the
// ledger. A shadow is filled like any other table, beside the live one.
const ShadowSuffix = "__resync"

// Resync is a table that is read anew into its shadow.
type Resync struct {
	Function string
	Ledger   string // what the ledger calls the live table
	Table    record.Table
	Now      time.Time         // the run's one clock, UTC
	Point    func(name string) // crash points of the tests: in_swap_before_data, in_swap_before_commit, after_swap; nil otherwise
}

// shadow is the table that is filled beside the live one, and its ledger's name.
func (r Resync) shadow() (Name, string) {
	return Name{r.Table.Schema, r.Table.Name + ShadowSuffix}, r.Ledger + ShadowSuffix
}

func (r Resync) live() Name { return Name{r.Table.Schema, r.Table.Name} }

func (r Resync) point(name string) {
	if r.Point != nil {
		r.Point(name)
	}
}

// The kinds of differences, seen from the live table: what a swap would do to it.
const (
	Added   = "added"
	Removed = "removed"
	Changed = "changed"
)

// Difference is what a swap would change in the live table. A table with a key is
// compared by key; one without as a bag of rows, where nothing is ever Changed. The
// columns that Millrace adds do not count, but for _extra.
type Difference struct {
	ID                            string // digest of every difference: two with one ID are the same
	Live, Shadow                  int64  // rows
	Added, Removed, Changed, Same int64  // keys; rows where there is no key
	Examples                      []Example

	ledger string // what the ledgers said before the tables were read
}

// None reports that the shadow holds what the live table holds.
func (d Difference) None() bool { return d.Added+d.Removed+d.Changed == 0 }

// Example is one difference.
type Example struct {
	Kind    string          `json:"kind"`
	Key     json.RawMessage `json:"key"`               // key columns by name, as texts; of a table without a key, the whole row
	Columns []string        `json:"columns,omitempty"` // of a Changed one: what differs
}

// mostExamples of each kind are kept in millrace.differences.
const mostExamples = 100

// The temporary tables of a comparison.
const (
	diffTable = "millrace_diff"      // rows that one side has more often, with how much more often the shadow has them
	keysTable = "millrace_diff_keys" // their keys, each with its kind
)

// Compare reads both tables and says how the shadow differs. Both must exist; a
// column that only one of them has is null in the other. A column whose type
// differs is fault.Invalid.
func (w *Warehouse) Compare(ctx context.Context, r Resync) (d Difference, err error) {
	conn, err := w.db.Conn(ctx)
	if err != nil {
		return d, w.fail(err, "compare %s with its shadow", r.Table.FullName())
	}
	c := comparison{w: w, r: r, conn: conn}
	defer c.close()
	if d.ledger, err = w.signature(ctx, conn, r); err == nil {
		err = c.compare(ctx, &d)
	}
	return d, w.fail(err, "compare %s with its shadow", r.Table.FullName())
}

// comparison is one Compare on a connection of its own.
type comparison struct {
	w       *Warehouse
	r       Resync
	conn    *sql.Conn
	content []string // columns that are compared, unquoted
	keys    []string // those that name a row
}

func (c *comparison) close() {
	for _, t := range []string{diffTable, keysTable} {
		c.conn.ExecContext(context.Background(), "DROP TABLE IF EXISTS "+quote(t)) // else it only takes space
	}
	c.conn.Close()
}

func (c *comparison) compare(ctx context.Context, d *Difference) error {
	if err := c.prepare(ctx); err != nil {
		return err
	}
	if err := c.count(ctx, d); err != nil {
		return err
	}
	var err error
	if d.ID, err = c.digest(ctx); err != nil {
		return err
	}
	for _, kind := range []string{Removed, Changed, Added} {
		if err := c.examples(ctx, kind, d); err != nil {
			return err
		}
	}
	return nil
}

// prepare makes the two temporary tables. No alias is the name of a column at hand:
// databases disagree which of the two an aggregate then means. One pass over both sides groups equal
// rows, with nulls equal and repetitions counted; what balances falls out.
func (c *comparison) prepare(ctx context.Context) error {
	live, shadow, err := c.sides(ctx)
	if err != nil {
		return err
	}
	cols := strings.Join(quoteAll(c.content), ", ")
	if c.keys = c.r.Table.Key; len(c.keys) == 0 {
		c.keys = c.content
	}
	key := strings.Join(quoteAll(c.keys), ", ")
	return run(ctx, c.conn,
		fmt.Sprintf(`CREATE OR REPLACE TEMPORARY TABLE %[1]s AS SELECT %[2]s, CAST(sum("millrace_one") AS BIGINT) AS "millrace_n" FROM (%[3]s UNION ALL %[4]s) AS u GROUP BY %[2]s HAVING sum("millrace_one") <> 0`,
			quote(diffTable), cols, shadow, live),
		fmt.Sprintf(`CREATE OR REPLACE TEMPORARY TABLE %s AS SELECT %[2]s, CASE WHEN min("millrace_n") > 0 THEN 'added' WHEN max("millrace_n") < 0 THEN 'removed' ELSE 'changed' END AS "millrace_kind", CAST(sum(abs("millrace_n")) AS BIGINT) AS "millrace_rows" FROM %[3]s GROUP BY %[2]s`,
			quote(keysTable), key, quote(diffTable)))
}

// sides selects the columns that either table has, in one order, from both.
func (c *comparison) sides(ctx context.Context) (live, shadow string, err error) {
	name, _ := c.r.shadow()
	old, err := c.w.driver.Columns(ctx, c.conn, c.r.Table.Schema, c.r.Table.Name)
	if err != nil {
		return "", "", err
	}
	fresh, err := c.w.driver.Columns(ctx, c.conn, name.Schema, name.Table)
	if err != nil {
		return "", "", err
	}
	for col, typ := range fresh {
		if was, ok := old[col]; ok && was != typ {
			return "", "", fault.New(fault.Invalid, "column %s of %s is %s, but %s in its shadow: change the column's type in the warehouse first", col, c.r.Table.FullName(), was, typ)
		}
	}
	c.content = content(old, fresh)
	if len(c.content) == 0 {
		return "", "", fault.New(fault.NotFound, "there is no table %s, or none of its columns came from the vendor", c.r.Table.FullName())
	}
	return c.side(c.r.live(), old, fresh, -1), c.side(name, fresh, old, 1), nil
}

// content is what two rows are compared by: all columns but ours.
func content(tables ...map[string]string) (out []string) {
	ours := []string{record.ColumnSlice, record.ColumnLoadedAt, record.ColumnSource, record.ColumnRow, record.ColumnFrom, record.ColumnTo, ColumnSeen}
	for _, t := range tables {
		for col := range t {
			if !slices.Contains(ours, col) && !slices.Contains(out, col) {
				out = append(out, col)
			}
		}
	}
	slices.Sort(out)
	return out
}

func (c *comparison) side(t Name, has, other map[string]string, n int) string {
	exprs := make([]string, len(c.content))
	for i, col := range c.content {
		declared, _ := c.r.Table.Column(col)
		switch {
		case has[col] == "":
			exprs[i] = fmt.Sprintf("CAST(NULL AS %s)", cmp.Or(other[col], "VARCHAR"))
		case declared.Type == record.Document || col == record.ColumnExtra: // compared as it is written
			exprs[i] = c.w.driver.Text(quote(col))
		default:
			exprs[i] = quote(col)
		}
		if declared.Type == record.Document && has[col] == "" {
			exprs[i] = "CAST(NULL AS VARCHAR)"
		}
		exprs[i] += " AS " + quote(col)
	}
	return fmt.Sprintf(`SELECT %s, %d AS "millrace_one" FROM %s`, strings.Join(exprs, ", "), n, t)
}

func (c *comparison) count(ctx context.Context, d *Difference) error {
	name, _ := c.r.shadow()
	weigh := `count(*)`
	if len(c.r.Table.Key) == 0 {
		weigh = `sum("millrace_rows")`
	}
	rows, err := c.conn.QueryContext(ctx, fmt.Sprintf(`SELECT "millrace_kind", CAST(%s AS BIGINT) FROM %s GROUP BY 1
 UNION ALL SELECT 'live', count(*) FROM %s UNION ALL SELECT 'shadow', count(*) FROM %s
 UNION ALL SELECT 'same', CAST(-coalesce(sum("millrace_n"), 0) AS BIGINT) FROM %s WHERE "millrace_n" > 0`, weigh, quote(keysTable), c.r.live(), name, quote(diffTable)))
	if err != nil {
		return err
	}
	defer rows.Close()
	to := map[string]*int64{Added: &d.Added, Removed: &d.Removed, Changed: &d.Changed, "live": &d.Live, "shadow": &d.Shadow, "same": &d.Same}
	for rows.Next() {
		var kind string
		var n int64
		if err := rows.Scan(&kind, whole{&n}); err != nil {
			return err
		}
		*to[kind] = n
	}
	d.Same += d.Shadow // rows of the shadow, less those that the live table lacks
	return rows.Err()
}

// digest sums up every difference, in any order.
func (c *comparison) digest(ctx context.Context) (string, error) {
	rows, err := c.conn.QueryContext(ctx, fmt.Sprintf(`SELECT "millrace_n", %s FROM %s`, texts("", c.content), quote(diffTable)))
	if err != nil {
		return "", err
	}
	defer rows.Close()
	sum := sha256.Sum256([]byte(c.r.Function + "\x00" + c.r.Table.FullName()))
	for rows.Next() {
		var n int64
		cells, dest := cellsOf(len(c.content))
		if err := rows.Scan(append([]any{whole{&n}}, dest...)...); err != nil {
			return "", err
		}
		h := sha256.New()
		fmt.Fprintf(h, "%d", n)
		for i, cell := range cells {
			if cell.Valid {
				fmt.Fprintf(h, "\x00%s\x00%d\x00%s", c.content[i], len(cell.String), cell.String)
			}
		}
		for i, b := range h.Sum(nil) {
			sum[i] ^= b
		}
	}
	return hex.EncodeToString(sum[:6]), rows.Err()
}

// examples reads the first differences of a kind, by key.
func (c *comparison) examples(ctx context.Context, kind string, d *Difference) error {
	q := fmt.Sprintf(`SELECT %s FROM %s WHERE "millrace_kind" = '%s' ORDER BY %s LIMIT %d`,
		texts("", c.keys), quote(keysTable), kind, strings.Join(quoteAll(c.keys), ", "), mostExamples)
	if kind == Changed {
		q = c.changed()
	}
	rows, err := c.conn.QueryContext(ctx, q)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var differs sql.NullString
		cells, dest := cellsOf(len(c.keys))
		if kind == Changed {
			dest = append(dest, &differs)
		}
		if err := rows.Scan(dest...); err != nil {
			return err
		}
		e := Example{Kind: kind, Key: object(c.keys, cells)}
		for i, on := range differs.String {
			if on == '1' {
				e.Columns = append(e.Columns, c.content[i])
			}
		}
		d.Examples = append(d.Examples, e)
	}
	return rows.Err()
}

// changed selects keys, each with a string that has a 1 for every column that
// differs. Of rows that share their key one pair is shown.
func (c *comparison) changed() string {
	flags := make([]string, len(c.content))
	for i, col := range c.content {
		flags[i] = fmt.Sprintf("CASE WHEN a.%[1]s IS DISTINCT FROM b.%[1]s THEN '1' ELSE '0' END", quote(col))
	}
	key := make([]string, len(c.keys))
	for i, k := range c.keys {
		key[i] = "k." + quote(k)
	}
	by := strings.Join(key, ", ")
	return fmt.Sprintf(`SELECT %s, max(%s) FROM (SELECT * FROM %s WHERE "millrace_kind" = 'changed' ORDER BY %s LIMIT %d) AS k JOIN %s AS a ON a."millrace_n" > 0 AND %s JOIN %[6]s AS b ON b."millrace_n" < 0 AND %[8]s GROUP BY %[9]s ORDER BY %[9]s`,
		texts("k.", c.keys), strings.Join(flags, " || "), quote(keysTable), strings.Join(quoteAll(c.keys), ", "), mostExamples,
		quote(diffTable), equal("a", same, "k", c.keys), equal("b", same, "k", c.keys), by)
}

// texts selects columns as text.
func texts(alias string, cols []string) string {
	out := make([]string, len(cols))
	for i, c := range cols {
		out[i] = fmt.Sprintf("CAST(%s%s AS VARCHAR)", alias, quote(c))
	}
	return strings.Join(out, ", ")
}

func cellsOf(n int) (cells []sql.NullString, dest []any) {
	cells = make([]sql.NullString, n)
	for i := range cells {
		dest = append(dest, &cells[i])
	}
	return cells, dest
}

// object is columns by name, without those that are null.
func object(cols []string, cells []sql.NullString) json.RawMessage {
	out := []byte{'{'}
	for i, c := range cells {
		if !c.Valid {
			continue
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = quoted(append(quoted(out, cols[i]), ':'), c.String)
	}
	return append(out, '}')
}
