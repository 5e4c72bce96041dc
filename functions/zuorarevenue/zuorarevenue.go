// Package zuorarevenue reads Zuora Revenue (RevPro) through its BI Views API v2, as
// the vendor documents it and as GitLab's public pipeline uses it, read 2026-08.
//
// A view is a table; its columns are whatever the CSV header says, all text, new
// ones of a quarterly release included (describe-columns is alphabetical and is not
// asked). By default each view is read in full every day, from 2016 on, and replaced
// by shadow and swap. With ZUORA_REVENUE_MODE=incremental it is read in full once a
// week, and daily from a day before the last reading; of two versions of a row the
// one with the greater INCR_UPDT_DT wins, and schedules named in BI3_RC_SCHD_DEL are
// removed in the same commit. Views without a key of which we can be sure, and the
// pre-summary, whose rows come and go, are always read in full.
//
// A range ends a day after the run's clock: a tenant's zone is not documented, and a
// full reading that ended too early would leave out what changed last.
//
// Page 1 opens a query, whose id is a continuation token: all pages of a token are
// one snapshot, and the token dies when nobody asks for four minutes. So pages go to
// scratch and to the stage as they come, and nothing waits for a load in between:
// drain first. Stopped half-way, reading goes on with the page that was next while
// the token lives; a token that died starts the slice from its beginning.
//
// Limits: 20,000 rows a gzip page; 5 queries at a time, one a view; 5 million rows a
// query. A login token lives 30 minutes and is renewed without losing the page.
//
// It asks the vendor for a count before page 1, and only notes a difference.
//
// What it cannot see: incremental reading sees no deletions but those of schedules,
// until the weekly full one. The views have no row security: one user sees all
// organisations. BI3_WF_SUMM and BI3_LN_ACCT_SUMM are derived and not practical to
// read: rebuild the waterfall from bi3_rc_schd by summing amounts by prd_id,
// post_prd_id and acctg_type, the account summary from the same rows by line_id.
//
// Assumed: the range of a query is over INCR_UPDT_DT, and these times sort as text
// (2024-01-31 00:00:00); the tenant's clock is within a day of UTC; ids of deleted
// schedules are not used again.
package zuorarevenue

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/rest"
)

// Config is read from ZUORA_REVENUE_… variables.
type Config struct {
	BaseURL    string     `envconfig:"BASE_URL" required:"true" doc:"address of the tenant, https://TENANT.revprooncloud.com"`
	Username   string     `envconfig:"USERNAME" required:"true" doc:"API user"`
	Password   env.Secret `envconfig:"PASSWORD" required:"true" doc:"the API user's password"`
	Role       string     `envconfig:"ROLE" default:"API Role" doc:"name of the user's API role, with Webservices Inbound/Outbound"`
	ClientName string     `envconfig:"CLIENT_NAME" default:"Default" doc:"the client's name in the tenant"`
	ClientID   int        `envconfig:"CLIENT_ID" default:"1" doc:"the client's number in the tenant"`
	Views      []string   `envconfig:"VIEWS" doc:"views to read, comma-separated, such as BI3_RC_LNS,BI3_RC_SCHD; empty = all that are not derived"`
	Mode       string     `envconfig:"MODE" default:"full" doc:"full: every view each day; incremental: weekly in full, daily what changed"`
	PageSize   int        `envconfig:"PAGE_SIZE" default:"20000" doc:"rows a page, where the tenant allows fewer than 20,000"`
}

const (
	pageMax    = 20_000                // rows of a gzip page; BI Views v2 reference, read 2026-08; what is not sent is 1000 or 20,000, by release
	queryMax   = 5_000_000             // rows of one query; the same
	epoch      = "2016-07-26"          // the reference's own fromDate: before every row
	margin     = 24 * time.Hour        // on both ends of a range; assumed to cover the tenant's zone
	dates      = "2006-01-02T15:04:05" // of fromDate and toDate; without a zone
	countTime  = 30 * time.Second      // that a count, a full scan at the vendor's, may take; assumed
	activeWait = 10 * time.Second      // for a page that is being made; the reference says 5 to 10
	patience   = 60                    // times that one page is waited for: ten minutes and their tries
	firstTries = 6                     // of page 1: five minutes, after which the query of a dead invocation is stale
)

// Function fills the schema zuora_revenue.
var Function = &extract.Function{
	Name:    "zuorarevenue",
	Doc:     "Zuora Revenue's BI views: contracts, lines, schedules and what they refer to.",
	Tables:  tables(false),
	Workers: 5, // parallel queries of one client; one a view, see Alone
	Open: func(cfg env.Lookup, in extract.Invocation) (extract.Source, error) {
		return open(cfg, in, nil)
	},
}

type source struct {
	*session
	chosen []extract.Table
}

func open(lookup env.Lookup, in extract.Invocation, transport http.RoundTripper) (extract.Source, error) {
	var cfg Config
	if err := env.Load(lookup, "ZUORA_REVENUE", &cfg); err != nil {
		return nil, err
	}
	if cfg.PageSize < 1 || cfg.PageSize > pageMax {
		return nil, fault.New(fault.Invalid, "ZUORA_REVENUE_PAGE_SIZE is %d, want 1 to %d", cfg.PageSize, pageMax)
	}
	chosen, err := choose(cfg.Views, cfg.Mode)
	if err != nil {
		return nil, err
	}
	client, err := rest.New(rest.Options{BaseURL: strings.TrimSuffix(strings.TrimRight(cfg.BaseURL, "/"), "/api/integration"),
		Meter: in.Meter, Scratch: in.Scratch, Transport: transport, Classify: classify})
	if err != nil {
		return nil, fmt.Errorf("ZUORA_REVENUE_BASE_URL: %w", err)
	}
	return &source{&session{client: client, cfg: cfg}, chosen}, nil
}

// Tables implements [extract.Chooser].
func (s *source) Tables() []extract.Table { return s.chosen }

// Close lets go of idle connections.
func (s *source) Close() error {
	s.client.Close()
	return nil
}

// Read drains one query into out.
func (s *source) Read(ctx context.Context, slice extract.Slice, out *extract.Out) error {
	to := slice.To
	if to.IsZero() {
		to = slice.Now
	}
	r := &reading{s: s, out: out, view: strings.ToUpper(slice.Table), from: epoch + "T00:00:00", to: to.Add(margin).UTC().Format(dates)}
	if slice.Start != "" {
		last, err := time.Parse(time.RFC3339, slice.Start)
		if err != nil {
			return fault.New(fault.Invalid, "slice %s begins at %q, which is no time: run a full scan, with ZUORA_REVENUE_MODE=full", slice.ID, slice.Start)
		}
		r.from = last.Add(-margin).UTC().Format(dates)
	}
	if err := r.run(ctx); err != nil {
		return fmt.Errorf("%s page %d: %w", r.view, cmp.Or(r.c.Page, 1), err)
	}
	out.SetCursor(to.UTC().Format(time.RFC3339)) // where the next tail begins, less the margin
	return nil
}
