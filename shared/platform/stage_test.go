package platform_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/platform"
	"github.com/millrace-data/millrace/shared/stage"
	"github.com/millrace-data/millrace/shared/stage/buckettest"
)

func TestParseStage(t *testing.T) {
	for place, want := range map[string]platform.StagePlace{
		"file:///var/lib/a%20b":                      {Scheme: "file", Folder: "/var/lib/a b"},
		"gs://acme-raw":                              {Scheme: "gs", Bucket: "acme-raw"},
		"gs://acme.raw_1/":                           {Scheme: "gs", Bucket: "acme.raw_1"},
		"gs://acme-raw/a/b=1/":                       {Scheme: "gs", Bucket: "acme-raw", Folder: "a/b=1/"},
		"s3://acme-raw/a?region=x":                   {Scheme: "s3", Bucket: "acme-raw", Folder: "a/", Region: "x"},
		"s3://b?endpoint=http%3A%2F%2F127.0.0.1%3A9": {Scheme: "s3", Bucket: "b", Endpoint: "http://127.0.0.1:9"},
	} {
		got, err := platform.ParseStage(place)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v\n%s", place, err, diff)
		}
	}
	for place, says := range map[string]string{
		"": "without a scheme", "/var/lib": "want file:///FOLDER", "file://host/a": "file:", "gs://": "gs:", "s3:///a": "s3:", "az://b": "az:",
		"s3://key:secret@b/": "s3:", "gs://b:80/a": "gs:", "gs://b?region=x": `takes no "region"`, "s3://b?region=x&region=y": `"region"`,
		"file:///a?endpoint=x": `"endpoint"`, "gs://b/a//c": `not ""`, "gs://b/../c": `not ".."`, "gs://b/a%20b": `not "a b"`, "gs://b/.a": `not ".a"`,
	} {
		_, err := platform.ParseStage(place)
		if !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: got %v, want invalid with %q", place, err, says)
		}
	}
}

// A stage is the same, wherever it lies.
func TestOpenStage(t *testing.T) {
	gcs, _ := buckettest.GCS(t)
	s3, _ := buckettest.S3(t)
	folder := t.TempDir()
	for place, object := range map[string]string{
		"file://" + folder + "/new":                                                            "check/a",
		"gs://" + buckettest.Bucket + "?endpoint=" + url.QueryEscape(gcs):                      "check/a",
		"gs://" + buckettest.Bucket + "/raw/1?endpoint=" + url.QueryEscape(gcs):                "raw/1/check/a",
		"s3://" + buckettest.Bucket + "/raw?region=eu-north-1&endpoint=" + url.QueryEscape(s3): "raw/check/a",
	} {
		b, o, err := platform.OpenStage(t.Context(), place)
		if err != nil {
			t.Errorf("%s: %v", place, err)
			continue
		}
		s := stage.New(b, o)
		if err := s.Check(t.Context()); err != nil {
			t.Errorf("%s: %v", place, err)
		}
		if err := s.Put(t.Context(), "check/a", []byte("x")); err != nil {
			t.Errorf("%s: %v", place, err)
		}
		if got, err := b.ReadAll(t.Context(), object); string(got) != "x" {
			t.Errorf("%s: %s holds %q, %v", place, object, got, err)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
}
