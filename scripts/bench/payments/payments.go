// Package payments is the connector that the benchmarks run: a vendor that does
// nothing but page through payments.
//
// [Function] cuts time into days and reads eight of them at a time, so what is
// measured is the engine's work and not a quota. A slice that stops half-way goes
// on with the page that was next. Money is decimal, times are UTC.
//
// It is also the smallest complete connector to look at. It has no credentials
// and sees no deletions.
package payments

import (
	"context"
	"errors"
	"net/url"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/record"
	"github.com/millrace-data/millrace/shared/rest"
)

// Config is read from PAYMENTS_… variables.
type Config struct {
	BaseURL string `envconfig:"BASE_URL" required:"true" doc:"address of the provider, or of its twin"`
}

// Since is when the first payment was made.
var Since = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

type payment struct {
	ID          string         `field:"id" key:"true"`
	CreatedAt   time.Time      `field:"createdAt"`
	CustomerID  string         `field:"customerId"`
	Amount      record.Decimal `field:"amount" decimal:"18,2" doc:"In currency, two digits."`
	Currency    string         `field:"currency" doc:"ISO 4217."`
	Status      string         `field:"status"`
	Method      *string        `field:"method"`
	Country     *string        `field:"country" doc:"ISO 3166-1, two letters."`
	Description *string        `field:"description" pii:"text"`
	Metadata    *record.JSON   `field:"metadata"`
}

// Function reads payments page by page, merged by id.
func Function() *extract.Function {
	return &extract.Function{
		Name:    "payments",
		Doc:     "Payments of the benchmark's provider, page by page.",
		Workers: 8,
		Open:    open,
		Tables: []extract.Table{{
			Table: record.Table{Schema: "bench", Name: "payments", Mode: record.Merge,
				Columns: record.Columns[payment](), Key: record.Key[payment]()},
			Slices: extract.Windows(day, 0, day, Since),
		}},
	}
}

type provider struct{ client *rest.Client }

func open(lookup env.Lookup, in extract.Invocation) (extract.Source, error) {
	var cfg Config
	if err := env.Load(lookup, "PAYMENTS", &cfg); err != nil {
		return nil, err
	}
	client, err := rest.New(rest.Options{BaseURL: cfg.BaseURL, Meter: in.Meter, Scratch: in.Scratch})
	if err != nil {
		return nil, err
	}
	return &provider{client}, nil
}

// Read reads a day's pages.
func (p *provider) Read(ctx context.Context, s extract.Slice, out *extract.Out) error {
	page, _ := strconv.Atoi(out.Cursor())
	for more := true; more; {
		page++
		var err error
		if more, err = p.page(ctx, s, page, out); err != nil {
			return err
		}
		if err := out.Page(strconv.Itoa(page)); err != nil {
			return err
		}
	}
	return nil
}

func (p *provider) page(ctx context.Context, s extract.Slice, page int, out *extract.Out) (more bool, err error) {
	body, err := p.client.Get(ctx, "/payments", url.Values{
		"from": {s.From.Format(time.RFC3339)}, "to": {s.To.Format(time.RFC3339)}, "page": {strconv.Itoa(page)},
	})
	if err != nil {
		return false, err
	}
	defer body.Close()
	info, err := rest.Rows(body, "payments", func(raw []byte) error { return out.Row(raw) })
	var at struct {
		HasMore *bool `json:"hasMore"`
	}
	if err == nil {
		err = fault.Wrap(fault.Corrupt, json.Unmarshal(info["pageInfo"], &at))
	}
	if err == nil && at.HasMore == nil {
		err = fault.New(fault.Corrupt, "page %d does not say whether there is another: it has no pageInfo.hasMore", page)
	}
	switch {
	case err == nil:
		return *at.HasMore, nil
	case errors.Is(err, fault.Corrupt):
		return false, out.Corrupt(ctx, body, err)
	}
	return false, err
}
