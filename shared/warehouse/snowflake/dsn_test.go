package snowflake

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	sf "github.com/snowflakedb/gosnowflake/v2"
	"github.com/youmark/pkcs8"

	"github.com/millrace-data/millrace/shared/fault"
)

func env(vars map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) { v, ok := vars[name]; return v, ok }
}

func pair(t *testing.T) (key *rsa.PrivateKey, plain, locked string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	enc, err := pkcs8.MarshalPrivateKey(key, []byte("open sesame"), nil)
	if err != nil {
		t.Fatal(err)
	}
	return key, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: enc}))
}

func TestKeyPair(t *testing.T) {
	key, plain, locked := pair(t)
	file := filepath.Join(t.TempDir(), "key.p8")
	if err := os.WriteFile(file, []byte(plain), 0o600); err != nil {
		t.Fatal(err)
	}
	vars := env(map[string]string{"KEY": plain, "FLAT": strings.ReplaceAll(plain, "\n", `\n`), "LOCKED": locked, "PASS": "open sesame"})
	for _, how := range []string{"private_key_env=KEY", "private_key_env=FLAT", "private_key_file=" + file, "private_key_env=LOCKED&private_key_passphrase_env=PASS"} {
		cfg, own, err := Parse("LOADER@org-acct/RAW?warehouse=W&role=R&authenticator=SNOWFLAKE_JWT&stage=raw.ext.landing&"+how, vars)
		if err != nil {
			t.Fatalf("%s: %v", how, err)
		}
		if !key.Equal(cfg.PrivateKey) || cfg.Authenticator != sf.AuthTypeJwt {
			t.Errorf("%s: the key is another", how)
		}
		if cfg.Database != "RAW" || cfg.Warehouse != "W" || cfg.Role != "R" || cfg.User != "LOADER" || cfg.Account != "org-acct" || own.Stage != `"RAW"."EXT"."LANDING"` {
			t.Errorf("%s: %s %s %s %s %s %s", how, cfg.Database, cfg.Warehouse, cfg.Role, cfg.User, cfg.Account, own.Stage)
		}
		for name := range cfg.Params {
			t.Errorf("%s: %s would become a parameter of the session", how, name)
		}
	}
}

func TestTokens(t *testing.T) {
	vars := env(map[string]string{"TOKEN": "a+b/c=&d"})
	cfg, _, err := Parse("org-acct/RAW?authenticator=OAUTH&token_env=TOKEN", vars)
	if err != nil || cfg.Token != "a+b/c=&d" || cfg.Authenticator != sf.AuthTypeOAuth || cfg.Account != "org-acct" {
		t.Errorf("OAuth: %v", err)
	}
	for _, cloud := range []string{"GCP", "AWS"} {
		cfg, _, err := Parse("org-acct/RAW?authenticator=WORKLOAD_IDENTITY&workloadIdentityProvider="+cloud, vars)
		if err != nil || cfg.WorkloadIdentityProvider != cloud || cfg.Authenticator != sf.AuthTypeWorkloadIdentityFederation {
			t.Errorf("workload identity of %s: %v", cloud, err)
		}
	}
}

// What cannot be used is refused in words that hold no secret.
func TestRefusedDSN(t *testing.T) {
	_, plain, locked := pair(t)
	vars := env(map[string]string{"KEY": plain, "LOCKED": locked, "PASS": "wrong-SECRET", "JUNK": "SECRET"})
	const jwt = "u@a/db?authenticator=SNOWFLAKE_JWT"
	for _, c := range []struct{ dsn, word string }{
		{"", "USER@ACCOUNT"},
		{"u:SECRET@a?warehouse=w", "database"},
		{"u:SECRET@a:SECRETport/db", "not readable"},
		{"u:SECRET@h/db?account=a&protocol=http", "plain http"},
		{jwt, "private_key_env"},
		{jwt + "&private_key_env=NONE", "NONE"},
		{jwt + "&private_key_env=JUNK", "PEM"},
		{jwt + "&private_key_env=LOCKED", "passphrase"},
		{jwt + "&private_key_env=LOCKED&private_key_passphrase_env=PASS", "passphrase"},
		{jwt + "&private_key_file=/none/SECRETLESS", "/none"},
		{jwt + "&privateKey=SECRET", "private_key_env"},
		{"u@a/db?token=SECRET", "token_env"},
		{"u:SECRET@a/db?private_key_env=KEY", "authenticator"},
		{"u:SECRET@a/db?role=a&role=b", "role"},
		{"u:SECRET@a/db?stage=x;y", "not readable"},
		{"u:SECRET@a/db?stage=x%3By", "stage"},
		{"u@a/db?authenticator=OAUTH&token_env=NONE", "NONE"},
	} {
		_, _, err := Parse(c.dsn, vars)
		if !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), c.word) {
			t.Errorf("%q: got %v, want fault.Invalid that says %s", c.dsn, err, c.word)
		} else if strings.Contains(strings.ReplaceAll(err.Error(), "SECRETLESS", ""), "SECRET") {
			t.Errorf("%q: the error repeats a secret: %v", c.dsn, err)
		}
	}
}

func TestSessionSettings(t *testing.T) {
	cfg, _, err := Parse("u:p@a/db?query_tag=mine&timezone=Asia%2FTokyo&LOCK_TIMEOUT=7", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := (Options{Statement: 90 * time.Second}).settle(cfg); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for name, value := range cfg.Params {
		got[name] = *value
	}
	for name, want := range map[string]string{
		"query_tag": "mine", "QUERY_TAG": "", "TIMEZONE": "UTC", "timezone": "", "LOCK_TIMEOUT": "7",
		"STATEMENT_TIMEOUT_IN_SECONDS": "90", "ABORT_DETACHED_QUERY": "TRUE", "TRANSACTION_ABORT_ON_ERROR": "TRUE", "QUOTED_IDENTIFIERS_IGNORE_CASE": "FALSE",
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
	cfg, _, _ = Parse("u:p@a/db", nil)
	if err := (Options{Tag: map[string]string{"function": "clari"}}).settle(cfg); err != nil {
		t.Fatal(err)
	}
	if tag := *cfg.Params["QUERY_TAG"]; tag != `{"app":"millrace","function":"clari"}` {
		t.Errorf("query tag %s", tag)
	}
	if err := (Options{Tag: map[string]string{"x": strings.Repeat("x", 2000)}}).settle(cfg); !errors.Is(err, fault.Invalid) {
		t.Errorf("a long tag: %v", err)
	}
}
