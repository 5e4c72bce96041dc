package duckdb

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestWide compares the fast cast with DuckDB's own, on texts around all borders.
func TestWide(t *testing.T) {
	db, err := sql.Open("duckdb", "")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	digits := func(t *rapid.T, label string, most int) string {
		return rapid.StringOfN(rapid.RuneFrom([]rune("0019")), 1, most, -1).Draw(t, label)
	}
	rapid.Check(t, func(t *rapid.T) {
		scale := rapid.SampledFrom([]int{0, 1, 9, 18, 20}).Draw(t, "scale")
		x := digits(t, "before", 38-scale)
		if scale > 0 && rapid.Bool().Draw(t, "point") {
			x += "." + digits(t, "after", scale)
		}
		if rapid.Bool().Draw(t, "negative") {
			x = "-" + x
		}
		var same, null bool
		q := fmt.Sprintf("SELECT %s IS NOT DISTINCT FROM CAST(x AS DECIMAL(38,%d)), (%[1]s) IS NULL FROM (SELECT ? AS x)", "("+wide("x", 38, scale)+")", scale)
		if err := db.QueryRowContext(t.Context(), q, x).Scan(&same, &null); err != nil {
			t.Fatal(err)
		}
		if !same || null {
			t.Fatalf("decimal(38,%d) of %q: not what CAST makes of it", scale, x)
		}
	})
	for _, x := range []string{"", "abc", "1.2.3", "--1", "1e5"} {
		var got any
		if err := db.QueryRowContext(t.Context(), "SELECT "+wide("x", 38, 9)+" FROM (SELECT ? AS x)", x).Scan(&got); err == nil && !strings.ContainsAny(x, ".e") {
			t.Errorf("%q became %v: a text that is no number must fail", x, got)
		}
	}
	var null any = 1
	if err := db.QueryRowContext(t.Context(), "SELECT "+wide("x", 38, 9)+" FROM (SELECT CAST(NULL AS VARCHAR) AS x)").Scan(&null); err != nil || null != nil {
		t.Errorf("null became %v, error %v", null, err)
	}
}
