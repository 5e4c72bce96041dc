package record

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Columns reads the columns of a row type from its struct tags: field (the
// vendor's name), key, decimal, pii, mnpi and doc. It panics on a tag it does not
// understand: row types are written by programmers, and a test meets them first.
func Columns[T any]() []Column {
	cols, _ := read(reflect.TypeFor[T]())
	return cols
}

// Key returns the names of the columns marked key:"true", in order.
func Key[T any]() []string {
	_, key := read(reflect.TypeFor[T]())
	return key
}

func read(t reflect.Type) (cols []Column, key []string) {
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous && f.Type.Kind() == reflect.Struct {
			c, k := read(f.Type)
			cols, key = append(cols, c...), append(key, k...)
			continue
		}
		c := column(t, f)
		cols = append(cols, c)
		if f.Tag.Get("key") == "true" {
			key = append(key, c.Name)
		}
	}
	return cols, key
}

func column(t reflect.Type, f reflect.StructField) Column {
	field := f.Tag.Get("field")
	if field == "" {
		panic(fmt.Sprintf("record: %s.%s has no field tag", t, f.Name))
	}
	c := Column{Name: f.Tag.Get("column"), Field: field, PII: f.Tag.Get("pii"), MNPI: f.Tag.Get("mnpi") == "true", Doc: f.Tag.Get("doc")}
	if c.Name == "" {
		c.Name = Snake(field)
	}
	ft := f.Type
	if ft.Kind() == reflect.Pointer {
		ft, c.Nullable = ft.Elem(), true
	}
	switch {
	case ft == reflect.TypeFor[Decimal]():
		c.Type, c.Precision, c.Scale = Number, 38, 9
		if tag := f.Tag.Get("decimal"); tag != "" {
			c.Precision, c.Scale = decimal(tag)
		}
	case ft == reflect.TypeFor[JSON]():
		c.Type = Document
	case ft == reflect.TypeFor[time.Time]():
		c.Type = Timestamp
		if f.Tag.Get("date") == "true" {
			c.Type = Date
		}
	case ft.Kind() == reflect.String:
		c.Type = Text
	case ft.Kind() == reflect.Int64:
		c.Type = Integer
	case ft.Kind() == reflect.Bool:
		c.Type = Boolean
	default:
		panic(fmt.Sprintf("record: %s.%s: no column type for %s", t, f.Name, f.Type))
	}
	return c
}

func decimal(tag string) (precision, scale int) {
	p, s, _ := strings.Cut(tag, ",")
	precision, err := strconv.Atoi(p)
	if err == nil {
		scale, err = strconv.Atoi(s)
	}
	if err != nil || precision < 1 || precision > 38 || scale < 0 || scale > precision {
		panic(fmt.Sprintf("record: decimal tag %q is not PRECISION,SCALE", tag))
	}
	return precision, scale
}

// Snake turns a vendor's field name into a column name: courseTitle →
// course_title, lineItem/referenceNo → line_item_reference_no, BilledCost →
// billed_cost, SKUId → sku_id. Anything but letters and digits becomes one
// underscore; a name that would start with a digit gets one in front.
func Snake(field string) string {
	var b strings.Builder
	r := []rune(strings.TrimSpace(field))
	gap := false
	for i, c := range r {
		if !letter(c) && !digit(c) {
			gap = b.Len() > 0
			continue
		}
		if upper(c) && i > 0 && (lower(r[i-1]) || digit(r[i-1]) || upper(r[i-1]) && i+1 < len(r) && lower(r[i+1])) {
			gap = gap || b.Len() > 0
		}
		if gap {
			b.WriteByte('_')
			gap = false
		}
		if b.Len() == 0 && digit(c) {
			b.WriteByte('_')
		}
		b.WriteString(strings.ToLower(string(c)))
	}
	if b.Len() == 0 {
		return "_"
	}
	return b.String()
}

func upper(c rune) bool  { return unicode.IsUpper(c) }
func lower(c rune) bool  { return unicode.IsLower(c) }
func letter(c rune) bool { return unicode.IsLetter(c) }
func digit(c rune) bool  { return unicode.IsDigit(c) }
