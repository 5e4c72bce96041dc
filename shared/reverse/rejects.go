package reverse

import (
	"context"
	"crypto/md5"
	"database/sql"
	"encoding/hex"
	"encoding/json"
)

// rejectFunction is the function in millrace.rejects whose rows are those of syncs.
const rejectFunction = "salesforcesync"

// rejectID names a reject: a hash of the sync and the key, which SQL can compute as
// well, and the rule.
func rejectID(sync, key, rule string) string {
	h := md5.Sum([]byte(sync + "\n" + key))
	return hex.EncodeToString(h[:]) + "-" + rule
}

// keyHash is the part of a reject's id that names the row, as SQL, which has one
// bound value: the sync.
func keyHash(key string) string { return "md5(CAST(? AS VARCHAR) || chr(10) || " + key + ")" }

// reject is a row of the table of rejects.
func (p *planner) reject(key string, m misfit, values []*string) []any {
	row := map[string]*string{p.job.Key: orNil(key)}
	for i, c := range p.cols {
		row[c.name] = values[i]
	}
	doc, _ := json.Marshal(row) // texts
	return []any{rejectID(p.job.Name, key, m.rule), m.rule, m.reason, string(doc)}
}

func (p *planner) addRejects(ctx context.Context, rejects [][]any) error {
	if len(rejects) == 0 {
		return nil
	}
	_, err := p.Warehouse.Fill(ctx, p.conn, "", rejectedTable, []string{"reject", "rule", "reason", "row"}, rowsOf(rejects))
	return err
}

// facts writes what the plan found to be so already, and what cannot be written.
func (p *planner) facts(tx *sql.Tx, plan string) error {
	here := ` WHERE "function" = ? AND "table_name" = ?`
	mine := []any{rejectFunction, p.job.Name}
	seen := `"reject" IN (SELECT "reject" FROM ` + quote(rejectedTable) + `)`
	now := p.plan.PlannedAt
	for _, s := range []struct {
		sql  string
		args []any
	}{
		{`DELETE FROM "millrace"."sync_sent" WHERE "sync" = ? AND "object" = ? AND "key" IN (SELECT "key" FROM ` + quote(sameTable) + `)`, []any{p.job.Name, p.job.Object}},
		{`INSERT INTO "millrace"."sync_sent" ("sync", "object", "key", "destination_id", "accepted", "plan", "sent_at") SELECT ?, ?, s."key", s."id", s."accepted", ?, ? FROM ` + quote(sameTable) + ` AS s`,
			[]any{p.job.Name, p.job.Object, plan, now}},
		{`UPDATE "millrace"."rejects" SET "slice" = ?, "last_seen" = ?, "attempts" = "attempts" + 1, "state" = CASE WHEN "state" = 'replayed' THEN 'open' ELSE "state" END` + here + ` AND ` + seen,
			append([]any{plan, now}, mine...)},
		{`INSERT INTO "millrace"."rejects" ("reject", "function", "table_name", "slice", "row", "reason", "rule", "first_seen", "last_seen", "attempts", "state")
 SELECT n."reject", ?, ?, ?, ` + p.Warehouse.Document(`n."row"`) + `, n."reason", n."rule", ?, ?, 1, 'open' FROM ` + quote(rejectedTable) + ` AS n WHERE n."reject" NOT IN (SELECT "reject" FROM "millrace"."rejects"` + here + `)`,
			append([]any{rejectFunction, p.job.Name, plan, now, now}, mine...)},
	} {
		if _, err := tx.Exec(s.sql, s.args...); err != nil {
			return err
		}
	}
	return p.settled(tx)
}

// settled closes the rejects of rows that need no write any more.
func (p *planner) settled(tx *sql.Tx) error {
	var open int64
	err := tx.QueryRow(`SELECT count(*) FROM "millrace"."rejects" WHERE "function" = ? AND "table_name" = ? AND "state" = 'open'`, rejectFunction, p.job.Name).Scan(&open)
	if err != nil || open == 0 {
		return err
	}
	row := `substr("reject", 1, 32)`
	_, err = tx.Exec(`UPDATE "millrace"."rejects" SET "state" = 'replayed', "last_seen" = ? WHERE "function" = ? AND "table_name" = ? AND "state" = 'open'
 AND `+row+` IN (SELECT `+keyHash(`"key"`)+` FROM `+quote(desiredTable)+` WHERE "key" IS NOT NULL)
 AND `+row+` NOT IN (SELECT `+keyHash(`"key"`)+` FROM "millrace"."sync_rows" WHERE "plan" = ?)
 AND `+row+` NOT IN (SELECT substr("reject", 1, 32) FROM `+quote(rejectedTable)+`)`,
		p.plan.PlannedAt, rejectFunction, p.job.Name, p.job.Name, p.job.Name, p.plan.ID)
	return err
}
