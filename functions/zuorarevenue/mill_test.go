package zuorarevenue

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-data/millrace/functions/zuorarevenue/zuorarevenuetest"
	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/extract/extracttest"
	"github.com/millrace-data/millrace/shared/rest/resttest"
)

// began is when tests begin, by the bubble's clock.
var began = time.Date(2026, 2, 1, 3, 0, 0, 0, time.UTC)

// bench is a twin and a mill that reads it. All of it runs in a bubble whose clock
// is the vendor's too: waiting takes no time.
type bench struct {
	*extracttest.Mill
	t    *testing.T
	twin *zuorarevenuetest.Server
	conf map[string]string
	f    *extract.Function
}

// in runs a test in a bubble. conf replaces parts of the configuration.
func in(t *testing.T, o zuorarevenuetest.Options, conf map[string]string, test func(t *testing.T, b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(began)) // a bubble begins in 2000, before there was anything to read
		twin := zuorarevenuetest.New(o)
		conns, closeAll := resttest.Memory(twin)
		defer closeAll()
		b := &bench{t: t, twin: twin, conf: zuorarevenuetest.Env("http://127.0.0.1:1")}
		b.conf["ZUORA_REVENUE_PAGE_SIZE"] = "10"
		maps.Copy(b.conf, conf)
		mill, err := extracttest.Open(t.Context(), t.TempDir(), func(key string) (string, bool) { v, ok := b.conf[key]; return v, ok })
		if err != nil {
			t.Fatal(err)
		}
		defer mill.Warehouse.Close()
		f := *Function
		f.Open = func(cfg env.Lookup, in extract.Invocation) (extract.Source, error) {
			return open(cfg, in, transport{conns})
		}
		b.Mill, b.f = mill, &f
		test(t, b)
	})
}

// transport outlives the invocations: each of them lets go of idle connections.
type transport struct{ *http.Transport }

// run reads what is due now and returns the outcomes.
func (b *bench) run(tables ...string) []extract.Outcome {
	b.t.Helper()
	b.Outcomes = nil
	if err := b.Run(b.t.Context(), b.f, extract.Request{Tables: tables, Now: time.Now().UTC()}); err != nil {
		b.t.Fatal(err)
	}
	return b.Outcomes
}

// equal fails unless a table is the view, cell by cell.
func (b *bench) equal(view string) {
	b.t.Helper()
	b.same(view, b.expect(view))
}

// same compares a table with what was to be expected of it.
func (b *bench) same(view string, want []string) {
	b.t.Helper()
	if len(want) == 0 { // no row, no header: the table has but its key
		if got := b.Rows(b.t, "SELECT count(*) FROM zuora_revenue."+view); got[0] != "0" {
			b.t.Errorf("%s has %s rows, want none", view, got[0])
		}
		return
	}
	if diff := cmp.Diff(want, b.table(view)); diff != "" {
		b.t.Errorf("%s (-want +got):\n%s", view, diff)
	}
}

// expect is the twin's rows as texts, sorted.
func (b *bench) expect(view string) []string {
	var want []string
	for _, cells := range b.twin.Rows(view) {
		for i, c := range cells {
			if c == "" {
				cells[i] = "null"
			}
		}
		want = append(want, strings.Join(cells, "|"))
	}
	slices.Sort(want)
	return want
}

func (b *bench) table(view string) []string {
	b.t.Helper()
	got := b.Rows(b.t, fmt.Sprintf("SELECT %s FROM zuora_revenue.%s", strings.Join(b.twin.Columns(view), ", "), strings.ToLower(view)))
	slices.Sort(got)
	return got
}

// staged fails unless the last outcome is staged.
func (b *bench) staged(outcomes []extract.Outcome) {
	b.t.Helper()
	if len(outcomes) == 0 {
		b.t.Fatal("nothing was read")
	}
	if o := outcomes[len(outcomes)-1]; o.State != "staged" || o.Err != nil {
		b.t.Fatalf("slice %s of %s is %s: %v", o.Slice.ID, o.Slice.Table, o.State, o.Err)
	}
}

// warnings are the notes about completeness.
func (b *bench) warnings() []string {
	return b.Rows(b.t, `SELECT observed FROM millrace.checks WHERE rule = 'completeness'`)
}

// req asks for what is due now.
func req() extract.Request { return extract.Request{Now: time.Now().UTC()} }

// later lets the bubble's clock run.
func (b *bench) later(d time.Duration) { time.Sleep(d) }

// sound fails unless all outcomes are staged.
func (b *bench) sound(outcomes []extract.Outcome) {
	b.t.Helper()
	for i := range outcomes {
		b.staged(outcomes[:i+1])
	}
}
