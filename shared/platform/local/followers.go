package local

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/millrace-data/millrace/functions"
	"github.com/millrace-data/millrace/shared/chain"
	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/follow"
	"github.com/millrace-data/millrace/shared/platform"
	"github.com/millrace-data/millrace/shared/reverse"
	"github.com/millrace-data/millrace/shared/warehouse"
)

// followers are the functions that tables start, and what they did.
type followers struct {
	declared []*follow.Function
	ready    map[string]*platform.Starter
	absent   map[string]error // those that cannot be opened, and what they lack

	mu      sync.Mutex
	pending map[[2]string]bool // function and table: a start is on its way
	did     []deed             // in the order in which things ended
}

// deed is one thing that a follower did.
type deed struct {
	function string
	follow.Outcome
}

// openFollowers opens those that are configured. The others are no failure: who has
// no destination runs connectors all the same.
func (c *Cloud) openFollowers(o Options, out chain.Publisher) {
	f := &c.followers
	f.declared, f.ready, f.absent, f.pending = o.Followers, map[string]*platform.Starter{}, map[string]error{}, map[[2]string]bool{}
	in := follow.Invocation{Warehouse: c.warehouse, Chain: out, Inputs: functions.Inputs(o.Functions, o.Followers), Log: c.log, Now: o.Now,
		Owner: owner(), Scratch: c.places.Scratch, Point: o.Point}
	for _, d := range o.Followers {
		ready, err := d.Open(c.env, in)
		if err != nil {
			f.absent[d.Name] = lacking(d, err)
			c.log.Info("function left out: it is not configured", "function", d.Name, "error", err)
			continue
		}
		f.ready[d.Name] = &platform.Starter{Function: d.Name, Follower: ready, Warehouse: c.warehouse, Log: c.log, Now: o.Now}
	}
}

// ConfiguredFollower asks a function whether it has all it needs, without talking to
// anybody. in are the tables that the functions beside it fill.
func ConfiguredFollower(f *follow.Function, lookup env.Lookup, in []reverse.Input) error {
	_, err := f.Open(lookup, follow.Invocation{Inputs: in, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return lacking(f, err)
	}
	return nil
}

func lacking(f *follow.Function, err error) error {
	return fault.Wrap(fault.Invalid, fmt.Errorf("function %s: %w", f.Name, err))
}

// find is the follower of that name; an error tells what one that is known lacks.
func (f *followers) find(name string) (*platform.Starter, error) {
	return f.ready[name], f.absent[name]
}

// ask reports whether a start has to be published: one that is on its way will see
// what was loaded before it begins.
func (f *followers) ask(function, table string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	was := f.pending[[2]string{function, table}]
	f.pending[[2]string{function, table}] = true
	return !was
}

// begin ends that a start is on its way: what is loaded from here on needs another.
func (f *followers) begin(function, table string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.pending, [2]string{function, table})
}

func (f *followers) note(function string, outcomes ...follow.Outcome) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, o := range outcomes {
		f.did = append(f.did, deed{function, o})
	}
}

// count is how many things were done so far; since are those after that.
func (f *followers) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.did)
}

func (f *followers) since(n int) []deed {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.did[n:len(f.did):len(f.did)]
}

// topicFollowers stands for the subscriptions of followers to chain.TopicLoaded: one
// message for each function that follows the table.
const (
	topicFollowers = "millrace-followers"
	followerName   = "millrace-follower" // attribute
)

// announce asks the followers of a table that was loaded.
func (c *Cloud) announce(ctx context.Context, m chain.Message) error {
	for _, d := range c.followers.declared {
		s := c.followers.ready[d.Name]
		if s == nil {
			continue
		}
		start, mine, err := s.Due(chain.Event{Message: &m})
		if err != nil {
			return err
		}
		if !mine || !c.followers.ask(d.Name, start.Table) {
			continue
		}
		relay := m
		relay.Topic, relay.Key, relay.Attributes = topicFollowers, "", maps.Clone(m.Attributes)
		relay.Attributes[followerName] = d.Name
		if err := c.out.Publish(ctx, relay); err != nil {
			c.followers.begin(d.Name, start.Table)
			return err
		}
	}
	return nil
}

// subscribed delivers what announce asked for, as its own subscription would.
func (c *Cloud) subscribed(ctx context.Context, m chain.Message) error {
	function := m.Attributes[followerName]
	m.Topic, m.Key, m.Attributes = chain.TopicLoaded, m.Attributes["table"], maps.Clone(m.Attributes)
	delete(m.Attributes, followerName)
	return c.Deliver(ctx, function, chain.MessageEvent(m, project, function, time.Now()))
}

// follow starts a follower as an event says.
func (c *Cloud) follow(ctx context.Context, s *platform.Starter, event []byte) error {
	events, err := chain.Decode(event)
	if err != nil {
		return err
	}
	for _, e := range events {
		start, mine, err := s.Due(e)
		if err != nil {
			return err
		}
		if !mine {
			continue
		}
		if err := c.start(ctx, s, start); err != nil {
			return err
		}
	}
	return nil
}

// start starts a follower; the caller has its slot.
func (c *Cloud) start(ctx context.Context, s *platform.Starter, why follow.Start) error {
	c.followers.begin(s.Function, why.Table)
	outcomes, err := s.Start(ctx, why)
	c.followers.note(s.Function, outcomes...)
	return err
}

// missed ends a start that no try could make. The next load of the table, or a run by
// hand, makes it anew.
func (c *Cloud) missed(m chain.Message, cause error) {
	function, table := m.Attributes[followerName], m.Attributes["table"]
	c.followers.begin(function, table)
	c.followers.note(function, failed(cause))
	c.log.Error("gave up a start", "function", function, "table", table, "error", cause)
}

// failed is the outcome of a start that could not be made.
func failed(cause error) follow.Outcome {
	until, limited := fault.Until(cause)
	if limited {
		return follow.Outcome{State: warehouse.Paused, Until: until, Err: cause}
	}
	return follow.Outcome{State: warehouse.Failed, Err: cause}
}

// byHand starts a follower as often as a transient fault asks for.
func (c *Cloud) byHand(ctx context.Context, s *platform.Starter, why follow.Start) error {
	for try := 1; ; try++ {
		err := c.slotted(ctx, s.Function, func(ctx context.Context) error { return c.start(ctx, s, why) })
		if err == nil || try == deliveries || ctx.Err() != nil || fault.Of(err) != fault.Transient {
			return err
		}
		c.log.Warn("start failed, it is made again", "function", s.Function, "try", try, "error", err)
		if err := wait(ctx, c.backoff<<(2*(try-1))); err != nil {
			return err
		}
	}
}

// runFollower starts a follower by hand, and waits for what follows from it.
func (c *Cloud) runFollower(ctx context.Context, s *platform.Starter, r Request) (*Report, error) {
	if !r.From.IsZero() || r.Purpose != "" && r.Purpose != "live" {
		return nil, fault.New(fault.Invalid, "function %s reads no slices: run it without dates", s.Function)
	}
	began, before := time.Now(), c.followers.count()
	err := c.byHand(ctx, s, follow.Start{Hand: true, Only: r.Tables, At: r.Now})
	if err != nil && len(c.followers.since(before)) == 0 {
		return nil, fmt.Errorf("function %s: %w", s.Function, err)
	}
	if err != nil {
		c.followers.note(s.Function, failed(err))
	}
	settled := c.Settle(ctx)
	rep, err := c.followed(context.WithoutCancel(ctx), s.Function, before)
	if err == nil {
		rep.TookMS = time.Since(began).Milliseconds()
	}
	if settled != nil {
		err = settled
	}
	return rep, err
}

// tableOf reports whether what a follower did is a table of its own, and which.
func (f *followers) tableOf(function, name string) (string, bool) {
	for _, d := range f.declared {
		for _, t := range d.Tables {
			if d.Name == function && (name == t.FullName() || name == t.Name) {
				return t.Name, true
			}
		}
	}
	_, table, ok := strings.Cut(name, ".")
	return table, ok
}
