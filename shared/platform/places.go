package platform

import (
	"context"
	"strings"

	gcppubsub "cloud.google.com/go/pubsub/v2"

	"github.com/millrace-data/millrace/shared/chain/pubsub"
	"github.com/millrace-data/millrace/shared/chain/sqs"
	"github.com/millrace-data/millrace/shared/fault"
)

// OpenChain opens what MILLRACE_CHAIN names: pubsub:PROJECT or aws:REGION:ACCOUNT.
// Credentials are those of the platform; on AWS, Google's come from workload identity
// federation, as GOOGLE_APPLICATION_CREDENTIALS describes it.
func OpenChain(ctx context.Context, place string) (Chain, error) {
	kind, rest, _ := strings.Cut(place, ":")
	region, account, ok := strings.Cut(rest, ":")
	switch {
	case kind == "pubsub" && rest != "" && !ok:
		client, err := gcppubsub.NewClient(ctx, rest)
		if err != nil {
			return nil, fault.New(fault.Auth, "MILLRACE_CHAIN %s: %w", place, err)
		}
		return closing{pubsub.New(client), client}, nil
	case kind == "aws" && ok && region != "" && account != "":
		return sqs.Open(ctx, sqs.Options{Region: region, Account: account})
	}
	return nil, fault.New(fault.Invalid, "MILLRACE_CHAIN is %s, want pubsub:PROJECT or aws:REGION:ACCOUNT", scheme(place))
}

// closing closes the chain and then its client.
type closing struct {
	*pubsub.Chain
	client *gcppubsub.Client
}

// Close implements [Chain].
func (c closing) Close() error {
	c.Chain.Close()
	return c.client.Close()
}

// scheme is the part of a place that may be shown: a DSN can hold a password.
func scheme(place string) string {
	if s, _, ok := strings.Cut(place, ":"); ok {
		return s + ":…"
	}
	return "without a scheme"
}
