// Package follow is the third hop: what depends on tables, and starts when they
// were loaded.
//
// A [Function] is a deployable that is no connector: a model that computes a table
// from others, or a sync that carries one to another system. It is started by the
// loaded messages of the tables it follows, by a schedule, or by hand, and it may be
// started twice, late, and for a load that an older one overtook: what it does
// depends on what is in the warehouse, and never on the message.
//
// The package does not deliver events; platforms do.
package follow

import (
	"context"
	"log/slog"
	"time"

	"github.com/millrace-data/millrace/shared/chain"
	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/record"
	"github.com/millrace-data/millrace/shared/reverse"
	"github.com/millrace-data/millrace/shared/warehouse"
)

// Function is a deployable that tables start.
type Function struct {
	Name string // one word, as in `millrace run NAME`
	Doc  string // one sentence for `millrace --help` and doctor

	// Tables are those that it fills itself, which a sync may read. None for most.
	Tables []record.Table

	// Open checks the configuration and makes no request; in may lack all but Inputs
	// and Now.
	// Configuration that is missing is one fault.Invalid that names every missing
	// variable. A Follower that is an io.Closer is closed with the platform.
	Open func(cfg env.Lookup, in Invocation) (Follower, error)
}

// Invocation is what a platform lends to a Follower, for as long as its configuration
// stays the same: one Follower serves many starts, one after the other or at once.
type Invocation struct {
	Warehouse *warehouse.Warehouse
	Chain     chain.Publisher
	Inputs    []reverse.Input // the tables that functions of this build fill
	Log       *slog.Logger
	Now       func() time.Time
	Owner     string // names this worker in leases
	Lease     time.Duration
	Scratch   string            // folder for files that live as long as a start
	Point     func(name string) // crash points, for tests; nil = none
}

// Follower is a Function that is ready to be started.
type Follower interface {
	// Follows are the tables that start it, as schema.table.
	Follows() []string
	// Handle deals with a start. It returns how each thing ended that it did; none,
	// where there was nothing to do. An error means that the start should come again,
	// as its kind says.
	Handle(ctx context.Context, s Start) ([]Outcome, error)
}

// Start is why a Follower is started.
type Start struct {
	Table string    // that was loaded, schema.table; "" = by schedule, or by hand
	Only  []string  // of a start by hand: what to do, by name; none = all that is due
	At    time.Time // when the schedule was due; zero = now
	Hand  bool      // by hand: whatever the schedule says
}

// Outcome is how one thing ended.
type Outcome struct {
	Name  string    // of the table or the sync
	State string    // of the slice or the plan
	Rows  int64     // written
	Until time.Time // paused until
	Err   error     // recorded: it need not come again
}
