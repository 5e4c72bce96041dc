package local

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millrace-data/millrace/functions/load"
	"github.com/millrace-data/millrace/shared/chain"
	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/warehouse"
)

const (
	deliveries  = 5    // of one event, then its slice has failed
	outstanding = 1000 // messages pulled ahead; those that may run are counted by slots
)

// serve pulls from the subscriptions until the cloud is closed.
func (c *Cloud) serve(ctx context.Context) {
	ctx, c.cancel = context.WithCancel(ctx)
	c.served, ctx = errgroup.WithContext(ctx)
	c.broken = ctx.Done()
	for topic, handle := range map[string]func(context.Context, chain.Message) error{
		chain.TopicSlices: func(ctx context.Context, m chain.Message) error {
			return c.Deliver(ctx, m.Attributes["function"], chain.MessageEvent(m, project, chain.TopicSlices, time.Now()))
		},
		topicArrivals: func(ctx context.Context, m chain.Message) error {
			a := m.Attributes
			return c.Deliver(ctx, load.Name, chain.ArrivalEvent(a["bucketId"], a["objectId"], a["objectGeneration"], time.Now()))
		},
		chain.TopicLoaded: c.announce,
		topicFollowers:    c.subscribed,
	} {
		c.served.Go(func() error {
			err := c.topics.chain.Receive(ctx, topic, outstanding, func(ctx context.Context, m chain.Message) error {
				return c.attempt(ctx, m, handle)
			})
			if ctx.Err() != nil {
				return nil
			}
			return err
		})
	}
}

// attempt handles one delivery of a message. nil acknowledges it.
func (c *Cloud) attempt(ctx context.Context, m chain.Message, handle func(context.Context, chain.Message) error) error {
	number := m.Attributes[flightNumber]
	try := c.flight.try(number)
	if try == 0 {
		return nil
	}
	_ = wait(ctx, time.Until(m.NotBefore))
	err := handle(ctx, m)
	if ctx.Err() != nil {
		return ctx.Err() // the cloud closes; the ledger knows the slice
	}
	if err != nil && try < deliveries && again(m, err) {
		c.log.Warn("handler failed, event comes again", "topic", m.Topic, "delivery", try, "error", err)
		return errors.Join(err, wait(ctx, c.backoff<<(2*(try-1))))
	}
	if err != nil {
		c.giveUp(ctx, m, err)
	}
	c.flight.end(number)
	return nil
}

// again reports whether the same event may fare better soon. A follower's quota has a
// time of its own, and nobody waits for it.
func again(m chain.Message, err error) bool {
	kind := fault.Of(err)
	if _, known := fault.Until(err); known && m.Topic == topicFollowers {
		return false
	}
	return kind == fault.Transient || kind == fault.Limited
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
	return ctx.Err()
}

// giveUp ends an event that no handler could deal with: its slice has failed, and
// the ledger says why. The next run of the function tries again.
func (c *Cloud) giveUp(ctx context.Context, m chain.Message, cause error) {
	switch m.Topic {
	case topicFollowers:
		c.missed(m, cause)
		return
	case chain.TopicLoaded:
		c.log.Error("gave up a message", "topic", m.Topic, "table", m.Attributes["table"], "error", cause)
		return
	}
	s, err := c.sliceOf(ctx, m)
	// What an arrival announced may be committed all the same, by another delivery.
	// A slice that was to be read again and was not has failed, though it is loaded.
	if err == nil && (m.Topic != topicArrivals || s.State != warehouse.Loaded && s.State != warehouse.Refused) {
		err = c.warehouse.End(ctx, s, warehouse.Failed, cause)
	}
	if errors.Is(err, fault.Stale) {
		err = nil // a newer attempt is under way and says itself how it ends
	}
	c.log.Error("gave up an event", "function", s.Function, "table", s.Table, "slice", s.ID, "error", errors.Join(cause, err))
}

// sliceOf finds the ledger row that a message is about.
func (c *Cloud) sliceOf(ctx context.Context, m chain.Message) (warehouse.Slice, error) {
	if object := m.Attributes["objectId"]; object != "" {
		key, _ := c.stage.Key(object)
		return c.warehouse.ByManifest(ctx, key) // not the manifest: it may be what is broken
	}
	var s extract.Slice
	if err := json.Unmarshal(m.Data, &s); err != nil {
		return warehouse.Slice{}, fault.New(fault.Invalid, "message %s is no slice: %w", m.ID, err)
	}
	return c.warehouse.Slice(ctx, s.Function, s.Table, s.ID)
}

// Deliver hands an event, in any form that clouds deliver, to a function: slice
// messages to a connector, arrivals to "load", loaded messages and ticks to one that
// follows tables. It returns when the handler does; nil means that the event is dealt
// with, though its slice may have been paused or refused. An event that is not the
// function's is fault.Invalid.
func (c *Cloud) Deliver(ctx context.Context, function string, event []byte) error {
	follower, err := c.followers.find(function)
	if err != nil {
		return err
	}
	f := c.functions[function]
	if f == nil && follower == nil && function != load.Name {
		return fault.New(fault.Invalid, "event for function %q, but there are only %s", function, strings.Join(c.names(), ", "))
	}
	return c.slotted(ctx, function, func(ctx context.Context) error {
		switch {
		case follower != nil:
			return c.follow(ctx, follower, event)
		case f != nil:
			return c.read(ctx, f, event)
		}
		outcomes, err := load.Handle(ctx, c.load, event)
		for _, o := range outcomes {
			c.loaded(o)
		}
		return err
	})
}

// slotted runs a handler of a function when there is a slot for it, within its time.
func (c *Cloud) slotted(ctx context.Context, function string, do func(context.Context) error) error {
	slot := c.slots[function]
	select {
	case slot <- struct{}{}:
		defer func() { <-slot }()
	case <-ctx.Done():
		return ctx.Err()
	}
	ctx, cancel := context.WithTimeout(ctx, c.deadline)
	defer cancel()
	return do(ctx)
}

// read handles the slices that an event asks for.
func (c *Cloud) read(ctx context.Context, f *extract.Function, event []byte) error {
	events, err := chain.Decode(event)
	if err != nil {
		return err
	}
	for _, e := range events {
		if e.Tick != nil {
			return fault.New(fault.Invalid, "this event is a tick of a schedule: here, use `millrace run %s`", f.Name)
		}
		if e.Message == nil {
			return fault.New(fault.Invalid, "%s reads slices that a message names; this event is an object's arrival: give it to %s", f.Name, load.Name)
		}
		out, err := c.extract.Handle(ctx, f, *e.Message)
		c.costs.add(f.Name, out.Requests, out.Retries)
		if err != nil {
			return err
		}
	}
	return nil
}

// Settle waits until every event, and all that followed from it, is dealt with.
func (c *Cloud) Settle(ctx context.Context) error {
	select {
	case <-c.flight.landed():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-c.broken:
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return errors.New("the local Pub/Sub stopped: run the command again, what is done is kept")
	}
}

func (c *Cloud) names() []string {
	names := slices.Sorted(maps.Keys(c.functions))
	for _, f := range c.followers.declared {
		names = append(names, f.Name)
	}
	return append(names, load.Name)
}

// costs counts what functions asked of their vendors.
type costs struct {
	mu sync.Mutex
	by map[string]cost
}

type cost struct{ requests, retries int64 }

func (c *costs) add(function string, requests, retries int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.by == nil {
		c.by = map[string]cost{}
	}
	was := c.by[function]
	c.by[function] = cost{was.requests + requests, was.retries + retries}
}

func (c *costs) of(function string) cost {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.by[function]
}
