package sqs

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"golang.org/x/sync/errgroup"

	"github.com/millrace-data/millrace/shared/chain"
)

const (
	batch  = 10               // messages of one receive, the most there are
	poll   = 20               // seconds that a receive waits for one, the most there are
	hidden = 60               // seconds that a message stays hidden; renewed while it is handled
	renew  = 20 * time.Second // how often
	again  = 5                // seconds before the second delivery of a message that was not handled, doubled for each one more
	most   = 600              // seconds between deliveries
)

// Queue is a queue that follows topics, or a bucket. Whoever starts Lambda functions
// from it needs none of this: they are given its messages as events.
type Queue struct {
	client *sqs.Client
	url    string
}

// NewQueue receives with client from the queue at url.
func NewQueue(client *sqs.Client, url string) *Queue { return &Queue{client, url} }

// Receive hands the messages of the queue to handle, up to max at a time, until ctx
// ends; then it waits for the handlers and returns nil. A message whose handler
// returns nil is done, any other comes again, later each time, until the queue's
// own limit. What is in a message that cannot be read is for handle to record: it
// is in Err and Raw. Messages of one group of a FIFO queue are handled one after the
// other, and after one that failed none until it comes again.
func (q *Queue) Receive(ctx context.Context, max int, handle func(context.Context, chain.Delivery) error) error {
	for ctx.Err() == nil {
		out, err := q.client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: &q.url, MaxNumberOfMessages: int32(min(max, batch)),
			WaitTimeSeconds: poll, VisibilityTimeout: hidden, MessageAttributeNames: []string{"All"},
			MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameApproximateReceiveCount, types.MessageSystemAttributeNameMessageGroupId}})
		if ctx.Err() != nil {
			break
		}
		if err != nil {
			return kind(fmt.Errorf("receive from queue %s: %w", q.url, err))
		}
		work := errgroup.Group{}
		for _, line := range lines(out.Messages) {
			work.Go(func() error { return q.inOrder(ctx, line, handle) })
		}
		if err := work.Wait(); err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

// lines puts the messages of a group into one line, any other into its own.
func lines(messages []types.Message) (out [][]types.Message) {
	at := map[string]int{}
	for _, m := range messages {
		group := m.Attributes[string(types.MessageSystemAttributeNameMessageGroupId)]
		if i, ok := at[group]; ok && group != "" {
			out[i] = append(out[i], m)
			continue
		}
		at[group] = len(out)
		out = append(out, []types.Message{m})
	}
	return out
}

// inOrder handles messages one after the other. Those after one that failed are left
// to come again.
func (q *Queue) inOrder(ctx context.Context, messages []types.Message, handle func(context.Context, chain.Delivery) error) error {
	stop := q.hide(ctx, messages)
	defer stop()
	for i, m := range messages {
		d := delivery(m)
		if handle(ctx, d) == nil {
			_, err := q.client.DeleteMessage(context.WithoutCancel(ctx), &sqs.DeleteMessageInput{QueueUrl: &q.url, ReceiptHandle: m.ReceiptHandle})
			if err != nil { // it comes again, which handlers bear
				return kind(fmt.Errorf("delete message %s: %w", aws.ToString(m.MessageId), err))
			}
			continue
		}
		stop()
		for _, m := range messages[i:] {
			q.show(context.WithoutCancel(ctx), m, min(again<<min(max(d.Tries-1, 0), 8), most))
		}
		return nil
	}
	return nil
}

// hide keeps messages hidden until stop, which may be called twice.
func (q *Queue) hide(ctx context.Context, messages []types.Message) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		t := time.NewTicker(renew)
		defer t.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-t.C:
				for _, m := range messages {
					q.show(ctx, m, hidden)
				}
			}
		}
	}()
	return func() { cancel(); <-done }
}

// show has a message come again in so many seconds. Where it cannot be said, it
// comes when it is no longer hidden.
func (q *Queue) show(ctx context.Context, m types.Message, seconds int) {
	_, _ = q.client.ChangeMessageVisibility(ctx, &sqs.ChangeMessageVisibilityInput{QueueUrl: &q.url, ReceiptHandle: m.ReceiptHandle, VisibilityTimeout: int32(seconds)})
}

// delivery is a message in the form in which Lambda would give it, read by the one
// decoder.
func delivery(m types.Message) chain.Delivery {
	attributes := map[string]any{}
	for k, v := range m.MessageAttributes {
		attributes[k] = map[string]string{"stringValue": aws.ToString(v.StringValue), "dataType": aws.ToString(v.DataType)}
	}
	event, _ := json.Marshal(map[string]any{"Records": []any{map[string]any{ // of strings: it cannot fail
		"eventSource": "aws:sqs", "messageId": aws.ToString(m.MessageId), "body": aws.ToString(m.Body), "messageAttributes": attributes, "attributes": m.Attributes,
	}}})
	d := chain.Split(event)[0]
	d.Tries, _ = strconv.Atoi(m.Attributes[string(types.MessageSystemAttributeNameApproximateReceiveCount)])
	return d
}
