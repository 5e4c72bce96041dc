package follow_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace-data/millrace/shared/chain"
	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/follow"
	"github.com/millrace-data/millrace/shared/warehouse"
)

func TestModelWaitsUntilAllIsLoaded(t *testing.T) {
	for _, c := range []struct {
		name, want, says string
		do               func(s *shop)
	}{
		{"nothing was ever loaded", "", "never loaded", func(*shop) {}},
		{"one input was never loaded", "", "inputs=shop.people", func(s *shop) { s.load(day(1), two) }},
		{"a slice is planned", "", "inputs=shop.people", func(s *shop) { s.both(); s.must(s.w.Plan(s.Context(), []warehouse.Slice{scan(3)})) }},
		{"a slice is read for the first time", "", "inputs=shop.orders", func(s *shop) { s.both(); s.claim(day(2)) }},
		{"a slice is read again", "", "being loaded", func(s *shop) { s.both(); s.claim(day(1)) }},
		{"a slice is staged", "", "being loaded", func(s *shop) { s.both(); s.must(s.w.Staged(s.Context(), s.claim(day(2)))) }},
		{"a slice is paused", "", "being loaded", func(s *shop) { s.both(); s.end(day(2), warehouse.Paused) }},
		{"all is loaded", "loaded", "", (*shop).both},
		{"a scan that a newer one overtook", "loaded", "", func(s *shop) { s.must(s.w.Plan(s.Context(), []warehouse.Slice{scan(1)})); s.both() }},
		{"a backfill is under way", "loaded", "", func(s *shop) { s.both(); old := day(2); old.Purpose = "backfill"; s.claim(old) }},
		{"a slice failed and was loaded since", "loaded", "", func(s *shop) { s.end(day(1), warehouse.Failed); s.both() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newShop(t)
			c.do(s)
			s.ends(c.want)
			if !strings.Contains(s.log.String(), c.says) {
				t.Errorf("the log does not say %q:\n%s", c.says, s.log.String())
			}
			if told := len(s.told); told != strings.Count(c.want, "loaded") {
				t.Errorf("%d messages", told)
			}
		})
	}
}

func TestModelIsComputedOncePerState(t *testing.T) {
	s := newShop(t)
	s.both()
	first := s.ends("loaded")
	s.totals("ann 2", "bob 0")
	if first.Rows != 2 || first.Name != "analytics.totals" {
		t.Errorf("outcome %+v", first)
	}
	ledger := `SELECT "slice" || ' ' || "fence" || ' ' || "rows_source" || ' ' || "rows_loaded" || ' ' || "loaded_at" FROM millrace.slices WHERE "function" = 'totals' ORDER BY "loaded_at"`
	checks := `SELECT "rule" || ' ' || "verdict" FROM millrace.checks WHERE "function" = 'totals' ORDER BY 1`
	before, judged := s.query(ledger), s.query(checks)
	if want := []string{"not_null:person pass", "range:n pass", "totals pass", "unique:person pass"}; !slices.Equal(judged, want) {
		t.Errorf("checks %q, want %q", judged, want)
	}
	for _, table := range []string{"shop.orders", "shop.people", "shop.orders"} { // twice, and for the other input
		if o, err := s.start(model(), follow.Start{Table: table}); err != nil || o.State != "loaded" || o.Rows != 2 {
			t.Errorf("again: %+v, %v", o, err)
		}
	}
	if after := s.query(ledger); !slices.Equal(after, before) || !slices.Equal(s.query(checks), judged) {
		t.Errorf("messages that came again computed again: %q, before %q", after, before)
	}
	if len(s.told) != 4 {
		t.Fatalf("%d messages, want one for each start", len(s.told))
	}
	for _, m := range s.told {
		if string(m.Data) != string(s.told[0].Data) {
			t.Errorf("message %s is not the first one, %s", m.Data, s.told[0].Data)
		}
	}
	s.load(day(2), `SELECT '3' AS "id", 'bob' AS "person"`)
	s.ends("loaded")
	s.totals("ann 2", "bob 1")
	if got := s.query(ledger); len(got) != 2 {
		t.Errorf("slices %q, want two states", got)
	}
	if got := s.query(`SELECT CAST("mark" AS VARCHAR) FROM millrace.marks WHERE "function" = 'totals'`); !slices.Equal(got, []string{"2026-02-02 03:00:00"}) {
		t.Errorf("mark %q, want the smallest of the inputs: of the scan", got)
	}
}

func TestModelSpeaksAsLoadDoes(t *testing.T) {
	s := newShop(t)
	s.both()
	s.ends("loaded")
	m, slice := s.told[0], s.query(`SELECT "slice" FROM millrace.slices WHERE "function" = 'totals'`)[0]
	want := fmt.Sprintf(`{"function":"totals","table":"analytics.totals","slice":%q,"rows":2,"mark":"2026-02-02T00:00:00Z"}`, slice)
	if string(m.Data) != want || m.Topic != chain.TopicLoaded || m.Key != "analytics.totals" {
		t.Errorf("message %s to %s by %s, want %s", m.Data, m.Topic, m.Key, want)
	}
	if got, want := fmt.Sprint(m.Attributes), fmt.Sprint(map[string]string{"function": "totals", "table": "analytics.totals", "slice": slice}); got != want {
		t.Errorf("attributes %s, want %s", got, want)
	}
}

func TestModelsAtTheSameTime(t *testing.T) {
	s := newShop(t)
	s.both()
	var wg sync.WaitGroup
	for range 4 {
		f := s.open(model())
		wg.Go(func() {
			out, err := f.Handle(t.Context(), follow.Start{Table: "shop.people"})
			if err != nil || len(out) != 1 || out[0].State != "loaded" {
				t.Errorf("%+v, %v", out, err)
			}
		})
	}
	wg.Wait()
	s.totals("ann 2", "bob 0")
	if got := s.query(`SELECT "slice" FROM millrace.slices WHERE "function" = 'totals'`); len(got) != 1 || len(s.told) != 4 {
		t.Errorf("slices %q and %d messages, want one slice that everybody tells of", got, len(s.told))
	}
	if got := s.query(`SELECT "rule" FROM millrace.checks WHERE "function" = 'totals'`); len(got) != 4 {
		t.Errorf("checks %q, want those of one commit", got)
	}
}

func TestModelWhoseInputWasRefused(t *testing.T) {
	for _, state := range []string{warehouse.Refused, warehouse.Failed} {
		s := newShop(t)
		s.both()
		s.ends("loaded")
		s.end(day(2), state)
		s.load(scan(3), `SELECT 'eve' AS "id"`)
		for range 2 {
			o := s.ends("refused")
			if !errors.Is(o.Err, fault.Refused) || !strings.Contains(o.Err.Error(), "slice 2026-02-02 of shop.orders was "+state+" (the vendor said so)") {
				t.Errorf("%v", o.Err)
			}
		}
		s.totals("ann 2", "bob 0")
		if got := s.query(`SELECT "state" FROM millrace.slices WHERE "function" = 'totals' ORDER BY 1`); !slices.Equal(got, []string{"loaded", "refused"}) || len(s.told) != 1 {
			t.Errorf("slices %q, %d messages", got, len(s.told))
		}
		s.load(day(2), `SELECT '3' AS "id", 'eve' AS "person"`)
		s.ends("loaded")
		s.totals("eve 1")
	}
}

func TestModelThatTheGateRefuses(t *testing.T) {
	s := newShop(t)
	s.both()
	s.ends("loaded")
	s.load(day(2), `SELECT CAST(i AS VARCHAR) AS "id", 'bob' AS "person" FROM range(10, 20) AS r(i)`)
	o := s.ends("refused")
	if !errors.Is(o.Err, fault.Refused) || !strings.Contains(o.Err.Error(), "range:n: 1 of 2 rows") {
		t.Errorf("%v", o.Err)
	}
	s.totals("ann 2", "bob 0")
	if len(s.told) != 1 || len(s.query(`SELECT "reject" FROM millrace.rejects`)) > 0 {
		t.Error("a refused model was announced, or left rejects")
	}
	mended := model()
	mended.Rules = nil
	if o, err := s.start(mended, follow.Start{Table: "shop.orders"}); err != nil || o.State != "loaded" {
		t.Fatalf("with a rule that was mended: %+v, %v", o, err)
	}
	s.totals("ann 2", "bob 10")
}

// An input is loaded after the model looked at the ledger: what it computes then is
// of no state at all, so it begins anew.
func TestInputLoadedMeanwhile(t *testing.T) {
	s := newShop(t)
	s.both()
	in, once := s.invocation(), sync.Once{}
	in.Now = func() time.Time {
		once.Do(func() { s.load(day(2), `SELECT '3' AS "id", 'bob' AS "person"`) })
		return s.now
	}
	f, err := model().Function().Open(env.Map(nil), in)
	s.must(err)
	if out, err := f.Handle(t.Context(), follow.Start{Table: "shop.orders"}); err != nil || len(out) != 1 || out[0].State != "loaded" {
		t.Fatalf("%+v, %v", out, err)
	}
	s.totals("ann 2", "bob 1")
	n := 3
	in.Now = func() time.Time {
		n++
		s.load(day(n), fmt.Sprintf(`SELECT 'o%d' AS "id", 'ann' AS "person"`, n))
		return s.now
	}
	s.load(day(3), `SELECT 'o3' AS "id", 'ann' AS "person"`)
	f, err = model().Function().Open(env.Map(nil), in)
	s.must(err)
	if _, err = f.Handle(t.Context(), follow.Start{Table: "shop.orders"}); !errors.Is(err, fault.Transient) || errors.Is(err, fault.Stale) {
		t.Errorf("inputs that never rest: %v, want it to come again", err)
	}
	s.totals("ann 2", "bob 1")
}

func TestModelByHand(t *testing.T) {
	s := newShop(t)
	s.both()
	s.ends("loaded")
	s.must(second(s.w.DB().ExecContext(t.Context(), `DELETE FROM "shop"."orders"`)))
	s.ends("loaded")
	s.totals("ann 2", "bob 0") // nothing was loaded, so there was nothing to compute
	for range 2 {
		if o, err := s.start(model(), follow.Start{Hand: true}); err != nil || o.State != "loaded" {
			t.Fatalf("%+v, %v", o, err)
		}
		s.totals("ann 0", "bob 0")
	}
	if got := s.query(`SELECT DISTINCT "slice" FROM millrace.slices WHERE "function" = 'totals'`); len(got) != 3 {
		t.Errorf("slices %q, want three", got)
	}
	if o, err := s.start(model(), follow.Start{Hand: true, Only: []string{"another"}}); err != nil || o.State != "" {
		t.Errorf("a start of another: %+v, %v", o, err)
	}
	if o, err := s.start(model(), follow.Start{Table: "shop.others"}); err != nil || o.State != "" {
		t.Errorf("a table that it does not read: %+v, %v", o, err)
	}
}

func second[A any](_ A, err error) error { return err }

func TestModelWhoseQueryFails(t *testing.T) {
	s := newShop(t)
	s.both()
	m := model()
	m.Query = `SELECT "nobody" FROM "shop"."orders"`
	for range 2 {
		o, err := s.start(m, follow.Start{Table: "shop.orders"})
		if err != nil || o.State != warehouse.Failed || !errors.Is(o.Err, fault.Invalid) {
			t.Fatalf("%+v, %v", o, err)
		}
	}
	if got := s.query(`SELECT "state" || ' ' || "error_kind" FROM millrace.slices WHERE "function" = 'totals'`); !slices.Equal(got, []string{"failed invalid"}) {
		t.Errorf("ledger %q", got)
	}
	s.ends("loaded") // with a query that was mended
	s.totals("ann 2", "bob 0")
}

func TestModelIsAnnouncedAgainAfterAFailure(t *testing.T) {
	s := newShop(t)
	s.both()
	s.deaf = errors.New("the topic is gone")
	if _, err := s.start(model(), follow.Start{Table: "shop.orders"}); fault.Of(err) != fault.Transient || !strings.Contains(err.Error(), "is loaded, but saying so failed") {
		t.Errorf("%v, want it to come again", err)
	}
	s.deaf = nil
	s.ends("loaded")
	if len(s.told) != 1 {
		t.Errorf("%d messages, want 1", len(s.told))
	}
}

func TestModelOfUnknownInputs(t *testing.T) {
	s := newShop(t)
	m := model()
	m.Reads = []string{"shop.orders", "shop.ordres"}
	if _, err := m.Function().Open(env.Map(nil), s.invocation()); !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "shop.ordres") {
		t.Errorf("%v", err)
	}
}
