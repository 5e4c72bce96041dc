package snowflake

import (
	"crypto/rsa"
	"encoding/pem"
	"net"
	"net/url"
	"os"
	"strings"

	sf "github.com/snowflakedb/gosnowflake/v2"
	"github.com/youmark/pkcs8"

	"github.com/millrace-data/millrace/shared/fault"
)

// Own is what a DSN says to Millrace, not to Snowflake's client.
type Own struct {
	Stage string // external stage over the bucket of the parts, as SQL writes it; "" = parts are PUT
}

// The parameters of a DSN that are ours.
const (
	keyEnv        = "private_key_env"            // variable that holds a PEM
	keyFile       = "private_key_file"           // file that holds one
	passphraseEnv = "private_key_passphrase_env" // variable, where the PEM is encrypted
	tokenEnv      = "token_env"                  // variable that holds an OAuth or programmatic token
	stageName     = "stage"                      // [database.[schema.]]stage
)

// Parse reads a DSN of the form
//
//	USER@ACCOUNT/DATABASE?warehouse=W&role=R&authenticator=…
//
// where secrets are named, not written:
//
//	key pair:          authenticator=SNOWFLAKE_JWT&private_key_env=VARIABLE (or private_key_file=PATH)
//	OAuth:             authenticator=OAUTH&token_env=VARIABLE (or tokenFilePath=PATH)
//	programmatic:      authenticator=PROGRAMMATIC_ACCESS_TOKEN&token_env=VARIABLE
//	workload identity: authenticator=WORKLOAD_IDENTITY&workloadIdentityProvider=GCP (or AWS, AZURE, OIDC)
//
// stage=DATABASE.SCHEMA.STAGE names the external stage whose URL is that of
// MILLRACE_STAGE. Every other parameter is a setting of Snowflake's client, or of
// the session. The schema is always millrace. Errors repeat no part of the DSN.
func Parse(dsn string, lookup func(string) (string, bool)) (*sf.Config, Own, error) {
	var own Own
	rest, params, err := split(dsn)
	if err != nil {
		return nil, own, err
	}
	mine := url.Values{}
	for _, name := range []string{keyEnv, keyFile, passphraseEnv, tokenEnv, stageName} {
		if params.Has(name) {
			mine.Set(name, params.Get(name))
			params.Del(name)
		}
	}
	if name := mine.Get(tokenEnv); name != "" {
		token, err := secret(lookup, tokenEnv, name)
		if err != nil {
			return nil, own, err
		}
		params.Set("token", token)
	}
	cfg, err := sf.ParseDSN(rest + "?" + params.Encode())
	if err != nil {
		return nil, own, unreadable(err)
	}
	cfg.Schema = ""
	if cfg.Database == "" {
		return nil, own, fault.New(fault.Invalid, "MILLRACE_WAREHOUSE names no database of Snowflake: write snowflake:USER@ACCOUNT/DATABASE?…")
	}
	if cfg.Protocol == "http" && !loopback(cfg.Host) {
		return nil, own, fault.New(fault.Invalid, "MILLRACE_WAREHOUSE asks for plain http to Snowflake: leave protocol=http out")
	}
	if err := key(cfg, mine, lookup); err != nil {
		return nil, own, err
	}
	own.Stage, err = stage(mine.Get(stageName))
	return cfg, own, err
}

// split takes the parameters off a DSN.
func split(dsn string) (rest string, params url.Values, err error) {
	rest, query, _ := strings.Cut(dsn, "?")
	params, err = url.ParseQuery(query)
	if err != nil || rest == "" {
		return "", nil, fault.New(fault.Invalid, "MILLRACE_WAREHOUSE is not readable after snowflake: write USER@ACCOUNT/DATABASE?warehouse=W&role=R, with every value percent-encoded")
	}
	for name, values := range params {
		if len(values) > 1 {
			return "", nil, fault.New(fault.Invalid, "MILLRACE_WAREHOUSE has the parameter %s more than once", name)
		}
	}
	if params.Has("privateKey") || params.Has("token") {
		return "", nil, fault.New(fault.Invalid, "MILLRACE_WAREHOUSE holds a secret itself: name the variable with %s or %s instead", keyEnv, tokenEnv)
	}
	return rest, params, nil
}

// unreadable keeps the client's number and drops its words, which may repeat the DSN.
func unreadable(err error) error {
	if e := failure(err); e != nil {
		return fault.New(fault.Invalid, "MILLRACE_WAREHOUSE is not readable after snowflake: the client's error is %06d; needed are an account, and a user with its authenticator", e.Number)
	}
	return fault.New(fault.Invalid, "MILLRACE_WAREHOUSE is not readable after snowflake: a parameter has a value that is none")
}

// key loads the private key that the DSN names.
func key(cfg *sf.Config, mine url.Values, lookup func(string) (string, bool)) error {
	env, file := mine.Get(keyEnv), mine.Get(keyFile)
	if cfg.Authenticator != sf.AuthTypeJwt {
		if env != "" || file != "" {
			return fault.New(fault.Invalid, "MILLRACE_WAREHOUSE names a private key, but authenticator is not SNOWFLAKE_JWT")
		}
		return nil
	}
	var text []byte
	from := "variable " + env
	switch {
	case env != "":
		value, err := secret(lookup, keyEnv, env)
		if err != nil {
			return err
		}
		text = []byte(strings.ReplaceAll(value, `\n`, "\n"))
	case file != "":
		from = "file " + file
		var err error
		if text, err = os.ReadFile(file); err != nil {
			return fault.New(fault.Invalid, "private key of Snowflake: %w", err)
		}
	default:
		return fault.New(fault.Invalid, "MILLRACE_WAREHOUSE asks for a key pair: name its private key with %s or %s", keyEnv, keyFile)
	}
	var password []byte
	if name := mine.Get(passphraseEnv); name != "" {
		value, err := secret(lookup, passphraseEnv, name)
		if err != nil {
			return err
		}
		password = []byte(value)
	}
	var err error
	cfg.PrivateKey, err = parseKey(text, password, from)
	return err
}

// parseKey reads a PEM with a PKCS #8 key. The parser's words are not repeated.
func parseKey(text, password []byte, from string) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fault.New(fault.Invalid, "private key of Snowflake: %s holds no PEM; it begins with -----BEGIN PRIVATE KEY-----", from)
	}
	key, err := pkcs8.ParsePKCS8PrivateKeyRSA(block.Bytes, password)
	if err != nil {
		return nil, fault.New(fault.Invalid, "private key of Snowflake: %s holds no RSA key in PKCS #8, or its passphrase (%s) is another", from, passphraseEnv)
	}
	return key, nil
}

func secret(lookup func(string) (string, bool), parameter, name string) (string, error) {
	if lookup == nil {
		lookup = os.LookupEnv
	}
	value, ok := lookup(name)
	if !ok || value == "" {
		return "", fault.New(fault.Invalid, "MILLRACE_WAREHOUSE says %s=%s, but that variable is not set", parameter, name)
	}
	return value, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// stage quotes the name of a stage: plain names mean what they mean in SQL.
func stage(name string) (string, error) {
	if name == "" {
		return "", nil
	}
	parts := strings.Split(name, ".")
	bad := len(parts) > 3
	for i, p := range parts {
		bad = bad || p == "" || strings.ContainsFunc(p, func(r rune) bool {
			return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '_' || r == '$')
		})
		parts[i] = quote(strings.ToUpper(p))
	}
	if bad {
		return "", fault.New(fault.Invalid, "MILLRACE_WAREHOUSE says stage=%s: write DATABASE.SCHEMA.STAGE, of letters, digits and _", name)
	}
	return strings.Join(parts, "."), nil
}

// find is the name under which a parameter was given, in whatever case.
func find(params map[string]*string, name string) string {
	for p := range params {
		if strings.EqualFold(p, name) {
			return p
		}
	}
	return ""
}
