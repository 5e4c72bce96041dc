package salesforce

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/rest"
	"github.com/millrace-data/millrace/shared/reverse"
)

func sameJSON(a, b string) bool {
	var x, y any
	return json.Unmarshal([]byte(a), &x) == nil && json.Unmarshal([]byte(b), &y) == nil && reflect.DeepEqual(x, y)
}

const jobPath = v60 + "/jobs/ingest/750000000000001AAA"

func TestBulkShapes(t *testing.T) {
	o := newOrg(t)
	o.json("POST "+v60+"/jobs/ingest", 200, `{"id":"750000000000001AAA","operation":"upsert","state":"Open","apiVersion":60.0}`)
	o.json("PUT "+jobPath+"/batches", 201, "")
	o.json("PATCH "+jobPath, 200, `{"id":"750000000000001AAA","state":"UploadComplete"}`)
	o.json("GET "+jobPath, 200, `{"id":"750000000000001AAA","state":"JobComplete","createdDate":"2026-02-03T05:05:06.000+0100","numberRecordsProcessed":3,"numberRecordsFailed":1,"apiVersion":60.0}`)
	c := o.client(t)
	id, err := c.Create(t.Context(), upsert)
	if err != nil || id != "750000000000001AAA" {
		t.Fatalf("got %q, %v", id, err)
	}
	task := upsert
	task.Fields = []reverse.Field{{Name: "Name"}, {Name: "Industry"}}
	if err := c.Upload(t.Context(), id, task, rowsOf(
		reverse.Row{Key: "k1", Values: []reverse.Value{text("Acme"), blank}},
		reverse.Row{Key: "k2", Values: []reverse.Value{text("Beta, \"Inc\"\r\nltd"), text(" Energy")}},
		reverse.Row{Key: "k3", Values: []reverse.Value{absent, text("")}},
	)); err != nil {
		t.Fatal(err)
	}
	if err := c.End(t.Context(), id, reverse.Closed); err != nil {
		t.Fatal(err)
	}
	got, err := c.Look(t.Context(), id)
	if want := (reverse.BulkJob{ID: id, State: reverse.Done, Processed: 3, Failed: 1, Created: time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)}); err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	calls := o.calls()
	if !sameJSON(calls[0].Body, `{"object":"Account","operation":"upsert","contentType":"CSV","lineEnding":"LF","columnDelimiter":"COMMA","externalIdFieldName":"DW_Key__c"}`) {
		t.Errorf("got %s", calls[0].Body)
	}
	if want := "DW_Key__c,Name,Industry\nk1,Acme,#N/A\nk2,\"Beta, \"\"Inc\"\"\r\nltd\",\" Energy\"\nk3,,#N/A\n"; calls[1].Body != want || !strings.HasPrefix(calls[1].Type, "text/csv") {
		t.Errorf("got %q\nwant %q", calls[1].Body, want)
	}
	if calls[2].Body != `{"state":"UploadComplete"}` || len(calls) != 4 {
		t.Errorf("got %v", calls[2:])
	}
}

func TestBulkOrders(t *testing.T) {
	for _, tc := range []struct {
		task      reverse.Task
		order     string
		row, want string
	}{
		{reverse.Task{Object: "Account", Operation: reverse.Insert, Key: "DW_Key__c", Fields: upsert.Fields}, `{"object":"Account","operation":"insert","contentType":"CSV","lineEnding":"LF","columnDelimiter":"COMMA"}`, "k", "DW_Key__c,Name\nk,n\n"},
		{reverse.Task{Object: "Account", Operation: reverse.Update, Key: "Id", Fields: upsert.Fields}, `{"object":"Account","operation":"update","contentType":"CSV","lineEnding":"LF","columnDelimiter":"COMMA"}`, "001", "Id,Name\n001,n\n"},
		{reverse.Task{Object: "Account", Operation: reverse.Delete, Key: "Id", Fields: upsert.Fields}, `{"object":"Account","operation":"delete","contentType":"CSV","lineEnding":"LF","columnDelimiter":"COMMA"}`, "001", "Id\n001\n"},
	} {
		o := newOrg(t)
		o.json("POST "+v60+"/jobs/ingest", 200, `{"id":"750"}`)
		o.json("PUT "+v60+"/jobs/ingest/750/batches", 201, "")
		c := o.client(t)
		id, err := c.Create(t.Context(), tc.task)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Upload(t.Context(), id, tc.task, rowsOf(reverse.Row{Key: tc.row, Values: []reverse.Value{text("n")}})); err != nil {
			t.Fatal(err)
		}
		if calls := o.calls(); !sameJSON(calls[0].Body, tc.order) || calls[1].Body != tc.want {
			t.Errorf("%s: got %v", tc.task.Operation, calls)
		}
	}
}

func TestJobStates(t *testing.T) {
	o := newOrg(t)
	c := o.client(t)
	for word, want := range map[string]reverse.JobState{"Open": reverse.Open, "UploadComplete": reverse.Closed, "InProgress": reverse.Closed,
		"JobComplete": reverse.Done, "Failed": reverse.Broken, "Aborted": reverse.Aborted, "Sleeping": "", "": ""} {
		o.answers["GET "+jobPath] = nil
		o.json("GET "+jobPath, 200, `{"id":"750000000000001AAA","state":"`+word+`","createdDate":"soon","errorMessage":"InvalidBatch : Field name not found : X"}`)
		got, err := c.Look(t.Context(), "750000000000001AAA")
		if got.State != want || want == "" && !errors.Is(err, fault.Corrupt) || want != "" && (err != nil || got.Message == "" || !got.Created.IsZero()) {
			t.Errorf("%s: got %+v, %v", word, got, err)
		}
	}
	if _, err := c.Look(t.Context(), "750000000000009AAA"); !errors.Is(err, fault.NotFound) {
		t.Errorf("gone: got %v", err)
	}
	if _, err := c.Look(t.Context(), "../x"); err == nil {
		t.Error("an odd id was asked for")
	}
}

// TestEndAgain is what recovery does after an answer that was lost.
func TestEndAgain(t *testing.T) {
	for _, tc := range []struct {
		is   string
		want reverse.JobState
		ok   bool
	}{{"InProgress", reverse.Closed, true}, {"JobComplete", reverse.Closed, true}, {"Aborted", reverse.Aborted, true},
		{"Aborted", reverse.Closed, false}, {"Failed", reverse.Closed, false}, {"JobComplete", reverse.Aborted, false}, {"Open", reverse.Closed, false}} {
		o := newOrg(t)
		o.json("PATCH "+jobPath, 400, `[{"errorCode":"INVALIDJOBSTATE","message":"no"}]`)
		o.json("GET "+jobPath, 200, `{"id":"750000000000001AAA","state":"`+tc.is+`"}`)
		err := o.client(t).End(t.Context(), "750000000000001AAA", tc.want)
		if (err == nil) != tc.ok || err != nil && !errors.Is(err, fault.Invalid) {
			t.Errorf("%s to %s: got %v", tc.is, tc.want, err)
		}
	}
	for _, body := range []string{"", "<html>", "{}", `{"state":"Sleeping"}`} {
		o := newOrg(t)
		o.json("PATCH "+jobPath, 200, body)
		if err := o.client(t).End(t.Context(), "750000000000001AAA", reverse.Closed); !errors.Is(err, rest.ErrUnknown) || fault.Of(err) != fault.Transient || len(o.calls()) != 1 {
			t.Errorf("%q: got %v", body, err)
		}
	}
	if err := newOrg(t).client(t).End(t.Context(), "750", reverse.Done); !errors.Is(err, fault.Invalid) {
		t.Errorf("got %v", err)
	}
}

// TestUploadIsSentOnce: no error and no status makes it come a second time.
func TestUploadIsSentOnce(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"cut": func(w http.ResponseWriter, _ *http.Request) {
			conn, _, _ := w.(http.Hijacker).Hijack()
			conn.Close()
		},
		"200":      func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200) },
		"web page": func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("<html>")) },
		"503":      func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) },
		"429":      func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(429) },
		"401":      func(w http.ResponseWriter, _ *http.Request) { http.Error(w, expired, http.StatusUnauthorized) },
	} {
		t.Run(name, func(t *testing.T) {
			o := newOrg(t)
			o.on("PUT "+jobPath+"/batches", answer)
			c := o.client(t)
			err := c.Upload(t.Context(), "750000000000001AAA", upsert, rowsOf(reverse.Row{Key: "k", Values: []reverse.Value{absent}}))
			want := fault.Transient
			if name == "429" {
				want = fault.Limited
			}
			if fault.Of(err) != want || len(o.calls()) != 1 {
				t.Errorf("got %v (%v) after %d calls", err, fault.Of(err), len(o.calls()))
			}
			if name == "401" && c.living() != nil {
				t.Error("the session is still used")
			}
		})
	}
}

func TestUploadOfBadRows(t *testing.T) {
	broken := errors.New("the warehouse is gone")
	big := strings.Repeat("x", 1<<20)
	for name, tc := range map[string]struct {
		rows iter.Seq2[reverse.Row, error]
		want error
	}{
		"rows end in an error": {func(yield func(reverse.Row, error) bool) {
			for range 100_000 {
				if !yield(reverse.Row{Key: "k", Values: []reverse.Value{absent}}, nil) {
					return
				}
			}
			yield(reverse.Row{}, broken)
		}, broken},
		"too large": {func(yield func(reverse.Row, error) bool) {
			for range reverse.UploadMax>>20 + 2 {
				if !yield(reverse.Row{Key: "k", Values: []reverse.Value{text(big)}}, nil) {
					return
				}
			}
		}, fault.Invalid},
		"no key":    {rowsOf(reverse.Row{Values: []reverse.Value{absent}}), fault.Invalid},
		"no values": {rowsOf(reverse.Row{Key: "k"}), fault.Invalid},
		"marker":    {rowsOf(reverse.Row{Key: "k", Values: []reverse.Value{text("#N/A")}}), fault.Invalid},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOrg(t)
			o.json("PUT "+jobPath+"/batches", 201, "")
			if err := o.client(t).Upload(t.Context(), "750000000000001AAA", upsert, tc.rows); !errors.Is(err, tc.want) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
		})
	}
}

// TestUploadOfPartIsNoUpload: a server must not take what broke off for the whole.
func TestUploadOfPartIsNoUpload(t *testing.T) {
	o := newOrg(t)
	whole := make(chan error, 1)
	o.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			var b [1 << 16]byte
			for {
				if _, err := r.Body.Read(b[:]); err != nil {
					whole <- err
					return
				}
			}
		}
		o.ServeHTTP(w, r)
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err := o.client(t).Upload(ctx, "750000000000001AAA", upsert, func(yield func(reverse.Row, error) bool) {
		for n := 0; yield(reverse.Row{Key: "k", Values: []reverse.Value{absent}}, nil); n++ {
			if n == 1_000_000 {
				cancel()
			}
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if err := <-whole; err == nil || err.Error() == "EOF" {
		t.Errorf("the server saw a whole body: %v", err)
	}
}

func TestUploadAnsweredEarly(t *testing.T) {
	for status, kind := range map[int]error{201: nil, 400: fault.Invalid} {
		o := newOrg(t)
		o.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPut {
				w.Header().Set("Connection", "close")
				http.Error(w, `[{"errorCode":"INVALIDJOB","message":"no"}]`, status)
				return
			}
			o.ServeHTTP(w, r)
		})
		n := 0
		err := o.client(t).Upload(t.Context(), "750000000000001AAA", upsert, func(yield func(reverse.Row, error) bool) {
			for n < 10_000_000 && yield(reverse.Row{Key: "k", Values: []reverse.Value{absent}}, nil) {
				n++
			}
		})
		// A connection that is reset may lose the answer.
		if err == nil || n == 10_000_000 || !errors.Is(err, fault.Corrupt) && !errors.Is(err, fault.Transient) && !errors.Is(err, kind) {
			t.Errorf("%d: got %v after %d rows", status, err, n)
		}
	}
}
