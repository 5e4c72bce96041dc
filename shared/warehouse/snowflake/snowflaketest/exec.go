package snowflaketest

import (
	"context"
	"strings"
	"time"
)

// statement is one statement on its way.
type statement struct {
	sql   string // as it came
	toks  []token
	binds *binds
}

// handler finds what does a statement by its first word.
func handler(toks []token) func(*session, context.Context, statement) (*answer, error) {
	return map[string]func(*session, context.Context, statement) (*answer, error){
		"SELECT": (*session).doSelect, "WITH": (*session).doSelect, "VALUES": (*session).doSelect, "(": (*session).doSelect,
		"INSERT": (*session).doInsert, "UPDATE": (*session).doUpdate, "DELETE": (*session).doDelete, "MERGE": (*session).doMerge, "TRUNCATE": (*session).doTruncate,
		"BEGIN": (*session).doBegin, "START": (*session).doBegin, "COMMIT": (*session).doCommit, "ROLLBACK": (*session).doRollback,
		"CREATE": (*session).doCreate, "DROP": (*session).doDrop, "ALTER": (*session).doAlter, "COMMENT": (*session).doComment, "USE": (*session).doUse,
		"DESCRIBE": (*session).doDescribe, "DESC": (*session).doDescribe, "SHOW": (*session).doShow,
		"COPY": (*session).doCopy, "LIST": (*session).doList, "LS": (*session).doList, "REMOVE": (*session).doRemove, "RM": (*session).doRemove,
	}[toks[0].text]
}

// aborted is what a transaction says after a failed statement, where the session
// has TRANSACTION_ABORT_ON_ERROR.
var aborted = fail("000611", "25P02", "Current transaction is aborted. Commands are ignored until COMMIT or ROLLBACK.")

// execute runs one statement within the session's time limit.
func (s *session) execute(ctx context.Context, st statement) (*answer, error) {
	if limit := s.number("STATEMENT_TIMEOUT_IN_SECONDS"); limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(limit)*time.Second)
		defer cancel()
	}
	do := handler(st.toks)
	if do == nil || st.toks[0].kind == quoted || st.toks[0].kind == text {
		return nil, syntax("syntax error line 1 at position 0 unexpected '%s'.", st.toks[0].text)
	}
	if s.broken && !st.toks[0].is("COMMIT") && !st.toks[0].is("ROLLBACK") {
		return nil, aborted
	}
	a, err := do(s, ctx, st)
	if err != nil && ctx.Err() != nil {
		err = ctx.Err() // the engine only says that it was interrupted
	}
	if err != nil && s.open && strings.EqualFold(s.params["TRANSACTION_ABORT_ON_ERROR"], "true") {
		s.broken = true
	}
	return a, err
}

// prepare is the tokens as SQL for the engine, with the values of one row of binds.
func (s *session) prepare(st statement, toks []token, row int) (string, []any, error) {
	q, order := render(s.typed(st, toks))
	args, err := st.binds.args(row, order)
	return q, args, err
}

// typed is the tokens for the engine, with the types of what is bound.
func (s *session) typed(st statement, toks []token) []token {
	out := s.engine(toks)
	for i := range out {
		if out[i].kind == bind {
			out[i].text = st.binds.sql(out[i].bind)
		}
	}
	return out
}

func (s *session) doSelect(ctx context.Context, st statement) (*answer, error) {
	s.read(ctx)
	q, args, err := s.prepare(st, st.toks, 0)
	if err != nil {
		return nil, err
	}
	a, err := s.query(ctx, q, args)
	if err != nil && s.begun { // the engine gives the transaction up, the service does not
		if back := s.again(context.WithoutCancel(ctx)); back != nil {
			return nil, back
		}
	}
	return a, err
}

func (s *session) doBegin(context.Context, statement) (*answer, error) {
	if !s.open { // a second BEGIN is ignored
		s.open = true
	}
	return done(typeTCL, "Statement executed successfully."), nil
}

func (s *session) doCommit(ctx context.Context, _ statement) (*answer, error) {
	return done(typeTCL, "Statement executed successfully."), s.end(ctx, !s.broken)
}

func (s *session) doRollback(ctx context.Context, _ statement) (*answer, error) {
	return done(typeTCL, "Statement executed successfully."), s.end(ctx, false)
}

// exists asks the engine's catalog for a table or view, once until the next DDL.
func (s *session) exists(t table) bool {
	if _, known := s.srv.tables.Load(t); known {
		return true
	}
	rows, err := s.conn.QueryContext(context.Background(), "DESCRIBE "+t.String()) // a look into duckdb_tables reads all of them
	if err != nil {
		return false
	}
	rows.Close()
	s.srv.tables.Store(t, true)
	return true
}
