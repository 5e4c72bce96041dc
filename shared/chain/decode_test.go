package chain

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/millrace-data/millrace/shared/fault"
)

func read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestDecode(t *testing.T) {
	gcs := Event{
		ID: "gs://raw-landing/oci/2024/05/01/cost 1.csv.gz#1714532645678901", Type: typeArrival,
		Arrival: &Arrival{"raw-landing", "oci/2024/05/01/cost 1.csv.gz", "1714532645678901"},
	}
	s3 := Event{
		ID: "s3://landing/sales/dt=2024-05-01/region=us east/a+b.gz#v1", Type: "ObjectCreated:Put",
		Arrival: &Arrival{"landing", "sales/dt=2024-05-01/region=us east/a+b.gz", "v1"},
	}
	message := func(topic string) Event {
		return Event{ID: "1144231683168617", Type: typeMessage, Message: &Message{
			Topic: topic, Key: "oci.cost_report", Attributes: map[string]string{"k": "v"}, Data: []byte(`{"a":1}`), ID: "1144231683168617",
		}}
	}
	for name, want := range map[string][]Event{
		"gcs_cloudevent":         {gcs},
		"gcs_bare":               {gcs},
		"gcs_numeric_generation": {gcs},
		"pubsub_cloudevent":      {message(TopicSlices)},
		"pubsub_push":            {message(TopicLoaded)},
		"s3":                     {s3},
		"s3_in_sqs":              {s3},
		"s3_in_sns":              {s3},
		"s3_in_sns_in_sqs":       {s3},
		"s3_test":                nil,
		"s3_two": {
			{ID: "s3://landing/a#d41d8cd9-0055AED6", Type: "ObjectCreated:Put", Arrival: &Arrival{"landing", "a", ""}},
			{ID: "s3://landing/b#v2", Type: "ObjectCreated:Put", Arrival: &Arrival{"landing", "b", "v2"}},
		},
		"eventbridge": {{ID: "s3://landing/a+b c.gz#IYV3", Type: "Object Created", Arrival: &Arrival{"landing", "a+b c.gz", "IYV3"}}},
	} {
		got, err := Decode(read(t, name))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %s, %v\nwant %s", name, show(got), err, show(want))
		}
	}
}

func show(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}

func TestDecodeUnknown(t *testing.T) {
	for body, says := range map[string]string{
		string(read(t, "gcs_deleted")):                "object.v1.deleted",
		string(read(t, "s3_removed")):                 "ObjectRemoved:Delete",
		`{"detail-type":"Scheduled Event"}`:           "Scheduled Event",
		`{"specversion":"1.0","type":"x.y"}`:          "x.y",
		`{"Records":[{"eventSource":"aws:kinesis"}]}`: "aws:kinesis",
		`{}`:       "(no type)",
		`hush`:     "expected one of",
		`["hush"]`: "expected one of",
		``:         "expected one of",
		`{"kind":"storage#object","name":"hush"}`:         "no bucket",
		`{"message":{"data":"aHVzaA=="}}`:                 "messageId",
		`{"message":{"data":"%hush"}}`:                    "expected one of",
		`{"type":"` + strings.Repeat("long", 1000) + `"}`: "longlong",
	} {
		events, err := Decode([]byte(body))
		if !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "hush") || len(err.Error()) > 500 {
			t.Errorf("%.80s: got %v, %v; want invalid with %q", body, events, err, says)
		}
	}
}

func TestArrivalEvent(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.FixedZone("", 3600))
	for _, generation := range []string{"", "17", `odd"one`} {
		events, err := Decode(ArrivalEvent("stage", "oci/a b\"ü+%20.json", generation, at))
		if err != nil || len(events) != 1 || *events[0].Arrival != (Arrival{"stage", "oci/a b\"ü+%20.json", generation}) {
			t.Errorf("generation %q: got %s, %v", generation, show(events), err)
		}
	}
	one, _ := Decode(ArrivalEvent("b", "k", "", at))
	two, _ := Decode(ArrivalEvent("b", "k", "", at.Add(time.Millisecond)))
	if one[0].ID == two[0].ID {
		t.Error("two arrivals of an object without generations look like one")
	}
}

func TestMessageEvent(t *testing.T) {
	m := Message{Topic: TopicLoaded, Key: "oci.cost", Attributes: map[string]string{"a": "b"}, Data: []byte{0, 255, '"'}, ID: "12"}
	events, err := Decode(MessageEvent(m, "acme", "sub", time.Now()))
	if err != nil || len(events) != 1 || !reflect.DeepEqual(*events[0].Message, m) || events[0].ID != "12" {
		t.Errorf("got %s, %v; want %s", show(events), err, show(m))
	}
}

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
			if e.ID == "" || e.Type == "" || (e.Arrival == nil) == (e.Message == nil) {
				t.Fatalf("half an event: %s", show(e))
			}
			if a := e.Arrival; a != nil && (a.Bucket == "" || a.Key == "") {
				t.Fatalf("nameless arrival: %s", show(e))
			}
		}
	})
}
