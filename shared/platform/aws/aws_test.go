package aws_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/millrace-data/millrace/shared/chain"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/platform/aws"
	"github.com/millrace-data/millrace/shared/platform/nodetest"
)

type dict = map[string]any

// record is a message of SQS, as Lambda hands it over.
func record(id, body, group string, attributes map[string]string) dict {
	own := dict{}
	for k, v := range attributes {
		own[k] = dict{"stringValue": v, "dataType": "String"}
	}
	system := dict{"ApproximateReceiveCount": "1"}
	if group != "" {
		system["MessageGroupId"] = group
	}
	return dict{"messageId": id, "receiptHandle": "r-" + id, "body": body, "attributes": system, "messageAttributes": own,
		"eventSource": "aws:sqs", "eventSourceARN": "arn:aws:sqs:us-east-1:1:items"}
}

// arrival is S3's notification of an object.
func arrival(key string) dict {
	return dict{"Records": []dict{{"eventVersion": "2.1", "eventSource": "aws:s3", "eventName": "ObjectCreated:Put",
		"s3": dict{"bucket": dict{"name": nodetest.Bucket}, "object": dict{"key": url.QueryEscape(key), "eTag": "e", "sequencer": "0055"}}}}}
}

// The functions of a deployment under Lambda's library, by the events that AWS sends.
func TestUnderTheRuntime(t *testing.T) {
	w := nodetest.New(t)
	items := lambdaOf(t, &aws.Handler{Options: w.Options(t, "items")})
	load := lambdaOf(t, &aws.Handler{Options: w.Options(t, "load")})
	expect := func(what string, got result, failed bool, says string) {
		t.Helper()
		if got.failed != failed || !strings.Contains(got.body, says) {
			t.Errorf("%s: got %+v; want failed %v with %s", what, got, failed, says)
		}
	}
	expect("tick of EventBridge Scheduler", items([]byte(`{"function":"items","scheduled_time":"2025-01-05T02:00:00Z","execution_id":"x"}`)), false, `"ticked"`)
	slices := w.Sent(chain.TopicSlices)
	if len(slices) != 1 || !strings.Contains(string(slices[0].Data), "2025-01-05T02:00:00Z") {
		t.Fatalf("asked for %v", slices)
	}
	envelope := dict{"Type": "Notification", "MessageId": "n1", "TopicArn": "arn:aws:sns:us-east-1:1:millrace-slices", "Message": string(slices[0].Data),
		"MessageAttributes": dict{chain.AttributeTopic: dict{"Type": "String", "Value": chain.TopicSlices}, "function": dict{"Type": "String", "Value": "items"}}}
	expect("slice, SNS in SQS", items(document(t, dict{"Records": []dict{record("m1", string(document(t, envelope)), "", nil)}})), false, `{"batchItemFailures":[]}`)

	key, _ := w.Manifest(t)
	expect("the test that S3 sends", load([]byte(`{"Service":"Amazon S3","Event":"s3:TestEvent","Time":"2025-01-05T02:00:00Z","Bucket":"stage"}`)), false, `[`)
	expect("arrival, S3 in SQS", load(document(t, dict{"Records": []dict{record("m2", string(document(t, arrival(key))), "", nil)}})), false, `{"batchItemFailures":[]}`)
	if n := w.Count(t, `SELECT count(*) FROM items.items`); n != 2 {
		t.Errorf("%d rows", n)
	}
	expect("arrival, straight from S3", load(document(t, arrival(key))), false, `"loaded"`)
	expect("poison, straight", load([]byte(`{"Records":[{"eventSource":"aws:s3","eventName":"ObjectRemoved:Delete"}]}`)), false, `"poison"`)

	w.Down = fault.New(fault.Transient, "the chain is away")
	expect("arrival while the chain is away", load(document(t, arrival(key))), true, "again")
	w.Down = nil
	for _, field := range []string{`"requestId":"request-1"`, `"xrayTraceId":"Root=1-5759e988-bd862e3fe1be46a994272793"`, `"level":"INFO"`, `"timestamp":`} {
		if !strings.Contains(w.Log.String(), field) {
			t.Errorf("the log has no %s", field)
		}
	}
}

// Of a batch, what fails is named, and nothing else with it.
func TestBatch(t *testing.T) {
	w := nodetest.New(t)
	var asked []string
	h := &aws.Handler{Options: w.Options(t, "items")}
	send := func(records ...dict) string {
		t.Helper()
		out, err := h.Invoke(t.Context(), document(t, dict{"Records": records}))
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	tick := `{"function":"items","scheduled_time":"2025-01-05T02:00:00Z"}`
	if got := send(record("a", "hush", "", nil), record("b", tick, "", nil), record("c", `{"hello":1}`, "", nil)); got != `{"batchItemFailures":[]}` {
		t.Errorf("with poison in it: %s", got)
	}
	if n := w.Count(t, `SELECT count(*) FROM millrace.runs WHERE step = 'event'`); n != 2 || len(w.Sent(chain.TopicSlices)) != 1 {
		t.Errorf("%d runs of poison, %d slices", n, len(w.Sent(chain.TopicSlices)))
	}
	w.Down = fault.New(fault.Transient, "the chain is away")
	h.Queues = queues(t, func(in dict) {
		asked = append(asked, fmt.Sprint(in["ReceiptHandle"], in["QueueUrl"], in["VisibilityTimeout"]))
	})
	other := map[string]string{chain.AttributeTopic: chain.TopicSlices, "function": "clari"}
	if got := send(record("a", "{}", "", other), record("b", tick, "", nil), record("c", "{}", "", other)); got != `{"batchItemFailures":[{"itemIdentifier":"b"}]}` {
		t.Errorf("one fails: %s", got)
	}
	if got := send(record("a", "{}", "g", other), record("b", tick, "g", nil), record("c", "{}", "g", other)); got != `{"batchItemFailures":[{"itemIdentifier":"b"},{"itemIdentifier":"c"}]}` {
		t.Errorf("one of a FIFO queue fails: %s", got)
	}
	if want := "r-bhttps://sqs.us-east-1.amazonaws.com/1/items10"; !slices.Equal(asked, []string{want, want}) {
		t.Errorf("asked to see again: %q", asked)
	}
}

// queues is SQS on loopback, of which only the visibility of messages is asked.
func queues(t *testing.T, ask func(in dict)) *sqs.Client {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in dict
		if r.Header.Get("X-Amz-Target") == "AmazonSQS.ChangeMessageVisibility" && json.NewDecoder(r.Body).Decode(&in) == nil {
			ask(in)
		}
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		w.Write([]byte("{}"))
	}))
	t.Cleanup(srv.Close)
	return sqs.New(sqs.Options{Region: "us-east-1", BaseEndpoint: sdk.String(srv.URL), Credentials: credentials.NewStaticCredentialsProvider("a", "b", "")})
}

// A message that is not due comes again when it is, as far as SQS can wait.
func TestNotDueFromAQueue(t *testing.T) {
	w := nodetest.New(t)
	h := &aws.Handler{Options: w.Options(t, "items")}
	if _, err := h.Invoke(t.Context(), []byte(`{"function":"items"}`)); err != nil {
		t.Fatal(err)
	}
	var seconds float64
	h.Queues = queues(t, func(in dict) { seconds, _ = in["VisibilityTimeout"].(float64) })
	m := w.Sent(chain.TopicSlices)[0]
	for due, most := range map[time.Duration]float64{2 * time.Minute: 120, time.Hour: 600} {
		out, err := h.Invoke(t.Context(), document(t, dict{"Records": []dict{record("a", string(m.Data), "", map[string]string{chain.AttributeTopic: m.Topic,
			chain.AttributeNotBefore: time.Now().Add(due).Format(time.RFC3339Nano)})}}))
		if err != nil || string(out) != `{"batchItemFailures":[{"itemIdentifier":"a"}]}` || seconds > most || seconds < most-5 {
			t.Errorf("due in %s: got %s, %v, shown in %v s", due, out, err, seconds)
		}
	}
}
