package platform_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/platform"
)

// From Lambda to Google without a key: the function's role signs a request that
// Google's token service checks, and gets a token of the publisher's account for it.
func TestFederation(t *testing.T) {
	var subject, impersonated string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch r.URL.Path {
		case "/v1/token":
			r.ParseForm()
			subject, _ = url.QueryUnescape(r.Form.Get("subject_token"))
			json.NewEncoder(w).Encode(map[string]any{"access_token": "federated", "issued_token_type": "urn:ietf:params:oauth:token-type:access_token", "token_type": "Bearer", "expires_in": 3600})
		case "/v1/publisher:generateAccessToken":
			body, _ := io.ReadAll(r.Body)
			impersonated = r.Header.Get("Authorization") + " " + string(body)
			json.NewEncoder(w).Encode(map[string]string{"accessToken": "publisher's", "expireTime": "2099-01-01T00:00:00Z"})
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(srv.Close)
	// What Lambda has in its environment.
	t.Setenv("AWS_REGION", "eu-west-1")
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "hush")
	t.Setenv("AWS_SESSION_TOKEN", "session")
	file, err := json.Marshal(map[string]any{"type": "external_account", "universe_domain": "googleapis.com",
		"audience":           "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/aws-pool/providers/aws",
		"subject_token_type": "urn:ietf:params:aws:token-type:aws4_request", "token_url": srv.URL + "/v1/token",
		"service_account_impersonation_url": srv.URL + "/v1/publisher:generateAccessToken",
		"credential_source": map[string]string{"environment_id": "aws1",
			"regional_cred_verification_url": "https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15"}})
	if err != nil {
		t.Fatal(err)
	}
	creds, err := platform.GoogleIdentity(env.Map(map[string]string{platform.GoogleCredentials: string(file)}))
	if err != nil {
		t.Fatal(err)
	}
	token, err := creds.Token(t.Context())
	if err != nil || token.Value != "publisher's" {
		t.Fatalf("got %v, %v", token, err)
	}
	for _, part := range []string{"sts.eu-west-1.amazonaws.com", "GetCallerIdentity", "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/", "session", "x-goog-cloud-target-resource"} {
		if !strings.Contains(subject, part) {
			t.Errorf("the signed request has no %s: %s", part, subject)
		}
	}
	if strings.Contains(subject, "hush") || !strings.HasPrefix(impersonated, "Bearer federated") || !strings.Contains(impersonated, "cloud-platform") {
		t.Errorf("asked for the publisher's token with %s", impersonated)
	}
	if _, err := platform.GoogleIdentity(env.Map(map[string]string{platform.GoogleCredentials: "hush"})); !errors.Is(err, fault.Invalid) || strings.Contains(err.Error(), "hush") {
		t.Errorf("no credentials at all: %v", err)
	}
	if creds, err := platform.GoogleIdentity(env.Map(nil)); creds != nil || err != nil {
		t.Errorf("at Google: %v, %v", creds, err)
	}
}
