package snowflaketest

import (
	"bytes"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/duckdb/duckdb-go/v2"
	"github.com/go-json-experiment/json/jsontext"
)

// parseJSON is PARSE_JSON and TRY_PARSE_JSON: compact, keys in order, numbers
// with every digit. A key given twice is an error, as in the service.
type parseJSON struct{ try bool }

func (p *parseJSON) Config() duckdb.ScalarFuncConfig {
	text, _ := duckdb.NewTypeInfo(duckdb.TYPE_VARCHAR)
	return duckdb.ScalarFuncConfig{InputTypeInfos: []duckdb.TypeInfo{text}, ResultTypeInfo: text}
}

func (p *parseJSON) Executor() duckdb.ScalarFuncExecutor {
	return duckdb.ScalarFuncExecutor{RowExecutor: func(in []driver.Value) (any, error) {
		s, ok := in[0].(string)
		if !ok || strings.TrimSpace(s) == "" {
			return nil, nil
		}
		b, err := canonical(s)
		if err == nil {
			return string(b), nil
		}
		if p.try {
			return nil, nil
		}
		return nil, fmt.Errorf("Error parsing JSON: %w", err)
	}}
}

var errTwice = errors.New("duplicate object attribute")

// canonical is a JSON text as a VARIANT holds it.
func canonical(s string) ([]byte, error) {
	d := json.NewDecoder(strings.NewReader(s))
	d.UseNumber()
	v, err := value(d)
	if err == nil {
		if _, more := d.Token(); more != io.EOF {
			err = errors.New("more than one value")
		}
	}
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err = e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// value reads one value; maps are written with sorted keys later.
func value(d *json.Decoder) (any, error) {
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t := t.(type) {
	case json.Number:
		return json.Number(trim(t.String())), nil
	case json.Delim:
		if t == '[' {
			return list(d)
		}
		return object(d)
	}
	return t, nil
}

func list(d *json.Decoder) (any, error) {
	out := []any{}
	for d.More() {
		v, err := value(d)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	_, err := d.Token()
	return out, err
}

func object(d *json.Decoder) (any, error) {
	out := map[string]any{}
	for d.More() {
		k, err := d.Token()
		if err != nil {
			return nil, err
		}
		v, err := value(d)
		if err != nil {
			return nil, err
		}
		if _, twice := out[k.(string)]; twice {
			return nil, errTwice
		}
		out[k.(string)] = v
	}
	_, err := d.Token()
	return out, err
}

// trim takes the zeros after a decimal point away that say nothing.
func trim(n string) string {
	if !strings.Contains(n, ".") || strings.ContainsAny(n, "eE") {
		return n
	}
	return strings.TrimSuffix(strings.TrimRight(n, "0"), ".")
}

// pretty is a VARIANT as the service sends it: two blanks deep, unless the session
// says otherwise.
func pretty(s string) string {
	var b bytes.Buffer
	if json.Indent(&b, []byte(s), "", "  ") != nil {
		return s
	}
	return b.String()
}

// getJSON is the field or element that a pointer of one step names, as it is written.
type getJSON struct{}

func (*getJSON) Config() duckdb.ScalarFuncConfig {
	text, _ := duckdb.NewTypeInfo(duckdb.TYPE_VARCHAR)
	return duckdb.ScalarFuncConfig{InputTypeInfos: []duckdb.TypeInfo{text, text}, ResultTypeInfo: text}
}

func (*getJSON) Executor() duckdb.ScalarFuncExecutor {
	return duckdb.ScalarFuncExecutor{RowExecutor: func(in []driver.Value) (any, error) {
		doc, ok := in[0].(string)
		key, ok2 := in[1].(string)
		if !ok || !ok2 {
			return nil, nil
		}
		d := jsontext.NewDecoder(strings.NewReader(doc), jsontext.AllowDuplicateNames(true))
		key = strings.NewReplacer("~1", "/", "~0", "~").Replace(strings.TrimPrefix(key, "/"))
		open, err := d.ReadToken()
		if k := open.Kind(); err != nil || k != '{' && k != '[' {
			return nil, err
		}
		for i := 0; err == nil && d.PeekKind() != '}' && d.PeekKind() != ']'; i++ {
			name := strconv.Itoa(i)
			if open.Kind() == '{' {
				t, err := d.ReadToken()
				if err != nil {
					return nil, err
				}
				name = t.String()
			}
			if name != key {
				err = d.SkipValue()
				continue
			}
			found, err := d.ReadValue()
			return string(found), err
		}
		return nil, err
	}}
}
