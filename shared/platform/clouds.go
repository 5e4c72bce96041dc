package platform

import (
	"context"
	"net/url"
	"strings"

	"cloud.google.com/go/storage"
	"github.com/aws/aws-sdk-go-v2/aws"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3"
	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"strconv"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/stage/gcs"
	"github.com/millrace-data/millrace/shared/stage/s3"
	"github.com/millrace-data/millrace/shared/warehouse"
	"github.com/millrace-data/millrace/shared/warehouse/snowflake"
)

// Clouds are the drivers of a deployed function, on either cloud: an arrival in S3
// may well be loaded into the same Snowflake and announced on Google's Pub/Sub.
//
//	MILLRACE_WAREHOUSE  snowflake:USER@ACCOUNT/DATABASE?… (see snowflake.Parse)
//	MILLRACE_STAGE      gs://BUCKET[/FOLDER] · s3://BUCKET[/FOLDER][?region=REGION]
//	MILLRACE_CHAIN      pubsub:PROJECT · sns:arn:aws:sns:REGION:ACCOUNT
func Clouds() Drivers {
	return Drivers{
		Warehouse: map[string]func(context.Context, Place) (*warehouse.Warehouse, error){"snowflake": openSnowflake},
		Stage:     map[string]func(context.Context, Place) (Bucket, error){"gs": openGCS, "s3": openS3},
		Chain:     map[string]func(context.Context, Place) (Publisher, error){"pubsub": openPubSub, "sns": openSNS},
	}
}

func openSnowflake(ctx context.Context, p Place) (*warehouse.Warehouse, error) {
	return snowflake.Open(ctx, snowflake.Options{DSN: p.Rest, Lookup: p.Lookup, Tag: map[string]string{"function": p.Function}})
}

// bucketURL takes a stage's place apart. The folder gets a slash at its end.
func bucketURL(p Place) (name, folder string, query url.Values, err error) {
	u, err := url.Parse(p.URL)
	if err != nil || u.Host == "" || u.User != nil || u.Port() != "" || u.Fragment != "" {
		return "", "", nil, fault.New(fault.Invalid, "MILLRACE_STAGE is not of the form SCHEME://BUCKET or SCHEME://BUCKET/FOLDER")
	}
	if folder = strings.Trim(u.Path, "/"); folder != "" {
		folder += "/"
	}
	return u.Host, folder, u.Query(), nil
}

func openGCS(ctx context.Context, p Place) (Bucket, error) {
	name, folder, query, err := bucketURL(p)
	if err != nil {
		return Bucket{}, err
	}
	b, err := gcs.Open(ctx, name, gcs.Options{Endpoint: query.Get("endpoint")})
	return Bucket{Blob: b, Name: name, Prefix: folder, Kind: gcs.Kind, Generation: generation(b, func(a *blob.Attributes) string {
		var o storage.ObjectAttrs
		if !a.As(&o) {
			return ""
		}
		return strconv.FormatInt(o.Generation, 10)
	})}, err
}

func openS3(ctx context.Context, p Place) (Bucket, error) {
	name, folder, query, err := bucketURL(p)
	if err != nil {
		return Bucket{}, err
	}
	b, err := s3.Open(ctx, name, s3.Options{Region: query.Get("region"), Endpoint: query.Get("endpoint")})
	return Bucket{Blob: b, Name: name, Prefix: folder, Kind: s3.Kind, Generation: generation(b, func(a *blob.Attributes) string {
		var o s3types.HeadObjectOutput
		if !a.As(&o) {
			return ""
		}
		return aws.ToString(o.VersionId)
	})}, err
}

// generation asks a bucket for the attributes of an object, and of them for the one
// that counts.
func generation(b *blob.Bucket, of func(*blob.Attributes) string) func(context.Context, string) (string, error) {
	return func(ctx context.Context, object string) (string, error) {
		a, err := b.Attributes(ctx, object)
		if gcerrors.Code(err) == gcerrors.NotFound {
			return "", fault.New(fault.NotFound, "object %s is gone: %w", object, err)
		}
		if err != nil {
			return "", err
		}
		return of(a), nil
	}
}
