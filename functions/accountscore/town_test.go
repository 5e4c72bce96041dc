package accountscore_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"net/http/httptest"
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
	"github.com/millrace-data/millrace/shared/load"
)

var now = time.Date(2025, 1, 9, 6, 0, 0, 0, time.UTC)

// town is both vendors, a mill that loads what the model reads, and the model.
type town struct {
	*extracttest.Mill
	*testing.T
	dir   string
	point func(string)
}

func newTown(t *testing.T) *town {
	t.Helper()
	academy := httptest.NewServer(thoughtindustriestest.New(thoughtindustriestest.Options{Seed: 1, Events: 90, Users: 800, Others: 200}))
	t.Cleanup(academy.Close)
	revenue := httptest.NewServer(zuorarevenuetest.New(zuorarevenuetest.Options{Seed: 1, Some: 300, From: now.AddDate(-1, 0, 0), To: now,
		Columns: map[string][]string{"BI3_RC_LNS": {"id", "rc_id", "ext_sll_prc", "cstmr_nm", "cust_num", "incr_updt_dt"}}})) // all 336 are too much for the stand-in of Snowflake
	t.Cleanup(revenue.Close)
	conf := zuorarevenuetest.Env(revenue.URL)
	maps.Copy(conf, map[string]string{"ZUORA_REVENUE_VIEWS": "BI3_RC_LNS",
		"THOUGHT_INDUSTRIES_BASE_URL": academy.URL, "THOUGHT_INDUSTRIES_API_KEY": thoughtindustriestest.DefaultKey})
	h := &town{T: t, dir: t.TempDir()}
	var err error
	if h.Mill, err = extracttest.Open(t.Context(), h.dir, env.Map(conf)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Mill.Warehouse.Close() })
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

// loaded is the tables of the messages so far, oldest first.
func (h *town) loaded() (out []string) {
	h.Helper()
	for _, msg := range h.Loaded {
		var l load.Loaded
		if err := json.Unmarshal(msg.Data, &l); err != nil {
			h.Fatal(err)
		}
		out = append(out, l.Table)
	}
	return out
}

// start opens the model, as a platform does for each invocation, and starts it.
func (h *town) start(s follow.Start) []follow.Outcome {
	h.Helper()
	out, err := start(h.Context(), h.Mill, h.point, s)
	if err != nil {
		h.Fatal(err)
	}
	return out
}

func start(ctx context.Context, m *extracttest.Mill, point func(string), s follow.Start) ([]follow.Outcome, error) {
	f, err := accountscore.Function.Open(env.Map(nil), follow.Invocation{Warehouse: m.Warehouse, Chain: m, Inputs: functions.Inputs(functions.All, functions.Followers),
		Log: slog.New(slog.DiscardHandler), Now: time.Now, Owner: "test", Lease: time.Minute, Point: point})
	if err != nil {
		return nil, err
	}
	return f.Handle(ctx, s)
}

// scores is the rows of the table, as portable SQL reads them.
func (h *town) scores() (out []string) {
	h.Helper()
	cols := strings.Fields("account_key name score tier revenue_points active_points learning_points revenue learners active completions")
	for i, c := range cols {
		cols[i] = `CAST("` + c + `" AS VARCHAR)`
	}
	rows, err := h.Warehouse.DB().QueryContext(h.Context(), `SELECT `+strings.Join(cols, ", ")+` FROM "analytics"."account_scores" ORDER BY 1`)
	if err != nil {
		h.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		cells, dest := make([]string, len(cols)), make([]any, len(cols))
		for i := range cells {
			dest[i] = &cells[i]
		}
		if err := rows.Scan(dest...); err != nil {
			h.Fatal(err)
		}
		out = append(out, strings.Join(cells, "|"))
	}
	if err := rows.Err(); err != nil {
		h.Fatal(err)
	}
	return out
}
