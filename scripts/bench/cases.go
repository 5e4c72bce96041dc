package main

import (
	"context"

	"github.com/millrace-data/millrace/scripts/bench/floor"
	"github.com/millrace-data/millrace/scripts/bench/payments"
	"github.com/millrace-data/millrace/scripts/bench/payments/paymentstest"
)

// job does one measured piece of work in an empty folder and returns its rows.
type job func(ctx context.Context, s settings, dir string) (int64, error)

// benchmark is a job of ours beside its floor, nil where there is none to compare
// with: the first hop alone is held against a number of rows per second and of MiB.
type benchmark struct {
	name, doc   string
	ours, floor job
}

var benchmarks = []benchmark{
	{"rest", "REST pages of 1,000 rows, 20 ms each, 8 at a time, merged by id", restOurs, restFloor},
	{"file", "one cost report of Oracle's, .csv.gz, through its connector", reportOurs, fileFloor},
	{"zuora", "a view of Zuora Revenue, 40 columns, gzip pages of 10,000 rows, 20 ms each, one after the other, replaced by swap", zuoraOurs, zuoraFloor},
	{"clari", "the first hop of two exports of Clari's, one JSON document each with half of --rows entries", clariOurs, nil},
	{"adaptive", "the first hop of a version of Adaptive's: 200 periods made long, ten cells for each row of --rows", adaptiveOurs, nil},
	{"extract", "the first hop of rest alone: vendor to manifests", extractOurs, nil},
	{"diff", "a plan of --rows rows against as many that were accepted, one in a hundred changed, DuckDB at 512 MiB; the floor is the join alone", diffOurs, diffFloor},
	{"plan", "a plan that creates --rows records, DuckDB at 512 MiB", planOurs, nil},
	{"bulk", "--rows records through one bulk job to Salesforce's twin and all results back; the floor is plain requests with a body that is there already", bulkOurs, bulkFloor},
	{"page", "the first hop of one REST page of 500 MB", extractPage, nil},
}

func restFloor(ctx context.Context, s settings, dir string) (int64, error) {
	return floor.REST(ctx, floor.Vendor{URL: s.URL, Since: payments.Since, Days: s.Days, PerDay: s.perDay(),
		Page: s.Page, Workers: s.Workers}, dir)
}

func fileFloor(ctx context.Context, s settings, dir string) (int64, error) {
	return floor.Report(ctx, s.Report, dir)
}

// vendor is the provider with s's sizes.
func vendor(s settings) paymentstest.Options {
	return paymentstest.Options{Since: payments.Since, Days: s.Days, PerDay: s.perDay(), Page: s.Page, Latency: s.Latency}
}

// bigVendor has one day, whose payments are one page.
func bigVendor(s settings) paymentstest.Options {
	return paymentstest.Options{Since: payments.Since, Days: 1, PerDay: s.BigPage, Page: s.BigPage, Latency: s.Latency}
}
