// Package buckettest starts servers that speak as Google Cloud Storage and Amazon S3
// do, in this process, on the loopback, each with one empty bucket and with faults in
// front of it (resttest).
//
// They are fake-gcs-server and gofakes3. Both are plain dependencies of this module
// although only tests need them: in a module of their own, go test ./... would pass
// them by, and what ships links neither.
//
// Known differences from the services: they check no credentials and know no rights,
// they announce no arrivals, and S3's looks at If-None-Match only for an object that
// is sent in one request, not when pieces become one. An upload of pieces that is
// never ended stays in memory.
package buckettest

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/fsouza/fake-gcs-server/fakestorage"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/millrace-data/millrace/shared/rest/resttest"
)

// Bucket is the name of the bucket that each server has.
const Bucket = "stage"

// GCS starts a Google Cloud Storage, for the length of a test. Its address is an
// endpoint as the driver takes it.
func GCS(t testing.TB, faults ...resttest.Fault) (endpoint string, f *resttest.Faults) {
	t.Helper()
	var srv *fakestorage.Server
	f = resttest.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { srv.HTTPHandler().ServeHTTP(w, r) }), faults...)
	endpoint = serve(t, f)
	srv, err := fakestorage.NewServerWithOptions(fakestorage.Options{NoListener: true, ExternalURL: endpoint}) // where an upload goes on
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Stop)
	srv.CreateBucketWithOpts(fakestorage.CreateBucketOpts{Name: Bucket})
	return endpoint, f
}

// S3 starts an Amazon S3, for the length of a test. Its address is an endpoint as the
// driver takes it.
func S3(t testing.TB, faults ...resttest.Fault) (endpoint string, f *resttest.Faults) {
	t.Helper()
	backend := s3mem.New()
	if err := backend.CreateBucket(Bucket); err != nil {
		t.Fatal(err)
	}
	f = resttest.Wrap(gofakes3.New(backend).Server(), faults...)
	return serve(t, f), f
}

func serve(t testing.TB, h http.Handler) string {
	srv := httptest.NewServer(h)
	t.Cleanup(func() {
		srv.Close()
		http.DefaultTransport.(*http.Transport).CloseIdleConnections() // the clients' sides, for tests that count goroutines
	})
	return srv.URL
}
