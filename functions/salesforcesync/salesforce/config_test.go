package salesforce

import (
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/fault"
)

func TestConfigSaysAllAtOnce(t *testing.T) {
	for _, tc := range []struct {
		name string
		vars string // NAME=value, in lines
		want []string
	}{
		{"nothing", "", []string{"LOGIN_URL is not set", "CLIENT_ID is not set", "CLIENT_SECRET is not set (or SALESFORCE_USERNAME and SALESFORCE_PRIVATE_KEY)"}},
		{"user without key", "USERNAME=u@x", []string{"LOGIN_URL is not set", "PRIVATE_KEY is not set"}},
		{"key without user", "PRIVATE_KEY=hush", []string{"USERNAME is not set", "PRIVATE_KEY is not an RSA private key"}},
		{"both ways", "CLIENT_SECRET=hush\nUSERNAME=u", []string{"one way"}},
		{"secret at login", "LOGIN_URL=https://login.salesforce.com\nCLIENT_ID=c\nCLIENT_SECRET=hush", []string{"the org's own"}},
		{"secret at test", "LOGIN_URL=https://TEST.salesforce.com/\nCLIENT_ID=c\nCLIENT_SECRET=hush", []string{"the org's own"}},
		{"plain http", "LOGIN_URL=http://acme.my.salesforce.com\nCLIENT_ID=c\nCLIENT_SECRET=hush", []string{"LOGIN_URL", "plain http"}},
		{"no address", "LOGIN_URL=acme\nCLIENT_ID=c\nCLIENT_SECRET=hush", []string{"LOGIN_URL", "https://HOST"}},
		{"user in address", "LOGIN_URL=https://u:hush@acme.my.salesforce.com\nCLIENT_ID=c\nCLIENT_SECRET=s", []string{"LOGIN_URL", "neither user"}},
		{"version", "API_VERSION=latest\nCLIENT_SECRET=hush", []string{"API_VERSION is not a version", "LOGIN_URL"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			vars := map[string]string{}
			for line := range strings.Lines(tc.vars) {
				name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
				vars["SALESFORCE_"+name] = value
			}
			_, err := Open(env.Map(vars), Options{})
			if !errors.Is(err, fault.Invalid) {
				t.Fatalf("got %v, want invalid", err)
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "hush") {
				t.Errorf("a secret in %q", err)
			}
		})
	}
	if d, err := Connector(env.Map(nil), Options{})(t.Context()); d != nil || err == nil {
		t.Errorf("got %v, %v; want no destination", d, err)
	}
}

func TestConfigTakes(t *testing.T) {
	_, pem := testKey()
	base := map[string]string{"SALESFORCE_LOGIN_URL": "https://acme.my.salesforce.com/", "SALESFORCE_CLIENT_ID": "c", "SALESFORCE_USERNAME": "u"}
	for name, key := range map[string]string{
		"as it is": pem, "escaped": strings.ReplaceAll(pem, "\n", `\n`), "escaped CR": strings.ReplaceAll(pem, "\n", `\r\n`), "trimmed": strings.TrimSpace(pem),
	} {
		vars := maps.Clone(base)
		vars["SALESFORCE_PRIVATE_KEY"], vars["SALESFORCE_API_VERSION"] = key, "61.0"
		s, err := read(env.Map(vars))
		if err != nil || s.key == nil || s.APIVersion != "v61.0" || s.Audience != "https://login.salesforce.com" {
			t.Errorf("key %s: got %v, %v, %v", name, s.APIVersion, s.Audience, err)
		}
	}
}

func TestAudience(t *testing.T) {
	for host, want := range map[string]string{
		"login.salesforce.com": "login", "acme.my.salesforce.com": "login", "127.0.0.1": "login", "test.acme.com": "login",
		"acme-dev-ed.develop.my.salesforce.com": "login", "test.salesforce.com": "test", "acme--uat.sandbox.my.salesforce.com": "test",
		"acme--uat.my.salesforce.com": "test", "brave-moon.scratch.my.salesforce.com": "test",
	} {
		if got := audience(host); got != "https://"+want+".salesforce.com" {
			t.Errorf("%s: got %s, want %s", host, got, want)
		}
	}
}
