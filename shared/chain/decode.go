package chain

import (
	"encoding/base64"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace-data/millrace/shared/fault"
)

// Decode reads the body of an event, as clouds deliver it:
//
//   - GCS object finalized: the CloudEvent as structured JSON, or the bare object
//   - Pub/Sub message published: the CloudEvent, or the bare push envelope; a bare
//     one does not name the topic, so it is taken to be the subscription's name
//   - S3 ObjectCreated: the notification, alone or inside of SNS, SQS, or SNS in
//     SQS; several records are several events; the test that S3 sends when a
//     notification is set up is none
//   - EventBridge "Object Created" of S3, alone or inside of SQS
//   - a notification of GCS in Pub/Sub, in the forms of a message
//   - a [Tick], alone as schedulers send it, inside of a function URL's request,
//     and inside of a message
//
// Anything else is fault.Invalid, which names the type that was found.
func Decode(body []byte) ([]Event, error) {
	var e envelope
	if err := decode(body, &e); err != nil {
		return nil, err
	}
	switch {
	case e.SpecVersion != "":
		return e.cloudEvent()
	case e.Kind == "storage#object":
		return arrived(body, "")
	case e.Message.Kind() == '{':
		return published(body, "")
	case e.Records != nil:
		return e.records()
	case e.Test == "s3:TestEvent":
		return nil, nil
	case e.DetailType == "Object Created":
		return e.Detail.event(e.DetailType)
	case e.Envelope == "Notification":
		return Decode([]byte(e.Text))
	case e.Request.HTTP.Method != "":
		if e.Base64 {
			plain, err := base64.StdEncoding.DecodeString(e.Body)
			if err != nil {
				return nil, fault.New(fault.Invalid, "event of a function URL: its body is not base64")
			}
			e.Body = string(plain)
		}
		return Decode([]byte(e.Body))
	case e.Tick != "":
		return tick(body)
	}
	return nil, unknown(e.Type + e.DetailType)
}

// envelope has a member of every form, by which the forms are told apart.
type envelope struct {
	SpecVersion string         `json:"specversion"` // CloudEvent
	ID          string         `json:"id"`
	Type        string         `json:"type"`
	Source      string         `json:"source"`
	Data        jsontext.Value `json:"data"`
	DataBase64  []byte         `json:"data_base64"`

	Kind    string         `json:"kind"`    // bare GCS object
	Message jsontext.Value `json:"message"` // bare Pub/Sub push

	Records    []record `json:"Records"` // S3, SNS, SQS
	Test       string   `json:"Event"`
	DetailType string   `json:"detail-type"` // EventBridge
	Detail     s3Detail `json:"detail"`
	Envelope   string   `json:"Type"` // SNS inside of SQS
	Text       string   `json:"Message"`

	Tick    string `json:"tick"`
	Body    string `json:"body"` // Lambda's function URL
	Base64  bool   `json:"isBase64Encoded"`
	Request struct {
		HTTP struct {
			Method string `json:"method"`
		} `json:"http"`
	} `json:"requestContext"`
}

// record is one entry of what AWS hands to a function.
type record struct {
	Source    string   `json:"eventSource"`
	SNSSource string   `json:"EventSource"`
	Name      string   `json:"eventName"`
	S3        s3Detail `json:"s3"`
	Body      string   `json:"body"` // SQS
	SNS       struct {
		Message string `json:"Message"`
	} `json:"Sns"`
}

// s3Detail is S3's own part, in the spellings of notifications and EventBridge.
type s3Detail struct {
	Bucket struct {
		Name string `json:"name"`
	} `json:"bucket"`
	Object struct {
		Key       string `json:"key"`
		VersionID string `json:"versionId"`
		Version   string `json:"version-id"`
		ETag      string `json:"eTag"`
		Tag       string `json:"etag"`
		Sequencer string `json:"sequencer"`
	} `json:"object"`
}

func (e envelope) cloudEvent() ([]Event, error) {
	data := []byte(e.Data)
	if data == nil {
		data = e.DataBase64
	}
	switch e.Type {
	case typeArrival:
		return arrived(data, e.ID)
	case typeMessage:
		return published(data, path.Base(e.Source))
	}
	return nil, unknown(e.Type)
}

func arrived(data []byte, id string) ([]Event, error) {
	var o object
	if err := decode(data, &o); err != nil {
		return nil, err
	}
	a := Arrival{Bucket: o.Bucket, Key: o.Name, Generation: text(o.Generation)}
	if a.Generation != "" { // two triggers give one object two event ids
		id = a.Generation
	}
	return arrival("gs", a, id, typeArrival)
}

// text is a JSON string or number as text.
func text(v jsontext.Value) string {
	switch v.Kind() {
	case '"':
		s, _ := jsontext.AppendUnquote(nil, v)
		return string(s)
	case '0':
		return v.String()
	}
	return ""
}

func published(data []byte, topic string) ([]Event, error) {
	var p push
	if err := decode(data, &p); err != nil {
		return nil, err
	}
	if topic == "" {
		topic = path.Base(p.Subscription)
	}
	l := p.Message
	if l.ID == "" {
		return nil, fault.New(fault.Invalid, "event %s: message has no messageId", typeMessage)
	}
	switch a := l.Attributes; {
	case a["eventType"] == "OBJECT_FINALIZE": // GCS, without Eventarc
		return arrival("gs", Arrival{Bucket: a["bucketId"], Key: a["objectId"], Generation: a["objectGeneration"]}, a["objectGeneration"], a["eventType"])
	case a["bucketId"] != "" && a["eventType"] != "": // of an object that went away
		return nil, unknown(a["eventType"])
	}
	var head struct {
		Tick string `json:"tick"`
	}
	if decode(l.Data, &head) == nil && head.Tick != "" {
		return tick(l.Data)
	}
	m := &Message{Topic: topic, Key: l.Key, Attributes: l.Attributes, Data: l.Data, ID: l.ID}
	if at, err := time.Parse(time.RFC3339Nano, l.Attributes[NotBefore]); err == nil {
		m.NotBefore = at
	}
	return []Event{{ID: l.ID, Type: typeMessage, Message: m}}, nil
}

// tick is strict: a person wrote it, and a misspelt member would read something else.
func tick(body []byte) ([]Event, error) {
	t := new(Tick)
	if err := json.Unmarshal(body, t, json.RejectUnknownMembers(true)); err != nil {
		return nil, fault.New(fault.Invalid, "a tick has the members tick, tables, from, to, backfill and at, times as 2026-01-02T03:04:05Z: %w", err)
	}
	if t.From.IsZero() != t.To.IsZero() || t.Backfill && t.From.IsZero() {
		return nil, fault.New(fault.Invalid, "a tick of a window, and each backfill, has both from and to")
	}
	id := "tick/" + t.Function
	if !t.At.IsZero() {
		id += "/" + t.At.UTC().Format(time.RFC3339Nano)
	}
	return []Event{{ID: id, Type: "tick", Tick: t}}, nil
}

func (e envelope) records() ([]Event, error) {
	var all []Event
	for _, r := range e.Records {
		events, err := r.events()
		if err != nil {
			return nil, err
		}
		all = append(all, events...)
	}
	return all, nil
}

func (r record) events() ([]Event, error) {
	switch source := r.Source + r.SNSSource; {
	case source == "aws:sqs":
		return Decode([]byte(r.Body))
	case source == "aws:sns":
		return Decode([]byte(r.SNS.Message))
	case source == "aws:s3" && strings.HasPrefix(strings.TrimPrefix(r.Name, "s3:"), "ObjectCreated:"):
		key, err := url.QueryUnescape(r.S3.Object.Key) // form style: a space is a +
		if err != nil {
			return nil, fault.New(fault.Invalid, "event %s: the key is not URL-encoded", r.Name)
		}
		r.S3.Object.Key = key
		return r.S3.event(r.Name)
	default:
		return nil, unknown(strings.TrimSpace(source + " " + r.Name))
	}
}

func (d s3Detail) event(kind string) ([]Event, error) {
	o := d.Object
	a := Arrival{Bucket: d.Bucket.Name, Key: o.Key, Generation: o.VersionID + o.Version}
	id := a.Generation
	if id == "" {
		id = o.ETag + o.Tag + "-" + o.Sequencer
	}
	return arrival("s3", a, id, kind)
}

// arrival identifies an arrival by the object and its version, not by the
// delivery.
func arrival(scheme string, a Arrival, version, kind string) ([]Event, error) {
	if a.Bucket == "" || a.Key == "" {
		return nil, fault.New(fault.Invalid, "event %s: names no bucket or no object", kind)
	}
	id := scheme + "://" + a.Bucket + "/" + a.Key + "#" + version
	return []Event{{ID: id, Type: kind, Arrival: &a}}, nil
}

func unknown(found string) error {
	if found == "" {
		found = "(no type)"
	}
	return fault.New(fault.Invalid, "unknown event: %.100q, expected one of %s, %s, aws:s3 ObjectCreated:*, Object Created", found, typeArrival, typeMessage)
}

// decode is lenient as to what a sender adds, and does not quote the body.
func decode(body []byte, v any) error {
	if err := json.Unmarshal(body, v, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)); err != nil {
		return fault.New(fault.Invalid, "unknown event: not a JSON object of a known form, expected one of %s, %s, aws:s3 ObjectCreated:*, Object Created", typeArrival, typeMessage)
	}
	return nil
}
