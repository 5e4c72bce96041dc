// Package aws runs a function on AWS Lambda.
//
// One handler takes whatever AWS delivers: the input of EventBridge Scheduler, a
// batch of an SQS queue, a notification of S3 or SNS, an event of EventBridge, a
// request to a function URL. The answer says what comes again: of a batch the items
// that are named (ReportBatchItemFailures must be on), of a request by its status, and
// of anything else the whole by an error. A failure that is recorded is done with.
//
// The deadline is Lambda's. A request to a function URL without IAM is answered only
// with a token of Google's, for those who have Pub/Sub push to it.
package aws

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"sync"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/millrace-data/millrace/shared/chain"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/platform"
)

// Start serves a function until Lambda ends the process. Of the options, what the
// cloud has is set where nobody did.
func Start(function string, o platform.Options) {
	o.Function = function
	if o.Log == nil {
		o.Log = platform.Log(os.Stdout)
	}
	if o.Secrets == nil {
		o.Secrets = &Secrets{}
	}
	if o.Instance == "" {
		o.Instance = lambdacontext.LogStreamName
	}
	lambda.Start(&Handler{Options: o})
}

// Handler is the function.
type Handler struct {
	Options platform.Options
	Tokens  *Tokens     // that open a function URL; nil = those that the environment names
	Queues  *sqs.Client // of the queues that events come from; nil = the environment's, at the first failure

	once sync.Once
	n    *platform.Node
}

func (h *Handler) node() *platform.Node {
	h.once.Do(func() {
		h.n = platform.New(h.Options)
		if h.Tokens == nil {
			h.Tokens = &Tokens{Audience: os.Getenv("MILLRACE_PUSH_AUDIENCE"), Account: os.Getenv("MILLRACE_PUSH_ACCOUNT")}
		}
	})
	return h.n
}

var _ lambda.Handler = (*Handler)(nil)

// Invoke implements lambda.Handler.
func (h *Handler) Invoke(ctx context.Context, event []byte) ([]byte, error) {
	ctx = platform.Attrs(ctx, trace(ctx)...)
	n := h.node()
	if header, d, ok := chain.SplitURL(event); ok {
		return json.Marshal(h.request(ctx, event, header, d))
	}
	deliveries := chain.Split(event)
	if deliveries[0].Batch != "" {
		return json.Marshal(h.batch(ctx, deliveries))
	}
	var answers []platform.Answer
	for _, d := range deliveries {
		a := n.Handle(ctx, d)
		if a.Again { // the records before are done, which the next try finds out
			return nil, fmt.Errorf("%s: the event must come again: %s", n.Name(), fault.Of(a.Err)) // why is in the log
		}
		answers = append(answers, a)
	}
	return json.Marshal(answers)
}

// batch names the messages that must come again. Of a FIFO queue nothing is handled
// after one that failed, so that the order stays; nor when the time is over.
func (h *Handler) batch(ctx context.Context, deliveries []chain.Delivery) events.SQSEventResponse {
	n, out := h.node(), events.SQSEventResponse{BatchItemFailures: []events.SQSBatchItemFailure{}}
	stop := false
	for _, d := range deliveries {
		if !stop && ctx.Err() == nil {
			a := n.Handle(ctx, d)
			if !a.Again {
				continue
			}
			stop = d.Group != ""
			h.sooner(ctx, d, a)
		}
		out.BatchItemFailures = append(out.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: d.Batch})
	}
	return out
}

// trace is the fields by which CloudWatch and X-Ray find the lines of one invocation.
func trace(ctx context.Context) (fields []slog.Attr) {
	if lc, ok := lambdacontext.FromContext(ctx); ok {
		fields = append(fields, slog.String("requestId", lc.AwsRequestID))
	}
	if id, ok := ctx.Value("x-amzn-trace-id").(string); ok && id != "" { // so spelled by the library
		fields = append(fields, slog.String("xrayTraceId", id))
	}
	return fields
}
