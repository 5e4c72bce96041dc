package snowflaketest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

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
		refuse(w, "390303", "Invalid OAuth access token.")
		return
	case strings.EqualFold(d.How, "SNOWFLAKE_JWT") && s.opts.PublicKey != nil:
		if err := verify(d.Token, s.opts.Account, s.opts.User, s.opts.PublicKey); err != nil {
			refuse(w, "390144", "JWT token is invalid: "+err.Error())
			return
		}
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
	for _, q := range s.queries {
		if q.session == one {
			q.cancel()
		}
	}
	s.mu.Unlock()
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
