package reverse

import (
	"context"
	"database/sql"
	"fmt"
	"iter"
	"strings"

	"github.com/millrace-data/millrace/shared/fault"
)

// Temporary tables of an apply's session.
const (
	resultTable  = `"millrace_results"` // what the destination said, by our own keys
	outcomeTable = `"millrace_outcome"` // what becomes of each row of a part
)

// The codes of rows that were sent and did not do what the plan said.
const (
	codeExisted = "EXISTED" // a create that found a record: somebody made it meanwhile
	codeCreated = "CREATED" // an update that found none, and made one
)

const outcomeColumns = `"n" BIGINT, "kind" VARCHAR, "state" VARCHAR, "id" VARCHAR, "code" VARCHAR, "error" VARCHAR`

// outcome fills outcomeTable, in the order of the plan: DuckDB updates rows that come
// in another order two hundred times as slowly, because each few of them touch
// everything that was updated before.
func (a *applier) outcome(ctx context.Context, query string, args ...any) error {
	return remake(ctx, a.conn, outcomeTable, outcomeColumns, query+` ORDER BY 1`, args...)
}

func none(func(Result) bool) {}

// settle ends a part with the destination's own results. They are streamed into the
// warehouse and joined there by our own key, never by their order. Where broken says
// that they did not all come, nothing is kept of them.
func (a *applier) settle(ctx context.Context, p *part, results iter.Seq[Result], broken ...*error) error {
	if err := remake(ctx, a.conn, resultTable, `"key" VARCHAR, "state" VARCHAR, "id" VARCHAR, "created" BOOLEAN, "code" VARCHAR, "message" VARCHAR, "again" BOOLEAN`, ""); err != nil {
		return a.e.Warehouse.Explain(err, "results of part %d of plan %s", p.N, a.p.ID)
	}
	_, err := a.e.Warehouse.Fill(ctx, a.conn, "", strings.Trim(resultTable, `"`), []string{"key", "state", "id", "created", "code", "message", "again"}, func(yield func([]any, error) bool) {
		for r := range results {
			if !yield([]any{r.Key, string(r.State), orNull(r.ID), r.Created, orNull(r.Code), orNull(r.Message), r.Again}, nil) {
				return
			}
		}
		for _, b := range broken {
			if *b != nil {
				yield(nil, *b)
			}
		}
	})
	if err != nil {
		return err
	}
	a.e.point("after_results")
	if err := a.join(ctx, p); err != nil {
		return err
	}
	return a.commit(ctx, p)
}

// join gives every row of the part its outcome, and every result its row.
func (a *applier) join(ctx context.Context, p *part) error {
	key := `"key"`
	if a.byID(p.kinds) {
		key = `"destination_id"`
	}
	attempted, err := a.strange(ctx, p, key)
	if err != nil {
		return err
	}
	once, more := RowFailed, RowUnprocessed // what another try may cure, and what was not tried
	if p.Attempt < rowTries {
		once = RowRetry
	}
	if p.Attempt < jobTries && p.job.State != Aborted { // who aborts our job does not want it
		more = RowPlanned
	}
	missing, why := RowUnprocessed, "the destination gave no result for this row"
	if p.job.State == Broken && p.job.Processed == attempted { // it does not list those that it did not attempt
		missing, why = more, unattempted+p.job.Message
	}
	err = a.outcome(ctx, `SELECT r."n", r."kind",
 CASE WHEN x."key" IS NULL THEN CAST(? AS VARCHAR) WHEN x."state" = 'sent' THEN 'sent' WHEN x."state" = 'failed' AND x."again" THEN CAST(? AS VARCHAR) WHEN x."state" = 'failed' THEN 'failed' ELSE CAST(? AS VARCHAR) END, x."id",
 CASE WHEN x."state" = 'sent' AND r."kind" = 'create' AND NOT x."created" THEN '`+codeExisted+`' WHEN x."state" = 'sent' AND r."kind" = 'update' AND x."created" THEN '`+codeCreated+`' ELSE x."code" END,
 CASE WHEN x."key" IS NULL THEN CAST(? AS VARCHAR) ELSE x."message" END
 FROM (SELECT "n", max("kind") AS "kind", max(`+key+`) AS "key" FROM `+rowsTable+` WHERE "plan" = ? AND "part" = ? AND "state" = 'sending' GROUP BY "n") AS r LEFT JOIN `+resultTable+` AS x ON x."key" = r."key"`,
		string(missing), string(once), string(more), why, a.p.ID, p.N)
	return a.e.Warehouse.Explain(err, "join the results of part %d of plan %s", p.N, a.p.ID)
}

// strange makes sure that all results are of rows that were sent, one of each, and
// returns how many rows were attempted.
func (a *applier) strange(ctx context.Context, p *part, key string) (attempted int64, err error) {
	var results, keys, strange int64
	err = a.conn.QueryRowContext(ctx, `SELECT count(*), count(DISTINCT "key"), sum(CASE WHEN "state" = 'unprocessed' THEN 0 ELSE 1 END),
 (SELECT count(*) FROM `+resultTable+` WHERE "key" NOT IN (SELECT `+key+` FROM `+rowsTable+` WHERE "plan" = ? AND "part" = ? AND `+key+` IS NOT NULL)) FROM `+resultTable, a.p.ID, p.N).
		Scan(null[int64]{&results}, null[int64]{&keys}, null[int64]{&attempted}, null[int64]{&strange})
	switch {
	case err != nil:
		return 0, a.e.Warehouse.Explain(err, "results of part %d of plan %s", p.N, a.p.ID)
	case strange > 0:
		return 0, fault.New(fault.Corrupt, "part %d of plan %s, job %q: %d of %d results are of rows that were not sent", p.N, a.p.ID, p.Job, strange, results)
	case keys != results:
		return 0, fault.New(fault.Corrupt, "part %d of plan %s, job %q: %d results for %d rows: some have two", p.N, a.p.ID, p.Job, results, keys)
	}
	return attempted, nil
}

// commit moves the part's rows to their outcome, with all that follows from it, in
// one transaction under the fence.
func (a *applier) commit(ctx context.Context, p *part) error {
	c := &committing{a: a, p: p, ctx: ctx}
	if err := c.prepare(); err != nil {
		return fmt.Errorf("part %d of plan %s: %w", p.N, a.p.ID, err)
	}
	err := a.write(ctx, a.conn, "commit a part", func(tx *sql.Tx) error {
		c.tx, c.err = tx, nil
		c.rows()
		c.sent()
		c.rejects()
		c.part()
		if c.err == nil {
			a.e.point("before_commit")
		}
		return c.err
	})
	if err == nil {
		p.State = partEnded
	}
	return err
}
