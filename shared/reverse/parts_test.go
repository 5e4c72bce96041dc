package reverse

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// A part takes as many rows as fit into its bytes, one at least.
func TestPartsAreMeasured(t *testing.T) {
	e := engine(t)
	conn := session(t, e)
	const frame = 12
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		var changes []Change
		var sizes []int64
		for i := range rapid.IntRange(1, 8).Draw(rt, "rows") {
			key := fmt.Sprintf("k%d", i)
			c, size := Change{Key: key, Kind: KindCreate}, int64(frame+len(key))
			for _, f := range []string{"Name", "Tier__c"} {
				if v := rapid.SampledFrom([]string{"", "a", `"`, "é", strings.Repeat(`x"`, 20), strings.Repeat("€", 50)}).Draw(rt, f); v != "" {
					c.Fields = append(c.Fields, FieldChange{Field: f, After: &v})
					size += int64(len(v) + strings.Count(v, `"`))
				}
			}
			changes, sizes = append(changes, c), append(sizes, size)
		}
		n++
		p := planOf(scores())
		p.Sync = fmt.Sprint("sync ", n)
		if err := e.store(t.Context(), conn, p, each(changes, nil)); err != nil {
			rt.Fatal(err)
		}
		most := rapid.Int64Range(1, 600).Draw(rt, "bytes")
		a := &applier{hold: &hold{e: e, p: p}}
		rows, last, err := a.measure(t.Context(), `"plan" = ?`, []any{p.ID}, measured{last: int64(len(changes)), bytes: most, frame: frame})
		want, sum := int64(1), sizes[0]
		for want < int64(len(sizes)) && sum+sizes[want] <= most {
			sum += sizes[want]
			want++
		}
		if err != nil || rows != want || last != want {
			rt.Errorf("%d rows up to %d, %v; want %d of %v in %d bytes", rows, last, err, want, sizes, most)
		}
	})
}
