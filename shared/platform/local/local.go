// Package local is the clouds on one machine: an embedded warehouse, a folder as
// the stage, Pub/Sub inside the process, and the same events, handlers and
// deadlines as in a cloud.
//
// What a connector publishes is pulled from Pub/Sub, wrapped into the CloudEvent
// that Eventarc would deliver, and handed to the handler that a cloud would start
// ([Cloud.Deliver]). A manifest that becomes visible in the stage is announced as
// a bucket notification and delivered the same way. A handler that fails is given
// its event again, after a while, and a bounded number of times. A table that was
// loaded starts the functions that follow it; loads of a table that come while such a
// start waits for its turn are one with it.
//
// It differs from a cloud in one thing: events live in memory, so those that a
// killed process leaves behind are gone. The ledger still knows their slices, and
// the next [Cloud.Run] of the function takes them up.
//
// The stage may also be a bucket of GCS or S3; its manifests are announced here all
// the same, and notifications of the bucket's own are not listened to. Snowflake is
// opened by platform/gcp and platform/aws only.
package local

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"gocloud.dev/blob"
	"golang.org/x/sync/errgroup"

	loadfunction "github.com/millrace-data/millrace/functions/load"
	"github.com/millrace-data/millrace/shared/chain"
	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/follow"
	"github.com/millrace-data/millrace/shared/load"
	"github.com/millrace-data/millrace/shared/stage"
	"github.com/millrace-data/millrace/shared/warehouse"
	"github.com/millrace-data/millrace/shared/warehouse/duckdb"
)

// Options are what a cloud is made of. Only Env is required.
type Options struct {
	Home      string     // "" = MILLRACE_HOME, or .millrace
	Env       env.Lookup // MILLRACE_ variables and the functions' own
	Functions []*extract.Function
	Followers []*follow.Function     // started by the tables that were loaded, where they are configured
	Log       *slog.Logger           // nil = silence
	Now       func() time.Time       // the clock of loads; nil = time.Now
	Progress  func(extract.Progress) // called at pages, by several goroutines; nil = nobody looks
	Loaded    func(load.Outcome)     // called after each manifest, by several goroutines; nil = nobody looks
	Deadline  time.Duration          // of one invocation; 0 = MILLRACE_DEADLINE, or 9m
	Point     func(name string)      // crash points, for tests and the demo
	Backoff   time.Duration          // before the second delivery of an event, ×4 for each one more; 0 = 200ms
}

// Cloud is an open local cloud. It is safe for concurrent use.
type Cloud struct {
	places    Places
	functions map[string]*extract.Function
	env       env.Lookup
	log       *slog.Logger
	deadline  time.Duration
	backoff   time.Duration

	warehouse *warehouse.Warehouse
	bucket    *blob.Bucket
	stage     *stage.Store
	topics    *topics
	extract   *extract.Engine
	load      *load.Engine
	out       chain.Publisher // that engines and followers publish to
	followers followers

	loaded func(load.Outcome)
	flight *flight
	slots  map[string]chan struct{} // by function: one token per handler that may run
	costs  costs
	cancel context.CancelFunc
	served *errgroup.Group
	broken <-chan struct{} // closed when events are no longer served
	closed sync.Once
}

// loads is how many manifests are loaded at a time: one reads while the other
// commits. More would only share the warehouse's memory.
const loads = 2

// bucketName stands for the stage in events, where it is a folder.
const bucketName = "millrace-local"

// Open opens the warehouse and the stage, starts Pub/Sub and serves events until
// ctx ends or Close is called. Configuration that cannot work is fault.Invalid.
func Open(ctx context.Context, o Options) (*Cloud, error) {
	p, err := Locate(o.Env, o.Home)
	if err != nil {
		return nil, err
	}
	c := &Cloud{places: p, env: o.Env, log: o.Log, deadline: o.Deadline, backoff: o.Backoff, loaded: o.Loaded, flight: newFlight(),
		functions: map[string]*extract.Function{}, slots: map[string]chan struct{}{loadfunction.Name: make(chan struct{}, loads)}}
	for _, f := range o.Functions {
		c.functions[f.Name] = f
		c.slots[f.Name] = make(chan struct{}, max(1, f.Workers))
	}
	for _, f := range o.Followers {
		c.slots[f.Name] = make(chan struct{}, 1)
	}
	c.defaults(&o)
	if err := c.open(ctx, o); err != nil {
		return nil, errors.Join(err, c.release())
	}
	c.serve(ctx)
	return c, nil
}

func (c *Cloud) defaults(o *Options) {
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	if c.deadline == 0 {
		c.deadline = c.places.Deadline
	}
	if c.backoff == 0 {
		c.backoff = 200 * time.Millisecond
	}
	if c.loaded == nil {
		c.loaded = func(load.Outcome) {}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
}

// open opens what the engines stand on, in the order in which it may fail.
func (c *Cloud) open(ctx context.Context, o Options) (err error) {
	if err := c.places.Make(); err != nil {
		return err
	}
	if c.warehouse, err = OpenWarehouse(ctx, c.places); err != nil {
		return err
	}
	if err := c.tidy(); err != nil {
		return err
	}
	if c.bucket, c.stage, err = c.places.openStage(ctx, c.arrived); err != nil {
		return err
	}
	if c.topics, err = openTopics(ctx); err != nil {
		return err
	}
	c.out = &counted{c.topics.chain, c.flight}
	c.extract = &extract.Engine{Warehouse: c.warehouse, Stage: c.stage, Chain: c.out, Log: c.log, Env: c.env,
		Scratch: c.places.Scratch, Point: o.Point, Progress: o.Progress, Owner: owner()}
	c.load = &load.Engine{Warehouse: c.warehouse, Stage: c.stage, Chain: c.out, Log: c.log, Now: o.Now, Point: o.Point}
	c.openFollowers(o, c.out)
	return nil
}

// OpenWarehouse opens only the warehouse, for those who just read.
func OpenWarehouse(ctx context.Context, p Places) (*warehouse.Warehouse, error) {
	// The driver keeps the context for connections that it opens later, and how a
	// cancelled run ended must still be written.
	if p.remote != nil {
		return p.remote(context.WithoutCancel(ctx))
	}
	return duckdb.Open(context.WithoutCancel(ctx), duckdb.Options{Path: p.Warehouse})
}

// tidy removes the scratch files of a process that was killed. The warehouse in
// our home is locked by us, so nobody else can be using them.
func (c *Cloud) tidy() error {
	if c.places.Remote() || filepath.Dir(c.places.Warehouse) != c.places.Home {
		return nil
	}
	old, err := filepath.Glob(filepath.Join(c.places.Scratch, "*"))
	for _, path := range old {
		err = errors.Join(err, os.RemoveAll(path))
	}
	return err
}

// owner names this process in leases.
func owner() string {
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	return fmt.Sprintf("%s/%d", host, os.Getpid())
}

// Warehouse is the cloud's warehouse.
func (c *Cloud) Warehouse() *warehouse.Warehouse { return c.warehouse }

// Stage is the cloud's stage.
func (c *Cloud) Stage() *stage.Store { return c.stage }

// Places is where the cloud keeps its things.
func (c *Cloud) Places() Places { return c.places }

// Close stops the handlers, waits for them and closes everything. What they had
// staged is kept.
func (c *Cloud) Close() (err error) {
	c.closed.Do(func() {
		c.cancel()
		err = c.served.Wait()
		err = errors.Join(err, c.release())
	})
	return err
}

// release closes what is open, the last opened first.
func (c *Cloud) release() error {
	var errs []error
	for _, s := range c.followers.ready {
		errs = append(errs, s.Close())
	}
	if c.topics != nil {
		errs = append(errs, c.topics.close())
	}
	if c.bucket != nil {
		errs = append(errs, c.bucket.Close())
	}
	if c.warehouse != nil {
		errs = append(errs, c.warehouse.Close())
	}
	return errors.Join(errs...)
}

// arrived announces a manifest as its bucket would. The time stands for the
// generation, which tells two writings of one key apart.
func (c *Cloud) arrived(ctx context.Context, key string) error {
	return c.out.Publish(ctx, chain.Message{
		Topic: topicArrivals,
		Attributes: map[string]string{
			"eventType": "OBJECT_FINALIZE", "bucketId": c.stage.Name(), "objectId": c.stage.Object(key),
			"objectGeneration": fmt.Sprint(time.Now().UnixMicro()),
		},
	})
}
