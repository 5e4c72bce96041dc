package aws

import (
	"context"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/millrace-data/millrace/shared/chain"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/platform"
)

const (
	first  = 10 * time.Second // before the second delivery of a message that must come again, doubled for each one more
	most   = 10 * time.Minute // between deliveries
	asking = 5 * time.Second  // for the one request
)

// sooner has a failed message come again after a while that fits why it failed. A
// queue that starts a function hides its messages for six times the function's
// timeout, most of an hour, which is right for a function that died and too long for
// a warehouse that was away for a moment. Where it cannot be said, it is that long.
func (h *Handler) sooner(ctx context.Context, d chain.Delivery, a platform.Answer) {
	queue, err := arn.Parse(d.Queue)
	if err != nil || d.Handle == "" {
		return
	}
	wait := first << min(max(d.Tries-1, 0), 6)
	if until, ok := fault.Until(a.Err); ok {
		wait = max(wait, time.Until(until))
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), asking)
	defer cancel()
	client, err := h.queues(ctx)
	if err == nil {
		domain := "amazonaws.com"
		if strings.HasPrefix(queue.Partition, "aws-cn") {
			domain += ".cn"
		}
		url := "https://sqs." + queue.Region + "." + domain + "/" + queue.AccountID + "/" + queue.Resource
		_, err = client.ChangeMessageVisibility(ctx, &sqs.ChangeMessageVisibilityInput{QueueUrl: &url, ReceiptHandle: &d.Handle, VisibilityTimeout: int32(min(wait, most).Seconds())})
	}
	if err != nil {
		h.node().Log().WarnContext(ctx, "message comes again only when the queue shows it", "function", h.node().Name(), "queue", queue.Resource, "error", err)
	}
}

func (h *Handler) queues(ctx context.Context) (*sqs.Client, error) {
	if h.Queues == nil { // Lambda runs one invocation at a time
		cfg, err := config.LoadDefaultConfig(ctx)
		if err != nil {
			return nil, err
		}
		h.Queues = sqs.NewFromConfig(cfg)
	}
	return h.Queues, nil
}
