package ociusagetest_test

import (
	"bytes"
	"context"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/oracle/oci-go-sdk/v65/common"
	"github.com/oracle/oci-go-sdk/v65/objectstorage"

	"github.com/millrace-data/millrace/functions/ociusage/ociusagetest"
)

var march = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

// sdk is Oracle's own client, pointed at a twin.
func sdk(t *testing.T, twin http.Handler) objectstorage.ObjectStorageClient {
	t.Helper()
	server := httptest.NewServer(twin)
	t.Cleanup(server.Close)
	e := ociusagetest.Env(server.URL)
	client, err := objectstorage.NewObjectStorageClientWithConfigurationProvider(common.NewRawConfigurationProvider(
		e["OCI_TENANCY"], e["OCI_USER"], e["OCI_REGION"], e["OCI_FINGERPRINT"], e["OCI_PRIVATE_KEY"], nil))
	if err != nil {
		t.Fatal(err)
	}
	never := common.NoRetryPolicy()
	client.SetCustomClientConfiguration(common.CustomClientConfiguration{RetryPolicy: &never})
	client.HTTPClient = server.Client()
	client.Host = server.URL // last: the calls above set it to Oracle's
	return client
}

func ptr[T any](v T) *T { return &v }

func get(name, etag string) objectstorage.GetObjectRequest {
	r := objectstorage.GetObjectRequest{NamespaceName: ptr("bling"), BucketName: ptr(ociusagetest.Tenancy), ObjectName: &name}
	if etag != "" {
		r.IfMatch = &etag
	}
	return r
}

// code is Oracle's word for an error, "" for none.
func code(t *testing.T, err error) string {
	t.Helper()
	failure, ok := common.IsServiceError(err)
	if err != nil && !ok {
		t.Fatal(err)
	}
	if !ok {
		return ""
	}
	if failure.GetOpcRequestID() == "" {
		t.Error("the error has no opc-request-id")
	}
	return failure.GetCode()
}

func TestSDKLists(t *testing.T) {
	twin := ociusagetest.New(ociusagetest.Options{PageSize: 2})
	names := twin.Generate(ociusagetest.Plan{Table: "focus_report", From: march, Files: 5, Rows: 3})
	client := sdk(t, twin)
	var got []string
	var start *string
	for pages := 1; ; pages++ {
		r, err := client.ListObjects(t.Context(), objectstorage.ListObjectsRequest{NamespaceName: ptr("bling"), BucketName: ptr(ociusagetest.Tenancy),
			Prefix: ptr("FOCUS Reports/"), Fields: ptr("name,size,etag,timeCreated,md5"), Start: start})
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range r.Objects {
			got = append(got, *o.Name)
			if *o.Size != int64(len(twin.Bytes(*o.Name))) || *o.Etag != twin.ETag(*o.Name) || o.Md5 == nil || o.TimeCreated.IsZero() {
				t.Errorf("entry %v does not describe its object", o)
			}
		}
		if start = r.NextStartWith; start == nil {
			if pages != 3 {
				t.Errorf("got %d pages of 2, want 3 for 5 objects", pages)
			}
			break
		}
	}
	if diff := cmp.Diff(names, got); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
}

func TestListGivesOnlyNamesUnlessAsked(t *testing.T) {
	twin := ociusagetest.New(ociusagetest.Options{})
	twin.PutCSV("reports/cost-csv/1.csv.gz", "a\n1\n")
	r, err := sdk(t, twin).ListObjects(t.Context(), objectstorage.ListObjectsRequest{NamespaceName: ptr("bling"), BucketName: ptr(ociusagetest.Tenancy)})
	if err != nil {
		t.Fatal(err)
	}
	if o := r.Objects[0]; *o.Name != "reports/cost-csv/1.csv.gz" || o.Size != nil || o.Etag != nil {
		t.Errorf("got %v, want a name and nothing else", o)
	}
}

func TestSDKDownloads(t *testing.T) {
	twin := ociusagetest.New(ociusagetest.Options{})
	name := twin.Generate(ociusagetest.Plan{Table: "focus_report", From: march, Files: 1, Rows: 100})[0]
	client := sdk(t, twin)
	r, err := client.GetObject(t.Context(), get(name, twin.ETag(name)))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Content.Close()
	body, err := io.ReadAll(r.Content)
	if err != nil || !bytes.Equal(body, twin.Bytes(name)) {
		t.Errorf("got %d bytes, error %v; want the %d bytes of the object", len(body), err, len(twin.Bytes(name)))
	}
	if r.ContentMd5 == nil || *r.ETag != twin.ETag(name) || *r.ContentLength != int64(len(body)) {
		t.Errorf("headers: md5 %v, etag %v, length %v", r.ContentMd5, r.ETag, r.ContentLength)
	}
}

func TestSDKErrors(t *testing.T) {
	const name = "reports/cost-csv/1.csv.gz"
	twin := ociusagetest.New(ociusagetest.Options{})
	twin.PutCSV(name, "a\n1\n")
	old := twin.ETag(name)
	twin.PutCSV(name, "a\n2\n")
	client := sdk(t, twin)
	for _, c := range []struct {
		name, want string
		request    objectstorage.GetObjectRequest
	}{
		{"the version of today", "", get(name, twin.ETag(name))},
		{"a version that was replaced", "IfMatchFailed", get(name, old)},
		{"an object that is not there", "ObjectNotFound", get("reports/cost-csv/2.csv.gz", "")},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := client.GetObject(t.Context(), c.request)
			if got := code(t, err); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if r.Content != nil {
				r.Content.Close()
			}
		})
	}
	t.Run("another bucket", func(t *testing.T) {
		_, err := client.ListObjects(t.Context(), objectstorage.ListObjectsRequest{NamespaceName: ptr("bling"), BucketName: ptr("ocid1.tenancy.oc1..other")})
		if got := code(t, err); got != "BucketNotFound" {
			t.Errorf("got %q, want BucketNotFound", got)
		}
	})
}

func TestSignatures(t *testing.T) {
	late := ociusagetest.New(ociusagetest.Options{Now: func() time.Time { return time.Now().Add(6 * time.Minute) }})
	good := ociusagetest.New(ociusagetest.Options{})
	for _, c := range []struct {
		name   string
		twin   http.Handler
		change func(*http.Request)
		want   string
	}{
		{"as the SDK signs", good, func(*http.Request) {}, ""},
		{"none", good, func(r *http.Request) { r.Header.Del("Authorization") }, "NotAuthenticated"},
		{"of another query", good, func(r *http.Request) { r.URL.RawQuery = "prefix=x" }, "NotAuthenticated"},
		{"of another user", good, func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), ociusagetest.User, "ocid1.user.oc1..other", 1))
		}, "NotAuthenticated"},
		{"that does not cover the host", good, func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), " host", "", 1))
		}, "NotAuthenticated"},
		{"six minutes old", late, func(*http.Request) {}, "NotAuthenticated"},
	} {
		t.Run(c.name, func(t *testing.T) {
			client := sdk(t, c.twin)
			client.HTTPClient = changed{client.HTTPClient, c.change}
			_, err := client.ListObjects(context.Background(), objectstorage.ListObjectsRequest{NamespaceName: ptr("bling"), BucketName: ptr(ociusagetest.Tenancy)})
			if got := code(t, err); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// changed alters requests after they were signed.
type changed struct {
	next   common.HTTPRequestDispatcher
	change func(*http.Request)
}

func (c changed) Do(r *http.Request) (*http.Response, error) {
	c.change(r)
	return c.next.Do(r)
}

func TestReportsAreDeterministic(t *testing.T) {
	file := func(seed uint64) []byte {
		twin := ociusagetest.New(ociusagetest.Options{Seed: seed})
		names := twin.Generate(ociusagetest.Plan{Table: "cost_report", From: march, Files: 4, Rows: 60})
		return twin.Bytes(names[3])
	}
	if !bytes.Equal(file(7), file(7)) {
		t.Error("one seed made two different files")
	}
	if bytes.Equal(file(7), file(8)) {
		t.Error("two seeds made the same file")
	}
}

func TestReportsChangeOverTime(t *testing.T) {
	twin := ociusagetest.New(ociusagetest.Options{Seed: 1})
	names := twin.Generate(ociusagetest.Plan{Table: "cost_report", From: march, Files: 8, Rows: 200, Parts: 2})
	if len(names) != 16 || strings.Contains(names[0], "-0000") || !strings.HasSuffix(names[15], "-00002.csv.gz") {
		t.Errorf("got %d names from %s to %s, want 16, an old and a split one", len(names), names[0], names[15])
	}
	seen := map[string]bool{}
	corrections := 0
	headers := map[string]bool{}
	for i, n := range names {
		rows, err := twin.Rows(n)
		if err != nil {
			t.Fatal(err)
		}
		headers[strings.Join(slices.Sorted(maps.Keys(rows[0])), ",")] = true
		_, back := rows[0]["lineItem/backreferenceNo"]
		_, attributed := rows[0]["cost/attributedCost"]
		if back != (i >= 4) || attributed != (i >= 8) {
			t.Errorf("file %d of 16: backreferenceNo %t, attributedCost %t", i, back, attributed)
		}
		for _, r := range rows {
			if b := r["lineItem/backreferenceNo"]; b != "" {
				corrections++
				if !seen[b] {
					t.Errorf("%s corrects %s, which no file has so far", n, b)
				}
			}
			if seen[r["lineItem/referenceNo"]] {
				t.Errorf("%s repeats reference %s", n, r["lineItem/referenceNo"])
			}
			seen[r["lineItem/referenceNo"]] = true
		}
	}
	if total := twin.Expect("cost_report"); corrections != 12*200/50 || total.Corrections != int64(corrections) || total.Rows != 16*200 {
		t.Errorf("got %d corrections, oracle %+v; want %d of %d rows", corrections, total, 48, 3200)
	}
	if len(headers) < 6 {
		t.Errorf("got %d different headers, want tags that come and go", len(headers))
	}
}
