package chain

import (
	"path"
	"time"

	"github.com/millrace-data/millrace/shared/fault"
)

// The attributes of a message that is a notification of a GCS bucket.
const (
	notifiedType       = "eventType"
	notifiedBucket     = "bucketId"
	notifiedKey        = "objectId"
	notifiedGeneration = "objectGeneration"
	finalized          = "OBJECT_FINALIZE"
)

// published is the event of a Pub/Sub message.
func published(data []byte, topic string) ([]Event, error) {
	var p push
	if err := decode(data, &p); err != nil {
		return nil, err
	}
	if topic == "" || topic == "." || topic == "/" {
		topic = path.Base(p.Subscription)
	}
	l := p.Message
	if l.ID == "" {
		l.ID = l.OldID
	}
	if l.ID == "" {
		return nil, fault.New(fault.Invalid, "event %s: message has no messageId", typeMessage)
	}
	if l.Attributes[notifiedType] != "" && l.Attributes[notifiedBucket] != "" {
		return notified(l)
	}
	if sent(l.Data) {
		return ticked(l.Data, l.Published)
	}
	m := &Message{Topic: topic, Key: l.Key, Attributes: l.Attributes, Data: l.Data, ID: l.ID, NotBefore: instant(l.Attributes[AttributeNotBefore])}
	return []Event{{ID: l.ID, Type: typeMessage, Message: m}}, nil
}

// notified is the arrival that a bucket announced to a topic. The attributes say
// all that the object in the body does.
func notified(l letter) ([]Event, error) {
	if l.Attributes[notifiedType] != finalized {
		return nil, unknown("notification " + l.Attributes[notifiedType])
	}
	a := Arrival{Bucket: l.Attributes[notifiedBucket], Key: l.Attributes[notifiedKey], Generation: l.Attributes[notifiedGeneration]}
	version := a.Generation
	if version == "" {
		version = l.ID
	}
	return arrival("gs", a, version, finalized)
}

// instant is a time of RFC 3339; of another text it is zero.
func instant(s string) time.Time {
	at, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}
	}
	return at.UTC()
}
