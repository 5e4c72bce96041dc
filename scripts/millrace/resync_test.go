package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/fault"
)

// stock makes a shop whose tables have n rows a day, all with the same amount.
func (d *desk) stock(n int, amount string) {
	f := *shop("")
	open := f.Open
	f.Open = func(cfg env.Lookup, in extract.Invocation) (extract.Source, error) {
		if _, err := open(cfg, in); err != nil {
			return nil, err
		}
		return source(func(_ context.Context, s extract.Slice, out *extract.Out) error {
			if amount == "" {
				return fault.New(fault.Auth, "%w", errNoWay)
			}
			for i := range n {
				if err := out.Row(fmt.Appendf(nil, `{"id":"%s-%d","amount":%q}`, s.ID, i, amount)); err != nil {
					return err
				}
			}
			return out.Page("end")
		}), nil
	}
	d.fs = []*extract.Function{&f}
}

// resync runs the command with --json.
func (d *desk) resync(t *testing.T, args ...string) (r resyncReport, code int) {
	t.Helper()
	out, errs, code := d.do(t, append([]string{"resync", "shop", "--table", "sales", "--now", now, "--json"}, args...)...)
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("%v: %s%s", err, out, errs)
	}
	return r, code
}

// is compares how it ended: outcome, exit code, whether it swapped, and the counts.
func (r resyncReport) is(t *testing.T, code int, want string) {
	t.Helper()
	if got := fmt.Sprintf("%s %d swapped %v +%d -%d ~%d =%d", r.Outcome, code, r.Swapped, r.Added, r.Removed, r.Changed, r.Same); got != want {
		t.Errorf("got %s, want %s; %v %v", got, want, r.Why, r.Errors)
	}
}

func TestResync(t *testing.T) {
	d := newDesk(t, "")
	d.stock(150, "1.5")
	if _, errs, code := d.do(t, "run", "shop", "--now", now); code != 0 {
		t.Fatalf("exit %d: %s", code, errs)
	}
	r, code := d.resync(t)
	r.is(t, code, "ok 0 swapped false +0 -0 ~0 =150")

	d.stock(149, "1.5")
	r, code = d.resync(t, "--dry-run")
	r.is(t, code, "ok 0 swapped false +0 -1 ~0 =149")
	r, code = d.resync(t)
	r.is(t, code, "ok 0 swapped true +0 -1 ~0 =149")

	d.stock(149, "2.5")
	r, code = d.resync(t)
	r.is(t, code, "refused 4 swapped false +0 -0 ~149 =0")
	if len(r.Examples) != 10 || strings.Join(r.Examples[0].Columns, ",") != "amount" {
		t.Errorf("examples %v, want ten whose amount differs", r.Examples)
	}
	if _, code := d.resync(t, "--accept", "0123"); code != exitRefused {
		t.Errorf("another ID was accepted: exit %d, want %d", code, exitRefused)
	}
	id := r.Resync
	d.stock(0, "") // to accept takes no vendor
	r, code = d.resync(t, "--accept", id)
	r.is(t, code, "ok 0 swapped true +0 -0 ~149 =0")
	out, _, _ := d.do(t, "query", `select count(*) as n from shop.sales where amount = 2.5`)
	if !strings.Contains(out, "149") {
		t.Errorf("the table after the swap: %s", out)
	}
}

func TestResyncThatStops(t *testing.T) {
	d := newDesk(t, "")
	d.stock(3, "1.5")
	if out, errs, code := d.do(t, "resync", "shop", "--table", "sales", "--now", now); code != exitUsage || !strings.Contains(errs, "run shop first") {
		t.Errorf("a table that was never filled: exit %d, %s%s", code, out, errs)
	}
	d.do(t, "run", "shop", "--now", now)
	if _, errs, code := d.do(t, "resync", "shop", "--table", "sales", "--accept", "0123"); code != exitUsage || !strings.Contains(errs, "without --accept") {
		t.Errorf("nothing to accept: exit %d, %s", code, errs)
	}
	d.stock(0, "") // the vendor refuses the key
	out, _, code := d.do(t, "resync", "shop", "--table", "sales", "--now", now)
	if code != exitFailed || !strings.Contains(out, "the table is as it was") {
		t.Errorf("exit %d, want %d; %s", code, exitFailed, out)
	}
	if out, _, _ := d.do(t, "status", "shop", "--now", now); strings.Contains(out, "resync") {
		t.Errorf("status shows the shadow: %s", out)
	}
	if out, _, code := d.do(t, "resync", "shop", "--table", "sales", "--discard"); code != 0 || !strings.Contains(out, "shadow is gone") {
		t.Errorf("discard: exit %d, %s", code, out)
	}
}

func TestResyncForPeople(t *testing.T) {
	d := newDesk(t, "")
	d.stock(150, "1.5")
	d.do(t, "run", "shop", "--now", now)
	d.stock(150, "2.5")
	out, _, code := d.do(t, "resync", "shop", "--table", "sales", "--now", now)
	for _, want := range []string{"TABLE", "150", "refused: 150 of 150 rows would be changed", "--accept ", "millrace.differences", "amount"} {
		if !strings.Contains(out, want) {
			t.Errorf("exit %d, no %q in:\n%s", code, want, out)
		}
	}
	if strings.Contains(out, "2.5") || strings.Contains(out, "1.5") {
		t.Errorf("values are shown:\n%s", out)
	}
}

func TestResyncKeepsRejects(t *testing.T) {
	d := newDesk(t, "reject")
	d.do(t, "run", "shop", "--now", now)
	r, code := d.resync(t)
	r.is(t, code, "partial 5 swapped false +0 -0 ~0 =1")
	if out, _, _ := d.do(t, "rejects", "list", "shop", "--json"); strings.Count(out, `"reject"`) != 1 {
		t.Errorf("want the one reject that was there:\n%s", out)
	}
}

// A kill at any point of it costs nothing: the same command brings it to its end.
func TestResyncIsKilled(t *testing.T) {
	for _, point := range []string{"after_page:1", "after_manifest:1", "in_tx_before_fence:1", "in_swap_before_data:1", "in_swap_before_commit:1", "after_swap:1"} {
		d := newDesk(t, "")
		d.stock(3, "1.5")
		d.do(t, "run", "shop", "--now", now)
		args := []string{"resync", "shop", "--table", "sales", "--now", now}
		d.vars["MILLRACE_CRASH"] = point
		if err := d.child("ok", args...).Run(); err == nil {
			t.Errorf("%s: the command was not killed", point)
		}
		delete(d.vars, "MILLRACE_CRASH")
		if out, err := d.child("ok", args...).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", point, err, out)
		}
		out, _, _ := d.do(t, "query", "--json", `select (select count(*) from shop.sales) as n, (select count(*) from millrace.slices where table_name = 'sales__resync') as ledger,
 (select count(*) from information_schema.tables where table_name = 'sales__resync') as shadow`)
		if got := strings.Join(strings.Fields(out), ""); got != `[{"n":1,"ledger":0,"shadow":0}]` {
			t.Errorf("%s: %s, want the vendor's one row and no shadow", point, got)
		}
	}
}
