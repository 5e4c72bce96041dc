package local

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"sync"

	"cloud.google.com/go/pubsub/v2"
	"cloud.google.com/go/pubsub/v2/pstest"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/millrace-data/millrace/shared/chain"
	pubsubchain "github.com/millrace-data/millrace/shared/chain/pubsub"
)

const (
	project       = "millrace-local"
	topicArrivals = "millrace-arrivals" // what a bucket's notifications are in a cloud
)

// topics is Pub/Sub inside the process: the real client against Google's own
// in-memory server, over loopback.
type topics struct {
	server *pstest.Server
	conn   *grpc.ClientConn
	client *pubsub.Client
	chain  *pubsubchain.Chain
}

func openTopics(ctx context.Context) (t *topics, err error) {
	defer func() { // how the server reports that it cannot listen
		if r := recover(); r != nil {
			t, err = nil, fmt.Errorf("start Pub/Sub on loopback: %v", r)
		}
	}()
	t = &topics{server: pstest.NewServerWithAddress("127.0.0.1:0")}
	// A proxy of the machine must not come between the process and itself.
	t.conn, err = grpc.NewClient("passthrough:///"+t.server.Addr, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithNoProxy())
	if err == nil {
		t.client, err = pubsub.NewClient(ctx, project, option.WithGRPCConn(t.conn))
	}
	if err == nil {
		t.chain = pubsubchain.New(t.client)
		err = t.chain.Ensure(ctx, chain.TopicSlices, topicArrivals, chain.TopicLoaded, topicFollowers)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("connect to Pub/Sub on loopback: %w", err), t.close())
	}
	return t, nil
}

func (t *topics) close() error {
	var errs []error
	if t.chain != nil {
		t.chain.Close()
	}
	if t.client != nil {
		errs = append(errs, t.client.Close())
	}
	if t.conn != nil {
		if err := t.conn.Close(); err != nil && status.Code(err) != codes.Canceled {
			errs = append(errs, err) // the client closes a connection it was given, or not
		}
	}
	return errors.Join(append(errs, t.server.Close())...)
}

// flight is the messages that were published and not yet dealt with. A handler
// publishes before its own message is done, so an empty flight means that all
// work, and all that followed from it, has ended.
type flight struct {
	mu    sync.Mutex
	next  int
	tries map[string]int // by number: deliveries so far
	idle  chan struct{}  // closed while there is none
}

const flightNumber = "millrace-flight" // attribute

func newFlight() *flight {
	f := &flight{tries: map[string]int{}, idle: make(chan struct{})}
	close(f.idle)
	return f
}

func (f *flight) start() (number string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.tries) == 0 {
		f.idle = make(chan struct{})
	}
	f.next++
	number = strconv.Itoa(f.next)
	f.tries[number] = 0
	return number
}

// try counts a delivery. It is 0 for a message that is done: Pub/Sub may deliver
// one again whose end it did not hear of.
func (f *flight) try(number string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := f.tries[number]; !ok {
		return 0
	}
	f.tries[number]++
	return f.tries[number]
}

func (f *flight) end(number string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := f.tries[number]; !ok {
		return
	}
	if delete(f.tries, number); len(f.tries) == 0 {
		close(f.idle)
	}
}

// landed is closed once the flight is empty, as of now.
func (f *flight) landed() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.idle
}

// counted publishes to the chain and counts what is in flight.
type counted struct {
	chain  chain.Publisher
	flight *flight
}

// Publish implements chain.Publisher.
func (p *counted) Publish(ctx context.Context, m chain.Message) error {
	number := p.flight.start()
	m.Attributes = maps.Clone(m.Attributes)
	if m.Attributes == nil {
		m.Attributes = map[string]string{}
	}
	m.Attributes[flightNumber] = number
	err := p.chain.Publish(ctx, m)
	if err != nil {
		p.flight.end(number)
	}
	return err
}
