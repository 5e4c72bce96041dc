package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-data/millrace/functions"
	"github.com/millrace-data/millrace/shared/chain"
	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/platform/local"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestMain lets the test program be the command itself, for what needs a process
// of its own: locks and kill -9.
func TestMain(m *testing.M) {
	switch home := os.Getenv("MILLRACE_TEST_HOLD"); {
	case home != "":
		hold(home)
	case os.Getenv("MILLRACE_TEST_SHOP") != "":
		a := &app{in: os.Stdin, out: os.Stdout, err: os.Stderr, env: env.OS(), functions: []*extract.Function{shop(os.Getenv("MILLRACE_TEST_SHOP"))}}
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
		code := a.main(ctx, os.Args[1:])
		stop()
		os.Exit(code)
	}
	os.Exit(m.Run())
}

// hold opens the warehouse, says so, and keeps it until its stdin ends.
func hold(home string) {
	w, err := local.OpenWarehouse(context.Background(), local.Places{Warehouse: filepath.Join(home, "warehouse.duckdb")})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("held")
	io.Copy(io.Discard, os.Stdin)
	w.Close()
	os.Exit(0)
}

const now = "2026-06-04T12:00:00Z"

func TestExitCodes(t *testing.T) {
	for _, c := range []struct {
		mood, outcome string
		code          int
	}{
		{"", "ok", 0},
		{"fail,fail", "failed", 1},
		{"pause,pause", "paused", 3},
		{"pause", "paused", 3},
		{"refuse,refuse", "refused", 4},
		{"refuse", "partial", 5},
		{"fail", "partial", 5},
		{"reject", "partial", 5},
	} {
		t.Run(c.mood, func(t *testing.T) {
			out, errs, code := newDesk(t, c.mood).do(t, "run", "shop", "--now", now, "--json")
			var rep local.Report
			if err := json.Unmarshal([]byte(out), &rep); err != nil {
				t.Fatalf("%v: %s%s", err, out, errs)
			}
			if rep.Outcome != c.outcome || code != c.code {
				t.Errorf("got %s and %d, want %s and %d\n%s", rep.Outcome, code, c.outcome, c.code, out)
			}
		})
	}
}

func TestUsage(t *testing.T) {
	for _, c := range []struct {
		name, want string
		args       []string
	}{
		{"no such command", "unknown command", []string{"fly"}},
		{"no such flag", "unknown flag", []string{"run", "shop", "--fast"}},
		{"no function", "accepts 1 arg", []string{"run"}},
		{"unknown function", "no function \"till\"", []string{"run", "till"}},
		{"unknown table", "has no table \"tips\"", []string{"run", "shop", "--table", "tips"}},
		{"bad date", "neither a date", []string{"run", "shop", "--from", "yesterday"}},
		{"to without from", "--to needs a --from", []string{"run", "shop", "--to", "2026-01-01"}},
		{"empty time", "is not before", []string{"run", "shop", "--from", "2026-01-02", "--to", "2026-01-02"}},
		{"backfill of what", "required flag", []string{"backfill", "shop"}},
		{"no such subcommand", "unknown command", []string{"rejects", "fly"}},
		{"no event", "required flag", []string{"invoke", "shop"}},
		{"no event file", "no such file", []string{"invoke", "shop", "--event", "/none"}},
		{"no reason", "required flag", []string{"rejects", "discard", "shop"}},
		{"writing query", "only statements that read", []string{"query", "delete from millrace.slices"}},
		{"two queries", "one statement at a time", []string{"query", "select 1); commit; create table x as (select 1"}},
		{"wrong query", "Catalog Error", []string{"query", "select * from nowhere"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, errs, code := newDesk(t, "").do(t, c.args...)
			if code != 2 || !strings.HasPrefix(errs, "millrace: ") || !strings.Contains(errs, c.want) || strings.Count(errs, "\n") != 1 {
				t.Errorf("got %d, %q, want 2 and one line with %q", code, errs, c.want)
			}
		})
	}
}

// What is missing is said at once, on both streams, and the vendor's twin is not
// needed to find out.
func TestMissingConfiguration(t *testing.T) {
	d := newDesk(t, "")
	d.vars = map[string]string{"MILLRACE_HOME": d.home}
	d.fs = functions.All
	for name, want := range map[string][]string{
		"ociusage":          {"OCI_TENANCY", "OCI_USER", "OCI_FINGERPRINT", "OCI_PRIVATE_KEY", "OCI_REGION"},
		"thoughtindustries": {"THOUGHT_INDUSTRIES_BASE_URL", "THOUGHT_INDUSTRIES_API_KEY"},
	} {
		out, errs, code := d.do(t, "run", name, "--json")
		var doc struct {
			Error struct{ Kind, Message string }
		}
		if err := json.Unmarshal([]byte(out), &doc); err != nil || doc.Error.Kind != "invalid" || code != 2 {
			t.Errorf("%s: got %d, %s", name, code, out)
		}
		for _, v := range want {
			if !strings.Contains(errs, v) || !strings.Contains(doc.Error.Message, v) {
				t.Errorf("%s: %s is not named in %q", name, v, errs)
			}
		}
	}
}

// golden compares JSON with a file, volatile members set to fixed values.
func golden(t *testing.T, name, out string) {
	t.Helper()
	var doc any
	if err := json.Unmarshal([]byte(out), &doc); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	calm(doc)
	got, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, append(got, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.TrimSpace(string(want)), string(got)); diff != "" {
		t.Errorf("%s, -update rewrites it (-want +got)\n%s", path, diff)
	}
}

func calm(v any) {
	switch v := v.(type) {
	case map[string]any:
		for key, x := range v {
			switch key {
			case "took_ms":
				v[key] = 0
			case "last_at":
				v[key] = "2026-01-01T00:00:00Z"
			case "warehouse":
				v[key] = "warehouse.duckdb"
			}
			calm(x)
		}
	case []any:
		for _, x := range v {
			calm(x)
		}
	}
}

func TestGolden(t *testing.T) {
	d := newDesk(t, "reject,fail")
	out, _, _ := d.do(t, "run", "shop", "--now", now, "--json")
	golden(t, "run.json", out)
	out, _, code := d.do(t, "status", "--json", "--now", now)
	golden(t, "status.json", out)
	if code != 0 {
		t.Errorf("status: exit %d", code)
	}
	people, _, _ := d.do(t, "status", "--now", now)
	for _, want := range []string{"TABLE", "1 loaded", "1 failed", "nothing loaded from 2026-06-01 to 2026-06-04", "the shop is on fire",
		"next: millrace doctor", "next: millrace run shop --table refunds", "next: millrace rejects list shop --table sales"} {
		if !strings.Contains(people, want) {
			t.Errorf("status lacks %q:\n%s", want, people)
		}
	}
}

func TestQuery(t *testing.T) {
	d := newDesk(t, "")
	if out, errs, code := d.do(t, "run", "shop", "--now", now); code != 0 || !strings.Contains(out, "LOADED") || errs != "" {
		t.Fatalf("%d %s%s", code, out, errs)
	}
	for _, c := range []struct{ query, want string }{
		{"select id, amount, detail, paid, _loaded_at from shop.sales",
			`[{"id":"2026-06-01T00:00:00Z_2026-06-04T00:00:00Z-1","amount":12345678901234567890.123456789012345678,"detail":{"n":1.000000000000000000001},"paid":true,"_loaded_at":"2026-06-04T12:00:00Z"}]`},
		{"select timestamp '2026-01-02 03:00:00.25' as t, timestamptz '2026-01-02 03:00:00+01' as z, date '2026-01-02' as d, null as n",
			`[{"t":"2026-01-02T03:00:00.25Z","z":"2026-01-02T02:00:00Z","d":"2026-01-02","n":null}]`},
		{"select 1 as a, 2 as a, 170141183460469231731687303715884105727 as h, 'nan'::double as x, [1,2] as l, 'q\"' as q;",
			`[{"a":1,"a_2":2,"h":170141183460469231731687303715884105727,"x":"nan","l":[1,2],"q":"q\""}]`},
		{"select 1 as a where false", `[]`},
		{"select i from range(300000) t(i) order by i desc limit 3", `[{"i":299999},{"i":299998},{"i":299997}]`},
	} {
		out, errs, code := d.do(t, "query", "--json", c.query)
		if got := strings.ReplaceAll(out, "\n", ""); code != 0 || got != c.want {
			t.Errorf("%s\n got %s %s\nwant %s", c.query, got, errs, c.want)
		}
	}
	if out, _, _ := d.do(t, "query", "--grid", "select 1 as n, 'two' as word"); out != "n  word\n1  two\n" {
		t.Errorf("for people: got %q", out)
	}
}

func TestRejects(t *testing.T) {
	d := newDesk(t, "reject")
	d.do(t, "run", "shop", "--now", now)
	out, _, code := d.do(t, "rejects", "list", "shop", "--table", "sales")
	if code != 0 || !strings.Contains(out, "amount") || strings.Contains(out, "many") {
		t.Errorf("list: got %d %s; want the reason and not the row", code, out)
	}
	if out, _, _ = d.do(t, "rejects", "list", "--json"); !strings.Contains(out, "many") {
		t.Errorf("list --json: got %s, want the row", out)
	}
	if out, _, code = d.do(t, "rejects", "discard", "shop", "--reason", "it's a test", "--json"); code != 0 || !strings.Contains(out, `"discarded": 1`) {
		t.Errorf("discard: got %d %s", code, out)
	}
	if out, _, _ = d.do(t, "rejects", "list", "shop", "--json"); strings.TrimSpace(out) != "[]" {
		t.Errorf("after discard: got %s", out)
	}
	if out, _, _ = d.do(t, "rejects", "list", "shop", "--state", "discarded", "--json"); !strings.Contains(out, "it's a test") {
		t.Errorf("discarded: got %s, want the reason", out)
	}
}

func TestInvoke(t *testing.T) {
	d := newDesk(t, "")
	body, err := json.Marshal(extract.Slice{Function: "shop", Table: "sales", ID: "2026-05-01", Purpose: extract.Backfill,
		From: time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC), To: time.Date(2026, 5, 2, 0, 0, 0, 0, time.UTC)})
	if err != nil {
		t.Fatal(err)
	}
	d.in = string(chain.MessageEvent(chain.Message{Topic: chain.TopicSlices, ID: "1", Data: body}, "p", "s", time.Now()))
	out, errs, code := d.do(t, "invoke", "shop", "--event", "-", "--json")
	if code != 0 || !strings.Contains(out, `"rows_loaded": 1`) {
		t.Errorf("got %d %s%s", code, out, errs)
	}
	d.in = `{"hello":1}`
	if _, errs, code := d.do(t, "invoke", "load", "--event", "-"); code != 2 || !strings.Contains(errs, "unknown event") {
		t.Errorf("got %d %s", code, errs)
	}
}

func TestDoctor(t *testing.T) {
	d := newDesk(t, "")
	out, _, code := d.do(t, "doctor")
	if code != 0 || !strings.Contains(out, "configured") || !strings.Contains(out, "free") {
		t.Errorf("got %d\n%s", code, out)
	}
	delete(d.vars, "SHOP_API_KEY")
	if out, _, code = d.do(t, "doctor", "--json"); code != 2 || !strings.Contains(out, "SHOP_API_KEY") {
		t.Errorf("half configured: got %d\n%s", code, out)
	}
	delete(d.vars, "SHOP_BASE_URL")
	if out, _, code = d.do(t, "doctor"); code != 0 || !strings.Contains(out, "warn") {
		t.Errorf("not configured: got %d\n%s", code, out)
	}
	d.vars["MILLRACE_WAREHOUSE"] = "postgres:me@account"
	if out, _, code = d.do(t, "doctor"); code != 2 || !strings.Contains(out, "duckdb:PATH") {
		t.Errorf("a warehouse that this build lacks: got %d\n%s", code, out)
	}
}
