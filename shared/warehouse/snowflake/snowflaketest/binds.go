package snowflaketest

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// binding is one bound value, or one column of them.
type binding struct {
	Type  string          `json:"type"`
	Value json.RawMessage `json:"value"`
}

// binds is the values of a statement: usually one row of them.
type binds struct {
	types []string
	rows  [][]*string
	array bool // several rows were bound: the statement is done for each
}

// newBinds puts the bound values in their order.
func newBinds(in map[string]binding) (*binds, error) {
	b := &binds{}
	for i := 1; i <= len(in); i++ {
		v, ok := in[strconv.Itoa(i)]
		if !ok {
			return nil, fail("002049", "42601", "SQL compilation error:\nBind variable ?%d not set.", i)
		}
		var one *string
		var many []*string
		if json.Unmarshal(v.Value, &one) == nil {
			many = []*string{one}
		} else if err := json.Unmarshal(v.Value, &many); err != nil {
			return nil, fail("002050", "42601", "bind variable ?%d: %v", i, err)
		} else {
			b.array = true
		}
		for len(b.rows) < len(many) {
			b.rows = append(b.rows, make([]*string, len(in)))
		}
		for row := range many {
			b.rows[row][i-1] = many[row]
		}
		b.types = append(b.types, strings.ToUpper(v.Type))
	}
	return b, nil
}

// sql is what stands in a statement for a value: the engine is told the types that
// it could not tell from the value.
func (b *binds) sql(i int) string {
	if i >= len(b.types) {
		return "?"
	}
	switch b.types[i] {
	case "DATE", "TIME":
		return "CAST(? AS " + b.types[i] + ")"
	case "TIMESTAMP_NTZ":
		return "CAST(? AS TIMESTAMP)"
	case "TIMESTAMP_LTZ", "TIMESTAMP_TZ":
		return "CAST(? AS TIMESTAMPTZ)"
	}
	return "?"
}

// args is the values of one row in the order that the statement uses them.
func (b *binds) args(row int, order []int) ([]any, error) {
	out := make([]any, len(order))
	for i, n := range order {
		if len(b.rows) == 0 || n >= len(b.types) {
			return nil, fail("002049", "42601", "SQL compilation error:\nBind variable ?%d not set.", n+1)
		}
		v, err := bound(b.types[n], b.rows[row][n])
		if err != nil {
			return nil, fail("100038", "22018", "bind variable ?%d of type %s has a value that is none", n+1, b.types[n])
		}
		out[i] = v
	}
	return out, nil
}

// bound is a bound value for the engine.
func bound(typ string, v *string) (any, error) {
	if v == nil {
		return nil, nil
	}
	switch typ {
	case "FIXED":
		if n, err := strconv.ParseInt(*v, 10, 64); err == nil {
			return n, nil
		}
		return *v, nil
	case "REAL":
		return strconv.ParseFloat(*v, 64)
	case "BOOLEAN":
		return strconv.ParseBool(*v)
	case "BINARY":
		return hex.DecodeString(*v)
	case "DATE":
		ms, err := strconv.ParseInt(*v, 10, 64)
		return time.UnixMilli(ms).UTC().Format(time.DateOnly), err
	case "TIME":
		ns, err := strconv.ParseInt(*v, 10, 64)
		return time.Unix(0, ns).UTC().Format("15:04:05.999999"), err
	case "TIMESTAMP_NTZ", "TIMESTAMP_LTZ", "TIMESTAMP_TZ":
		at, _, _ := strings.Cut(*v, " ") // the offset of TZ is for display
		ns, err := strconv.ParseInt(at, 10, 64)
		if err != nil {
			return nil, err
		}
		layout := "2006-01-02 15:04:05.999999"
		if typ != "TIMESTAMP_NTZ" {
			layout += "Z07:00"
		}
		return time.Unix(0, ns).UTC().Format(layout), nil
	}
	if typ == "TEXT" || typ == "VARIANT" || typ == "OBJECT" || typ == "ARRAY" {
		return *v, nil
	}
	return nil, fmt.Errorf("bind type %s", typ)
}
