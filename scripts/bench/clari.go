package main

import (
	"context"
	"time"

	"github.com/millrace-data/millrace/functions/clari"
	"github.com/millrace-data/millrace/functions/clari/claritest"
	"github.com/millrace-data/millrace/shared/extract"
)

const clariFields = 4

// organisation is Clari with half as many entries in an export as rows are asked for:
// a day has two of them, of the current and of the next quarter.
func organisation(n int) *claritest.Server {
	return claritest.New(claritest.Options{Seed: 1, Users: max(1, n/2/clariFields), Fields: clariFields, Polls: -1})
}

// clariOurs reads a day's two exports, one JSON document each. What it counts are the
// entries, and the few rows of the tables beside them.
func clariOurs(ctx context.Context, s settings, dir string) (int64, error) {
	return hop{clari.Function, organisation(s.Rows).Env(s.URL), extract.Request{Now: time.Now().UTC()}, 1}.read(ctx, dir)
}
