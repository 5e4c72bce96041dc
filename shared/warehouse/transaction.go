package warehouse

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"time"
)

// transaction runs do in a transaction on conn and commits it. unsure says that
// the commit was sent and failed: it may have been done all the same.
//
// A connection whose transaction did not end in an answer is closed for good: the
// session of a server could still be inside it, and the next user of the
// connection would write into it.
func transaction(ctx context.Context, conn *sql.Conn, do func(tx *sql.Tx) error) (unsure bool, err error) {
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return false, err
	}
	defer func() {
		if e := tx.Rollback(); e != nil && !errors.Is(e, sql.ErrTxDone) {
			poison(conn)
		}
	}()
	if err := do(tx); err != nil {
		return false, err
	}
	if err := tx.Commit(); err != nil {
		poison(conn)
		return true, err
	}
	return false, nil
}

// poison closes the connection below conn instead of giving it back.
func poison(conn *sql.Conn) {
	_ = conn.Raw(func(any) error { return driver.ErrBadConn })
}

// patience is how long the outcome of a commit is looked for.
const patience = 30 * time.Second

// committed reports whether the ledger holds what a transaction wrote whose commit
// failed without an answer. It writes the row before it reads it: so it waits for
// that transaction, should it still be about to end.
func (w *Warehouse) committed(ctx context.Context, want Slice) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	conn, err := w.db.Conn(ctx)
	if err != nil {
		return false
	}
	defer conn.Close()
	var got Slice
	errDone := errors.New("read")
	_, err = transaction(ctx, conn, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `UPDATE `+slicesTable+` SET "fence" = "fence"`+bySlice, want.Function, want.Table, want.ID); err != nil {
			return err
		}
		if got, err = sliceRow(ctx, tx, want.Function, want.Table, want.ID); err != nil {
			return err
		}
		return errDone // and roll back: nothing was changed
	})
	return err == errDone && got == want
}

// queue makes tx wait for other processes, where the database has any.
func (w *Warehouse) queue(ctx context.Context, tx *sql.Tx) error {
	if s, ok := w.driver.(Shared); ok {
		return s.Queue(ctx, tx)
	}
	return nil
}

// strict reports whether a MERGE fails where two rows of its source have one key.
func (w *Warehouse) strict() bool {
	_, ok := w.driver.(Shared)
	return ok
}

// Remote reports whether a Load names objects of the stage instead of local files.
func (w *Warehouse) Remote() bool {
	r, ok := w.driver.(Remote)
	return ok && r.Remote()
}
