package snowflaketest_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace-data/millrace/shared/warehouse/snowflake/snowflaketest"
)

func TestWritersOfOneTableQueue(t *testing.T) {
	c := start(t, snowflaketest.Options{})
	const sessions, rounds = 6, 5
	c.exec(c.db, `CREATE TABLE WM (C VARCHAR, VER INT)`)
	c.exec(c.db, `CREATE TABLE OUT (VER INT)`)
	c.exec(c.db, `INSERT INTO WM VALUES ('z', 0)`)
	var won, lost atomic.Int64
	for round := range rounds {
		var all sync.WaitGroup
		for range sessions {
			all.Go(func() {
				err := claim(c, round)
				switch err {
				case nil:
					won.Add(1)
				case sql.ErrNoRows:
					lost.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		all.Wait()
	}
	if won.Load() != rounds || lost.Load() != (sessions-1)*rounds {
		t.Errorf("%d won and %d lost, want %d and %d", won.Load(), lost.Load(), rounds, (sessions-1)*rounds)
	}
	c.want(c.rows(c.db, `SELECT COUNT(*), MAX(VER) AS V FROM OUT`), "COUNT(*)|V", fmt.Sprintf("%d|%d", rounds, rounds-1))
}

// claim raises the version if it is still the expected one, and writes once.
func claim(c *client, ver int) error {
	tx, err := c.db.BeginTx(c.ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(c.ctx, `INSERT INTO OUT SELECT VER FROM WM WHERE VER < 0`); err != nil { // a write before the lock
		return err
	}
	res, err := tx.ExecContext(c.ctx, `UPDATE WM SET VER = VER + 1 WHERE C = 'z' AND VER = ?`, ver)
	if err != nil {
		return err
	}
	if n, _ := res.RowsAffected(); n == 0 {
		return sql.ErrNoRows
	}
	if _, err := tx.ExecContext(c.ctx, `INSERT INTO OUT VALUES (?)`, ver); err != nil {
		return err
	}
	return tx.Commit()
}

func TestLocksTimeOutAndEndWithTheSession(t *testing.T) {
	c := start(t, snowflaketest.Options{})
	c.exec(c.db, `CREATE TABLE T (A INT)`)
	c.exec(c.db, `INSERT INTO T VALUES (1)`)
	holder, other := c.conn(), c.conn()
	tx, err := holder.BeginTx(c.ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.exec(tx, `UPDATE T SET A = 2`)
	c.exec(other, `ALTER SESSION SET LOCK_TIMEOUT = 1`)
	c.affected(c.exec(other, `INSERT INTO T VALUES (5)`), 1) // inserts do not wait
	for _, q := range []string{`DELETE FROM T`, `MERGE INTO T USING (SELECT 1 AS B) AS S ON T.A = S.B WHEN MATCHED THEN DELETE`, `ALTER TABLE T ADD COLUMN B INT`} {
		c.fails(other, 625, "57014", q)
	}
	if len(c.rows(other, `SHOW LOCKS`)) != 2 {
		t.Error("SHOW LOCKS does not show the one lock")
	}
	got := make(chan error, 1)
	c.exec(other, `ALTER SESSION UNSET LOCK_TIMEOUT`)
	c.exec(other, `ALTER SESSION SET LOCK_TIMEOUT = 30`)
	go func() {
		_, err := other.ExecContext(c.ctx, `DELETE FROM T WHERE A = 1`)
		got <- err
	}()
	time.Sleep(50 * time.Millisecond)
	// The pool closes the session of a connection it throws away.
	holder.Raw(func(any) error { return fmt.Errorf("%w", context.Canceled) })
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := <-got; err != nil {
		t.Fatal(err)
	}
	c.want(c.rows(c.db, `SELECT A FROM T`), "A", "5")
}

func TestDeadlockIsTold(t *testing.T) {
	c := start(t, snowflaketest.Options{LockTimeout: 20 * time.Second})
	c.exec(c.db, `CREATE TABLE A (X INT)`)
	c.exec(c.db, `CREATE TABLE B (X INT)`)
	one, _ := c.conn().BeginTx(c.ctx, nil)
	two, _ := c.conn().BeginTx(c.ctx, nil)
	c.exec(one, `DELETE FROM A`)
	c.exec(two, `DELETE FROM B`)
	got := make(chan error, 2)
	for tx, other := range map[*sql.Tx]string{one: "B", two: "A"} {
		go func() {
			_, err := tx.ExecContext(c.ctx, `DELETE FROM `+other)
			if err != nil {
				err = errors.Join(err, tx.Rollback())
			} else {
				err = tx.Commit()
			}
			got <- err
		}()
	}
	first, second := <-got, <-got // whoever closes the circle is told, and the other one goes on
	c.is(errors.Join(first, second), 625, "57014")
	if first != nil && second != nil {
		t.Errorf("both failed: %v and %v", first, second)
	}
}

func TestStatementTimeoutAndCancel(t *testing.T) {
	c := start(t, snowflaketest.Options{})
	conn := c.conn()
	const long = `SELECT SUM(A.X * B.X) AS S FROM (SELECT SEQ AS X FROM BIG) AS A, (SELECT SEQ AS X FROM BIG) AS B`
	c.exec(c.db, `CREATE TABLE BIG (SEQ INT)`)
	for i := range 18 {
		c.exec(c.db, fmt.Sprintf(`INSERT INTO BIG SELECT %d FROM (SELECT 1 AS X UNION ALL SELECT COUNT(*) FROM BIG) AS O, (SELECT 1 AS Y UNION ALL SELECT SEQ FROM BIG) AS P`, i))
		if i > 10 {
			break
		}
	}
	c.exec(conn, `ALTER SESSION SET STATEMENT_TIMEOUT_IN_SECONDS = 1`)
	c.fails(conn, 630, "57014", long)
	c.exec(conn, `ALTER SESSION SET STATEMENT_TIMEOUT_IN_SECONDS = 600`)
	ctx, cancel := context.WithTimeout(c.ctx, 300*time.Millisecond)
	defer cancel()
	began := time.Now()
	if _, err := c.db.ExecContext(ctx, long); err == nil {
		t.Error("a cancelled statement succeeded")
	}
	c.want(c.rows(conn, `SELECT 1 AS A`), "A", "1")
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("the cancel took %s", took)
	}
}
