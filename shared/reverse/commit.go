package reverse

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"github.com/millrace-data/millrace/shared/fault"
)

const (
	failedTable = `"millrace_failed"` // rejects of an apply's session
	ruleFailed  = "failed"            // of a reject for which the destination gave no code
)

// committing is the transaction that ends a part. Its steps do nothing once one of
// them has failed.
type committing struct {
	a    *applier
	p    *part
	ctx  context.Context
	tx   *sql.Tx
	err  error
	done map[RowState]int64 // rows of the part by their outcome
}

// prepare does what is not for a transaction: temporary tables, and the documents of
// rejects.
func (c *committing) prepare() error {
	c.done = map[RowState]int64{}
	rows, err := c.a.conn.QueryContext(c.ctx, `SELECT "state", count(*) FROM `+outcomeTable+` GROUP BY "state"`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var s RowState
		var n int64
		if err := rows.Scan(&s, null[int64]{&n}); err != nil {
			return err
		}
		c.done[s] = n
	}
	if err := rows.Err(); err != nil || c.done[RowFailed] == 0 {
		return err
	}
	rows.Close()
	if err := remake(c.ctx, c.a.conn, failedTable, `"reject" VARCHAR, "rule" VARCHAR, "reason" VARCHAR, "row" VARCHAR`, ""); err != nil {
		return err
	}
	for last := int64(0); ; {
		page, err := c.failures(&last)
		if err != nil || len(page) == 0 {
			return err
		}
		if _, err := c.a.e.Warehouse.Fill(c.ctx, c.a.conn, "", "millrace_failed", []string{"reject", "rule", "reason", "row"}, rowsOf(page)); err != nil {
			return err
		}
	}
}

// failures is a page of rejects, of rows after the last one. A reject has the row as
// the query had it, as far as it was stored.
func (c *committing) failures(last *int64) (out [][]any, err error) {
	column := map[string]string{}
	for name, field := range c.a.p.Job.Fields {
		column[field] = name
	}
	rows, err := c.a.conn.QueryContext(c.ctx, `SELECT o."n", max(r."key"), max(o."code"), max(o."error"), max(r."accepted") FROM `+outcomeTable+` AS o JOIN `+rowsTable+` AS r ON r."plan" = ? AND r."n" = o."n" WHERE o."state" = 'failed' AND o."n" > ? GROUP BY o."n" ORDER BY o."n" LIMIT `+fmt.Sprint(changePage),
		c.a.p.ID, *last)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var key, code, reason, source string
		if err := rows.Scan(null[int64]{last}, null[string]{&key}, null[string]{&code}, null[string]{&reason}, null[string]{&source}); err != nil {
			return nil, err
		}
		row := map[string]string{c.a.p.Job.Key: key}
		for field, v := range accepts(source) {
			if v != nil {
				row[cmp.Or(column[field], field)] = *v
			}
		}
		doc, err := json.Marshal(row)
		if err != nil {
			return nil, err
		}
		code = cmp.Or(code, ruleFailed)
		out = append(out, []any{rejectID(c.a.p.Sync, key, code), code, cmp.Or(reason, "the destination gave no reason"), string(doc)})
	}
	return out, rows.Err()
}

func (c *committing) exec(q string, args ...any) {
	if c.err == nil {
		_, c.err = c.tx.ExecContext(c.ctx, q, args...)
	}
}

// rows moves the rows to their outcome. The id of a record that was there before is
// part of the plan's hash and stays.
func (c *committing) rows() {
	c.exec(`UPDATE `+rowsTable+` SET "state" = o."state", "code" = o."code", "error" = o."error", "destination_id" = CASE WHEN o."kind" = 'create' AND o."state" = 'sent' THEN o."id" ELSE "sync_rows"."destination_id" END
 FROM `+outcomeTable+` AS o WHERE "sync_rows"."plan" = ? AND "sync_rows"."part" = ? AND "sync_rows"."n" = o."n" AND "sync_rows"."state" IN ('sending', o."state")`, c.a.p.ID, c.p.N)
}

// sent remembers what the destination accepted, and nothing else.
func (c *committing) sent() {
	if c.done[RowSent] == 0 {
		return
	}
	from := ` FROM ` + rowsTable + ` AS r JOIN ` + outcomeTable + ` AS o ON o."n" = r."n" WHERE r."plan" = ? AND r."accepted" IS NOT NULL AND o."state" = 'sent'`
	p := c.a.p
	c.exec(`DELETE FROM "millrace"."sync_sent" WHERE "sync" = ? AND "object" = ? AND "key" IN (SELECT r."key"`+from+`)`, p.Sync, p.Object, p.ID)
	c.exec(`INSERT INTO "millrace"."sync_sent" ("sync", "object", "key", "destination_id", "accepted", "plan", "sent_at") SELECT ?, ?, r."key", coalesce(o."id", r."destination_id"), r."accepted", r."plan", CAST(? AS TIMESTAMP)`+from, p.Sync, p.Object, c.a.e.now(), p.ID)
}

// rejects lists the rows that failed, and closes what is listed of those that were
// accepted at last. What a rollback writes is no row of the query.
func (c *committing) rejects() {
	p, now := c.a.p, c.a.e.now()
	const here = ` WHERE "function" = ? AND "table_name" = ?`
	if c.done[RowSent] > 0 && p.Undoes == "" {
		var open int64
		if c.err == nil {
			c.err = c.tx.QueryRowContext(c.ctx, `SELECT count(*) FROM "millrace"."rejects"`+here+` AND "state" = 'open'`, rejectFunction, p.Sync).Scan(null[int64]{&open})
		}
		if open > 0 {
			c.exec(`UPDATE "millrace"."rejects" SET "state" = 'replayed', "last_seen" = ?`+here+` AND "state" = 'open' AND substr("reject", 1, 32) IN (SELECT `+keyHash(`r."key"`)+` FROM `+rowsTable+` AS r JOIN `+outcomeTable+` AS o ON o."n" = r."n" WHERE r."plan" = ? AND o."state" = 'sent')`,
				now, rejectFunction, p.Sync, p.Sync, p.ID)
		}
	}
	if c.done[RowFailed] == 0 {
		return
	}
	c.exec(`UPDATE "millrace"."rejects" SET "slice" = ?, "last_seen" = ?, "attempts" = "attempts" + 1, "state" = CASE WHEN "state" = 'replayed' THEN 'open' ELSE "state" END`+here+` AND "reject" IN (SELECT "reject" FROM `+failedTable+`)`,
		p.ID, now, rejectFunction, p.Sync)
	c.exec(`INSERT INTO "millrace"."rejects" ("reject", "function", "table_name", "slice", "row", "reason", "rule", "first_seen", "last_seen", "attempts", "state")
 SELECT n."reject", ?, ?, ?, `+c.a.e.Warehouse.Document(`n."row"`)+`, n."reason", n."rule", CAST(? AS TIMESTAMP), CAST(? AS TIMESTAMP), 1, 'open' FROM `+failedTable+` AS n WHERE n."reject" NOT IN (SELECT "reject" FROM "millrace"."rejects"`+here+`)`,
		rejectFunction, p.Sync, p.ID, now, now, rejectFunction, p.Sync)
}

// part ends the part and makes sure that no row of it is missing.
func (c *committing) part() {
	sent, failed, unprocessed := c.done[RowSent], c.done[RowFailed]+c.done[RowRetry], c.done[RowUnprocessed]+c.done[RowPlanned]
	var left int64 // out, before they were sent
	if c.err == nil {
		c.err = c.tx.QueryRowContext(c.ctx, `SELECT count(DISTINCT "n") FROM `+rowsTable+` WHERE "plan" = ? AND "part" = ? AND "state" = 'unprocessed' AND "n" NOT IN (SELECT "n" FROM `+outcomeTable+`)`, c.a.p.ID, c.p.N).Scan(null[int64]{&left})
	}
	if unprocessed += left; c.err == nil && sent+failed+unprocessed != c.p.Rows {
		c.err = fault.New(fault.Corrupt, "part %d of plan %s had %d rows, and %d were sent, %d failed and %d are unprocessed", c.p.N, c.a.p.ID, c.p.Rows, sent, failed, unprocessed)
	}
	now := c.a.e.now()
	c.exec(`UPDATE `+jobsTable+` SET "state" = 'ended', "sent" = ?, "failed" = ?, "unprocessed" = ?, "updated_at" = ? WHERE "plan" = ? AND "part" = ? AND "state" <> 'aborted'`,
		sent, failed, unprocessed, now, c.a.p.ID, c.p.N)
	if c.err == nil {
		c.a.done, c.err = c.a.totals(c.ctx, c.tx)
	}
	c.exec(`UPDATE `+plansTable+` SET "sent" = ?, "failed" = ?, "unprocessed" = ? WHERE "plan" = ?`, c.a.done[RowSent], c.a.done[RowFailed], c.a.done[RowUnprocessed], c.a.p.ID)
}
