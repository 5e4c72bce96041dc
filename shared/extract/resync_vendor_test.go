package extract_test

import (
	"fmt"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/millrace-data/millrace/functions/ociusage"
	"github.com/millrace-data/millrace/functions/ociusage/ociusagetest"
	"github.com/millrace-data/millrace/functions/thoughtindustries"
	"github.com/millrace-data/millrace/functions/thoughtindustries/thoughtindustriestest"
	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/extract/extracttest"
	"github.com/millrace-data/millrace/shared/warehouse"
)

// vendor is a real connector with its twin.
func vendor(t *testing.T, f *extract.Function, vars map[string]string, table string, at time.Time) (*extracttest.Mill, func() extract.Verdict) {
	t.Helper()
	m := extracttest.New(t, env.Map(vars))
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(m.Run(t.Context(), f, extract.Request{Tables: []string{table}, Now: at}))
	return m, func() extract.Verdict {
		t.Helper()
		x, err := extract.NewResync(f, env.Map(vars), table, at)
		must(err)
		x.Warehouse = m.Warehouse
		must(x.Prepare(t.Context()))
		must(m.Run(t.Context(), x.Function(), extract.Request{Now: at}))
		v, err := x.Finish(t.Context(), extract.Choice{})
		must(err)
		return v
	}
}

func TestResyncOfUsers(t *testing.T) {
	twin := thoughtindustriestest.New(thoughtindustriestest.Options{})
	srv := httptest.NewServer(twin)
	t.Cleanup(srv.Close)
	vars := map[string]string{"THOUGHT_INDUSTRIES_BASE_URL": srv.URL, "THOUGHT_INDUSTRIES_API_KEY": thoughtindustriestest.DefaultKey}
	m, resync := vendor(t, thoughtindustries.Function, vars, "users", time.Date(2025, 1, 8, 2, 0, 0, 0, time.UTC))
	n := int64(twin.Count("users"))
	twin.SetUser(0, map[string]any{"firstName": "Renamed"}) // an edit that the daily tail does not see
	v := resync()
	if want := fmt.Sprintf("swapped added 0 removed 0 changed 1 same %d", n-1); tallied(v) != want {
		t.Errorf("got %s, want %s; %v", tallied(v), want, v.Why)
	}
	if len(v.Examples) != 1 || !slices.Equal(v.Examples[0].Columns, []string{"first_name"}) {
		t.Errorf("examples %v, want one whose first_name differs", v.Examples)
	}
	if got := m.Rows(t, `SELECT count(*) FROM thought_industries.users WHERE first_name = 'Renamed'`); got[0] != "1" {
		t.Errorf("%s users have the new name, want 1", got[0])
	}
}

func TestResyncOfFiles(t *testing.T) {
	april := time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)
	twin := ociusagetest.New(ociusagetest.Options{Seed: 1})
	twin.Generate(ociusagetest.Plan{Table: "cost_report", From: april.AddDate(0, -1, 0), Files: 12, Rows: 60})
	srv := httptest.NewServer(twin)
	t.Cleanup(srv.Close)
	m, resync := vendor(t, ociusage.Function, ociusagetest.Env(srv.URL), "cost_report", april)
	if v := resync(); v.Outcome != warehouse.Same || v.Live == 0 {
		t.Errorf("got %s of %d rows, want the same", tallied(v), v.Live)
	}
	names := twin.Names(ociusagetest.Prefix("cost_report"))
	rows, err := twin.Rows(names[0])
	if err != nil {
		t.Fatal(err)
	}
	twin.Delete(names[0]) // the year is over
	v := resync()
	if v.Removed != int64(len(rows)) || v.Added+v.Changed != 0 {
		t.Errorf("got %s, want %d removed", tallied(v), len(rows))
	}
	if want := fmt.Sprint(twin.Expect("cost_report").Rows); v.Outcome != warehouse.Swapped || m.Rows(t, `SELECT count(*) FROM oci.cost_report`)[0] != want {
		t.Errorf("outcome %s (%v): want a table swapped to the bucket's %s rows", v.Outcome, v.Why, want)
	}
}
