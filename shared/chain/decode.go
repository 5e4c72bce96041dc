package chain

import (
	"errors"
	"path"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace-data/millrace/shared/fault"
)

// Decode reads the body of an event, as clouds deliver it:
//
//   - GCS object finalized: the CloudEvent as structured JSON, or the bare object
//   - Pub/Sub message published: the CloudEvent, or the bare push envelope; a bare
//     one does not name the topic, so it is taken to be the subscription's name. A
//     message that is a bucket's notification is the arrival, one that is a tick is
//     the tick
//   - S3 ObjectCreated: the notification, alone or inside of SNS, SQS, or SNS in
//     SQS; several records are several events; the test that S3 sends when a
//     notification is set up is none
//   - EventBridge "Object Created" of S3, alone or inside of SQS
//   - a message of ours inside of SNS, SQS, or SNS in SQS (see chain/sqs)
//   - a tick: the JSON that Cloud Scheduler or EventBridge Scheduler is set up to
//     send, {"function": …} (see [Tick]), or EventBridge's "Scheduled Event"
//   - a request to a Lambda function URL, with any of these in its body
//
// Anything else is fault.Invalid, which names the type that was found. [Split] is
// for those who go on with the rest of a batch.
func Decode(body []byte) ([]Event, error) { return whole(read(body, 0)) }

func whole(events []Event, err error) ([]Event, error) {
	if err != nil {
		return nil, err
	}
	return events, nil
}

// depthMax is how many envelopes lie in each other; SNS in SQS in a function URL is 2.
const depthMax = 4

// read returns the events that can be read, and an error for the others.
func read(body []byte, depth int) ([]Event, error) {
	if depth > depthMax {
		return nil, fault.New(fault.Invalid, "unknown event: more than %d envelopes in each other", depthMax)
	}
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
		return e.records(depth)
	case e.Test == "s3:TestEvent":
		return nil, nil
	case e.DetailType == "Object Created":
		var d s3Detail
		if err := decode(e.Detail, &d); err != nil {
			return nil, err
		}
		return d.event(e.DetailType)
	case e.DetailType == "Scheduled Event":
		return scheduled(e.Time)
	case e.Envelope == "Notification":
		return e.notification.events(depth)
	case e.Context.HTTP != nil:
		header, inner, err := unpack(body)
		if err != nil {
			return nil, err
		}
		return request(header, inner, depth+1)
	case tickish(e.Function, e.Slice):
		return ticked(body, "")
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

	Records    []record       `json:"Records"` // S3, SNS, SQS
	Test       string         `json:"Event"`
	DetailType string         `json:"detail-type"` // EventBridge
	Time       jsontext.Value `json:"time"`        // a text; others send what they like
	Detail     jsontext.Value `json:"detail"`

	Envelope     string `json:"Type"` // SNS inside of SQS
	notification `json:",inline"`

	Context struct {
		HTTP jsontext.Value `json:"http"`
	} `json:"requestContext"` // function URL

	Function jsontext.Value `json:"function"` // tick
	Slice    jsontext.Value `json:"slice"`    // of a message's body: no tick
}

func (e envelope) cloudEvent() ([]Event, error) {
	data := []byte(e.Data)
	if data == nil {
		data = e.DataBase64
	}
	return occurred(e.Type, e.ID, e.Source, data)
}

// occurred is the events of a CloudEvent.
func occurred(kind, id, source string, data []byte) ([]Event, error) {
	switch kind {
	case typeArrival:
		return arrived(data, id)
	case typeMessage:
		return published(data, path.Base(source))
	}
	return nil, unknown(kind)
}

// arrived is the event of an object in the words of GCS.
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
	return fault.New(fault.Invalid, "unknown event: %.100q, %s", found, expected)
}

const expected = "expected one of " + typeArrival + ", " + typeMessage + ", aws:s3 ObjectCreated:*, Object Created, Scheduled Event, a tick with a function"

// decode is lenient as to what a sender adds, and does not quote the body.
func decode(body []byte, v any, options ...json.Options) error {
	options = append(options, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if err := json.Unmarshal(body, v, options...); err != nil {
		return fault.New(fault.Invalid, "unknown event: not a JSON object of a known form, %s", expected)
	}
	return nil
}

// join keeps the events that were read and what was wrong with the others.
type join struct {
	events []Event
	errs   []error
}

func (j *join) add(events []Event, err error) {
	j.events = append(j.events, events...)
	if err != nil {
		j.errs = append(j.errs, err)
	}
}

func (j *join) result() ([]Event, error) { return j.events, errors.Join(j.errs...) }
