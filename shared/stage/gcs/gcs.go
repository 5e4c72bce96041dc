// Package gcs is the stage driver for a bucket of Google Cloud Storage.
//
// Credentials are Application Default Credentials: the function's service account,
// which needs to read, write, list and delete objects there. An object appears when
// its upload ends; one that is given up never does, and Google drops its pieces. A
// manifest is created under the condition that there is none (ifGenerationMatch=0).
//
// Every call is tried again after an answer that may pass, also an upload: parts
// lie in a folder that one worker writes, so that the same bytes written twice are
// the same object.
package gcs

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"cloud.google.com/go/storage"
	"github.com/googleapis/gax-go/v2"
	"gocloud.dev/blob"
	"gocloud.dev/blob/gcsblob"
	"gocloud.dev/gcp"
	"golang.org/x/oauth2"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/option"

	"github.com/millrace-data/millrace/shared/fault"
)

// Options is how a bucket is reached. The zero value is Google's own service.
type Options struct {
	Endpoint string // http://127.0.0.1:PORT of a server on this machine, for tests: it gets no credentials; "" = STORAGE_EMULATOR_HOST, or Google
}

// The default of Google's client is to try for as long as the context lives, and to
// leave uploads alone.
const (
	attempts  = 7 // of one request; the pauses between them come to 16 s at most
	pauseMin  = 250 * time.Millisecond
	pauseMax  = 16 * time.Second
	pauseMore = 2
)

// Open opens a bucket, which the caller closes. That it exists is not looked at: the
// first read or write tells.
func Open(ctx context.Context, bucket string, o Options) (*blob.Bucket, error) {
	client, options, err := connect(ctx, bucket, o)
	if err != nil {
		return nil, err
	}
	b, err := gcsblob.OpenBucket(ctx, client, bucket, options)
	if err != nil {
		return nil, fault.New(fault.Invalid, "stage gs://%s: %w", bucket, err)
	}
	var c *storage.Client
	if !b.As(&c) {
		return nil, errors.Join(errors.New("gcsblob gives its client no more"), b.Close())
	}
	c.SetRetry(storage.WithPolicy(storage.RetryAlways), storage.WithErrorFunc(passes), storage.WithMaxAttempts(attempts),
		storage.WithBackoff(gax.Backoff{Initial: pauseMin, Max: pauseMax, Multiplier: pauseMore}))
	return b, nil
}

func connect(ctx context.Context, bucket string, o Options) (*gcp.HTTPClient, *gcsblob.Options, error) {
	if endpoint := cmp.Or(o.Endpoint, emulator()); endpoint != "" {
		if !loopback(endpoint) {
			return nil, nil, fault.New(fault.Invalid, "stage gs://%s: an endpoint of one's own must be http:// and a loopback address: rows would go there without credentials", bucket)
		}
		return gcp.NewAnonymousHTTPClient(http.DefaultTransport), &gcsblob.Options{ClientOptions: []option.ClientOption{
			option.WithEndpoint(strings.TrimSuffix(endpoint, "/") + "/storage/v1/"), option.WithoutAuthentication(),
			storage.WithJSONReads()}}, nil // reads have another address, unless they are of the JSON API
	}
	creds, err := gcp.DefaultCredentials(ctx)
	if err != nil {
		return nil, nil, fault.New(fault.Auth, "stage gs://%s: no Google credentials were found; run as a service account, or: gcloud auth application-default login: %w", bucket, err)
	}
	client, err := gcp.NewHTTPClient(gcp.DefaultTransport(), gcp.CredentialsTokenSource(creds))
	return client, nil, err
}

// emulator is the server that Google's own clients would turn to.
func emulator() string {
	host := os.Getenv("STORAGE_EMULATOR_HOST")
	if host == "" || strings.Contains(host, "://") {
		return host
	}
	return "http://" + host
}

func loopback(endpoint string) bool {
	u, err := url.Parse(endpoint)
	return err == nil && u.Scheme == "http" && u.User == nil &&
		(u.Hostname() == "localhost" || net.ParseIP(u.Hostname()).IsLoopback())
}

// Kind tells what an error of the bucket means where its code does not: the driver
// says "not found" also where one may not look, and tokens have errors of their own.
// It is for stage.Options.
func Kind(err error) error {
	var answer *googleapi.Error
	var token *oauth2.RetrieveError
	switch {
	case errors.As(err, &token) && token.Response != nil && token.Response.StatusCode < http.StatusInternalServerError:
		return fault.Auth
	case errors.Is(err, storage.ErrBucketNotExist):
		return fault.Invalid
	case errors.As(err, &answer) && answer.Code == http.StatusUnauthorized,
		answer != nil && answer.Code == http.StatusForbidden && !limited(answer):
		return fault.Auth
	}
	return nil
}

// limited tells a 403 that says "too often", which passes, from one that says "no".
func limited(e *googleapi.Error) bool { return strings.Contains(e.Body, "ateLimitExceeded") }

// passes adds to what Google's client takes for passing: a connection that was closed
// before an answer.
func passes(err error) bool { return storage.ShouldRetry(err) || errors.Is(err, io.EOF) }
