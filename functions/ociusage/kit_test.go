package ociusage_test

import (
	"testing"
	"time"

	"github.com/millrace-data/millrace/functions/ociusage"
	"github.com/millrace-data/millrace/functions/ociusage/ociusagetest"
	"github.com/millrace-data/millrace/shared/extract/extracttest"
)

func TestConnector(t *testing.T) {
	extracttest.Connector(t, ociusage.Function, func(size int) extracttest.Twin {
		twin := ociusagetest.New(ociusagetest.Options{Seed: 1, PageSize: 3})
		for table := range amounts {
			twin.Generate(ociusagetest.Plan{Table: table, From: march, Files: 4, Rows: 100 * size})
		}
		return extracttest.Twin{
			Handler: twin, Env: ociusagetest.Env, Now: april, Secrets: []string{ociusagetest.Key()},
			Count: func(table string) int { return int(twin.Expect(table).Rows) },
			Late: func() time.Time {
				twin.Generate(ociusagetest.Plan{Table: "cost_report", From: march.AddDate(0, 0, 7), Files: 1, Rows: 10})
				return april.Add(time.Hour)
			},
			Drift: func() (added, missing string) {
				added, missing = "cost/mood", "cost/overageFlag"
				twin.Edit(twin.Names(ociusagetest.Prefix("cost_report"))[0], ociusagetest.Twice(added), ociusagetest.Without(missing))
				return added, missing
			},
		}
	})
}
