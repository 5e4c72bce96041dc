package platform_test

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/millrace-data/millrace/shared/platform"
	"github.com/millrace-data/millrace/shared/stage"
	"github.com/millrace-data/millrace/shared/stage/buckettest"
	"github.com/millrace-data/millrace/shared/stage/stagetest"
)

// TestLiveStage runs the kit against the bucket that MILLRACE_LIVE_STAGE names, as
// MILLRACE_STAGE would, with the credentials of this machine. It writes into folders
// of its own, and removes them.
func TestLiveStage(t *testing.T) {
	place := os.Getenv("MILLRACE_LIVE_STAGE")
	if place == "" {
		t.Skip("set MILLRACE_LIVE_STAGE to gs://BUCKET/FOLDER or s3://BUCKET/FOLDER?region=REGION")
	}
	conform(t, place)
}

// The live test itself, where there is no cloud.
func TestLiveStageOnTwins(t *testing.T) {
	gcs, _ := buckettest.GCS(t)
	s3, _ := buckettest.S3(t)
	for scheme, endpoint := range map[string]string{"gs": gcs, "s3": s3} {
		t.Run(scheme, func(t *testing.T) {
			place := scheme + "://" + buckettest.Bucket + "/live?endpoint=" + url.QueryEscape(endpoint)
			t.Run("kit", func(t *testing.T) { conform(t, place) })
			for _, key := range listed(t, place) {
				t.Errorf("left in the bucket: %s", key)
			}
		})
	}
}

// conform runs the kit in folders below place, one for each of its tests.
func conform(t *testing.T, place string) {
	began, n := time.Now().UTC().Format("20060102t150405.000000"), 0
	address, query, _ := strings.Cut(place, "?")
	stagetest.Run(t, func(t *testing.T) *stage.Store {
		n++
		b, o, err := platform.OpenStage(t.Context(), fmt.Sprintf("%s/%s/%d?%s", strings.TrimSuffix(address, "/"), began, n, query))
		if err != nil {
			t.Fatal(err)
		}
		o.Scratch = t.TempDir()
		s := stage.New(b, o)
		ctx := t.Context()
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
			defer cancel()
			for object, err := range s.List(ctx, "") {
				if err == nil {
					err = s.Delete(ctx, object.Key)
				}
				if err != nil {
					t.Error(err)
				}
			}
			if err := b.Close(); err != nil {
				t.Error(err)
			}
		})
		return s
	})
}

// listed is the keys of everything under place.
func listed(t *testing.T, place string) (keys []string) {
	t.Helper()
	b, o, err := platform.OpenStage(t.Context(), place)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for object, err := range stage.New(b, o).List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, object.Key)
	}
	return keys
}
