// Package platform is what all clouds have in common: it opens the engines that the
// environment names and gives one function's events to them.
//
// A [Node] is a deployed function. [Node.Handle] takes what chain.Split or
// chain.SplitRequest read, whichever cloud delivered it, and answers in the one
// word that matters to who delivers: does it have to come again. What can never
// succeed is recorded and done with; what passes comes again, as often as the
// queue's own limit says. The platforms around it, platform/gcp and platform/aws,
// only translate: an HTTP status, an error, the failed items of a batch.
//
// Nothing is opened before the first event. Secrets by reference are read then, and
// again when their lifetime is over; a changed one opens everything anew. A Node
// keeps no state that matters: the ledger has it.
package platform

import (
	"context"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/millrace-data/millrace/functions"
	loadfunction "github.com/millrace-data/millrace/functions/load"
	"github.com/millrace-data/millrace/shared/chain"
	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/follow"
	"github.com/millrace-data/millrace/shared/warehouse"
)

// Options are what a deployed function is made of. Only Function is required.
type Options struct {
	Function  string                                                                // a connector's name, a follower's, or load
	Functions []*extract.Function                                                   // the connectors, that Function may be one of; nil = all of this build
	Followers []*follow.Function                                                    // those that tables start, that Function may be one of; nil = all of this build
	Environ   []string                                                              // nil = os.Environ()
	Secrets   env.Resolver                                                          // of references in the environment; nil = there may be none
	Log       *slog.Logger                                                          // nil = silence; see [Log]
	Warehouse func(ctx context.Context, place string) (*warehouse.Warehouse, error) // opens MILLRACE_WAREHOUSE; nil = Snowflake
	Chain     func(ctx context.Context, place string) (Chain, error)                // opens MILLRACE_CHAIN; nil = Pub/Sub or SNS
	Now       func() time.Time                                                      // nil = time.Now
	Scratch   string                                                                // a folder; "" = one in the system's
	Instance  string                                                                // by which a person finds this worker; "" = the host's name
	Point     func(name string)                                                     // crash points, for tests
	Lease     time.Duration                                                         // see [extract.Engine]
	Exit      func(code int)                                                        // ends the process where an event does not come back; nil = os.Exit
}

// Chain is a chain that can be closed.
type Chain interface {
	chain.Publisher
	Close() error
}

// Node is a deployed function. It is safe for concurrent use.
type Node struct {
	o       Options
	secrets *Vault

	mu   sync.Mutex
	mill *mill // the newest
}

// New makes a function, which opens nothing yet.
func New(o Options) *Node {
	if o.Functions == nil {
		o.Functions = functions.All
	}
	if o.Followers == nil {
		o.Followers = functions.Followers
	}
	if o.Environ == nil {
		o.Environ = os.Environ()
	}
	if o.Secrets == nil {
		o.Secrets = none{}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Exit == nil {
		o.Exit = os.Exit
	}
	if o.Instance == "" {
		o.Instance, _ = os.Hostname()
	}
	return &Node{o: o, secrets: &Vault{From: o.Secrets, Now: o.Now}}
}

// role is the function as a connector or as one that tables start; both are nil for
// load.
func (n *Node) role() (*extract.Function, *follow.Function, error) {
	for _, f := range n.o.Functions {
		if f.Name == n.o.Function {
			return f, nil, nil
		}
	}
	for _, f := range n.o.Followers {
		if f.Name == n.o.Function {
			return nil, f, nil
		}
	}
	if n.o.Function == loadfunction.Name {
		return nil, nil, nil
	}
	f, err := functions.Find(n.o.Function)
	return f, nil, err
}

// Name is what the function is called.
func (n *Node) Name() string { return n.o.Function }

// Log is where the function logs.
func (n *Node) Log() *slog.Logger { return n.o.Log }

// Close closes what is open, once the events under way are done with it.
func (n *Node) Close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.retire(n.mill)
	n.mill = nil
}
