// Package platform makes a deployed function of a connector or of load: it opens what
// the environment names, and hands events to the engines. What is particular to a
// cloud (how requests arrive, who retries, how logs look) is in gcp and aws, which
// stand on it; local is the same on one machine.
//
// One process serves one function. What it opens lives as long as the process and is
// shared by its invocations; secrets are fetched again after a while, so that a
// rotation needs no deployment.
package platform

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"gocloud.dev/blob"

	"github.com/millrace-data/millrace/functions"
	loadfunction "github.com/millrace-data/millrace/functions/load"
	"github.com/millrace-data/millrace/shared/chain"
	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/load"
	"github.com/millrace-data/millrace/shared/stage"
	"github.com/millrace-data/millrace/shared/warehouse"
)

// Settings is what the environment says about the deployment itself.
type Settings struct {
	Warehouse env.Secret    `envconfig:"WAREHOUSE" required:"true" doc:"snowflake:DSN, or a reference to it"`
	Stage     string        `envconfig:"STAGE" required:"true" doc:"gs://BUCKET/FOLDER, s3://BUCKET/FOLDER"`
	Chain     string        `envconfig:"CHAIN" required:"true" doc:"pubsub:PROJECT, aws:REGION:ACCOUNT"`
	Deadline  time.Duration `envconfig:"DEADLINE" default:"9m" doc:"budget of one invocation where the platform gives none"`
}

// Options are what a function is made of.
type Options struct {
	Function  string              // its name: a connector's, or load
	Functions []*extract.Function // that Function is one of; nil = all of this build
	Environ   []string            // as os.Environ returns it
	Secrets   env.Resolver        // of values that are references
	Log       *slog.Logger
	Warehouse func(ctx context.Context, place string) (*warehouse.Warehouse, error) // opens MILLRACE_WAREHOUSE
	Chain     func(ctx context.Context, place string) (Chain, error)                // opens MILLRACE_CHAIN; nil = OpenChain
	Scratch   string                                                                // "" = the system's
	Point     func(name string)                                                     // crash points, for tests
	Lease     time.Duration                                                         // see [extract.Engine]
}

// Chain is a chain that can be closed.
type Chain interface {
	chain.Publisher
	Close() error
}

// Node is one function of a deployment. It is safe for concurrent use.
type Node struct {
	o         Options
	settings  Settings
	f         *extract.Function // nil: load
	warehouse *warehouse.Warehouse
	bucket    *blob.Bucket
	chain     Chain
	extract   *extract.Engine
	load      *load.Engine
	env       atomic.Pointer[env.Lookup] // as of the newest event
}

// Open opens what the function stands on. All that is missing in its configuration is
// named in one fault.Invalid.
func Open(ctx context.Context, o Options) (*Node, error) {
	n := &Node{o: o}
	if err := n.find(); err != nil {
		return nil, err
	}
	if n.o.Secrets != nil {
		n.o.Secrets = Cached(n.o.Secrets, secretLife)
	}
	if err := n.refresh(ctx); err != nil {
		return nil, err
	}
	if err := env.Load(n.lookup, "MILLRACE", &n.settings); err != nil {
		return nil, err
	}
	if err := n.open(ctx); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

func (n *Node) find() (err error) {
	all := n.o.Functions
	if all == nil {
		all = functions.All
	}
	for _, f := range all {
		if f.Name == n.o.Function {
			n.f = f
		}
	}
	if n.f == nil && n.o.Function != loadfunction.Name {
		_, err = functions.Find(n.o.Function)
	}
	return err
}

func (n *Node) open(ctx context.Context) (err error) {
	open := n.o.Chain
	if open == nil {
		open = OpenChain
	}
	if n.warehouse, err = n.o.Warehouse(ctx, n.settings.Warehouse.Reveal()); err != nil {
		return err
	}
	var so stage.Options
	if n.bucket, so, err = OpenStage(ctx, n.settings.Stage); err != nil {
		return err
	}
	if n.chain, err = open(ctx, n.settings.Chain); err != nil {
		return err
	}
	so.Scratch = n.o.Scratch
	s := stage.New(n.bucket, so)
	host, _ := os.Hostname()
	n.extract = &extract.Engine{Warehouse: n.warehouse, Stage: s, Chain: n.chain, Log: n.o.Log, Env: n.lookup, Scratch: n.o.Scratch, Point: n.o.Point, Lease: n.o.Lease,
		Owner: fmt.Sprintf("%s/%d", host, os.Getpid())}
	n.load = &load.Engine{Warehouse: n.warehouse, Stage: s, Chain: n.chain, Log: n.o.Log, Now: time.Now, Point: n.o.Point}
	return nil
}

// refresh resolves the references in the environment; those that were fetched lately
// are not fetched again.
func (n *Node) refresh(ctx context.Context) error {
	r := n.o.Secrets
	if r == nil {
		r = noSecrets{}
	}
	lookup, err := env.Resolved(ctx, n.o.Environ, r)
	if err == nil {
		n.env.Store(&lookup)
	}
	return err
}

func (n *Node) lookup(key string) (string, bool) { return (*n.env.Load())(key) }

// noSecrets refuses references where there is nothing to resolve them.
type noSecrets struct{}

// Resolve implements [env.Resolver].
func (noSecrets) Resolve(context.Context, string) (string, error) {
	return "", fault.New(fault.Invalid, "this platform resolves no references: give the value itself")
}

// Name is the function's name.
func (n *Node) Name() string { return n.o.Function }

// Close closes what is open, the last opened first.
func (n *Node) Close() error {
	var errs []error
	if n.chain != nil {
		errs = append(errs, n.chain.Close())
	}
	if n.bucket != nil {
		errs = append(errs, n.bucket.Close())
	}
	if n.warehouse != nil {
		errs = append(errs, n.warehouse.Close())
	}
	return errors.Join(errs...)
}

// Handle deals with one event, in any form that [chain.Decode] reads. nil means that
// it is dealt with, also where its slice failed, was refused or paused: the ledger
// says so, and the next run decides. An event that can never be dealt with is kept in
// the stage and recorded, and is dealt with by that. An error means: again, later.
func (n *Node) Handle(ctx context.Context, event []byte) error {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, n.settings.Deadline)
		defer cancel()
	}
	err := n.handle(ctx, event)
	if kind := fault.Of(err); err != nil && kind != fault.Transient && kind != fault.Limited && kind != fault.Stale {
		return n.poison(ctx, event, err)
	}
	if errors.Is(err, fault.Stale) { // a newer attempt deals with it
		return nil
	}
	return err
}

func (n *Node) handle(ctx context.Context, event []byte) error {
	if n.f == nil {
		_, err := loadfunction.Handle(ctx, n.load, event)
		return err
	}
	events, err := chain.Decode(event)
	if err != nil {
		return err
	}
	if err := n.refresh(ctx); err != nil {
		return err
	}
	for _, ev := range events {
		if err := n.read(ctx, ev); err != nil {
			return err
		}
	}
	return nil
}

func (n *Node) read(ctx context.Context, ev chain.Event) error {
	switch {
	case ev.Tick != nil && ev.Tick.Function != n.f.Name:
		return fault.New(fault.Invalid, "a tick of %q came to %s: give it to that function", ev.Tick.Function, n.f.Name)
	case ev.Tick != nil:
		_, err := n.extract.Tick(ctx, n.f, request(*ev.Tick))
		return err
	case ev.Message == nil:
		return fault.New(fault.Invalid, "%s reads slices that a message names; this event is an object's arrival: give it to %s", n.f.Name, loadfunction.Name)
	case time.Until(ev.Message.NotBefore) > early:
		return fault.LimitedUntil(ev.Message.NotBefore, "the message is not due yet")
	}
	out, err := n.extract.Handle(ctx, n.f, *ev.Message)
	if err == nil && out.State == extract.Stale && time.Now().Before(out.Until) {
		// Perhaps that worker was killed: then this delivery is all there is to go on with.
		return fault.LimitedUntil(out.Until, "another worker has slice %s of %s", out.Slice.ID, out.Slice.Table)
	}
	return err
}

// early is how much before its time a message may be handled: who delivers it again
// waits at least that long.
const early = 5 * time.Second

func request(t chain.Tick) extract.Request {
	r := extract.Request{Tables: t.Tables, From: t.From, To: t.To, Now: t.At.UTC()}
	if t.At.IsZero() {
		r.Now = time.Now().UTC()
	}
	if t.Backfill {
		r.Purpose = extract.Backfill
	}
	return r
}

// poison keeps an event that no delivery can help, so that a person can look at it,
// and records why. Where that fails, the event comes again.
func (n *Node) poison(ctx context.Context, event []byte, cause error) error {
	sum := sha256.Sum256(event)
	key := stage.Corrupt + "events/" + hex.EncodeToString(sum[:8]) + ".json"
	now := time.Now().UTC()
	s := n.extract.Stage
	run := warehouse.Run{ID: now.Format("20060102T150405.000000Z"), Function: n.o.Function, Step: "event", Outcome: warehouse.Failed,
		StartedAt: now, ErrorKind: fault.Of(cause).Error(), Error: cause.Error() + " (the event is kept as " + key + ")"}
	if err := errors.Join(s.Put(ctx, key, event), n.warehouse.RecordRun(ctx, run)); err != nil {
		return fmt.Errorf("an event that cannot be handled (%w) could not be kept: %w", cause, err)
	}
	n.o.Log.ErrorContext(ctx, "event cannot be handled", "function", n.o.Function, "error", cause, "kept", key)
	return nil
}
