package extract

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-data/millrace/shared/warehouse"
)

const day = 24 * time.Hour

func at(s string) time.Time {
	t, err := time.Parse("2006-01-02 15:04", s)
	if err != nil {
		panic(err)
	}
	return t.UTC()
}

func loaded(id, from, to string) warehouse.Slice {
	return warehouse.Slice{ID: id, Purpose: "live", From: at(from), To: at(to), State: warehouse.Loaded, LoadedAt: at(to)}
}

func days(from string, n int) (out []warehouse.Slice) {
	for i := range n {
		f := at(from + " 00:00").Add(time.Duration(i) * day)
		out = append(out, loaded(f.Format(time.DateOnly), f.Format("2006-01-02 15:04"), f.Add(day).Format("2006-01-02 15:04")))
	}
	return out
}

func TestWindows(t *testing.T) {
	daily := Table{Slices: Windows(day, time.Hour, 2*day, at("2024-12-01 00:00"))}
	failed := loaded("2025-01-02", "2025-01-02 00:00", "2025-01-03 00:00")
	failed.LoadedAt, failed.State = time.Time{}, warehouse.Failed
	stray := loaded("2024-11-01", "2024-11-01 00:00", "2024-11-02 00:00")
	stray.Purpose = "backfill"
	strayFailed := stray
	strayFailed.LoadedAt = time.Time{}
	again := loaded("2025-01-02", "2025-01-02 00:00", "2025-01-03 00:00")
	again.State = warehouse.Failed
	for _, tc := range []struct {
		name string
		rows []warehouse.Slice
		r    Request
		want []string
	}{
		{"a lookback that failed is owed when it has passed", append(append(days("2025-01-01", 1), again), days("2025-01-03", 5)...), Request{Now: at("2025-01-08 02:00")},
			[]string{"2025-01-02", "2025-01-06", "2025-01-07"}},
		{"a lookback that failed is owed once", append(days("2025-01-01", 1), again), Request{Now: at("2025-01-03 02:00")}, []string{"2025-01-01", "2025-01-02"}},
		{"first run reads history as one slice, then days", nil, Request{Now: at("2025-01-05 02:00")},
			[]string{"2024-12-01T00:00:00Z_2025-01-03T00:00:00Z", "2025-01-03", "2025-01-04"}},
		{"a day is due only when it has settled", days("2025-01-01", 3), Request{Now: at("2025-01-05 00:59")}, []string{"2025-01-02", "2025-01-03"}},
		{"new day and lookback", days("2025-01-01", 3), Request{Now: at("2025-01-05 01:00")}, []string{"2025-01-03", "2025-01-04"}},
		{"a gap inside is owed", append(days("2025-01-01", 1), days("2025-01-04", 6)...), Request{Now: at("2025-01-10 02:00")},
			[]string{"2025-01-02", "2025-01-03", "2025-01-08", "2025-01-09"}},
		{"a failed live slice is owed", append(days("2025-01-01", 1), failed), Request{Now: at("2025-01-03 02:00")}, []string{"2025-01-01", "2025-01-02"}},
		{"a backfill before the base moves nothing", append(days("2025-01-01", 2), stray), Request{Now: at("2025-01-03 02:00")}, []string{"2025-01-01", "2025-01-02"}},
		{"a failed backfill is not owed by live runs", append(days("2025-01-01", 2), strayFailed), Request{Now: at("2025-01-03 02:00")}, []string{"2025-01-01", "2025-01-02"}},
		{"asked for by dates", days("2025-01-01", 9), Request{Now: at("2025-01-10 02:00"), From: at("2025-01-02 00:00"), To: at("2025-01-04 00:00")}, []string{"2025-01-02", "2025-01-03"}},
		{"dates end where the present begins", nil, Request{Now: at("2025-01-03 12:00"), From: at("2025-01-02 00:00"), To: at("2025-02-01 00:00")}, []string{"2025-01-02"}},
		{"first run from a date has no history", nil, Request{Now: at("2025-01-03 12:00"), From: at("2025-01-01 00:00")}, []string{"2025-01-01", "2025-01-02"}},
		{"parts of days keep their ends", nil, Request{Now: at("2025-01-03 12:00"), From: at("2025-01-01 12:00"), To: at("2025-01-02 06:00")},
			[]string{"2025-01-01T12:00:00Z_2025-01-02T00:00:00Z", "2025-01-02T00:00:00Z_2025-01-02T06:00:00Z"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.r.Purpose == "" {
				tc.r.Purpose = Live
			}
			p := planner{t: daily, r: tc.r, rows: tc.rows}
			if diff := cmp.Diff(tc.want, ids(p.windows())); diff != "" {
				t.Errorf("slices (-want +got):\n%s", diff)
			}
		})
	}
}

func TestScans(t *testing.T) {
	weekly := Table{Slices: Scans(7*day, day)}
	scan := func(at, state string) warehouse.Slice {
		s := loaded("scan-"+at[:10], at, at)
		if state != warehouse.Loaded {
			s.State, s.LoadedAt = state, time.Time{}
		}
		return s
	}
	for _, tc := range []struct {
		name  string
		rows  []warehouse.Slice
		now   string
		want  []string
		start string
	}{
		{"first", nil, "2025-01-01 02:00", []string{"scan-2025-01-01"}, ""},
		{"tail in between", []warehouse.Slice{scan("2025-01-01 02:00", warehouse.Loaded)}, "2025-01-02 02:00", []string{"tail-2025-01-02T00:00:00Z"}, "c9"},
		{"due again", []warehouse.Slice{scan("2025-01-01 02:00", warehouse.Loaded)}, "2025-01-08 02:00", []string{"scan-2025-01-08"}, ""},
		{"owed", []warehouse.Slice{scan("2025-01-01 02:00", warehouse.Failed)}, "2025-01-02 02:00", []string{"scan-2025-01-01"}, ""},
		{"an old failure is overtaken", []warehouse.Slice{scan("2025-01-01 02:00", warehouse.Failed), scan("2025-01-02 02:00", warehouse.Loaded)}, "2025-01-03 02:00", []string{"tail-2025-01-03T00:00:00Z"}, "c9"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := planner{t: weekly, r: Request{Now: at(tc.now), Purpose: Live}, rows: tc.rows, cursor: "c9"}
			got := p.scans()
			if diff := cmp.Diff(tc.want, ids(got)); diff != "" {
				t.Fatalf("slices (-want +got):\n%s", diff)
			}
			if got[0].Start != tc.start {
				t.Errorf("starts at %q, want %q", got[0].Start, tc.start)
			}
		})
	}
}

func ids(s []Slice) (out []string) {
	for _, x := range s {
		out = append(out, x.ID)
	}
	if !slices.IsSortedFunc(s, func(a, b Slice) int { return a.From.Compare(b.From) }) {
		out = append(out, "NOT SORTED")
	}
	return out
}
