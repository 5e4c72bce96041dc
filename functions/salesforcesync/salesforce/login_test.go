package salesforce

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/reverse"
)

func (o *org) countable() {
	o.json("GET "+v60+"/query", 200, `{"totalSize":7,"done":true,"records":[]}`)
}

func TestAssertion(t *testing.T) {
	o := newOrg(t)
	o.countable()
	key, pem := testKey()
	var form url.Values
	o.answers["POST /services/oauth2/token"] = nil
	o.on("POST /services/oauth2/token", func(w http.ResponseWriter, r *http.Request) {
		r.ParseForm()
		form = r.PostForm
		fmt.Fprintf(w, `{"access_token":%q,"instance_url":"%s/"}`, token, o.URL)
	})
	at := time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)
	c, err := Open(env.Map(map[string]string{"SALESFORCE_LOGIN_URL": o.URL, "SALESFORCE_CLIENT_ID": "consumer",
		"SALESFORCE_USERNAME": "u@x", "SALESFORCE_PRIVATE_KEY": pem}), Options{Now: func() time.Time { return at }})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if n, err := c.Count(t.Context(), "Account"); n != 7 || err != nil {
		t.Fatalf("got %d, %v", n, err)
	}
	claims := jwt.MapClaims{}
	_, err = jwt.NewParser(jwt.WithValidMethods([]string{"RS256"}), jwt.WithoutClaimsValidation()).
		ParseWithClaims(form.Get("assertion"), claims, func(*jwt.Token) (any, error) { return &key.PublicKey, nil })
	if err != nil || form.Get("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" || len(form) != 2 {
		t.Fatalf("form %v: %v", form, err)
	}
	want := jwt.MapClaims{"iss": "consumer", "sub": "u@x", "aud": "https://login.salesforce.com", "exp": float64(at.Unix() + 180)}
	if fmt.Sprint(claims) != fmt.Sprint(want) {
		t.Errorf("got claims %v, want %v", claims, want)
	}
	if got := o.calls()[0]; got.Auth != "Bearer "+token || got.Query != "q=SELECT+COUNT%28%29+FROM+Account" {
		t.Errorf("got %+v", got)
	}
}

func TestClientCredentials(t *testing.T) {
	o := newOrg(t)
	o.countable()
	var form url.Values
	o.answers["POST /services/oauth2/token"] = nil
	o.on("POST /services/oauth2/token", func(w http.ResponseWriter, r *http.Request) {
		r.ParseForm()
		form = r.PostForm
		fmt.Fprintf(w, `{"access_token":%q,"instance_url":%q}`, token, o.URL)
	})
	if _, err := o.client(t).Count(t.Context(), "Account"); err != nil {
		t.Fatal(err)
	}
	if got, want := form.Encode(), "client_id=consumer&client_secret="+hush+"&grant_type=client_credentials"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestOneLoginForAll(t *testing.T) {
	o := newOrg(t)
	o.countable()
	c := o.client(t)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if _, err := c.Count(t.Context(), "Account"); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if o.logins != 1 {
		t.Errorf("%d logins", o.logins)
	}
}

func TestWaitingForALoginEnds(t *testing.T) {
	o := newOrg(t)
	c := o.client(t)
	c.turn <- struct{}{} // somebody logs in
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Count(ctx, "Account"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

const expired = `[{"message":"Session expired or invalid","errorCode":"INVALID_SESSION_ID"}]`

func TestSessionIsRenewedOnce(t *testing.T) {
	o := newOrg(t)
	items := `[{"id":"001000000000001AAA","success":true,"created":true,"errors":[]}]`
	call := "PATCH " + v60 + "/composite/sobjects/Account/DW_Key__c"
	o.json(call, 401, expired)
	o.json(call, 200, items)
	o.json(call, 401, expired)
	c := o.client(t)
	rows := []reverse.Row{{Key: "k", Values: []reverse.Value{{}}}}
	if _, err := c.Write(t.Context(), upsert, rows); err != nil || o.logins != 2 {
		t.Fatalf("got %v after %d logins", err, o.logins)
	}
	if got := o.calls(); len(got) != 2 || got[0] != got[1] || !strings.Contains(got[0].Body, `"DW_Key__c":"k"`) {
		t.Errorf("got %v", got)
	}
	_, err := c.Write(t.Context(), upsert, rows)
	if !errors.Is(err, fault.Auth) || o.logins != 3 || len(o.calls()) != 4 {
		t.Errorf("got %v after %d logins, %d calls", err, o.logins, len(o.calls()))
	}
}

func TestOldSessionIsRenewedBefore(t *testing.T) {
	o := newOrg(t)
	o.countable()
	c := o.client(t)
	at := time.Now()
	c.opts.Now = func() time.Time { return at }
	for range 2 {
		if _, err := c.Count(t.Context(), "Account"); err != nil {
			t.Fatal(err)
		}
		at = at.Add(tokenLife)
	}
	if o.logins != 2 {
		t.Errorf("%d logins", o.logins)
	}
}

func TestLoginRefused(t *testing.T) {
	for _, tc := range []struct {
		name   string
		status int
		body   string
		kind   error
		want   string
	}{
		{"not approved", 400, `{"error":"invalid_grant","error_description":"user hasn't approved this consumer"}`, fault.Auth, "pre-authorise"},
		{"audience", 400, `{"error":"invalid_grant","error_description":"audience is invalid"}`, fault.Auth, "SALESFORCE_AUDIENCE"},
		{"secrets echoed", 400, `{"error":"invalid_client","error_description":"` + hush + ` and eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJjIn0.c2lnbmF0dXJl are wrong"}`, fault.Auth, "*** and *** are wrong"},
		{"web page", 403, "<html>hello " + hush, fault.Auth, "without a reason"},
		{"quota", 403, `[{"message":"TotalRequests Limit exceeded.","errorCode":"REQUEST_LIMIT_EXCEEDED"}]`, fault.Limited, "TotalRequests"},
		{"not there", 404, "", fault.Invalid, "LOGIN_URL"},
		{"no token", 200, `{"instance_url":"https://x"}`, fault.Corrupt, "no access_token"},
		{"no JSON", 200, `<html>`, fault.Corrupt, "no access_token"},
		{"plain http", 200, `{"access_token":"` + token + `","instance_url":"http://acme.my.salesforce.com"}`, fault.Corrupt, "plain http"},
		{"ftp", 200, `{"access_token":"` + token + `","instance_url":"ftp://acme.my.salesforce.com"}`, fault.Corrupt, "instance_url"},
		{"none", 200, `{"access_token":"` + token + `"}`, fault.Corrupt, "instance_url"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := newOrg(t)
			o.answers["POST /services/oauth2/token"] = nil
			o.json("POST /services/oauth2/token", tc.status, tc.body)
			_, err := o.client(t).Count(t.Context(), "Account")
			if !errors.Is(err, tc.kind) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %v with %q", err, tc.kind, tc.want)
			}
			if strings.Contains(err.Error(), hush) || strings.Contains(err.Error(), token) || strings.Contains(err.Error(), "eyJ") {
				t.Errorf("a secret in %q", err)
			}
			if len(o.calls()) != 0 {
				t.Errorf("got %v", o.calls())
			}
		})
	}
}

func TestInstanceIsNoLessProtectedThanLogin(t *testing.T) {
	c := open(t, map[string]string{"SALESFORCE_LOGIN_URL": "https://acme.my.salesforce.com", "SALESFORCE_CLIENT_ID": "c", "SALESFORCE_CLIENT_SECRET": hush})
	if _, err := c.at("http://127.0.0.1:1", token, time.Now()); !errors.Is(err, fault.Corrupt) {
		t.Errorf("got %v", err)
	}
}

// TestRedirectsAreNotFollowed holds for every kind of request, and for a redirect that
// would send the body on.
func TestRedirectsAreNotFollowed(t *testing.T) {
	strangers := 0
	stranger := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		strangers++
		io.Copy(io.Discard, r.Body)
	}))
	defer stranger.Close()
	for _, status := range []int{301, 302, 307, 308} {
		o := newOrg(t)
		away := func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, stranger.URL+"/x", status) }
		for _, call := range []string{"GET " + v60 + "/query", "PATCH " + v60 + "/composite/sobjects/Account/DW_Key__c", "PUT " + v60 + "/jobs/ingest/750/batches"} {
			o.on(call, away)
		}
		c := o.client(t)
		_, err1 := c.Count(t.Context(), "Account")
		_, err2 := c.Write(t.Context(), upsert, []reverse.Row{{Key: "k", Values: []reverse.Value{{}}}})
		err3 := c.Upload(t.Context(), "750", upsert, rowsOf(reverse.Row{Key: "k", Values: []reverse.Value{{}}}))
		o.answers["POST /services/oauth2/token"] = []http.HandlerFunc{away}
		c.drop(c.living())
		_, err4 := c.Count(t.Context(), "Account")
		for _, err := range []error{err1, err2, err3, err4} {
			if !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "redirect") {
				t.Errorf("%d: got %v", status, err)
			}
		}
	}
	if strangers != 0 {
		t.Errorf("%d requests went to another host", strangers)
	}
}
