package gcs_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/record"
	"github.com/millrace-data/millrace/shared/rest/resttest"
	"github.com/millrace-data/millrace/shared/stage"
	"github.com/millrace-data/millrace/shared/stage/buckettest"
	"github.com/millrace-data/millrace/shared/stage/gcs"
	"github.com/millrace-data/millrace/shared/stage/stagetest"
)

const bucket = buckettest.Bucket

func open(t *testing.T, endpoint string, o stage.Options) *stage.Store {
	t.Helper()
	b, err := gcs.Open(t.Context(), bucket, gcs.Options{Endpoint: endpoint})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	o.Name, o.Kind, o.Scratch = bucket, gcs.Kind, t.TempDir()
	return stage.New(b, o)
}

func TestConformance(t *testing.T) {
	for _, prefix := range []string{"", "a/folder/"} {
		t.Run("in "+prefix, func(t *testing.T) {
			stagetest.Run(t, func(t *testing.T) *stage.Store {
				endpoint, _ := buckettest.GCS(t)
				return open(t, endpoint, stage.Options{Prefix: prefix})
			})
		})
	}
}

func TestWritersAtTheSameTime(t *testing.T) {
	endpoint, _ := buckettest.GCS(t)
	stagetest.Shared(t, open(t, endpoint, stage.Options{}))
}

const large = 12 << 20 // bytes: more than are sent at once

func TestFaultsThatPass(t *testing.T) {
	for name, do := range map[string]resttest.Effect{
		"503": resttest.Status(503, ""), "429": resttest.Status(429, ""), "a reset": resttest.Refuse(),
		"a request cut half-way": resttest.CutRequest(1000), "an answer that is lost": resttest.Lost(),
	} {
		for size, bytes := range map[string]int{"small": 4000, "large": large} {
			t.Run(name+", "+size, func(t *testing.T) {
				endpoint, f := buckettest.GCS(t)
				s := open(t, endpoint, stage.Options{})
				text := strings.Repeat("rows", bytes/4)
				f.Inject(resttest.Fault{Do: do})
				if err := s.Put(t.Context(), "a/part.zst", []byte(text)); err != nil {
					t.Fatal(err)
				}
				f.Inject(resttest.Fault{Do: do})
				if got, err := s.Get(t.Context(), "a/part.zst"); err != nil || string(got) != text || f.Fired() != 2 {
					t.Errorf("got %d bytes, %v after %d faults; want %d after 2", len(got), err, f.Fired(), len(text))
				}
			})
		}
	}
}

// An upload whose connection breaks for good leaves nothing to be seen.
func TestCutUploadLeavesNothing(t *testing.T) {
	for size, bytes := range map[string]int{"small": 4000, "large": large} {
		t.Run(size, func(t *testing.T) {
			endpoint, f := buckettest.GCS(t)
			s := open(t, endpoint, stage.Options{})
			ctx, cancel := context.WithCancel(t.Context())
			tries := 0
			f.Inject(resttest.Fault{Path: "upload", After: bytes / large, Times: -1, Do: func(w http.ResponseWriter, r *http.Request, c resttest.Call) {
				if tries++; tries == 2 {
					cancel() // or else the client would try for a while
				}
				resttest.CutRequest(1000)(w, r, c)
			}})
			if err := s.Put(ctx, "a/part.zst", make([]byte, bytes)); err == nil || f.Fired() < 2 {
				t.Errorf("got %v after %d cuts", err, f.Fired())
			}
			for o, err := range open(t, endpoint, stage.Options{}).List(t.Context(), "") {
				t.Errorf("there is %+v, %v", o, err)
			}
		})
	}
}

// The manifest that was written, though the answer was lost, is the one that is
// meant; the condition itself is Google's.
func TestManifestIsCreatedOnce(t *testing.T) {
	endpoint, f := buckettest.GCS(t)
	s := open(t, endpoint, stage.Options{})
	conditions := 0
	f.Inject(resttest.Fault{Path: "upload", Do: func(w http.ResponseWriter, r *http.Request, c resttest.Call) {
		if r.URL.Query().Get("ifGenerationMatch") == "0" {
			conditions++
		}
		resttest.Lost()(w, r, c)
	}})
	m := &stage.Manifest{Table: record.Table{Schema: "s", Name: "t"}}
	key, err := s.WriteManifest(t.Context(), "f/t/s/000001", m, time.Time{})
	if err != nil || conditions != 1 || f.Fired() != 1 {
		t.Fatalf("%v after %d conditions and %d lost answers", err, conditions, f.Fired())
	}
	if got, err := s.ReadManifest(t.Context(), key); err != nil || got.Digest != m.Digest {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestKinds(t *testing.T) {
	const denied = `{"error":{"code":403,"message":"no storage.objects access","errors":[{"reason":"forbidden"}]}}`
	const often = `{"error":{"code":403,"message":"slow down","errors":[{"reason":"rateLimitExceeded"}]}}`
	calls := map[string]func(s *stage.Store) error{
		"get":    func(s *stage.Store) error { _, err := s.Get(t.Context(), "a/b"); return err },
		"put":    func(s *stage.Store) error { return s.Put(t.Context(), "a/b", nil) },
		"delete": func(s *stage.Store) error { return s.Delete(t.Context(), "a/b") },
		"list": func(s *stage.Store) error {
			for _, err := range s.List(t.Context(), "") {
				return err
			}
			return nil
		},
	}
	for name, call := range calls {
		for _, c := range []struct {
			name string
			do   resttest.Effect
			want error
		}{
			{"denied", resttest.Status(403, denied), fault.Auth},
			{"unknown", resttest.Status(401, `{"error":{"code":401}}`), fault.Auth},
		} {
			endpoint, f := buckettest.GCS(t)
			f.Inject(resttest.Fault{Do: c.do, Times: -1})
			if err := call(open(t, endpoint, stage.Options{})); !errors.Is(err, c.want) {
				t.Errorf("%s %s: got %v, want %v", name, c.name, err, c.want)
			}
		}
	}
	endpoint, f := buckettest.GCS(t)
	f.Inject(resttest.Fault{Do: resttest.Status(403, often), Times: -1})
	if err := calls["get"](open(t, endpoint, stage.Options{})); fault.Of(err) == fault.Auth {
		t.Errorf("a rate limit is taken for a refusal: %v", err)
	}
}

func TestNoBucket(t *testing.T) {
	endpoint, _ := buckettest.GCS(t)
	b, err := gcs.Open(t.Context(), "other", gcs.Options{Endpoint: endpoint})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	s := stage.New(b, stage.Options{Name: "other", Kind: gcs.Kind})
	if err := s.Put(t.Context(), "a/b", []byte("x")); !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "no bucket other") {
		t.Errorf("got %v", err)
	}
}

func TestAddresses(t *testing.T) {
	for _, endpoint := range []string{"http://203.0.113.7", "http://stage.example.com", "https://127.0.0.1", "http://u:p@127.0.0.1", "::", "127.0.0.1:1"} {
		if _, err := gcs.Open(t.Context(), bucket, gcs.Options{Endpoint: endpoint}); !errors.Is(err, fault.Invalid) || strings.Contains(err.Error(), "u:p") {
			t.Errorf("%s: got %v", endpoint, err)
		}
	}
	endpoint, _ := buckettest.GCS(t)
	t.Setenv("STORAGE_EMULATOR_HOST", strings.TrimPrefix(endpoint, "http://"))
	if err := open(t, "", stage.Options{}).Put(t.Context(), "a/b", []byte("x")); err != nil {
		t.Errorf("by the variable of Google's clients: %v", err)
	}
	t.Setenv("STORAGE_EMULATOR_HOST", "stage.example.com")
	if _, err := gcs.Open(t.Context(), bucket, gcs.Options{}); !errors.Is(err, fault.Invalid) {
		t.Errorf("a variable that leads away: %v", err)
	}
}

// Without credentials one is told at once.
func TestNoCredentials(t *testing.T) {
	t.Setenv("STORAGE_EMULATOR_HOST", "")
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", t.TempDir()+"/none.json")
	if _, err := gcs.Open(t.Context(), bucket, gcs.Options{}); !errors.Is(err, fault.Auth) {
		t.Errorf("got %v", err)
	}
}
