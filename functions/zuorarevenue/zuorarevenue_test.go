package zuorarevenue

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-data/millrace/functions/zuorarevenue/zuorarevenuetest"
	"github.com/millrace-data/millrace/shared/fault"
)

func TestAllViewsArriveExactly(t *testing.T) {
	in(t, zuorarevenuetest.Options{Seed: 1, Some: 23}, nil, func(t *testing.T, b *bench) {
		b.sound(b.run())
		for _, v := range views {
			b.equal(v.name)
		}
		if w := b.warnings(); len(w) > 0 {
			t.Errorf("warnings: %q", w)
		}
		if again := b.run(); len(again) > 0 {
			t.Errorf("the second run read %d slices", len(again))
		}
	})
}

// Whatever the vendor's answers look like, the table is the view.
func TestShapes(t *testing.T) {
	for name, c := range map[string]struct {
		o    zuorarevenuetest.Options
		rows int
		most int // page requests
	}{
		"content encoding":               {zuorarevenuetest.Options{Encoded: true}, 23, 3},
		"underscore":                     {zuorarevenuetest.Options{Underscore: true}, 23, 3},
		"header once":                    {zuorarevenuetest.Options{HeaderOnce: true}, 23, 3},
		"header in lower case":           {zuorarevenuetest.Options{Lower: true}, 23, 3},
		"smaller pages than asked for":   {zuorarevenuetest.Options{PageMax: 4}, 23, 6},
		"the last of smaller pages full": {zuorarevenuetest.Options{PageMax: 4}, 24, 6},
		"no rows":                        {zuorarevenuetest.Options{}, -1, 1},
		"one row":                        {zuorarevenuetest.Options{}, 1, 1},
		"full page, 404":                 {zuorarevenuetest.Options{}, 10, 2},
		"full pages, 404":                {zuorarevenuetest.Options{}, 30, 4},
		"full pages, 204":                {zuorarevenuetest.Options{PastEnd: zuorarevenuetest.PastEnd204}, 30, 4},
		"full pages, not cached":         {zuorarevenuetest.Options{PastEnd: zuorarevenuetest.PastEndNotCached}, 30, 3 + 12},
		"full pages, a bare status":      {zuorarevenuetest.Options{PastEnd: zuorarevenuetest.PastEndNotCached, BareStatus: true}, 30, 3 + 12},
		"full pages, none":               {zuorarevenuetest.Options{PastEnd: zuorarevenuetest.PastEndEmpty}, 30, 4},
		"full pages, none, header once":  {zuorarevenuetest.Options{PastEnd: zuorarevenuetest.PastEndEmpty, HeaderOnce: true}, 30, 4},
		"id twice":                       {zuorarevenuetest.Options{Columns: map[string][]string{"BI3_MJE": {"je_line_id", "x", "x", "incr_updt_dt"}}}, 3, 1},
	} {
		t.Run(name, func(t *testing.T) {
			c.o.Some = c.rows
			in(t, c.o, map[string]string{"ZUORA_REVENUE_VIEWS": " bi3_mje"}, func(t *testing.T, b *bench) {
				b.staged(b.run())
				if name == "id twice" {
					if got := b.Rows(t, `SELECT count(x), count(x_2) FROM zuora_revenue.bi3_mje`); got[0] == "0|0" {
						t.Errorf("got %s", got)
					}
				} else if c.rows > 0 {
					b.equal("BI3_MJE")
				}
				if n := b.twin.Requests("biviews/BI3_MJE"); n > c.most {
					t.Errorf("%d page requests, want at most %d", n, c.most)
				}
				if w := b.warnings(); len(w) > 0 {
					t.Errorf("warnings: %q", w)
				}
			})
		})
	}
}

// A release adds a column between two readings, and one in the middle of one.
func TestNewColumn(t *testing.T) {
	in(t, zuorarevenuetest.Options{}, map[string]string{"ZUORA_REVENUE_VIEWS": "BI3_ORG"}, func(t *testing.T, b *bench) {
		b.run()
		b.twin.AddColumn("BI3_ORG", "from_37_012")
		b.twin.Edit("BI3_ORG", 3, map[string]string{"from_37_012": "new, and quoted"})
		b.later(daily)
		b.staged(b.run())
		b.equal("BI3_ORG")
	})
}

// Cells keep what they are: commas, quotes, line ends, formulas, the word NULL.
func TestCells(t *testing.T) {
	in(t, zuorarevenuetest.Options{}, map[string]string{"ZUORA_REVENUE_VIEWS": "BI3_RC_HOLD"}, func(t *testing.T, b *bench) {
		for i, text := range []string{"a, b", `"quoted"`, "two\nlines", "NULL", " padded ", "=1+1", "00012", "Ünïcödé"} {
			b.twin.Edit("BI3_RC_HOLD", i, map[string]string{"rc_hold_comment": text})
		}
		b.staged(b.run())
		b.equal("BI3_RC_HOLD")
		if types := b.Rows(t, `SELECT DISTINCT data_type FROM information_schema.columns WHERE table_schema = 'zuora_revenue' AND column_name NOT LIKE '\_%' ESCAPE '\'`); !slices.Equal(types, []string{"VARCHAR"}) {
			t.Errorf("types are %q, want text alone", types)
		}
	})
}

func TestConfiguration(t *testing.T) {
	for name, c := range map[string]struct{ key, value, says string }{
		"a derived view":           {"VIEWS", "BI3_ORG,BI3_WF_SUMM", "derived"},
		"the other derived view":   {"VIEWS", "bi3_ln_acct_summ", "sum bi3_rc_schd"},
		"an unknown view":          {"VIEWS", "BI3_XX", "BI3_RC_LNS"},
		"an unknown mode":          {"MODE", "delta", "full or incremental"},
		"a page that is too large": {"PAGE_SIZE", "50000", "1 to 20000"},
		"plain http":               {"BASE_URL", "http://zuora.example.com", "ZUORA_REVENUE_BASE_URL"},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, zuorarevenuetest.Options{}, map[string]string{"ZUORA_REVENUE_" + c.key: c.value}, func(t *testing.T, b *bench) {
				_, err := b.Extract.Tick(t.Context(), b.f, req())
				if !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), c.says) {
					t.Errorf("got %v, want invalid that says %q", err, c.says)
				}
			})
		})
	}
}

// The keys and names that we know are the twin's.
func TestViewsAreKnown(t *testing.T) {
	all := known()
	for v := range derived {
		all = append(all, v)
	}
	slices.Sort(all)
	if diff := cmp.Diff(zuorarevenuetest.Views(), all); diff != "" || len(all) != 17 {
		t.Errorf("%d views (-twin +ours):\n%s", len(all), diff)
	}
	in(t, zuorarevenuetest.Options{}, nil, func(t *testing.T, b *bench) {
		for _, v := range views {
			for _, k := range v.key {
				if !slices.Contains(b.twin.Columns(v.name), k) {
					t.Errorf("%s has no column %s", v.name, k)
				}
			}
		}
	})
}
