package chain

import (
	"maps"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Event is one thing that happened: an object arrived, a message was published, or
// the time of a schedule came. Exactly one of Arrival, Message and Tick is set.
type Event struct {
	ID      string // the same when the same thing is delivered again, whichever way
	Type    string // as the sender calls it
	Arrival *Arrival
	Message *Message
	Tick    *Tick
}

// Arrival is an object that is complete in a bucket.
type Arrival struct {
	Bucket     string
	Key        string // as the object is named, not URL-encoded
	Generation string // GCS generation or S3 version; "" where there is none
	Sequence   string // S3 sequencer, hexadecimal: of two writings of a key the later one has the greater; "" where there is none
}

// Tick asks a function for slices: those that are due, or those of a range. Its JSON
// is what schedules are set up to send and what a person posts: {"function":"clari"}
// is enough, dates will do as times, and a name that is not one of these is refused.
type Tick struct {
	Function string    `json:"function"`                // "" = whoever gets it
	Tables   []string  `json:"tables,omitempty"`        // none = all
	From     time.Time `json:"from,omitzero"`           // half-open with To, UTC; zero = what is due
	To       time.Time `json:"to,omitzero"`             //
	Purpose  string    `json:"purpose,omitempty"`       // live or backfill; "" = live
	At       time.Time `json:"scheduled_time,omitzero"` // when it was due, UTC: a schedule that is tried again asks for the same; zero = unknown
}

// The types of the CloudEvents we understand and make.
const (
	typeArrival = "google.cloud.storage.object.v1.finalized"
	typeMessage = "google.cloud.pubsub.topic.v1.messagePublished"
	typeTick    = "millrace.tick"
)

// cloudEvent is the structured form, CloudEvents 1.0.
type cloudEvent struct {
	SpecVersion string    `json:"specversion"`
	ID          string    `json:"id"`
	Source      string    `json:"source"`
	Type        string    `json:"type"`
	Subject     string    `json:"subject,omitzero"`
	Time        time.Time `json:"time"`
	ContentType string    `json:"datacontenttype"`
	Data        any       `json:"data"`
}

// object is what GCS tells about an object, as far as we need it. Numbers come as
// strings, and sometimes as numbers.
type object struct {
	Kind       string         `json:"kind"`
	ID         string         `json:"id"`
	Bucket     string         `json:"bucket"`
	Name       string         `json:"name"`
	Generation jsontext.Value `json:"generation,omitzero"`
	Created    time.Time      `json:"timeCreated,omitzero"`
}

// push is how Pub/Sub hands a message to an HTTP endpoint.
type push struct {
	Subscription string `json:"subscription"`
	Message      letter `json:"message"`
}

type letter struct {
	Data       []byte            `json:"data,omitempty"`
	Attributes map[string]string `json:"attributes,omitempty"`
	ID         string            `json:"messageId"`
	Key        string            `json:"orderingKey,omitempty"`
	Published  string            `json:"publishTime,omitzero"`
	OldID      string            `json:"message_id,omitzero"` // direct push has both spellings
}

// ArrivalEvent is the event of an object's arrival in a bucket, in the bytes that
// Eventarc delivers: a CloudEvent of GCS, structured JSON.
func ArrivalEvent(bucket, key, generation string, at time.Time) []byte {
	at = at.UTC()
	data := object{Kind: "storage#object", ID: bucket + "/" + key + "/" + generation, Bucket: bucket, Name: key, Created: at}
	id := at.Format(time.RFC3339Nano)
	if generation != "" {
		data.Generation, _ = jsontext.AppendQuote(nil, generation)
		id = generation
	}
	return encode(cloudEvent{
		ID: bucket + "/" + key + "/" + id, Type: typeArrival, Time: at, Data: data,
		Source: "//storage.googleapis.com/projects/_/buckets/" + bucket, Subject: "objects/" + key,
	})
}

// MessageEvent is the event of a message, in the bytes that Eventarc delivers: a
// CloudEvent of Pub/Sub, structured JSON. project and subscription are plain
// names.
func MessageEvent(m Message, project, subscription string, at time.Time) []byte {
	at = at.UTC()
	return encode(cloudEvent{
		ID: m.ID, Type: typeMessage, Time: at,
		Source: "//pubsub.googleapis.com/projects/" + project + "/topics/" + m.Topic,
		Data: push{
			Subscription: "projects/" + project + "/subscriptions/" + subscription,
			Message:      letter{Data: m.Data, Attributes: m.Attributes, ID: m.ID, Key: m.Key, Published: at.Format(time.RFC3339Nano)},
		},
	})
}

// Push is the event of a message in the bytes that a push subscription delivers
// without Eventarc. It names no project, and the topic in the subscription's place.
func Push(m Message) []byte {
	l := letter{Data: m.Data, Attributes: maps.Clone(m.Attributes), ID: m.ID, Key: m.Key}
	if !m.NotBefore.IsZero() {
		if l.Attributes == nil {
			l.Attributes = map[string]string{}
		}
		l.Attributes[AttributeNotBefore] = m.NotBefore.UTC().Format(time.RFC3339Nano)
	}
	b, _ := json.Marshal(push{Subscription: m.Topic, Message: l}, jsontext.AllowInvalidUTF8(true), json.Deterministic(true)) // as encode
	return b
}

// encode cannot fail: the structs are plain, and bytes that are not UTF-8 are
// replaced as encoding/json does.
func encode(e cloudEvent) []byte {
	e.SpecVersion, e.ContentType = "1.0", "application/json"
	b, _ := json.Marshal(e, jsontext.AllowInvalidUTF8(true), json.Deterministic(true))
	return b
}
