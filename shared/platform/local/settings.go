package local

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/fault"
)

// settings is what the environment says about the cloud itself.
type settings struct {
	Home      string        `envconfig:"HOME" default:".millrace" doc:"folder of the embedded warehouse, the stage and scratch"`
	Warehouse string        `envconfig:"WAREHOUSE" doc:"duckdb:PATH"`
	Stage     string        `envconfig:"STAGE" doc:"file:///FOLDER"`
	Chain     string        `envconfig:"CHAIN" default:"local" doc:"local"`
	Deadline  time.Duration `envconfig:"DEADLINE" default:"9m" doc:"budget of one invocation, a Go duration"`
}

// Places is where a cloud keeps things; absolute paths.
type Places struct {
	Home      string
	Warehouse string // the DuckDB file
	Stage     string // a folder
	Scratch   string // a folder
	Deadline  time.Duration
}

// Locate reads the MILLRACE_ variables without opening anything. home, where it
// is not empty, stands in for MILLRACE_HOME. What this build does not offer is
// fault.Invalid.
func Locate(lookup env.Lookup, home string) (p Places, err error) {
	var s settings
	if err := env.Load(lookup, "MILLRACE", &s); err != nil {
		return p, err
	}
	if home == "" {
		home = s.Home
	}
	if s.Chain != "local" {
		return p, unknown("MILLRACE_CHAIN", s.Chain, "local (Pub/Sub inside the process)")
	}
	if s.Deadline <= 0 {
		return p, fault.New(fault.Invalid, "MILLRACE_DEADLINE is %s: an invocation needs time, for example 9m", s.Deadline)
	}
	p.Deadline = s.Deadline
	if p.Home, err = filepath.Abs(home); err != nil {
		return p, fault.New(fault.Invalid, "folder %s: %w", home, err)
	}
	p.Scratch = filepath.Join(p.Home, "scratch")
	if p.Warehouse, err = file(s.Warehouse, filepath.Join(p.Home, "warehouse.duckdb")); err == nil {
		p.Stage, err = folder(s.Stage, filepath.Join(p.Home, "stage"))
	}
	return p, err
}

func file(value, otherwise string) (string, error) {
	if value == "" {
		return otherwise, nil
	}
	path, ok := strings.CutPrefix(value, "duckdb:")
	if !ok || path == "" {
		return "", unknown("MILLRACE_WAREHOUSE", scheme(value), "duckdb:PATH")
	}
	return filepath.Abs(path)
}

func folder(value, otherwise string) (string, error) {
	if value == "" {
		return otherwise, nil
	}
	u, err := url.Parse(value)
	if err != nil || u.Scheme != "file" || u.Host != "" || u.Path == "" {
		return "", unknown("MILLRACE_STAGE", scheme(value), "file:///FOLDER")
	}
	return filepath.FromSlash(u.Path), nil
}

// scheme is the part of a place that may be shown: a DSN can hold a password.
func scheme(value string) string {
	if s, _, ok := strings.Cut(value, ":"); ok {
		return s + ":…"
	}
	return "without a scheme"
}

func unknown(key, value, offered string) error {
	return fault.New(fault.Invalid, "%s is %s, but this build offers only %s", key, value, offered)
}

// make creates the folders.
func (p Places) make() error {
	for _, dir := range []string{p.Home, p.Stage, p.Scratch} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fault.New(fault.Invalid, "create %s: %w; set MILLRACE_HOME to a folder you may write to", dir, err)
		}
	}
	return nil
}
