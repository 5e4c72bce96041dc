// Package gcs is the stage driver for a bucket of Google Cloud Storage.
//
// Credentials are Application Default Credentials: the function's service account,
// which needs to read, write, list and delete objects there. An object appears when
// its upload ends; one that is given up is never begun to be visible.
package gcs

import (
	"context"
	"net"
	"net/http"
	"net/url"

	"cloud.google.com/go/storage"
	"gocloud.dev/blob"
	"gocloud.dev/blob/gcsblob"
	"gocloud.dev/gcp"
	"google.golang.org/api/option"

	"github.com/millrace-data/millrace/shared/fault"
)

// Options is how a bucket is reached. The zero value is Google's own service.
type Options struct {
	Endpoint string // of a server on this machine, for tests: it gets no credentials
}

// Open opens a bucket, which the caller closes. That it exists is not looked at: the
// first read or write tells.
func Open(ctx context.Context, bucket string, o Options) (*blob.Bucket, error) {
	if o.Endpoint != "" {
		return local(ctx, bucket, o.Endpoint)
	}
	creds, err := gcp.DefaultCredentials(ctx)
	if err != nil {
		return nil, fault.New(fault.Auth, "stage gs://%s: no Google credentials were found; run as a service account, or: gcloud auth application-default login: %w", bucket, err)
	}
	client, err := gcp.NewHTTPClient(gcp.DefaultTransport(), gcp.CredentialsTokenSource(creds))
	if err != nil {
		return nil, err
	}
	return gcsblob.OpenBucket(ctx, client, bucket, nil)
}

func local(ctx context.Context, bucket, endpoint string) (*blob.Bucket, error) {
	u, err := url.Parse(endpoint)
	if err != nil || net.ParseIP(u.Hostname()) == nil || !net.ParseIP(u.Hostname()).IsLoopback() {
		return nil, fault.New(fault.Invalid, "stage gs://%s: an endpoint of one's own must be a loopback address: rows would go there without credentials", bucket)
	}
	client := gcp.NewAnonymousHTTPClient(http.DefaultTransport)
	return gcsblob.OpenBucket(ctx, client, bucket, &gcsblob.Options{ClientOptions: []option.ClientOption{
		option.WithEndpoint(endpoint + "/storage/v1/"), option.WithoutAuthentication(),
		storage.WithJSONReads()}}) // reads have another address, unless they are of the JSON API
}
