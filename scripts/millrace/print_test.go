package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/load"
)

func TestGrid(t *testing.T) {
	g := newGrid("NAME", "ROWS#", "NOTE")
	g.row("é", "1", "")
	g.row("long name", "1,000", "x")
	var b bytes.Buffer
	if err := g.write(&b); err != nil {
		t.Fatal(err)
	}
	want := "NAME        ROWS  NOTE\né              1\nlong name  1,000  x\n"
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestFigure(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", -1000: "-1,000", -100: "-100", 1234567: "1,234,567"} {
		if got := figure(n); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestSpell(t *testing.T) {
	for d, want := range map[time.Duration]string{1500 * time.Millisecond: "1.5s", 90 * time.Second: "1m 30s", 25 * time.Hour: "25h 0m", 75 * time.Hour: "3d 3h", -time.Second: "0s"} {
		if got := spell(d); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestProgressLine(t *testing.T) {
	p := newProgress(&bytes.Buffer{}, false)
	if got := p.sum(time.Second); got != "" {
		t.Errorf("before anything was read: got %q", got)
	}
	p.see(extract.Progress{Table: "a", Slice: "1", Rows: 1000, Pages: 10, Requests: 11, QuotaLeft: 200})
	p.see(extract.Progress{Table: "a", Slice: "1", Rows: 2000, Pages: 20, Requests: 21, QuotaLeft: 190})
	p.see(extract.Progress{Table: "b", Slice: "1", Rows: 500, Pages: 5, Requests: 5, QuotaLeft: -1})
	p.load(load.Outcome{Rows: 500})
	p.load(load.Outcome{Rows: 500, Again: true})
	want := "10s  2,500 rows read  250 rows/s  500 loaded  25 pages  26 requests  quota left 190"
	if got := p.sum(10 * time.Second); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestCrashPointIsChecked(t *testing.T) {
	for _, bad := range []string{"after_page", "after_page:0", "after_page:x"} {
		if _, err := crashPoint(env.Map(map[string]string{crashVariable: bad})); err == nil || !strings.Contains(err.Error(), "POINT:N") {
			t.Errorf("%s: got %v", bad, err)
		}
	}
	if f, err := crashPoint(env.Map(nil)); f != nil || err != nil {
		t.Errorf("without the variable: got a point, %v", err)
	}
}

func TestComparison(t *testing.T) {
	for _, c := range []struct {
		name string
		got  comparedTo
		want bool
	}{
		{"equal", comparedTo{Vendor: 3, Loaded: 3, Distinct: 3, Sum: "1.5", LoadedBy: "1.5"}, true},
		{"a row lost", comparedTo{Vendor: 3, Loaded: 2, Distinct: 2}, false},
		{"a row twice", comparedTo{Vendor: 3, Loaded: 4, Distinct: 3}, false},
		{"one lost, one twice", comparedTo{Vendor: 3, Loaded: 3, Distinct: 2}, false},
		{"another amount", comparedTo{Vendor: 3, Loaded: 3, Distinct: 3, Sum: "1.5", LoadedBy: "1.49"}, false},
	} {
		if c.got.equal() != c.want {
			t.Errorf("%s: got %v, want %v", c.name, !c.want, c.want)
		}
	}
}
