package platform

import (
	"context"
	"fmt"

	"cloud.google.com/go/auth/credentials"
	"cloud.google.com/go/pubsub/v2"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"google.golang.org/api/option"

	pubsubchain "github.com/millrace-data/millrace/shared/chain/pubsub"
	sqschain "github.com/millrace-data/millrace/shared/chain/sqs"
	"github.com/millrace-data/millrace/shared/fault"
)

// googleCredentials is a variable with a credential file's contents, for functions
// that do not run at Google. One for workload identity federation holds no secret:
// the function's own AWS role signs the request that Google checks.
const googleCredentials = "MILLRACE_GOOGLE_CREDENTIALS"

// GoogleOptions are what clients of Google's services are made with, away from
// Google: the credentials of MILLRACE_GOOGLE_CREDENTIALS, where it is set. Else the
// default ones are used.
func GoogleOptions(lookup func(string) (string, bool)) ([]option.ClientOption, error) {
	text, _ := lookup(googleCredentials)
	if text == "" {
		return nil, nil
	}
	creds, err := credentials.DetectDefault(&credentials.DetectOptions{
		CredentialsJSON: []byte(text), Scopes: []string{"https://www.googleapis.com/auth/cloud-platform"}})
	if err != nil {
		return nil, fault.New(fault.Invalid, "%s is no credential file of Google's: take output aws_credential_file of infra/gcp", googleCredentials) // the cause may quote it
	}
	return []option.ClientOption{option.WithAuthCredentials(creds)}, nil
}

func openPubSub(ctx context.Context, p Place) (Publisher, error) {
	if p.Rest == "" {
		return Publisher{}, fault.New(fault.Invalid, "MILLRACE_CHAIN names no project: want pubsub:PROJECT")
	}
	options, err := GoogleOptions(p.Lookup)
	if err != nil {
		return Publisher{}, err
	}
	client, err := pubsub.NewClient(ctx, p.Rest, options...)
	if err != nil {
		return Publisher{}, fault.New(fault.Auth, "Pub/Sub of project %s: %w; run as a service account, or set %s", p.Rest, err, googleCredentials)
	}
	c := pubsubchain.New(client)
	return Publisher{c, func() error { c.Close(); return client.Close() }}, nil
}

func openSNS(ctx context.Context, p Place) (Publisher, error) {
	topics, err := sqschain.ParseTopics(p.Rest)
	if err != nil {
		return Publisher{}, fmt.Errorf("MILLRACE_CHAIN: %w", err)
	}
	cfg, err := config.LoadDefaultConfig(ctx, config.WithRegion(topics.Region()))
	if err != nil {
		return Publisher{}, fault.New(fault.Invalid, "MILLRACE_CHAIN: the configuration of AWS: %w", err)
	}
	return Publisher{sqschain.NewPublisher(sns.NewFromConfig(cfg), topics), nil}, nil
}
