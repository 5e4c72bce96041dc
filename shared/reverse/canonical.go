package reverse

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/apd/v3"
)

// Canonical is a value's one way to be written, for both sides: what the warehouse
// says and what stands at the destination are compared by it, and it is what plans
// hold and what is sent. "" is null.
//
// Numbers are plain decimals without needless zeros, and never pass through binary
// ones; booleans true or false; dates 2006-01-02; timestamps 2006-01-02T15:04:05.000Z,
// cut to milliseconds; times 15:04:05.000Z; ids have 18 characters; the values of a
// multipicklist are in order. Text is as it is. An error says what was expected, and
// does not repeat the value.
func Canonical(f Field, text string) (string, error) {
	if text == "" {
		return "", nil
	}
	switch f.Type {
	case NumberType:
		return canonicalNumber(text)
	case BooleanType:
		return canonicalBoolean(text)
	case DateType:
		return canonicalDate(text)
	case TimestampType:
		t, err := instant(text)
		if err != nil {
			return "", err
		}
		return t.Format("2006-01-02T15:04:05.000Z"), nil
	case TimeType:
		return canonicalTime(text)
	case MultiType:
		values := strings.Split(text, ";")
		slices.Sort(values)
		values = slices.DeleteFunc(slices.Compact(values), func(v string) bool { return v == "" })
		return strings.Join(values, ";"), nil
	case IDType:
		return longID(text), nil
	}
	return text, nil
}

var (
	errNumber    = errors.New("a number is expected, such as -12.5")
	errLarge     = errors.New("a number of at most 400 digits is expected")
	errBoolean   = errors.New("true or false is expected")
	errDate      = errors.New("a date is expected, such as 2026-01-31; cast the column to a date in the query")
	errTimestamp = errors.New("a timestamp is expected, such as 2026-01-31 23:59:59, UTC where it names no zone")
	errTime      = errors.New("a time of day is expected, such as 23:59:59")
)

var (
	numberForm = regexp.MustCompile(`^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,9})?$`)
	wholeForm  = regexp.MustCompile(`^(0|-?[1-9][0-9]*)$`)
)

// mostDigits is more than any destination takes, and bounds what an exponent makes.
const mostDigits = 400

func canonicalNumber(text string) (string, error) {
	if len(text) <= mostDigits && wholeForm.MatchString(text) {
		return text, nil
	}
	d, err := parsed(text)
	if err != nil {
		return "", err
	}
	if d.IsZero() {
		return "0", nil
	}
	d.Reduce(d)
	if digits := d.NumDigits() + int64(d.Exponent); digits > mostDigits || d.NumDigits() > mostDigits || -int64(d.Exponent) > mostDigits {
		return "", errLarge
	}
	return d.Text('f'), nil
}

func parsed(text string) (*apd.Decimal, error) {
	if !numberForm.MatchString(text) {
		return nil, errNumber
	}
	if len(text) > 4*mostDigits {
		return nil, errLarge
	}
	d, _, err := apd.NewFromString(text)
	if err != nil {
		return nil, errLarge
	}
	return d, nil
}

func canonicalBoolean(text string) (string, error) {
	switch strings.ToLower(text) {
	case "true", "t", "yes", "y", "1":
		return "true", nil
	case "false", "f", "no", "n", "0":
		return "false", nil
	}
	return "", errBoolean
}

// canonicalDate takes a timestamp too, where it is midnight and in no other zone
// than UTC: anything else could be another day for whoever wrote it.
func canonicalDate(text string) (string, error) {
	if t, err := time.Parse(time.DateOnly, text); err == nil && t.Year() > 0 {
		return text, nil
	}
	t, err := instant(text)
	if err != nil || !t.Equal(t.Truncate(24*time.Hour)) || !strings.HasPrefix(strings.Replace(text, " ", "T", 1), t.Format("2006-01-02T15:04:05")) {
		return "", errDate
	}
	return t.Format(time.DateOnly), nil
}

func canonicalTime(text string) (string, error) {
	clock := text
	for _, utc := range []string{"Z", "+00:00", "+0000", "+00"} {
		if s, ok := strings.CutSuffix(text, utc); ok {
			clock = s
			break
		}
	}
	t, err := time.Parse(time.TimeOnly, clock)
	if err != nil {
		return "", errTime
	}
	return t.Format("15:04:05.000Z"), nil
}

// instant reads what warehouses and destinations write for a point in time, in UTC
// and cut to milliseconds. Seconds may have a fraction in all layouts.
func instant(text string) (time.Time, error) {
	if len(text) > 10 && text[10] == ' ' {
		text = text[:10] + "T" + text[11:]
	}
	if i := strings.LastIndexByte(text, ' '); i > 10 && i+1 < len(text) && strings.IndexByte("+-Z", text[i+1]) >= 0 {
		text = text[:i] + text[i+1:]
	}
	for _, layout := range []string{"2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05-0700", "2006-01-02T15:04:05-07", "2006-01-02T15:04:05", time.DateOnly} {
		t, err := time.Parse(layout, text)
		if err != nil {
			continue
		}
		if t = t.UTC().Truncate(time.Millisecond); t.Year() < 1 || t.Year() > 9999 {
			break
		}
		return t, nil
	}
	return time.Time{}, errTimestamp
}

// longID gives an id of 15 characters, whose case counts, the three that say where
// the upper case is.
func longID(id string) string {
	if len(id) != 15 || !alphanumeric(id) {
		return id
	}
	const signs = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
	for part := range 3 {
		upper := 0
		for i := range 5 {
			if c := id[part*5+i]; c >= 'A' && c <= 'Z' {
				upper |= 1 << i
			}
		}
		id += signs[upper : upper+1]
	}
	return id
}

func alphanumeric(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}
