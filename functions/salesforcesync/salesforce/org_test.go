package salesforce

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/millrace-data/millrace/shared/env"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	hush  = "hush-client-secret"
	token = "00DXX0000000001!AQcAQtoken.of.the_session"
)

// sent is a request that an org got, body and all.
type sent struct {
	Method, Path, Query, Type, Auth, Body string
}

func (s sent) String() string {
	return strings.TrimSpace(s.Method + " " + s.Path + " " + s.Query + " " + s.Body)
}

// org is a server with answers by "METHOD path": each is given in turn, the last one
// again and again.
type org struct {
	*httptest.Server
	mu      sync.Mutex
	answers map[string][]http.HandlerFunc
	got     []sent
	logins  int
}

func newOrg(t *testing.T) *org {
	t.Helper()
	o := &org{answers: map[string][]http.HandlerFunc{}}
	o.Server = httptest.NewServer(o)
	t.Cleanup(o.Close)
	o.on("POST /services/oauth2/token", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"access_token":%q,"instance_url":%q,"token_type":"Bearer","issued_at":"1"}`, token, o.URL)
	})
	o.json("GET "+v60+"/sobjects/Account/describe", 200, account)
	return o
}

const v60 = "/services/data/v60.0"

// on adds an answer.
func (o *org) on(call string, h http.HandlerFunc) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.answers[call] = append(o.answers[call], h)
}

func (o *org) json(call string, status int, body string) {
	o.on(call, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		io.WriteString(w, body)
	})
}

func (o *org) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	o.mu.Lock()
	call := r.Method + " " + r.URL.Path
	if strings.HasSuffix(r.URL.Path, "/token") {
		o.logins++
	} else {
		o.got = append(o.got, sent{r.Method, r.URL.Path, r.URL.RawQuery, r.Header.Get("Content-Type"), r.Header.Get("Authorization"), string(body)})
	}
	all := o.answers[call]
	if len(all) > 1 {
		o.answers[call] = all[1:]
	}
	o.mu.Unlock()
	if len(all) == 0 {
		http.Error(w, `[{"errorCode":"NOT_FOUND","message":"The requested resource does not exist"}]`, 404)
		return
	}
	all[0](w, r)
}

// calls are the requests so far, without describes.
func (o *org) calls() (out []sent) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, s := range o.got {
		if !strings.HasSuffix(s.Path, "/describe") {
			out = append(out, s)
		}
	}
	return out
}

func (o *org) env() map[string]string {
	return map[string]string{"SALESFORCE_LOGIN_URL": o.URL, "SALESFORCE_CLIENT_ID": "consumer", "SALESFORCE_CLIENT_SECRET": hush}
}

func (o *org) client(t *testing.T) *Client {
	t.Helper()
	return open(t, o.env())
}

func open(t *testing.T, vars map[string]string) *Client {
	t.Helper()
	c, err := Open(env.Map(vars), Options{Scratch: t.TempDir(), Poll: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

var testKey = sync.OnceValues(func() (*rsa.PrivateKey, string) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	der, _ := x509.MarshalPKCS8PrivateKey(key)
	return key, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
})

const account = `{"name":"Account","keyPrefix":"001","createable":true,"updateable":true,"deletable":true,"queryable":true,"fields":[
{"name":"Id","type":"id","length":18,"idLookup":true,"defaultedOnCreate":true},
{"name":"DW_Key__c","type":"string","length":64,"nillable":true,"createable":true,"updateable":true,"externalId":true,"unique":true},
{"name":"Exact__c","type":"string","length":64,"nillable":true,"createable":true,"updateable":true,"externalId":true,"unique":true,"caseSensitive":true},
{"name":"No__c","type":"double","precision":18,"scale":0,"nillable":true,"createable":true,"updateable":true,"externalId":true},
{"name":"Name","type":"string","length":255,"createable":true,"updateable":true},
{"name":"Score__c","type":"double","precision":5,"scale":2,"nillable":true,"createable":true,"updateable":true},
{"name":"Staff","type":"int","digits":8,"nillable":true,"createable":true,"updateable":true},
{"name":"Active__c","type":"boolean","createable":true,"updateable":true,"defaultedOnCreate":true},
{"name":"Tier__c","type":"picklist","length":255,"nillable":true,"createable":true,"updateable":true,"restrictedPicklist":true,"picklistValues":[{"value":"gold","active":true},{"value":"old","active":false},{"value":"tin","active":true}]},
{"name":"Tags__c","type":"multipicklist","length":4099,"nillable":true,"createable":true,"updateable":true,"picklistValues":[{"value":"a","active":true}]},
{"name":"OwnerId","type":"reference","length":18,"createable":true,"updateable":true,"defaultedOnCreate":true,"referenceTo":["User","Group"]},
{"name":"Since__c","type":"date","nillable":true,"createable":true,"updateable":true},
{"name":"Seen__c","type":"datetime","nillable":true,"createable":true,"updateable":true},
{"name":"Opens__c","type":"time","nillable":true,"createable":true,"updateable":true},
{"name":"Rank__c","type":"double","precision":18,"nillable":true,"createable":true,"updateable":true,"calculated":true},
{"name":"No","type":"string","createable":true,"updateable":true,"autoNumber":true},
{"name":"BillingAddress","type":"address","nillable":true,"createable":true}
]}`
