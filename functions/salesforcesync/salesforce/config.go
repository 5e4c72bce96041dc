package salesforce

import (
	"crypto/rsa"
	"net/url"
	"regexp"
	"strings"

	"github.com/golang-jwt/jwt/v5"

	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/fault"
)

const prefix = "SALESFORCE"

// Config is read from SALESFORCE_… variables. The login is by client secret, or by a
// user's name and the private key of the app's certificate: exactly one of them.
type Config struct {
	LoginURL     string     `envconfig:"LOGIN_URL" required:"true" doc:"https://MYDOMAIN.my.salesforce.com; with a private key also https://login.salesforce.com or https://test.salesforce.com"`
	ClientID     string     `envconfig:"CLIENT_ID" required:"true" doc:"consumer key of the external client app"`
	ClientSecret env.Secret `envconfig:"CLIENT_SECRET" doc:"consumer secret: the app acts as its run-as user"`
	Username     string     `envconfig:"USERNAME" doc:"user that the app acts as, which must be pre-authorised"`
	PrivateKey   env.Secret `envconfig:"PRIVATE_KEY" doc:"RSA key in PEM of the certificate that the app was given; line ends may be written as \\n"`
	Audience     string     `envconfig:"AUDIENCE" doc:"that the app expects in the assertion; https://login.salesforce.com, of a sandbox https://test.salesforce.com, where not set"`
	APIVersion   string     `envconfig:"API_VERSION" default:"v60.0" doc:"version of the API, such as v60.0"`
}

// settings is a Config that was checked.
type settings struct {
	Config
	host string
	key  *rsa.PrivateKey // nil: by client secret
}

var version = regexp.MustCompile(`^v?[1-9][0-9]{0,2}\.0$`)

// read loads and checks the configuration; everything that is wrong is one error.
func read(lookup env.Lookup) (settings, error) {
	var s settings
	var wrong []string
	if err := env.Load(lookup, prefix, &s.Config); err != nil {
		wrong = append(wrong, strings.TrimPrefix(err.Error(), "configuration: "))
	}
	s.LoginURL = strings.TrimRight(s.LoginURL, "/")
	if u, err := url.Parse(s.LoginURL); err == nil {
		s.host = strings.ToLower(u.Hostname())
	}
	if !version.MatchString(s.APIVersion) {
		wrong = append(wrong, prefix+"_API_VERSION is not a version such as v60.0")
	}
	s.APIVersion = "v" + strings.TrimPrefix(s.APIVersion, "v")
	wrong = append(wrong, s.credentials()...)
	if len(wrong) > 0 {
		return s, fault.New(fault.Invalid, "configuration: %s", strings.Join(wrong, "; "))
	}
	if s.Audience == "" {
		s.Audience = audience(s.host)
	}
	return s, nil
}

// credentials checks that there is exactly one way to log in, and returns what is
// wrong with it.
func (s *settings) credentials() (wrong []string) {
	secret, key := s.ClientSecret.Reveal() != "", s.PrivateKey.Reveal() != ""
	switch {
	case secret && (key || s.Username != ""):
		return []string{prefix + "_CLIENT_SECRET is set beside " + prefix + "_USERNAME or " + prefix + "_PRIVATE_KEY: set one way to log in"}
	case secret && (s.host == "login.salesforce.com" || s.host == "test.salesforce.com"):
		return []string{prefix + "_LOGIN_URL is " + s.LoginURL + ": with a client secret it must be the org's own, https://MYDOMAIN.my.salesforce.com"}
	case secret:
		return nil
	case !key && s.Username == "":
		return []string{prefix + "_CLIENT_SECRET is not set (or " + prefix + "_USERNAME and " + prefix + "_PRIVATE_KEY)"}
	}
	if s.Username == "" {
		wrong = append(wrong, prefix+"_USERNAME is not set (user that the app acts as)")
	}
	if !key {
		return append(wrong, prefix+"_PRIVATE_KEY is not set (RSA key in PEM of the app's certificate)")
	}
	var err error
	if s.key, err = jwt.ParseRSAPrivateKeyFromPEM([]byte(lines(s.PrivateKey.Reveal()))); err != nil {
		wrong = append(wrong, prefix+"_PRIVATE_KEY is not an RSA private key in PEM") // err may hold some of it
	}
	return wrong
}

// lines undoes the \n of a key that a variable could not hold otherwise.
func lines(pem string) string {
	return strings.NewReplacer(`\r\n`, "\n", `\n`, "\n").Replace(strings.TrimSpace(pem)) + "\n"
}

// audience is who an assertion is for, wherever it is posted to: test for sandboxes
// (NAME--SANDBOX….my.salesforce.com) and scratch orgs, login for all others.
func audience(host string) string {
	label, rest, _ := strings.Cut(host, ".")
	if label == "test" && rest == "salesforce.com" || strings.Contains(label, "--") || strings.HasPrefix(rest, "sandbox.") || strings.HasPrefix(rest, "scratch.") {
		return "https://test.salesforce.com"
	}
	return "https://login.salesforce.com"
}
