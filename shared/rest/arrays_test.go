package rest

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-data/millrace/shared/fault"
)

func arrays(doc string, keys ...string) (map[string][]string, error) {
	got, want := map[string][]string{}, map[string]func([]byte) error{}
	for _, k := range keys {
		want[k] = func(raw []byte) error { got[k] = append(got[k], string(raw)); return nil }
	}
	_, err := Arrays(strings.NewReader(doc), want)
	return got, err
}

// Several arrays are read in one pass, in whatever order they come.
func TestArrays(t *testing.T) {
	for _, doc := range []string{
		`{"a":[1,2],"x":{"y":[7]},"b":[{"k":3}],"c":[]}`,
		`{"c":[],"b":[{"k":3}],"a":[1,2]}`,
		`{"data":{"b":[{"k":3}],"c":[],"a":[1,2]},"status":"ok"}`,
	} {
		got, err := arrays(doc, "a", "b", "c")
		if diff := cmp.Diff(map[string][]string{"a": {"1", "2"}, "b": {`{"k":3}`}}, got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", doc, err, diff)
		}
	}
}

func TestArraysMissing(t *testing.T) {
	for doc, says := range map[string]string{
		`{"a":[1],"c":[]}`:         `no array "b"`,
		`{"a":[1],"b":[],"a":[2]}`: `"a" is twice`,
		`{"a":[1],"b":{"k":[1]}}`:  `no array "b"`,
		`{"a":[1],"b":[2`:          "too early",
		`{"a":[1],"b":null}`:       `no array "b"`,
	} {
		if _, err := arrays(doc, "a", "b"); !errors.Is(err, fault.Corrupt) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: got %v, want %q", doc, err, says)
		}
	}
}
