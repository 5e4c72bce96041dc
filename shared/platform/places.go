package platform

import (
	"context"
	"fmt"
	"strings"

	"cloud.google.com/go/auth"
	"cloud.google.com/go/auth/credentials"
	"cloud.google.com/go/pubsub/v2"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"google.golang.org/api/option"

	pubsubchain "github.com/millrace-data/millrace/shared/chain/pubsub"
	"github.com/millrace-data/millrace/shared/chain/sqs"
	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/warehouse"
	"github.com/millrace-data/millrace/shared/warehouse/snowflake"
)

// GoogleCredentials is a variable with a credential file's contents, for functions
// that do not run at Google. One of workload identity federation holds no secret: the
// function's own AWS role signs the request that Google checks.
const GoogleCredentials = "MILLRACE_GOOGLE_CREDENTIALS"

// OpenWarehouse opens what MILLRACE_WAREHOUSE names: snowflake:DSN (see
// snowflake.Parse). lookup is the environment that it refers to; function is written
// into the query history.
func OpenWarehouse(ctx context.Context, place, function string, lookup env.Lookup) (*warehouse.Warehouse, error) {
	dsn, ok := strings.CutPrefix(place, "snowflake:")
	if !ok {
		return nil, fault.New(fault.Invalid, "MILLRACE_WAREHOUSE is %s, want snowflake:USER@ACCOUNT/DATABASE?…", Scheme(place))
	}
	return snowflake.Open(ctx, snowflake.Options{DSN: dsn, Lookup: lookup, Tag: map[string]string{"function": function}})
}

func (n *Node) openWarehouse(ctx context.Context, place string, lookup env.Lookup) (*warehouse.Warehouse, error) {
	if n.o.Warehouse != nil {
		return n.o.Warehouse(ctx, place)
	}
	return OpenWarehouse(ctx, place, n.o.Function, lookup)
}

// OpenChain opens what MILLRACE_CHAIN names: pubsub:PROJECT, or
// sns:arn:aws:sns:REGION:ACCOUNT (see sqs.ParseTopics). Credentials are the
// platform's; away from Google, those of [GoogleCredentials] or of
// GOOGLE_APPLICATION_CREDENTIALS.
func OpenChain(ctx context.Context, place string, lookup env.Lookup) (Chain, error) {
	kind, rest, _ := strings.Cut(place, ":")
	switch {
	case kind == "pubsub" && rest != "":
		return openPubSub(ctx, rest, lookup)
	case kind == "sns":
		topics, err := sqs.ParseTopics(rest)
		if err != nil {
			return nil, fmt.Errorf("MILLRACE_CHAIN: %w", err)
		}
		cfg, err := config.LoadDefaultConfig(ctx, config.WithRegion(topics.Region()))
		if err != nil {
			return nil, fault.New(fault.Invalid, "MILLRACE_CHAIN: the configuration of AWS: %w", err)
		}
		return sqs.NewPublisher(sns.NewFromConfig(cfg), topics), nil
	}
	return nil, fault.New(fault.Invalid, "MILLRACE_CHAIN is %s, want pubsub:PROJECT or sns:arn:aws:sns:REGION:ACCOUNT", Scheme(place))
}

func (n *Node) openChain(ctx context.Context, place string, lookup env.Lookup) (Chain, error) {
	if n.o.Chain != nil {
		return n.o.Chain(ctx, place)
	}
	return OpenChain(ctx, place, lookup)
}

func openPubSub(ctx context.Context, project string, lookup env.Lookup) (Chain, error) {
	creds, err := GoogleIdentity(lookup)
	if err != nil {
		return nil, err
	}
	var options []option.ClientOption
	if creds != nil {
		options = append(options, option.WithAuthCredentials(creds))
	}
	client, err := pubsub.NewClient(ctx, project, options...)
	if err != nil {
		return nil, fault.New(fault.Auth, "Pub/Sub of project %s: %w; run as a service account, or set %s", project, err, GoogleCredentials)
	}
	return closing{pubsubchain.New(client), client}, nil
}

// GoogleIdentity is the identity of [GoogleCredentials]; nil where it is not set, and
// the default one is to be used.
func GoogleIdentity(lookup env.Lookup) (*auth.Credentials, error) {
	text, _ := lookup(GoogleCredentials)
	if text == "" {
		return nil, nil
	}
	creds, err := credentials.DetectDefault(&credentials.DetectOptions{
		CredentialsJSON: []byte(text), Scopes: []string{"https://www.googleapis.com/auth/cloud-platform"}})
	if err != nil { // which may quote it
		return nil, fault.New(fault.Invalid, "%s is no credential file of Google's: take output aws_credential_file of infra/gcp", GoogleCredentials)
	}
	return creds, nil
}

// closing closes the chain and then its client.
type closing struct {
	*pubsubchain.Chain
	client *pubsub.Client
}

// Close implements [Chain].
func (c closing) Close() error {
	c.Chain.Close()
	return c.client.Close()
}

// Scheme is the part of a place that may be shown: a DSN can hold a password.
func Scheme(place string) string {
	if s, _, ok := strings.Cut(place, ":"); ok {
		return s + ":…"
	}
	return "without a scheme"
}
