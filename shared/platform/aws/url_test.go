package aws_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/millrace-data/millrace/shared/chain"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/platform/aws"
	"github.com/millrace-data/millrace/shared/platform/nodetest"
)

// google signs tokens as Google does, and publishes its key.
type google struct {
	key *rsa.PrivateKey
	url string
}

func newGoogle(t *testing.T) *google {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.RawURLEncoding
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(dict{"keys": []dict{{"alg": "RS256", "kty": "RSA", "use": "sig", "kid": "1",
			"n": b64.EncodeToString(key.N.Bytes()), "e": b64.EncodeToString(big.NewInt(int64(key.E)).Bytes())}}})
	}))
	t.Cleanup(srv.Close)
	return &google{key, srv.URL}
}

func (g *google) token(t *testing.T, claims dict) string {
	t.Helper()
	b64 := base64.RawURLEncoding
	signed := b64.EncodeToString(document(t, dict{"alg": "RS256", "kid": "1", "typ": "JWT"})) + "." + b64.EncodeToString(document(t, claims))
	sum := sha256.Sum256([]byte(signed))
	sig, err := rsa.SignPKCS1v15(rand.Reader, g.key, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return signed + "." + b64.EncodeToString(sig)
}

// visit is a request to a function URL.
func visit(body, authorization string, iam bool) dict {
	context := dict{"http": dict{"method": "POST", "path": "/"}, "requestId": "id"}
	if iam {
		context["authorizer"] = dict{"iam": dict{"accountId": "1", "userArn": "arn:aws:iam::1:user/u"}}
	}
	return dict{"version": "2.0", "headers": map[string]string{"content-type": "application/json", "authorization": authorization}, "requestContext": context, "body": body}
}

func TestFunctionURL(t *testing.T) {
	w, g := nodetest.New(t), newGoogle(t)
	account, audience := "push@acme.iam.gserviceaccount.com", "https://x.lambda-url.us-east-1.on.aws"
	h := &aws.Handler{Options: w.Options(t, "items"), Tokens: &aws.Tokens{Audience: audience, Account: account, Keys: g.url}}
	claims := func(change dict) dict {
		c := dict{"iss": "https://accounts.google.com", "aud": audience, "email": account, "email_verified": true, "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(), "sub": "1"}
		for k, v := range change {
			c[k] = v
		}
		return c
	}
	ask := func(event dict) (int, string) {
		t.Helper()
		out, err := h.Invoke(t.Context(), document(t, event))
		if err != nil {
			t.Fatal(err)
		}
		var r struct {
			StatusCode int    `json:"statusCode"`
			Body       string `json:"body"`
		}
		if err := json.Unmarshal(out, &r); err != nil {
			t.Fatal(err)
		}
		return r.StatusCode, r.Body
	}
	tick := `{"function":"items","scheduled_time":"2025-01-05T02:00:00Z"}`
	for name, authorization := range map[string]string{
		"nothing": "", "no token": "Basic x", "no signature": "Bearer x.y.z",
		"another audience": "Bearer " + g.token(t, claims(dict{"aud": "https://other"})),
		"another account":  "Bearer " + g.token(t, claims(dict{"email": "thief@acme.iam.gserviceaccount.com"})),
		"not verified":     "Bearer " + g.token(t, claims(dict{"email_verified": false})),
		"another issuer":   "Bearer " + g.token(t, claims(dict{"iss": "https://example.com"})),
		"over":             "Bearer " + g.token(t, claims(dict{"exp": time.Now().Add(-time.Hour).Unix()})),
		"another key":      "Bearer " + newGoogle(t).token(t, claims(nil)),
	} {
		if status, body := ask(visit(tick, authorization, false)); status != http.StatusForbidden || len(w.Sent(chain.TopicSlices)) != 0 {
			t.Errorf("%s: got %d %s", name, status, body)
		}
	}
	good := "Bearer " + g.token(t, claims(nil))
	if status, body := ask(visit(tick, good, false)); status != http.StatusOK || !strings.Contains(body, "ticked") {
		t.Errorf("a token of Google's: got %d %s", status, body)
	}
	m := w.Sent(chain.TopicSlices)[0]
	push := document(t, dict{"subscription": "projects/p/subscriptions/s", "message": dict{"data": m.Data, "attributes": m.Attributes, "messageId": "1"}})
	if status, body := ask(visit(string(push), good, false)); status != http.StatusOK || !strings.Contains(body, "staged") {
		t.Errorf("a push: got %d %s", status, body)
	}
	if status, body := ask(visit(tick, "", true)); status != http.StatusOK {
		t.Errorf("a signed request: got %d %s", status, body)
	}
	if status, body := ask(visit(`{"function":"clari"}`, "", true)); status != http.StatusUnprocessableEntity {
		t.Errorf("a tick for another: got %d %s", status, body)
	}
	w.Down = fault.New(fault.Transient, "the chain is away")
	if status, body := ask(visit(`{"function":"items","tables":["items"],"from":"2025-01-01","purpose":"backfill"}`, "", true)); status != http.StatusServiceUnavailable {
		t.Errorf("while the chain is away: got %d %s", status, body)
	}
	h = &aws.Handler{Options: w.Options(t, "items")}
	if status, _ := ask(visit(tick, good, false)); status != http.StatusForbidden {
		t.Errorf("a URL that nobody set up is answered %d", status)
	}
}
