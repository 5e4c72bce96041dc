package snowflaketest_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/snowflakedb/gosnowflake/v2"

	"github.com/millrace-data/millrace/shared/warehouse/snowflake/snowflaketest"
)

// client is a started stand-in and the real driver on it.
type client struct {
	*testing.T
	srv *snowflaketest.Server
	db  *sql.DB
	ctx context.Context
}

func start(t *testing.T, o snowflaketest.Options) *client {
	t.Helper()
	srv := snowflaketest.Start(o)
	t.Cleanup(srv.Close)
	db := sql.OpenDB(gosnowflake.NewConnector(gosnowflake.SnowflakeDriver{}, *srv.Config()))
	t.Cleanup(func() { db.Close() })
	return &client{t, srv, db, t.Context()}
}

// conn is one session.
func (c *client) conn() *sql.Conn {
	c.Helper()
	conn, err := c.db.Conn(c.ctx)
	if err != nil {
		c.Fatal(err)
	}
	c.Cleanup(func() { conn.Close() })
	return conn
}

// The driver logs every error that a test asks for.
func init() { gosnowflake.GetLogger().SetLogLevel("off") }

type execer interface {
	ExecContext(ctx context.Context, q string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, q string, args ...any) (*sql.Rows, error)
}

func (c *client) exec(on execer, q string, args ...any) sql.Result {
	c.Helper()
	res, err := on.ExecContext(c.ctx, q, args...)
	if err != nil {
		c.Fatalf("%s: %v", q, err)
	}
	return res
}

// rows are the cells of a query joined by "|", with the headings first.
func (c *client) rows(on execer, q string, args ...any) []string {
	c.Helper()
	rows, err := on.QueryContext(c.ctx, q, args...)
	if err != nil {
		c.Fatalf("%s: %v", q, err)
	}
	defer rows.Close()
	cols, err := rows.Columns()
	if err != nil {
		c.Fatal(err)
	}
	out := []string{strings.Join(cols, "|")}
	for rows.Next() {
		cells, dest := make([]any, len(cols)), make([]any, len(cols))
		for i := range cells {
			dest[i] = &cells[i]
		}
		if err := rows.Scan(dest...); err != nil {
			c.Fatal(err)
		}
		texts := make([]string, len(cols))
		for i, v := range cells {
			if at, ok := v.(time.Time); ok {
				v = at.UTC().Format(time.RFC3339Nano)
			}
			texts[i] = fmt.Sprint(v)
		}
		out = append(out, strings.Join(texts, "|"))
	}
	if err := rows.Err(); err != nil {
		c.Fatalf("%s: %v", q, err)
	}
	return out
}

func (c *client) want(got []string, want ...string) {
	c.Helper()
	if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
		c.Errorf("got\n%s\nwant\n%s", g, w)
	}
}

// fails runs a statement that must fail with the number and state.
func (c *client) fails(on execer, number int, state, q string, args ...any) {
	c.Helper()
	_, err := on.ExecContext(c.ctx, q, args...)
	c.is(err, number, state)
}

func (c *client) is(err error, number int, state string) {
	c.Helper()
	var e *gosnowflake.SnowflakeError
	if !errors.As(err, &e) || e.Number != number || e.SQLState != state {
		c.Errorf("got error %v, want number %d and state %s", err, number, state)
	}
}

func (c *client) affected(res sql.Result, want int64) {
	c.Helper()
	if n, err := res.RowsAffected(); err != nil || n != want {
		c.Errorf("got %d rows and error %v, want %d", n, err, want)
	}
}

func TestTypesGoThereAndBack(t *testing.T) {
	c := start(t, snowflaketest.Options{})
	at := time.Date(1969, 12, 31, 23, 59, 59, 999999000, time.UTC)
	c.exec(c.db, `CREATE OR REPLACE TRANSIENT TABLE "t" ("id" NUMBER(38,0) NOT NULL, "big" NUMBER(38,18), "txt" VARCHAR(100), "ok" BOOLEAN, "at" TIMESTAMP_NTZ(6), "on" DATE, "doc" VARIANT, "f" FLOAT, "raw" BINARY)`)
	c.affected(c.exec(c.db, `INSERT INTO "t" SELECT ?, ?, ?, ?, ?, ?, PARSE_JSON(?), ?, ?`, 1, "-12345678901234567890.123456789012345678", "it's \\ \"x\"", true, at, "2024-02-29", `{"b":1.10,"a":[null,12345678901234567890.5]}`, "0.5", "abcd"), 1)
	c.want(c.rows(c.db, `SELECT * FROM "t"`),
		"id|big|txt|ok|at|on|doc|f|raw",
		`1|-12345678901234567890.123456789012345678|it's \ "x"|1|1969-12-31T23:59:59.999999Z|2024-02-29T00:00:00Z|{
  "a": [
    null,
    12345678901234567890.5
  ],
  "b": 1.1
}|0.5|[97 98 99 100]`)
	c.affected(c.exec(c.db, `INSERT INTO "t" ("id") VALUES (?)`, 2), 1)
	c.want(c.rows(c.db, `SELECT "txt", "at", "doc" FROM "t" WHERE "id" = ?`, 2), "txt|at|doc", "<nil>|<nil>|<nil>")
	c.want(c.rows(c.db, `SELECT "id" FROM "t" WHERE "at" = ?`, at), "id", "1")
}

func TestNamesFoldAndKeepTheirCase(t *testing.T) {
	c := start(t, snowflaketest.Options{})
	c.exec(c.db, `create table Orders (Id int, "id" int)`)
	c.exec(c.db, `insert into ORDERS (id, "id") values (1, 2)`)
	c.want(c.rows(c.db, `select id, "id", "ID" as n from "ORDERS"`), "ID|id|N", "1|2|1")
	c.fails(c.db, 2003, "42S02", `SELECT * FROM "orders"`)
	c.want(c.rows(c.db, `SELECT COUNT(*) FROM Orders`), "COUNT(*)", "1")
	c.want(c.rows(c.db, `SELECT COLUMN_NAME, DATA_TYPE FROM INFORMATION_SCHEMA.COLUMNS WHERE TABLE_NAME = 'ORDERS' ORDER BY ORDINAL_POSITION`), "COLUMN_NAME|DATA_TYPE", "ID|NUMBER", "id|NUMBER")
}

func TestTransactions(t *testing.T) {
	c := start(t, snowflaketest.Options{})
	c.exec(c.db, `CREATE TABLE T (A INT)`)
	tx, err := c.db.BeginTx(c.ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.exec(tx, `INSERT INTO T VALUES (1)`)
	c.fails(tx, 100038, "22018", `INSERT INTO T SELECT CAST('x' AS INT)`)
	c.exec(tx, `INSERT INTO T VALUES (2)`)
	c.want(c.rows(c.db, `SELECT COUNT(*) FROM T`), "COUNT(*)", "0")
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	c.want(c.rows(c.db, `SELECT A FROM T ORDER BY A`), "A", "1", "2")

	tx, _ = c.db.BeginTx(c.ctx, nil)
	c.exec(tx, `DELETE FROM T`)
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	c.want(c.rows(c.db, `SELECT COUNT(*) FROM T`), "COUNT(*)", "2")

	tx, _ = c.db.BeginTx(c.ctx, nil)
	c.exec(tx, `DELETE FROM T`)
	c.exec(tx, `CREATE TEMPORARY TABLE "x" (A INT)`) // commits
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	c.want(c.rows(c.db, `SELECT COUNT(*) FROM T`), "COUNT(*)", "0")
}

func TestMergeRefusesToChoose(t *testing.T) {
	c := start(t, snowflaketest.Options{})
	c.exec(c.db, `CREATE TABLE "t" ("id" INT, "v" VARCHAR)`)
	c.exec(c.db, `INSERT INTO "t" VALUES (1, 'old')`)
	c.fails(c.db, 100090, "42P18", `MERGE INTO "t" AS t USING (SELECT 1 AS "id", 'a' AS "v" UNION ALL SELECT 1, 'b') AS s ON t."id" = s."id" WHEN MATCHED THEN UPDATE SET "v" = s."v"`)
	res := c.exec(c.db, `MERGE INTO "t" AS t USING (SELECT 1 AS "id", ? AS "v" UNION ALL SELECT 2, 'b' UNION ALL SELECT 3, 'c') AS s ON t."id" = s."id" WHEN MATCHED AND s."v" <> ? THEN UPDATE SET t."v" = s."v" WHEN NOT MATCHED THEN INSERT ("id", "v") VALUES (s."id", s."v")`, "new", "z")
	c.affected(res, 3)
	c.want(c.rows(c.db, `SELECT "id", "v" FROM "t" ORDER BY 1`), "id|v", "1|new", "2|b", "3|c")
}

func TestATransactionAbortedByAnError(t *testing.T) {
	c := start(t, snowflaketest.Options{})
	conn := c.conn()
	c.exec(conn, `CREATE TABLE T (A INT)`)
	c.exec(conn, `ALTER SESSION SET TRANSACTION_ABORT_ON_ERROR = TRUE`)
	tx, err := conn.BeginTx(c.ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.exec(tx, `INSERT INTO T VALUES (1)`)
	c.fails(tx, 904, "42000", `INSERT INTO T SELECT NOTHING`)
	c.fails(tx, 611, "25P02", `INSERT INTO T VALUES (2)`)
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	c.exec(conn, `INSERT INTO T VALUES (3)`)
	c.want(c.rows(conn, `SELECT A FROM T`), "A", "3")
}

func TestFunctionsThatDiffer(t *testing.T) {
	c := start(t, snowflaketest.Options{})
	conn := c.conn()
	const at = `TO_TIMESTAMP_NTZ('2026-01-02 03:04:05.678901')`
	c.want(c.rows(conn, `SELECT GREATEST(1, NULL) AS A, LEAST(2, 1, 3) AS B, IFF(1 > 2, 'y', 'n') AS C, EQUAL_NULL(NULL, NULL) AS D, `+at+`::VARCHAR AS E, TRY_TO_NUMBER('x', 9, 2) AS F, TO_NUMBER('1.255', 9, 2) AS G, MD5('a') AS H`),
		"A|B|C|D|E|F|G|H", "<nil>|1|n|1|2026-01-02 03:04:05.678|<nil>|1.26|0cc175b9c0f1b6a831c399e269772661")
	c.exec(conn, `ALTER SESSION SET TIMESTAMP_NTZ_OUTPUT_FORMAT = 'YYYY-MM-DD HH24:MI:SS.FF6' JSON_INDENT = 0`)
	c.want(c.rows(conn, `SELECT CAST(`+at+` AS VARCHAR) AS E, PARSE_JSON('{"a": [1]}') AS J, 'a\'b\\n' AS S, $$it's$$ AS D -- a comment
 /* and one */`), "E|J|S|D", `2026-01-02 03:04:05.678901|{"a":[1]}|a'b\n|it's`)
}

func TestReadsSeeWhatOthersCommit(t *testing.T) {
	c := start(t, snowflaketest.Options{})
	c.exec(c.db, `CREATE TABLE T (A INT)`)
	c.exec(c.db, `CREATE TABLE U (A INT)`)
	tx, err := c.conn().BeginTx(c.ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.want(c.rows(tx, `SELECT COUNT(*) FROM T`), "COUNT(*)", "0")
	c.exec(c.db, `INSERT INTO T VALUES (1)`)
	c.want(c.rows(tx, `SELECT COUNT(*) FROM T`), "COUNT(*)", "1")
	c.exec(tx, `INSERT INTO U VALUES (1)`)
	c.exec(c.db, `UPDATE T SET A = 2`)
	c.affected(c.exec(tx, `UPDATE T SET A = 3 WHERE A = 2`), 1)
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	c.want(c.rows(c.db, `SELECT A FROM T UNION ALL SELECT A FROM U ORDER BY A`), "A", "1", "3")
}
