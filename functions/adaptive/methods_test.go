package adaptive_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-data/millrace/functions/adaptive"
	"github.com/millrace-data/millrace/functions/adaptive/adaptivetest"
	"github.com/millrace-data/millrace/shared/extract/extracttest"
)

// All 23 methods have a table, also those with nothing to give.
func TestEveryMethod(t *testing.T) {
	twin, m := open(t, adaptivetest.Options{})
	run(t, m, 0)
	same(t, twin, m)
	if len(adaptive.Function.Tables) != 23 {
		t.Errorf("%d tables, want one for each of 23 methods", len(adaptive.Function.Tables))
	}
	counts := map[string]string{"versions": "10", "accounts": "7", "levels": "5", "dimensions": "3", "groups": "0", "dimension_mapping": "0",
		"permission_sets": "1", "locales": "2", "customer_logo": "1", "configurable_model_data": "2", "sheet_definition": "2", "users": "2"}
	for _, table := range adaptive.Function.Tables {
		got := m.Rows(t, `SELECT count(*) FROM `+table.FullName())[0]
		if want := counts[table.Name]; want != "" && got != want {
			t.Errorf("%s has %s rows, want %s", table.Name, got, want)
		}
	}
	want := []string{
		`account|Total & all|1|TOTAL|null|{"code":"TOTAL","id":"1","name":"Total & all"}`,
		`account|Total & all/Account 0|10|ACC.000|1|{"code":"ACC.000","id":"10","name":"Account 0"}`,
		`attribute|Total & all/Account 0/attribute|null|null|10|{"attributeId":"5","value":"yes"}`,
	}
	if diff := cmp.Diff(want, m.Rows(t, `SELECT element, path, id, code, parent_id, attributes FROM adaptive.accounts ORDER BY position LIMIT 3`)); diff != "" {
		t.Errorf("accounts (-want +got):\n%s", diff)
	}
	want = []string{"41|40|Shared with Data/FY27 Plan & Stretch|false|true", "42|40|Shared with Data/Old|true|false", `43|40|Shared with Data/July'26 "Fcst" <v2>|false|false`,
		`44|43|Shared with Data/July'26 "Fcst" <v2>/Downside|false|false`}
	if diff := cmp.Diff(want, m.Rows(t, `SELECT id, parent_id, path, is_folder, is_locked FROM adaptive.versions WHERE id BETWEEN 41 AND 44 ORDER BY 1`)); diff != "" {
		t.Errorf("versions (-want +got):\n%s", diff)
	}
	if got := m.Rows(t, `SELECT attributes FROM adaptive.configurable_model_data ORDER BY position LIMIT 1`)[0]; got != `{"01/2026":"2.0","Name":"Holt, Mira","Row Id":"1"}` {
		t.Errorf("a line of a modeled sheet is %s", got)
	}
}

// A method that the tenant does not have leaves what was there, and says so.
func TestMethodUnavailable(t *testing.T) {
	twin, m := open(t, adaptivetest.Options{Lacks: []string{"exportRoles"}})
	run(t, m, 0, "roles", "locales")
	if got := m.Rows(t, `SELECT (SELECT count(*) FROM adaptive.roles), (SELECT count(*) FROM adaptive.locales)`); got[0] != "0|2" {
		t.Fatalf("roles and locales have %s rows, want 0 and 2", got[0])
	}
	warning := `SELECT count(*) FROM millrace.checks WHERE verdict = 'warn' AND observed LIKE '%not available%' AND table_name = `
	if got := m.Rows(t, warning+`'roles'`); got[0] != "1" {
		t.Errorf("%s warnings, want 1", got[0])
	}
	twin.Inject(adaptivetest.Refuse())
	run(t, m, 1, "locales")
	if got := m.Rows(t, `SELECT count(*) FROM adaptive.locales`); got[0] != "2" {
		t.Errorf("locales has %s rows after the method went away, want those it had", got[0])
	}
}

// A method that is known to exist must not be refused in silence.
func TestKnownMethodRefused(t *testing.T) {
	_, m := open(t, adaptivetest.Options{Lacks: []string{"exportAccounts"}})
	run(t, m, 0, "accounts")
	if o := m.Outcomes[0]; o.State != "failed" || !strings.Contains(o.Err.Error(), "not available") {
		t.Errorf("got %s, %v", o.State, o.Err)
	}
}

func TestConnector(t *testing.T) {
	extracttest.Connector(t, adaptive.Function, func(size int) extracttest.Twin {
		twin := adaptivetest.New(adaptivetest.Options{Seed: 1, Levels: 3 * size, Periods: 14})
		return extracttest.Twin{Handler: twin, Env: twin.Env, Now: noon, Secrets: []string{adaptivetest.Password},
			Count: twin.Count, NoDrift: "a field more is an attribute or a dimension; a header that lacks is refused, an attribute that lacks is null", Tables: []string{"reporting", "versions", "accounts", "locales"},
			Late: func() time.Time {
				twin.SetValue(43, 0, 0, 0, "77")
				return noon.AddDate(0, 0, 1)
			}}
	})
}
