package main

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/follow"
	"github.com/millrace-data/millrace/shared/platform/local"
	"github.com/millrace-data/millrace/shared/record"
)

// courier is a sync that needs CRM_URL; mood says how it ends: block, fail or idle.
type courier struct{ mood string }

func (c courier) function() *follow.Function {
	return &follow.Function{Name: "crm", Doc: "Writes.", Open: func(cfg env.Lookup, _ follow.Invocation) (follow.Follower, error) {
		var v struct {
			URL string `envconfig:"URL" required:"true" doc:"where it is"`
			Key string `envconfig:"KEY" required:"true" doc:"its key"`
		}
		return c, env.Load(cfg, "CRM", &v)
	}}
}

func (courier) Follows() []string { return []string{"shop.sales"} }

func (c courier) Handle(_ context.Context, s follow.Start) ([]follow.Outcome, error) {
	o := follow.Outcome{Name: "daily", State: "applied", Rows: 4}
	switch c.mood {
	case "block":
		o = follow.Outcome{Name: "daily", State: "blocked", Err: fault.New(fault.Refused, "score zeroed: 9, allowed 1")}
	case "idle":
		return nil, nil
	case "fail":
		return nil, fault.New(fault.Auth, "the key is refused")
	}
	if len(s.Only) > 0 {
		o.Name = s.Only[0]
	}
	return []follow.Outcome{o}, nil
}

// What tables start is told beside a run, and ends nothing of it.
func TestRunStartsFollower(t *testing.T) {
	for mood, want := range map[string]string{"": "then crm: ok\n  daily applied, 4 rows", "block": "then crm: refused\n  daily blocked, 0 rows: score zeroed: 9, allowed 1",
		"fail": "then crm: failed\n  failed, 0 rows: the key is refused", "absent": ""} {
		d := newDesk(t, "")
		d.ff = []*follow.Function{courier{mood}.function()}
		if mood != "absent" {
			d.vars["CRM_URL"], d.vars["CRM_KEY"] = "x", "k"
		}
		out, errs, code := d.do(t, "run", "shop", "--now", now)
		if code != 0 || !strings.Contains(out, want) || strings.Contains(out, "then") != (want != "") {
			t.Errorf("%q: got %d %s%s, want %s", mood, code, out, errs, want)
		}
	}
}

func TestRunFollowerByHand(t *testing.T) {
	d := newDesk(t, "")
	d.vars["CRM_URL"], d.vars["CRM_KEY"] = "x", "k"
	for _, tc := range []struct {
		mood string
		args []string
		code int
		want string
	}{
		{"", []string{"run", "crm", "--json", "--table", "weekly"}, exitOK, `"sync": "weekly"`},
		{"", []string{"run", "crm"}, exitOK, "daily applied, 4 rows"},
		{"block", []string{"run", "crm", "--json"}, exitRefused, `"kind": "refused"`},
		{"fail", []string{"run", "crm"}, exitFailed, "the key is refused"},
		{"", []string{"run", "crm", "--from", "2026-01-01"}, exitUsage, "without dates"},
		{"", []string{"backfill", "crm", "--from", "2026-01-01", "--to", "2026-02-01"}, exitUsage, "without dates"},
		{"", []string{"resync", "crm", "--table", "x"}, exitUsage, "use millrace run crm"},
		{"", []string{"run", "crn"}, exitUsage, "no function"},
	} {
		d.ff = []*follow.Function{courier{tc.mood}.function()}
		out, errs, code := d.do(t, tc.args...)
		if code != tc.code || !strings.Contains(out+errs, tc.want) {
			t.Errorf("%v: got %d %s%s, want %d %s", tc.args, code, out, errs, tc.code, tc.want)
		}
		if rep := new(local.Report); tc.args[len(tc.args)-1] == "--json" && (json.Unmarshal([]byte(out), rep) != nil || len(rep.Syncs) != 1) {
			t.Errorf("%v: got %s", tc.args, out)
		}
	}
	d.ff = []*follow.Function{courier{"idle"}.function()}
	if out, errs, code := d.do(t, "run", "crm"); code != exitOK || !strings.Contains(out, "nothing to do") {
		t.Errorf("idle: got %d %s%s", code, out, errs)
	}
	d.in = `{"function":"crm"}`
	d.ff = []*follow.Function{courier{}.function()}
	if out, errs, code := d.do(t, "invoke", "crm", "--event", "-"); code != exitOK || !strings.Contains(out, "daily applied") {
		t.Errorf("a tick: got %d %s%s", code, out, errs)
	}
}

// What a follower lacks is named to who asks for it, and is a failure once somebody
// began to configure it.
func TestFollowerLacks(t *testing.T) {
	d := newDesk(t, "")
	d.ff = []*follow.Function{courier{}.function()}
	for _, args := range [][]string{{"run", "crm"}, {"invoke", "crm", "--event", "-"}} {
		if _, errs, code := d.do(t, args...); code != exitUsage || !strings.Contains(errs, "CRM_URL") || !strings.Contains(errs, "CRM_KEY") {
			t.Errorf("%v: got %d %s", args, code, errs)
		}
	}
	if out, _, code := d.do(t, "doctor"); code != exitOK || !strings.Contains(out, "CRM_URL") {
		t.Errorf("got %d %s", code, out)
	}
	d.vars["CRM_URL"] = "x"
	if out, _, code := d.do(t, "doctor"); code != exitUsage || !strings.Contains(out, "CRM_KEY") {
		t.Errorf("got %d %s", code, out)
	}
	d.vars["CRM_KEY"] = "k"
	if out, _, code := d.do(t, "doctor"); code != exitOK || !strings.Contains(out, "function crm") {
		t.Errorf("got %d %s", code, out)
	}
}

// A table that a follower fills has its place in status; a sync has none.
func TestStatusOfFollower(t *testing.T) {
	d := newDesk(t, "")
	model := courier{}.function()
	model.Name, model.Tables = "model", []record.Table{{Schema: "analytics", Name: "sums"}}
	d.ff = []*follow.Function{model, courier{}.function()}
	out, errs, code := d.do(t, "status")
	if code != exitOK || !strings.Contains(out, "model: never ran; start it with: millrace run model") || strings.Contains(out, "crm") {
		t.Errorf("got %d %s%s", code, out, errs)
	}
	if out, errs, code := d.do(t, "status", "model", "--json"); code != exitOK || !strings.Contains(out, `"table": "sums"`) || strings.Contains(out, "sales") {
		t.Errorf("got %d %s%s", code, out, errs)
	}
}
