package reverse

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// decoder fills a job from the nodes of a file, and notes everything that is wrong
// with it instead of stopping at the first.
type decoder struct {
	problems []problem
	lines    map[string]int // of every key, by its path
}

func (d *decoder) wrong(line int, key, rule, format string, args ...any) {
	d.problems = append(d.problems, problem{Line: line, Key: key, Rule: rule, Message: fmt.Sprintf(format, args...)})
}

func (d *decoder) must(n *node, key, what string) {
	got := string(n.shape)
	if n.shape == shapeText || n.shape == shapeNumber || n.shape == shapeBoolean {
		got = fmt.Sprintf("%q", n.text)
	}
	d.wrong(n.line, key, ruleType, "must be %s, and is %s", what, got)
}

// enums are the texts that have only a few values.
var enums = map[reflect.Type][]string{
	reflect.TypeFor[Operation](): {string(Insert), string(Update), string(Upsert), string(Delete)},
	reflect.TypeFor[Nulls]():     {string(IgnoreNulls), string(BlankNulls)},
	reflect.TypeFor[Approval]():  {string(ApprovalRequired), string(ApprovalAuto)},
}

// number is what JSON takes as one, so that the stored form is the same.
var number = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?$`)

func (d *decoder) value(n *node, v reflect.Value, key string) {
	switch v.Interface().(type) {
	case time.Duration:
		d.duration(n, v, key)
		return
	case Bound:
		d.bound(n, v, key)
		return
	case Factor:
		if n.shape == shapeNumber {
			d.value(n, v.FieldByName("Over"), key)
			return
		}
		if n.shape != shapeMapping {
			d.must(n, key, "a number, or {over: NUMBER, max: ROWS, max_percent: PERCENT}")
			return
		}
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.value(n, v.Elem(), key)
	case reflect.Struct:
		d.mapping(n, v, key)
	case reflect.Map:
		d.table(n, v, key)
	case reflect.Slice, reflect.Array:
		d.list(n, v, key)
	case reflect.String:
		d.text(n, v, key)
	default:
		d.figure(n, v, key)
	}
}

func (d *decoder) text(n *node, v reflect.Value, key string) {
	allowed := enums[v.Type()]
	switch {
	case allowed != nil && !slices.Contains(allowed, n.text):
		d.must(n, key, "one of "+strings.Join(allowed, ", "))
		d.meant(n.text, allowed)
	case n.shape == shapeNumber || n.shape == shapeBoolean:
		d.must(n, key, "text")
		d.fix("put it in quotes")
	case n.shape != shapeText:
		d.must(n, key, "text")
	default:
		v.SetString(n.text)
	}
}

// fix adds to the newest problem how to end it.
func (d *decoder) fix(format string, args ...any) {
	d.problems[len(d.problems)-1].Fix = fmt.Sprintf(format, args...)
}

// meant adds to the newest problem which word may have been meant.
func (d *decoder) meant(word string, among []string) {
	if near := nearest(word, among); near != "" {
		d.fix("did you mean %s?", near)
	}
}

func (d *decoder) figure(n *node, v reflect.Value, key string) {
	what := "a number"
	if v.CanInt() {
		what = "a whole number"
	}
	if n.shape == shapeNumber && number.MatchString(n.text) {
		if v.CanInt() {
			if i, err := strconv.ParseInt(n.text, 10, v.Type().Bits()); err == nil {
				v.SetInt(i)
				return
			}
		} else if f, err := strconv.ParseFloat(n.text, 64); err == nil {
			v.SetFloat(f)
			return
		}
	}
	d.must(n, key, what)
	if n.shape == shapeText && number.MatchString(n.text) {
		d.fix("write it without quotes")
	}
}

func (d *decoder) duration(n *node, v reflect.Value, key string) {
	if n.shape == shapeText {
		if t, err := parseAge(n.text); err == nil {
			v.SetInt(int64(t))
			return
		}
	}
	d.must(n, key, "a time such as 90m, 36h or 2d")
}

const day = 24 * time.Hour

// age is a Go duration of whole seconds that may begin with days.
var age = regexp.MustCompile(`^([0-9]{1,5}d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?$`)

// parseAge reads a time such as 90m, 2d or 1d12h.
func parseAge(text string) (time.Duration, error) {
	if text == "" || !age.MatchString(text) {
		return 0, fmt.Errorf("%q is not a time such as 2d or 1d12h", text)
	}
	days, rest, ok := strings.Cut(text, "d")
	if !ok {
		days, rest = "0", text
	}
	n, err := strconv.Atoi(days)
	if err != nil || rest == "" {
		return time.Duration(n) * day, err
	}
	t, err := time.ParseDuration(rest)
	return time.Duration(n)*day + t, err
}

func (d *decoder) bound(n *node, v reflect.Value, key string) {
	_, err := time.Parse(time.DateOnly, n.text)
	switch {
	case n.shape == shapeNull:
	case n.shape == shapeNumber && number.MatchString(n.text), n.shape == shapeText && err == nil:
		v.SetString(n.text)
	default:
		d.must(n, key, "a number, a date such as 2026-01-31, or null for an open end")
	}
}

func (d *decoder) list(n *node, v reflect.Value, key string) {
	if n.shape != shapeList {
		d.must(n, key, "a list")
		return
	}
	if v.Kind() == reflect.Array && len(n.items) != v.Len() {
		d.wrong(n.line, key, ruleType, "must have %d entries, and has %d", v.Len(), len(n.items))
		d.fix("write [LEAST, MOST], with null for an open end")
		return
	}
	if v.Kind() == reflect.Slice {
		v.Set(reflect.MakeSlice(v.Type(), len(n.items), len(n.items)))
	}
	for i, item := range n.items {
		if strings.HasSuffix(key, ".set") && (item.shape == shapeNumber || item.shape == shapeBoolean) {
			item = &node{shape: shapeText, text: item.text, line: item.line} // values of any type are compared as text
		}
		d.value(item, v.Index(i), key)
	}
}

func (d *decoder) table(n *node, v reflect.Value, key string) {
	if n.shape != shapeMapping {
		d.must(n, key, "a mapping")
		return
	}
	v.Set(reflect.MakeMap(v.Type()))
	for _, e := range n.entries {
		at := join(key, e.key)
		if !d.once(e, at) {
			continue
		}
		value := reflect.New(v.Type().Elem()).Elem()
		d.value(e.value, value, at)
		v.SetMapIndex(reflect.ValueOf(e.key), value)
	}
}

// once notes where a key stands, and whether it is the first of its name.
func (d *decoder) once(e entry, key string) bool {
	if first, twice := d.lines[key]; twice {
		d.wrong(e.line, key, ruleDuplicate, "stands in line %d already", first)
		return false
	}
	d.lines[key] = e.line
	return true
}

func (d *decoder) mapping(n *node, v reflect.Value, key string) {
	if n.shape != shapeMapping {
		d.must(n, key, "a mapping")
		return
	}
	fields := keysOf(v.Type())
	for _, e := range n.entries {
		at := join(key, e.key)
		i := slices.IndexFunc(fields, func(k yamlKey) bool { return k.name == e.key })
		if i < 0 {
			d.unknown(e, at, fields)
			continue
		}
		if d.once(e, at) {
			d.value(e.value, v.FieldByIndex(fields[i].index), at)
		}
	}
}

func (d *decoder) unknown(e entry, key string, fields []yamlKey) {
	var names []string
	for _, f := range fields {
		names = append(names, f.name)
	}
	d.wrong(e.line, key, ruleUnknown, "is not a key that is known here; there are %s", strings.Join(names, ", "))
	d.meant(e.key, names)
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// yamlKey is a key of a struct in a file; what is embedded is among its keys.
type yamlKey struct {
	name  string
	index []int
	omit  bool // where it is empty
}

func keysOf(t reflect.Type) (out []yamlKey) {
	for _, f := range reflect.VisibleFields(t) {
		name, rest, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if !f.Anonymous && name != "" && name != "-" {
			out = append(out, yamlKey{name, f.Index, rest == "omitempty"})
		}
	}
	return out
}

// encode is the other way: what a job's stored form is written from.
func encode(v reflect.Value) any {
	switch x := v.Interface().(type) {
	case time.Duration:
		return x.String()
	case Bound:
		switch {
		case x == "":
			return nil
		case number.MatchString(string(x)):
			return json.Number(x)
		}
		return string(x)
	}
	switch v.Kind() {
	case reflect.Pointer:
		return encode(v.Elem())
	case reflect.Struct:
		out := map[string]any{}
		for _, k := range keysOf(v.Type()) {
			if f := v.FieldByIndex(k.index); !k.omit || !f.IsZero() && !empty(f) {
				out[k.name] = encode(f)
			}
		}
		return out
	case reflect.Map:
		out := map[string]any{}
		for i := v.MapRange(); i.Next(); {
			out[i.Key().String()] = encode(i.Value())
		}
		return out
	case reflect.Slice, reflect.Array:
		out := make([]any, v.Len())
		for i := range out {
			out[i] = encode(v.Index(i))
		}
		return out
	}
	return v.Interface()
}

func empty(v reflect.Value) bool {
	return (v.Kind() == reflect.Map || v.Kind() == reflect.Slice) && v.Len() == 0
}
