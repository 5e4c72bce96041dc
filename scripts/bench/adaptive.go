package main

import (
	"context"
	"maps"

	"github.com/millrace-data/millrace/functions/adaptive"
	"github.com/millrace-data/millrace/functions/adaptive/adaptivetest"
	"github.com/millrace-data/millrace/shared/extract"
)

const (
	adaptivePeriods  = 200
	adaptiveAccounts = 10
)

// instance is Adaptive with ten cells for each of n in a version: for a million of
// them 50,000 records of 200 periods.
func instance(n int) *adaptivetest.Server {
	return adaptivetest.New(adaptivetest.Options{Seed: 1, Accounts: adaptiveAccounts, Periods: adaptivePeriods,
		Levels: max(1, 10*n/adaptivePeriods/adaptiveAccounts)})
}

// adaptiveOurs reads the one version of a folder. What it counts are cells.
func adaptiveOurs(ctx context.Context, s settings, dir string) (int64, error) {
	conf := instance(s.Rows).Env(s.URL)
	maps.Copy(conf, map[string]string{"ADAPTIVE_FOLDER": "Drafts"})
	return hop{adaptive.Function, conf, extract.Request{Tables: []string{"reporting"}}, 1}.read(ctx, dir)
}
