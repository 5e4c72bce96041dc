package aws_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/millrace-data/millrace/shared/platform/aws"
)

// runtime is Lambda's Runtime API: it hands out events one by one and takes what
// becomes of each.
type runtime struct {
	events  chan invocation
	results chan result
	asked   chan struct{} // closed at the first question
	once    sync.Once
}

type invocation struct {
	body     []byte
	deadline time.Time
}

type result struct {
	body   string
	failed bool
}

// ServeHTTP implements http.Handler.
func (r *runtime) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	at := strings.TrimPrefix(req.URL.Path, "/2018-06-01/runtime/")
	switch {
	case at == "invocation/next":
		r.once.Do(func() { close(r.asked) })
		select {
		case e := <-r.events:
			w.Header().Set("Lambda-Runtime-Aws-Request-Id", "request-1")
			w.Header().Set("Lambda-Runtime-Deadline-Ms", fmt.Sprint(e.deadline.UnixMilli()))
			w.Header().Set("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-east-1:1:function:items")
			w.Header().Set("Lambda-Runtime-Trace-Id", "Root=1-5759e988-bd862e3fe1be46a994272793")
			w.Write(e.body)
		case <-req.Context().Done():
		}
	case strings.HasPrefix(at, "invocation/request-1/"):
		body, _ := io.ReadAll(req.Body)
		w.WriteHeader(http.StatusAccepted)
		r.results <- result{string(body), strings.HasSuffix(at, "/error")}
	default:
		http.NotFound(w, req)
	}
}

// lambdaOf serves a handler through the real library and returns how to invoke it.
// The library cannot be stopped: it ends with the test's process.
func lambdaOf(t *testing.T, h *aws.Handler) func(body []byte) result {
	t.Helper()
	r := &runtime{events: make(chan invocation), results: make(chan result), asked: make(chan struct{})}
	srv := httptest.NewServer(r)
	t.Setenv("AWS_LAMBDA_RUNTIME_API", strings.TrimPrefix(srv.URL, "http://"))
	ctx, cancel := context.WithCancel(context.Background())
	go lambda.StartWithOptions(h, lambda.WithContext(ctx))
	<-r.asked
	t.Cleanup(cancel)
	return func(body []byte) result {
		t.Helper()
		select {
		case r.events <- invocation{body, time.Now().Add(time.Minute)}:
		case <-time.After(10 * time.Second):
			t.Fatal("the library asks for no event")
		}
		return <-r.results
	}
}

func document(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
