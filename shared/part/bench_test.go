package part_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/millrace-data/millrace/shared/part"
	"github.com/millrace-data/millrace/shared/record"
)

// discard is an object that keeps nothing.
type discard struct{ io.Writer }

func (discard) Close() error { return nil }

func toNowhere(n int) (string, io.WriteCloser, error) { return "key", discard{io.Discard}, nil }

// BenchmarkEncoderJSON encodes rows of 10 fields in about 230 bytes.
func BenchmarkEncoderJSON(b *testing.B) {
	raw := []byte(`{"id":"0c6a1b3e-77aa-4f0e-9d5e-1c2b3a4d5e6f","intValue":48211,"dec":129.95,"flag":true,"at":"2026-01-02T03:04:05.678Z","day":"2026-01-02","doc":{"city":"Oslo"},"email":"a.person@example.com","title":"Introduction","state":"done"}`)
	table := every()
	for _, f := range []string{"email", "title", "state"} {
		table.Columns = append(table.Columns, record.Column{Name: f, Field: f, Type: record.Text})
	}
	e := part.NewEncoder(table)
	var line []byte
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		var reject *part.Reject
		var err error
		if line, reject, err = e.JSON(line[:0], raw); err != nil || reject != nil {
			b.Fatal(reject, err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

// wide is a file of 27 columns and rows like a cloud's cost report.
func wide(rows int) (record.Table, []string, []byte) {
	table := record.Table{Schema: "oci", Name: "cost_report", File: true}
	var names []string
	for i := range 27 {
		c := record.Column{Name: fmt.Sprintf("column_%d", i), Field: fmt.Sprintf("group/column%d", i), Type: record.Text, Nullable: true}
		switch i {
		case 1, 2:
			c.Type = record.Timestamp
		case 10, 11, 12, 13:
			c.Type, c.Precision, c.Scale = record.Number, 38, 9
		}
		table.Columns = append(table.Columns, c)
		names = append(names, c.Field)
	}
	var b bytes.Buffer
	b.WriteString(strings.Join(names, ",") + "\n")
	for i := range rows {
		fmt.Fprintf(&b, "ocid1.line.%08d,2026-01-02T%02d:00Z,2026-01-02T%02d:00Z,tenancy,COMPUTE,compute,eu-frankfurt-1,AD-1,instance%d,prod,%d.%04d,0.0225,%d,1.50,USD,,,SKU%d,B9%d,OCPU per hour,,false,,team%d,dev,,x\n",
			i, i%24, (i+1)%24, i%977, i%100, i%10000, i%31, i%40, i%1000, i%12)
	}
	return table, names, b.Bytes()
}

func BenchmarkCSV(b *testing.B) {
	_, _, file := wide(50_000)
	quoted := bytes.ReplaceAll(bytes.ReplaceAll(file, []byte(","), []byte(`","`)), []byte("\n"), []byte("\"\n\""))
	quoted = append([]byte{'"'}, quoted[:len(quoted)-1]...)
	for name, in := range map[string][]byte{"unquoted": file, "quoted": quoted} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(in)))
			b.ReportAllocs()
			for b.Loop() {
				c := part.NewCSV(bytes.NewReader(in))
				for {
					if _, err := c.Next(); err == io.EOF {
						break
					} else if err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

func BenchmarkEncoderCells(b *testing.B) {
	table, names, file := wide(1)
	row := bytes.Split(bytes.Split(file, []byte("\n"))[1], []byte(","))
	e := part.NewEncoder(table)
	if err := e.Header(names, part.CSVOptions{}); err != nil {
		b.Fatal(err)
	}
	var line []byte
	b.ReportAllocs()
	for b.Loop() {
		var reject *part.Reject
		var err error
		if line, reject, err = e.Cells(line[:0], row, 1); err != nil || reject != nil {
			b.Fatal(reject, err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

func BenchmarkWriter(b *testing.B) {
	table, names, file := wide(20_000)
	e := part.NewEncoder(table)
	var lines [][]byte
	if err := e.Header(names, part.CSVOptions{}); err != nil {
		b.Fatal(err)
	}
	c := part.NewCSV(bytes.NewReader(file))
	for cells, err := c.Next(); err == nil; cells, err = c.Next() {
		if c.Line() > 1 {
			line, _, _ := e.Cells(nil, cells, c.Line())
			lines = append(lines, line)
		}
	}
	w := part.NewWriter(toNowhere, 0)
	defer w.Abort()
	b.SetBytes(int64(len(lines[0])))
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if err := w.Line(lines[i%len(lines)]); err != nil {
			b.Fatal(err)
		}
		i++
	}
}

// BenchmarkFile takes a gzip CSV of 1,000,000 rows and 27 columns all the way
// into parts.
func BenchmarkFile(b *testing.B) {
	table, _, file := wide(1_000_000)
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write(file)
	_ = z.Close()
	b.SetBytes(int64(len(file)))
	b.ReportAllocs()
	for b.Loop() {
		if rows := load(b, table, packed.Bytes()); rows != 1_000_000 {
			b.Fatal(rows)
		}
	}
}

func load(b *testing.B, table record.Table, packed []byte) (rows int64) {
	r, err := part.Decompress(bytes.NewReader(packed))
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	c, e, w := part.NewCSV(r), part.NewEncoder(table), part.NewWriter(toNowhere, 0)
	var line []byte
	for n := int64(0); ; n++ {
		cells, err := c.Next()
		if err == io.EOF {
			break
		}
		if n == 0 {
			var names []string
			for _, cell := range cells {
				names = append(names, string(cell))
			}
			err = e.Header(names, part.CSVOptions{})
		} else if line, _, err = e.Cells(line[:0], cells, n); err == nil {
			err = w.Line(line)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	if err := w.Roll(); err != nil {
		b.Fatal(err)
	}
	for _, p := range w.Parts() {
		rows += p.Rows
	}
	return rows
}
