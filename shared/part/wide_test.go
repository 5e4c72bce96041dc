package part_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/part"
	"github.com/millrace-data/millrace/shared/record"
)

func plan() *part.Encoder {
	return part.NewEncoder(record.Table{Schema: "adaptive", Name: "plan", Columns: []record.Column{
		{Name: "account", Type: record.Text}, {Name: "dims", Type: record.Document, Nullable: true},
		{Name: "period", Type: record.Text}, {Name: "start", Type: record.Date}, {Name: "value", Type: record.Number, Precision: 38, Scale: 9, Nullable: true},
	}})
}

var months = [][]part.Field{
	{{Column: "period", Value: "12/2026"}, {Column: "start", Value: "2026-12-01"}},
	{{Column: "period", Value: "01/2027"}, {Column: "start", Value: "2027-01-01"}},
}

func TestWide(t *testing.T) {
	w, err := plan().Wide("value", months)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Record([]part.Field{{Column: "account", Value: `R&D "x"`}, {Column: "dims", Value: `{"a":1}`}}); err != nil {
		t.Fatal(err)
	}
	var got []byte
	for i, cell := range [][]byte{[]byte("-1.50"), nil} {
		var rej *part.Reject
		if got, rej = w.Cell(got, i, cell); rej != nil {
			t.Fatal(rej)
		}
	}
	want := `{"account":"R&D \"x\"","dims":"{\"a\":1}","period":"12/2026","start":"2026-12-01","value":"-1.50"}
{"account":"R&D \"x\"","dims":"{\"a\":1}","period":"01/2027","start":"2027-01-01"}
`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWideRejects(t *testing.T) {
	w, err := plan().Wide("value", months)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Record([]part.Field{{Column: "account", Value: "A"}}); err != nil {
		t.Fatal(err)
	}
	line, rej := w.Cell([]byte("before"), 1, []byte("#REF"))
	if string(line) != "before" || rej == nil || rej.Rule != "decimal" || string(rej.Row) != `{"account":"A","period":"01/2027","start":"2027-01-01","value":"#REF"}` {
		t.Errorf("got %q, %+v", line, rej)
	}
	if err := w.Record([]part.Field{{Column: "account", Value: "A"}, {Column: "dims", Value: "no JSON"}}); err != nil {
		t.Fatal(err)
	}
	for i := range months { // a record that does not fit takes all its rows along, counted
		if line, rej := w.Cell(nil, i, []byte("1")); line != nil || rej == nil || rej.Rule != "json" {
			t.Errorf("cell %d: got %q, %+v", i, line, rej)
		}
	}
}

func TestWideInvalid(t *testing.T) {
	e := plan()
	if _, err := e.Wide("amount", months); !errors.Is(err, fault.Invalid) {
		t.Errorf("no such value column: %v", err)
	}
	if _, err := e.Wide("value", [][]part.Field{{{Column: "start", Value: "some day"}}}); !errors.Is(err, fault.Invalid) {
		t.Errorf("a header that does not fit: %v", err)
	}
	w, err := e.Wide("value", months)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Record([]part.Field{{Column: "level", Value: "x"}}); !errors.Is(err, fault.Invalid) {
		t.Errorf("no such shared column: %v", err)
	}
}

func BenchmarkWide(b *testing.B) {
	of := make([][]part.Field, 200)
	cells := make([][]byte, len(of))
	for i := range of {
		of[i] = []part.Field{{Column: "period", Value: fmt.Sprintf("%02d/20%02d", i%12+1, i/12)}, {Column: "start", Value: fmt.Sprintf("20%02d-%02d-01", i/12, i%12+1)}}
		cells[i] = fmt.Appendf(nil, "%d.%02d", i*1234, i%100)
	}
	w, err := plan().Wide("value", of)
	if err != nil {
		b.Fatal(err)
	}
	var line []byte
	n := 0
	for b.Loop() {
		_ = w.Record([]part.Field{{Column: "account", Value: "Account 4711"}, {Column: "dims", Value: `{"Vendor":{"code":"V1","name":"Acme"}}`}})
		for i, c := range cells {
			line, _ = w.Cell(line[:0], i, c)
			n += len(line)
		}
	}
	b.ReportMetric(float64(b.N*len(of))/b.Elapsed().Seconds()/1e6, "Mcells/s")
	b.SetBytes(int64(n / b.N))
}
