package thoughtindustries

import (
	"testing"

	"github.com/millrace-data/millrace/functions/thoughtindustries/thoughtindustriestest"
)

// BenchmarkAdd is the connector's own work for each event: its time, digest and number.
func BenchmarkAdd(b *testing.B) {
	s := thoughtindustriestest.New(twinOptions{Events: 100})
	var rows [][]byte
	for raw := range s.Raw("login") {
		rows = append(rows, append([]byte(nil), raw...))
	}
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		if n%pageSize != 0 {
			continue
		}
		p := newPage(twinFrom.UnixMilli(), place{End: twinTo.UnixMilli()})
		for _, raw := range rows[:pageSize] {
			if _, _, err := p.add(raw); err != nil {
				b.Fatal(err)
			}
		}
	}
}
