package sqs_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/millrace-data/millrace/shared/chain"
	"github.com/millrace-data/millrace/shared/chain/sqs"
	"github.com/millrace-data/millrace/shared/fault"
)

func topics(t *testing.T, s string) sqs.Topics {
	t.Helper()
	out, err := sqs.ParseTopics(s)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// collect receives until n deliveries were made; handle says how each ends.
func collect(t *testing.T, a *amazon, n int, handle func(chain.Delivery) error) (got []chain.Delivery) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var mu sync.Mutex
	err := sqs.NewQueue(a.sqs(), a.url+"/1/queue").Receive(ctx, 10, func(_ context.Context, d chain.Delivery) error {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, d)
		if len(got) == n {
			cancel()
		}
		return handle(d)
	})
	if err != nil || len(got) != n {
		t.Fatalf("%d deliveries, %v; want %d", len(got), err, n)
	}
	return got
}

func done(chain.Delivery) error { return nil }

func TestWhatIsPublishedIsDelivered(t *testing.T) {
	due := time.Date(2025, 1, 5, 2, 0, 0, 5, time.UTC)
	for name, m := range map[string]chain.Message{
		"a slice":     {Topic: chain.TopicSlices, Data: []byte(`{"function":"clari","table":"users","slice":"s"}`), Attributes: map[string]string{"function": "clari"}, NotBefore: due},
		"with a key":  {Topic: chain.TopicLoaded, Key: "clari.users", Data: []byte(`{"slice":"s"}`), Attributes: map[string]string{"a": "b c"}},
		"bytes":       {Topic: "t", Data: []byte{0, 255, '"', '\n'}},
		"no data":     {Topic: "t", Data: []byte{}},
		"a space":     {Topic: "t", Data: []byte(" ")},
		"an envelope": {Topic: "t", Data: []byte(`{"Records":[]}`)},
	} {
		for _, raw := range []bool{false, true} {
			for _, place := range []string{"arn:aws:sns:us-east-1:1", "arn:aws:sns:us-east-1:1?fifo=true"} {
				a := newAmazon(t)
				a.raw = raw
				p := sqs.NewPublisher(a.sns(), topics(t, place))
				if err := p.Publish(t.Context(), m); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				d := collect(t, a, 1, done)[0]
				if d.Err != nil || len(d.Events) != 1 || d.Events[0].Message == nil {
					t.Fatalf("%s, raw %v: got %+v, %v", name, raw, d.Events, d.Err)
				}
				want := m
				want.ID = "m1"
				got := *d.Events[0].Message
				if delete(got.Attributes, chain.AttributeNotBefore); len(got.Attributes) == 0 {
					got.Attributes = nil
				}
				if !reflect.DeepEqual(got, want) || d.Tries != 1 {
					t.Errorf("%s, raw %v: got %+v, want %+v", name, raw, got, want)
				}
			}
		}
	}
}

func TestWhatFailsComesAgain(t *testing.T) {
	a := newAmazon(t)
	p := sqs.NewPublisher(a.sns(), topics(t, "arn:aws:sns:us-east-1:1"))
	if err := p.Publish(t.Context(), chain.Message{Topic: "t", Data: []byte("1")}); err != nil {
		t.Fatal(err)
	}
	got := collect(t, a, 3, func(d chain.Delivery) error {
		if d.Tries < 3 {
			return errors.New("not yet")
		}
		return nil
	})
	if got[2].Tries != 3 || got[0].Events[0].ID != got[2].Events[0].ID || !slices.Equal(a.shown, []int{5, 10}) || len(a.messages) != 0 {
		t.Errorf("deliveries %+v, hidden for %v seconds, %d left", got, a.shown, len(a.messages))
	}
}

// Of one key nothing overtakes a message that failed.
func TestOrder(t *testing.T) {
	a := newAmazon(t)
	p := sqs.NewPublisher(a.sns(), topics(t, "arn:aws:sns:us-east-1:1?fifo=true"))
	for i := range 6 {
		if err := p.Publish(t.Context(), chain.Message{Topic: "t", Key: fmt.Sprint("k", i%2), Data: fmt.Append(nil, i)}); err != nil {
			t.Fatal(err)
		}
	}
	failed := false
	var order []string
	collect(t, a, 7, func(d chain.Delivery) error {
		m := d.Events[0].Message
		if string(m.Data) == "2" && !failed {
			failed = true
			return errors.New("not yet")
		}
		order = append(order, m.Key+"="+string(m.Data))
		return nil
	})
	for _, key := range []string{"k0", "k1"} {
		of := slices.DeleteFunc(slices.Clone(order), func(s string) bool { return !strings.HasPrefix(s, key) })
		if !slices.IsSorted(of) || len(of) != 3 {
			t.Errorf("%s: %v", key, of)
		}
	}
}

// What cannot be read reaches the handler, which records it.
func TestPoisonReachesTheHandler(t *testing.T) {
	a := newAmazon(t)
	a.messages = []*held{{id: "p", body: "hush"}}
	d := collect(t, a, 1, done)[0]
	if !errors.Is(d.Err, fault.Invalid) || string(d.Raw) != "hush" || len(a.messages) != 0 {
		t.Errorf("got %+v, %v; %d left", d, d.Err, len(a.messages))
	}
}

func TestPublishFaults(t *testing.T) {
	a := newAmazon(t)
	p := sqs.NewPublisher(a.sns(), topics(t, "arn:aws:sns:us-east-1:1"))
	for code, kind := range map[string]error{"AuthorizationError": fault.Auth, "ExpiredToken": fault.Auth, "NotFound": fault.Invalid, "InvalidParameter": fault.Invalid,
		"Throttled": fault.Limited, "InternalError": fault.Transient} {
		a.bad = code
		if err := p.Publish(t.Context(), chain.Message{Topic: "topic", Data: []byte("hush")}); !errors.Is(err, kind) || !strings.Contains(err.Error(), "topic") || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: got %v, want %v", code, err, kind)
		}
	}
	before := a.published
	if err := p.Publish(t.Context(), chain.Message{Topic: "t", Data: make([]byte, 300<<10)}); !errors.Is(err, fault.Invalid) || a.published != before {
		t.Errorf("a message that is too big: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Publish(ctx, chain.Message{Topic: "t", Data: []byte("1")}); err == nil {
		t.Error("published though cancelled")
	}
}

func TestParseTopics(t *testing.T) {
	if got := topics(t, "arn:aws-cn:sns:cn-north-1:123").Region(); got != "cn-north-1" {
		t.Errorf("region %q", got)
	}
	for _, s := range []string{"", "arn:aws:sns:us-east-1", "arn:aws:sqs:us-east-1:1", "us-east-1:1", "arn:aws:sns:us-east-1:1:topic"} {
		if _, err := sqs.ParseTopics(s); !errors.Is(err, fault.Invalid) {
			t.Errorf("%q: got %v", s, err)
		}
	}
}

func TestNothingIsLeftRunning(t *testing.T) {
	before := goleak.IgnoreCurrent()
	a := newAmazon(t)
	a.messages = []*held{{id: "p", body: "{}"}}
	collect(t, a, 1, done)
	goleak.VerifyNone(t, before, goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"), goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"),
		goleak.IgnoreAnyFunction("net/http.(*Server).Serve"), goleak.IgnoreAnyFunction("net/http.(*conn).serve"), goleak.IgnoreAnyFunction("net/http.(*connReader).backgroundRead"))
}
