// Package s3 is the stage driver for a bucket of Amazon S3.
//
// Credentials come from the AWS default chain: the function's role, which needs to
// get, put, list and delete objects, and to abort uploads. An object appears when its
// upload ends. A process that is killed may leave pieces of an upload, which nobody
// sees and a lifecycle rule removes: infra/aws has one.
package s3

import (
	"context"
	"net"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/middleware"
	"gocloud.dev/blob"
	"gocloud.dev/blob/s3blob"

	"github.com/millrace-data/millrace/shared/fault"
)

// Options is how a bucket is reached. The zero value is Amazon's own service in the
// region of the environment.
type Options struct {
	Region   string // "" = AWS_REGION, as a function has it
	Endpoint string // of a server on this machine, for tests: it gets no credentials that are worth anything
}

// Open opens a bucket, which the caller closes. That it exists is not looked at: the
// first read or write tells.
func Open(ctx context.Context, bucket string, o Options) (*blob.Bucket, error) {
	var load []func(*config.LoadOptions) error
	if o.Region != "" {
		load = append(load, config.WithRegion(o.Region))
	}
	if o.Endpoint != "" {
		u, err := url.Parse(o.Endpoint)
		if err != nil || net.ParseIP(u.Hostname()) == nil || !net.ParseIP(u.Hostname()).IsLoopback() {
			return nil, fault.New(fault.Invalid, "stage s3://%s: an endpoint of one's own must be a loopback address", bucket)
		}
		load = append(load, config.WithRegion("us-east-1"), config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider("test", "test", "")))
	}
	cfg, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return nil, fault.New(fault.Invalid, "stage s3://%s: the configuration of AWS: %w", bucket, err)
	}
	if cfg.Region == "" {
		return nil, fault.New(fault.Invalid, "stage s3://%s: no region; set AWS_REGION", bucket)
	}
	client := s3.NewFromConfig(cfg, func(c *s3.Options) {
		c.APIOptions = append(c.APIOptions, takeBack)
		if o.Endpoint != "" {
			c.BaseEndpoint, c.UsePathStyle = aws.String(o.Endpoint), true
		}
	})
	return s3blob.OpenBucket(ctx, client, bucket, nil)
}

// takeBack lets an upload be aborted although its context has ended: that it ended is
// why it is aborted, and pieces that stay cost money.
func takeBack(stack *middleware.Stack) error {
	const wait = 10 * time.Second
	return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("TakeBack",
		func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
			if _, ok := in.Parameters.(*s3.AbortMultipartUploadInput); ok {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), wait)
				defer cancel()
			}
			return next.HandleInitialize(ctx, in)
		}), middleware.Before)
}
