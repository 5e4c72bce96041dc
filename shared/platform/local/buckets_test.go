package local_test

import (
	"context"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-data/millrace/functions/thoughtindustries"
	"github.com/millrace-data/millrace/functions/thoughtindustries/thoughtindustriestest"
	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/platform"
	"github.com/millrace-data/millrace/shared/platform/local"
	"github.com/millrace-data/millrace/shared/rest/resttest"
	"github.com/millrace-data/millrace/shared/stage/buckettest"
)

// TestBuckets extracts from the vendor's twin into a folder, into GCS and into S3,
// and loads from there into DuckDB: the rows are the same. The buckets fail now and
// then, and lose answers.
func TestBuckets(t *testing.T) {
	twin := thoughtindustriestest.New(thoughtindustriestest.Options{Events: 300, Users: 400, Others: 5})
	vendor := httptest.NewServer(twin)
	defer vendor.Close()
	gcs, gcsFaults := buckettest.GCS(t)
	s3, s3Faults := buckettest.S3(t)
	fault := func(path string, after int, do resttest.Effect) resttest.Fault {
		return resttest.Fault{Path: path, After: after, Do: do}
	}
	gcsFaults.Inject(fault("", 2, resttest.Status(503, "")), fault("upload", 3, resttest.Lost()), fault("upload", 5, resttest.CutRequest(100)), fault("manifest", 1, resttest.Lost()))
	s3Faults.Inject(fault("", 2, resttest.Status(503, "")), fault("part-", 3, resttest.Lost()), fault("part-", 5, resttest.CutRequest(100)), fault("manifest", 1, resttest.Lost()))

	places := map[string]string{
		"gs": "gs://" + buckettest.Bucket + "/raw/landing?endpoint=" + url.QueryEscape(gcs),
		"s3": "s3://" + buckettest.Bucket + "/raw/landing?region=eu-north-1&endpoint=" + url.QueryEscape(s3),
	}
	want := moved(t, twin, vendor.URL, "file://"+t.TempDir()+"/stage")
	for name, place := range places {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(want, moved(t, twin, vendor.URL, place)); diff != "" {
				t.Errorf("rows (-folder +%s):\n%s", name, diff)
			}
			wantObjects(t, place)
		})
	}
	if gcsFaults.Fired() < 3 || s3Faults.Fired() < 3 {
		t.Errorf("%d and %d faults happened, want at least 3 each", gcsFaults.Fired(), s3Faults.Fired())
	}
	vendor.CloseClientConnections()
}

// moved runs the connector twice over a stage and returns the rows that it loaded.
func moved(t *testing.T, twin *thoughtindustriestest.Server, vendor, place string) (rows []string) {
	t.Helper()
	c := open(t, local.Options{Functions: []*extract.Function{thoughtindustries.Function}, Env: env.Map(vars(t, "MILLRACE_STAGE", place,
		"THOUGHT_INDUSTRIES_BASE_URL", vendor, "THOUGHT_INDUSTRIES_API_KEY", thoughtindustriestest.DefaultKey))})
	defer c.Close()
	for range 2 { // the second has nothing to do
		rep, err := c.Run(t.Context(), local.Request{Function: "thoughtindustries",
			Request: extract.Request{Now: time.Date(2025, 1, 8, 6, 0, 0, 0, time.UTC), Tables: []string{"logins", "users"}}})
		if err != nil || rep.Outcome != local.OK {
			t.Fatalf("%s: got %+v, %v", place, rep, err)
		}
	}
	for _, table := range []string{"logins", "users"} {
		had := len(rows)
		rows = append(rows, texts(t, c, `SELECT CAST(COLUMNS(* EXCLUDE (_loaded_at)) AS VARCHAR) FROM thought_industries.`+table+` ORDER BY ALL`)...)
		if got := len(rows) - had; got != twin.Count(table) {
			t.Errorf("%s: %s has %d rows, the vendor %d", place, table, got, twin.Count(table))
		}
	}
	if scratch := texts(t, c, `SELECT file FROM glob('`+c.Places().Scratch+`/*')`); len(scratch) > 0 {
		t.Errorf("%s: left in scratch: %v", place, scratch)
	}
	return rows
}

// wantObjects: what is in the bucket is in the stage's folder, and each part is of a
// slice with a manifest.
func wantObjects(t *testing.T, place string) {
	t.Helper()
	b, _, err := platform.OpenStage(t.Context(), place)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	manifests, objects := 0, 0
	for it := b.List(nil); ; objects++ {
		o, err := it.Next(context.Background())
		if err != nil {
			break
		}
		if !strings.HasPrefix(o.Key, "raw/landing/thoughtindustries/") {
			t.Errorf("an object outside of the stage: %s", o.Key)
		}
		if strings.HasSuffix(o.Key, "/manifest.json") {
			manifests++
		}
	}
	if manifests == 0 || objects <= manifests {
		t.Errorf("%d objects with %d manifests", objects, manifests)
	}
}

// texts is the rows of a query, each as its columns' texts joined by |.
func texts(t *testing.T, c *local.Cloud, query string) (out []string) {
	t.Helper()
	rows, err := c.Warehouse().DB().QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		cells, into := make([]*string, len(columns)), make([]any, len(columns))
		for i := range cells {
			into[i] = &cells[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		var line []string
		for _, cell := range cells {
			if cell == nil {
				line = append(line, "null")
			} else {
				line = append(line, *cell)
			}
		}
		out = append(out, strings.Join(line, "|"))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}
