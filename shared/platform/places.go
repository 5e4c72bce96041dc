package platform

import (
	"context"
	"net/url"
	"path/filepath"
	"strings"

	gcppubsub "cloud.google.com/go/pubsub/v2"
	"gocloud.dev/blob"
	"gocloud.dev/blob/fileblob"

	"github.com/millrace-data/millrace/shared/chain/pubsub"
	"github.com/millrace-data/millrace/shared/chain/sqs"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/stage/gcs"
	"github.com/millrace-data/millrace/shared/stage/s3"
)

// OpenStage opens the bucket that MILLRACE_STAGE names: gs://BUCKET, s3://BUCKET or
// file:///FOLDER. s3 takes ?region=, and both take ?endpoint= of a server on this
// machine. name is the bucket's, as events carry it.
func OpenStage(ctx context.Context, place string) (b *blob.Bucket, name string, err error) {
	u, err := url.Parse(place)
	if err != nil {
		return nil, "", badStage(place)
	}
	q := u.Query()
	switch {
	case u.Scheme == "file" && u.Host == "" && u.Path != "":
		b, err = fileblob.OpenBucket(filepath.FromSlash(u.Path), &fileblob.Options{CreateDir: true, NoTempDir: true, Metadata: fileblob.MetadataDontWrite})
	case u.Host == "" || strings.Trim(u.Path, "/") != "":
		return nil, "", badStage(place)
	case u.Scheme == "gs":
		b, err = gcs.Open(ctx, u.Host, gcs.Options{Endpoint: q.Get("endpoint")})
	case u.Scheme == "s3":
		b, err = s3.Open(ctx, u.Host, s3.Options{Region: q.Get("region"), Endpoint: q.Get("endpoint")})
	default:
		return nil, "", badStage(place)
	}
	return b, u.Host, err
}

func badStage(place string) error {
	return fault.New(fault.Invalid, "MILLRACE_STAGE is %s, want gs://BUCKET, s3://BUCKET or file:///FOLDER; a bucket is the stage's own, without a folder in it", scheme(place))
}

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
