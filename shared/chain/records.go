package chain

import (
	"encoding/base64"
	"maps"
	"net/url"
	"path"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace-data/millrace/shared/fault"
)

// record is one entry of what AWS hands to a function.
type record struct {
	Source    string   `json:"eventSource"`
	SNSSource string   `json:"EventSource"`
	Name      string   `json:"eventName"`
	S3        s3Detail `json:"s3"`

	ID         string               `json:"messageId"` // SQS
	Receipt    string               `json:"receiptHandle"`
	Body       string               `json:"body"`
	Attributes map[string]attribute `json:"messageAttributes"`
	System     struct {
		Group    string         `json:"MessageGroupId"`
		Received jsontext.Value `json:"ApproximateReceiveCount"`
	} `json:"attributes"`
	ARN string `json:"eventSourceARN"`

	SNS notification `json:"Sns"`
}

// attribute is a message attribute, in the spellings of SQS and of SNS.
type attribute struct {
	String string `json:"stringValue"`
	Value  string `json:"Value"`
}

// notification is a message of SNS.
type notification struct {
	NotificationID string               `json:"MessageId"`
	Topic          string               `json:"TopicArn"`
	Text           string               `json:"Message"`
	Values         map[string]attribute `json:"MessageAttributes"`
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

func (e envelope) records(depth int) ([]Event, error) {
	var all join
	for _, r := range e.Records {
		all.add(r.events(depth))
	}
	return all.result()
}

func (r record) source() string { return r.Source + r.SNSSource }

func (r record) events(depth int) ([]Event, error) {
	switch source := r.source(); {
	case source == "aws:sqs":
		return carried(r.ID, path.Base(strings.ReplaceAll(r.ARN, ":", "/")), r.Body, r.Attributes, depth)
	case source == "aws:sns":
		return r.SNS.events(depth)
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

func (n notification) events(depth int) ([]Event, error) {
	return carried(n.NotificationID, path.Base(strings.ReplaceAll(n.Topic, ":", "/")), n.Text, n.Values, depth)
}

// carried is what SNS or SQS carries: a message of ours, by its attributes, or an
// event of somebody's inside of it.
func carried(id, from, body string, attributes map[string]attribute, depth int) ([]Event, error) {
	values := map[string]string{}
	for k, a := range attributes {
		values[k] = a.String + a.Value
	}
	topic := values[AttributeTopic]
	if topic == "" {
		return read([]byte(body), depth+1)
	}
	if id == "" {
		return nil, fault.New(fault.Invalid, "message from %.100q: has no id", from)
	}
	data := []byte(body)
	if values[AttributeEncoding] == "base64" {
		var err error
		if data, err = base64.StdEncoding.DecodeString(strings.TrimSpace(body)); err != nil {
			return nil, fault.New(fault.Invalid, "message %.100q from %.100q: the data is not base64", id, from)
		}
	}
	m := &Message{Topic: topic, Key: values[AttributeKey], Data: data, ID: id, NotBefore: instant(values[AttributeNotBefore])}
	maps.DeleteFunc(values, func(k, _ string) bool {
		return k == AttributeTopic || k == AttributeKey || k == AttributeEncoding
	})
	m.Attributes = values
	return []Event{{ID: id, Type: typeMessage, Message: m}}, nil
}

func (d s3Detail) event(kind string) ([]Event, error) {
	o := d.Object
	a := Arrival{Bucket: d.Bucket.Name, Key: o.Key, Generation: o.VersionID + o.Version, Sequence: o.Sequencer}
	id := a.Generation
	if id == "" {
		id = o.ETag + o.Tag + "-" + o.Sequencer
	}
	return arrival("s3", a, id, kind)
}
