package salesforce

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/reverse"
)

const benchRows = 1_000_000

// trivial is a server that costs next to nothing.
func trivial(b *testing.B) *Client {
	b.Helper()
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	b.Cleanup(server.Close)
	mux.HandleFunc("POST /services/oauth2/token", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"access_token":"t","instance_url":%q}`, server.URL)
	})
	mux.HandleFunc("PUT /", func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusCreated)
	})
	mux.HandleFunc("GET /", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"id":"750","state":"JobComplete","numberRecordsProcessed":%d,"numberRecordsFailed":0}`, benchRows)
	})
	mux.HandleFunc("GET "+v60+"/jobs/ingest/750/successfulResults", func(w http.ResponseWriter, _ *http.Request) {
		out := bufio.NewWriterSize(w, 1<<16)
		defer out.Flush()
		out.WriteString("sf__Id,sf__Created,DW_Key__c,Score__c,Tier__c\n")
		line := []byte{}
		for i := range benchRows {
			line = strconv.AppendInt(append(line[:0], "001000000000001AAA,false,ACME-"...), int64(i), 10)
			out.Write(append(line, ",12.5,gold\n"...))
		}
	})
	for _, none := range []string{"failedResults", "unprocessedrecords"} {
		mux.HandleFunc("GET "+v60+"/jobs/ingest/750/"+none, func(http.ResponseWriter, *http.Request) {})
	}
	c, err := Open(env.Map(map[string]string{"SALESFORCE_LOGIN_URL": server.URL, "SALESFORCE_CLIENT_ID": "c", "SALESFORCE_CLIENT_SECRET": "s"}), Options{Scratch: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Close() })
	return c
}

var benchTask = reverse.Task{Object: "Account", Operation: reverse.Upsert, Key: "DW_Key__c", Fields: []reverse.Field{{Name: "Score__c"}, {Name: "Tier__c"}}}

func BenchmarkUpload(b *testing.B) {
	c := trivial(b)
	keys := make([]string, 1000)
	for i := range keys {
		keys[i] = fmt.Sprint("ACME-", 100_000+i)
	}
	score, tier := "12.5", "gold"
	values := []reverse.Value{{Set: true, Text: &score}, {Set: true, Text: &tier}}
	b.ReportAllocs()
	for b.Loop() {
		err := c.Upload(b.Context(), "750", benchTask, func(yield func(reverse.Row, error) bool) {
			for i := range benchRows {
				if !yield(reverse.Row{Key: keys[i%1000], Values: values}, nil) {
					return
				}
			}
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchRows, "ns/row")
}

func BenchmarkResults(b *testing.B) {
	c := trivial(b)
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		for _, err := range c.Results(b.Context(), "750", benchTask) {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
		if n != benchRows {
			b.Fatalf("%d results", n)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchRows, "ns/row")
}
