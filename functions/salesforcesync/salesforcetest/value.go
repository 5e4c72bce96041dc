package salesforcetest

import (
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

const stampForm = "2006-01-02T15:04:05.000Z"

func stamp(milli int64) string { return time.UnixMilli(milli).UTC().Format(stampForm) }

// read makes a field's canonical value of text, as a CSV cell or a JSON value has
// it: numbers without trailing zeros, UTC times with milliseconds, ids of 18
// characters. ok is false for what is of another type.
func (f *Field) read(text string) (value string, ok bool) {
	switch {
	case text == "":
		return "", true
	case f.isNumber():
		return f.number(text)
	}
	switch f.Type {
	case "boolean":
		switch {
		case text == "1" || strings.EqualFold(text, "true"):
			return "true", true
		case text == "0" || strings.EqualFold(text, "false"):
			return "false", true
		}
		return "", false
	case "date":
		if t, err := time.Parse(time.DateOnly, text); err == nil {
			return t.Format(time.DateOnly), true
		}
		// A moment becomes the day that it is where the organisation is.
		at, ok := moment(text)
		return at.In(time.FixedZone("organisation", -8*3600)).Format(time.DateOnly), ok
	case "datetime":
		at, ok := moment(text)
		return at.UTC().Format(stampForm), ok
	case "time":
		at, err := time.Parse("15:04:05.000Z", text)
		return at.Format("15:04:05.000Z"), err == nil
	case "reference", "id":
		return long(text)
	case "multipicklist":
		return f.inOrder(text), true
	}
	return text, true
}

// inOrder puts the values of a multiple choice into the order of the declaration, each
// once; those that are not declared come last.
func (f *Field) inOrder(text string) string {
	given, out := strings.Split(text, ";"), []string(nil)
	for _, v := range append(slices.Clone(f.Values), given...) {
		if slices.Contains(given, v) && !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return strings.Join(out, ";")
}

func moment(text string) (time.Time, bool) {
	for _, form := range []string{"2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05Z0700"} {
		if at, err := time.Parse(form, text); err == nil {
			return at.Truncate(time.Millisecond), true
		}
	}
	return time.Time{}, false
}

// number rounds to the field's scale, half away from zero.
func (f *Field) number(text string) (string, bool) {
	_, scale := f.digits()
	if f.Type == "int" {
		scale = 0
		if strings.ContainsAny(text, ".eE") {
			return "", false
		}
	}
	if plain, ok := plain(text, scale); ok {
		return plain, true
	}
	if strings.Trim(text, "0123456789+-.eE") != "" || len(text) > 40 {
		return "", false
	}
	if e := strings.IndexAny(text, "eE"); e >= 0 && len(text)-e > 4 {
		return "", false // an exponent nobody means
	}
	r, ok := new(big.Rat).SetString(text)
	if !ok {
		return "", false
	}
	return trim(r.FloatString(scale)), true
}

// plain is the quick way for digits, and no more of them behind the point than fit.
func plain(text string, scale int) (string, bool) {
	whole, fraction, dotted := strings.Cut(text, ".")
	if whole == "" || len(fraction) > scale || dotted && fraction == "" || len(whole) > 1 && whole[0] == '0' {
		return "", false
	}
	for i := range len(text) {
		if c := text[i]; (c < '0' || c > '9') && (i != len(whole) || !dotted) {
			return "", false
		}
	}
	return trim(text), true
}

// trim takes the zeros off the end of a fraction.
func trim(n string) string {
	if strings.Contains(n, ".") {
		n = strings.TrimRight(strings.TrimRight(n, "0"), ".")
	}
	if n == "-0" {
		return "0"
	}
	return n
}

// xsd is the type's name in the words of an error.
func (f *Field) xsd() string {
	switch f.Type {
	case "datetime":
		return "xsd:dateTime"
	case "currency", "percent":
		return "xsd:double"
	case "reference", "id":
		return "tns:ID"
	}
	return "xsd:" + f.Type
}

// valid says what is wrong with a canonical value.
func (s *Server) valid(t *table, f *Field, value string) *rowError {
	if value == "" {
		return f.empty()
	}
	if most := f.length(); most > 0 && len(value) > most && utf8.RuneCountInString(value) > most {
		return bad("STRING_TOO_LONG", fmt.Sprintf("%s: data value too large: %.40s (max length=%d)", f.Name, value, most), f.Name)
	}
	switch {
	case f.isNumber():
		return f.fits(value)
	case f.Type == "picklist", f.Type == "multipicklist":
		return f.picked(value)
	case f.Type == "email" && !strings.Contains(value, "@"):
		return bad("INVALID_EMAIL_ADDRESS", f.Name+": invalid email address: "+value, f.Name)
	case f.Type == "reference":
		return s.refers(f, value)
	}
	return nil
}

// empty refuses null in a check box; required does for the other fields.
func (f *Field) empty() *rowError {
	if f.Type == "boolean" {
		return bad("INVALID_TYPE_ON_FIELD_IN_RECORD", f.Name+": value not of required type: ", f.Name)
	}
	return nil
}

func (f *Field) fits(value string) *rowError {
	precision, scale := f.digits()
	if f.Type == "int" {
		precision, scale = 9, 0
	}
	whole, _, _ := strings.Cut(strings.TrimPrefix(value, "-"), ".")
	if whole != "0" && len(whole) > precision-scale {
		return bad("NUMBER_OUTSIDE_VALID_RANGE", f.Name+": value outside of valid range on numeric field: "+javaDouble(value), f.Name)
	}
	return nil
}

func (f *Field) picked(value string) *rowError {
	if !f.Restricted {
		return nil
	}
	each := []string{value}
	if f.Type == "multipicklist" {
		each = strings.Split(value, ";")
	}
	for _, v := range each {
		if !slices.Contains(f.Values, v) {
			return bad("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", f.Name+": bad value for restricted picklist field: "+v, f.Name)
		}
	}
	return nil
}

func (s *Server) refers(f *Field, id string) *rowError {
	for _, name := range f.To {
		if t := s.table(name); t != nil && id[:3] == t.Prefix {
			if n := t.find(id); n >= 0 && !t.recs[n].deleted {
				return nil
			}
			return bad("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", f.Name)
		}
	}
	return bad("MALFORMED_ID", f.Name+": id value of incorrect type: "+id, f.Name)
}

// javaDouble writes a number as Java does: 10.0, 1.0E7.
func javaDouble(n string) string {
	v, err := strconv.ParseFloat(n, 64)
	if err != nil {
		return n
	}
	if abs := max(v, -v); abs != 0 && (abs < 1e-3 || abs >= 1e7) {
		mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(v, 'E', -1, 64), "E")
		if !strings.Contains(mantissa, ".") {
			mantissa += ".0"
		}
		e, _ := strconv.Atoi(exponent)
		return mantissa + "E" + strconv.Itoa(e)
	}
	out := strconv.FormatFloat(v, 'f', -1, 64)
	if !strings.Contains(out, ".") {
		out += ".0"
	}
	return out
}

// jsonValue appends a canonical value as the REST API writes it.
func (f *Field) jsonValue(to []byte, value string) []byte {
	switch {
	case value == "":
		return append(to, "null"...)
	case f.Type == "boolean" || f.Type == "int":
		return append(to, value...)
	case f.isNumber():
		return append(to, javaDouble(value)...)
	case f.Type == "datetime":
		return append(append(append(to, '"'), strings.TrimSuffix(value, "Z")...), "+0000\""...)
	}
	return appendText(to, value)
}

// csvValue is a canonical value as bulk results write it.
func (f *Field) csvValue(value string) string {
	if f.isNumber() && f.Type != "int" && value != "" {
		return javaDouble(value)
	}
	return value
}

func appendText(to []byte, s string) []byte {
	to = append(to, '"')
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			to = append(to, '\\', c)
		case c == '\n':
			to = append(to, '\\', 'n')
		case c < 0x20:
			to = fmt.Appendf(to, `\u%04x`, c)
		default:
			to = append(to, c)
		}
	}
	return append(to, '"')
}
