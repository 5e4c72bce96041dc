package ociusage

import (
	"testing"
	"time"

	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/fault"
)

func TestEntryOfTheList(t *testing.T) {
	got, err := object([]byte(`{"name":"FOCUS Reports/a b.csv.gz","size":7,"etag":"e","md5":null,"timeCreated":"2026-03-01T05:00:00.123+02:00"}`))
	want := extract.Object{Name: "FOCUS Reports/a b.csv.gz", ETag: "e", Size: 7, Created: time.Date(2026, 3, 1, 3, 0, 0, 123e6, time.UTC)}
	if err != nil || got != want {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
}

// FuzzEntryOfTheList: an entry is whole, or the list is corrupt.
func FuzzEntryOfTheList(f *testing.F) {
	f.Add([]byte(`{"name":"a","etag":"b","size":1,"timeCreated":"2026-03-01T05:00:00Z"}`))
	f.Add([]byte(`{"name":"a"}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		o, err := object(raw)
		if err != nil && fault.Of(err) != fault.Corrupt {
			t.Errorf("kind %v, want corrupt", fault.Of(err))
		}
		if err == nil && (o.Name == "" || o.ETag == "") {
			t.Errorf("got %+v without an error", o)
		}
	})
}
