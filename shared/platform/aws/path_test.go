package aws_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"gocloud.dev/blob"

	"github.com/millrace-data/millrace/shared/chain"
	"github.com/millrace-data/millrace/shared/platform/aws"
	"github.com/millrace-data/millrace/shared/platform/platformtest"
	"github.com/millrace-data/millrace/shared/stage/s3"
)

const (
	stageBucket = "millrace-stage"
	topics      = "arn:aws:sns:us-east-1:000000000000"
)

// TestMain lets the test's own binary play the functions.
func TestMain(m *testing.M) {
	if f := os.Getenv(platformtest.Function); f != "" {
		go func() { // ends with its parent
			_, _ = bufio.NewReader(os.Stdin).ReadByte()
			os.Exit(0)
		}()
		aws.Start(f, platformtest.Options(f))
	}
	os.Exit(m.Run())
}

// cloud is Amazon's: a bucket, SNS, and functions that Lambda starts.
type cloud struct {
	store  *httptest.Server
	bucket *blob.Bucket
	sns    *httptest.Server

	mu   sync.Mutex
	sent []chain.Message
}

func newCloud(t *testing.T) *cloud {
	backend := s3mem.New()
	if err := backend.CreateBucket(stageBucket); err != nil {
		t.Fatal(err)
	}
	c := &cloud{store: httptest.NewServer(gofakes3.New(backend).Server())}
	t.Cleanup(c.store.Close)
	c.sns = httptest.NewServer(http.HandlerFunc(c.publish))
	t.Cleanup(c.sns.Close)
	var err error
	if c.bucket, err = s3.Open(t.Context(), stageBucket, s3.Options{Region: "us-east-1", Endpoint: c.store.URL}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.bucket.Close() })
	return c
}

// publish is SNS: it keeps what is published, under an id of its own.
func (c *cloud) publish(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil || r.Form.Get("Action") != "Publish" {
		http.Error(w, "this is Publish only", http.StatusBadRequest)
		return
	}
	m := chain.Message{Topic: r.Form.Get("TopicArn"), Attributes: map[string]string{}, Data: []byte(r.Form.Get("Message"))}
	m.Topic = m.Topic[strings.LastIndex(m.Topic, ":")+1:]
	for n := 1; ; n++ {
		at := fmt.Sprintf("MessageAttributes.entry.%d.", n)
		if !r.Form.Has(at + "Name") {
			break
		}
		m.Attributes[r.Form.Get(at+"Name")] = r.Form.Get(at + "Value.StringValue")
	}
	c.mu.Lock()
	m.ID = fmt.Sprintf("00000000-0000-0000-0000-%012d", len(c.sent)+1)
	c.sent = append(c.sent, m)
	c.mu.Unlock()
	fmt.Fprintf(w, `<PublishResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><PublishResult><MessageId>%s</MessageId></PublishResult></PublishResponse>`, m.ID)
}

func (c *cloud) Environ() []string {
	return []string{"MILLRACE_STAGE=s3://" + stageBucket + "?region=us-east-1&endpoint=" + c.store.URL, "MILLRACE_CHAIN=sns:" + topics,
		"AWS_ENDPOINT_URL_SNS=" + c.sns.URL, "AWS_REGION=us-east-1", "AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test"}
}

// function is a process that asks a Runtime API of its own for events.
type function struct {
	*platformtest.Child
	api *runtime
}

func (c *cloud) Start(t *testing.T, name string, environ []string) platformtest.Process {
	api := &runtime{events: make(chan invocation), results: make(chan result, 1), asked: make(chan struct{})}
	srv := httptest.NewServer(api)
	t.Cleanup(srv.CloseClientConnections)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(environ, platformtest.Function+"="+name, "AWS_LAMBDA_RUNTIME_API="+strings.TrimPrefix(srv.URL, "http://"))
	cmd.Stderr = platformtest.Logged(t, name)
	p, err := platformtest.Begin(cmd)
	if err != nil {
		t.Fatal(err)
	}
	return &function{p, api}
}

// Send invokes the function. A queue's event is dealt with where no message of it is
// to come again.
func (f *function) Send(t *testing.T, event []byte) bool {
	const long = time.Minute // far more than the function's own deadline
	select {
	case f.api.events <- invocation{event, time.Now().Add(long)}:
	case <-f.Done():
		return false
	case <-time.After(long):
		t.Fatal("the function asks for no event")
	}
	select {
	case r := <-f.api.results:
		var batch struct {
			Failures []struct{ ItemIdentifier string } `json:"batchItemFailures"`
		}
		_ = json.Unmarshal([]byte(r.body), &batch) // of what is no batch there are none
		return !r.failed && len(batch.Failures) == 0
	case <-f.Done():
		return false
	case <-time.After(long):
		t.Fatal("the function does not answer")
	}
	return false
}

func (c *cloud) Objects(t *testing.T) (out []string) {
	for it := c.bucket.List(nil); ; {
		o, err := it.Next(t.Context())
		if err == io.EOF {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, fmt.Sprintf("%s#%016X", o.Key, o.ModTime.UnixNano()))
	}
}

// Arrival is the notification that S3 sends, its key encoded as in a form.
func (c *cloud) Arrival(object string) []byte {
	key, sequencer, _ := strings.Cut(object, "#")
	b, _ := json.Marshal(map[string]any{"Records": []any{map[string]any{"eventVersion": "2.1", "eventSource": "aws:s3", "eventName": "ObjectCreated:Put",
		"s3": map[string]any{"bucket": map[string]any{"name": stageBucket},
			"object": map[string]any{"key": url.QueryEscape(key), "eTag": sequencer, "sequencer": sequencer}}}}})
	return b
}

func (c *cloud) Published(_ *testing.T, topic string) (out []chain.Message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.sent {
		if m.Topic == topic {
			out = append(out, m)
		}
	}
	return out
}

// Message is what SQS hands over of a queue that follows the topic.
func (c *cloud) Message(m chain.Message) []byte {
	attributes := map[string]any{}
	for k, v := range m.Attributes {
		attributes[k] = map[string]string{"Type": "String", "Value": v}
	}
	envelope, _ := json.Marshal(map[string]any{"Type": "Notification", "MessageId": m.ID, "TopicArn": topics + ":" + m.Topic,
		"Message": string(m.Data), "MessageAttributes": attributes})
	b, _ := json.Marshal(map[string]any{"Records": []any{map[string]any{"messageId": "q-" + m.ID, "receiptHandle": "r", "body": string(envelope),
		"attributes": map[string]string{"ApproximateReceiveCount": "1"}, "eventSource": "aws:sqs", "awsRegion": "us-east-1",
		"eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:" + m.Topic}}})
	return b
}

func (c *cloud) Read(_ *testing.T, event []byte) []chain.Delivery { return chain.Split(event) }

// Tick is what EventBridge Scheduler sends as it was set up to.
func (c *cloud) Tick(name string, tables []string, at time.Time) []byte {
	var tick map[string]any
	_ = json.Unmarshal(platformtest.TickBody(name, tables), &tick)
	tick["scheduled_time"] = at.Format(time.RFC3339)
	b, _ := json.Marshal(tick)
	return b
}

func TestWholePath(t *testing.T) {
	for _, c := range platformtest.Cases {
		t.Run(c.Name, func(t *testing.T) {
			vendor := c.Vendor()
			srv := httptest.NewServer(vendor)
			t.Cleanup(srv.Close)
			platformtest.Run(t, c, newCloud(t), vendor, srv.URL)
		})
	}
}
