package reverse

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// inputs are the blocks that come from what a job reads, before it is run: a table
// whose newest slice was refused or failed, that was never loaded, has a gap or is
// too old, and columns of classes that the job does not allow. The tables are those
// that the query names in full, and the one that the job follows; a table that the
// ledger does not know is not judged.
func (e *Engine) inputs(ctx context.Context, job Job) ([]Block, error) {
	known, err := e.known(ctx)
	if err != nil {
		return nil, err
	}
	out := job.classed(e.Inputs)
	tables := read(job.Query, known).tables
	for _, in := range known {
		if strings.EqualFold(in.FullName(), job.After) && !slices.ContainsFunc(tables, func(t Input) bool { return t.FullName() == in.FullName() }) {
			tables = append(tables, in)
		}
	}
	for _, in := range tables {
		b, err := e.input(ctx, in, job.Guards.Inputs)
		if err != nil {
			return nil, e.Warehouse.Explain(err, "state of %s, which sync %s reads", in.FullName(), job.Name)
		}
		if b != nil {
			out = append(out, *b)
		}
	}
	return out, nil
}

// known are the tables of this build, and those of the ledger that functions of
// other builds fill: their schema has the name of the function, as far as we know.
func (e *Engine) known(ctx context.Context) ([]Input, error) {
	rows, err := e.Warehouse.DB().QueryContext(ctx, `SELECT DISTINCT "function", "table_name" FROM "millrace"."slices" ORDER BY "function", "table_name"`)
	if err != nil {
		return nil, e.Warehouse.Explain(err, "tables of the ledger")
	}
	defer rows.Close()
	out := slices.Clone(e.Inputs)
	for rows.Next() {
		var in Input
		if err := rows.Scan(null[string]{&in.Function}, null[string]{&in.Table}); err != nil {
			return nil, e.Warehouse.Explain(err, "tables of the ledger")
		}
		if !slices.ContainsFunc(e.Inputs, func(i Input) bool { return i.Function == in.Function && i.Table == in.Table }) {
			in.Schema = in.Function
			out = append(out, in)
		}
	}
	return out, e.Warehouse.Explain(rows.Err(), "tables of the ledger")
}

// input judges one table. The first thing that is wrong is enough.
func (e *Engine) input(ctx context.Context, in Input, g *Inputs) (*Block, error) {
	for _, judge := range []func(context.Context, Input, *Inputs) (*Block, error){e.loaded, e.verdict, e.gap, e.age} {
		b, err := judge(ctx, in, g)
		if err != nil || b != nil {
			return b, err
		}
	}
	return nil, nil
}

func blockOf(in Input, allowed, format string, args ...any) *Block {
	return &Block{Guard: "input " + in.FullName(), Observed: fmt.Sprintf(format, args...), Allowed: allowed}
}

// ofTable are the slices of a table, shadows of a comparison left out.
const ofTable = ` FROM "millrace"."slices" AS s WHERE "function" = ? AND "table_name" = ? AND "purpose" <> 'resync'`

func (e *Engine) loaded(ctx context.Context, in Input, g *Inputs) (*Block, error) {
	var all, loaded int64
	err := e.row(ctx, `SELECT count(*), count("loaded_at")`+ofTable, in).Scan(null[int64]{&all}, null[int64]{&loaded})
	if err != nil || loaded > 0 || all == 0 && (g == nil || g.MaxAge == 0) {
		return nil, err
	}
	return blockOf(in, "a table that was loaded", "it was never loaded"), nil
}

func (e *Engine) row(ctx context.Context, query string, in Input, more ...any) *sql.Row {
	return e.Warehouse.DB().QueryRowContext(ctx, query, append([]any{in.Function, in.Table}, more...)...)
}

// newestFirst orders slices: windows by their end, and what has none, or is a moment,
// by when something was done with it last.
const newestFirst = ` ORDER BY CASE WHEN "range_from" < "range_to" THEN "range_to" ELSE "updated_at" END DESC, "updated_at" DESC`

// verdict judges the newest slice that has come to an end, or that the gate refused
// and that is being read again.
func (e *Engine) verdict(ctx context.Context, in Input, _ *Inputs) (*Block, error) {
	const refusals = `SELECT 1 FROM "millrace"."checks" AS c WHERE c."function" = s."function" AND c."table_name" = s."table_name" AND c."slice" = s."slice" AND c."verdict" = 'refuse'`
	var slice, state, cause string
	err := e.row(ctx, `SELECT "slice", "state", "error"`+ofTable+` AND ("state" IN ('loaded', 'refused', 'failed') OR "loaded_at" IS NULL AND EXISTS (`+refusals+`))`+newestFirst+` LIMIT 1`, in).
		Scan(null[string]{&slice}, null[string]{&state}, null[string]{&cause})
	if err != nil || state == "loaded" {
		return nil, ignoreNone(err)
	}
	if state == "failed" {
		return blockOf(in, "a newest slice that was loaded", "its newest slice %s failed: %s", slice, oneLine(cause)), nil
	}
	why, err := e.refusal(ctx, in, slice)
	if err != nil {
		return nil, err
	}
	return blockOf(in, "a newest slice that the gate let pass", "its newest slice %s was refused: %s", slice, or(why, or(oneLine(cause), "see millrace status"))), nil
}

// refusal is why the gate refused a slice last.
func (e *Engine) refusal(ctx context.Context, in Input, slice string) (string, error) {
	var rule, observed, expected string
	err := e.row(ctx, `SELECT "rule", "observed", "expected" FROM "millrace"."checks" WHERE "function" = ? AND "table_name" = ? AND "slice" = ? AND "verdict" = 'refuse' ORDER BY "fence" DESC, "rule" LIMIT 1`, in, slice).
		Scan(null[string]{&rule}, null[string]{&observed}, null[string]{&expected})
	if err != nil {
		return "", ignoreNone(err)
	}
	return fmt.Sprintf("rule %s observed %s and expects %s", rule, observed, expected), nil
}

func ignoreNone(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	return err
}

// gap finds the first time that is missing between windows that are committed, from
// where the live ones begin.
func (e *Engine) gap(ctx context.Context, in Input, _ *Inputs) (*Block, error) {
	const windows = ofTable + ` AND "range_from" < "range_to"`
	var from, to time.Time
	err := e.row(ctx, `SELECT "reach", "range_from" FROM (
SELECT "range_from", "base", coalesce(max("range_to") OVER (ORDER BY "range_from", "range_to" ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), "base") AS "reach" FROM (
SELECT "range_from", "range_to", (SELECT min("range_from")`+windows+` AND "purpose" = 'live') AS "base"`+windows+` AND "loaded_at" IS NOT NULL) AS w
WHERE "range_to" > "base") AS r WHERE "range_from" > "reach" ORDER BY "range_from" LIMIT 1`, in, in.Function, in.Table).
		Scan(null[time.Time]{&from}, null[time.Time]{&to})
	if err != nil {
		return nil, ignoreNone(err)
	}
	return blockOf(in, "a table without gaps", "nothing is loaded from %s to %s, and something after it", moment(from), moment(to)), nil
}

func moment(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// age holds the mark of a table, or where it has none its last commit, against the
// clock.
func (e *Engine) age(ctx context.Context, in Input, g *Inputs) (*Block, error) {
	if g == nil || g.MaxAge == 0 {
		return nil, nil
	}
	var mark, last time.Time
	err := e.row(ctx, `SELECT "mark" FROM "millrace"."marks" WHERE "function" = ? AND "table_name" = ?`, in).Scan(null[time.Time]{&mark})
	if ignoreNone(err) != nil {
		return nil, err
	}
	what := "it is complete up to " + moment(mark)
	if mark.IsZero() {
		if err := e.row(ctx, `SELECT max("loaded_at")`+ofTable, in).Scan(null[time.Time]{&last}); err != nil {
			return nil, err
		}
		mark, what = last, "it was loaded last at "+moment(last)
	}
	age := e.Now().Sub(mark)
	if age <= g.MaxAge {
		return nil, nil
	}
	return blockOf(in, fmt.Sprintf("at most %s old", ageText(g.MaxAge)), "%s, which is %s ago", what, ageText(age)), nil
}

// ageText is a time in words of a job file: 2d3h.
func ageText(d time.Duration) string {
	text := ""
	if days := d / day; days > 0 {
		text = fmt.Sprintf("%dd", days)
		d -= days * day
	}
	unit := time.Minute
	if d < time.Minute && text == "" {
		unit = time.Second
	}
	rest := d.Truncate(unit).String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(rest, zero) {
			rest = strings.TrimSuffix(rest, zero[1:])
		}
	}
	if rest == "0s" && text != "" {
		return text
	}
	return text + rest
}

// oneLine cuts an error to what fits a line.
func oneLine(s string) string {
	const most = 255
	if s = strings.Join(strings.Fields(s), " "); len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
