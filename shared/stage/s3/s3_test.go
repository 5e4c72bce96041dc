package s3_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/millrace-data/millrace/shared/rest/resttest"
	"github.com/millrace-data/millrace/shared/stage"
	"github.com/millrace-data/millrace/shared/stage/s3"
	"github.com/millrace-data/millrace/shared/stage/stagetest"
)

const bucket = "stage"

// open starts a server of S3's with an empty bucket.
func open(t *testing.T, faults ...resttest.Fault) (*stage.Store, *resttest.Faults) {
	backend := s3mem.New()
	if err := backend.CreateBucket(bucket); err != nil {
		t.Fatal(err)
	}
	f := resttest.Wrap(gofakes3.New(backend).Server(), faults...)
	srv := httptest.NewServer(f)
	t.Cleanup(srv.Close)
	b, err := s3.Open(t.Context(), bucket, s3.Options{Endpoint: srv.URL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return stage.New(b, stage.Options{Name: bucket, Scratch: t.TempDir()}), f
}

func TestConformance(t *testing.T) {
	stagetest.Run(t, func(t *testing.T) *stage.Store { s, _ := open(t); return s })
}

func TestTransientFaults(t *testing.T) {
	for name, do := range map[string]resttest.Effect{"503": resttest.Status(503, ""), "a reset": resttest.Refuse()} {
		t.Run(name, func(t *testing.T) {
			s, f := open(t, resttest.Fault{Do: do})
			if err := s.Put(t.Context(), "a/part.zst", []byte("rows")); err != nil {
				t.Fatal(err)
			}
			if got, err := s.Get(t.Context(), "a/part.zst"); err != nil || string(got) != "rows" || f.Fired() != 1 {
				t.Errorf("got %q, %v after %d faults", got, err, f.Fired())
			}
		})
	}
}

// An upload of several pieces that is given up is taken back, so that nobody pays for
// what nobody sees.
func TestAbortedUploadIsTakenBack(t *testing.T) {
	var began, ended atomic.Int64
	count := func(w http.ResponseWriter, r *http.Request, c resttest.Call) {
		switch q := r.URL.Query(); {
		case r.Method == http.MethodPost && q.Has("uploads"):
			began.Add(1)
		case r.Method == http.MethodDelete && q.Has("uploadId"):
			ended.Add(1)
		}
		c.Next.ServeHTTP(w, r)
	}
	s, _ := open(t, resttest.Fault{Times: -1, Do: count})
	ctx, cancel := context.WithCancel(t.Context())
	w, err := s.Create(ctx, "a/part.zst")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(strings.Repeat("x", 17<<20))); err != nil {
		t.Fatal(err)
	}
	cancel()
	if w.Close() == nil {
		t.Error("Close under a cancelled context says all is well")
	}
	if began.Load() != 1 || ended.Load() != 1 {
		t.Errorf("%d uploads began and %d were taken back, want 1 and 1", began.Load(), ended.Load())
	}
}

func TestAddressesThatAreRefused(t *testing.T) {
	for _, o := range []s3.Options{{Endpoint: "http://203.0.113.7"}, {Endpoint: "http://stage.example.com"}, {Endpoint: "::"}} {
		if _, err := s3.Open(t.Context(), bucket, o); err == nil {
			t.Errorf("%+v is accepted", o)
		}
	}
}
