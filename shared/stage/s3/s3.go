// Package s3 is the stage driver for a bucket of Amazon S3.
//
// Credentials come from the AWS default chain: the function's role, which needs to
// get, put, list and delete objects, and to abort uploads. An object appears when its
// upload ends. A manifest is created under the condition that there is none
// (If-None-Match: *). A process that is killed may leave pieces of an upload, which
// nobody sees and a lifecycle rule removes: infra/aws has one.
//
// An open writer costs more memory than its pieces of 5 MiB: Amazon's client collects
// the first 16 MiB of an object before it sends any, and sends a smaller one at once.
package s3

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/url"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	"gocloud.dev/blob"
	"gocloud.dev/blob/s3blob"

	"github.com/millrace-data/millrace/shared/fault"
)

// Options is how a bucket is reached. The zero value is Amazon's own service in the
// region of the environment.
type Options struct {
	Region   string // "" = AWS_REGION, as a function has it
	Endpoint string // http://127.0.0.1:PORT of a server on this machine, for tests: it gets no credentials that are worth anything
}

const (
	attempts    = 6           // of one request; the pauses between them are the client's, up to 20 s each
	localRegion = "us-east-1" // what a server on this machine is in, where nobody says
)

// Open opens a bucket, which the caller closes. That it exists is not looked at: the
// first read or write tells. That there are credentials is.
func Open(ctx context.Context, bucket string, o Options) (*blob.Bucket, error) {
	load := []func(*config.LoadOptions) error{config.WithRetryMaxAttempts(attempts)}
	if o.Endpoint != "" {
		if !loopback(o.Endpoint) {
			return nil, fault.New(fault.Invalid, "stage s3://%s: an endpoint of one's own must be http:// and a loopback address", bucket)
		}
		load = append(load, config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider("test", "test", "")))
		o.Region = cmp.Or(o.Region, localRegion)
	}
	if o.Region != "" {
		load = append(load, config.WithRegion(o.Region))
	}
	cfg, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return nil, fault.New(fault.Invalid, "stage s3://%s: the configuration of AWS: %w", bucket, err)
	}
	if cfg.Region == "" {
		return nil, fault.New(fault.Invalid, "stage s3://%s: no region; set AWS_REGION, or add ?region= to MILLRACE_STAGE", bucket)
	}
	if _, err := cfg.Credentials.Retrieve(ctx); err != nil { // kept for the first request
		return nil, fault.New(fault.Auth, "stage s3://%s: no AWS credentials were found; give the function a role, or log in with the aws tool: %w", bucket, err)
	}
	client := s3.NewFromConfig(cfg, func(c *s3.Options) {
		c.APIOptions = append(c.APIOptions, takeBack)
		if o.Endpoint != "" {
			c.BaseEndpoint = aws.String(o.Endpoint)
		}
		c.UsePathStyle = c.BaseEndpoint != nil // also one of AWS_ENDPOINT_URL: only Amazon has a host for each bucket
	})
	return s3blob.OpenBucket(ctx, client, bucket, &s3blob.Options{RequestChecksumCalculation: cfg.RequestChecksumCalculation})
}

func loopback(endpoint string) bool {
	u, err := url.Parse(endpoint)
	return err == nil && u.Scheme == "http" && u.User == nil &&
		(u.Hostname() == "localhost" || net.ParseIP(u.Hostname()).IsLoopback())
}

// The codes of S3 that no retry changes.
var (
	denied = []string{"AccessDenied", "AllAccessDisabled", "AccountProblem", "ExpiredToken", "Forbidden", "InvalidAccessKeyId",
		"InvalidToken", "NotSignedUp", "SignatureDoesNotMatch", "TokenRefreshRequired"}
	elsewhere = []string{"AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "InvalidBucketName", "NoSuchBucket", "PermanentRedirect"}
)

// Kind tells what an error of the bucket means where its code does not: the driver
// takes expired credentials, or a bucket of another region, for something that may
// pass. It is for stage.Options.
func Kind(err error) error {
	var answer smithy.APIError
	switch {
	case !errors.As(err, &answer):
		return nil
	case slices.Contains(denied, answer.ErrorCode()):
		return fault.Auth
	case slices.Contains(elsewhere, answer.ErrorCode()):
		return fault.Invalid
	}
	return nil
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
