package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/millrace-data/millrace/shared/record"
)

// replay runs the command with --json.
func (d *desk) replay(t *testing.T, args ...string) (r replayReport, code int) {
	t.Helper()
	out, errs, code := d.do(t, append([]string{"rejects", "replay", "shop", "--json"}, args...)...)
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("%v: %s%s", err, out, errs)
	}
	return r, code
}

// The vendor's amount is a word: once the column is no longer declared, it goes to
// _extra and the rows are replayed.
func TestRejectsReplay(t *testing.T) {
	d := newDesk(t, "reject")
	d.do(t, "run", "shop", "--table", "sales", "--now", now)
	const mark = `select mark is null as held from millrace.marks where table_name = 'sales'`
	if out, _, _ := d.do(t, "query", "--json", mark); !strings.Contains(out, "true") {
		t.Errorf("the mark is not held: %s", out)
	}
	if out, _, _ := d.do(t, "status", "shop", "--now", now); !strings.Contains(out, "the mark is held by 1 rejects in slice") {
		t.Errorf("status does not say who holds the mark:\n%s", out)
	}
	if out, _, _ := d.do(t, "run", "shop", "--table", "sales", "--now", now, "--json"); !strings.Contains(out, `"tables": []`) && !strings.Contains(out, `"slices": 0`) {
		t.Errorf("a held mark made slices due again: %s", out)
	}
	r, code := d.replay(t)
	if code != exitPartial || len(r.Tables) != 1 || r.Tables[0].Left == 0 || r.Tables[0].Replayed != 0 {
		t.Errorf("before anything was mended: exit %d, %+v; want all left", code, r)
	}
	d.mend(t)
	if r, code = d.replay(t, "--rule", "no such"); code != 0 || len(r.Tables) != 0 {
		t.Errorf("rejects of another rule: exit %d, %+v", code, r)
	}
	if r, code = d.replay(t); code != 0 || r.Tables[0].Left != 0 || r.Tables[0].Mark == nil {
		t.Errorf("exit %d, %+v; want all replayed and a mark", code, r)
	}
	if out, _, _ := d.do(t, "query", "--json", `select count(*) as n from millrace.slices where rows_source <> rows_loaded + rows_rejected or rows_rejected > 0`); !strings.Contains(out, `"n": 0`) && !strings.Contains(out, `"n":0`) {
		t.Errorf("totals after the replay: %s", out)
	}
	if out, _, _ := d.do(t, "query", "--json", `select detail from shop.sales where id = 'x'`); !strings.Contains(out, "detail") {
		t.Errorf("the replayed row is not there: %s", out)
	}
}

// mend leaves the amount out of the declared table, so that it goes to _extra.
func (d *desk) mend(t *testing.T) {
	t.Helper()
	f := *d.fs[0]
	f.Tables = append(f.Tables[:0:0], f.Tables...)
	for i := range f.Tables {
		var cols []record.Column
		for _, c := range f.Tables[i].Columns {
			if c.Name != "amount" {
				cols = append(cols, c)
			}
		}
		f.Tables[i].Columns = cols
	}
	d.fs[0] = &f
}
