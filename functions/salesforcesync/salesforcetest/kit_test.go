package salesforcetest_test

import (
	"encoding/csv"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/millrace-data/millrace/functions/salesforcesync/salesforcetest"
)

// client speaks to a twin by plain net/http.
type client struct {
	testing.TB
	twin  *salesforcetest.Server
	base  string
	token string
	head  http.Header // of the last answer
	clock *time.Time
}

func start(t testing.TB, o salesforcetest.Options) *client {
	at := time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)
	c := &client{TB: t, clock: &at}
	if o.Now == nil {
		o.Now = func() time.Time { return *c.clock }
	}
	c.twin = salesforcetest.New(o)
	srv := httptest.NewServer(c.twin)
	t.Cleanup(srv.Close)
	c.base = srv.URL
	c.login()
	return c
}

func (c *client) login() {
	c.Helper()
	env := salesforcetest.Env(c.base)
	_, doc := c.grant(url.Values{"grant_type": {"client_credentials"}, "client_id": {env["SALESFORCE_CLIENT_ID"]}, "client_secret": {env["SALESFORCE_CLIENT_SECRET"]}})
	if c.token, _ = doc["access_token"].(string); c.token == "" || doc["instance_url"] != c.base {
		c.Fatalf("login: got %v", doc)
	}
}

func (c *client) grant(form url.Values) (int, map[string]any) {
	c.Helper()
	resp, err := http.PostForm(c.base+"/services/oauth2/token", form)
	if err != nil {
		c.Fatal(err)
	}
	defer resp.Body.Close()
	var doc map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&doc); err != nil {
		c.Fatal(err)
	}
	return resp.StatusCode, doc
}

// call sends a request below the version, or to a path that begins with /services.
func (c *client) call(method, path, body string, head ...string) (int, string) {
	c.Helper()
	status, text, err := c.try(method, path, body, head...)
	if err != nil {
		c.Fatal(err)
	}
	return status, text
}

func (c *client) try(method, path, body string, head ...string) (int, string, error) {
	if !strings.HasPrefix(path, "/services") {
		path = "/services/data/v60.0/" + path
	}
	r, err := http.NewRequest(method, c.base+path, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	r.Header.Set("Authorization", "Bearer "+c.token)
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(head); i += 2 {
		r.Header.Set(head[i], head[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	c.head = resp.Header
	return resp.StatusCode, string(text), err
}

// want sends a request whose answer must have a status, and returns its JSON.
func (c *client) want(status int, method, path, body string, head ...string) any {
	c.Helper()
	got, text := c.call(method, path, body, head...)
	if got != status {
		c.Fatalf("%s %s: got %d %s, want %d", method, path, got, text, status)
	}
	if text == "" {
		return nil
	}
	var doc any
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&doc); err != nil {
		c.Fatalf("%s %s: %v in %s", method, path, err, text)
	}
	return doc
}

// refused sends a request that must fail with a status and errorCode.
func (c *client) refused(status int, code, method, path, body string, head ...string) string {
	c.Helper()
	list, ok := c.want(status, method, path, body, head...).([]any)
	if !ok || len(list) != 1 {
		c.Fatalf("%s %s: the error is no array of one: %v", method, path, list)
	}
	e := list[0].(map[string]any)
	if e["errorCode"] != code {
		c.Errorf("%s %s: got %v, want the code %s", method, path, e, code)
	}
	return e["message"].(string)
}

func (c *client) query(soql string) map[string]any {
	c.Helper()
	return c.want(200, "GET", "query?q="+url.QueryEscape(soql), "").(map[string]any)
}

func (c *client) soqlRefused(code, soql string) string {
	c.Helper()
	return c.refused(400, code, "GET", "query?q="+url.QueryEscape(soql), "")
}

// open creates a bulk job and uploads to it.
func (c *client) open(object, op, key, data string) (id string) {
	c.Helper()
	spec, _ := json.Marshal(map[string]string{"object": object, "operation": op, "externalIdFieldName": key, "contentType": "CSV", "lineEnding": "LF", "columnDelimiter": "COMMA"})
	job := c.want(200, "POST", "jobs/ingest", string(spec)).(map[string]any)
	if job["state"] != "Open" || strings.HasPrefix(job["contentUrl"].(string), "/") {
		c.Fatalf("new job: %v", job)
	}
	id = job["id"].(string)
	if status, body := c.call("PUT", "/"+job["contentUrl"].(string), data, "Content-Type", "text/csv"); status != 201 || body != "" {
		c.Fatalf("upload: %d %q", status, body)
	}
	return id
}

// run does a bulk job to its end.
func (c *client) run(object, op, key, data string) (id string, job map[string]any) {
	c.Helper()
	id = c.open(object, op, key, data)
	c.want(200, "PATCH", "jobs/ingest/"+id, `{"state":"UploadComplete"}`)
	return id, c.wait(id)
}

func (c *client) wait(id string) (job map[string]any) {
	c.Helper()
	for range 20 {
		job = c.want(200, "GET", "jobs/ingest/"+id, "").(map[string]any)
		if s := job["state"]; s == "JobComplete" || s == "Failed" || s == "Aborted" {
			return job
		}
	}
	c.Fatalf("the job does not end: %v", job)
	return nil
}

// result reads a result file; rows by their column key.
func (c *client) result(id, what, key string) map[string]map[string]string {
	c.Helper()
	status, text := c.call("GET", "jobs/ingest/"+id+"/"+what, "")
	if status != 200 {
		c.Fatalf("%s: %d %s", what, status, text)
	}
	all, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil || len(all) == 0 {
		c.Fatalf("%s: %v in %q", what, err, text)
	}
	out := map[string]map[string]string{}
	for _, line := range all[1:] {
		row := map[string]string{}
		for i, v := range line {
			row[all[0][i]] = v
		}
		out[row[key]] = row
	}
	return out
}

func number(doc map[string]any, name string) string { return string(doc[name].(json.Number)) }
