package s3_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/record"
	"github.com/millrace-data/millrace/shared/rest/resttest"
	"github.com/millrace-data/millrace/shared/stage"
	"github.com/millrace-data/millrace/shared/stage/buckettest"
	"github.com/millrace-data/millrace/shared/stage/s3"
	"github.com/millrace-data/millrace/shared/stage/stagetest"
)

const bucket = buckettest.Bucket

func open(t *testing.T, endpoint string, o stage.Options) *stage.Store {
	t.Helper()
	b, err := s3.Open(t.Context(), bucket, s3.Options{Endpoint: endpoint})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	o.Name, o.Kind, o.Scratch = bucket, s3.Kind, t.TempDir()
	return stage.New(b, o)
}

func TestConformance(t *testing.T) {
	for _, prefix := range []string{"", "a/folder/"} {
		t.Run("in "+prefix, func(t *testing.T) {
			stagetest.Run(t, func(t *testing.T) *stage.Store {
				endpoint, _ := buckettest.S3(t)
				return open(t, endpoint, stage.Options{Prefix: prefix})
			})
		})
	}
}

func TestWritersAtTheSameTime(t *testing.T) {
	endpoint, _ := buckettest.S3(t)
	stagetest.Shared(t, open(t, endpoint, stage.Options{}))
}

const large = 17 << 20 // bytes: more than are sent at once

func TestFaultsThatPass(t *testing.T) {
	for name, do := range map[string]resttest.Effect{
		"503": resttest.Status(503, ""), "a reset": resttest.Refuse(),
		"a request cut half-way": resttest.CutRequest(1000), "an answer that is lost": resttest.Lost(),
	} {
		for size, bytes := range map[string]int{"small": 4000, "large": large} {
			t.Run(name+", "+size, func(t *testing.T) {
				t.Parallel() // the client waits a second at times
				endpoint, f := buckettest.S3(t)
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

// uploads counts the uploads of several pieces that began, and those taken back.
type uploads struct{ began, ended atomic.Int64 }

func (u *uploads) count(r *http.Request) {
	switch q := r.URL.Query(); {
	case r.Method == http.MethodPost && q.Has("uploads"):
		u.began.Add(1)
	case r.Method == http.MethodDelete && q.Has("uploadId"):
		u.ended.Add(1)
	}
}

// An upload whose connection breaks for good leaves nothing to be seen, and no pieces
// that cost money.
func TestCutUploadLeavesNothing(t *testing.T) {
	for size, bytes := range map[string]int{"small": 4000, "large": large} {
		t.Run(size, func(t *testing.T) {
			endpoint, f := buckettest.S3(t)
			s := open(t, endpoint, stage.Options{})
			ctx, cancel := context.WithCancel(t.Context())
			var u uploads
			tries := 0
			f.Inject(resttest.Fault{Times: -1, Do: func(w http.ResponseWriter, r *http.Request, c resttest.Call) {
				u.count(r)
				if r.Method != http.MethodPut {
					c.Next.ServeHTTP(w, r)
					return
				}
				if tries++; tries == 2 {
					cancel() // or else the client would try for a while
				}
				resttest.CutRequest(1000)(w, r, c)
			}})
			if err := s.Put(ctx, "a/part.zst", make([]byte, bytes)); err == nil || tries < 2 {
				t.Errorf("got %v after %d cuts", err, tries)
			}
			if want := int64(bytes / large); u.began.Load() != want || u.ended.Load() != want {
				t.Errorf("%d uploads began and %d were taken back, want %d", u.began.Load(), u.ended.Load(), want)
			}
			for o, err := range open(t, endpoint, stage.Options{}).List(t.Context(), "") {
				t.Errorf("there is %+v, %v", o, err)
			}
		})
	}
}

// An upload of several pieces that is given up is taken back, so that nobody pays for
// what nobody sees.
func TestAbortedUploadIsTakenBack(t *testing.T) {
	for name, giveUp := range map[string]func(w *stage.Writer, cancel func()){
		"aborted":   func(w *stage.Writer, _ func()) { w.Abort() },
		"cancelled": func(w *stage.Writer, cancel func()) { cancel(); w.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			endpoint, f := buckettest.S3(t)
			var u uploads
			f.Inject(resttest.Fault{Times: -1, Do: func(w http.ResponseWriter, r *http.Request, c resttest.Call) {
				u.count(r)
				c.Next.ServeHTTP(w, r)
			}})
			s := open(t, endpoint, stage.Options{})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			w, err := s.Create(ctx, "a/part.zst")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write(make([]byte, large)); err != nil {
				t.Fatal(err)
			}
			giveUp(w, cancel)
			if w.Close() == nil {
				t.Error("Close says all is well")
			}
			if u.began.Load() != 1 || u.ended.Load() != 1 {
				t.Errorf("%d uploads began and %d were taken back, want 1 and 1", u.began.Load(), u.ended.Load())
			}
		})
	}
}

// The manifest that was written, though the answer was lost, is the one that is
// meant; the condition itself is Amazon's.
func TestManifestIsCreatedOnce(t *testing.T) {
	endpoint, f := buckettest.S3(t)
	s := open(t, endpoint, stage.Options{})
	conditions := 0
	f.Inject(resttest.Fault{Path: "manifest", Do: func(w http.ResponseWriter, r *http.Request, c resttest.Call) {
		if r.Header.Get("If-None-Match") == "*" {
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
	for code, c := range map[string]struct {
		status int
		want   error
	}{
		"AccessDenied": {403, fault.Auth}, "InvalidAccessKeyId": {403, fault.Auth}, "ExpiredToken": {400, fault.Auth},
		"PermanentRedirect": {301, fault.Invalid}, "NoSuchBucket": {404, fault.Invalid}, "MalformedXML": {400, fault.Transient},
	} {
		endpoint, f := buckettest.S3(t)
		s := open(t, endpoint, stage.Options{})
		f.Inject(resttest.Fault{Times: -1, Do: resttest.Status(c.status, `<?xml version="1.0"?><Error><Code>`+code+`</Code><Message>no</Message></Error>`)})
		_, get := s.Get(t.Context(), "a/b")
		var list error
		for _, list = range s.List(t.Context(), "") {
		}
		for name, err := range map[string]error{"get": get, "put": s.Put(t.Context(), "a/b", nil), "delete": s.Delete(t.Context(), "a/b"), "list": list} {
			if name == "delete" && c.status != 403 {
				continue // the driver asks by HEAD whether it is there, which is answered without a code
			}
			if err == nil || fault.Of(err) != c.want {
				t.Errorf("%s %s: got %v (%v), want %v", name, code, err, fault.Of(err), c.want)
			}
		}
	}
}

func TestAddresses(t *testing.T) {
	for _, endpoint := range []string{"http://203.0.113.7", "http://stage.example.com", "https://127.0.0.1", "http://u:p@127.0.0.1", "::", "127.0.0.1:1"} {
		if _, err := s3.Open(t.Context(), bucket, s3.Options{Endpoint: endpoint}); !errors.Is(err, fault.Invalid) || strings.Contains(err.Error(), "u:p") {
			t.Errorf("%s: got %v", endpoint, err)
		}
	}
}

// alone hides what this machine may know of AWS.
func alone(t *testing.T) {
	for _, v := range []string{"AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_WEB_IDENTITY_TOKEN_FILE",
		"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_REGION", "AWS_DEFAULT_REGION"} {
		t.Setenv(v, "")
	}
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("AWS_CONFIG_FILE", t.TempDir()+"/none")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", t.TempDir()+"/none")
}

// The default chain, as a function has it: all is in variables.
func TestDefaultChain(t *testing.T) {
	alone(t)
	if _, err := s3.Open(t.Context(), bucket, s3.Options{}); !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "AWS_REGION") {
		t.Errorf("without a region: %v", err)
	}
	t.Setenv("AWS_REGION", "eu-central-1")
	if _, err := s3.Open(t.Context(), bucket, s3.Options{}); !errors.Is(err, fault.Auth) {
		t.Errorf("without credentials: %v", err)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "example")
	endpoint, f := buckettest.S3(t)
	t.Setenv("AWS_ENDPOINT_URL", endpoint)
	var scope atomic.Value
	f.Inject(resttest.Fault{Do: func(w http.ResponseWriter, r *http.Request, c resttest.Call) {
		scope.Store(r.Header.Get("Authorization"))
		c.Next.ServeHTTP(w, r)
	}})
	if err := open(t, "", stage.Options{}).Put(t.Context(), "a/b", []byte("x")); err != nil {
		t.Fatal(err)
	}
	if got, _ := scope.Load().(string); !strings.Contains(got, "Credential=AKIAEXAMPLE/") || !strings.Contains(got, "/eu-central-1/s3/") {
		t.Errorf("signed as %q", got)
	}
}
