package salesforcesync_test

import (
	"errors"
	"log/slog"
	"maps"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-data/millrace/functions/salesforcesync"
	"github.com/millrace-data/millrace/functions/salesforcesync/salesforcetest"
	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/follow"
	"github.com/millrace-data/millrace/shared/reverse"
	"github.com/millrace-data/millrace/shared/warehouse"
	"github.com/millrace-data/millrace/shared/warehouse/duckdb"
)

const followed = `
name: NAME
owner: ops@example.com
query: select k, score from crm.NAME
object: Account
operation: update
external_id: DW_Key__c
key: k
fields: {score: FIELD}
approval: APPROVAL
classes: []
guards:
  writes: {max: 100}
  fields: {FIELD: {zeroed: {max: 1}}}
`

// shop is the function with three syncs: by_load follows a table and needs no
// approval, by_hand follows it and needs one, by_day has a schedule.
type shop struct {
	*testing.T
	twin      *salesforcetest.Server
	warehouse *warehouse.Warehouse
	env       map[string]string
	now       time.Time
}

func newShop(t *testing.T) *shop {
	t.Helper()
	s := &shop{T: t, twin: salesforcetest.New(salesforcetest.Options{}), now: time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC)}
	srv := httptest.NewServer(s.twin)
	t.Cleanup(srv.Close)
	var err error
	if s.warehouse, err = duckdb.Open(t.Context(), duckdb.Options{Path: filepath.Join(t.TempDir(), "w.duckdb"), Memory: "256MiB", Threads: 1}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.warehouse.Close() })
	s.env = salesforcetest.Env(srv.URL)
	s.env["SALESFORCE_SYNCS"] = t.TempDir()
	s.exec(`CREATE SCHEMA crm`)
	for _, j := range [][4]string{{"by_load", "Score__c", "auto", "after: crm.by_load"}, {"by_hand", "Seats__c", "required", "after: crm.by_load"}, {"by_day", "ARR__c", "auto", `schedule: "0 6 * * *"`}} {
		text := strings.NewReplacer("NAME", j[0], "FIELD", j[1], "APPROVAL", j[2]).Replace(followed) + j[3] + "\n"
		if err := os.WriteFile(filepath.Join(s.env["SALESFORCE_SYNCS"], j[0]+".yml"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		s.exec(`CREATE TABLE crm.` + j[0] + ` AS SELECT * FROM (VALUES ('k1', 10), ('k2', 20)) AS t(k, score)`)
	}
	for _, k := range []string{"k1", "k2"} {
		s.twin.Insert("Account", map[string]string{"Name": "Account " + k, "DW_Key__c": k, "Score__c": "5", "Seats__c": "5", "ARR__c": "5"})
	}
	return s
}

func (s *shop) exec(q string, args ...any) {
	s.Helper()
	if _, err := s.warehouse.DB().ExecContext(s.Context(), q, args...); err != nil {
		s.Fatal(err)
	}
}

// loaded says in the ledger that crm.by_load was loaded just now.
func (s *shop) loaded() {
	s.Helper()
	s.exec(`DELETE FROM millrace.slices`)
	s.exec(`INSERT INTO millrace.slices ("function", "table_name", "slice", "purpose", "state", "fence", "attempt", "loaded_at", "updated_at") VALUES ('crm', 'by_load', 's1', 'live', 'loaded', 1, 1, ?, ?)`, s.now, s.now)
}

// start starts the function and returns what it did, as NAME STATE.
func (s *shop) start(start follow.Start) (did []string) {
	s.Helper()
	f, err := salesforcesync.Function.Open(env.Map(maps.Clone(s.env)), follow.Invocation{Warehouse: s.warehouse, Log: slog.New(slog.DiscardHandler),
		Now: func() time.Time { return s.now }, Owner: "test", Scratch: s.TempDir(), Inputs: []reverse.Input{{Function: "crm", Schema: "crm", Table: "by_load"}}})
	if err != nil {
		s.Fatal(err)
	}
	if got := f.Follows(); !slices.Equal(got, []string{"crm.by_load"}) {
		s.Errorf("it follows %q", got)
	}
	out, err := f.Handle(s.Context(), start)
	if err != nil {
		s.Fatal(err)
	}
	for _, o := range out {
		did = append(did, o.Name+" "+o.State)
	}
	slices.Sort(did)
	return did
}

func (s *shop) expect(what string, got []string, want ...string) {
	s.Helper()
	if !slices.Equal(got, want) {
		s.Errorf("%s: it did %q, want %q", what, got, want)
	}
}

func (s *shop) stands(field, want string) {
	s.Helper()
	if got := s.twin.Get("Account", "DW_Key__c", "k1")[field]; got != want {
		s.Errorf("%s is %q, want %q", field, got, want)
	}
}

func TestStarts(t *testing.T) {
	s := newShop(t)
	s.loaded()
	s.expect("a load", s.start(follow.Start{Table: "crm.by_load"}), "by_hand ready", "by_load applied")
	s.stands("Score__c", "10")
	s.stands("Seats__c", "5") // nobody approved it
	s.expect("the same load", s.start(follow.Start{Table: "crm.by_load"}), "by_hand ready", "by_load applied")
	if n := s.twin.WriteCount(); n != 2 {
		t.Errorf("%d records were written, want 2", n)
	}
	s.expect("a table that nobody follows", s.start(follow.Start{Table: "crm.other"}))
	s.expect("the first tick", s.start(follow.Start{At: s.now}), "by_day applied")
	s.stands("ARR__c", "10")
	s.now = s.now.Add(time.Hour)
	s.expect("a tick before the next day", s.start(follow.Start{At: s.now}))
	s.now = s.now.Add(24 * time.Hour)
	s.exec(`UPDATE crm.by_day SET score = 11`)
	s.expect("a tick on the next day", s.start(follow.Start{At: s.now}), "by_day applied")
	s.stands("ARR__c", "11")
	s.exec(`UPDATE crm.by_load SET score = 12`)
	s.now = s.now.Add(time.Minute)
	s.loaded()
	s.expect("a tick after a load whose message was lost", s.start(follow.Start{At: s.now}), "by_hand ready", "by_load applied")
}

func TestStartByHand(t *testing.T) {
	s := newShop(t)
	s.expect("one", s.start(follow.Start{Hand: true, Only: []string{"by_day"}}), "by_day applied")
	s.expect("all", s.start(follow.Start{Hand: true}), "by_day applied", "by_hand ready", "by_load applied")
	f, err := salesforcesync.Function.Open(env.Map(s.env), follow.Invocation{Warehouse: s.warehouse, Log: slog.New(slog.DiscardHandler), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Handle(t.Context(), follow.Start{Hand: true, Only: []string{"by_nigth"}}); !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "by_nigth") {
		t.Errorf("a sync that is not there: got %v, want invalid", err)
	}
}

// What a guard blocks is said, and does not keep the other syncs from their turn.
func TestBlocked(t *testing.T) {
	s := newShop(t)
	s.loaded()
	s.exec(`UPDATE crm.by_load SET score = 0`)
	s.expect("a load of zeros", s.start(follow.Start{Table: "crm.by_load"}), "by_hand ready", "by_load blocked")
	s.stands("Score__c", "5")
}

// The day's requests are used up in the middle: the plan is paused, and a later tick
// ends it.
func TestPausedGoesOn(t *testing.T) {
	s := newShop(t)
	s.loaded()
	s.twin.SetUsage(99_900, 100_000)
	s.expect("few requests are left", s.start(follow.Start{Table: "crm.by_load"}), "by_hand paused", "by_load paused")
	s.stands("Score__c", "5")
	s.twin.SetUsage(0, 100_000)
	s.now = s.now.Add(2 * time.Hour)
	s.loaded()
	got := s.start(follow.Start{At: s.now})
	if !slices.Contains(got, "by_load applied") {
		t.Errorf("on the next tick it did %q", got)
	}
	s.stands("Score__c", "10")
}
