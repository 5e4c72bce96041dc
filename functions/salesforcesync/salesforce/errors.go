package salesforce

import (
	"cmp"
	"errors"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace-data/millrace/shared/fault"
)

// Answers that only a caller can make sense of.
var (
	errSession = errors.New("the session has ended, or the token is refused")
	errLocator = errors.New("the query's pages have expired")
	errType    = errors.New("no such object, or the user may not see it")
)

const (
	quotaWait    = time.Hour   // the quota is of the last 24 hours, so that some of it comes back all the time
	busyWait     = time.Minute // after too many requests at a time; assumed
	messageMax   = 300         // characters of Salesforce's words in an error
	requestLimit = "REQUEST_LIMIT_EXCEEDED"
)

// kinds are the codes of errors that say more than their status; sheet of 2026-08.
var kinds = map[string]error{
	"API_DISABLED_FOR_ORG":            fault.Invalid,
	"INVALID_TYPE":                    fault.Invalid,
	"INVALID_FIELD":                   fault.Invalid,
	"INVALID_FIELD_FOR_INSERT_UPDATE": fault.Invalid,
	"MALFORMED_QUERY":                 fault.Invalid,
	"MALFORMED_ID":                    fault.Invalid,
	"INSUFFICIENT_ACCESS_OR_READONLY": fault.Invalid,
	"UNABLE_TO_LOCK_ROW":              fault.Transient,
	"SERVER_UNAVAILABLE":              fault.Transient,
	"UNKNOWN_EXCEPTION":               fault.Transient,
	"INVALID_GRANT":                   fault.Auth,
	"INVALID_AUTH_HEADER":             fault.Auth,
	"NOT_FOUND":                       fault.NotFound,
	"ENTITY_IS_DELETED":               fault.NotFound,
}

// again are the codes of rows that another try may cure.
var again = map[string]bool{"UNABLE_TO_LOCK_ROW": true, "SERVER_UNAVAILABLE": true, "UNKNOWN_EXCEPTION": true}

// hints say what to do about an error, by a piece of its text.
var hints = []struct{ piece, hint string }{
	{"No such column", "or the user has no field-level security for it"},
	{"API_DISABLED_FOR_ORG", "the org's edition has no API, or the user's profile lacks API Enabled"},
	{"audience is invalid", "set SALESFORCE_AUDIENCE to https://login.salesforce.com, or https://test.salesforce.com for a sandbox"},
	{"hasn't approved this consumer", "pre-authorise the app for the profile or a permission set of SALESFORCE_USERNAME"},
	{"invalid_client", "check SALESFORCE_CLIENT_ID, SALESFORCE_CLIENT_SECRET and that the app allows this flow"},
	{"invalid_grant", "check SALESFORCE_CLIENT_ID, SALESFORCE_USERNAME, the app's certificate and this machine's clock"},
}

// problem is one error of Salesforce, from any of its forms.
type problem struct {
	Code, Message string
	Fields        []string
}

// problems reads the body of an error: an array or an object of errors, or that of a
// login. Whatever else it is, such as a web page, gives none.
func problems(body []byte) []problem {
	var list []jsontext.Value
	if json.Unmarshal(body, &list) != nil {
		list = []jsontext.Value{body}
	}
	var out []problem
	for _, one := range list {
		var p struct {
			ErrorCode   string   `json:"errorCode"`
			StatusCode  string   `json:"statusCode"`
			Error       string   `json:"error"`
			Message     string   `json:"message"`
			Description string   `json:"error_description"`
			Fields      []string `json:"fields"`
		}
		if json.Unmarshal(one, &p, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) != nil {
			continue
		}
		if got := (problem{cmp.Or(p.ErrorCode, p.StatusCode, p.Error), cmp.Or(p.Message, p.Description), p.Fields}); got.Code != "" || got.Message != "" {
			out = append(out, got)
		}
	}
	return out
}

// first is what an error's body says, "" where it says nothing.
func (c *Client) first(body []byte) (code, text string) {
	all := problems(body)
	if len(all) == 0 {
		return "", ""
	}
	message := all[0].Message
	if at := strings.Index(message, "ERROR at Row"); at > 0 {
		message = message[at:] // before it stands the query, with keys in it
	}
	code = clean(all[0].Code, 80)
	text = strings.Trim(code+": "+c.hide(clean(message, messageMax)), ": ")
	for _, h := range hints {
		if strings.Contains(text, h.piece) {
			return code, text + ": " + h.hint
		}
	}
	return code, text
}

// clean is vendor's text on one line, with a length that fits an error.
func clean(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsPrint(r):
			return r
		}
		return -1
	}, s)
	r := []rune(strings.TrimSpace(s))
	return string(r[:min(len(r), most)])
}

// tokens are what an assertion and an access token look like.
var tokens = regexp.MustCompile(`[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}|00D\w{9,}![\w.]+`)

// hide takes out of vendor's text what it may have quoted of our secrets.
func (c *Client) hide(text string) string {
	c.mu.Lock()
	s := c.session
	c.mu.Unlock()
	secrets := []string{c.cfg.ClientSecret.Reveal()}
	if s != nil {
		secrets = append(secrets, s.token)
	}
	for _, secret := range secrets {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "***")
		}
	}
	return tokens.ReplaceAllString(text, "***")
}

// classify says what an answer to a request means.
func (c *Client) classify(status int, h http.Header, body []byte) error {
	if status/100 == 2 {
		return webPage(body)
	}
	code, text := c.first(body)
	said := "status " + strconv.Itoa(status)
	if text != "" {
		said += ": " + text
	}
	switch kind := kinds[code]; {
	case status == http.StatusUnauthorized || code == "INVALID_SESSION_ID":
		return fault.New(fault.Auth, "%w: %s", errSession, said)
	case status/100 == 3:
		return redirected(status, h, said)
	case code == requestLimit:
		return c.limited(h, text)
	case code == "INVALID_QUERY_LOCATOR":
		return fault.New(fault.Invalid, "%w: %s", errLocator, said)
	case code == "INVALID_TYPE":
		return fault.New(fault.Invalid, "%w: %s", errType, said)
	case kind != nil:
		return fault.New(kind, "%s", said)
	}
	return byStatus(status, h, said)
}

// webPage is an error where a proxy or maintenance answered in Salesforce's place;
// neither JSON nor CSV of results begins like that.
func webPage(body []byte) error {
	if len(body) > 0 && body[0] == '<' {
		return fault.New(fault.Transient, "a web page in the place of an answer: maintenance, or a proxy")
	}
	return nil
}

// byStatus gives an error without a code that we know its kind; nil where it is the
// business of package rest, which knows Retry-After.
func byStatus(status int, h http.Header, said string) error {
	switch {
	case status == http.StatusRequestTimeout, status == http.StatusTooEarly, status == http.StatusTooManyRequests:
		return nil
	case status >= 500 && h.Get("Retry-After") != "":
		return nil
	case status >= 500:
		return fault.New(fault.Transient, "%s", said)
	case status == http.StatusNotFound, status == http.StatusGone:
		return fault.New(fault.NotFound, "%s", said)
	case status == http.StatusForbidden:
		return fault.New(fault.Auth, "%s: the user may not do this", said)
	}
	return fault.New(fault.Invalid, "%s", said)
}

// redirected is an answer that leads elsewhere, or, with status 300, to several records.
func redirected(status int, h http.Header, said string) error {
	if to := h.Get(moved); to != "" {
		return fault.New(fault.Invalid, "status %d: redirected to %s: redirects are not followed; set %s_LOGIN_URL to the org's own address", status, to, prefix)
	}
	return fault.New(fault.Invalid, "%s: the key matches several records", said)
}

// limited is a quota that is used up, or too many requests at a time.
func (c *Client) limited(h http.Header, text string) error {
	wait := quotaWait
	if strings.Contains(text, "Concurrent") {
		wait = busyWait
	}
	if s, err := strconv.ParseUint(h.Get("Retry-After"), 10, 31); err == nil {
		wait = time.Duration(s) * time.Second
	}
	return fault.LimitedUntil(c.opts.Now().Add(wait), "%s", text)
}

// classifyLogin says what an answer to a login means.
func (c *Client) classifyLogin(status int, h http.Header, body []byte) error {
	if status/100 == 2 {
		return nil
	}
	code, text := c.first(body)
	switch {
	case status/100 == 3 && h.Get(moved) != "":
		return redirected(status, h, "")
	case code == requestLimit:
		return c.limited(h, text)
	case status == http.StatusNotFound:
		return fault.New(fault.Invalid, "status 404: %s_LOGIN_URL is not an address to log in at", prefix)
	case status == http.StatusTooManyRequests || status >= 500 || status == http.StatusRequestTimeout:
		return byStatus(status, h, strings.Trim("status "+strconv.Itoa(status)+": "+text, ": "))
	}
	return fault.New(fault.Auth, "login refused with status %d: %s", status, cmp.Or(text, "without a reason"))
}
