package accountscore_test

import (
	"context"
	"flag"
	"log/slog"
	"maps"
	"net/http/httptest"
	"os"
	"path/filepath"

	"strings"
	"testing"
	"time"

	"github.com/millrace-data/millrace/functions"
	"github.com/millrace-data/millrace/functions/accountscore"
	"github.com/millrace-data/millrace/functions/thoughtindustries"
	"github.com/millrace-data/millrace/functions/thoughtindustries/thoughtindustriestest"
	"github.com/millrace-data/millrace/functions/zuorarevenue"
	"github.com/millrace-data/millrace/functions/zuorarevenue/zuorarevenuetest"
	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/extract/extracttest"
	"github.com/millrace-data/millrace/shared/follow"
)

var now = time.Date(2025, 1, 9, 6, 0, 0, 0, time.UTC)

// town is both vendors, a mill that loads what the model reads, and the model.
type town struct {
	*extracttest.Mill
	*testing.T
	academy *thoughtindustriestest.Server
	revenue *zuorarevenuetest.Server
}

func newTown(t *testing.T) *town {
	t.Helper()
	h := &town{T: t, academy: thoughtindustriestest.New(thoughtindustriestest.Options{Seed: 1, Events: 60, Users: 400, Others: 60}),
		revenue: zuorarevenuetest.New(zuorarevenuetest.Options{Seed: 1, Some: 120, From: now.AddDate(-1, 0, 0), To: now})}
	a, r := httptest.NewServer(h.academy), httptest.NewServer(h.revenue)
	t.Cleanup(a.Close)
	t.Cleanup(r.Close)
	conf := zuorarevenuetest.Env(r.URL)
	maps.Copy(conf, map[string]string{"ZUORA_REVENUE_VIEWS": "BI3_RC_LNS",
		"THOUGHT_INDUSTRIES_BASE_URL": a.URL, "THOUGHT_INDUSTRIES_API_KEY": thoughtindustriestest.DefaultKey})
	h.Mill = extracttest.New(t, env.Map(conf))
	return h
}

func (h *town) load(f *extract.Function, at time.Time, tables ...string) {
	h.Helper()
	if err := h.Mill.Run(h.Context(), f, extract.Request{Now: at, Tables: tables}); err != nil {
		h.Fatal(err)
	}
}

func (h *town) loadAll() {
	h.Helper()
	h.load(zuorarevenue.Function, now)
	h.load(thoughtindustries.Function, now, "users", "clients", "logins", "course_completions")
}

// start gives the model every message of a load, oldest first, as a platform does.
func (h *town) start(s follow.Start) []follow.Outcome {
	h.Helper()
	f, err := accountscore.Function.Open(env.Map(nil), follow.Invocation{Warehouse: h.Warehouse, Chain: h.Mill, Inputs: functions.Inputs(functions.All, functions.Followers),
		Log: slog.New(slog.DiscardHandler), Now: time.Now, Owner: "test", Lease: time.Minute})
	if err != nil {
		h.Fatal(err)
	}
	out, err := f.Handle(context.WithoutCancel(h.Context()), s)
	if err != nil {
		h.Fatal(err)
	}
	return out
}

const scores = `SELECT account_key, name, score, tier, revenue_points, active_points, learning_points, revenue, learners, active, completions FROM analytics.account_scores ORDER BY account_key`

func TestScores(t *testing.T) {
	h := newTown(t)
	h.loadAll()
	out := h.start(follow.Start{Table: "thought_industries.logins"})
	if len(out) != 1 || out[0].State != "loaded" || out[0].Err != nil {
		t.Fatalf("outcome %+v", out)
	}
	got := strings.Join(append(h.Rows(t, scores), ""), "\n")
	path := filepath.Join("testdata", "golden", "account_scores.txt")
	if flag.Lookup("update").Value.String() == "true" { // the flag is extracttest's
		os.MkdirAll(filepath.Dir(path), 0o755)
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil || string(want) != got {
		t.Errorf("scores are not the golden ones (%v):\n%s", err, got)
	}

}
