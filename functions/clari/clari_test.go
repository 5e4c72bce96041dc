package clari_test

import (
	"fmt"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/millrace-data/millrace/functions/clari"
	"github.com/millrace-data/millrace/functions/clari/claritest"
	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/extract/extracttest"
)

var noon = time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)

// open serves a twin and returns a mill that reaches it.
func open(t *testing.T, o claritest.Options) (*claritest.Server, *extracttest.Mill) {
	t.Helper()
	if o.Now == nil {
		o.Now = func() time.Time { return noon }
	}
	twin := claritest.New(o)
	srv := httptest.NewServer(twin)
	t.Cleanup(srv.Close)
	return twin, extracttest.New(t, env.Map(twin.Env(srv.URL)))
}

// A day's two exports fill all five tables.
func TestDay(t *testing.T) {
	twin, m := open(t, claritest.Options{})
	if err := m.Run(t.Context(), clari.Function, extract.Request{Now: noon}); err != nil {
		t.Fatal(err)
	}
	for _, table := range claritest.Tables() {
		if want, got := fmt.Sprint(twin.Count(table)), m.Rows(t, `SELECT count(*) FROM clari.`+table); want != got[0] {
			t.Errorf("%s has %s rows, want %s", table, got[0], want)
		}
	}
	if twin.Posts() != 2 {
		t.Errorf("%d jobs were queued, want 2", twin.Posts())
	}
}
