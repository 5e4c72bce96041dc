// Package aws serves one function on AWS Lambda.
//
// Whatever invokes it arrives as one JSON document: EventBridge's tick, S3's
// notifications, queues of slices, a function URL. What the answer means depends on
// who asks: a batch of a queue is answered with the messages that should come again, a
// function URL with a status, and everybody else with an error when Lambda should try
// again. Events that can never be dealt with are kept, and count as dealt with.
//
// The deadline is Lambda's. A function that runs into it is killed, and what it has
// staged is gone on with by the next one.
package aws

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"sync"

	"log/slog"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/platform"
)

// Start serves a function until Lambda ends the process.
func Start(function string, o platform.Options) {
	o.Function = function
	if o.Log == nil {
		o.Log = platform.Log(os.Stdout)
	}
	if o.Environ == nil {
		o.Environ = os.Environ()
	}
	if o.Secrets == nil {
		o.Secrets = &Secrets{}
	}
	h := &Handler{Options: o}
	lambda.Start(h.Invoke)
}

// Handler is the function. It opens at its first event, and again at the next one
// where that failed.
type Handler struct {
	Options platform.Options

	mu sync.Mutex
	n  *platform.Node
}

func (h *Handler) node(ctx context.Context) (*platform.Node, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.n != nil {
		return h.n, nil
	}
	n, err := platform.Open(context.WithoutCancel(ctx), h.Options) // it outlives the invocation
	h.n = n
	return n, err
}

// Invoke deals with one invocation.
func (h *Handler) Invoke(ctx context.Context, event jsontext.Value) (any, error) {
	if c, ok := lambdacontext.FromContext(ctx); ok {
		ctx = platform.Attrs(ctx, slog.String("requestId", c.AwsRequestID), slog.String("xray", os.Getenv("_X_AMZN_TRACE_ID")))
	}
	var form struct {
		Records []struct {
			Source string `json:"eventSource"`
			ID     string `json:"messageId"`
			Body   string `json:"body"`
		} `json:"Records"`
		Request struct {
			HTTP struct {
				Method string `json:"method"`
			} `json:"http"`
		} `json:"requestContext"`
	}
	_ = json.Unmarshal(event, &form, jsontext.AllowDuplicateNames(true)) // what is none of these is looked at below
	switch {
	case len(form.Records) > 0 && form.Records[0].Source == "aws:sqs":
		var out events.SQSEventResponse
		for _, r := range form.Records {
			if err := h.handle(ctx, []byte(r.Body)); err != nil {
				out.BatchItemFailures = append(out.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: r.ID})
			}
		}
		return out, nil
	case form.Request.HTTP.Method != "":
		return h.answer(h.handle(ctx, event)), nil
	}
	if err := h.handle(ctx, event); err != nil {
		return nil, fmt.Errorf("not dealt with (%w): see the log", fault.Of(err)) // who may read this is not who may read logs
	}
	return nil, nil
}

func (h *Handler) handle(ctx context.Context, event []byte) error {
	n, err := h.node(ctx)
	if err == nil {
		err = n.Handle(ctx, event)
	}
	if err != nil {
		h.Options.Log.WarnContext(ctx, "event comes again", "function", h.Options.Function, "error", err)
	}
	return err
}

func (h *Handler) answer(err error) events.LambdaFunctionURLResponse {
	if err != nil {
		return events.LambdaFunctionURLResponse{StatusCode: http.StatusServiceUnavailable, Body: "not dealt with (" + fault.Of(err).Error() + "): ask again"}
	}
	return events.LambdaFunctionURLResponse{StatusCode: http.StatusOK, Body: "ok"}
}
