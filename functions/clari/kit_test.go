package clari_test

import (
	"testing"
	"time"

	"github.com/millrace-data/millrace/functions/clari"
	"github.com/millrace-data/millrace/functions/clari/claritest"
	"github.com/millrace-data/millrace/shared/extract/extracttest"
)

// The conformance kit. A child that is killed and started again makes the twin anew,
// so its jobs begin again with the same ids.
func TestConnector(t *testing.T) {
	extracttest.Connector(t, clari.Function, func(size int) extracttest.Twin {
		twin := claritest.New(claritest.Options{Seed: 1, Users: 100 * size, Now: func() time.Time { return noon }})
		return extracttest.Twin{Handler: twin, Env: twin.Env, Now: noon, Secrets: []string{claritest.DefaultKey, "Mira Holt", "user3@example.com"},
			Count: twin.Count, Field: "updatedBy",
			Late: func() time.Time {
				twin.Edit("net_arr", "2027_Q1", 6, 1, "12.5")
				twin.SetNow(noon.AddDate(0, 0, 1))
				return noon.AddDate(0, 0, 1)
			}}
	})
}
