package extract

import (
	"context"
	"iter"
	"time"

	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/gate"
	"github.com/millrace-data/millrace/shared/record"
	"github.com/millrace-data/millrace/shared/rest"
)

// Function is a connector as a deployable: what it fills, how its work is cut
// into slices, and how to reach the vendor.
type Function struct {
	Name    string // one word, as in `millrace run NAME`
	Doc     string // one sentence for `millrace --help` and doctor
	Tables  []Table
	Workers int // slices of this function read at the same time; 1 where the vendor's quota is one per tenant

	// Open checks the configuration and returns the vendor, bound to one
	// invocation. It makes no request. Configuration that is missing is one
	// fault.Invalid that names every missing variable. A Source that is an
	// io.Closer is closed when the invocation ends.
	Open func(cfg env.Lookup, in Invocation) (Source, error)
}

// Table is a warehouse table with the way it is filled.
type Table struct {
	record.Table
	Slices   Slicing
	Rules    []gate.Rule // beside the ones every table has: key not null, key unique, totals, few rejects
	Beside   string      // name of the table whose slices fill this one too, where one reading gives rows of several; it has no Slices of its own
	TailMode record.Mode // how the rows of a tail meet the table; "" = Mode. A full scan may replace what tails merge into
	Alone    bool        // one slice of this table is read at a time, over all invocations: a vendor's limit
	Once     bool        // the vendor does not give again what it gave once: no re-sync

	shadowOf string // of the shadow that a re-sync fills: the live table's name
}

// Chooser is a Source whose configuration says which of its function's tables are
// filled, and how: mode, key, rules and slicing may differ from [Function].Tables.
type Chooser interface{ Tables() []Table }

// Chosen is the tables that src fills: all of them, unless it is a [Chooser].
func (f *Function) Chosen(src Source) []Table {
	if c, ok := src.(Chooser); ok {
		return c.Tables()
	}
	return f.Tables
}

// Invocation is what the engine lends to a Source for one invocation.
type Invocation struct {
	Meter   *rest.Meter // counts requests and retries, knows the quota that is left
	Scratch string      // folder for files that live as long as the invocation
	Now     time.Time   // the invocation's one clock, UTC
}

// Source is a vendor, ready to read.
type Source interface {
	// Read streams one slice of one table into out, from out.Cursor() on, and
	// returns nil only when the slice is complete. It calls out.Page at every
	// point it can resume from and returns at once with out's errors. It does not
	// retry, sleep, log or start goroutines.
	Read(ctx context.Context, s Slice, out *Out) error
}

// Lister is a Source that has tables cut by [Objects].
type Lister interface {
	// Objects lists what there is to read for a table, in any order.
	Objects(ctx context.Context, w Wish) iter.Seq2[Object, error]
}

// Wish is what a run asks a [Lister] for.
type Wish struct {
	Table    string // without schema
	Purpose  Purpose
	From, To time.Time // of a backfill; zero = open
	IKnow    bool      // the person who asks was told why not to, and wants it
	Now      time.Time // the run's clock, UTC
	Known    []Known   // what the ledger has of this table, oldest first
}

// Known is an object that has a slice.
type Known struct {
	Name, ETag string
	Loaded     bool
	Started    bool   // it has a cursor: there is something to go on with, such as a job at the vendor's
	Digest     string // what its last commit left: see [Out.Unchanged] and [Out.SetCursor]
}

// Object is one thing to read whole: a file, a version, a quarter. Name and ETag
// are its identity: a changed ETag under the same name is a new slice.
type Object struct {
	Name    string
	ETag    string    // "" where the name says it all
	Size    int64     // bytes; 0 = unknown
	Created time.Time // UTC; a backfill takes those of its range. Zero: the Lister has looked at the range
	Again   bool      `json:",omitempty"` // to be read though it is loaded: what it holds may have changed
}

// Slice is the unit of work: a window, an object, or a scan.
type Slice struct {
	Function string    `json:"function"`
	Table    string    `json:"table"` // without schema
	ID       string    `json:"slice"` // deterministic
	Purpose  Purpose   `json:"purpose"`
	From     time.Time `json:"from,omitzero"` // window, inclusive; UTC
	To       time.Time `json:"to,omitzero"`   // window, exclusive; UTC
	Object   *Object   `json:"object,omitempty"`
	Tail     bool      `json:"tail,omitempty"`     // of a scan: read on from Start
	Start    string    `json:"start,omitempty"`    // of a tail: the vendor's cursor that the last scan or tail left
	Replaces string    `json:"replaces,omitempty"` // of an object: the slice of an older version of it that is loaded
	Attempt  int64     `json:"attempt"`            // attempts in the ledger when this was asked for; tells a repeated message from a new wish
	Now      time.Time `json:"now"`                // the run's one clock, UTC
}

// Purpose is why a slice is read. Only live slices set where a mark begins.
type Purpose string

// The purposes.
const (
	Live     Purpose = "live"
	Backfill Purpose = "backfill"
	Resync   Purpose = "resync"
)

// Slicing is how a table's work is cut. Use [Windows], [Scans] or [Objects].
type Slicing struct {
	Kind     string        `json:"kind"` // windows, scans or objects
	Every    time.Duration `json:"every,omitempty"`
	Settle   time.Duration `json:"settle,omitempty"`
	Lookback time.Duration `json:"lookback,omitempty"`
	Since    time.Time     `json:"since,omitzero"`
	Tail     time.Duration `json:"tail,omitempty"`
}

// Windows cuts time into windows of every, aligned to UTC. A window is due once
// it has been over for settle; each live run reads again what ended within
// lookback. The very first live run reads from since up to the lookback as one
// slice, which is kinder to a quota than thousands of empty days.
func Windows(every, settle, lookback time.Duration, since time.Time) Slicing {
	return Slicing{Kind: "windows", Every: every, Settle: settle, Lookback: lookback, Since: since}
}

// Scans reads the whole table every so often. Where tail is not zero, each run
// in between reads on from the vendor's cursor, one slice per tail period.
func Scans(every, tail time.Duration) Slicing {
	return Slicing{Kind: "scans", Every: every, Tail: tail}
}

// Objects makes every object that the Source lists a slice of its own; the
// ledger knows which ones are loaded.
func Objects() Slicing { return Slicing{Kind: "objects"} }
