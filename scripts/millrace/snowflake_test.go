package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/millrace-data/millrace/shared/platform/local"
	"github.com/millrace-data/millrace/shared/warehouse/snowflake/snowflaketest"
)

// The same commands over Snowflake: what is in it is read by its own tools, all else
// is as with the embedded warehouse.
func TestSnowflake(t *testing.T) {
	sf := snowflaketest.Start(snowflaketest.Options{})
	t.Cleanup(sf.Close)
	d := newDesk(t, "")
	d.vars["MILLRACE_WAREHOUSE"] = "snowflake:" + sf.DSN()
	var loaded [2]int64
	for i := range loaded {
		out, errs, code := d.do(t, "run", "shop", "--now", "2026-06-04T12:00:00Z", "--json")
		var rep local.Report
		if err := json.Unmarshal([]byte(out), &rep); err != nil || code != 0 || len(rep.Tables) == 0 {
			t.Fatalf("run %d: exit code %d, %v\n%s%s", i+1, code, err, out, errs)
		}
		for _, x := range rep.Tables {
			loaded[i] += x.RowsLoaded
		}
	}
	if loaded[0] == 0 {
		t.Error("the first run loaded nothing")
	}
	for _, args := range [][]string{{"status"}, {"doctor"}} {
		out, errs, code := d.do(t, args...)
		if code != 0 && args[0] != "doctor" || strings.Contains(out+errs, sf.DSN()) || strings.Contains(errs, "panic") {
			t.Errorf("%v: exit code %d\n%s%s", args, code, out, errs)
		}
		if args[0] == "doctor" && !strings.Contains(out, "snowflake:…") {
			t.Errorf("doctor does not know the warehouse:\n%s%s", out, errs)
		}
	}
	for _, args := range [][]string{{"query", "select 1"}, {"rejects", "list"}} {
		if _, errs, code := d.do(t, args...); code != 2 || !strings.Contains(errs, "its own tools") {
			t.Errorf("%v: exit code %d, %s", args, code, errs)
		}
	}
}
