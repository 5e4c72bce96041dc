package salesforce

import (
	"encoding/csv"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"github.com/millrace-data/millrace/shared/reverse"
)

func readCells(r io.Reader) (out [][]string, err error) {
	in := newCells(r, true)
	for {
		row, err := in.read()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		var cells []string
		for _, c := range row {
			cells = append(cells, string(c))
		}
		out = append(out, cells)
	}
}

// FuzzCells: what encoding/csv reads is read as it does, but for line ends within a
// cell, which stay what they are.
func FuzzCells(f *testing.F) {
	for _, s := range []string{"a,b\n1,2\n", "a\n\"x\"\"y\nz\"\n", "\n\r\n a , b\r\n", "a,\n\"\",\"\"", "\"a\"b\n", "a\"\n", "\"", "\ufeffa\n1", "a\r\r\n", "\"a\r\nb\"\r\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		want, wantErr := csv.NewReader(strings.NewReader(strings.TrimPrefix(text, bom))).ReadAll()
		got, err := readCells(strings.NewReader(text))
		if wantErr != nil {
			return // more may be readable here: a quote that is not at a cell's start is refused by both
		}
		if err != nil {
			t.Fatalf("%q: %v, and encoding/csv reads %q", text, err, want)
		}
		plain := func(rows [][]string) (out []string) {
			for _, r := range rows {
				out = append(out, strings.ReplaceAll(strings.Join(r, "\x00"), "\r", ""))
			}
			return out
		}
		if !slices.Equal(plain(got), plain(want)) {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	})
}

// TestTableComesBack: whatever is uploaded is read as it was written, by encoding/csv
// and by us, in pieces of any size.
func TestTableComesBack(t *testing.T) {
	value := rapid.StringOf(rapid.SampledFrom([]rune("aé ,\"\n\r\t;'\\.#\u00a0\u2028"))).Filter(func(s string) bool { return s != "" && s != noValue })
	rapid.Check(t, func(t *rapid.T) {
		rows := rapid.SliceOfN(rapid.SliceOfN(value, 3, 3), 1, 20).Draw(t, "rows")
		task := reverse.Task{Object: "A", Operation: reverse.Upsert, Key: "K", Fields: []reverse.Field{{Name: "F"}, {Name: "G"}}}
		var out strings.Builder
		if err := writeTable(&out, task, func(yield func(reverse.Row, error) bool) {
			for _, r := range rows {
				if !yield(reverse.Row{Key: r[0], Values: []reverse.Value{text(r[1]), text(r[2])}}, nil) {
					return
				}
			}
		}); err != nil {
			t.Fatal(err)
		}
		want := append([][]string{{"K", "F", "G"}}, rows...)
		got, err := readCells(iotest.OneByteReader(strings.NewReader(out.String())))
		if err != nil || !slices.EqualFunc(got, want, slices.Equal) {
			t.Fatalf("got %q, %v, want %q", got, err, want)
		}
		std, err := csv.NewReader(strings.NewReader(out.String())).ReadAll()
		if err != nil || len(std) != len(want) {
			t.Fatalf("encoding/csv: got %q, %v", std, err)
		}
	})
}

func TestLongRows(t *testing.T) {
	long := strings.Repeat("x\"\n,", 100_000)
	var out strings.Builder
	task := reverse.Task{Object: "A", Operation: reverse.Upsert, Key: "K", Fields: []reverse.Field{{Name: "F"}}}
	if err := writeTable(&out, task, rowsOf(reverse.Row{Key: "k", Values: []reverse.Value{text(long)}}, reverse.Row{Key: strings.Repeat("y", 200_000), Values: []reverse.Value{absent}})); err != nil {
		t.Fatal(err)
	}
	got, err := readCells(strings.NewReader(out.String()))
	if err != nil || len(got) != 3 || got[1][1] != long || len(got[2][0]) != 200_000 || got[2][1] != "" {
		t.Errorf("got %d rows, %v", len(got), err)
	}
	broken := errors.New("the disk is gone")
	if _, err := readCells(io.MultiReader(strings.NewReader("a,b\n1,\"2"), iotest.ErrReader(broken))); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}
