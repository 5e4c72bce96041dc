package gcs_test

import (
	"net/http/httptest"
	"testing"

	"github.com/fsouza/fake-gcs-server/fakestorage"

	"github.com/millrace-data/millrace/shared/rest/resttest"
	"github.com/millrace-data/millrace/shared/stage"
	"github.com/millrace-data/millrace/shared/stage/gcs"
	"github.com/millrace-data/millrace/shared/stage/stagetest"
)

const bucket = "stage"

func server(t *testing.T, o fakestorage.Options) *fakestorage.Server {
	srv, err := fakestorage.NewServerWithOptions(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Stop)
	srv.CreateBucketWithOpts(fakestorage.CreateBucketOpts{Name: bucket})
	return srv
}

func open(t *testing.T, endpoint string) *stage.Store {
	b, err := gcs.Open(t.Context(), bucket, gcs.Options{Endpoint: endpoint})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return stage.New(b, stage.Options{Name: bucket, Scratch: t.TempDir()})
}

func TestConformance(t *testing.T) {
	stagetest.Run(t, func(t *testing.T) *stage.Store {
		return open(t, server(t, fakestorage.Options{Scheme: "http", Host: "127.0.0.1"}).URL())
	})
}

func TestTransientFaults(t *testing.T) {
	for name, do := range map[string]resttest.Effect{"503": resttest.Status(503, ""), "a reset": resttest.Refuse()} {
		t.Run(name, func(t *testing.T) {
			f := resttest.Wrap(server(t, fakestorage.Options{NoListener: true}).HTTPHandler())
			srv := httptest.NewServer(f)
			t.Cleanup(srv.Close)
			s := open(t, srv.URL)
			if err := s.Put(t.Context(), "a/part.zst", []byte("rows")); err != nil {
				t.Fatal(err)
			}
			f.Inject(resttest.Fault{Do: do})
			if got, err := s.Get(t.Context(), "a/part.zst"); err != nil || string(got) != "rows" || f.Fired() != 1 {
				t.Errorf("got %q, %v after %d faults", got, err, f.Fired())
			}
		})
	}
}

func TestAddressesThatAreRefused(t *testing.T) {
	for _, endpoint := range []string{"http://203.0.113.7", "http://stage.example.com", "::"} {
		if _, err := gcs.Open(t.Context(), bucket, gcs.Options{Endpoint: endpoint}); err == nil {
			t.Errorf("%s is accepted", endpoint)
		}
	}
}
