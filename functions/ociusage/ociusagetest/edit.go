package ociusagetest

import (
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strings"
)

// An Edit changes the records of a CSV file; the first one is the header.
type Edit func(records [][]string) [][]string

// Edit replaces an object by what edits make of it, under a new ETag. It panics
// if there is no such report.
func (s *Server) Edit(name string, edits ...Edit) {
	records, err := read(s.Bytes(name))
	if err != nil {
		panic(fmt.Sprintf("ociusagetest: edit %s: %v", name, err))
	}
	for _, e := range edits {
		records = e(records)
	}
	var text bytes.Buffer
	w := csv.NewWriter(&text)
	for _, r := range records { // WriteAll would be the same, but a ragged file is the point here
		_ = w.Write(r) // into memory
	}
	w.Flush()
	s.Put(name, pack(text.Bytes()))
}

// Truncate replaces an object by its first n bytes, as if Oracle had stored a
// broken file: size and checksum are those of the stump.
func (s *Server) Truncate(name string, n int) { s.Put(name, s.Bytes(name)[:n]) }

// Ragged takes the last cell off a data row; 1 is the first.
func Ragged(row int) Edit {
	return func(records [][]string) [][]string {
		records[row] = records[row][:len(records[row])-1]
		return records
	}
}

// Twice adds a column whose header is there already.
func Twice(column string) Edit {
	return func(records [][]string) [][]string {
		for i := range records {
			records[i] = append(records[i], "")
		}
		records[0][len(records[0])-1] = column
		return records
	}
}

// Set puts a text into one cell of a data row; 1 is the first.
func Set(row int, column, text string) Edit {
	return func(records [][]string) [][]string {
		records[row][index(records[0], column)] = text
		return records
	}
}

// Without removes a column.
func Without(column string) Edit {
	return func(records [][]string) [][]string {
		i := index(records[0], column)
		for n := range records {
			records[n] = slices.Delete(records[n], i, i+1)
		}
		return records
	}
}

func index(header []string, column string) int {
	i := slices.IndexFunc(header, func(h string) bool { return strings.TrimSpace(h) == column })
	if i < 0 {
		panic("ociusagetest: no column " + column)
	}
	return i
}

// read unpacks a report, with whatever number of cells its rows have.
func read(data []byte) ([][]string, error) {
	var r io.Reader = bytes.NewReader(data)
	if bytes.HasPrefix(data, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil, err
		}
		r = z
	}
	c := csv.NewReader(r)
	c.FieldsPerRecord = -1
	return c.ReadAll()
}

func pack(text []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write(text) // into memory
	z.Close()
	return b.Bytes()
}
