package pubsub

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"cloud.google.com/go/pubsub/v2/pstest"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/millrace-data/millrace/shared/chain"
	"github.com/millrace-data/millrace/shared/fault"
)

// open starts a Pub/Sub in this process with the topic "loaded".
func open(t *testing.T, opts ...pstest.ServerReactorOption) (*Chain, *pstest.Server) {
	t.Helper()
	srv := pstest.NewServer(opts...)
	conn, err := grpc.NewClient(srv.Addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	client, err := pubsub.NewClient(t.Context(), "acme", option.WithGRPCConn(conn))
	if err != nil {
		t.Fatal(err)
	}
	c := New(client)
	t.Cleanup(func() {
		c.Close()
		client.Close()
		srv.Close()
	})
	for range 2 { // what is there already is fine
		if err := c.Ensure(t.Context(), "loaded"); err != nil {
			t.Fatal(err)
		}
	}
	return c, srv
}

// inbox collects what is delivered and ends the receiving after n deliveries.
type inbox struct {
	mu   sync.Mutex
	got  []chain.Message
	n    int
	done context.CancelFunc
}

func (b *inbox) add(m chain.Message) (deliveries int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.got = append(b.got, m)
	if len(b.got) == b.n {
		b.done()
	}
	return len(b.got)
}

// receive handles n deliveries and returns them.
func receive(t *testing.T, c *Chain, n int, verdict func(delivery int) error) []chain.Message {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	box := &inbox{n: n, done: cancel}
	err := c.Receive(ctx, "loaded", 10, func(_ context.Context, m chain.Message) error { return verdict(box.add(m)) })
	if err != nil {
		t.Fatal(err)
	}
	if len(box.got) < n {
		t.Fatalf("%d deliveries, want %d", len(box.got), n)
	}
	return box.got
}

func ack(int) error { return nil }

func TestOrderPerKey(t *testing.T) {
	t.Parallel()
	c, _ := open(t)
	want := map[string][]string{}
	for i := range 20 {
		key, data := fmt.Sprint("table", i%2), fmt.Sprint(i)
		want[key] = append(want[key], data)
		err := c.Publish(t.Context(), chain.Message{Topic: "loaded", Key: key, Data: []byte(data), Attributes: map[string]string{"i": data}})
		if err != nil {
			t.Fatal(err)
		}
	}
	got := map[string][]string{}
	for _, m := range receive(t, c, 20, ack) {
		got[m.Key] = append(got[m.Key], string(m.Data))
		if m.ID == "" || m.Topic != "loaded" || m.Attributes["i"] != string(m.Data) {
			t.Errorf("got %+v", m)
		}
	}
	for key := range want {
		if !slices.Equal(got[key], want[key]) {
			t.Errorf("%s: got %v, want %v", key, got[key], want[key])
		}
	}
}

// A message whose handler fails comes again, as the same message.
func TestNackComesAgain(t *testing.T) {
	t.Parallel()
	c, srv := open(t)
	if err := c.Publish(t.Context(), chain.Message{Topic: "loaded", Data: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	got := receive(t, c, 3, func(delivery int) error {
		if delivery < 3 {
			return errors.New("not now")
		}
		return nil
	})
	if got[0].ID != got[1].ID || got[0].ID != got[2].ID {
		t.Errorf("ids %s, %s, %s; want the same", got[0].ID, got[1].ID, got[2].ID)
	}
	if acks := srv.Message(got[0].ID).Acks; acks != 1 {
		t.Errorf("%d acks, want 1", acks)
	}
}

// The same content published twice is two messages: telling them apart is the
// inbox's business.
func TestDuplicatesArrive(t *testing.T) {
	t.Parallel()
	c, _ := open(t)
	m := chain.Message{Topic: "loaded", Key: "k", Data: []byte("same")}
	if err := errors.Join(c.Publish(t.Context(), m), c.Publish(t.Context(), m)); err != nil {
		t.Fatal(err)
	}
	if got := receive(t, c, 2, ack); got[0].ID == got[1].ID || string(got[0].Data) != string(got[1].Data) {
		t.Errorf("got %+v", got)
	}
}

// Receive returns only when the handlers have.
func TestReceiveWaits(t *testing.T) {
	t.Parallel()
	c, _ := open(t)
	if err := c.Publish(t.Context(), chain.Message{Topic: "loaded", Data: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	finished := false
	err := c.Receive(ctx, "loaded", 1, func(context.Context, chain.Message) error {
		cancel()
		<-ctx.Done() // work goes on after the end was asked for
		finished = true
		return nil
	})
	if err != nil || !finished {
		t.Errorf("got %v, finished=%v", err, finished)
	}
}

func TestMissing(t *testing.T) {
	t.Parallel()
	c, _ := open(t)
	if err := c.Publish(t.Context(), chain.Message{Topic: "none", Key: "k"}); !errors.Is(err, fault.Invalid) {
		t.Errorf("publish: got %v, want invalid", err)
	}
	if err := c.Receive(t.Context(), "none", 1, nil); !errors.Is(err, fault.Invalid) {
		t.Errorf("receive: got %v, want invalid", err)
	}
}

// A key goes on after an error: else one failure would silence a table for good.
func TestKeyGoesOnAfterError(t *testing.T) {
	t.Parallel()
	c, srv := open(t)
	m := chain.Message{Topic: "loaded", Key: "k", Data: []byte("x")}
	if err := c.Publish(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	srv.SetAutoPublishResponse(false)
	srv.AddPublishResponse(nil, status.Error(codes.PermissionDenied, "no"))
	if err := c.Publish(t.Context(), m); !errors.Is(err, fault.Auth) {
		t.Fatalf("got %v, want auth", err)
	}
	if err := c.Publish(ctx, m); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want canceled", err)
	}
	srv.SetAutoPublishResponse(true)
	if err := c.Publish(t.Context(), m); err != nil {
		t.Errorf("after the error: %v", err)
	}
}
