package reverse

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// The rules that reject a row of a query before anything is sent.
const (
	rejectEmptyKey  = "empty_key"
	rejectDuplicate = "duplicate_key"
	rejectType      = "wrong_type"
	rejectLong      = "too_long"
	rejectDigits    = "too_many_digits"
	rejectPicklist  = "not_in_picklist"
	rejectReference = "bad_reference"
	rejectNA        = "literal_na"
	rejectRequired  = "required"
	rejectExists    = "exists"
	rejectMissing   = "missing"
	rejectAmbiguous = "ambiguous"
)

// misfit is what is wrong with a value: the rule that it breaks, and why, without the value.
type misfit struct{ rule, reason string }

// bad is a misfit of a field.
func bad(f Field, rule, format string, args ...any) *misfit {
	return &misfit{rule, f.Name + ": " + fmt.Sprintf(format, args...)}
}

// preflight brings a value into its canonical form, and says what the destination
// would not take. Prefixes are those that a reference may begin with; none = any.
func preflight(f Field, text string, prefixes []string) (string, *misfit) {
	v, err := Canonical(f, text)
	if err != nil {
		return "", bad(f, rejectType, "%s", err)
	}
	if v == "" {
		return "", nil
	}
	if v == "#N/A" {
		return "", bad(f, rejectNA, "the text #N/A means null to the destination and cannot be written; make it null in the query, or another text")
	}
	switch f.Type {
	case NumberType:
		return v, digits(f, v)
	case IDType:
		return v, reference(f, v, prefixes)
	case BooleanType, DateType, TimestampType, TimeType:
		return v, nil
	case PicklistType, MultiType:
		if m := choice(f, v); m != nil {
			return v, m
		}
	}
	if n := utf8.RuneCountInString(v); f.Length > 0 && n > f.Length {
		return v, bad(f, rejectLong, "%d characters, and the field holds %d; cut it with left() in the query", n, f.Length)
	}
	return v, nil
}

// digits checks a plain decimal against precision and scale.
func digits(f Field, v string) *misfit {
	if f.Precision == 0 {
		return nil
	}
	whole, fraction, _ := strings.Cut(strings.TrimPrefix(v, "-"), ".")
	if len(fraction) > f.Scale {
		return bad(f, rejectDigits, "%d digits after the point, and the field holds %d; use round(x, %d) in the query", len(fraction), f.Scale, f.Scale)
	}
	if most := f.Precision - f.Scale; whole != "0" && len(whole) > most {
		return bad(f, rejectDigits, "%d digits before the point, and the field holds %d", len(whole), most)
	}
	return nil
}

// choice checks values against those of a restricted picklist.
func choice(f Field, v string) *misfit {
	if !f.Restricted {
		return nil
	}
	values := []string{v}
	if f.Type == MultiType {
		values = strings.Split(v, ";")
	}
	for _, one := range values {
		if !slices.Contains(f.Values, one) {
			return bad(f, rejectPicklist, "the value is not one of the %d active ones of the picklist", len(f.Values))
		}
	}
	return nil
}

// reference checks the form of an id, and whose record it can be.
func reference(f Field, v string, prefixes []string) *misfit {
	if len(v) != 18 || !alphanumeric(v) {
		return bad(f, rejectReference, "an id of 15 or 18 letters and digits is expected")
	}
	if len(prefixes) > 0 && !slices.Contains(prefixes, v[:3]) {
		return bad(f, rejectReference, "the id is not of a record of %s, whose ids begin with %s", strings.Join(f.References, " or "), strings.Join(prefixes, " or "))
	}
	return nil
}
