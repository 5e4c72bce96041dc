package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/millrace-data/millrace/functions/ociusage"
	"github.com/millrace-data/millrace/functions/ociusage/ociusagetest"
	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/platform/local"
)

// reportName is the one cost report of the file benchmark.
const reportName = "reports/cost-csv/0001000001000000-00001.csv.gz"

// writeReport makes a cost report like Oracle's: 26 columns and tags, gzip.
func writeReport(path string, rows int) error {
	bucket := ociusagetest.New(ociusagetest.Options{Seed: 1})
	names := bucket.Generate(ociusagetest.Plan{Table: "cost_report", From: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Files: 1, Rows: rows})
	return os.WriteFile(path, bucket.Bytes(names[0]), 0o644)
}

// oracle is a bucket with the report in it.
func oracle(path string) (*ociusagetest.Server, error) {
	file, err := os.ReadFile(path)
	bucket := ociusagetest.New(ociusagetest.Options{})
	if err == nil {
		bucket.Put(reportName, file)
	}
	return bucket, err
}

// reportOurs loads the report through the connector, rules and all.
func reportOurs(ctx context.Context, s settings, home string) (rows int64, err error) {
	cloud, err := local.Open(ctx, local.Options{Home: home, Functions: []*extract.Function{ociusage.Function}, Env: env.Map(s.Oracle)})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, cloud.Close()) }()
	rep, err := cloud.Run(ctx, local.Request{Function: "ociusage", Request: extract.Request{Tables: []string{"cost_report"}}})
	if err != nil {
		return 0, err
	}
	if rep.Outcome != local.OK {
		return 0, fmt.Errorf("ociusage ended %s: %+v", rep.Outcome, rep.Errors)
	}
	return rep.Tables[0].RowsLoaded, nil
}
