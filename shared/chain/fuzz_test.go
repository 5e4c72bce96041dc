package chain

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"

	"github.com/millrace-data/millrace/shared/fault"
)

func FuzzDecode(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.json")
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		events, err := Decode(body)
		if err != nil && (!errors.Is(err, fault.Invalid) || events != nil) {
			t.Fatalf("got %v, %v", events, err)
		}
		for _, e := range events {
			n := 0
			for _, there := range []bool{e.Arrival != nil, e.Message != nil, e.Tick != nil} {
				if there {
					n++
				}
			}
			if e.ID == "" || e.Type == "" || n != 1 {
				t.Fatalf("half an event: %s", show(e))
			}
			if a := e.Arrival; a != nil && (a.Bucket == "" || a.Key == "") {
				t.Fatalf("nameless arrival: %s", show(e))
			}
		}
	})
}

// Whatever is wrapped into whatever, at any place of the JSON: no panic, and every
// record is either read or refused.
func TestAnyNestingIsAnswered(t *testing.T) {
	var seeds []string
	files, _ := filepath.Glob("testdata/*.json")
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		seeds = append(seeds, string(b))
	}
	rapid.Check(t, func(t *rapid.T) {
		body := rapid.SampledFrom(seeds).Draw(t, "event")
		for range rapid.IntRange(0, 6).Draw(t, "wraps") {
			body = rapid.SampledFrom(wraps).Draw(t, "wrap")(body)
		}
		if n := len(body); rapid.Bool().Draw(t, "cut") && n > 0 {
			at := rapid.IntRange(0, n-1).Draw(t, "at")
			body = body[:at] + rapid.SampledFrom([]string{"", "null", "0", "[]", "{}", "\x00", "\""}).Draw(t, "instead") + body[min(n, at+rapid.IntRange(0, 9).Draw(t, "bytes")):]
		}
		header := http.Header{}
		for _, h := range rapid.SliceOfN(rapid.SampledFrom([]string{"ce-specversion", "ce-type", "ce-source", schedulerMark, schedulerTime}), 0, 5).Draw(t, "headers") {
			header.Set(h, rapid.SampledFrom([]string{"", "1.0", typeArrival, typeMessage, "2024-05-01T00:00:00Z"}).Draw(t, h))
		}
		SplitURL([]byte(body))
		deliveries := append(Split([]byte(body)), SplitRequest(header, []byte(body)))
		if len(deliveries) < 2 {
			t.Fatal("an invocation without an answer")
		}
		for _, d := range deliveries {
			Newest(d.Events)
			if d.Err != nil && !errors.Is(d.Err, fault.Invalid) {
				t.Fatalf("got %v", d.Err)
			}
		}
	})
}

var wraps = []func(string) string{
	func(s string) string {
		return `{"Records":[{"eventSource":"aws:sqs","messageId":"m","body":` + quoted(s) + `}]}`
	},
	func(s string) string {
		return `{"Records":[{"EventSource":"aws:sns","Sns":{"Message":` + quoted(s) + `}}]}`
	},
	func(s string) string { return `{"Type":"Notification","Message":` + quoted(s) + `}` },
	func(s string) string { return `{"requestContext":{"http":{}},"body":` + quoted(s) + `}` },
	func(s string) string { return `{"Records":[` + s + `,` + s + `]}` },
	func(s string) string { return `{"specversion":"1.0","type":"` + typeMessage + `","data":` + s + `}` },
	func(s string) string { return `{"detail-type":"Object Created","detail":` + s + `}` },
}

func quoted(s string) string { return show(s) }
