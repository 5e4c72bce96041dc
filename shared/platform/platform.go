// Package platform is what all clouds have in common: it opens the engines that the
// environment names and gives one function's events to them.
//
// A [Function] is a deployed function. [Function.Handle] takes what chain.Split or
// chain.DecodeRequest read, whichever cloud delivered it, and answers in the one
// word that matters to who delivers: does it have to come again. What can never
// succeed is recorded and done with; what passes comes again, as often as the
// queue's own limit says. The platforms around it, platform/gcp and platform/aws,
// only translate: an HTTP status, an error, the failed items of a batch.
//
// Nothing is opened before the first event. Secrets by reference are read then, and
// again when their lifetime is over; a changed one opens everything anew. A Function
// keeps no state that matters: the ledger has it.
package platform

import (
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/extract"
)

// Options are what a deployed function is made of. Name and Drivers are required.
type Options struct {
	Name      string            // of the function, as in infra/functions.json
	Connector *extract.Function // nil = the function that loads what arrived
	Drivers   Drivers
	Secrets   env.Resolver           // of references in the environment; nil = there may be none
	Environ   func() []string        // nil = os.Environ
	Log       *slog.Logger           // nil = silence
	Now       func() time.Time       // nil = time.Now
	Scratch   string                 // a folder; "" = the system's
	Instance  string                 // what a person can find this worker by; "" = the host's name
	Point     func(name string)      // crash points, for tests
	Progress  func(extract.Progress) // nil = nobody looks
}

// Function is a deployed function. It is safe for concurrent use.
type Function struct {
	o       Options
	secrets *Vault

	mu   sync.Mutex
	mill *mill // the newest
}

// New makes a function, which opens nothing yet.
func New(o Options) *Function {
	if o.Environ == nil {
		o.Environ = os.Environ
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Instance == "" {
		o.Instance, _ = os.Hostname()
	}
	if o.Secrets == nil {
		o.Secrets = none{}
	}
	return &Function{o: o, secrets: &Vault{From: o.Secrets, Now: o.Now}}
}

// Name is what the function is called.
func (f *Function) Name() string { return f.o.Name }

// Log is where the function logs; see [NewLog].
func (f *Function) Log() *slog.Logger { return f.o.Log }

// Close closes what is open, once the events under way are done with it.
func (f *Function) Close() {
	f.mu.Lock()
	m := f.mill
	f.mill = nil
	f.mu.Unlock()
	f.drop(m)
}
