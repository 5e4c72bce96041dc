package zuorarevenue

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/rest"
)

const (
	root      = "/api/integration/"
	tokenLife = 25 * time.Minute // of 30; the reference's own tokens, read 2026-08
	rateWait  = time.Minute      // after a word about rates; the vendor names no time
)

// Answers that only a Read can make sense of.
var (
	errLogin     = errors.New("the vendor refuses the login, or a token that it gave out")
	errNotCached = errors.New("the page is not there yet")
	errEmpty     = errors.New("an empty answer in the place of data")
)

// rates are the vendor's words for too many queries; the text is not documented.
var rates = regexp.MustCompile(`(?i)\brate\b|rate.?limit|too many|parallel|concurrent`)

// classify says what the vendor's answers mean.
func classify(status int, h http.Header, body []byte) error {
	switch {
	case status == http.StatusOK && len(body) == 0:
		return fault.New(fault.Transient, "%w: maintenance, a gateway, or the wrong ZUORA_REVENUE_BASE_URL", errEmpty)
	case status == http.StatusOK && body[0] == '<':
		return fault.New(fault.Transient, "a web page in the place of data: maintenance, a gateway, or the wrong ZUORA_REVENUE_BASE_URL")
	case status < 400:
		return nil
	case bytes.Contains(body, []byte("not yet cached")) || bytes.Contains(body, []byte("not cached")):
		return fault.Wrap(fault.Transient, errNotCached)
	case status == http.StatusUnauthorized:
		return fault.New(fault.Auth, "%w: check ZUORA_REVENUE_USERNAME, _PASSWORD and _ROLE", errLogin)
	case status == http.StatusForbidden:
		return fault.New(fault.Auth, "status 403: the role of ZUORA_REVENUE_ROLE may not do this: give it Webservices Inbound/Outbound in the tenant")
	case status == http.StatusMethodNotAllowed:
		return fault.New(fault.Invalid, "status 405: the API is not enabled for this tenant: ask Zuora to enable it, and give the role Webservices Inbound/Outbound")
	case status < 500 && h.Get("Retry-After") == "" && (status == http.StatusTooManyRequests || rates.Match(body)):
		return fault.LimitedUntil(time.Now().Add(rateWait), "status %d: too many queries at a time; other programs may run some", status)
	}
	return nil
}

// session is a login, renewed as needed. It belongs to one invocation.
type session struct {
	client *rest.Client
	cfg    Config
	token  string
	since  time.Time
}

// send makes a request with a token that lives. The one the vendor refuses is
// renewed once; the request, with its continuation token, stays the same.
func (s *session) send(ctx context.Context, r rest.Request) (*rest.Body, error) {
	for fresh := false; ; fresh = true {
		if s.token == "" || time.Since(s.since) > tokenLife {
			if err := s.login(ctx); err != nil {
				return nil, err
			}
		}
		if r.Header == nil {
			r.Header = http.Header{}
		}
		r.Header.Set("token", s.token)
		body, err := s.client.Send(ctx, r)
		if fresh || !errors.Is(err, errLogin) {
			return body, err
		}
		s.token = ""
	}
}

func (s *session) login(ctx context.Context) error {
	began := time.Now()
	basic := base64.StdEncoding.EncodeToString([]byte(s.cfg.Username + ":" + s.cfg.Password.Reveal()))
	body, err := s.client.Send(ctx, rest.Request{Method: http.MethodPost, Path: root + "v1/authenticate",
		Header: http.Header{"Authorization": {"Basic " + basic}, "role": {s.cfg.Role}, "clientname": {s.cfg.ClientName}}})
	if errors.Is(err, fault.Invalid) {
		return fault.New(fault.Invalid, "%w (check ZUORA_REVENUE_CLIENT_NAME and the base URL)", err)
	}
	if err != nil {
		return err
	}
	defer body.Close()
	if s.token = body.Header.Get("Revpro-Token"); s.token == "" {
		return fault.New(fault.Corrupt, "the login was taken but its answer has no header Revpro-Token: is ZUORA_REVENUE_BASE_URL the tenant's address?")
	}
	s.since = began
	return nil
}

// query is the parameters that the calls of a view share.
func (s *session) query(from, to string) url.Values {
	return url.Values{"clientId": {strconv.Itoa(s.cfg.ClientID)}, "fromDate": {from}, "toDate": {to}}
}

// count asks how many rows there are; nil where the vendor does not say in time.
// It is a soft check: but for a login that is refused, what ails the vendor shows
// with page 1.
func (s *session) count(ctx context.Context, view, from, to string) (*int64, error) {
	ctx, cancel := context.WithTimeout(ctx, countTime)
	defer cancel()
	body, err := s.send(ctx, rest.Request{Path: root + "v2/biviews/count/" + view, Query: s.query(from, to), Once: true})
	if errors.Is(err, errLogin) {
		return nil, err
	}
	if err != nil {
		return nil, nil
	}
	defer body.Close()
	var answer struct {
		Count *int64 `json:"count"`
	}
	if json.UnmarshalRead(body, &answer) != nil {
		return nil, nil
	}
	return answer.Count, nil
}

// task is a query in the list of all; what else it says differs from call to call.
type task struct {
	ID     string `json:"task_id"`
	Status string `json:"status"`
	Config struct {
		View  string `json:"object_name"`
		Range struct {
			From string `json:"fromDate"`
			To   string `json:"toDate"`
		} `json:"filter_param"`
	} `json:"query_config"`
}

// tasks are those of a list that are records; ids alone, and what is written in
// another way, are left out.
func tasks(list jsontext.Value) (out []task) {
	var all []jsontext.Value
	_ = json.Unmarshal(list, &all) // no list: no tasks
	for _, one := range all {
		var t task
		if json.Unmarshal(one, &t, jsontext.AllowDuplicateNames(true)) == nil && t.ID != "" {
			out = append(out, t)
		}
	}
	return out
}

// of reports whether a task is a query of the view and range.
func (t task) of(r *reading) bool {
	at := strings.NewReplacer("T", " ")
	return t.Config.View == r.view && at.Replace(t.Config.Range.From) == at.Replace(r.from) && at.Replace(t.Config.Range.To) == at.Replace(r.to)
}

// find is the token of a query of the view and range that lives, "" where none does.
func (s *session) find(ctx context.Context, r *reading) (string, error) {
	body, err := s.send(ctx, rest.Request{Path: root + "v2/biviews-status"})
	if err != nil || body.Size == 0 {
		return "", err
	}
	defer body.Close()
	var all struct {
		Result map[string]jsontext.Value `json:"result"`
	}
	if err := json.UnmarshalRead(body, &all, jsontext.AllowDuplicateNames(true)); err != nil {
		return "", fault.New(fault.Corrupt, "the list of queries is not readable: %w", err)
	}
	for _, state := range []string{"active", "completed"} {
		for _, t := range tasks(all.Result[state]) {
			if t.of(r) && !cancelled(t.Status) {
				return t.ID, nil
			}
		}
	}
	return "", nil
}

func cancelled(status string) bool { return strings.Contains(strings.ToLower(status), "cancel") }

// state asks after a query: active, completed, draining, stale, cancelled, or ""
// where the vendor does not know it.
func (s *session) state(ctx context.Context, id string) (string, error) {
	body, err := s.send(ctx, rest.Request{Path: root + "v2/biviews-status/" + url.PathEscape(id)})
	if errors.Is(err, fault.NotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer body.Close()
	var doc bytes.Buffer
	if _, err := doc.ReadFrom(body); err != nil {
		return "", err
	}
	return taskState(doc.Bytes(), id), nil
}

// taskState finds a task in any of the shapes that are known of the answer: lists
// of records or of ids, at the top or below result, or one word.
func taskState(doc []byte, id string) string {
	var o map[string]jsontext.Value
	if json.Unmarshal(doc, &o, jsontext.AllowDuplicateNames(true)) != nil {
		return ""
	}
	var word string
	if json.Unmarshal(o["task_state"], &word) == nil && word != "" {
		return strings.ToLower(word)
	}
	for _, state := range []string{"active", "completed", "draining", "stale"} {
		if !bytes.Contains(o[state], []byte(`"`+id+`"`)) {
			continue
		}
		for _, t := range tasks(o[state]) {
			if t.ID == id && cancelled(t.Status) {
				return "cancelled"
			}
		}
		return state
	}
	return taskState(o["result"], id)
}
