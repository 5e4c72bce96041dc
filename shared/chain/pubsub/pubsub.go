// Package pubsub is the chain on Google Cloud Pub/Sub. It publishes with ordering
// keys, and it pulls, which is for the local cloud: in Google's cloud, messages
// are pushed to functions as events (chain.Decode).
//
// It owns no topics: in a cloud, infrastructure code creates them.
package pubsub

import (
	"context"
	"fmt"
	"maps"
	"path"
	"sync"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/millrace-data/millrace/shared/chain"
	"github.com/millrace-data/millrace/shared/fault"
)

const (
	ackDeadline = 60          // seconds; the client extends it while a handler works
	retryMin    = time.Second // before a message that was not handled comes again
	retryMax    = time.Minute
	inFlightMax = 64 << 20 // bytes of messages held at a time; ours are references of a few hundred
)

// Chain publishes to and receives from the topics of one project. It is safe for
// concurrent use.
type Chain struct {
	client *pubsub.Client

	mu     sync.Mutex
	topics map[string]*pubsub.Publisher
}

var _ chain.Publisher = (*Chain)(nil)

// New uses a client, which stays the caller's to close, after Close.
func New(client *pubsub.Client) *Chain {
	return &Chain{client: client, topics: map[string]*pubsub.Publisher{}}
}

// Close ends the goroutines that publish.
func (c *Chain) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range c.topics {
		t.Stop()
	}
	clear(c.topics)
}

// Publish returns once Pub/Sub has stored the message: a function's CPU may be
// taken away the moment it answers, and what is still batched then is lost.
func (c *Chain) Publish(ctx context.Context, m chain.Message) error {
	t := c.topic(m.Topic)
	attributes := maps.Clone(m.Attributes)
	if !m.NotBefore.IsZero() {
		if attributes == nil {
			attributes = map[string]string{}
		}
		attributes[chain.AttributeNotBefore] = m.NotBefore.UTC().Format(time.RFC3339Nano)
	}
	sent := t.Publish(ctx, &pubsub.Message{Data: m.Data, Attributes: attributes, OrderingKey: m.Key})
	if _, err := sent.Get(ctx); err != nil {
		t.ResumePublish(m.Key) // else the client refuses the key from now on
		return kind(fmt.Errorf("publish to topic %s: %w", m.Topic, err))
	}
	return nil
}

// topic keeps one publisher per topic, since each has goroutines of its own.
func (c *Chain) topic(name string) *pubsub.Publisher {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.topics[name]
	if t == nil {
		t = c.client.Publisher(name)
		t.EnableMessageOrdering = true
		t.PublishSettings.CountThreshold = 1 // each caller waits for its own message: nothing to batch
		c.topics[name] = t
	}
	return t
}

// Receive hands the messages of a subscription to handle, up to max at a time,
// until ctx ends; then it waits for the handlers and returns nil. A message whose
// handler returns nil is done, any other comes again. Messages of one ordering key
// are handled one after the other. It needs the right to get the subscription,
// which names the topic.
func (c *Chain) Receive(ctx context.Context, subscription string, max int, handle func(context.Context, chain.Message) error) error {
	s := c.client.Subscriber(subscription)
	s.ReceiveSettings.NumGoroutines = 1
	s.ReceiveSettings.MaxOutstandingMessages = max
	s.ReceiveSettings.MaxOutstandingBytes = inFlightMax

	info, err := c.client.SubscriptionAdminClient.GetSubscription(ctx, &pubsubpb.GetSubscriptionRequest{Subscription: s.String()})
	if err != nil {
		return kind(fmt.Errorf("subscription %s: %w", subscription, err))
	}
	topic := path.Base(info.Topic)
	err = s.Receive(ctx, func(ctx context.Context, m *pubsub.Message) {
		if handle(ctx, message(topic, m)) != nil {
			m.Nack()
			return
		}
		m.Ack()
	})
	if err != nil {
		return kind(fmt.Errorf("receive from subscription %s: %w", subscription, err))
	}
	return nil
}

func message(topic string, m *pubsub.Message) chain.Message {
	at, _ := time.Parse(time.RFC3339Nano, m.Attributes[chain.AttributeNotBefore]) // of another's message: at once
	return chain.Message{Topic: topic, Key: m.OrderingKey, Attributes: m.Attributes, Data: m.Data, ID: m.ID, NotBefore: at}
}

// Ensure creates the topics that are missing, and for each a subscription of the
// same name. It is for the local cloud.
func (c *Chain) Ensure(ctx context.Context, topics ...string) error {
	for _, name := range topics {
		topic := &pubsubpb.Topic{Name: "projects/" + c.client.Project() + "/topics/" + name}
		if _, err := c.client.TopicAdminClient.CreateTopic(ctx, topic); fresh(err) != nil {
			return kind(fmt.Errorf("create topic %s: %w", name, err))
		}
		subscription := &pubsubpb.Subscription{
			Name:                  "projects/" + c.client.Project() + "/subscriptions/" + name,
			Topic:                 topic.Name,
			AckDeadlineSeconds:    ackDeadline,
			EnableMessageOrdering: true,
			RetryPolicy: &pubsubpb.RetryPolicy{
				MinimumBackoff: durationpb.New(retryMin), MaximumBackoff: durationpb.New(retryMax),
			},
		}
		if _, err := c.client.SubscriptionAdminClient.CreateSubscription(ctx, subscription); fresh(err) != nil {
			return kind(fmt.Errorf("create subscription %s: %w", name, err))
		}
	}
	return nil
}

// fresh forgives that something is there already.
func fresh(err error) error {
	if status.Code(err) == codes.AlreadyExists {
		return nil
	}
	return err
}

// kind says what an error of Google's means to us.
func kind(err error) error {
	switch status.Code(err) {
	case codes.Unauthenticated, codes.PermissionDenied:
		return fault.New(fault.Auth, "%w: check the service account's roles", err)
	case codes.NotFound:
		return fault.New(fault.Invalid, "%w: create it, see infra/gcp", err)
	case codes.InvalidArgument, codes.FailedPrecondition:
		return fault.New(fault.Invalid, "%w", err)
	case codes.ResourceExhausted:
		return fault.New(fault.Limited, "%w", err)
	}
	return fault.New(fault.Transient, "%w", err)
}
