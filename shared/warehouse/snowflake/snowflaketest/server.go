// Package snowflaketest is a stand-in for Snowflake: an HTTP server that speaks
// the wire protocol of gosnowflake, with DuckDB in memory behind it.
//
// What Millrace's promises rest on is done as the service does it: sessions and
// transactions, table locks that block and time out, DDL that commits what is
// open, a failed statement that leaves the transaction open, MERGE that rejects
// duplicate source rows, upper-case folding of unquoted names, files put to stages
// and COPY with load history, a request sent again that gets the first answer.
// [Server.Inject] makes it fail where the real one may.
//
// Known differences from the real service:
//
//   - SQL: what DuckDB understands after a rewrite of types, functions, casts and
//     names; the rest is a syntax error. More passes than Snowflake would take
//     (correlated subqueries, for one), and messages differ.
//   - TIMESTAMP has microseconds, not nanoseconds; TIMESTAMP_TZ forgets its offset;
//     division gives a double; an unnamed result column is named by DuckDB.
//   - A transaction sees what others commit until its first write, and anew when it
//     waited for a lock or met another writer; then what it had written is done
//     again. Between those it reads a snapshot, where Snowflake reads what is
//     committed at each statement.
//   - Temporary tables are known by their last name: two of one name in different
//     schemas are one.
//   - Users, roles, warehouses and grants are not checked beyond the login; key
//     pairs and tokens are taken as they are.
//   - A database is created by [Options] or CREATE DATABASE, and one transaction
//     writes to one database.
//   - Limits of size, concurrency and cost do not exist; nothing is cached.
package snowflaketest

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/snowflakedb/gosnowflake/v2"
)

const serverVersion = "9.0.0"

// Options are what the stand-in holds at first, and what it takes as a login.
type Options struct {
	Account   string // "" = "test"
	User      string // "" = "MILLRACE"
	Password  string // "" = any
	Database  string // as the catalog spells it; "" = "RAW"
	Schema    string // "" = "PUBLIC"
	Warehouse string // "" = "LOAD_WH"
	Role      string // "" = "LOADER"

	// Dir is where staged files are kept; "" = a temporary folder that Close removes.
	Dir string
	// External maps the URL of external stages (gcs://bucket/, s3://bucket/) to a
	// local folder or an HTTP URL that answers GET by key. The longest prefix wins.
	External map[string]string
	// LockTimeout is the first LOCK_TIMEOUT of a session; 0 = the service's 12 h.
	LockTimeout time.Duration
	// Wait is how long a statement runs before its answer is "still running" and
	// the driver asks again; 0 = the service's 45 s.
	Wait time.Duration
}

// Server is the stand-in. It is an http.Handler; [Start] serves it on loopback.
type Server struct {
	opts    Options
	engine  *sql.DB
	locks   *locks
	stages  *stages
	history *history
	commits atomic.Int64
	tables  sync.Map // that are known to exist
	mux     *http.ServeMux
	ownDir  bool

	mu       sync.Mutex
	sessions map[string]*session // by session token
	masters  map[string]*session // by master token
	expired  map[string]bool     // session tokens to be renewed
	queries  map[string]*query   // by query id
	requests map[string]*query   // by request id
	faults   []*Fault
	log      []string
	ids      int64

	base   context.Context // of all statements: they outlive a client that goes away
	stop   context.CancelFunc
	server *http.Server
	addr   *net.TCPAddr
}

// New makes a stand-in that serves nothing yet. It panics where the engine does not
// start: there is nothing to test then.
func New(o Options) *Server {
	for _, d := range []struct {
		v   *string
		def string
	}{{&o.Account, "test"}, {&o.User, "MILLRACE"}, {&o.Database, "RAW"}, {&o.Schema, "PUBLIC"}, {&o.Warehouse, "LOAD_WH"}, {&o.Role, "LOADER"}} {
		if *d.v == "" {
			*d.v = d.def
		}
	}
	if o.LockTimeout == 0 {
		o.LockTimeout = 12 * time.Hour
	}
	if o.Wait == 0 {
		o.Wait = 45 * time.Second
	}
	s := &Server{opts: o, locks: newLocks(), history: newHistory(), sessions: map[string]*session{}, masters: map[string]*session{},
		expired: map[string]bool{}, queries: map[string]*query{}, requests: map[string]*query{}}
	s.base, s.stop = context.WithCancel(context.Background())
	if err := s.open(); err != nil {
		panic("snowflaketest: " + err.Error())
	}
	s.routes()
	return s
}

func (s *Server) open() (err error) {
	if s.opts.Dir == "" {
		s.ownDir = true
		if s.opts.Dir, err = os.MkdirTemp("", "snowflaketest-"); err != nil {
			return err
		}
	}
	s.stages = newStages(s.opts.Dir, s.opts.External)
	if s.engine, err = openEngine(); err != nil {
		return err
	}
	if err := s.createDatabase(s.base, encode(s.opts.Database), false); err != nil {
		return err
	}
	_, err = s.engine.ExecContext(s.base, "CREATE SCHEMA IF NOT EXISTS "+quote(encode(s.opts.Database))+"."+quote(encode(s.opts.Schema)))
	return err
}

func (s *Server) createDatabase(ctx context.Context, name string, ifNot bool) error {
	q := "ATTACH ':memory:' AS " + quote(name)
	if ifNot {
		q = "ATTACH IF NOT EXISTS ':memory:' AS " + quote(name)
	}
	if _, err := s.engine.ExecContext(ctx, q); err != nil {
		return err
	}
	_, err := s.engine.ExecContext(ctx, "CREATE SCHEMA IF NOT EXISTS "+quote(name)+`."PUBLIC"`)
	return err
}

// Start serves a new stand-in on a free port of loopback.
func Start(o Options) *Server {
	s := New(o)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic("snowflaketest: " + err.Error())
	}
	s.addr = l.Addr().(*net.TCPAddr)
	s.server = &http.Server{Handler: s, ReadHeaderTimeout: time.Minute}
	go s.server.Serve(l)
	return s
}

// Close stops statements and serving, and removes what was staged.
func (s *Server) Close() {
	s.stop()
	if s.server != nil {
		s.server.Close()
	}
	s.mu.Lock()
	open := make([]*session, 0, len(s.masters))
	for _, one := range s.masters {
		open = append(open, one)
	}
	s.mu.Unlock()
	for _, one := range open {
		one.close()
	}
	s.engine.Close()
	if s.ownDir {
		os.RemoveAll(s.opts.Dir)
	}
}

// Config is how gosnowflake connects to a started stand-in. Retries are few: each
// waits a second or more.
func (s *Server) Config() *gosnowflake.Config {
	password := s.opts.Password
	if password == "" {
		password = "any"
	}
	return &gosnowflake.Config{
		Account: s.opts.Account, User: s.opts.User, Password: password, Database: s.opts.Database, Schema: s.opts.Schema,
		Warehouse: s.opts.Warehouse, Role: s.opts.Role, Protocol: "http", Host: "127.0.0.1", Port: s.addr.Port,
		LoginTimeout: 20 * time.Second, RequestTimeout: 0, ClientTimeout: 2 * time.Minute, MaxRetryCount: 2,
		DisableOCSPChecks: true,
	}
}

// DSN is [Server.Config] as a data source name.
func (s *Server) DSN() string {
	dsn, err := gosnowflake.DSN(s.Config())
	if err != nil {
		panic("snowflaketest: " + err.Error())
	}
	return dsn
}

// URL is where a started stand-in answers.
func (s *Server) URL() string { return "http://" + s.addr.String() }

// Statements is every statement that was executed, in order, as it was sent.
func (s *Server) Statements() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.log...)
}

// ServeHTTP answers the driver's requests.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

func (s *Server) routes() {
	s.mux = http.NewServeMux()
	s.mux.HandleFunc("POST /session/v1/login-request", s.login)
	s.mux.HandleFunc("POST /session/token-request", s.renew)
	s.mux.HandleFunc("POST /session", s.logout)
	s.mux.HandleFunc("/session/heartbeat", s.withSession(func(w http.ResponseWriter, _ *http.Request, _ *session) { reply(w, map[string]any{}) }))
	s.mux.HandleFunc("POST /queries/v1/query-request", s.withSession(s.request))
	s.mux.HandleFunc("POST /queries/v1/abort-request", s.withSession(s.abort))
	s.mux.HandleFunc("GET /queries/{id}/result", s.withSession(s.result))
	s.mux.HandleFunc("GET /monitoring/queries/{id}", s.withSession(s.monitor))
	s.mux.HandleFunc("/telemetry/", func(w http.ResponseWriter, _ *http.Request) { reply(w, map[string]any{}) })
	s.mux.HandleFunc("/stage/", s.stages.serve)
}

func reply(w http.ResponseWriter, data any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]any{"success": true, "code": nil, "message": nil, "data": data})
}

func refuse(w http.ResponseWriter, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]any{"success": false, "code": code, "message": message, "data": map[string]any{}})
}

// login starts a session.
func (s *Server) login(w http.ResponseWriter, r *http.Request) {
	if s.struck(w, r.URL.Path) {
		return
	}
	var body struct {
		Data struct {
			Login    string         `json:"LOGIN_NAME"`
			Password string         `json:"PASSWORD"`
			Account  string         `json:"ACCOUNT_NAME"`
			How      string         `json:"AUTHENTICATOR"`
			Token    string         `json:"TOKEN"`
			Params   map[string]any `json:"SESSION_PARAMETERS"`
		} `json:"data"`
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	d := body.Data
	switch {
	case d.How == "" || strings.EqualFold(d.How, "SNOWFLAKE"):
		if !strings.EqualFold(d.Login, s.opts.User) || s.opts.Password != "" && d.Password != s.opts.Password {
			refuse(w, "390100", "Incorrect username or password was specified.")
			return
		}
	case d.Token == "":
		refuse(w, "390144", "JWT token is invalid.")
		return
	}
	one, err := s.newSession(r.URL.Query().Get("databaseName"), r.URL.Query().Get("schemaName"), d.Params)
	if err != nil {
		refuse(w, "390201", failed(err).message)
		return
	}
	token, master := s.admit(one)
	reply(w, map[string]any{"token": token, "masterToken": master, "validityInSeconds": 3600, "masterValidityInSeconds": 14400,
		"sessionId": one.id, "displayUserName": s.opts.User, "serverVersion": serverVersion, "parameters": one.parameters(),
		"sessionInfo": map[string]any{"databaseName": decode(one.db), "schemaName": decode(one.schema), "warehouseName": s.opts.Warehouse, "roleName": s.opts.Role}})
}

// newSession opens the engine's connection of a session.
func (s *Server) newSession(db, schema string, params map[string]any) (*session, error) {
	conn, err := s.engine.Conn(s.base)
	if err != nil {
		return nil, err
	}
	one := &session{srv: s, conn: conn, temps: map[table]bool{}, stages: map[table]stage{}, params: map[string]string{
		"LOCK_TIMEOUT": strconv.Itoa(int(s.opts.LockTimeout / time.Second)), "STATEMENT_TIMEOUT_IN_SECONDS": "172800",
		"CLIENT_STAGE_ARRAY_BINDING_THRESHOLD": "65280", "AUTOCOMMIT": "true", "TIMEZONE": "UTC", "QUERY_TAG": "",
	}}
	for k, v := range params {
		if err := one.set(k, fmt.Sprint(v)); err != nil {
			conn.Close()
			return nil, err
		}
	}
	if db == "" {
		db = s.opts.Database
	}
	if err := one.use(s.base, encode(db), encode(schema)); err != nil {
		conn.Close()
		return nil, err
	}
	return one, nil
}

func (s *session) parameters() []map[string]any {
	threshold, _ := strconv.Atoi(s.params["CLIENT_STAGE_ARRAY_BINDING_THRESHOLD"])
	return []map[string]any{{"name": "CLIENT_STAGE_ARRAY_BINDING_THRESHOLD", "value": threshold},
		{"name": "AUTOCOMMIT", "value": true}, {"name": "TIMEZONE", "value": s.params["TIMEZONE"]}}
}

// admit gives a session its tokens.
func (s *Server) admit(one *session) (token, master string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ids++
	one.id = s.ids
	token, master = fmt.Sprintf("session-%d", s.ids), fmt.Sprintf("master-%d", s.ids)
	s.sessions[token], s.masters[master] = one, one
	return token, master
}

func tokenOf(r *http.Request) string {
	return strings.TrimSuffix(strings.TrimPrefix(r.Header.Get("Authorization"), `Snowflake Token="`), `"`)
}

// renew gives a session whose token expired a new one.
func (s *Server) renew(w http.ResponseWriter, r *http.Request) {
	if s.struck(w, r.URL.Path) {
		return
	}
	var body struct {
		Old string `json:"oldSessionToken"`
	}
	json.NewDecoder(r.Body).Decode(&body)
	s.mu.Lock()
	defer s.mu.Unlock()
	master := tokenOf(r)
	one := s.masters[master]
	if one == nil {
		refuse(w, "390114", "Authentication token has expired. The user must authenticate again.")
		return
	}
	delete(s.sessions, body.Old)
	delete(s.expired, body.Old)
	s.ids++
	token := fmt.Sprintf("session-%d", s.ids)
	s.sessions[token] = one
	reply(w, map[string]any{"sessionToken": token, "validityInSecondsST": 3600, "masterToken": master, "validityInSecondsMT": 14400, "sessionId": one.id})
}

// logout ends a session; its open transaction is rolled back.
func (s *Server) logout(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	one := s.sessions[tokenOf(r)]
	s.mu.Unlock()
	if one != nil {
		s.end(one)
	}
	reply(w, map[string]any{})
}

// end forgets a session and closes it.
func (s *Server) end(one *session) {
	s.mu.Lock()
	for _, by := range []map[string]*session{s.sessions, s.masters} {
		for token, x := range by {
			if x == one {
				delete(by, token)
			}
		}
	}
	var running []*query
	for _, q := range s.queries {
		if q.session == one {
			running = append(running, q)
		}
	}
	s.mu.Unlock()
	for _, q := range running {
		q.cancel()
	}
	one.close()
}

// withSession finds the session of a request, or says why there is none.
func (s *Server) withSession(do func(http.ResponseWriter, *http.Request, *session)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		token := tokenOf(r)
		s.mu.Lock()
		one, expired := s.sessions[token], s.expired[token]
		s.mu.Unlock()
		switch {
		case one == nil:
			refuse(w, "390111", "Session no longer exists. New login required to access the service.")
		case expired:
			refuse(w, "390112", "Session token has expired. Please renew it.")
		default:
			do(w, r, one)
		}
	}
}
