package snowflaketest_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/snowflakedb/gosnowflake/v2"

	"github.com/millrace-data/millrace/shared/warehouse/snowflake/snowflaketest"
)

func TestAnswersAreGivenAgain(t *testing.T) {
	c := start(t, snowflaketest.Options{})
	conn := c.conn()
	c.exec(conn, `CREATE TABLE T (A INT)`)
	for kind, want := range map[snowflaketest.Kind]string{snowflaketest.DropAfter: "1", snowflaketest.DropBefore: "1", snowflaketest.Unavailable: "1", snowflaketest.Expire: "1"} {
		c.exec(conn, `DELETE FROM T`)
		c.srv.Inject(snowflaketest.Fault{On: "insert into", Kind: kind})
		c.affected(c.exec(conn, `INSERT INTO T VALUES (1)`), 1)
		if n := c.srv.Pending(); n != 0 {
			t.Errorf("fault %d did not happen", kind)
		}
		c.want(c.rows(conn, `SELECT COUNT(*) FROM T`), "COUNT(*)", want)
	}
}

func TestACommitWhoseAnswerIsLost(t *testing.T) {
	c := start(t, snowflaketest.Options{})
	c.db.SetMaxIdleConns(0) // the pool does not notice that a session is gone
	c.exec(c.db, `CREATE TABLE T (A INT)`)
	for i, f := range []snowflaketest.Fault{{On: "COMMIT", Kind: snowflaketest.DropAfter}, {On: "COMMIT", Kind: snowflaketest.Lose}, {On: "COMMIT", Kind: snowflaketest.Gone}} {
		tx, err := c.db.BeginTx(c.ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		c.exec(tx, `INSERT INTO T VALUES (?)`, i)
		c.srv.Inject(f)
		if err := tx.Commit(); (err == nil) != (f.Kind == snowflaketest.DropAfter) {
			t.Errorf("fault %d: COMMIT says %v", f.Kind, err)
		}
	}
	c.want(c.rows(c.db, `SELECT A FROM T ORDER BY A`), "A", "0", "1")
}

func TestRefusalsAndSlowness(t *testing.T) {
	c := start(t, snowflaketest.Options{Wait: 50 * time.Millisecond})
	conn := c.conn()
	c.exec(conn, `CREATE TABLE T (A INT)`)
	c.srv.Inject(snowflaketest.Locked("UPDATE"))
	c.fails(conn, 625, "57014", `UPDATE T SET A = 1`)
	c.srv.Inject(snowflaketest.Fault{On: "SELECT", Delay: 300 * time.Millisecond})
	began := time.Now()
	c.want(c.rows(conn, `SELECT 1 AS A`), "A", "1") // by way of "still running"
	if took := time.Since(began); took < 300*time.Millisecond {
		t.Errorf("the slow statement took %s", took)
	}
	c.srv.Inject(snowflaketest.Fault{On: "/session/v1/login-request", Kind: snowflaketest.Unavailable})
	c.conn()
	if n := c.srv.Pending(); n != 0 {
		t.Error("the login was not refused")
	}
}

func TestSeveralStatementsInOne(t *testing.T) {
	c := start(t, snowflaketest.Options{})
	conn := c.conn()
	ctx := gosnowflake.WithMultiStatement(c.ctx, 3)
	res, err := conn.ExecContext(ctx, `CREATE TABLE T (A INT); INSERT INTO T VALUES (1), (2); INSERT INTO T VALUES (3);`)
	if err != nil {
		t.Fatal(err)
	}
	c.affected(res, 3)
	_, err = conn.ExecContext(ctx, `INSERT INTO T VALUES (4); SELECT nothing; INSERT INTO T VALUES (5)`)
	if err == nil {
		t.Error("a bad statement passed")
	}
	c.want(c.rows(conn, `SELECT A FROM T ORDER BY A`), "A", "1", "2", "3", "4")
	if _, err := conn.ExecContext(c.ctx, `SELECT 1; SELECT 2`); err == nil {
		t.Error("two statements passed where one is allowed")
	}
	rows, err := conn.QueryContext(gosnowflake.WithMultiStatement(c.ctx, 0), `SELECT 1 AS A; SELECT 2 AS B`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var got []int
	for more := true; more; more = rows.NextResultSet() {
		for rows.Next() {
			var n int
			if err := rows.Scan(&n); err != nil {
				t.Fatal(err)
			}
			got = append(got, n)
		}
	}
	if len(got) != 2 || got[0] != 1 || got[1] != 2 {
		t.Errorf("two queries gave %v", got)
	}
}

func TestAsyncAndLaterFetch(t *testing.T) {
	c := start(t, snowflaketest.Options{})
	conn := c.conn()
	c.exec(conn, `CREATE TABLE T (A INT)`)
	res, err := conn.ExecContext(gosnowflake.WithAsyncMode(c.ctx), `INSERT INTO T VALUES (1), (2)`)
	if err != nil {
		t.Fatal(err)
	}
	c.affected(res, 2)
	ids := make(chan string, 1)
	c.rows(queryAs{conn, gosnowflake.WithQueryIDChan(c.ctx, ids)}, `SELECT A FROM T ORDER BY A`)
	c.want(c.rows(queryAs{conn, gosnowflake.WithFetchResultByID(c.ctx, <-ids)}, ``), "A", "1", "2")
}

// queryAs runs queries under a context of its own.
type queryAs struct {
	*sql.Conn
	ctx context.Context
}

func (q queryAs) QueryContext(_ context.Context, s string, args ...any) (*sql.Rows, error) {
	return q.Conn.QueryContext(q.ctx, s, args...)
}

func TestLogin(t *testing.T) {
	c := start(t, snowflaketest.Options{Password: "right"})
	open := func(change func(*gosnowflake.Config)) error {
		cfg := c.srv.Config()
		change(cfg)
		db := sql.OpenDB(gosnowflake.NewConnector(gosnowflake.SnowflakeDriver{}, *cfg))
		defer db.Close()
		return db.PingContext(c.ctx)
	}
	if err := open(func(*gosnowflake.Config) {}); err != nil {
		t.Error(err)
	}
	for number, change := range map[int]func(*gosnowflake.Config){
		390100: func(cfg *gosnowflake.Config) { cfg.Password = "wrong" },
		390201: func(cfg *gosnowflake.Config) { cfg.Database = "NONE" },
	} {
		var e *gosnowflake.SnowflakeError
		if err := open(change); !errors.As(err, &e) || e.Number != number {
			t.Errorf("got %v, want error %d", err, number)
		}
	}
	db, err := sql.Open("snowflake", c.srv.DSN())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	c.want(c.rows(db, `SELECT CURRENT_DATABASE() AS D, CURRENT_SCHEMA() AS S`), "D|S", "RAW|PUBLIC")
}

func TestVariantsAreNotTexts(t *testing.T) {
	c := start(t, snowflaketest.Options{})
	conn := c.conn()
	c.exec(conn, `CREATE TABLE T (ID INT, V VARIANT)`)
	c.fails(conn, 2023, "22000", `INSERT INTO T (ID, V) VALUES (?, ?)`, 1, `{"a":1}`)
	c.fails(conn, 2014, "22000", `INSERT INTO T (ID, V) VALUES (?, PARSE_JSON(?))`, 1, `{"a":1}`)
	c.fails(conn, 100069, "22P02", `INSERT INTO T SELECT 1, PARSE_JSON(?)`, `{"a":1,"a":2}`)
	c.exec(conn, `INSERT INTO T SELECT 1, PARSE_JSON(?)`, `{"z": {"B c": [1, "two"]}, "n": 12345678901234567890.50}`)
	c.exec(conn, `INSERT INTO T (ID) VALUES (2)`)
	c.want(c.rows(conn, `SELECT V:z."B c"[1]::VARCHAR AS A, V:n::VARCHAR AS B, TRY_PARSE_JSON('{') AS C, V['z']['B c'][0]::NUMBER(9,2) AS D, CAST(V AS VARCHAR) AS E FROM T ORDER BY ID`),
		"A|B|C|D|E", `two|12345678901234567890.5|<nil>|1.00|{"n":12345678901234567890.5,"z":{"B c":[1,"two"]}}`, "<nil>|<nil>|<nil>|<nil>|<nil>")
}

func TestObjects(t *testing.T) {
	c := start(t, snowflaketest.Options{})
	conn := c.conn()
	for _, q := range []string{
		`CREATE SCHEMA IF NOT EXISTS "s"`, `CREATE OR REPLACE TABLE "s"."a" ("id" NUMBER(38,0) NOT NULL PRIMARY KEY COMMENT 'the key', "v" VARCHAR DEFAULT 'x', CONSTRAINT k UNIQUE ("v")) DATA_RETENTION_TIME_IN_DAYS = 0 COMMENT = 'table a'`,
		`CREATE TABLE "s"."b" LIKE "s"."a"`, `INSERT INTO "s"."a" ("id") VALUES (1), (1)`, `INSERT INTO "s"."b" VALUES (2, 'y')`,
		`ALTER TABLE "s"."a" SWAP WITH "s"."b"`, `ALTER TABLE "s"."a" ADD COLUMN IF NOT EXISTS "n" NUMBER(20,4), "at" TIMESTAMP_NTZ(6)`, `COMMENT ON COLUMN "s"."a"."n" IS 'it''s \\ new'`,
		`CREATE TEMPORARY TABLE "s"."t" AS SELECT * FROM "s"."a"`, `CREATE TABLE "s"."c" CLONE "s"."b"`, `COMMENT IF EXISTS ON TABLE "s"."c" IS 'copy'`,
	} {
		c.exec(conn, q)
	}
	c.want(c.rows(conn, `SELECT "id", "v", "n" FROM "s"."t" UNION ALL SELECT "id", "v", NULL FROM "s"."c" ORDER BY 1`), "id|v|n", "1|x|<nil>", "1|x|<nil>", "2|y|<nil>")
	got := c.rows(conn, `DESCRIBE TABLE "s"."a"`)
	c.want(got[1:], "id|NUMBER(38,0)|COLUMN|N|<nil>|N|N|<nil>|<nil>|the key", "v|VARCHAR(16777216)|COLUMN|Y|'x'|N|N|<nil>|<nil>|<nil>",
		"n|NUMBER(20,4)|COLUMN|Y|<nil>|N|N|<nil>|<nil>|it's \\ new", "at|TIMESTAMP_NTZ(6)|COLUMN|Y|<nil>|N|N|<nil>|<nil>|<nil>")
	c.fails(conn, 2003, "02000", `DESCRIBE TABLE "s"."none"`)
	c.fails(conn, 2043, "02000", `USE SCHEMA "none"`)
	c.fails(conn, 100072, "22000", `INSERT INTO "s"."a" ("v") VALUES ('no key')`)
	c.fails(conn, 1003, "42000", `SELEC 1`)
	c.fails(conn, 904, "42000", `SELECT "nothing" FROM "s"."a"`)
	c.fails(conn, 2002, "42710", `CREATE TABLE "s"."a" ("id" INT)`)
	c.fails(conn, 1006, "42000", `ALTER SESSION SET LOCK_TIMEOUTS = 1`)
	if got := strings.Join(c.rows(conn, `SHOW TABLES IN SCHEMA "s"`), "\n"); !strings.Contains(got, "c|RAW|s|TABLE|copy") {
		t.Errorf("SHOW TABLES says %s", got)
	}
	c.want(c.rows(c.conn(), `SELECT COUNT(*) FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_SCHEMA = 's'`), "COUNT(*)", "3")
	c.exec(conn, `DROP TABLE "s"."t"`)
	c.exec(conn, `DROP TABLE IF EXISTS "s"."t"`)
}
