package chain

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/millrace-data/millrace/shared/fault"
)

func golden(t testing.TB, name string) []byte {
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
		Arrival: &Arrival{Bucket: "raw-landing", Key: "oci/2024/05/01/cost 1.csv.gz", Generation: "1714532645678901"},
	}
	s3 := Event{
		ID: "s3://landing/sales/dt=2024-05-01/region=us east/a+b.gz#v1", Type: "ObjectCreated:Put",
		Arrival: &Arrival{Bucket: "landing", Key: "sales/dt=2024-05-01/region=us east/a+b.gz", Generation: "v1", Sequence: "0055AED6"},
	}
	message := func(topic string) Event {
		return Event{ID: "1144231683168617", Type: typeMessage, Message: &Message{
			Topic: topic, Key: "oci.cost_report", Attributes: map[string]string{"k": "v"}, Data: []byte(`{"a":1}`), ID: "1144231683168617",
		}}
	}
	later := &Message{Topic: TopicSlices, Data: []byte(slice), ID: "20", NotBefore: time.Date(2024, 5, 1, 3, 5, 0, 0, time.UTC),
		Attributes: map[string]string{"function": "clari", AttributeNotBefore: "2024-05-01T03:05:00Z"}}
	own := Event{ID: "059f36b4", Type: typeMessage, Message: &Message{Topic: TopicSlices, Key: "clari.users", Data: []byte(slice), ID: "059f36b4",
		Attributes: map[string]string{"function": "clari"}}}
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
			{ID: "s3://landing/a#d41d8cd9-0055AED6", Type: "ObjectCreated:Put", Arrival: &Arrival{Bucket: "landing", Key: "a", Sequence: "0055AED6"}},
			{ID: "s3://landing/b#v2", Type: "ObjectCreated:Put", Arrival: &Arrival{Bucket: "landing", Key: "b", Generation: "v2", Sequence: "0055AED6"}},
		},
		"eventbridge":             {{ID: "s3://landing/a+b c.gz#IYV3", Type: "Object Created", Arrival: &Arrival{Bucket: "landing", Key: "a+b c.gz", Generation: "IYV3", Sequence: "617f"}}},
		"gcs_in_pubsub":           {{ID: gcs.ID, Type: "OBJECT_FINALIZE", Arrival: gcs.Arrival}},
		"pubsub_push_not_before":  {{ID: "20", Type: typeMessage, Message: later}},
		"sqs_own":                 {own},
		"sns_own":                 {own},
		"sns_own_in_sqs":          {own},
		"function_url_push":       {message(TopicLoaded)},
		"function_url_cloudevent": {gcs},
	} {
		got, err := Decode(golden(t, name))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %s, %v\nwant %s", name, show(got), err, show(want))
		}
	}
}

const slice = `{"function":"clari","table":"users","slice":"2024-05-01"}`

func TestDecodeTick(t *testing.T) {
	four := time.Date(2024, 5, 1, 4, 0, 0, 0, time.UTC)
	for name, want := range map[string]Tick{
		"scheduler":             {Function: "clari"},
		"function_url":          {Function: "clari"},
		"eventbridge_scheduler": {Function: "clari", At: four},
		"eventbridge_rule":      {At: four},
		"scheduler_in_pubsub":   {Function: "clari", At: four.Add(time.Second / 2)},
		"scheduler_range": {Function: "clari", Tables: []string{"users", "fields"}, Purpose: "backfill",
			From: time.Date(2024, 5, 1, 0, 0, 0, 0, time.UTC), To: time.Date(2024, 5, 2, 10, 0, 0, 0, time.UTC)},
	} {
		got, err := Decode(golden(t, name))
		if err != nil || len(got) != 1 || got[0].Tick == nil || !reflect.DeepEqual(*got[0].Tick, want) {
			t.Errorf("%s: got %s, %v\nwant %s", name, show(got), err, show(want))
		}
	}
	one, _ := Decode([]byte(`{"function":"f","execution_id":"1"}`))
	two, _ := Decode([]byte(`{"function":"f","execution_id":"2"}`))
	if one[0].ID == two[0].ID {
		t.Error("two executions look like one")
	}
}

func TestSplitRequest(t *testing.T) {
	binary := http.Header{}
	for k, v := range map[string]string{"ce-specversion": "1.0", "ce-id": "7a1b2c3d-unique", "ce-type": typeArrival, "ce-subject": "objects/x",
		"ce-source": "//storage.googleapis.com/projects/_/buckets/raw-landing", "ce-time": "2024-05-01T03:04:05.678Z", "Content-Type": "application/json"} {
		binary.Set(k, v)
	}
	want, _ := Decode(golden(t, "gcs_cloudevent"))
	got := SplitRequest(binary, golden(t, "gcs_binary_body"))
	if got.Err != nil || got.Direct || !reflect.DeepEqual(got.Events, want) {
		t.Errorf("binary: got %s, %v; want %s", show(got), got.Err, show(want))
	}
	binary.Set("ce-type", typeMessage)
	binary.Set("ce-source", "//pubsub.googleapis.com/projects/acme/topics/"+TopicSlices)
	if got := SplitRequest(binary, golden(t, "pubsub_push")); got.Err != nil || got.Events[0].Message.Topic != TopicSlices {
		t.Errorf("binary message: got %s, %v", show(got), got.Err)
	}
	if got := SplitRequest(http.Header{}, golden(t, "gcs_in_pubsub")); got.Err != nil || got.Direct || got.Tries != 1 {
		t.Errorf("push: got %s, %v", show(got), got.Err)
	}
	if got := SplitRequest(http.Header{}, golden(t, "scheduler_in_pubsub")); got.Err != nil || got.Direct {
		t.Errorf("a tick that is pushed: got %s, %v", show(got), got.Err)
	}
	due := http.Header{}
	due.Set("X-CloudScheduler", "true")
	due.Set("X-CloudScheduler-ScheduleTime", "2024-05-01T06:00:00+02:00")
	for body, function := range map[string]string{"": "", " {} ": "", `{"function":"clari"}`: "clari"} {
		got := SplitRequest(due, []byte(body))
		if got.Err != nil || !got.Direct || len(got.Events) != 1 || !reflect.DeepEqual(*got.Events[0].Tick, Tick{Function: function, At: time.Date(2024, 5, 1, 4, 0, 0, 0, time.UTC)}) {
			t.Errorf("scheduler %q: got %s, %v", body, show(got), got.Err)
		}
	}
	if got := SplitRequest(http.Header{}, nil); !errors.Is(got.Err, fault.Invalid) || got.Direct {
		t.Errorf("an empty request of nobody: got %s, %v", show(got), got.Err)
	}
	if header, got, ok := SplitURL(golden(t, "function_url")); !ok || !got.Direct || header.Get("Content-Type") != "application/json" {
		t.Errorf("function URL: got %s", show(got))
	}
	if _, got, ok := SplitURL(golden(t, "function_url_push")); !ok || got.Direct || len(got.Events) != 1 {
		t.Errorf("push to a function URL: got %s", show(got))
	}
	if _, _, ok := SplitURL(golden(t, "s3")); ok {
		t.Error("an S3 event looks like a request")
	}
}

func TestSplit(t *testing.T) {
	batch := Split(golden(t, "sqs_batch"))
	if len(batch) != 3 {
		t.Fatalf("got %d deliveries", len(batch))
	}
	for i, want := range []Delivery{{Batch: "059f36b4", Group: "clari.users", Tries: 3}, {Batch: "poison", Group: "clari.users", Tries: 3}, {Batch: "half", Tries: 1}} {
		got := batch[i]
		if got.Batch != want.Batch || got.Group != want.Group || got.Tries != want.Tries || len(got.Events) != []int{1, 0, 1}[i] || (got.Err == nil) != (i == 0) {
			t.Errorf("delivery %d: got %s, %v", i, show(got), got.Err)
		}
	}
	if string(batch[1].Raw) != `{"hello":1}` {
		t.Errorf("kept %s", batch[1].Raw)
	}
	if one := Split(golden(t, "gcs_cloudevent")); len(one) != 1 || one[0].Batch != "" || one[0].Err != nil || len(one[0].Events) != 1 {
		t.Errorf("got %s", show(one))
	}
	if two := Split(golden(t, "s3_two")); len(two) != 2 || two[1].Events[0].Arrival.Key != "b" {
		t.Errorf("got %s", show(two))
	}
}

func TestNewest(t *testing.T) {
	events, err := Decode(golden(t, "s3_overtaken"))
	if err != nil || len(events) != 2 {
		t.Fatal(show(events), err)
	}
	for _, order := range [][]Event{{events[0], events[1]}, {events[1], events[0]}} {
		if got := Newest(order); len(got) != 1 || got[0].Arrival.Generation != "v1" {
			t.Errorf("got %s", show(got))
		}
	}
	if !later("100", "99") || later("99", "100") || later("v2", "v1") || later("7", "07") {
		t.Error("generations are numbers")
	}
}

func show(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}

func TestDecodeUnknown(t *testing.T) {
	for body, says := range map[string]string{
		string(golden(t, "gcs_deleted")):                  "object.v1.deleted",
		string(golden(t, "gcs_deleted_in_pubsub")):        "OBJECT_DELETE",
		`{"function":"f","table":"oops"}`:                 "tick",
		`{"function":"f","from":"yesterday"}`:             "from",
		`{"function":"f","purpose":"resync"}`:             "purpose",
		`{"function":"f","slice":"s"}`:                    "(no type)",
		string(golden(t, "s3_removed")):                   "ObjectRemoved:Delete",
		`{"detail-type":"Scheduled Event","time":"noon"}`: "Scheduled Event",
		`{"specversion":"1.0","type":"x.y"}`:              "x.y",
		`{"Records":[{"eventSource":"aws:kinesis"}]}`:     "aws:kinesis",
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
		if err != nil || len(events) != 1 || *events[0].Arrival != (Arrival{Bucket: "stage", Key: "oci/a b\"ü+%20.json", Generation: generation}) {
			t.Errorf("generation %q: got %s, %v", generation, show(events), err)
		}
	}
	one, _ := Decode(ArrivalEvent("b", "k", "", at))
	two, _ := Decode(ArrivalEvent("b", "k", "", at.Add(time.Millisecond)))
	if one[0].ID == two[0].ID {
		t.Error("two arrivals of an object without generations look like one")
	}
}

func TestPush(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	m := Message{Topic: TopicSlices, Key: "k", Data: []byte{0, 255}, ID: "12", NotBefore: at}
	events, err := Decode(Push(m))
	m.Attributes = map[string]string{AttributeNotBefore: at.Format(time.RFC3339Nano)}
	if err != nil || len(events) != 1 || !reflect.DeepEqual(*events[0].Message, m) {
		t.Errorf("got %s, %v; want %s", show(events), err, show(m))
	}
}

func TestMessageEvent(t *testing.T) {
	m := Message{Topic: TopicLoaded, Key: "oci.cost", Attributes: map[string]string{"a": "b"}, Data: []byte{0, 255, '"'}, ID: "12"}
	events, err := Decode(MessageEvent(m, "acme", "sub", time.Now()))
	if err != nil || len(events) != 1 || !reflect.DeepEqual(*events[0].Message, m) || events[0].ID != "12" {
		t.Errorf("got %s, %v; want %s", show(events), err, show(m))
	}
}
