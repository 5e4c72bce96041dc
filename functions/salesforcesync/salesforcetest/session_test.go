package salesforcetest_test

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
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-data/millrace/functions/salesforcesync/salesforcetest"
	"github.com/millrace-data/millrace/shared/rest/resttest"
)

func TestClientCredentials(t *testing.T) {
	c := start(t, salesforcetest.Options{})
	form := func(id, secret string) url.Values {
		return url.Values{"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {secret}}
	}
	for _, x := range []struct {
		form url.Values
		want string
	}{
		{form(salesforcetest.ClientID, salesforcetest.ClientSecret), ""},
		{form(salesforcetest.ClientID, "wrong"), "invalid_client"},
		{form("wrong", salesforcetest.ClientSecret), "invalid_client_id"},
		{url.Values{"grant_type": {"password"}}, "unsupported_grant_type"},
	} {
		status, doc := c.grant(x.form)
		if x.want == "" && (status != 200 || doc["token_type"] != "Bearer" || doc["instance_url"] != c.base || doc["issued_at"] != "1770091506000") ||
			x.want != "" && (status != 400 || doc["error"] != x.want || doc["error_description"] == "") {
			t.Errorf("%v: got %d %v, want %q", x.form, status, doc, x.want)
		}
	}
	r, _ := http.NewRequest("POST", c.base+"/services/oauth2/token", strings.NewReader("grant_type=client_credentials"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(salesforcetest.ClientID, salesforcetest.ClientSecret)
	resp, err := http.DefaultClient.Do(r)
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("basic: %v %v", resp, err)
	}
	resp.Body.Close()
}

// sign makes a JWT of claims.
func sign(t *testing.T, private, head string, claims map[string]any) string {
	block, _ := pem.Decode([]byte(private))
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := json.Marshal(claims)
	text := base64.RawURLEncoding.EncodeToString([]byte(head)) + "." + base64.RawURLEncoding.EncodeToString(body)
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key.(*rsa.PrivateKey), crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func TestJWT(t *testing.T) {
	private, public, err := salesforcetest.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	other, _, err := salesforcetest.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	c := start(t, salesforcetest.Options{PublicKey: public})
	claims := func(name string, value any) map[string]any {
		out := map[string]any{"iss": salesforcetest.ClientID, "sub": salesforcetest.Username, "aud": "https://login.salesforce.com", "exp": c.clock.Add(3 * time.Minute).Unix()}
		out[name] = value
		return out
	}
	const rs256 = `{"alg":"RS256"}`
	for _, x := range []struct {
		name, assertion, want string
	}{
		{"right", sign(t, private, rs256, claims("jti", "x")), "<nil>"},
		{"another's key", sign(t, other, rs256, claims("jti", "x")), "invalid assertion"},
		{"another algorithm", sign(t, private, `{"alg":"none"}`, claims("jti", "x")), "invalid assertion"},
		{"no token", "x", "invalid assertion"},
		{"audience", sign(t, private, rs256, claims("aud", c.base)), "audience is invalid"},
		{"user", sign(t, private, rs256, claims("sub", "somebody")), "user hasn't approved this consumer"},
		{"consumer", sign(t, private, rs256, claims("iss", "somebody")), "client identifier invalid"},
		{"expired", sign(t, private, rs256, claims("exp", c.clock.Unix())), "expired authorization code"},
		{"too far ahead", sign(t, private, rs256, claims("exp", c.clock.Add(6*time.Minute).Unix())), "invalid assertion"},
		{"time as text", sign(t, private, rs256, claims("exp", fmt.Sprint(c.clock.Add(time.Minute).Unix()))), "invalid assertion"},
	} {
		status, doc := c.grant(url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {x.assertion}})
		if got := fmt.Sprint(doc["error_description"]); got != x.want || (status == 200) != (x.want == "<nil>") {
			t.Errorf("%s: got %d %v, want %s", x.name, status, doc, x.want)
		}
	}
}

func TestSessions(t *testing.T) {
	c := start(t, salesforcetest.Options{SessionRequests: 2})
	c.want(200, "GET", "limits", "")
	c.want(200, "GET", "limits", "")
	if got := c.refused(401, "INVALID_SESSION_ID", "GET", "limits", ""); got != "Session expired or invalid" {
		t.Errorf("got %s", got)
	}
	c.login()
	c.want(200, "GET", "limits", "")
	c.twin.ExpireSessions()
	c.refused(401, "INVALID_SESSION_ID", "GET", "limits", "")
	c.login()
	*c.clock = c.clock.Add(2 * time.Hour)
	c.refused(401, "INVALID_SESSION_ID", "GET", "limits", "")
	c.token = ""
	c.refused(401, "INVALID_SESSION_ID", "GET", "limits", "")
	if n := c.twin.Calls("POST", "oauth2/token"); n != 3 {
		t.Errorf("%d logins, want 3", n)
	}
}

func TestQuota(t *testing.T) {
	c := start(t, salesforcetest.Options{DailyRequests: 3})
	id := c.want(200, "POST", "jobs/ingest", `{"object":"Account","operation":"insert"}`).(map[string]any)["id"].(string)
	if got := c.head.Get("Sforce-Limit-Info"); got != "api-usage=1/3" {
		t.Errorf("got %q", got)
	}
	doc := c.want(200, "GET", "limits", "").(map[string]any)["DailyApiRequests"].(map[string]any)
	if number(doc, "Max") != "3" || number(doc, "Remaining") != "1" {
		t.Errorf("got %v", doc)
	}
	c.want(200, "GET", "jobs/ingest/"+id, "")
	c.refused(403, "REQUEST_LIMIT_EXCEEDED", "GET", "jobs/ingest/"+id, "")
	if got := c.head.Get("Sforce-Limit-Info"); got != "api-usage=3/3" {
		t.Errorf("got %q", got)
	}
	c.login() // does not count
	c.twin.SetUsage(10, 100)
	c.want(200, "GET", "limits", "")
	if c.twin.Usage() != 11 {
		t.Errorf("got %d", c.twin.Usage())
	}
	c = start(t, salesforcetest.Options{NoUsage: true, PerApp: true})
	c.want(200, "GET", "jobs/ingest", "")
	if got := c.head.Get("Sforce-Limit-Info"); got != "" {
		t.Errorf("got %q", got)
	}
	c.want(200, "GET", "limits", "")
	if got := c.head.Get("Sforce-Limit-Info"); got != "api-usage=2/100000;per-app-api-usage=2/100000(appName=twin)" {
		t.Errorf("got %q", got)
	}
}

func TestVersions(t *testing.T) {
	c := start(t, salesforcetest.Options{})
	c.token = "" // none is needed to list them
	list := c.want(200, "GET", "/services/data/", "").([]any)
	if v := list[10].(map[string]any); v["version"] != "60.0" || v["url"] != "/services/data/v60.0" {
		t.Errorf("got %v", v)
	}
	c.login()
	for _, path := range []string{"/services/data/v40.0/limits", "/services/data/v60/limits", "/services/data/60.0/limits", "/elsewhere", "nothing"} {
		c.refused(404, "NOT_FOUND", "GET", path, "")
	}
}

func TestInstanceOfItsOwn(t *testing.T) {
	twin := salesforcetest.New(salesforcetest.Options{InstanceURL: "http://mydomain.test"})
	ask := func(host string) int {
		r := httptest.NewRequest("GET", "http://"+host+"/services/data/", nil)
		w := httptest.NewRecorder()
		twin.ServeHTTP(w, r)
		return w.Code
	}
	if a, b := ask("mydomain.test"), ask("login.test"); a != 200 || b != 404 {
		t.Errorf("got %d from the instance and %d from elsewhere", a, b)
	}
}

func TestFaults(t *testing.T) {
	c := start(t, salesforcetest.Options{})
	id := c.open("Account", "insert", "", "Name\nA\n")
	c.twin.Inject(
		resttest.Fault{Method: "PATCH", Path: "jobs/ingest/" + id, Do: resttest.Lost()},
		resttest.Fault{Method: "POST", Path: "composite", Do: resttest.Refuse()},
		resttest.Fault{Method: "GET", Path: "limits", Do: resttest.Status(503, "<html>busy</html>")},
		resttest.Fault{Method: "GET", Path: "/describe", After: 1, Do: resttest.HTML()})
	if _, _, err := c.try("PATCH", "jobs/ingest/"+id, `{"state":"UploadComplete"}`); err == nil {
		t.Error("the answer was not lost")
	}
	if job := c.twin.Jobs()[0]; job.State != "UploadComplete" {
		t.Errorf("the work was not done: %+v", job)
	}
	if _, _, err := c.try("POST", "composite/sobjects", records(account(`"Name":"n"`))); err == nil || c.twin.Count("Account") != 0 {
		t.Error("the connection was not refused")
	}
	if status, _ := c.call("GET", "limits", ""); status != 503 {
		t.Errorf("got %d", status)
	}
	c.want(200, "GET", "sobjects/Account/describe", "")
	if _, body := c.call("GET", "sobjects/Account/describe", ""); !strings.HasPrefix(body, "<!DOCTYPE") || c.twin.Fired() != 4 {
		t.Errorf("got %s", body)
	}
}

// An upload that is cut is none: the job stays open, and its PUT may be repeated on
// another job.
func TestUploadThatIsCut(t *testing.T) {
	c := start(t, salesforcetest.Options{})
	id := c.want(200, "POST", "jobs/ingest", `{"object":"Account","operation":"insert"}`).(map[string]any)["id"].(string)
	c.twin.Inject(resttest.Fault{Method: "PUT", Do: resttest.CutRequest(6)}, resttest.Fault{Method: "PUT", After: 1, Do: resttest.Lost()})
	for _, want := range []int{0, 1} {
		if _, _, err := c.try("PUT", "jobs/ingest/"+id+"/batches", "Name\nA\nB\n", "Content-Type", "text/csv"); err == nil || c.twin.Jobs()[0].Uploads != want {
			t.Errorf("got %v and %d uploads, want %d", err, c.twin.Jobs()[0].Uploads, want)
		}
	}
	if job := c.want(200, "GET", "jobs/ingest/"+id, "").(map[string]any); job["state"] != "Open" {
		t.Errorf("got %v", job)
	}
}

func TestOtherPeople(t *testing.T) {
	var seen []string
	c := start(t, salesforcetest.Options{})
	id := c.twin.Insert("Account", map[string]string{"Name": "A", "DW_Key__c": "a", "Score__c": "1"})
	c.twin.OnRequest(func(method, path string) {
		if seen = append(seen, method+" "+path); strings.HasSuffix(path, "/query") {
			*c.clock = c.clock.Add(time.Minute)
			c.twin.Edit("Account", id, "Score__c", "2.50")
		}
	})
	rec := c.query("SELECT Score__c, LastModifiedDate, LastModifiedById, CreatedDate FROM Account")["records"].([]any)[0].(map[string]any)
	if number(rec, "Score__c") != "2.5" || rec["LastModifiedDate"] != "2026-02-03T04:06:06.000+0000" || rec["CreatedDate"] != "2026-02-03T04:05:06.000+0000" {
		t.Errorf("got %v", rec)
	}
	c.twin.Edit("Account", id, "Score__c", "")
	c.twin.Delete("Account", id)
	out := c.twin.Outside()
	if len(out) != 4 || out[1].Fields["Score__c"] != "2.5" || !slices.Equal(out[2].Blanked, []string{"Score__c"}) || out[3].Kind != "delete" || out[0].Via != "outside" || out[0].Key != "a" {
		t.Errorf("got %+v", out)
	}
	if len(c.twin.Writes()) != 0 || len(c.twin.Records("Account")) != 0 || c.twin.Get("Account", "DW_Key__c", "a") != nil || len(seen) != 1 {
		t.Error("the record is still there, or counts as written by the API")
	}
}

// A client that is killed, or does not read its answer, does not stop the others.
func TestClientThatDoesNotRead(t *testing.T) {
	c := start(t, salesforcetest.Options{Polls: -1, BulkPage: 100_000})
	c.twin.Seed("Account", []string{"Name"}, 100_000, func(i int, values []string) { values[0] = strings.Repeat("n", 200) })
	job := c.want(200, "POST", "jobs/query", `{"operation":"query","query":"SELECT Name FROM Account"}`).(map[string]any)
	path := c.base + "/services/data/v60.0/jobs/query/" + job["id"].(string)
	c.want(200, "GET", "jobs/query/"+job["id"].(string), "")
	r, _ := http.NewRequest("GET", path+"/results", nil)
	r.Header.Set("Authorization", "Bearer "+c.token)
	resp, err := http.DefaultClient.Do(r)
	if err != nil || resp.StatusCode != 200 {
		t.Fatal(resp, err)
	}
	defer resp.Body.Close() // 20 MB that nobody reads
	c.want(200, "GET", "limits", "")
}
