package part_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/part"
	"github.com/millrace-data/millrace/shared/record"
)

func cells(s string) (out [][]byte) {
	for c := range strings.SplitSeq(s, ",") {
		out = append(out, []byte(c))
	}
	return out
}

// encodeCells encodes one record, cut at commas, below a header.
func encodeCells(t *testing.T, e *part.Encoder, opts part.CSVOptions, header, row string) (map[string]string, string) {
	t.Helper()
	if err := e.Header(strings.Split(header, ","), opts); err != nil {
		t.Fatal(err)
	}
	line, reject, err := e.Cells([]byte("before"), cells(row), 7)
	if err != nil {
		t.Fatal(err)
	}
	return decode(t, line, reject)
}

func TestCellsBindByName(t *testing.T) {
	opts := part.CSVOptions{Nulls: []string{"NULL", "-"}, Gather: map[string]string{"tags/": "doc"}}
	got, reject := encodeCells(t, part.NewEncoder(every()), opts,
		"\ufeff dec , id,tags/a,flag,tags/b c,other,tags/none,day", "1.50,NULLABLE,ä\"1,-,2,x,,NULL")
	want := map[string]string{"dec": "1.50", "id": "NULLABLE", "doc": `{"tags/a":"ä\"1","tags/b c":"2"}`, "_extra": `{"other":"x"}`, "_row": "7"}
	if diff := cmp.Diff(want, got); diff != "" || reject != "" {
		t.Error(reject, diff)
	}
}

func TestCellsRejects(t *testing.T) {
	for _, c := range []struct{ header, row, reason, object string }{
		{"id,dec", "a,b,c", "3 cells, header has 2", `{"id":"a","dec":"b","#3":"c"}`},
		{"id,dec", "a", "1 cells, header has 2", `{"id":"a"}`},
		{"id,dec", "a,b", "column dec: number does not fit decimal(38,9)", `{"id":"a","dec":"b"}`},
		{"id,doc", "a,{", "column doc: value is not JSON", `{"id":"a","doc":"{"}`},
		{"id,dec", "a\xe9,1", "column id: text is not UTF-8", `{"id":"a` + "\ufffd" + `","dec":"1"}`},
		{"id,new", "a,\xe9", "column _extra: text is not UTF-8", `{"id":"a","new":"` + "\ufffd" + `"}`},
	} {
		e := part.NewEncoder(every())
		if err := e.Header(strings.Split(c.header, ","), part.CSVOptions{}); err != nil {
			t.Fatal(err)
		}
		line, r, err := e.Cells([]byte("before"), cells(c.row), 1)
		if err != nil || r == nil || string(line) != "before" {
			t.Errorf("%s: line %q, error %v", c.row, line, err)
			continue
		}
		if r.Reason != c.reason || string(r.Row) != c.object {
			t.Errorf("got %q for %s, want %q for %s", r.Reason, r.Row, c.reason, c.object)
		}
	}
}

func TestHeaderOfAnOpenTable(t *testing.T) {
	table := every()
	table.Open = true
	e := part.NewEncoder(table)
	for range 2 { // the second file finds the columns of the first
		got, _ := encodeCells(t, e, part.CSVOptions{}, "id,Line ID,line/id,Int-Value,2nd", "a,b,c,d,e")
		want := map[string]string{"id": "a", "line_id": "b", "line_id_2": "c", "int_value_2": "d", "_2nd": "e", "_row": "7"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
	if n := len(e.Columns()); n != len(table.Columns)+4 {
		t.Errorf("%d columns, want 4 new ones", n)
	}
	last := e.Columns()[len(table.Columns)+3]
	if diff := cmp.Diff(record.Column{Name: "_2nd", Field: "2nd", Type: record.Text, Nullable: true}, last); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"2nd", "Int-Value", "Line ID", "line/id"}, e.Drift().New); diff != "" {
		t.Error(diff)
	}
}

func TestHeaderErrors(t *testing.T) {
	table := every()
	table.Columns[1].Nullable = false
	for _, c := range []struct {
		header string
		gather map[string]string
		kind   error
		says   string
	}{
		{"id,intValue, id", nil, fault.Corrupt, `"id"`},
		{"dec", nil, fault.Corrupt, "id, intValue"},
		{"id,intValue", map[string]string{"x": "dec"}, fault.Invalid, "dec"},
		{"id,intValue", map[string]string{"x": "none"}, fault.Invalid, "none"},
	} {
		err := part.NewEncoder(table).Header(strings.Split(c.header, ","), part.CSVOptions{Gather: c.gather})
		if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want %v that says %s", c.header, err, c.kind, c.says)
		}
	}
	if _, _, err := part.NewEncoder(table).Cells(nil, nil, 1); !errors.Is(err, fault.Invalid) {
		t.Errorf("cells before a header: %v", err)
	}
}
