package platform

import (
	"context"
	"strconv"

	"cloud.google.com/go/storage"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"github.com/millrace-data/millrace/shared/fault"
)

// generation asks a bucket which generation or version an object has now: "" where
// none is counted, fault.NotFound where there is no object. It is nil for a folder.
func generation(b *blob.Bucket, scheme string) func(ctx context.Context, object string) (string, error) {
	of := map[string]func(*blob.Attributes) string{"gs": gcsGeneration, "s3": s3Version}[scheme]
	if of == nil {
		return nil
	}
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

func gcsGeneration(a *blob.Attributes) string {
	var o storage.ObjectAttrs
	if !a.As(&o) || o.Generation == 0 {
		return ""
	}
	return strconv.FormatInt(o.Generation, 10)
}

func s3Version(a *blob.Attributes) string {
	var o s3.HeadObjectOutput
	if !a.As(&o) {
		return ""
	}
	return aws.ToString(o.VersionId)
}
