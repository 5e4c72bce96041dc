package salesforcetest

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// session is a token's.
type session struct {
	until time.Time
	left  int // requests; negative: any number
}

// assertionMax is how far ahead a JWT may expire. The sheet: three minutes in all
// libraries but one, which takes five.
const assertionMax = 5 * time.Minute

// NewKey makes an RSA key: PKCS #8 in PEM for the client, and its public half for
// Options.
func NewKey() (private string, public *rsa.PublicKey, err error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return "", nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", nil, err
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), &key.PublicKey, nil
}

// grantError is the body of a refused token: an object, unlike all other errors.
type grantError struct {
	Error       string `json:"error"`
	Description string `json:"error_description"`
}

func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		send(w, http.StatusBadRequest, grantError{"invalid_request", "must use HTTP POST"})
		return
	}
	if err := r.ParseForm(); err != nil || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		send(w, http.StatusBadRequest, grantError{"invalid_request", "the request is no form"})
		return
	}
	e := grantError{"unsupported_grant_type", "grant type not supported"}
	switch r.PostForm.Get("grant_type") {
	case "client_credentials":
		e = s.credentials(r)
	case "urn:ietf:params:oauth:grant-type:jwt-bearer":
		e = s.assertion(r.PostForm.Get("assertion"))
	}
	if e.Error != "" {
		send(w, http.StatusBadRequest, e)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.issued++
	token := fmt.Sprintf("00DTw0000000001!AQ.%06d.twin", s.issued)
	left := -1
	if s.o.SessionRequests > 0 {
		left = s.o.SessionRequests
	}
	now := s.o.Now()
	s.sessions[token] = &session{now.Add(s.o.SessionLife), left}
	base := s.o.InstanceURL
	if base == "" {
		base = "http://" + r.Host
	}
	send(w, http.StatusOK, map[string]string{
		"access_token": token, "instance_url": base, "id": "https://login.salesforce.com/id/00DTw0000000001AAA/" + idOf("005", 0),
		"token_type": "Bearer", "scope": "api", "issued_at": fmt.Sprint(now.UnixMilli()), "signature": "dHdpbg==",
	})
}

func (s *Server) credentials(r *http.Request) grantError {
	id, secret, basic := r.BasicAuth()
	if !basic {
		id, secret = r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	}
	switch {
	case id != s.o.ClientID:
		return grantError{"invalid_client_id", "client identifier invalid"}
	case secret != s.o.ClientSecret:
		return grantError{"invalid_client", "invalid client credentials"}
	case s.o.NotApproved:
		return grantError{"invalid_grant", "no client credentials user enabled"}
	}
	return grantError{}
}

// assertion checks a JWT: its signature, who sends it for whom, and its time.
func (s *Server) assertion(jwt string) grantError {
	head, rest, _ := strings.Cut(jwt, ".")
	body, signature, _ := strings.Cut(rest, ".")
	var h struct{ Alg string }
	var claims struct {
		Iss, Sub string
		Aud      any
		Exp      any
	}
	sum := sha256.Sum256([]byte(head + "." + body))
	sig, err := base64.RawURLEncoding.DecodeString(signature)
	if err != nil || !part(head, &h) || !part(body, &claims) || h.Alg != "RS256" || s.o.PublicKey == nil ||
		rsa.VerifyPKCS1v15(s.o.PublicKey, crypto.SHA256, sum[:], sig) != nil {
		return grantError{"invalid_grant", "invalid assertion"}
	}
	want := "https://login.salesforce.com"
	if s.o.Sandbox {
		want = "https://test.salesforce.com"
	}
	exp, isNumber := claims.Exp.(float64)
	left := time.Unix(int64(exp), 0).Sub(s.o.Now())
	switch {
	case claims.Iss != s.o.ClientID:
		return grantError{"invalid_client_id", "client identifier invalid"}
	case claims.Aud != want:
		return grantError{"invalid_grant", "audience is invalid"}
	case !isNumber || left > assertionMax:
		return grantError{"invalid_grant", "invalid assertion"}
	case left <= 0:
		return grantError{"invalid_grant", "expired authorization code"}
	case claims.Sub != s.o.Username || s.o.NotApproved:
		return grantError{"invalid_grant", "user hasn't approved this consumer"}
	}
	return grantError{}
}

func part(text string, into any) bool {
	b, err := base64.RawURLEncoding.DecodeString(text)
	return err == nil && json.Unmarshal(b, into) == nil
}

// enter lets a request of a living session in and counts it, or refuses it.
func (s *Server) enter(w http.ResponseWriter, r request) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	x := s.sessions[token]
	if x == nil || x.left == 0 || !s.o.Now().Before(x.until) {
		delete(s.sessions, token)
		fail(w, http.StatusUnauthorized, "INVALID_SESSION_ID", "Session expired or invalid")
		return false
	}
	x.left--
	over := s.used >= s.o.DailyRequests
	if !over {
		s.used++
	}
	s.usage(w, r)
	if over {
		fail(w, http.StatusForbidden, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
	}
	return !over
}

// usage says on every answer how many requests were made.
func (s *Server) usage(w http.ResponseWriter, r request) {
	if s.o.NoUsage && strings.HasPrefix(r.path, "jobs/") {
		return
	}
	text := fmt.Sprintf("api-usage=%d/%d", s.used, s.o.DailyRequests)
	if s.o.PerApp {
		text += fmt.Sprintf(";per-app-api-usage=%d/%d(appName=twin)", s.used, s.o.DailyRequests)
	}
	w.Header().Set("Sforce-Limit-Info", text)
}

func (s *Server) limits(w http.ResponseWriter, r request) {
	if r.Method != http.MethodGet {
		notAllowed(w, r)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	of := func(most, used int64) map[string]int64 {
		return map[string]int64{"Max": most, "Remaining": most - used}
	}
	send(w, http.StatusOK, map[string]any{
		"DailyApiRequests": of(s.o.DailyRequests, s.used), "DailyBulkV2QueryJobs": of(10_000, 0), "DailyBulkApiBatches": of(15_000, int64(len(s.jobs))),
	})
}
