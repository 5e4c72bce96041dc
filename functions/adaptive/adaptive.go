// Package adaptive reads a Workday Adaptive Planning instance through its XML API,
// as the vendor's knowledge base, a library with tests and two production clients
// have it, read 2026-08. What only one source names is marked below as assumed.
//
// Every call is a POST of one document with the login in it, and changes nothing.
// The numbers come from exportData, one version of the plan at a time: a wide CSV,
// a column for each period, made long here. A slice is a version below the folder
// that the configuration names, with its scenarios and sub-versions. A locked version
// is read once; any other is read each day, and loaded where its content changed. The
// other 22 methods fill a table each, whole, once a day. Stopped half-way, a slice is
// read from its beginning: the API has no cursor.
//
// Limits: none are published. One call at a time is assumed, without a pace.
//
// What it cannot see: changes of a version between two readings; versions that the
// login may not see, or that left the folder (their rows stay); rows that hold only
// blanks and zeros, which the vendor leaves out where blanks are marked.
//
// Assumed: period codes are those of exportTime; a period begins where the one before
// it in the same stratum ends; of methods that nobody was seen to use, an error means
// that the tenant does not have them: the table stays as it is, with a warning.
package adaptive

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/rest"
)

// Config is read from ADAPTIVE_… variables.
type Config struct {
	BaseURL      string     `envconfig:"BASE_URL" default:"https://api.adaptiveplanning.com" doc:"address of the API; /api/v40 is added where it has no path"`
	Login        string     `envconfig:"LOGIN" required:"true" doc:"user that may call the API"`
	Password     env.Secret `envconfig:"PASSWORD" required:"true"`
	InstanceCode string     `envconfig:"INSTANCE_CODE" doc:"where the user can reach several instances: which"`
	Folder       string     `envconfig:"FOLDER" required:"true" doc:"name of the version folder whose versions are read"`
	Accounts     []string   `envconfig:"ACCOUNTS" required:"true" doc:"codes of the accounts to read, comma-separated"`
	Levels       []string   `envconfig:"LEVELS" doc:"names of levels to read rolled up; without any, all levels without their roll-ups"`
	Dimensions   []string   `envconfig:"DIMENSIONS" doc:"dimensions to break numbers down by"`
	Currency     string     `envconfig:"CURRENCY" doc:"code of a currency to convert into; without, the corporate one"`
	Methods      []string   `envconfig:"METHODS" doc:"tables to fill beside reporting and versions; without any, all"`
}

// Function fills the schema adaptive.
var Function = &extract.Function{
	Name:    "adaptive",
	Doc:     "Plans, actuals and their metadata of a Workday Adaptive Planning instance.",
	Tables:  tables(),
	Workers: 1, // calls at a time; assumed
	Open: func(cfg env.Lookup, in extract.Invocation) (extract.Source, error) {
		return open(cfg, in, nil)
	},
}

const (
	apiPath = "/api/v40"       // the newest version in use by clients, 2026-08
	timeout = 15 * time.Minute // of one exportData; assumed
	media   = "text/xml; charset=UTF-8"
)

type instance struct {
	client *rest.Client
	cfg    Config
}

func open(lookup env.Lookup, in extract.Invocation, transport http.RoundTripper) (extract.Source, error) {
	var cfg Config
	if err := env.Load(lookup, "ADAPTIVE", &cfg); err != nil {
		return nil, err
	}
	base := cfg.BaseURL
	if u, err := url.Parse(base); err == nil && strings.Trim(u.Path, "/") == "" {
		base = strings.TrimRight(base, "/") + apiPath
	}
	client, err := rest.New(rest.Options{
		BaseURL: base, Header: http.Header{"Content-Type": {media}}, Timeout: timeout,
		Meter: in.Meter, Scratch: in.Scratch, Transport: transport, Classify: classify,
	})
	if err != nil {
		return nil, fmt.Errorf("ADAPTIVE_BASE_URL: %w", err)
	}
	for _, list := range [][]string{cfg.Accounts, cfg.Levels, cfg.Dimensions, cfg.Methods} {
		for i := range list {
			list[i] = strings.TrimSpace(list[i])
		}
	}
	for _, name := range cfg.Methods {
		if !slices.ContainsFunc(methods, func(m method) bool { return m.table == name }) {
			return nil, fault.New(fault.Invalid, "ADAPTIVE_METHODS: there is no table %q", name)
		}
	}
	return &instance{client, cfg}, nil
}

// Close implements io.Closer.
func (i *instance) Close() error {
	i.client.Close()
	return nil
}

// Tables implements [extract.Chooser].
func (i *instance) Tables() []extract.Table {
	return slices.DeleteFunc(tables(), func(t extract.Table) bool {
		always := t.Name == "versions" || t.Name == "reporting"
		return !always && len(i.cfg.Methods) > 0 && !slices.Contains(i.cfg.Methods, t.Name)
	})
}

// Read implements [extract.Source].
func (i *instance) Read(ctx context.Context, s extract.Slice, out *extract.Out) error {
	switch s.Table {
	case "versions":
		return i.readVersions(ctx, out)
	case "reporting":
		return i.readReporting(ctx, s.Object.Name, out)
	}
	for _, m := range methods {
		if m.table == s.Table {
			return i.readMethod(ctx, m, out)
		}
	}
	return fault.New(fault.Invalid, "adaptive has no table %q", s.Table)
}
