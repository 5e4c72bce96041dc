package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// runtimeAPI is Lambda's side of a bootstrap: it hands out invocations and takes
// answers.
type runtimeAPI struct {
	address string
	next    chan []byte
	answers chan []byte
	asked   chan struct{} // a place for one
}

func newRuntimeAPI(t testing.TB) *runtimeAPI {
	api := &runtimeAPI{next: make(chan []byte), answers: make(chan []byte, 1), asked: make(chan struct{}, 1)}
	mux := http.NewServeMux()
	const root = "/2018-06-01/runtime/"
	mux.HandleFunc("GET "+root+"invocation/next", func(w http.ResponseWriter, r *http.Request) {
		select {
		case api.asked <- struct{}{}:
		default:
		}
		select {
		case event := <-api.next:
			w.Header().Set("Lambda-Runtime-Aws-Request-Id", "r-1")
			w.Header().Set("Lambda-Runtime-Deadline-Ms", fmt.Sprint(time.Now().Add(time.Minute).UnixMilli()))
			w.Header().Set("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-east-1:1:function:millrace-"+fn)
			_, _ = w.Write(event)
		case <-r.Context().Done():
		case <-t.Context().Done():
		}
	})
	take := func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.WriteHeader(http.StatusAccepted)
		api.answers <- body
	}
	mux.HandleFunc("POST "+root+"invocation/{id}/response", take)
	mux.HandleFunc("POST "+root+"invocation/{id}/error", take)
	mux.HandleFunc("POST "+root+"init/error", take)
	server := httptest.NewServer(mux)
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	api.address = strings.TrimPrefix(server.URL, "http://")
	return api
}

// ready waits until the bootstrap asks for work, and gives it none.
func (api *runtimeAPI) ready(t testing.TB) {
	t.Helper()
	select {
	case <-api.asked:
	case <-time.After(time.Minute):
		t.Fatal("bootstrap asked for no work within a minute")
	}
}

func (api *runtimeAPI) invoke(t testing.TB, event []byte) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	select {
	case api.next <- event:
	case <-ctx.Done():
		t.Fatal("bootstrap asked for no work within a minute")
	}
	select {
	case answer := <-api.answers:
		return answer
	case <-ctx.Done():
		t.Fatal("bootstrap gave no answer within a minute")
	}
	return nil
}

func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// await waits until the function listens.
func await(t testing.TB, url string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for began := time.Now(); ; {
		req, _ := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		res, err := http.DefaultClient.Do(req)
		if err == nil {
			res.Body.Close()
			if _, ok := t.(*testing.T); ok {
				t.Logf("first answer after %s", time.Since(began).Round(time.Millisecond))
			}
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("nobody listens: %v", err)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// post sends an event and returns the answer's body; the answer must be 200.
func post(t *testing.T, url, body string, header ...string) []byte {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("got %s %s, %v", res.Status, answer, err)
	}
	return answer
}
