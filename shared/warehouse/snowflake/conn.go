package snowflake

import (
	"context"
	"database/sql/driver"
	"fmt"
	"sync/atomic"

	sf "github.com/snowflakedb/gosnowflake/v2"
)

// connector opens sessions and gives each its current schema, where temporary
// tables and stages lie.
type connector struct{ driver.Connector }

func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	client, ok := conn.(clientConn)
	if !ok {
		conn.Close()
		return nil, fmt.Errorf("the client's connection %T lacks an ability that this driver uses", conn)
	}
	if err := enter(ctx, client); err != nil {
		conn.Close()
		return nil, err
	}
	return &session{clientConn: client}, nil
}

const useSchema = `USE SCHEMA "millrace"`

// enter makes millrace the session's schema, and creates it where it is missing.
func enter(ctx context.Context, x driver.ExecerContext) error {
	_, err := x.ExecContext(ctx, useSchema, nil)
	if !missing(err) {
		return err
	}
	if _, err = x.ExecContext(ctx, `CREATE SCHEMA IF NOT EXISTS "millrace"`, nil); err == nil {
		_, err = x.ExecContext(ctx, useSchema, nil)
	}
	return err
}

// clientConn is what the client's connections can do.
type clientConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.NamedValueChecker
	driver.Pinger
}

// session is a connection that knows when its session has ended. The client gives
// that back as any other error and would go on using the connection: a function
// that slept for hours could then not get rid of it.
type session struct {
	clientConn
	ended atomic.Bool
}

// endings are the errors of a session that is no more, or whose token cannot be
// renewed. The statement was not looked at.
var endings = map[int]bool{390110: true, 390111: true, 390114: true, 390115: true, sf.ErrFailedToRenewSession: true}

func (s *session) note(err error) error {
	if e := failure(err); e == nil || !endings[e.Number] {
		return err
	}
	s.ended.Store(true)
	return driver.ErrBadConn
}

// IsValid tells the pool whether to keep the connection.
func (s *session) IsValid() bool { return !s.ended.Load() }

// ExecContext runs a statement.
func (s *session) ExecContext(ctx context.Context, q string, args []driver.NamedValue) (driver.Result, error) {
	res, err := s.clientConn.ExecContext(ctx, q, args)
	return res, s.note(err)
}

// QueryContext runs a statement that returns rows.
func (s *session) QueryContext(ctx context.Context, q string, args []driver.NamedValue) (driver.Rows, error) {
	rows, err := s.clientConn.QueryContext(ctx, q, args)
	return rows, s.note(err)
}

// BeginTx begins a transaction.
func (s *session) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	tx, err := s.clientConn.BeginTx(ctx, o)
	return tx, s.note(err)
}
