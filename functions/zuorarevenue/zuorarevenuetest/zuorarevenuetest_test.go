package zuorarevenuetest_test

import (
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-data/millrace/functions/zuorarevenue/zuorarevenuetest"
	"github.com/millrace-data/millrace/shared/record"
)

const view = "BI3_RC_HOLD"

// client speaks to a twin without a network.
type client struct {
	testing.TB
	twin  http.Handler
	login string
}

// clock is the vendor's.
type clock struct{ now time.Time }

func start(t *testing.T, o zuorarevenuetest.Options) (*client, *zuorarevenuetest.Server, *clock) {
	at := &clock{time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)}
	o.Now = func() time.Time { return at.now }
	twin := zuorarevenuetest.New(o)
	c := &client{TB: t, twin: twin}
	c.authenticate()
	return c, twin, at
}

func (c *client) authenticate() {
	c.Helper()
	r := httptest.NewRequest(http.MethodPost, "/api/integration/v1/authenticate", nil)
	r.SetBasicAuth(zuorarevenuetest.Username, zuorarevenuetest.Password)
	r.Header.Set("role", zuorarevenuetest.Role)
	r.Header.Set("clientname", zuorarevenuetest.ClientName)
	w := httptest.NewRecorder()
	c.twin.ServeHTTP(w, r)
	if c.login = w.Header().Get("Revpro-Token"); w.Code != http.StatusOK || c.login == "" {
		c.Fatalf("login: status %d, token %q", w.Code, c.login)
	}
}

func (c *client) get(path, query string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, "/api/integration/v2/"+path, nil)
	r.Header.Set("token", c.login)
	if query != "" {
		r.Header.Set("continuation-token", query)
	}
	w := httptest.NewRecorder()
	c.twin.ServeHTTP(w, r)
	return w
}

// page asks for a page of ten rows as csv.
func (c *client) page(number, query string) *httptest.ResponseRecorder {
	return c.get("biviews/"+view+"?clientId=1&fromDate=2016-07-26T00:00:00&toDate=2030-01-01T00:00:00&outputType=csv&pageSize=10&pagenum="+number, query)
}

func (c *client) records(body io.Reader) [][]string {
	c.Helper()
	all, err := csv.NewReader(body).ReadAll()
	if err != nil {
		c.Fatal(err)
	}
	return all
}

func TestPages(t *testing.T) {
	c, twin, _ := start(t, zuorarevenuetest.Options{Some: 25})
	want, header, query := twin.Rows(view), strings.ToUpper(strings.Join(twin.Columns(view), ",")), ""
	var got [][]string
	for _, number := range []string{"1", "2", "3"} {
		w := c.page(number, query)
		query = w.Header().Get("continuation-token")
		all := c.records(w.Body)
		if head := strings.Join(all[0], ","); head != header {
			t.Errorf("page %s: header %s", number, head)
		}
		got = append(got, all[1:]...)
		if number == "1" { // later pages are of the moment of the first
			twin.Edit(view, 20, map[string]string{"rc_hold_comment": "edited"})
			twin.Delete(view, 21)
			twin.Add(view, 3)
			twin.AddColumn(view, "new")
		}
	}
	for _, r := range want { // encoding/csv takes one \r off
		for i := range r {
			r[i] = strings.ReplaceAll(r[i], "\r\n", "\n")
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if w := c.page("4", query); w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), "Total pages: 3, total rows: 25") {
		t.Errorf("behind the end: %d %s", w.Code, w.Body)
	}
	if n := twin.Count(view); n != 27 || len(twin.Rows(view)) != n || !slices.Contains(twin.Columns(view), "new") {
		t.Errorf("now: %d rows, %v", n, twin.Columns(view))
	}
}

func TestTraps(t *testing.T) {
	c, _, _ := start(t, zuorarevenuetest.Options{Some: 1500})
	w := c.get("biviews/"+view+"?clientId=1&fromDate=2016-07-26T00:00:00&toDate=2030-01-01T00:00:00", "")
	z, err := gzip.NewReader(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(c.records(z)); n != 1001 || w.Header().Get("Content-Encoding") != "" {
		t.Errorf("without pageSize: %d records, want 1000 rows of gzip that nothing announces", n)
	}
	var columns []struct {
		Name string `json:"column_name"`
	}
	if err := json.Unmarshal(c.get("biviews/"+view+"/describe-columns", "").Body.Bytes(), &columns); err != nil || len(columns) < 50 || columns[0].Name != "book_id" && columns[0].Name > columns[1].Name {
		t.Errorf("describe-columns: %v, %v", columns, err)
	}
	for path, status := range map[string]int{
		"biviews/BI3_NONE?clientId=1": 400,
		"biviews/" + view:             400, // no clientId
		"biviews/" + view + "?clientId=1&fromDate=2016-07-26&toDate=2030-01-01T00:00:00":                                        400,
		"biviews/" + view + "?clientId=1&fromDate=2016-07-26T00:00:00&toDate=2030-01-01T00:00:00&pageSize=20001":                400,
		"biviews/" + view + "?clientId=1&fromDate=2016-07-26T00:00:00&toDate=2030-01-01T00:00:00&pageSize=10001&outputType=csv": 400,
		"biviews/" + view + "?clientId=1&fromDate=2010-07-26T00:00:00&toDate=2010-07-27T00:00:00&pageSize=10":                   204,
		"biviews/count/" + view + "?clientId=1": 200,
		"nothing":                               404,
	} {
		if w := c.get(path, ""); w.Code != status {
			t.Errorf("%s: status %d, want %d", path, w.Code, status)
		}
	}
}

// The life of a query, by the vendor's clock.
func TestLife(t *testing.T) {
	c, _, at := start(t, zuorarevenuetest.Options{Ahead: 1, Misses: 1, TokenLife: time.Hour})
	query := c.page("1", "").Header().Get("continuation-token")
	state := func() string {
		w := c.get("biviews-status/"+query, "")
		if w.Code == http.StatusNoContent {
			return "gone"
		}
		var doc map[string]json.RawMessage
		if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil {
			t.Fatal(err)
		}
		for _, s := range []string{"active", "completed", "draining", "stale"} {
			if strings.Contains(string(doc[s]), query) {
				return s
			}
		}
		return "nowhere"
	}
	for _, step := range []struct {
		wait time.Duration
		want string
	}{{0, "active"}, {239 * time.Second, "active"}, {time.Second, "stale"}, {299 * time.Second, "stale"}, {time.Second, "draining"}, {5 * time.Second, "gone"}} {
		at.now = at.now.Add(step.wait)
		if got := state(); got != step.want {
			t.Errorf("after %s more: %s, want %s", step.wait, got, step.want)
		}
	}
	if w := c.page("2", query); w.Code != http.StatusBadRequest {
		t.Errorf("a page of a dead query: %d", w.Code)
	}
	query = c.page("1", "").Header().Get("continuation-token")
	if w := c.page("1", ""); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "Rate limit") {
		t.Errorf("a second query of the view: %d %s", w.Code, w.Body)
	}
	if w := c.page("2", query); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), zuorarevenuetest.NotCached) {
		t.Errorf("a page that is not cached: %d %s", w.Code, w.Body)
	}
	if w := c.page("2", query); w.Code != http.StatusOK {
		t.Errorf("the same again: %d", w.Code)
	}
	all := c.get("biviews-status", "").Body.String()
	for _, says := range []string{`"result"`, `"initated_time"`, `"filter_param":{"fromDate":"2016-07-26T00:00:00"`, query, view} {
		if !strings.Contains(all, says) {
			t.Errorf("the list of queries lacks %s: %s", says, all)
		}
	}
	r := httptest.NewRequest(http.MethodDelete, "/api/integration/v2/biviews-status/"+query, nil)
	r.Header.Set("token", c.login)
	c.twin.ServeHTTP(httptest.NewRecorder(), r)
	if got := state(); got != "gone" {
		t.Errorf("cancelled: %s", got)
	}
	at.now = at.now.Add(time.Hour)
	if w := c.page("1", ""); w.Code != http.StatusUnauthorized {
		t.Errorf("with a token that expired: %d", w.Code)
	}
}

func TestDeletedSchedule(t *testing.T) {
	_, twin, _ := start(t, zuorarevenuetest.Options{})
	twin.Delete("BI3_RC_SCHD", 3)
	if n, gone := twin.Count("BI3_RC_SCHD"), twin.Rows("BI3_RC_SCHD_DEL"); n != 28 || len(gone) != 1 || gone[0][0] != "40002" {
		t.Errorf("%d schedules are left, deleted are %v; want 28, and 40002", n, gone)
	}
}

// The list of columns is what the sheet says, and no name changes in the warehouse.
func TestColumns(t *testing.T) {
	_, twin, _ := start(t, zuorarevenuetest.Options{})
	if n := len(twin.Columns("BI3_RC_LNS")); n != 336 || len(zuorarevenuetest.Views()) != 17 {
		t.Errorf("%d columns of lines, %d views", n, len(zuorarevenuetest.Views()))
	}
	for _, v := range zuorarevenuetest.Views() {
		for _, c := range twin.Columns(v) {
			if record.Snake(c) != c {
				t.Errorf("%s.%s is %s in the warehouse", v, c, record.Snake(c))
			}
		}
	}
}

// A page of 10,000 rows of 40 columns.
func BenchmarkPage(b *testing.B) {
	o := zuorarevenuetest.Options{Rows: map[string]int{"BI3_APPR_DTL": 100_000}}
	o.Columns = map[string][]string{"BI3_APPR_DTL": zuorarevenuetest.New(o).Columns("BI3_APPR_DTL")[:40]}
	twin := zuorarevenuetest.New(o)
	c := &client{TB: b, twin: twin}
	c.authenticate()
	for b.Loop() {
		if w := c.get("biviews/BI3_APPR_DTL?clientId=1&fromDate=2016-07-26T00:00:00&toDate=2030-01-01T00:00:00&pageSize=10000", ""); w.Code != http.StatusOK {
			b.Fatal(w.Code)
		}
	}
}
