package ociusage_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/millrace-data/millrace/functions/ociusage"
	"github.com/millrace-data/millrace/functions/ociusage/ociusagetest"
	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/rest"
	"github.com/millrace-data/millrace/shared/rest/resttest"
)

// TestBrokenFiles damages one of two files. It must fail, or reject what is wrong,
// and the other must load as if nothing were.
func TestBrokenFiles(t *testing.T) {
	edit := func(e ...ociusagetest.Edit) func(*bench, string) {
		return func(b *bench, name string) { b.twin.Edit(name, e...) }
	}
	for _, c := range []struct {
		name     string
		spoil    func(b *bench, name string)
		state    string
		kind     string // of the error
		says     string
		rejected int64
	}{
		{"gzip that ends early", func(b *bench, n string) { b.twin.Truncate(n, 700) }, "failed", "corrupt", "gzip", 0},
		{"empty object", func(b *bench, n string) { b.twin.Put(n, nil) }, "failed", "corrupt", "empty", 0},
		{"header that stands twice", edit(ociusagetest.Twice("cost/myCost")), "failed", "corrupt", "cost/myCost", 0},
		{"no amounts", edit(ociusagetest.Without("cost/myCost")), "failed", "corrupt", "cost/myCost", 0},
		{"no references", edit(ociusagetest.Without("lineItem/referenceNo")), "failed", "corrupt", "lineItem/referenceNo", 0},
		{"row that lacks a cell", edit(ociusagetest.Ragged(7)), "staged", "", "", 1},
		{"amount that is none", edit(ociusagetest.Set(3, "cost/myCost", "n/a")), "staged", "", "", 1},
		{"amount with too many digits", edit(ociusagetest.Set(3, "cost/myCost", "0.1234567890123456789")), "staged", "", "", 1},
		{"amount that is empty", edit(ociusagetest.Set(3, "cost/myCost", "")), "staged", "", "", 0},
		{"row without a reference", edit(ociusagetest.Set(3, "lineItem/referenceNo", "")), "staged", "", "", 0},
		{"gone since the list", func(b *bench, n string) {
			b.faults.Inject(resttest.Fault{Do: resttest.Then(func() { b.twin.Delete(n) })})
		}, "failed", "not found", "gone since it was listed", 0},
		{"changed since the list", func(b *bench, n string) {
			b.faults.Inject(resttest.Fault{Do: resttest.Then(func() { b.twin.Put(n, b.twin.Bytes(n)) })})
		}, "failed", "not found", "list again", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := start(t, ociusagetest.Options{Seed: 3})
			names := b.twin.Generate(ociusagetest.Plan{Table: "cost_report", From: march, Files: 2, Rows: 40})
			c.spoil(b, names[1])
			for _, o := range b.run(t, "cost_report") {
				if o.Slice.Object.Name != names[1] {
					if o.State != "staged" || o.Rejected != 0 {
						t.Errorf("a sound file: %s, %d rejected, %v", o.State, o.Rejected, o.Err)
					}
					continue
				}
				if o.State != c.state || kind(o.Err) != c.kind || o.Rejected != c.rejected || c.says != "" && !strings.Contains(o.Err.Error(), c.says) {
					t.Errorf("got %s, %d rejected, %v: %v\nwant %s, %d rejected, %s: …%s…", o.State, o.Rejected, kind(o.Err), o.Err, c.state, c.rejected, c.kind, c.says)
				}
			}
			want := "40"
			if c.state == "staged" {
				want = "80"
			}
			if c.rejected > 0 || c.name == "row without a reference" {
				want = "79"
			}
			if got := b.Rows(t, `SELECT count(*) FROM oci.cost_report`); got[0] != want {
				t.Errorf("got %s rows in the warehouse, want %s", got[0], want)
			}
		})
	}
}

// TestNetworkFaults disturbs the download of the only file once. It must be made
// again as a whole, and load once.
func TestNetworkFaults(t *testing.T) {
	const object = "-00001.csv.gz"
	for _, c := range []struct {
		name string
		do   resttest.Effect
	}{
		{"cut in the middle", resttest.Cut(1500)},
		{"refused connection", resttest.Refuse()},
		{"500", resttest.Status(http.StatusInternalServerError, `{"code":"InternalServerError","message":"x"}`)},
		{"409", resttest.Status(http.StatusConflict, `{"code":"IncorrectState","message":"x"}`)},
		{"429, seconds", resttest.RetryAfter(http.StatusTooManyRequests, 0)},
		{"429, date", resttest.RetryDate(http.StatusTooManyRequests, -time.Second)},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := start(t, ociusagetest.Options{Seed: 4})
			b.twin.Generate(ociusagetest.Plan{Table: "focus_report", From: march, Files: 1, Rows: 60})
			b.faults.Inject(resttest.Fault{Path: object, Do: c.do})
			o := b.run(t, "focus_report")
			if len(o) != 1 || o[0].State != "staged" || o[0].Requests != 2 || o[0].Retries != 1 {
				t.Errorf("got %+v, want one slice staged with 2 requests, 1 of them a retry", o)
			}
			if b.faults.Fired() != 1 {
				t.Errorf("the fault happened %d times, want once", b.faults.Fired())
			}
			b.balanced(t, "focus_report")
		})
	}
}

func TestDamageOnTheWayIsNoticed(t *testing.T) {
	b := start(t, ociusagetest.Options{Seed: 4})
	b.twin.Generate(ociusagetest.Plan{Table: "focus_report", From: march, Files: 1, Rows: 60})
	for name, change := range map[string]func([]byte) []byte{
		"other bytes": func(body []byte) []byte { body[len(body)/2] ^= 1; return body },
		"fewer bytes": func(body []byte) []byte { return body[:len(body)-9] },
	} {
		b.faults.Inject(resttest.Fault{Path: "-00001.csv.gz", Do: resttest.Rewrite(change)})
		if o := b.run(t, "focus_report"); len(o) != 1 || o[0].State != "failed" || kind(o[0].Err) != "transient" || o[0].Rows != 0 {
			t.Errorf("%s: got %+v, want a transient failure and no rows", name, o)
		}
	}
	b.run(t, "focus_report")
	b.balanced(t, "focus_report")
}

func TestQuotaPauses(t *testing.T) {
	b := start(t, ociusagetest.Options{Seed: 5})
	b.twin.Generate(ociusagetest.Plan{Table: "focus_report", From: march, Files: 1, Rows: 6})
	b.faults.Inject(resttest.Fault{Path: "-00001.csv.gz", Do: resttest.RetryAfter(http.StatusTooManyRequests, time.Hour)})
	o := b.run(t, "focus_report")
	if len(o) != 1 || o[0].State != "paused" || time.Until(o[0].Until) < 59*time.Minute {
		t.Errorf("got %+v, want a pause of an hour", o)
	}
}

// TestListing refuses or disturbs the list. It must never look like no data.
func TestListing(t *testing.T) {
	for _, c := range []struct {
		name    string
		options ociusagetest.Options
		fault   resttest.Fault
		kind    error
		says    string
	}{
		{"policy missing", ociusagetest.Options{Denied: true}, resttest.Fault{After: 99, Do: resttest.Empty()}, fault.Auth, "endorse group"},
		{"clock off", ociusagetest.Options{Now: func() time.Time { return time.Now().Add(time.Hour) }}, resttest.Fault{After: 99, Do: resttest.Empty()}, fault.Auth, "clock"},
		{"token that does not grow", ociusagetest.Options{PageSize: 2}, resttest.Fault{After: 1, Do: resttest.Again()}, fault.Corrupt, "does not move on"},
		{"list without etags", ociusagetest.Options{}, resttest.Fault{Do: resttest.Status(200, `{"objects":[{"name":"FOCUS Reports/x.csv.gz"}]}`)}, fault.Corrupt, "etag"},
		{"login page", ociusagetest.Options{}, resttest.Fault{Do: resttest.HTML()}, fault.Corrupt, "HTML"},
		{"bad request", ociusagetest.Options{}, resttest.Fault{Do: resttest.Status(400, `{"code":"InvalidParameter","message":"x"}`)}, fault.Invalid, "InvalidParameter"},
		{"quota", ociusagetest.Options{}, resttest.Fault{Do: resttest.RetryAfter(429, time.Hour)}, fault.Limited, "429"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := start(t, c.options)
			b.twin.Generate(ociusagetest.Plan{Table: "focus_report", From: march, Files: 5, Rows: 2})
			b.faults.Inject(c.fault)
			_, err := b.Extract.Tick(t.Context(), ociusage.Function, extract.Request{Tables: []string{"focus_report"}, Now: april})
			if fault.Of(err) != c.kind || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %s: %v\nwant %v: …%s…", kind(err), err, c.kind, c.says)
			}
		})
	}
}

func TestErrorsCarryTheRequestID(t *testing.T) {
	b := start(t, ociusagetest.Options{Denied: true})
	_, err := b.Extract.Tick(t.Context(), ociusage.Function, extract.Request{Now: april})
	if err == nil || !strings.Contains(err.Error(), "opc-request-id iad-1:twin") {
		t.Errorf("got %v, want Oracle's request id in it", err)
	}
}

// TestRedirects sends the client to another host, which must not get a signature.
func TestRedirects(t *testing.T) {
	var signature string
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		signature = r.Header.Get("Authorization")
		http.NotFound(w, r)
	}))
	defer elsewhere.Close()
	home := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusFound))
	defer home.Close()
	s, err := ociusage.Function.Open(env.Map(ociusagetest.Env(home.URL)), extract.Invocation{Meter: &rest.Meter{}, Scratch: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range s.(extract.Lister).Objects(t.Context(), extract.Wish{Table: "cost_report"}) {
		if err == nil {
			t.Error("got objects, want an error")
		}
	}
	if signature != "" {
		t.Error("the other host got a signature")
	}
}

func TestOpen(t *testing.T) {
	good := ociusagetest.Env("https://objectstorage.example.test")
	with := func(key, value string) map[string]string {
		m := map[string]string{key: value}
		for k, v := range good {
			if k != key {
				m[k] = v
			}
		}
		return m
	}
	for _, c := range []struct {
		name string
		env  map[string]string
		says []string // nil: no error
	}{
		{"complete", good, nil},
		{"region instead of address", with("OCI_OBJECTSTORAGE_URL", ""), nil},
		{"key in one line", with("OCI_PRIVATE_KEY", strings.ReplaceAll(ociusagetest.Key(), "\n", `\n`)), nil},
		{"nothing", nil, []string{"OCI_TENANCY", "OCI_USER", "OCI_FINGERPRINT", "OCI_PRIVATE_KEY", "OCI_REGION"}},
		{"no key", with("OCI_PRIVATE_KEY", "hunter2"), []string{"OCI_PRIVATE_KEY"}},
		{"plain http to elsewhere", with("OCI_OBJECTSTORAGE_URL", "http://objectstorage.example.test"), []string{"http"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ociusage.Function.Open(env.Map(c.env), extract.Invocation{Meter: &rest.Meter{}, Scratch: t.TempDir()})
			if (err == nil) != (c.says == nil) || err != nil && fault.Of(err) != fault.Invalid {
				t.Fatalf("got %v", err)
			}
			for _, s := range c.says {
				if !strings.Contains(err.Error(), s) {
					t.Errorf("error %q does not say %s", err, s)
				}
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("error %q shows the key", err)
			}
		})
	}
}
