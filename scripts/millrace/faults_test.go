package main

import (
	"encoding/json"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millrace-data/millrace/functions"
	"github.com/millrace-data/millrace/functions/ociusage/ociusagetest"
	"github.com/millrace-data/millrace/functions/thoughtindustries/thoughtindustriestest"
	"github.com/millrace-data/millrace/shared/chain"
	"github.com/millrace-data/millrace/shared/platform/local"
	"github.com/millrace-data/millrace/shared/rest/resttest"
)

// vendors is a desk with the twins of both vendors. Each holds one small table:
// 250 users on three pages, and two cost reports of 40 rows.
type vendors struct {
	*desk
	academy *thoughtindustriestest.Server
	bills   *ociusagetest.Server
	report  string // the name of the second cost report
}

func newVendors(t *testing.T) *vendors {
	v := &vendors{academy: thoughtindustriestest.New(thoughtindustriestest.Options{Seed: 1}), bills: ociusagetest.New(ociusagetest.Options{Seed: 3})}
	v.report = v.bills.Generate(ociusagetest.Plan{Table: "cost_report", From: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), Files: 2, Rows: 40})[1]
	academy, bills := httptest.NewServer(v.academy), httptest.NewServer(v.bills)
	t.Cleanup(academy.Close)
	t.Cleanup(bills.Close)
	home := t.TempDir()
	v.desk = &desk{home: home, fs: functions.All, vars: ociusagetest.Env(bills.URL)}
	v.vars["MILLRACE_HOME"] = home
	v.vars["THOUGHT_INDUSTRIES_BASE_URL"] = academy.URL
	v.vars["THOUGHT_INDUSTRIES_API_KEY"] = thoughtindustriestest.DefaultKey
	return v
}

// read runs a vendor's table and returns the report, with all that was said.
func (v *vendors) read(t *testing.T, args ...string) (rep local.Report, said string, code int) {
	t.Helper()
	out, errs, code := v.do(t, append(append([]string{"run"}, args...), "--now", now, "--json")...)
	if err := json.Unmarshal([]byte(out), &rep); err != nil {
		t.Fatalf("%v: %s%s", err, out, errs)
	}
	if files, _ := filepath.Glob(filepath.Join(v.home, "scratch", "*")); len(files) > 0 {
		t.Errorf("scratch files were left: %v", files)
	}
	for _, secret := range []string{"@example", thoughtindustriestest.DefaultKey, "PRIVATE KEY"} { // users have mail addresses
		if strings.Contains(out+errs, secret) {
			t.Errorf("row contents or secrets (%q) in %s%s", secret, out, errs)
		}
	}
	return rep, out + errs, code
}

// count is the result of a query with one number, "" where it cannot be asked.
func (v *vendors) count(t *testing.T, query string) string {
	t.Helper()
	out, _, _ := v.do(t, "query", "--json", "select ("+query+") as n")
	return strings.Trim(strings.TrimPrefix(strings.Join(strings.Fields(out), ""), `[{"n":`), "}]")
}

var users = []string{"thoughtindustries", "--table", "users"}
var costs = []string{"ociusage", "--table", "cost_report"}

// TestFaults gives the functions bad input and bad places. Each fault must be
// named with its slice and what to do, nothing sound may be lost, bad input is
// kept, and once the fault is gone the same command loads every row once.
func TestFaults(t *testing.T) {
	page := func(do resttest.Effect, times int) func(*vendors) {
		return func(v *vendors) {
			v.academy.Inject(resttest.Fault{Path: "/users", After: 1, Times: times, Do: do})
		}
	}
	edit := func(e ociusagetest.Edit) func(*vendors) {
		return func(v *vendors) { v.bills.Edit(v.report, e) }
	}
	folder := func(v *vendors) string { return filepath.Join(v.home, "stage", "thoughtindustries") }
	const key, far = "THOUGHT_INDUSTRIES_API_KEY", "THOUGHT_INDUSTRIES_BASE_URL"
	for _, c := range []struct {
		name    string
		run     []string
		spoil   func(*vendors)
		mend    func(*vendors)
		code    int
		outcome string
		loaded  int64 // rows, in spite of the fault
		kept    int   // pages or files in corrupt/
		rejects string
		says    []string
	}{
		{"truncated gzip", costs, func(v *vendors) { v.bills.Truncate(v.report, 700) }, nil, 5, "partial", 40, 1, "0", []string{"gzip", "cost_report slice reports/cost-csv/", "kept in the stage as corrupt/"}},
		{"ragged CSV", costs, edit(ociusagetest.Ragged(7)), nil, 5, "partial", 79, 0, "1", nil},
		{"header that stands twice", costs, edit(ociusagetest.Twice("cost/myCost")), nil, 5, "partial", 40, 1, "0", []string{"cost/myCost", "cost_report slice reports/cost-csv/", "kept in the stage as corrupt/"}},
		{"number that does not fit", costs, edit(ociusagetest.Set(3, "cost/myCost", "0.1234567890123456789")), nil, 5, "partial", 79, 0, "1", nil},
		{"broken JSON inside a page", users, page(thoughtindustriestest.BrokenRow(), 1), nil, 1, "failed", 0, 1, "0", []string{"users slice scan-2026-06-04", "kept in the stage as corrupt/"}},
		{"page repeated", users, page(resttest.Again(), 1), nil, 1, "failed", 0, 0, "0", []string{"users slice scan-2026-06-04"}},
		{"key null", users, page(thoughtindustriestest.BadValue("id", "null"), 1), nil, 5, "partial", 249, 0, "1", nil},
		{"key twice", users, page(thoughtindustriestest.BadValue("id", `"00000000-0000-4000-8000-000000000000"`), 2), nil, 5, "partial", 249, 0, "1", nil},
		{"token refused", users, func(v *vendors) { v.academy.Rotate("new") }, func(v *vendors) { v.vars[key] = "new" }, 1, "failed", 0, 0, "0",
			[]string{"users slice scan-2026-06-04", key, "Settings"}},
		{"vendor unreachable", users, func(v *vendors) { v.vars["WAS"], v.vars[far] = v.vars[far], "http://127.0.0.1:1" }, func(v *vendors) { v.vars[far] = v.vars["WAS"] }, 1, "failed", 0, 0, "0",
			[]string{"users slice scan-2026-06-04", "127.0.0.1:1 cannot be reached; check the base URL"}},
		{"stage that cannot be written", users, func(v *vendors) {
			_ = os.MkdirAll(filepath.Dir(folder(v)), 0o755)
			_ = os.WriteFile(folder(v), nil, 0o644)
		}, func(v *vendors) { _ = os.Remove(folder(v)) }, 1, "failed", 0, 0, "0", []string{"users slice scan-2026-06-04", "a file stands where a folder is needed", "remove it"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			v := newVendors(t)
			sound := v.bills.Bytes(v.report)
			c.spoil(v)
			began := time.Now()
			rep, said, code := v.read(t, c.run...)
			if took := time.Since(began); took > 30*time.Second {
				t.Errorf("took %s", took)
			}
			if code != c.code || rep.Outcome != c.outcome || rep.Tables[0].RowsLoaded != c.loaded {
				t.Errorf("got exit %d, %s, %d rows; want %d, %s, %d\n%s", code, rep.Outcome, rep.Tables[0].RowsLoaded, c.code, c.outcome, c.loaded, said)
			}
			for _, want := range c.says {
				if !strings.Contains(said, want) {
					t.Errorf("does not say %q:\n%s", want, said)
				}
			}
			if kept := corrupt(t, v.home); kept != c.kept {
				t.Errorf("%d pages kept in corrupt/, want %d", kept, c.kept)
			}
			if got := v.count(t, "select count(*) from millrace.rejects where state = 'open'"); got != c.rejects {
				t.Errorf("%s open rejects, want %s", got, c.rejects)
			}
			if got := v.count(t, "select count(*) from millrace.slices where state = 'loaded' and rows_source <> rows_loaded + rows_rejected or state <> 'loaded' and (error is null or loaded_at is not null)"); got != "0" {
				t.Errorf("%s slices that do not balance or do not say why they failed", got)
			}
			if c.mend != nil {
				c.mend(v)
			}
			if c.run[0] == "ociusage" {
				v.bills.Put(v.report, sound)
			}
			if c.loaded > 0 && c.run[0] != "ociusage" {
				return // a scan is due once a week; the engine's TestRejectsAreKept shows what becomes of its rejects
			}
			if rep, said, code := v.read(t, c.run...); code != 0 || rep.Outcome != "ok" {
				t.Errorf("once the fault is gone: exit %d\n%s", code, said)
			}
			table, want := "thought_industries.users", "250"
			if c.run[0] == "ociusage" {
				table, want = "oci.cost_report", "80"
			}
			if got := v.count(t, "select count(*) from "+table); got != want {
				t.Errorf("%s rows once the fault is gone, want %s", got, want)
			}
		})
	}
}

// corrupt counts what was kept of pages that broke the contract.
func corrupt(t *testing.T, home string) (n int) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(home, "stage", "corrupt"), func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			n++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// The same arrival by hand, twice: nothing is loaded twice, and a manifest that
// somebody changed afterwards undoes nothing. At the same time is a test of
// shared/platform/local.
func TestArrivalAgain(t *testing.T) {
	v := newVendors(t)
	if _, said, code := v.read(t, users...); code != 0 {
		t.Fatal(said)
	}
	manifest := strings.Trim(v.count(t, "select manifest from millrace.slices"), `"`)
	event := chain.ArrivalEvent("millrace-local", manifest, "1", time.Now())
	v.in = string(event)
	for range 2 {
		if out, errs, code := v.do(t, "invoke", "load", "--event", "-", "--json"); code != 0 || !strings.Contains(out, `"rows_loaded": 250`) {
			t.Errorf("got %d %s%s", code, out, errs)
		}
	}
	path := filepath.Join(v.home, "stage", filepath.FromSlash(manifest))
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(text), `"rows_source": 250`, `"rows_source": 251`, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	out, errs, code := v.do(t, "invoke", "load", "--event", "-", "--json")
	if got := v.count(t, "select count(*) from thought_industries.users, millrace.slices s where s.state = 'loaded'"); got != "250" {
		t.Errorf("after a manifest that was changed: %s rows of loaded slices; exit %d\n%s%s", got, code, out, errs)
	}
}
