package snowflake_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/millrace-data/millrace/shared/warehouse/snowflake"
)

// logins keeps what the client says of itself when it logs in.
type logins struct{ said []map[string]any }

func (l *logins) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.HasPrefix(r.URL.Path, "/session/v1/login-request") {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		var doc struct {
			Data struct {
				Environment map[string]any `json:"CLIENT_ENVIRONMENT"`
			} `json:"data"`
		}
		if err := json.Unmarshal(body, &doc); err != nil {
			return nil, err
		}
		l.said = append(l.said, doc.Data.Environment)
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	return http.DefaultTransport.RoundTrip(r)
}

// The client loads no library of its own, and does not ask metadata servers who we
// are before it logs in: it says so itself.
func TestClientMindsItsOwnBusiness(t *testing.T) {
	l := &logins{}
	w, err := snowflake.Open(t.Context(), snowflake.Options{DSN: start(t, "").DSN(), Transport: l})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if len(l.said) == 0 {
		t.Fatal("no login was seen")
	}
	said, err := json.Marshal(l.said[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"PLATFORM":["disabled"]`, `Minicore is disabled with SF_DISABLE_MINICORE`} {
		if !strings.Contains(string(said), want) {
			t.Errorf("the client does not say %s, but %s", want, said)
		}
	}
}
