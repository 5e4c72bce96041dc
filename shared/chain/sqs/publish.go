// Package sqs is the chain on Amazon SNS and SQS, for those who have no Google
// project: messages are published to SNS topics, and queues that follow the topics
// deliver them.
//
// A queue starts a Lambda function as an event (chain.Split), or is pulled by
// [Queue.Receive]. The message's own fields travel as attributes, so that filters of
// subscriptions work on them, and the decoder of package chain knows a message by
// them, in SNS's envelope or delivered raw.
//
// Standard topics keep no order; keyed messages are ordered only where the topics
// are FIFO ones (see [ParseTopics]). It owns no topics and no queues: infra does.
package sqs

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sns/types"
	"github.com/aws/smithy-go"

	"github.com/millrace-data/millrace/shared/chain"
	"github.com/millrace-data/millrace/shared/fault"
)

// dataMax is what SNS and SQS take of one message, attributes included.
const dataMax = 256 << 10 // bytes; the figure of all documents found, AWS may take more by now

// Publisher publishes to SNS. It is safe for concurrent use.
type Publisher struct {
	client *sns.Client
	topics Topics
}

var _ chain.Publisher = (*Publisher)(nil)

// NewPublisher publishes with client to topics.
func NewPublisher(client *sns.Client, topics Topics) *Publisher { return &Publisher{client, topics} }

// Close ends nothing: the client holds no goroutines.
func (p *Publisher) Close() error { return nil }

// Publish implements chain.Publisher. Attributes without a value are left out: SNS
// refuses them. NotBefore is carried, and honoured by who delivers.
func (p *Publisher) Publish(ctx context.Context, m chain.Message) error {
	arn, ordered := p.topics.arn(m.Topic, m.Key)
	body, encoding := written(m.Data)
	values := map[string]string{chain.AttributeTopic: m.Topic, chain.AttributeKey: m.Key, chain.AttributeEncoding: encoding}
	if !m.NotBefore.IsZero() {
		values[chain.AttributeNotBefore] = m.NotBefore.UTC().Format(time.RFC3339Nano)
	}
	for k, v := range m.Attributes {
		values[k] = v
	}
	in := &sns.PublishInput{TopicArn: &arn, Message: &body, MessageAttributes: map[string]types.MessageAttributeValue{}}
	size := len(body)
	for k, v := range values {
		if v != "" {
			in.MessageAttributes[k] = types.MessageAttributeValue{DataType: aws.String("String"), StringValue: aws.String(v)}
			size += len(k) + len(v)
		}
	}
	if size > dataMax {
		return fault.New(fault.Invalid, "publish to topic %s: the message has %d bytes, SNS takes %d: publish a reference", m.Topic, size, dataMax)
	}
	if ordered {
		in.MessageGroupId = &m.Key
		// One per call, not of the contents: two commits may say the same, and
		// the client's own retries send the same again.
		in.MessageDeduplicationId = aws.String(rand.Text())
	}
	if _, err := p.client.Publish(ctx, in); err != nil {
		return kind(fmt.Errorf("publish to topic %s: %w", m.Topic, err))
	}
	return nil
}

// written is data as the text that SNS takes: neither empty nor binary.
func written(data []byte) (text, encoding string) {
	if len(data) == 0 {
		return " ", "base64"
	}
	plain := utf8.Valid(data)
	for _, b := range data {
		plain = plain && (b >= ' ' || b == '\t' || b == '\n')
	}
	if plain && string(data) != " " {
		return string(data), ""
	}
	return base64.StdEncoding.EncodeToString(data), "base64"
}

// kind says what an error of Amazon's means to us.
func kind(err error) error {
	var answer smithy.APIError
	if !errors.As(err, &answer) {
		return fault.Wrap(fault.Transient, err)
	}
	switch answer.ErrorCode() {
	case "AccessDenied", "AccessDeniedException", "AuthorizationError", "AuthorizationErrorException", "InvalidClientTokenId", "UnrecognizedClientException",
		"SignatureDoesNotMatch", "ExpiredToken", "ExpiredTokenException", "InvalidSecurity", "KMSAccessDenied":
		return fault.New(fault.Auth, "%w: check the function's role", err)
	case "NotFound", "NotFoundException", "AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist":
		return fault.New(fault.Invalid, "%w: create it, see infra/aws", err)
	case "InvalidParameter", "InvalidParameterException", "ParameterValueInvalid", "InvalidParameterValue", "InvalidMessageContents", "ValidationError":
		return fault.New(fault.Invalid, "%w", err)
	case "Throttled", "ThrottledException", "Throttling", "ThrottlingException", "RequestThrottled", "OverLimit":
		return fault.New(fault.Limited, "%w", err)
	}
	return fault.Wrap(fault.Transient, err)
}
