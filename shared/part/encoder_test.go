package part_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/part"
	"github.com/millrace-data/millrace/shared/record"
)

// every is a table with a column of each type; fields are named like the types.
func every() record.Table {
	return record.Table{Schema: "test", Name: "every", Columns: []record.Column{
		{Name: "id", Field: "id", Type: record.Text},
		{Name: "int_value", Field: "intValue", Type: record.Integer, Nullable: true},
		{Name: "dec", Field: "dec", Type: record.Number, Precision: 38, Scale: 9, Nullable: true},
		{Name: "flag", Field: "flag", Type: record.Boolean, Nullable: true},
		{Name: "at", Field: "at", Type: record.Timestamp, Nullable: true},
		{Name: "day", Field: "day", Type: record.Date, Nullable: true},
		{Name: "doc", Field: "doc", Type: record.Document, Nullable: true},
	}}
}

// encode returns the line as a map, or the reject's reason.
func encode(t *testing.T, raw string, extra ...part.Field) (map[string]string, string) {
	t.Helper()
	line, reject, err := part.NewEncoder(every()).JSON([]byte("before"), []byte(raw), extra...)
	if err != nil {
		t.Fatal(err)
	}
	return decode(t, line, reject)
}

func decode(t *testing.T, line []byte, reject *part.Reject) (map[string]string, string) {
	t.Helper()
	if reject != nil {
		if string(line) != "before" {
			t.Fatalf("a reject changed dst to %q", line)
		}
		return nil, reject.Reason
	}
	rest, ok := strings.CutPrefix(string(line), "before")
	if !ok || !strings.HasSuffix(rest, "}\n") || strings.Count(rest, "\n") != 1 {
		t.Fatalf("not one appended line: %q", line)
	}
	var m map[string]string
	if err := json.Unmarshal([]byte(rest), &m); err != nil {
		t.Fatalf("%v in %q", err, rest)
	}
	return m, ""
}

func TestJSONValues(t *testing.T) {
	const (
		noInt, noDec = "column int_value: number does not fit a 64-bit integer", "column dec: number does not fit decimal(38,9)"
		noFlag       = "column flag: value is not a boolean"
		noTime       = "column at: value is not a timestamp"
		noDay        = "column day: value is not a date"
	)
	for _, c := range []struct{ field, raw, want, reject string }{
		{"id", `"plain"`, "plain", ""},
		{"id", `""`, "", ""},
		{"id", `"a\"b\\\n\u00e9\ud83d\ude00é"`, "a\"b\\\né😀é", ""},
		{"id", `12.50`, "12.50", ""},
		{"id", `true`, "true", ""},
		{"id", `{"a": [1.10]}`, `{"a": [1.10]}`, ""},
		{"intValue", `12`, "12", ""},
		{"intValue", `-9223372036854775808`, "-9223372036854775808", ""},
		{"intValue", `9223372036854775807`, "9223372036854775807", ""},
		{"intValue", `9223372036854775808`, "", noInt},
		{"intValue", `1.2e1`, "12", ""},
		{"intValue", `1.5`, "", noInt},
		{"intValue", `" 7 "`, "7", ""},
		{"intValue", `"seven"`, "", noInt},
		{"intValue", `true`, "", noInt},
		{"intValue", `[1]`, "", noInt},
		{"dec", `12345678901234567890123456789.123456789`, "12345678901234567890123456789.123456789", ""},
		{"dec", `123456789012345678901234567890`, "", noDec},
		{"dec", `0.1234567891`, "", noDec},
		{"dec", `0.1234567890000`, "0.123456789", ""},
		{"dec", `1e-9`, "0.000000001", ""},
		{"dec", `1e-10`, "", noDec},
		{"dec", `-1.5E+3`, "-1500", ""},
		{"dec", `1e999999999999`, "", noDec},
		{"dec", `0e999999999999`, "0", ""},
		{"dec", `"+007.50"`, "7.50", ""},
		{"dec", `"1,000"`, "", noDec},
		{"dec", `"NaN"`, "", noDec},
		{"flag", `true`, "true", ""},
		{"flag", `"N"`, "false", ""},
		{"flag", `"YES"`, "true", ""},
		{"flag", `0`, "false", ""},
		{"flag", `2`, "", noFlag},
		{"flag", `"maybe"`, "", noFlag},
		{"at", `"2026-01-02T03:04:05Z"`, "2026-01-02 03:04:05", ""},
		{"at", `"2026-01-02T03:04:05.120+02:30"`, "2026-01-02 00:34:05.12", ""},
		{"at", `"2026-01-01T22:00:00-0500"`, "2026-01-02 03:00:00", ""},
		{"at", `"2026-01-02 03:04:05 UTC"`, "2026-01-02 03:04:05", ""},
		{"at", `"2026-01-02T03:00Z"`, "2026-01-02 03:00:00", ""},
		{"at", `"2026-01-02"`, "2026-01-02 00:00:00", ""},
		{"at", `1767323045`, "2026-01-02 03:04:05", ""},
		{"at", `1767323045123`, "2026-01-02 03:04:05.123", ""},
		{"at", `1767323045.5`, "2026-01-02 03:04:05.5", ""},
		{"at", `-1`, "1969-12-31 23:59:59", ""},
		{"at", `1e300`, "", noTime},
		{"at", `99999999999`, "5138-11-16 09:46:39", ""},
		{"at", `"2026-02-30T00:00:00Z"`, "", noTime},
		{"at", `"2026-01-02T24:00:00Z"`, "", noTime},
		{"at", `"2026-01-02T03:04:05+2"`, "", noTime},
		{"at", `"01/02/2026"`, "", noTime},
		{"at", `"0001-01-01T00:00:00+01:00"`, "", noTime},
		{"at", `true`, "", noTime},
		{"day", `"2026-01-02"`, "2026-01-02", ""},
		{"day", `"2026-01-02T00:00:00+02:00"`, "2026-01-02", ""},
		{"day", `"2026-01-02T10:00:00Z"`, "", noDay},
		{"day", `1767312000`, "2026-01-02", ""},
		{"day", `1767312001`, "", noDay},
		{"doc", `{"n": 1.000000000000000000000000000000000001, "s":"ü"}`, `{"n": 1.000000000000000000000000000000000001, "s":"ü"}`, ""},
		{"doc", `"text"`, `"text"`, ""},
	} {
		t.Run(c.field+" "+c.raw, func(t *testing.T) {
			got, reject := encode(t, `{"`+c.field+`":`+c.raw+`}`)
			if reject != c.reject {
				t.Fatalf("got reject %q, want %q", reject, c.reject)
			}
			if v := got[record.Snake(c.field)]; v != c.want || reject == "" && len(got) != 1 {
				t.Errorf("got %q of %v, want %q", v, got, c.want)
			}
		})
	}
}

func TestJSONNullsAreAbsent(t *testing.T) {
	got, _ := encode(t, `{"id":null,"intValue":null,"dec":"","flag":" ","at":"","day":null,"doc":null,"other":null}`)
	if diff := cmp.Diff(map[string]string{"_extra": `{"other":null}`}, got); diff != "" {
		t.Error(diff)
	}
	if got, _ = encode(t, ` {} `); len(got) != 0 {
		t.Errorf("got %v of an empty object", got)
	}
}

func TestJSONExtraMembersKeepTheirBytes(t *testing.T) {
	got, _ := encode(t, `{"new Name":1.10,"id":"x","a\"b":{"deep": [1e2]},"_row":"mine"}`)
	want := map[string]string{"id": "x", "_extra": `{"new Name":1.10,"a\"b":{"deep": [1e2]},"_row":"mine"}`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestJSONFieldsOfTheConnector(t *testing.T) {
	got, _ := encode(t, `{"id":"vendor","intValue":"no number"}`,
		part.Field{Column: "id", Value: "ours\n"}, part.Field{Column: "int_value", Value: "5"}, part.Field{Column: "_source", Value: "a.csv"}, part.Field{Column: "day"})
	if diff := cmp.Diff(map[string]string{"id": "ours\n", "int_value": "5", "_source": "a.csv"}, got); diff != "" {
		t.Error(diff)
	}
	_, _, err := part.NewEncoder(every()).JSON(nil, []byte(`{}`), part.Field{Column: "nope", Value: "1"})
	if !errors.Is(err, fault.Invalid) {
		t.Errorf("an extra for an unknown column: %v", err)
	}
	if _, reject := encode(t, `{}`, part.Field{Column: "dec", Value: "x"}); reject == "" {
		t.Error("an extra that does not fit was taken")
	}
}

func TestJSONRejectKeepsTheRow(t *testing.T) {
	for raw, want := range map[string]string{
		`{"id":"a","id":"b"}`:                  "member id twice",
		`{"x":1,"x":2}`:                        "member x twice",
		`{"doc":{"a":[{"b":1,"b":1}]}}`:        "member b twice",
		`{"x":{"a":1,"a":2}}`:                  "member a twice",
		`{"id":"cut \ud83d"}`:                  "text of the row is not Unicode",
		"{\"id\":\"latin \xe9\"}":              "text of the row is not Unicode",
		`{"intValue":"secret","dec":"secret"}`: "column int_value: number does not fit a 64-bit integer",
	} {
		line, r, err := part.NewEncoder(every()).JSON(nil, []byte(raw))
		if err != nil || r == nil || len(line) != 0 {
			t.Errorf("%s: line %q, reject %v, error %v", raw, line, r, err)
			continue
		}
		if r.Reason != want || string(r.Row) != strings.ToValidUTF8(raw, "\ufffd") || r.Rule == "" {
			t.Errorf("%s: got %+v, want reason %q", raw, r, want)
		}
		if strings.Contains(r.Reason, "secret") {
			t.Errorf("reason shows the value: %s", r.Reason)
		}
	}
}

func TestJSONCorrupt(t *testing.T) {
	for _, raw := range []string{``, ` `, `[]`, `1`, `{`, `{"id"`, `{"id":}`, `{"id":"secret"`, `{"id":"x"}{}`, `{"id":"x"},`, `{1:2}`, `{"id":"a","id":}`, `<html>`, `{"dec":"bad", nonsense}`} {
		dst, r, err := part.NewEncoder(every()).JSON([]byte("before"), []byte(raw))
		if !errors.Is(err, fault.Corrupt) || r != nil || string(dst) != "before" {
			t.Errorf("%s: got %q, reject %v, error %v; want fault.Corrupt", raw, dst, r, err)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the error shows the value: %v", err)
		}
	}
}

func TestJSONOtherOrderNextRow(t *testing.T) {
	e := part.NewEncoder(every())
	for i, raw := range []string{`{"id":"1","dec":2,"intValue":3}`, `{"intValue":3,"new":0,"dec":2,"id":"1"}`, `{"id":"1","intValue":3,"dec":2}`, `{"dec":2,"intValue":3,"id":"1"}`} {
		line, r, err := e.JSON([]byte("before"), []byte(raw))
		if err != nil {
			t.Fatal(err)
		}
		got, _ := decode(t, line, r)
		delete(got, "_extra")
		if diff := cmp.Diff(map[string]string{"id": "1", "dec": "2", "int_value": "3"}, got); diff != "" {
			t.Errorf("row %d: %s", i, diff)
		}
	}
}

func TestDrift(t *testing.T) {
	e := part.NewEncoder(every())
	if d := e.Drift(); len(d.New)+len(d.Missing) > 0 {
		t.Errorf("drift before the first row: %+v", d)
	}
	for i := range 1100 {
		if _, _, err := e.JSON(nil, fmt.Appendf(nil, `{"id":"x","dec":null,"n%04d":1}`, i)); err != nil {
			t.Fatal(err)
		}
	}
	d := e.Drift()
	if len(d.New) != 1000 || d.New[0] != "n0000" || d.New[999] != "n0999" {
		t.Errorf("got %d new names from %s to %s", len(d.New), d.New[0], d.New[len(d.New)-1])
	}
	if diff := cmp.Diff([]string{"at", "day", "doc", "flag", "intValue"}, d.Missing); diff != "" {
		t.Error(diff)
	}
}

// A reject holds what the connector knows beside the row, so that it can be read
// again once the schema is mended.
func TestRejectKeepsExtras(t *testing.T) {
	table := record.Table{Schema: "s", Name: "t", Columns: []record.Column{
		{Name: "forecast_id", Field: "forecastId", Type: record.Text}, {Name: "n", Field: "n", Type: record.Integer}}}
	for raw, want := range map[string]string{
		`{"n":"x"}`:            `{"forecastId":"net \"arr\"","n":"x"}`,
		`{ "n":1.5,"other":1}`: `{"forecastId":"net \"arr\"","n":1.5,"other":1}`,
	} {
		_, rej, err := part.NewEncoder(table).JSON(nil, []byte(raw), part.Field{Column: "forecast_id", Value: `net "arr"`})
		if err != nil || rej == nil || string(rej.Row) != want {
			t.Errorf("%s: got %+v, %v; want %s", raw, rej, err, want)
		}
	}
}
