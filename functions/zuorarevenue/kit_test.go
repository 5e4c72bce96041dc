package zuorarevenue_test

import (
	"slices"
	"testing"
	"time"

	"github.com/millrace-data/millrace/functions/zuorarevenue"
	"github.com/millrace-data/millrace/functions/zuorarevenue/zuorarevenuetest"
	"github.com/millrace-data/millrace/shared/extract/extracttest"
)

func TestConnector(t *testing.T) {
	now := time.Date(2026, 2, 1, 3, 0, 0, 0, time.UTC)
	extracttest.Connector(t, zuorarevenue.Function, func(size int) extracttest.Twin {
		twin := zuorarevenuetest.New(zuorarevenuetest.Options{Seed: 1, Some: 90 * size, Now: func() time.Time { return now }})
		return extracttest.Twin{
			Handler: twin, Now: now, Secrets: []string{zuorarevenuetest.Password, "Awaiting PO"},
			Env: func(url string) map[string]string {
				conf := zuorarevenuetest.Env(url)
				conf["ZUORA_REVENUE_VIEWS"], conf["ZUORA_REVENUE_PAGE_SIZE"] = "BI3_BOOK,BI3_RC_HOLD,BI3_RC_SCHD,BI3_RC_SCHD_DEL", "50"
				return conf
			},
			Count: func(table string) int {
				if !slices.Contains([]string{"bi3_book", "bi3_rc_hold", "bi3_rc_schd", "bi3_rc_schd_del"}, table) {
					return -1
				}
				return twin.Count(table)
			},
			Late: func() time.Time {
				twin.Delete("BI3_RC_SCHD", 7)
				twin.Edit("BI3_RC_HOLD", 3, map[string]string{"rc_hold_comment": "late"})
				twin.Add("BI3_BOOK", 2)
				return now.AddDate(0, 0, 1)
			},
			Drift: func() (added, missing string) {
				twin.AddColumn("BI3_BOOK", "from_37_012")
				return "from_37_012", ""
			},
		}
	})
}
