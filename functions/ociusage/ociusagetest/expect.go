package ociusagetest

import (
	"math/big"
	"strings"
)

// Prefix is where the files of a table lie: cost_report, usage_report or
// focus_report.
func Prefix(table string) string { return feeds[table].prefix }

// Total is what the warehouse must hold of a table once every object is loaded.
type Total struct {
	Files, Rows, Corrections int64
	Tagged                   int64  // rows with at least one tag
	Amount                   string // exact sum: cost, billed quantity, or BilledCost, without trailing zeros
	Broken                   []string
}

// Expect reads every object of a table. Files that cannot be read are in Broken
// and in no number.
func (s *Server) Expect(table string) Total {
	t, amount := Total{}, new(big.Rat)
	for _, name := range s.Names(Prefix(table)) {
		rows, err := s.Rows(name)
		if err != nil || rows == nil {
			t.Broken = append(t.Broken, name)
			continue
		}
		t.Files++
		for _, row := range rows {
			t.add(row)
			if v, ok := new(big.Rat).SetString(row[feeds[table].amount]); ok {
				amount.Add(amount, v)
			}
		}
	}
	t.Amount = strings.TrimSuffix(strings.TrimRight(amount.FloatString(18), "0"), ".")
	return t
}

func (t *Total) add(row map[string]string) {
	t.Rows++
	if row["lineItem/isCorrection"] == "true" || row["oci_BackReferenceNumber"] != "" {
		t.Corrections++
	}
	tagged := row["Tags"] != "" && row["Tags"] != "NULL"
	for header, cell := range row {
		tagged = tagged || strings.HasPrefix(header, "tags/") && cell != ""
	}
	if tagged {
		t.Tagged++
	}
}

// Rows returns the data rows of one object, header → cell, headers trimmed; nil
// for an object without even a header.
func (s *Server) Rows(name string) ([]map[string]string, error) {
	records, err := read(s.Bytes(name))
	if err != nil || len(records) == 0 {
		return nil, err
	}
	rows := make([]map[string]string, len(records)-1)
	for i, r := range records[1:] {
		rows[i] = map[string]string{}
		for j, cell := range r {
			rows[i][strings.TrimSpace(records[0][j])] = cell
		}
	}
	return rows, nil
}
