package snowflaketest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// query is a statement that was sent: its answer is kept, for a request that is
// sent again and for those who ask by its id.
type query struct {
	id       string
	request  string // id that the client gave
	sql      string
	session  *session
	cancel   context.CancelFunc
	began    time.Time
	done     chan struct{}
	describe bool    // only the columns are asked for
	answer   *answer // once done
	err      *failure
	fault    *Fault // what befalls the answer on its way
}

// request is POST /queries/v1/query-request.
func (s *Server) request(w http.ResponseWriter, r *http.Request, one *session) {
	var body struct {
		SQL      string             `json:"sqlText"`
		Async    bool               `json:"asyncExec"`
		Describe bool               `json:"describeOnly"`
		Params   map[string]any     `json:"parameters"`
		Binds    map[string]binding `json:"bindings"`
		Stage    string             `json:"bindStage"`
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	id := r.URL.Query().Get("requestId")
	s.mu.Lock()
	q := s.requests[id]
	s.mu.Unlock()
	if q == nil {
		fault := s.strike(body.SQL)
		if fault != nil && s.befallBefore(w, r, one, fault) {
			return
		}
		q = s.start(one, id, body.SQL)
		count := 1
		if n, ok := body.Params["MULTI_STATEMENT_COUNT"]; ok {
			count, _ = strconv.Atoi(fmt.Sprint(n))
		}
		ctx, cancel := context.WithCancel(s.base)
		s.mu.Lock()
		q.cancel, q.fault = cancel, fault
		s.mu.Unlock()
		q.describe = body.Describe
		go s.run(ctx, q, body.Binds, body.Stage, count)
	} else if fault := s.strike(body.SQL); fault != nil { // an answer can be lost again
		s.mu.Lock()
		q.fault = fault
		s.mu.Unlock()
	}
	if body.Async {
		s.pending(w, q, "333334")
		return
	}
	s.deliver(w, r, q)
}

// start gives a statement its id and notes it.
func (s *Server) start(one *session, request, sql string) *query {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ids++
	q := &query{id: fmt.Sprintf("01b00000-0000-%04x-0000-%012x", one.id, s.ids), sql: sql, session: one, began: time.Now(), done: make(chan struct{}), cancel: func() {}}
	s.queries[q.id] = q
	if request != "" {
		s.requests[request] = q
	}
	s.forget(q, request)
	s.log = append(s.log, sql)
	return q
}

// forget lets go of the oldest answers, so that a long test does not hold them all.
func (s *Server) forget(q *query, request string) {
	const most = 500
	q.request = request
	s.order = append(s.order, q)
	if len(s.order) <= most {
		return
	}
	old := s.order[0]
	select {
	case <-old.done:
		s.order = s.order[1:]
		delete(s.queries, old.id)
		delete(s.requests, old.request)
	default: // it still runs: next time
	}
}

// run executes what was sent, in its turn.
func (s *Server) run(ctx context.Context, q *query, in map[string]binding, stage string, count int) {
	defer close(q.done)
	defer q.cancel()
	s.mu.Lock()
	fault := q.fault
	s.mu.Unlock()
	if fault != nil && fault.Delay > 0 {
		select {
		case <-time.After(fault.Delay):
		case <-ctx.Done():
		}
	}
	one := q.session
	one.mu.Lock()
	defer one.mu.Unlock()
	defer func() {
		one.last = q.id
		one.busy.Store(time.Now().UnixNano())
	}()
	if err := ctx.Err(); err != nil {
		q.err = failed(err)
		return
	}
	if fault != nil && fault.Kind == Refuse {
		q.err = fail(fault.Code, fault.State, "%s", fault.Message)
		return
	}
	if verb := firstWord(q.sql); q.describe && verb != "SELECT" && verb != "WITH" {
		q.err = syntax("this fake describes queries only, not %s.", verb)
		return
	}
	a, err := s.perform(ctx, one, q, in, stage, count)
	if err != nil {
		q.err = failed(err)
		return
	}
	if q.describe {
		a.rows = [][]*string{}
	}
	q.answer = a
}

func (s *Server) perform(ctx context.Context, one *session, q *query, in map[string]binding, stage string, count int) (*answer, error) {
	b, err := newBinds(in)
	if err != nil {
		return nil, err
	}
	if stage != "" {
		if b, err = one.stagedBinds(stage); err != nil {
			return nil, err
		}
	}
	if verb := firstWord(q.sql); verb == "PUT" || verb == "GET" {
		return one.transfer(q.sql)
	}
	all := statements(lex(q.sql))
	if len(all) == 0 {
		return nil, fail("000900", "42000", "SQL compilation error: Empty SQL statement.")
	}
	if count == 1 && len(all) == 1 {
		return one.execute(ctx, statement{q.sql, all[0], b})
	}
	if count != 0 && count != len(all) {
		return nil, fail("000008", "0A000", "Actual statement count %d did not match the desired statement count %d.", len(all), count)
	}
	return s.several(ctx, one, all)
}

// several executes statements one after the other; those before a failure stay done.
func (s *Server) several(ctx context.Context, one *session, all [][]token) (*answer, error) {
	var ids, kinds []string
	for _, toks := range all {
		text, _ := render(toks)
		child := s.start(one, "", text)
		a, err := one.execute(ctx, statement{text, toks, &binds{}})
		child.answer = a
		if err != nil {
			child.err = failed(err)
		}
		close(child.done)
		if err != nil {
			return nil, err
		}
		ids, kinds = append(ids, child.id), append(kinds, strconv.FormatInt(a.kind, 10))
	}
	a := texts(typeMulti, []string{"multiple statement execution"}, []string{"Multiple statements executed successfully."})
	a.more = map[string]any{"resultIds": strings.Join(ids, ","), "resultTypes": strings.Join(kinds, ",")}
	return a, nil
}

func firstWord(sql string) string {
	toks := lex(sql[:min(len(sql), 200)])
	if len(toks) == 0 {
		return ""
	}
	return toks[0].text
}

// deliver waits for the answer and sends it; one that takes long is "still running".
func (s *Server) deliver(w http.ResponseWriter, r *http.Request, q *query) {
	timer := time.NewTimer(s.opts.Wait)
	defer timer.Stop()
	select {
	case <-q.done:
	case <-timer.C:
		s.pending(w, q, "333333")
		return
	case <-r.Context().Done():
		return // the client went away; the statement goes on
	}
	s.mu.Lock()
	fault := q.fault
	q.fault = nil
	s.mu.Unlock()
	if fault != nil && s.befallAfter(w, q, fault) {
		return
	}
	s.send(w, q)
}

func (s *Server) pending(w http.ResponseWriter, q *query, code string) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]any{"success": true, "code": code, "message": "Query execution in progress.",
		"data": map[string]any{"queryId": q.id, "getResultUrl": "/queries/" + q.id + "/result", "queryAbortsAfterSecs": 300}})
}

func (s *Server) send(w http.ResponseWriter, q *query) {
	w.Header().Set("Content-Type", "application/json")
	if q.err != nil {
		json.NewEncoder(w).Encode(map[string]any{"success": false, "code": q.err.code, "message": q.err.message,
			"data": map[string]any{"queryId": q.id, "sqlState": q.err.state, "errorCode": q.err.code, "internalError": false}})
		return
	}
	one, a := q.session, q.answer
	data := map[string]any{"queryId": q.id, "sqlState": "00000", "statementTypeId": a.kind, "rowtype": a.cols, "rowset": a.rows,
		"total": len(a.rows), "returned": len(a.rows), "queryResultFormat": "json", "parameters": one.parameters(),
		"finalDatabaseName": decode(one.db), "finalSchemaName": decode(one.schema), "finalWarehouseName": s.opts.Warehouse, "finalRoleName": s.opts.Role}
	for k, v := range a.more {
		data[k] = v
	}
	reply(w, data)
}

// result is GET /queries/{id}/result.
func (s *Server) result(w http.ResponseWriter, r *http.Request, _ *session) {
	s.mu.Lock()
	q := s.queries[r.PathValue("id")]
	s.mu.Unlock()
	if q == nil {
		refuse(w, "000709", "Statement "+r.PathValue("id")+" not found")
		return
	}
	s.deliver(w, r, q)
}

// abort is POST /queries/v1/abort-request: the statement of a request id ends.
func (s *Server) abort(w http.ResponseWriter, r *http.Request, _ *session) {
	var body struct {
		Request string `json:"requestId"`
	}
	json.NewDecoder(r.Body).Decode(&body)
	s.mu.Lock()
	if q := s.requests[body.Request]; q != nil {
		defer q.cancel()
	}
	s.mu.Unlock()
	reply(w, map[string]any{})
}

// monitor is GET /monitoring/queries/{id}.
func (s *Server) monitor(w http.ResponseWriter, r *http.Request, _ *session) {
	s.mu.Lock()
	q := s.queries[r.PathValue("id")]
	s.mu.Unlock()
	list := []map[string]any{}
	if q != nil {
		state := map[string]any{"id": q.id, "sqlText": q.sql, "startTime": q.began.UnixMilli(), "status": "RUNNING"}
		select {
		case <-q.done:
			if state["status"] = "SUCCESS"; q.err != nil {
				state["status"], state["errorCode"], state["errorMessage"] = "FAILED_WITH_ERROR", q.err.code, q.err.message
			}
		default:
		}
		list = append(list, state)
	}
	reply(w, map[string]any{"queries": list})
}
