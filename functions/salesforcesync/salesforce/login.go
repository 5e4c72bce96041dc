package salesforce

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/golang-jwt/jwt/v5"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/rest"
)

const (
	tokenPath     = "/services/oauth2/token"
	assertionLife = 3 * time.Minute  // the most that is allowed; documentation read 2026-08
	tokenLife     = 10 * time.Minute // sessions may be as short as 15 min, and an upload cannot be sent again
	loginTimeout  = 30 * time.Second
)

// session is a login: where requests go, and with what.
type session struct {
	api   *rest.Client
	base  string
	token string
	since time.Time
}

// open returns the session that lives, or logs in. Of several callers one does; the
// others wait for it.
func (c *Client) open(ctx context.Context) (*session, error) {
	if s := c.living(); s != nil {
		return s, nil
	}
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if s := c.living(); s != nil {
		return s, nil
	}
	s, err := c.logIn(ctx)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.session = s
	return s, nil
}

func (c *Client) living() *session {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.session != nil && c.opts.Now().Sub(c.session.since) >= tokenLife {
		c.session = nil
	}
	return c.session
}

// drop forgets a session that Salesforce no longer takes, unless there is a newer one.
func (c *Client) drop(s *session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.session == s {
		c.session = nil
	}
}

func (c *Client) logIn(ctx context.Context) (*session, error) {
	form, err := c.form()
	if err != nil {
		return nil, err
	}
	began := c.opts.Now()
	body, err := c.login.Send(ctx, rest.Request{Method: http.MethodPost, Path: tokenPath, Body: []byte(form.Encode()),
		Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Accept": {"application/json"}}})
	if err != nil {
		return nil, err
	}
	defer body.Close()
	var answer struct {
		Token    string `json:"access_token"`
		Instance string `json:"instance_url"`
	}
	if err := json.UnmarshalRead(body, &answer); err != nil || answer.Token == "" {
		return nil, fault.New(fault.Corrupt, "login at %s: the answer has no access_token: is %s_LOGIN_URL an address of Salesforce?", c.cfg.host, prefix)
	}
	return c.at(answer.Instance, answer.Token, began)
}

// at makes a session of where the login's answer points to. That is held to what the
// login's own address is held to, and is no less protected than it.
func (c *Client) at(base, token string, began time.Time) (*session, error) {
	base = strings.TrimRight(base, "/")
	if strings.HasPrefix(c.cfg.LoginURL, "https:") && !strings.HasPrefix(base, "https:") {
		return nil, fault.New(fault.Corrupt, "login at %s: instance_url is not https: the token is not sent there", c.cfg.host)
	}
	api, err := rest.New(rest.Options{BaseURL: base, Meter: c.opts.Meter, Scratch: c.opts.Scratch, Transport: c.door,
		Timeout: tryTimeout, Quota: c.heed, Classify: c.classify,
		Header: http.Header{"Authorization": {"Bearer " + token}, "Accept": {"application/json"}}})
	if err != nil {
		return nil, fault.New(fault.Corrupt, "login at %s: instance_url is not usable: %v", c.cfg.host, err)
	}
	return &session{api: api, base: base, token: token, since: began}, nil
}

// form is the body of a login.
func (c *Client) form() (url.Values, error) {
	if c.cfg.key == nil {
		return url.Values{"grant_type": {"client_credentials"}, "client_id": {c.cfg.ClientID}, "client_secret": {c.cfg.ClientSecret.Reveal()}}, nil
	}
	claims := jwt.MapClaims{"iss": c.cfg.ClientID, "sub": c.cfg.Username, "aud": c.cfg.Audience, "exp": c.opts.Now().Add(assertionLife).Unix()}
	signed, err := jwt.NewWithClaims(jwt.SigningMethodRS256, claims).SignedString(c.cfg.key)
	if err != nil {
		return nil, fault.New(fault.Invalid, "%s_PRIVATE_KEY cannot sign: use an RSA key of 2048 bits or more", prefix)
	}
	return url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {signed}}, nil
}

// send makes a request with a token that lives. One that Salesforce no longer takes is
// renewed once; nothing was done then, so that any request may be sent again.
func (c *Client) send(ctx context.Context, r rest.Request) (*rest.Body, error) {
	for fresh := false; ; fresh = true {
		s, err := c.open(ctx)
		if err != nil {
			return nil, err
		}
		body, err := s.api.Send(ctx, r)
		if errors.Is(err, errSession) {
			c.drop(s)
			if !fresh {
				continue
			}
		}
		return body, doubt(err)
	}
}

// doubt makes an error Transient whose request may have been carried out, whatever else
// the answer was: the caller counts on Limited, Auth and Invalid for nothing was done.
func doubt(err error) error {
	if errors.Is(err, rest.ErrUnknown) && fault.Of(err) != fault.Transient {
		return fault.New(fault.Transient, "%v", err)
	}
	return err
}

// call sends JSON and reads JSON; in and out may be nil.
func (c *Client) call(ctx context.Context, r rest.Request, in, out any) error {
	if in != nil {
		doc, err := json.Marshal(in)
		if err != nil {
			return fault.Wrap(fault.Invalid, err)
		}
		r.Body, r.Header = doc, jsonBody()
	}
	body, err := c.send(ctx, r)
	if err != nil {
		return err
	}
	defer body.Close()
	if out == nil {
		return nil
	}
	if err := json.UnmarshalRead(body, out); err != nil {
		return fault.New(fault.Corrupt, "%s: the answer is not what the API's documentation says: %w", r.Path, err)
	}
	return nil
}

func jsonBody() http.Header { return http.Header{"Content-Type": {"application/json; charset=UTF-8"}} }

// path is below the pinned version.
func (c *Client) path(rest string) string { return "/services/data/" + c.cfg.APIVersion + rest }
