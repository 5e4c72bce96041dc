// Package sqs is the chain on Amazon's queues, for teams that have no Google Cloud.
//
// Slices go to the queue of the function that reads them, millrace-slices-FUNCTION,
// where a message that is not due waits up to 15 minutes, as SQS allows; loaded
// messages go to the SNS topic millrace-loaded, from which whoever depends on a table
// has a queue of his own. The body is the envelope in which Pub/Sub pushes messages,
// so that a function reads both (chain.Decode). It owns neither queues nor topics:
// infrastructure code creates them.
package sqs

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	snstypes "github.com/aws/aws-sdk-go-v2/service/sns/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/millrace-data/millrace/shared/chain"
	"github.com/millrace-data/millrace/shared/fault"
)

// delayMax is the longest that SQS holds a message back.
const delayMax = 15 * time.Minute

// Options is whose queues they are.
type Options struct {
	Region, Account string
}

// Chain publishes to the queues and topics of one account. It is safe for concurrent
// use.
type Chain struct {
	o      Options
	queues *sqs.Client
	topics *sns.Client
}

var _ chain.Publisher = (*Chain)(nil)

// Open makes the clients; credentials come from the AWS default chain. Nothing is
// asked: the first message tells.
func Open(ctx context.Context, o Options) (*Chain, error) {
	cfg, err := config.LoadDefaultConfig(ctx, config.WithRegion(o.Region))
	if err != nil {
		return nil, fault.New(fault.Invalid, "chain: the configuration of AWS: %w", err)
	}
	return &Chain{o, sqs.NewFromConfig(cfg), sns.NewFromConfig(cfg)}, nil
}

// Close ends nothing: the clients hold no goroutines.
func (c *Chain) Close() error { return nil }

// Publish returns once Amazon has stored the message.
func (c *Chain) Publish(ctx context.Context, m chain.Message) error {
	body := string(chain.Push(m))
	var err error
	if m.Topic == chain.TopicSlices {
		err = c.send(ctx, m, body)
	} else {
		_, err = c.topics.Publish(ctx, &sns.PublishInput{Message: &body, MessageAttributes: snsAttributes(m.Attributes),
			TopicArn: aws.String("arn:aws:sns:" + c.o.Region + ":" + c.o.Account + ":" + m.Topic)})
	}
	if err != nil {
		return fmt.Errorf("publish to %s: %w", m.Topic, err)
	}
	return nil
}

func (c *Chain) send(ctx context.Context, m chain.Message, body string) error {
	function := m.Attributes["function"]
	if function == "" {
		return fault.New(fault.Invalid, "message for %s names no function, whose queue it would go to", m.Topic)
	}
	attributes := map[string]types.MessageAttributeValue{}
	for k, v := range m.Attributes {
		attributes[k] = types.MessageAttributeValue{DataType: aws.String("String"), StringValue: aws.String(v)}
	}
	_, err := c.queues.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: aws.String("https://sqs." + c.o.Region + ".amazonaws.com/" + c.o.Account + "/" + m.Topic + "-" + function),
		MessageBody: &body, MessageAttributes: attributes, DelaySeconds: delay(m.NotBefore)})
	return err
}

// delay is in seconds, rounded up. What is due later than SQS can wait comes early;
// handlers bear that.
func delay(notBefore time.Time) int32 {
	d := min(time.Until(notBefore), delayMax)
	return int32((max(d, 0) + time.Second - 1) / time.Second)
}

func snsAttributes(m map[string]string) map[string]snstypes.MessageAttributeValue {
	out := map[string]snstypes.MessageAttributeValue{}
	for k, v := range m {
		out[k] = snstypes.MessageAttributeValue{DataType: aws.String("String"), StringValue: aws.String(v)}
	}
	return out
}
