package part_test

import (
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/cockroachdb/apd/v3"
	"github.com/go-json-experiment/json/jsontext"
	"pgregory.net/rapid"

	"github.com/millrace-data/millrace/shared/part"
	"github.com/millrace-data/millrace/shared/record"
)

// TestDecimalIsExact compares with apd: a number is kept exactly, or rejected
// because its digits do not fit, and never rounded.
func TestDecimalIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		precision := rapid.IntRange(1, 38).Draw(t, "precision")
		scale := rapid.IntRange(0, precision).Draw(t, "scale")
		number := rapid.StringMatching(`-?(0|[1-9][0-9]{0,40})(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,2})?`).Draw(t, "number")
		table := record.Table{Columns: []record.Column{{Name: "n", Field: "n", Type: record.Number, Precision: precision, Scale: scale}}}
		line, reject, err := part.NewEncoder(table).JSON(nil, []byte(`{"n":`+number+`}`))
		if err != nil {
			t.Fatal(err)
		}
		want, _, err := apd.NewFromString(number)
		if err != nil {
			t.Fatal(err)
		}
		if fits := fits(want, precision, scale); fits != (reject == nil) {
			t.Fatalf("%s as decimal(%d,%d): reject %v, but fits is %v", number, precision, scale, reject, fits)
		}
		if reject != nil {
			return
		}
		var m map[string]string
		if err := json.Unmarshal(line, &m); err != nil {
			t.Fatal(err)
		}
		got, _, err := apd.NewFromString(m["n"])
		if err != nil || got.Cmp(want) != 0 {
			t.Fatalf("%s became %s (%v)", number, m["n"], err)
		}
		if strings.ContainsAny(m["n"], "eE+") || len(strings.Trim(m["n"], "-.")) > precision+2 {
			t.Fatalf("%s became %s, which is not plain digits", number, m["n"])
		}
	})
}

func fits(d *apd.Decimal, precision, scale int) bool {
	var r apd.Decimal
	r.Reduce(d)
	if r.IsZero() {
		return true
	}
	whole := r.NumDigits() + int64(r.Exponent)
	return -int(r.Exponent) <= scale && whole <= int64(precision-scale)
}

// FuzzEncoderJSON: whatever is taken becomes one valid line from which text and
// numbers come back as encoding/json reads them from the vendor's row.
func FuzzEncoderJSON(f *testing.F) {
	for _, s := range []string{
		`{"id":"a","intValue":1,"dec":-1.50e2,"flag":true,"at":"2026-01-02T03:04:05.6+01:00","day":"2026-01-02","doc":{"a":[1.0]}}`,
		`{"id":1e400,"x":{"y":null},"\u0069ntValue":"7"}`, `{"id":"\ud83d\ude00\u0000"}`, `{"at":1.7e9,"day":86400}`, `{"id":{"id":{}},"id":2}`, `[{}]`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		line, reject, err := part.NewEncoder(every()).JSON(nil, raw)
		if err != nil || reject != nil {
			if len(line) > 0 {
				t.Fatalf("%q left %q", raw, line)
			}
			if err != nil && jsontext.Value(raw).IsValid() && jsontext.Value(raw).Kind() == '{' {
				t.Fatalf("%q: %v", raw, err)
			}
			return
		}
		if !jsontext.Value(line).IsValid() || line[len(line)-1] != '\n' || strings.Count(string(line), "\n") != 1 {
			t.Fatalf("%q became %q", raw, line)
		}
		var in map[string]json.RawMessage
		var out map[string]string
		if err := json.Unmarshal(raw, &in); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(line, &out); err != nil {
			t.Fatal(err)
		}
		if err := same(in, out); err != nil {
			t.Fatalf("%q became %q: %v", raw, line, err)
		}
	})
}

func same(in map[string]json.RawMessage, out map[string]string) error {
	if id, ok := in["id"]; ok && id[0] == '"' {
		var s string
		_ = json.Unmarshal(id, &s)
		if out["id"] != s {
			return fmt.Errorf("id is %q, want %q", out["id"], s)
		}
	}
	if doc, ok := in["doc"]; ok && string(doc) != "null" && out["doc"] != string(doc) {
		return fmt.Errorf("doc is %q, want %q", out["doc"], doc)
	}
	for field, column := range map[string]string{"intValue": "int_value", "dec": "dec"} {
		raw := strings.Trim(string(in[field]), `" `)
		want, ok := new(big.Rat).SetString(raw)
		if !ok || strings.ContainsAny(raw, "/_xXoObBpP\\") || len(raw) > 60 {
			continue
		}
		if got, ok := new(big.Rat).SetString(out[column]); !ok || got.Cmp(want) != 0 {
			return fmt.Errorf("%s is %q, want %s", column, out[column], raw)
		}
	}
	return nil
}
