// Package chain is what starts work: messages that one step publishes for the
// next, and the events that clouds deliver.
//
// The same work may be announced by a bucket, by a topic, through a queue that
// wraps a topic, or by hand from a file; [Decode] makes them all one [Event], so
// that the code behind has a single way in. Delivery is at least once and in any
// order: who handles an event must be idempotent.
//
// The package holds no connection; drivers such as chain/pubsub do.
package chain

import (
	"context"
	"time"
)

// The topics.
const (
	TopicSlices = "millrace-slices" // one message per slice that is due
	TopicLoaded = "millrace-loaded" // one message per slice that was committed
)

// The attributes that carry what a transport has no place for.
const (
	AttributeNotBefore = "millrace-not-before" // Message.NotBefore, RFC 3339
	AttributeTopic     = "millrace-topic"      // Message.Topic; marks a message of ours inside of SNS and SQS
	AttributeKey       = "millrace-key"        // Message.Key, inside of SNS and SQS
	AttributeEncoding  = "millrace-encoding"   // "base64": so is the text that carries Message.Data
)

// Message is what a step says to the next one.
type Message struct {
	Topic      string
	Key        string // ordering key: messages of a key arrive in the order they were published
	Attributes map[string]string
	Data       []byte
	ID         string    // set on delivery, the same when it is delivered again
	NotBefore  time.Time // who delivers it waits until then, or hands it out early: handlers bear both
}

// Publisher sends messages.
type Publisher interface {
	// Publish returns nil once the message is stored where a crash cannot lose it.
	// The message may arrive more than once. It must not change m.
	Publish(ctx context.Context, m Message) error
}
