package zuorarevenue

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-data/millrace/functions/zuorarevenue/zuorarevenuetest"
	"github.com/millrace-data/millrace/shared/fault"
)

// modes are the slices so far: which view, what kind, how many rows.
func (b *bench) kinds() []string {
	return b.Rows(b.t, `SELECT table_name, split_part(slice, '-', 1), rows_loaded FROM millrace.slices ORDER BY loaded_at, table_name`)
}

func incremental(t *testing.T, views string, o zuorarevenuetest.Options, test func(t *testing.T, b *bench)) {
	t.Helper()
	in(t, o, map[string]string{"ZUORA_REVENUE_VIEWS": views, "ZUORA_REVENUE_MODE": "incremental"}, test)
}

// A week of days: edits, additions and deleted schedules arrive the day after,
// other deletions with the next full reading.
func TestIncremental(t *testing.T) {
	incremental(t, "BI3_ORG,BI3_RC_SCHD,BI3_RC_SCHD_DEL", zuorarevenuetest.Options{Some: 40}, func(t *testing.T, b *bench) {
		b.sound(b.run())
		b.twin.Edit("BI3_ORG", 3, map[string]string{"org_name": "renamed"})
		b.twin.Add("BI3_ORG", 2)
		b.twin.Delete("BI3_RC_SCHD", 7)
		b.twin.Edit("BI3_RC_SCHD", 20, map[string]string{"amount": "17.25"})
		b.later(24 * time.Hour)
		b.sound(b.run())
		b.equal("BI3_ORG")
		b.equal("BI3_RC_SCHD")
		b.equal("BI3_RC_SCHD_DEL")
		want := []string{"bi3_org|scan|40", "bi3_rc_schd|scan|40", "bi3_rc_schd_del|scan|0", "bi3_org|tail|3", "bi3_rc_schd|tail|1", "bi3_rc_schd_del|tail|1"}
		if diff := cmp.Diff(want, b.kinds()); diff != "" {
			t.Errorf("slices (-want +got):\n%s", diff)
		}
		before := b.expect("BI3_ORG")
		b.twin.Delete("BI3_ORG", 5)
		for range 5 {
			b.later(24 * time.Hour)
			b.sound(b.run())
			b.same("BI3_ORG", before) // nobody tells
		}
		b.later(24 * time.Hour)
		b.sound(b.run())
		for _, v := range []string{"BI3_ORG", "BI3_RC_SCHD", "BI3_RC_SCHD_DEL"} {
			b.equal(v)
		}
	})
}

// Days without a run: the tail begins where the last one ended.
func TestIncrementalAfterAGap(t *testing.T) {
	incremental(t, "BI3_ORG", zuorarevenuetest.Options{}, func(t *testing.T, b *bench) {
		b.run()
		for i := range 5 {
			b.twin.Edit("BI3_ORG", i, map[string]string{"org_name": "day"})
			b.later(24 * time.Hour)
		}
		b.sound(b.run())
		b.equal("BI3_ORG")
		if got := b.kinds(); got[len(got)-1] != "bi3_org|tail|5" {
			t.Errorf("got %q, want a tail of the 5 rows", got)
		}
	})
}

// A row that is read late does not undo a newer one.
func TestNewestWins(t *testing.T) {
	incremental(t, "BI3_ORG", zuorarevenuetest.Options{}, func(t *testing.T, b *bench) {
		b.twin.Edit("BI3_ORG", 1, map[string]string{"org_name": "new", "incr_updt_dt": "2026-02-02 00:00:00"})
		b.run()
		b.later(24 * time.Hour)
		b.twin.Edit("BI3_ORG", 1, map[string]string{"org_name": "old", "incr_updt_dt": "2026-02-01 12:00:00"})
		b.sound(b.run())
		if got := b.Rows(t, `SELECT org_name FROM zuora_revenue.bi3_org WHERE incr_updt_dt = '2026-02-02 00:00:00'`); !slices.Equal(got, []string{"new"}) {
			t.Errorf("got %q, want the newer row", got)
		}
	})
}

// Views of which rows cannot be told apart for sure are read in full each day.
func TestIncrementalLeavesSomeInFull(t *testing.T) {
	incremental(t, "BI3_RC_LN_COST,BI3_RI_ACCT_SUMM", zuorarevenuetest.Options{}, func(t *testing.T, b *bench) {
		b.run()
		b.twin.Delete("BI3_RC_LN_COST", 0)
		b.twin.Delete("BI3_RI_ACCT_SUMM", 0)
		b.later(24 * time.Hour)
		b.sound(b.run())
		b.equal("BI3_RC_LN_COST")
		b.equal("BI3_RI_ACCT_SUMM")
	})
}

func TestSchedulesWithoutDeletions(t *testing.T) {
	incremental(t, "BI3_RC_SCHD", zuorarevenuetest.Options{}, func(t *testing.T, b *bench) {
		if _, err := b.Extract.Tick(t.Context(), b.f, req()); !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), deletions) {
			t.Errorf("got %v, want invalid that names %s", err, deletions)
		}
	})
}

// A tenant that changes its mode goes on without a gap.
func TestFromFullToIncremental(t *testing.T) {
	in(t, zuorarevenuetest.Options{}, map[string]string{"ZUORA_REVENUE_VIEWS": "BI3_ORG"}, func(t *testing.T, b *bench) {
		b.run()
		b.conf["ZUORA_REVENUE_MODE"] = "incremental"
		b.twin.Edit("BI3_ORG", 3, map[string]string{"org_name": "renamed"})
		b.later(24 * time.Hour)
		b.sound(b.run())
		b.equal("BI3_ORG")
		if got := b.kinds(); got[len(got)-1] != "bi3_org|tail|1" {
			t.Errorf("got %q, want a tail of one row", got)
		}
	})
}
