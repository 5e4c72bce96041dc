package reverse_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-data/millrace/shared/reverse"
)

// TestInputsBlockAPlan holds the ledger's state against guards in every warehouse.
func TestInputsBlockAPlan(t *testing.T) {
	everywhere(t, func(w *world) {
		const schema = "src"
		w.exec(`CREATE SCHEMA IF NOT EXISTS "src"`)
		w.exec(`CREATE TABLE "src"."accounts" AS ` + rows("a,1,A"))
		hour := func(h int) time.Time { return clock.Truncate(24 * time.Hour).Add(time.Duration(h) * time.Hour) }
		slice := func(table string, from, to int, state string) {
			var loaded any
			if state == "loaded" {
				loaded = hour(to)
			}
			w.exec(`INSERT INTO "millrace"."slices" ("function", "table_name", "slice", "purpose", "range_from", "range_to", "state", "error", "updated_at", "loaded_at") VALUES (?, ?, ?, 'live', ?, ?, ?, 'a cause', ?, ?)`,
				schema, table, hour(from).Format("15h"), hour(from), hour(to), state, hour(to), loaded)
		}
		for _, table := range []string{"accounts", "refused", "failed", "gappy", "young", "old", "marked", "never"} {
			if table != "never" {
				slice(table, 0, 1, "loaded")
			}
		}
		slice("refused", 1, 2, "refused")
		w.exec(`INSERT INTO "millrace"."checks" ("function", "table_name", "slice", "fence", "rule", "observed", "expected", "verdict") VALUES ('src', 'refused', '01h', 1, 'volume', '3 rows', '100', 'refuse')`)
		slice("failed", 1, 2, "failed")
		slice("gappy", 2, 5, "loaded")
		slice("never", 0, 1, "planned")
		slice("young", 1, 5, "loaded")
		slice("accounts", 1, 5, "loaded")
		slice("marked", 1, 5, "loaded")
		w.exec(`INSERT INTO "millrace"."marks" ("function", "table_name", "mark") VALUES ('src', 'marked', ?)`, hour(1))

		j := job(`SELECT "k", "score", "tier" FROM "src"."accounts" /* no src.young */ WHERE NOT ('src.young' = 'refused.failed')`)
		if p := w.plan(j, reverse.PlanOptions{}); len(p.Blocked) > 0 || p.State != reverse.PlanReady {
			t.Errorf("of a table that is fine: %+v", p.Blocked)
		}
		for _, c := range []struct{ table, want string }{
			{"refused", "its newest slice 01h was refused: rule volume observed 3 rows and expects 100"},
			{"failed", "its newest slice 01h failed: a cause"},
			{"gappy", "nothing is loaded from 2026-03-04T01:00:00Z to 2026-03-04T02:00:00Z, and something after it"},
			{"never", "it was never loaded"},
			{"young", ""},
			{"old", "it was loaded last at 2026-03-04T01:00:00Z, which is 4h6m ago"},
			{"marked", "it is complete up to 2026-03-04T01:00:00Z, which is 4h6m ago"},
		} {
			j.After, j.Guards.Inputs = "src."+c.table, &reverse.Inputs{MaxAge: 2 * time.Hour}
			p := w.plan(j, reverse.PlanOptions{})
			var want, got []string
			if c.want != "" {
				want = []string{"input src." + c.table + ": " + c.want}
			}
			for _, b := range p.Blocked {
				got = append(got, b.Guard+": "+b.Observed)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if (p.State == reverse.PlanBlocked) != (c.want != "") {
				t.Errorf("%s: plan is %s", c.table, p.State)
			}
		}
	})
}

func TestClassesBlockAPlan(t *testing.T) {
	w := newWorld(t, embedded(t))
	w.exec(`CREATE SCHEMA "src"`)
	w.exec(`CREATE TABLE "src"."people" AS ` + rows("a,1,A"))
	w.Inputs = []reverse.Input{{Function: "src", Schema: "src", Table: "people", Classes: map[string]string{"score": "mnpi"}}}
	j := job("SELECT k, score, tier FROM src.people")
	p := w.plan(j, reverse.PlanOptions{})
	if len(p.Blocked) != 1 || p.Blocked[0].Guard != "class mnpi" || p.State != reverse.PlanBlocked {
		t.Errorf("got %s, %+v", p.State, p.Blocked)
	}
	j.Classes = []string{"mnpi"}
	if p := w.plan(j, reverse.PlanOptions{}); len(p.Blocked) > 0 || p.State != reverse.PlanReady {
		t.Errorf("allowed: got %s, %+v", p.State, p.Blocked)
	}
}
