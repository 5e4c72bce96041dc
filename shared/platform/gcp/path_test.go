package gcp_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"cloud.google.com/go/pubsub/v2/pstest"
	"github.com/fsouza/fake-gcs-server/fakestorage"

	"github.com/millrace-data/millrace/shared/chain"
	pubsubchain "github.com/millrace-data/millrace/shared/chain/pubsub"
	"github.com/millrace-data/millrace/shared/platform/gcp"
	"github.com/millrace-data/millrace/shared/platform/platformtest"
)

const (
	project = "millrace-test"
	bucket  = "millrace-stage"
)

// TestMain lets the test's own binary play the functions.
func TestMain(m *testing.M) {
	if f := os.Getenv(platformtest.Function); f != "" {
		serve(f)
	}
	os.Exit(m.Run())
}

// serve is a function's process. It says where it listens, and ends when its parent
// closes its standard input.
func serve(function string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(l.Addr())
	go func() { panic(http.Serve(l, gcp.Handler(platformtest.Options(function)))) }()
	_, _ = bufio.NewReader(os.Stdin).ReadByte()
	os.Exit(0)
}

// google is Google's cloud: a bucket, Pub/Sub, and functions with an address each.
type google struct {
	storage *fakestorage.Server
	topics  *pstest.Server
}

func newGoogle(t *testing.T) *google {
	storage, err := fakestorage.NewServerWithOptions(fakestorage.Options{Scheme: "http", Host: "127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(storage.Stop)
	storage.CreateBucketWithOpts(fakestorage.CreateBucketOpts{Name: bucket})
	topics := pstest.NewServerWithAddress("127.0.0.1:0")
	t.Cleanup(func() { topics.Close() })
	t.Setenv("PUBSUB_EMULATOR_HOST", topics.Addr)
	client, err := pubsub.NewClient(t.Context(), project)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := pubsubchain.New(client).Ensure(t.Context(), chain.TopicSlices, chain.TopicLoaded); err != nil {
		t.Fatal(err)
	}
	return &google{storage, topics}
}

func (g *google) Environ() []string {
	return []string{"MILLRACE_STAGE=gs://" + bucket + "?endpoint=" + g.storage.URL(), "MILLRACE_CHAIN=pubsub:" + project,
		"PUBSUB_EMULATOR_HOST=" + g.topics.Addr}
}

func (g *google) Start(t *testing.T, function string, environ []string) platformtest.Process {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(environ, platformtest.Function+"="+function)
	cmd.Stderr = platformtest.Logged(t, function)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p, err := platformtest.Begin(cmd)
	if err != nil {
		t.Fatal(err)
	}
	addr, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("%s did not start: %v", function, err)
	}
	return &service{p, "http://" + strings.TrimSpace(addr)}
}

// service is a function that is reached at an address.
type service struct {
	*platformtest.Child
	url string
}

func (s *service) Send(t *testing.T, event []byte) bool {
	req, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(event))) // with the headers of binary mode
	if err != nil {
		t.Fatalf("the test's own event: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // far more than the function's own deadline
	defer cancel()
	out, err := http.NewRequestWithContext(ctx, req.Method, s.url, req.Body)
	if err != nil {
		t.Fatal(err)
	}
	out.Header, out.ContentLength = req.Header, req.ContentLength
	resp, err := http.DefaultTransport.RoundTrip(out)
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// request is one in the bytes in which it is sent.
func request(body []byte, header ...string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "POST / HTTP/1.1\r\nHost: function\r\nContent-Type: application/json\r\nContent-Length: %d\r\n", len(body))
	for _, h := range header {
		b.WriteString(h + "\r\n")
	}
	return append(append(b.Bytes(), "\r\n"...), body...)
}

func (g *google) Objects(t *testing.T) (keys []string) {
	objects, _, err := g.storage.ListObjectsWithOptions(bucket, fakestorage.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range objects {
		keys = append(keys, fmt.Sprintf("%s#%d", o.Name, o.Generation))
	}
	return keys
}

// Arrival is the CloudEvent that Eventarc posts, in binary mode.
func (g *google) Arrival(object string) []byte {
	key, generation, _ := strings.Cut(object, "#")
	body, _ := json.Marshal(map[string]any{"kind": "storage#object", "bucket": bucket, "name": key, "generation": generation})
	return request(body, "ce-specversion: 1.0", "ce-id: "+object, "ce-type: google.cloud.storage.object.v1.finalized",
		"ce-source: //storage.googleapis.com/projects/_/buckets/"+bucket, "ce-subject: objects/"+key, "ce-time: 2025-03-04T03:04:05Z")
}

func (g *google) Published(t *testing.T, topic string) (out []chain.Message) {
	for _, m := range g.topics.Messages() {
		if strings.HasSuffix(m.Topic, "/"+topic) {
			out = append(out, chain.Message{Topic: topic, Key: m.OrderingKey, Attributes: m.Attributes, Data: m.Data, ID: m.ID})
		}
	}
	return out
}

// Message is what Pub/Sub pushes.
func (g *google) Message(m chain.Message) []byte {
	body, _ := json.Marshal(map[string]any{"subscription": "projects/" + project + "/subscriptions/" + m.Topic,
		"message": map[string]any{"data": m.Data, "attributes": m.Attributes, "messageId": m.ID, "orderingKey": m.Key}})
	return request(body)
}

func (g *google) Read(t *testing.T, event []byte) []chain.Delivery {
	req, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(event)))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		t.Fatal(err)
	}
	return []chain.Delivery{chain.SplitRequest(req.Header, body)}
}

func (g *google) Tick(function string, tables []string, at time.Time) []byte {
	return request(platformtest.TickBody(function, tables), "X-CloudScheduler: true", "X-CloudScheduler-JobName: "+function,
		"X-CloudScheduler-ScheduleTime: "+at.Format(time.RFC3339))
}

func TestWholePath(t *testing.T) {
	for _, c := range platformtest.Cases {
		t.Run(c.Name, func(t *testing.T) {
			vendor := c.Vendor()
			srv := httptest.NewServer(vendor)
			t.Cleanup(srv.Close)
			platformtest.Run(t, c, newGoogle(t), vendor, srv.URL)
		})
	}
}
