package part_test

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/part"
)

// split reads all records, copied, with the lines they begin at.
func split(r io.Reader) (records [][]string, lines []int64, err error) {
	c := part.NewCSV(r)
	for {
		cells, err := c.Next()
		if err == io.EOF {
			return records, lines, nil
		}
		if err != nil {
			return records, lines, err
		}
		record := []string{}
		for _, cell := range cells {
			record = append(record, string(cell))
		}
		records, lines = append(records, record), append(lines, c.Line())
	}
}

func TestCSV(t *testing.T) {
	for _, c := range []struct {
		name, in string
		want     [][]string
		lines    []int64
	}{
		{"empty", "", nil, nil},
		{"only a BOM", "\ufeff", nil, nil},
		{"plain", "a,b\nc,d\n", [][]string{{"a", "b"}, {"c", "d"}}, []int64{1, 2}},
		{"no last newline", "a,b\nc,", [][]string{{"a", "b"}, {"c", ""}}, []int64{1, 2}},
		{"crlf, bom, empty lines", "\ufeffa,b\r\n\r\n\nc,d\r\n", [][]string{{"a", "b"}, {"c", "d"}}, []int64{1, 4}},
		{"quotes", "\"a,\"\"1\"\"\",\"\"\r\n\"x\r\ny\",\"\"\"\"\nlast,1", [][]string{{"a,\"1\"", ""}, {"x\r\ny", "\""}, {"last", "1"}}, []int64{1, 2, 4}},
		{"quote within an unquoted cell", "5\" pipe,a\r\nb,\"\"\r", [][]string{{"5\" pipe", "a"}, {"b", ""}}, []int64{1, 2}},
		{"quoted at the end", "\"a\"", [][]string{{"a"}}, []int64{1}},
		{"empty quoted record", "\"\"\n", [][]string{{""}}, []int64{1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, r := range []io.Reader{strings.NewReader(c.in), iotest.OneByteReader(strings.NewReader(c.in)), iotest.DataErrReader(strings.NewReader(c.in))} {
				got, lines, err := split(r)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(c.want, got); diff != "" {
					t.Error(diff)
				}
				if diff := cmp.Diff(c.lines, lines); diff != "" {
					t.Error("lines:", diff)
				}
			}
		})
	}
}

func TestCSVCorrupt(t *testing.T) {
	for in, says := range map[string]string{
		"a\n\"b\nc\n":   "line 2",
		"a\n\n\"b\"c\n": "line 3",
		"\"b\"\rc":      "line 1",
		"a\n" + "\"" + strings.Repeat("x\n", 9<<20): "line 2",
		strings.Repeat("x", 17<<20):                 "line 1",
	} {
		_, _, err := split(strings.NewReader(in))
		if !errors.Is(err, fault.Corrupt) || !strings.Contains(err.Error(), says) {
			t.Errorf("%.20q: got %v, want fault.Corrupt that says %s", in, err, says)
		}
	}
}

func TestCSVReaderFails(t *testing.T) {
	broken := errors.New("cut")
	for _, in := range []string{"a,b\nc,d", "a,b\n\"c\",\"d", "a,b\n\"c\",d\""} {
		got, _, err := split(io.MultiReader(strings.NewReader(in), iotest.ErrReader(broken)))
		if !errors.Is(err, broken) || len(got) != 1 {
			t.Errorf("%q: got %v, error %v; want the first record and the reader's error", in, got, err)
		}
	}
}

func TestCSVLongRecords(t *testing.T) {
	long := strings.Repeat("ab\"\"\n", 700<<10)
	in := "1,\"" + long + "\"\n2," + strings.Repeat("y", 600<<10) + "\n3,z"
	got, lines, err := split(strings.NewReader(in))
	if err != nil || len(got) != 3 || got[0][1] != strings.ReplaceAll(long, `""`, `"`) || got[2][1] != "z" {
		t.Fatalf("%d records, error %v", len(got), err)
	}
	if want := int64(700<<10 + 2); lines[1] != want {
		t.Errorf("second record at line %d, want %d", lines[1], want)
	}
}

// FuzzCSV holds NewCSV to encoding/csv: whatever that takes, we read alike. It
// turns a CRLF within quotes into LF, which we keep.
func FuzzCSV(f *testing.F) {
	for _, s := range []string{"a,b\n1,2\n", "\"a\"\"b\",c\r\n\n\"x\ny\",", "a\"b,c", "\"a\"b", "\r\n\r", ",\n,", "\"\r\n\"\r"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) { likeOracle(t, in, bytes.NewReader(in)) })
}

// TestCSVAtTheBuffersEnd puts short texts of the characters that matter across
// the place where the first buffer ends.
func TestCSVAtTheBuffersEnd(t *testing.T) {
	row := strings.Repeat("x", 1023) + "\n"
	rapid.Check(t, func(t *rapid.T) {
		tail := rapid.StringMatching(`[",\r\na]{0,14}`).Draw(t, "tail")
		before := rapid.IntRange(0, 14).Draw(t, "before")
		in := []byte(strings.Repeat(row, 255) + row[before+1:] + tail)
		likeOracle(t, in, bytes.NewReader(in))
		likeOracle(t, []byte(tail), strings.NewReader(tail))
	})
}

func likeOracle(t interface {
	Fatalf(format string, args ...any)
}, in []byte, r io.Reader) {
	got, _, err := split(r)
	oracle := csv.NewReader(bytes.NewReader(in))
	oracle.FieldsPerRecord = -1
	want, oracleErr := oracle.ReadAll()
	if oracleErr != nil || bytes.HasPrefix(in, []byte("\ufeff")) {
		return
	}
	if err != nil {
		t.Fatalf("%q: %v", in, err)
	}
	for _, r := range got {
		for i := range r {
			r[i] = strings.ReplaceAll(r[i], "\r\n", "\n")
		}
	}
	if !slices.EqualFunc(want, got, slices.Equal[[]string]) {
		t.Fatalf("%.100q: got %.200q, want %.200q", in, got, want)
	}
}
