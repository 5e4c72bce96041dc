package accountscore_test

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/millrace-data/millrace/functions"
	"github.com/millrace-data/millrace/functions/accountscore"
	"github.com/millrace-data/millrace/functions/thoughtindustries"
	"github.com/millrace-data/millrace/functions/zuorarevenue"
	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/follow"
	"github.com/millrace-data/millrace/shared/warehouse/snowflake"
	"github.com/millrace-data/millrace/shared/warehouse/snowflake/snowflaketest"
)

func TestScores(t *testing.T) {
	h := newTown(t)
	h.loadAll()
	if out := h.start(follow.Start{Table: "thought_industries.logins"}); len(out) != 1 || out[0].State != "loaded" || out[0].Err != nil {
		t.Fatalf("outcome %+v", out)
	}
	h.golden()
}

// The same query over Snowflake gives the same scores, to the last digit.
func TestScoresOverSnowflake(t *testing.T) {
	sf := snowflaketest.Start(snowflaketest.Options{})
	t.Cleanup(sf.Close)
	w, err := snowflake.Open(t.Context(), snowflake.Options{DSN: sf.DSN()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	h := newTown(t)
	h.Warehouse, h.Extract.Warehouse, h.Load.Warehouse = w, w, w
	h.loadAll()
	if out := h.start(follow.Start{Table: "thought_industries.logins"}); len(out) != 1 || out[0].State != "loaded" || out[0].Err != nil {
		t.Fatalf("outcome %+v", out)
	}
	h.golden()
}

// golden compares the scores with the golden ones.
func (h *town) golden() {
	h.Helper()
	got := strings.Join(append(h.scores(), ""), "\n")
	path := filepath.Join("testdata", "golden", "account_scores.txt")
	if flag.Lookup("update").Value.String() == "true" { // the flag is extracttest's
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			h.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil || string(want) != got {
		h.Errorf("scores are not the golden ones (%v); look at what changed, then run: go test -run '^TestScores$' -update\n%s", err, got)
	}
}

// The terms are what accountscore.sql says of them.
func TestTerms(t *testing.T) {
	h := newTown(t)
	h.loadAll()
	h.start(follow.Start{Table: "thought_industries.logins"})
	all := h.scores()
	if len(all) < 100 {
		t.Fatalf("%d accounts, want some hundred: the sync's guards need percents", len(all))
	}
	tiers := map[string]int{}
	for _, line := range all {
		f := strings.Split(line, "|")
		n := func(i int) float64 {
			v, err := strconv.ParseFloat(f[i], 64)
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			return v
		}
		score, revenue, active, learning, learners, signedIn := n(2), n(4), n(5), n(6), n(8), n(9)
		sum := revenue + active + learning
		if signedIn == 0 {
			sum = 0
		}
		if diff := score - sum; diff > 0.001 || diff < -0.001 {
			t.Errorf("%s: the terms sum up to %.2f", line, sum)
		}
		if revenue < 0 || revenue > 40 || active < 0 || active > 30 || learning < 0 || learning > 30 || signedIn > learners {
			t.Errorf("%s: a term is out of its range", line)
		}
		want := "bronze"
		if score >= 70 {
			want = "gold"
		} else if score >= 40 {
			want = "silver"
		}
		if f[3] != want {
			t.Errorf("%s: want %s", line, want)
		}
		tiers[f[3]]++
	}
	if tiers["gold"] < 5 || tiers["silver"] < 5 || tiers["bronze"] < 5 {
		t.Errorf("tiers %v: want some of each", tiers)
	}
}

func TestInputsMustAllBeLoaded(t *testing.T) {
	h := newTown(t)
	h.load(zuorarevenue.Function, now)
	if out := h.start(follow.Start{Table: "zuora_revenue.bi3_rc_lns"}); len(out) > 0 {
		t.Errorf("without the academy: %+v", out)
	}
	h.load(thoughtindustries.Function, now, "users", "clients", "logins")
	if out := h.start(follow.Start{Table: "thought_industries.logins"}); len(out) > 0 {
		t.Errorf("without completions: %+v", out)
	}
	h.load(thoughtindustries.Function, now, "course_completions")
	for _, msg := range h.loaded() { // every message that there was, each of them once
		h.start(follow.Start{Table: msg})
	}
	h.golden()
	if got := h.Mill.Rows(t, `SELECT count(*), max(fence) FROM millrace.slices WHERE function = 'accountscore'`); !slices.Equal(got, []string{"1|1"}) {
		t.Errorf("slices and fence %v, want one slice of one try", got)
	}
}

// A bad run: someone empties what the academy sent. The model does as it was told,
// and its own gate has nothing against it: as many accounts, scores between 0 and
// 100. What stops it is the guard of the sync, which compares with what people see.
// The demo does the same.
func TestBadInputsScoreZero(t *testing.T) {
	h := newTown(t)
	h.loadAll()
	h.start(follow.Start{Table: "thought_industries.logins"})
	before := h.scores()
	for _, bad := range []string{
		`DELETE FROM "thought_industries"."logins"`,
		`UPDATE "thought_industries"."users" SET "client_id" = NULL`,
	} {
		if _, err := h.Warehouse.DB().ExecContext(t.Context(), bad); err != nil {
			t.Fatal(err)
		}
		// No message comes of it, as nothing was loaded: a person starts it, or the
		// next load does.
		out := h.start(follow.Start{Hand: true})
		if len(out) != 1 || out[0].State != "loaded" || out[0].Rows != int64(len(before)) {
			t.Fatalf("%s: outcome %+v, want %d rows loaded", bad, out, len(before))
		}
		if zero := h.Mill.Rows(t, `SELECT count(*) FROM analytics.account_scores WHERE score = 0 AND tier = 'bronze'`); zero[0] != strconv.Itoa(len(before)) {
			t.Errorf("%s: %s accounts score 0, want all %d", bad, zero[0], len(before))
		}
	}
	if got := h.Mill.Rows(t, `SELECT count(*) FROM millrace.checks WHERE function = 'accountscore' AND verdict <> 'pass'`); got[0] != "0" {
		t.Errorf("%s checks did not pass", got[0])
	}
}

func TestClasses(t *testing.T) {
	for _, in := range functions.Inputs(functions.All, functions.Followers) {
		if in.FullName() == "analytics.account_scores" && in.Function == "accountscore" {
			return
		}
	}
	t.Error("analytics.account_scores is not among the inputs of syncs")
}

func TestOpenNamesNothingToConfigure(t *testing.T) {
	if _, err := accountscore.Function.Open(env.Map(nil), follow.Invocation{Inputs: functions.Inputs(functions.All, nil)}); err != nil {
		t.Errorf("the inputs are tables of connectors alone: %v", err)
	}
}
