package sqs_test

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

type dict = map[string]any

// amazon is SNS with one queue behind all of its topics, on loopback: SNS's query
// protocol, SQS's JSON. Groups of FIFO topics are delivered in order, one batch at a
// time; a message that is neither deleted nor shown comes again.
type amazon struct {
	url string

	mu                sync.Mutex
	raw               bool // deliver without SNS's envelope
	messages          []*held
	shown             []int // visibility timeouts that were asked for, of messages that failed
	bad               string
	published, polled int
}

type held struct {
	id, body, group string
	attributes      map[string]string
	tries           int
	hidden          time.Time
}

func newAmazon(t *testing.T) *amazon {
	t.Helper()
	a := &amazon{}
	srv := httptest.NewServer(a)
	t.Cleanup(srv.Close)
	a.url = srv.URL
	return a
}

func (a *amazon) sns() *sns.Client {
	return sns.New(sns.Options{Region: "us-east-1", BaseEndpoint: aws.String(a.url), Credentials: credentials.NewStaticCredentialsProvider("a", "b", ""), RetryMaxAttempts: 1})
}

func (a *amazon) sqs() *sqs.Client {
	return sqs.New(sqs.Options{Region: "us-east-1", BaseEndpoint: aws.String(a.url), Credentials: credentials.NewStaticCredentialsProvider("a", "b", ""), RetryMaxAttempts: 1})
}

// ServeHTTP implements http.Handler.
func (a *amazon) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	target := strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "AmazonSQS.")
	if target == "" {
		a.publish(w, r)
		return
	}
	var in struct {
		MaxNumberOfMessages, VisibilityTimeout int
		ReceiptHandle                          string
	}
	json.NewDecoder(r.Body).Decode(&in)
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	if target == "ReceiveMessage" {
		json.NewEncoder(w).Encode(dict{"Messages": a.receive(r, in.MaxNumberOfMessages, in.VisibilityTimeout)})
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	i := slices.IndexFunc(a.messages, func(m *held) bool { return m.id == in.ReceiptHandle })
	switch {
	case i < 0:
	case target == "DeleteMessage":
		a.messages = slices.Delete(a.messages, i, i+1)
	case target == "ChangeMessageVisibility":
		a.shown = append(a.shown, in.VisibilityTimeout)
		a.messages[i].hidden = time.Time{} // at once, tests do not wait
	}
	fmt.Fprint(w, "{}")
}

func (a *amazon) publish(w http.ResponseWriter, r *http.Request) {
	r.ParseForm()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.published++
	if a.bad != "" {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, `<ErrorResponse><Error><Type>Sender</Type><Code>%s</Code><Message>x</Message></Error></ErrorResponse>`, a.bad)
		return
	}
	m := &held{id: fmt.Sprintf("m%d", a.published), group: r.Form.Get("MessageGroupId"), attributes: map[string]string{}}
	for i := 1; r.Form.Get(fmt.Sprintf("MessageAttributes.entry.%d.Name", i)) != ""; i++ {
		m.attributes[r.Form.Get(fmt.Sprintf("MessageAttributes.entry.%d.Name", i))] = r.Form.Get(fmt.Sprintf("MessageAttributes.entry.%d.Value.StringValue", i))
	}
	m.body = r.Form.Get("Message")
	if strings.HasSuffix(r.Form.Get("TopicArn"), ".fifo") != (m.group != "" && r.Form.Get("MessageDeduplicationId") != "") {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if !a.raw {
		values := dict{}
		for k, v := range m.attributes {
			values[k] = dict{"Type": "String", "Value": v}
		}
		body, _ := json.Marshal(dict{"Type": "Notification", "MessageId": m.id, "TopicArn": r.Form.Get("TopicArn"), "Message": m.body, "Timestamp": "2025-01-05T02:00:00Z",
			"SignatureVersion": "1", "Signature": "E", "SigningCertURL": "E", "UnsubscribeURL": "E", "MessageAttributes": values})
		m.body, m.attributes = string(body), nil
	}
	a.messages = append(a.messages, m)
	fmt.Fprintf(w, `<PublishResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><PublishResult><MessageId>%s</MessageId></PublishResult></PublishResponse>`, m.id)
}

// receive waits for a moment, as a long poll does.
func (a *amazon) receive(r *http.Request, most, hide int) (out []dict) {
	for end := time.Now().Add(200 * time.Millisecond); len(out) == 0 && time.Now().Before(end) && r.Context().Err() == nil; {
		out = a.visible(most, hide)
	}
	return out
}

func (a *amazon) visible(most, hide int) (out []dict) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.polled++
	held := map[string]bool{}
	for _, m := range a.messages {
		if time.Now().Before(m.hidden) {
			held[m.group] = m.group != ""
		}
	}
	for _, m := range a.messages {
		if len(out) == most || held[m.group] || time.Now().Before(m.hidden) {
			continue
		}
		m.tries++
		m.hidden = time.Now().Add(time.Duration(hide) * time.Second)
		sum := md5.Sum([]byte(m.body))
		one := dict{"MessageId": m.id, "ReceiptHandle": m.id, "Body": m.body, "MD5OfBody": hex.EncodeToString(sum[:]), "Attributes": dict{"ApproximateReceiveCount": fmt.Sprint(m.tries)}}
		if m.group != "" {
			one["Attributes"].(dict)["MessageGroupId"] = m.group
		}
		if m.attributes != nil {
			values := dict{}
			for k, v := range m.attributes {
				values[k] = dict{"StringValue": v, "DataType": "String"}
			}
			one["MessageAttributes"] = values
		}
		out = append(out, one)
	}
	return out
}
