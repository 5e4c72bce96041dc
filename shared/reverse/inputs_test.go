package reverse

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// sliceRow is a row of the ledger, such as "loaded 1 2 at 3" in hours of a day: state,
// window, and when something was done with it. A window of "3 3" is a scan.
func (e *Engine) sliceRow(t *testing.T, in Input, text string) {
	t.Helper()
	var state string
	var from, to, at int
	if _, err := fmt.Sscanf(text, "%s %d %d at %d", &state, &from, &to, &at); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	state, purpose, _ := strings.Cut(state, ":")
	hour := func(h int) time.Time { return time.Date(2026, 3, 3, h, 0, 0, 0, time.UTC) }
	var loaded any
	if again, ok := strings.CutSuffix(state, "+"); ok || state == "loaded" {
		state, loaded = again, hour(at)
	}
	_, err := e.Warehouse.DB().ExecContext(t.Context(), `INSERT INTO "millrace"."slices" ("function", "table_name", "slice", "purpose", "range_from", "range_to", "state", "error", "updated_at", "loaded_at") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		in.Function, in.Table, fmt.Sprintf("s%d-%d", from, to), or(purpose, "live"), hour(from), hour(to), state, "it went wrong", hour(at), loaded)
	if err != nil {
		t.Fatal(err)
	}
}

func TestInputs(t *testing.T) {
	// The clock is 2026-03-04 05:06:07; slices are of 2026-03-03.
	e, in := engine(t), stocked[0]
	e.Inputs = stocked
	for _, c := range []struct {
		name  string
		rows  []string
		mark  int // hour; 0 = none
		check string
		age   string
		want  string // observed | allowed
	}{
		{name: "a table that the ledger does not know"},
		{name: "and that must not be old", age: "1h", want: "it was never loaded | a table that was loaded"},
		{name: "planned, never loaded", rows: []string{"planned 1 2 at 2"}, want: "it was never loaded | a table that was loaded"},
		{name: "loaded", rows: []string{"loaded 1 2 at 3"}},
		{name: "loaded, and the next planned", rows: []string{"loaded 1 2 at 3", "planned 2 3 at 3"}},
		{name: "the newest refused", rows: []string{"loaded 1 2 at 3", "refused 2 3 at 3"}, want: "its newest slice s2-3 was refused: it went wrong | a newest slice that the gate let pass"},
		{name: "the newest refused, with its check", rows: []string{"loaded 1 2 at 3", "refused 2 3 at 3"}, check: "s2-3",
			want: "its newest slice s2-3 was refused: rule volume observed 3 rows and expects 100 | a newest slice that the gate let pass"},
		{name: "refused, and the next only planned", rows: []string{"loaded 1 2 at 3", "refused 2 3 at 3", "planned 3 4 at 4"}, want: "its newest slice s2-3 was refused: it went wrong | a newest slice that the gate let pass"},
		{name: "refused, and read again", rows: []string{"loaded 1 2 at 3", "extracting 2 3 at 3"}, check: "s2-3",
			want: "its newest slice s2-3 was refused: rule volume observed 3 rows and expects 100 | a newest slice that the gate let pass"},
		{name: "refused once, and loaded since", rows: []string{"loaded 1 2 at 3"}, check: "s1-2"},
		{name: "the newest failed", rows: []string{"loaded 1 2 at 3", "failed 2 3 at 3"}, want: "its newest slice s2-3 failed: it went wrong | a newest slice that was loaded"},
		{name: "loaded before, refused when it was read again", rows: []string{"refused+ 1 2 at 3"}, want: "its newest slice s1-2 was refused: it went wrong | a newest slice that the gate let pass"},
		{name: "a shadow that failed", rows: []string{"loaded 1 2 at 3", "failed:resync 1 3 at 4"}},
		{name: "an old backfill that failed last", rows: []string{"loaded 5 6 at 6", "failed:backfill 1 2 at 9"}},
		{name: "a scan that failed, and a newer one", rows: []string{"failed 1 1 at 1", "loaded 2 2 at 2"}},
		{name: "a newer scan that failed", rows: []string{"loaded 1 1 at 1", "failed 2 2 at 2"}, want: "its newest slice s2-2 failed: it went wrong | a newest slice that was loaded"},
		{name: "no gap", rows: []string{"loaded 1 3 at 3", "loaded 2 4 at 3", "loaded 4 5 at 5"}},
		{name: "a gap", rows: []string{"loaded 1 3 at 3", "failed 3 4 at 3", "loaded 4 5 at 5"},
			want: "nothing is loaded from 2026-03-03T03:00:00Z to 2026-03-03T04:00:00Z, and something after it | a table without gaps"},
		{name: "a gap that a long window covers", rows: []string{"loaded 1 6 at 6", "loaded 2 3 at 3", "loaded 4 5 at 5"}},
		{name: "a gap at the begin", rows: []string{"planned 1 2 at 2", "loaded 2 3 at 3"},
			want: "nothing is loaded from 2026-03-03T01:00:00Z to 2026-03-03T02:00:00Z, and something after it | a table without gaps"},
		{name: "a backfill before the begin makes none", rows: []string{"loaded:backfill 1 2 at 9", "loaded 5 6 at 6"}},
		{name: "a mark that is young enough", rows: []string{"loaded 1 2 at 3"}, mark: 6, age: "23h10m"},
		{name: "a mark that is too old", rows: []string{"loaded 1 2 at 3"}, mark: 6, age: "23h",
			want: "it is complete up to 2026-03-03T06:00:00Z, which is 23h6m ago | at most 23h old"},
		{name: "no mark, and a load that is young enough", rows: []string{"loaded 1 1 at 3"}, age: "1d3h"},
		{name: "no mark, and a load that is too old", rows: []string{"loaded 1 1 at 3"}, age: "1d2h",
			want: "it was loaded last at 2026-03-03T03:00:00Z, which is 1d2h6m ago | at most 1d2h old"},
		{name: "no age asked for", rows: []string{"loaded 1 1 at 3"}, mark: 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, table := range []string{"slices", "marks", "checks"} {
				if _, err := e.Warehouse.DB().ExecContext(t.Context(), `DELETE FROM "millrace"."`+table+`"`); err != nil {
					t.Fatal(err)
				}
			}
			for _, row := range c.rows {
				e.sliceRow(t, in, row)
			}
			db := e.Warehouse.DB()
			if c.mark > 0 {
				if _, err := db.ExecContext(t.Context(), `INSERT INTO "millrace"."marks" ("function", "table_name", "mark") VALUES (?, ?, ?)`, in.Function, in.Table, time.Date(2026, 3, 3, c.mark, 0, 0, 0, time.UTC)); err != nil {
					t.Fatal(err)
				}
			}
			if c.check != "" {
				if _, err := db.ExecContext(t.Context(), `INSERT INTO "millrace"."checks" ("function", "table_name", "slice", "fence", "rule", "observed", "expected", "verdict") VALUES (?, ?, ?, 1, 'volume', '3 rows', '100', 'refuse')`, in.Function, in.Table, c.check); err != nil {
					t.Fatal(err)
				}
			}
			job := Job{Name: "x", Query: `select id from "Thought_Industries".users`}
			if c.age != "" {
				age, err := parseAge(c.age)
				if err != nil {
					t.Fatal(err)
				}
				job.Guards.Inputs = &Inputs{MaxAge: age}
			}
			blocks, err := e.inputs(t.Context(), job)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, b := range blocks {
				if b.Guard != "input thought_industries.users" {
					t.Errorf("guard is %q", b.Guard)
				}
				got = append(got, b.Observed+" | "+b.Allowed)
			}
			if all := strings.Join(got, "\n"); all != c.want {
				t.Errorf("got  %s\nwant %s", all, c.want)
			}
		})
	}
}

func TestWhichInputs(t *testing.T) {
	e := engine(t)
	e.Inputs = stocked
	for _, in := range append(stocked[:3:3], Input{Function: "older", Table: "things"}) {
		e.sliceRow(t, in, "failed 1 2 at 3")
		e.sliceRow(t, in, "loaded 0 1 at 1")
	}
	job := Job{Name: "x", Query: "select client from thought_industries.users u join older.things on true -- clari.forecast_entries", After: "Clari.Forecast_Entries"}
	blocks, err := e.inputs(t.Context(), job)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, b := range blocks {
		got = append(got, b.Guard)
	}
	if want := "input thought_industries.users,input older.things,input clari.forecast_entries"; strings.Join(got, ",") != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

func TestAgeText(t *testing.T) {
	for text, want := range map[string]string{"2d": "2d", "48h": "2d", "1d12h": "1d12h", "36h5m7s": "1d12h5m", "90m": "1h30m", "20m": "20m", "45s": "45s", "0s": "0s", "10h": "10h", "1d10s": "1d"} {
		d, err := parseAge(text)
		if got := ageText(d); err != nil || got != want {
			t.Errorf("%s: got %s, %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "d", "2", "-2d", "1.5d", "2dd", "2d-1h", "700000d", "1w"} {
		if d, err := parseAge(text); err == nil {
			t.Errorf("%q is taken as %s", text, d)
		}
	}
}
