package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/millrace-data/millrace/scripts/bench/payments"
	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/platform/local"
)

// ours runs a function the way `millrace backfill` does, on the local cloud in an
// empty home: slices through Pub/Sub, parts through the stage, one commit each.
func ours(ctx context.Context, f *extract.Function, url, home string, r extract.Request) (rows int64, err error) {
	cloud, err := local.Open(ctx, local.Options{Home: home, Functions: []*extract.Function{f},
		Env: env.Map(map[string]string{"PAYMENTS_BASE_URL": url})})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, cloud.Close()) }()
	rep, err := cloud.Run(ctx, local.Request{Function: f.Name, Request: r})
	if err != nil {
		return 0, err
	}
	if rep.Outcome != local.OK {
		return 0, fmt.Errorf("%s ended %s: %+v", f.Name, rep.Outcome, rep.Errors)
	}
	for _, t := range rep.Tables {
		rows += t.RowsLoaded
	}
	return rows, nil
}

func restOurs(ctx context.Context, s settings, dir string) (int64, error) {
	return ours(ctx, payments.Function(), s.URL, dir, days(s.Days))
}

// days asks for the first n days of payments.
func days(n int) extract.Request {
	to := payments.Since.AddDate(0, 0, n)
	return extract.Request{Purpose: extract.Backfill, From: payments.Since, To: to, Now: to}
}
