package snowflake

import (
	"encoding/json"
	"maps"
	"strconv"
	"time"

	sf "github.com/snowflakedb/gosnowflake/v2"

	"github.com/millrace-data/millrace/shared/fault"
)

const tagMax = 2000 // characters of a QUERY_TAG

// settle sets what every session of ours relies on. What the DSN sets itself stays,
// but for what would change the meaning of our statements.
func (o Options) settle(cfg *sf.Config) error {
	tag := map[string]string{"app": "millrace"}
	maps.Copy(tag, o.Tag)
	text, err := json.Marshal(tag)
	if err != nil || len(text) > tagMax {
		return fault.New(fault.Invalid, "query tag of Snowflake sessions: %d bytes, %d are allowed", len(text), tagMax)
	}
	if cfg.Params == nil {
		cfg.Params = map[string]*string{}
	}
	for name, value := range map[string]string{
		"LOCK_TIMEOUT":                 seconds(o.Lock, DefaultLock), // Snowflake's own is 12 hours
		"STATEMENT_TIMEOUT_IN_SECONDS": seconds(o.Statement, DefaultStatement),
		"ABORT_DETACHED_QUERY":         "TRUE", // of a process that was killed
		"QUERY_TAG":                    string(text),
	} {
		if given := find(cfg.Params, name); given == "" {
			cfg.Params[name] = &value
		}
	}
	for name, value := range map[string]string{
		"AUTOCOMMIT":                      "TRUE",
		"TRANSACTION_ABORT_ON_ERROR":      "TRUE", // else COMMIT would keep the half that went well
		"ERROR_ON_NONDETERMINISTIC_MERGE": "TRUE",
		"QUOTED_IDENTIFIERS_IGNORE_CASE":  "FALSE",
		"TIMEZONE":                        "UTC",
		"TIMESTAMP_TYPE_MAPPING":          "TIMESTAMP_NTZ",
		"TIMESTAMP_NTZ_OUTPUT_FORMAT":     "YYYY-MM-DD HH24:MI:SS.FF6",
		"TIMESTAMP_INPUT_FORMAT":          "AUTO",
		"DATE_OUTPUT_FORMAT":              "YYYY-MM-DD",
		"DATE_INPUT_FORMAT":               "AUTO",
		"JSON_INDENT":                     "0",
		// Never: the client would make a stage for many bound values, which commits the
		// transaction it does that in.
		"CLIENT_STAGE_ARRAY_BINDING_THRESHOLD": "0",
	} {
		if given := find(cfg.Params, name); given != "" {
			delete(cfg.Params, given)
		}
		cfg.Params[name] = &value
	}
	cfg.Application = "Millrace"
	//lint:ignore SA1019 it may move in a later version, and there is no other place yet
	if t := &cfg.LoginTimeout; *t == 0 || *t > login {
		*t = login
	}
	if o.Transport != nil {
		cfg.Transporter = o.Transport
	}
	return nil
}

// login is the longest that a login may take; the client would try for 5 minutes.
const login = time.Minute

func seconds(d, otherwise time.Duration) string {
	if d <= 0 {
		d = otherwise
	}
	return strconv.Itoa(int(max(d, time.Second) / time.Second))
}
