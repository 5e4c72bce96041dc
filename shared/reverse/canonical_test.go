package reverse

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestCanonical(t *testing.T) {
	for _, c := range []struct {
		is         FieldType
		text, want string // "!" = an error
	}{
		{NumberType, "10", "10"}, {NumberType, "10.00", "10"}, {NumberType, "-0.50", "-0.5"}, {NumberType, "1e3", "1000"}, {NumberType, "1.5E-3", "0.0015"},
		{NumberType, "-0", "0"}, {NumberType, "0.000", "0"}, {NumberType, "0e9", "0"}, {NumberType, "+7", "7"}, {NumberType, ".5", "0.5"}, {NumberType, "5.", "5"}, {NumberType, "007", "7"},
		{NumberType, "123456789012345678.123456789", "123456789012345678.123456789"}, {NumberType, "0.1", "0.1"}, {NumberType, "100000000000000000000000", "100000000000000000000000"},
		{NumberType, "1e999999999", "!"}, {NumberType, "1e-999999999", "!"}, {NumberType, "1e99999999999", "!"}, {NumberType, "NaN", "!"}, {NumberType, "inf", "!"}, {NumberType, "1,5", "!"},
		{NumberType, ".+5", "!"}, {NumberType, "1_0", "!"}, {NumberType, "0x10", "!"}, {NumberType, "--1", "!"}, {NumberType, " 1", "!"}, {NumberType, strings.Repeat("9", 401), "!"}, {NumberType, "", ""},
		{BooleanType, "true", "true"}, {BooleanType, "TRUE", "true"}, {BooleanType, "1", "true"}, {BooleanType, "f", "false"}, {BooleanType, "2", "!"},
		{DateType, "2026-01-02", "2026-01-02"}, {DateType, "2026-01-02 00:00:00", "2026-01-02"}, {DateType, "2026-01-02T00:00:00.000+0000", "2026-01-02"}, {DateType, "2026-01-02 00:00:01", "!"},
		{DateType, "2026-01-02T02:00:00+02:00", "!"}, {DateType, "2026-01-01T22:00:00-02:00", "!"}, {DateType, "2026-02-30", "!"}, {DateType, "02.01.2026", "!"}, {DateType, "0000-01-01", "!"},
		{TimestampType, "2026-01-02T03:04:05.000+0000", "2026-01-02T03:04:05.000Z"}, {TimestampType, "2026-01-02 03:04:05", "2026-01-02T03:04:05.000Z"}, {TimestampType, "2026-01-02 03:04:05.123999", "2026-01-02T03:04:05.123Z"},
		{TimestampType, "2026-01-02 03:04:05.5+00", "2026-01-02T03:04:05.500Z"}, {TimestampType, "2026-01-02 03:04:05.000 +0100", "2026-01-02T02:04:05.000Z"}, {TimestampType, "2026-01-02T03:04:05Z", "2026-01-02T03:04:05.000Z"},
		{TimestampType, "2026-01-02 03:04:05-07:30", "2026-01-02T10:34:05.000Z"}, {TimestampType, "2026-01-02", "2026-01-02T00:00:00.000Z"}, {TimestampType, "2026-01-02 03:04:05.000 Z", "2026-01-02T03:04:05.000Z"},
		{TimestampType, "9999-12-31T23:59:59-01:00", "!"}, {TimestampType, "0001-01-01T00:00:00+01:00", "!"}, {TimestampType, "infinity", "!"}, {TimestampType, "2026-01-02 25:00:00", "!"}, {TimestampType, "1969-12-31 23:59:59.999999", "1969-12-31T23:59:59.999Z"},
		{TimeType, "07:00:00", "07:00:00.000Z"}, {TimeType, "07:00:00.1239Z", "07:00:00.123Z"}, {TimeType, "07:00:00+00", "07:00:00.000Z"}, {TimeType, "24:00:00", "!"},
		{MultiType, "b;a;b", "a;b"}, {MultiType, ";", ""}, {MultiType, "a b", "a b"},
		{IDType, "001A0000006Vm9u", "001A0000006Vm9uIAC"}, {IDType, "001A0000006Vm9uIAC", "001A0000006Vm9uIAC"}, {IDType, "000000000000001", "000000000000001AAA"}, {IDType, "x", "x"},
		{TextType, " as it is\r\n", " as it is\r\n"}, {PicklistType, "A", "A"}, {OtherType, "?", "?"},
	} {
		got, err := Canonical(Field{Type: c.is}, c.text)
		if err != nil {
			got = "!"
			if len(c.text) > 3 && strings.Contains(err.Error(), c.text) {
				t.Errorf("%s %q: the error repeats the value: %v", c.is, c.text, err)
			}
		}
		if got != c.want {
			t.Errorf("%s %q: got %q (%v), want %q", c.is, c.text, got, err, c.want)
		}
	}
}

var types = []FieldType{TextType, NumberType, BooleanType, DateType, TimestampType, TimeType, PicklistType, MultiType, IDType, OtherType}

// stable fails where a canonical form has another one.
func stable(t interface{ Errorf(string, ...any) }, is FieldType, text string) {
	once, err := Canonical(Field{Type: is}, text)
	if err != nil {
		return
	}
	if twice, err := Canonical(Field{Type: is}, once); err != nil || twice != once {
		t.Errorf("%s %q becomes %q and then %q, %v", is, text, once, twice, err)
	}
}

func TestCanonicalIsStable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		is := rapid.SampledFrom(types).Draw(t, "type")
		text := rapid.OneOf(rapid.String(), rapid.StringMatching(`[+-]?[0-9]{0,9}(\.[0-9]{0,9})?([eE][+-]?[0-9]{1,2})?`),
			rapid.StringMatching(`[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|2[0-8])([ T]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?( ?([+-](0[0-9]|1[0-4])(:?[0-5][0-9])?|Z))?)?`),
			rapid.StringMatching(`([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?Z?`), rapid.StringMatching(`[a-c]?(;[a-c]?){0,4}`), rapid.StringMatching(`[0-9a-zA-Z]{15}|[0-9a-zA-Z]{18}`)).Draw(t, "text")
		stable(t, is, text)
	})
}

func FuzzCanonical(f *testing.F) {
	for _, s := range []string{"1e5", "-0.10", "2026-01-02T03:04:05.000+0000", "2026-01-02 03:04:05.5+00", "a;b;", "001A0000006Vm9u", "07:00:00.1Z", "#N/A"} {
		for i := range types {
			f.Add(i, s)
		}
	}
	f.Fuzz(func(t *testing.T, is int, text string) {
		stable(t, types[((is%len(types))+len(types))%len(types)], text)
	})
}

func TestPreflight(t *testing.T) {
	number := Field{Name: "N", Type: NumberType, Precision: 5, Scale: 2}
	for _, c := range []struct {
		name, text, rule string
		f                Field
		prefixes         []string
	}{
		{"as long as allowed", "äöü", "", Field{Type: TextType, Length: 3}, nil},
		{"a character too long", "äöüx", rejectLong, Field{Type: TextType, Length: 3}, nil},
		{"any length", strings.Repeat("x", 9999), "", Field{Type: TextType}, nil},
		{"null", "", "", Field{Type: TextType, Length: 3}, nil},
		{"not available", "#N/A", rejectNA, Field{Type: TextType}, nil},
		{"not quite", "#N/A ", "", Field{Type: TextType}, nil},
		{"no number", "x", rejectType, number, nil},
		{"all digits", "999.99", "", number, nil},
		{"zeros do not count", "0999.9900", "", number, nil},
		{"too precise", "1.005", rejectDigits, number, nil},
		{"too large", "1000", rejectDigits, number, nil},
		{"negative", "-999.99", "", number, nil},
		{"only a fraction", "0.5", "", Field{Type: NumberType, Precision: 2, Scale: 2}, nil},
		{"digits unknown", "1e30", "", Field{Type: NumberType}, nil},
		{"open picklist", "z", "", Field{Type: PicklistType, Values: []string{"a"}}, nil},
		{"restricted picklist", "z", rejectPicklist, Field{Type: PicklistType, Restricted: true, Values: []string{"a"}}, nil},
		{"a choice", "a", "", Field{Type: PicklistType, Restricted: true, Values: []string{"a"}, Length: 3}, nil},
		{"choices", "b;a", "", Field{Type: MultiType, Restricted: true, Values: []string{"a", "b"}}, nil},
		{"one wrong choice", "b;z", rejectPicklist, Field{Type: MultiType, Restricted: true, Values: []string{"a", "b"}}, nil},
		{"a reference", "001A0000006Vm9u", "", Field{Type: IDType}, []string{"001"}},
		{"of another object", "003A0000006Vm9uIAC", rejectReference, Field{Type: IDType}, []string{"001"}},
		{"no reference", "Acme", rejectReference, Field{Type: IDType}, nil},
	} {
		_, m := preflight(c.f, c.text, c.prefixes)
		if m == nil {
			m = &misfit{}
		}
		if m.rule != c.rule {
			t.Errorf("%s: rule %q (%s), want %q", c.name, m.rule, m.reason, c.rule)
		}
	}
}
