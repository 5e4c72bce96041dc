package part

import (
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"pgregory.net/rapid"
)

func TestAppendQuoted(t *testing.T) {
	for _, s := range []string{"", "a", `"`, `\`, `a"b\c"`, `\"`, `{"k":"v\\","n":1}`, "1234567\x1f", "12345678\x7f", "1234567é", "tab\t", "exactly8", "~~~~~~~~ "} {
		got, ok := appendQuoted(nil, []byte(s))
		want, err := jsontext.AppendQuote(nil, s)
		if string(got) != string(want) || ok != (err == nil) {
			t.Errorf("%q: got %s, %t; want %s, %v", s, got, ok, want, err)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.SliceOf(rapid.Byte()).Draw(t, "s")
		want, err := jsontext.AppendQuote(nil, s)
		if got, ok := appendQuoted(nil, s); ok != (err == nil) || ok && string(got) != string(want) {
			t.Fatalf("%q: got %s, %t; want %s, %v", s, got, ok, want, err)
		}
	})
}
