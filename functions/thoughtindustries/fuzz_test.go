package thoughtindustries

import (
	"encoding/base64"
	"errors"
	"testing"

	"github.com/millrace-data/millrace/shared/fault"
)

func FuzzResume(f *testing.F) {
	f.Add(encode(place{End: 1, Seen: map[string]int{"a": 2}, Next: base64.RawStdEncoding.EncodeToString([]byte("1518365853999"))}))
	f.Add(`{"end":-1,"seen":{"x":-5}}`)
	f.Add(`{"done":true}`)
	f.Add(`[`)
	f.Fuzz(func(t *testing.T, cursor string) {
		var at place
		if err := resume(cursor, &at); err != nil {
			if !errors.Is(err, fault.Invalid) {
				t.Fatalf("got %v, want fault.Invalid", err)
			}
			return
		}
		var again place
		if err := resume(encode(at), &again); err != nil || encode(again) != encode(at) {
			t.Fatalf("%q does not survive: %v", cursor, err)
		}
		p := newPage(0, at)
		if _, _, err := p.add([]byte(`{"timestamp":"2025-01-01T00:00:00Z"}`)); err == nil && at.End < twinFrom.UnixMilli() {
			t.Fatal("an event after the end was taken")
		}
	})
}

func FuzzEvent(f *testing.F) {
	f.Add([]byte(`{"timestamp":"2025-01-01T00:00:00.5Z","x":[1,2.50]}`))
	f.Add([]byte(`{"timestamp":"2025-01-01T00:00:00Z","timestamp":1}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		p := newPage(0, place{End: twinTo.UnixMilli()})
		_, _, err := p.add(raw)
		if err != nil && !errors.Is(err, fault.Corrupt) {
			t.Fatalf("got %v, want fault.Corrupt", err)
		}
	})
}
