// Package nodetest stands a function up for tests of the platforms: a connector with
// a vendor of two rows, a function that follows its table, DuckDB as the warehouse, a bucket of a fake GCS with real
// generations, and a chain that only remembers.
//
// It is a kit for tests, within one process. The whole path over processes that die
// is platformtest's.
package nodetest

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/fsouza/fake-gcs-server/fakestorage"

	"github.com/millrace-data/millrace/shared/chain"
	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/follow"
	"github.com/millrace-data/millrace/shared/platform"
	"github.com/millrace-data/millrace/shared/record"
	"github.com/millrace-data/millrace/shared/stage"
	"github.com/millrace-data/millrace/shared/warehouse"
	"github.com/millrace-data/millrace/shared/warehouse/duckdb"
)

// Bucket is the stage's bucket.
const Bucket = "stage"

// World is what functions of a test share.
type World struct {
	Warehouse *warehouse.Warehouse
	Server    *fakestorage.Server
	Log       *Log
	Fail      error                                        // of the vendor, nil = it gives its rows
	Token     string                                       // with which the vendor was last asked
	Down      error                                        // of the chain, nil = it takes messages
	Follow    func(follow.Start) ([]follow.Outcome, error) // what "scores" does; nil = nothing

	mu     sync.Mutex
	sent   []chain.Message
	starts []follow.Start
}

// New makes a world for the length of a test.
func New(t testing.TB) *World {
	t.Helper()
	srv, err := fakestorage.NewServerWithOptions(fakestorage.Options{Scheme: "http", Host: "127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Stop)
	srv.CreateBucketWithOpts(fakestorage.CreateBucketOpts{Name: Bucket})
	w, err := duckdb.Open(context.WithoutCancel(t.Context()), duckdb.Options{Path: filepath.Join(t.TempDir(), "warehouse.duckdb"), Memory: "256MiB", Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return &World{Warehouse: w, Server: srv, Log: &Log{}}
}

// Options are those of a function: "items", "load" or "scores".
func (w *World) Options(t testing.TB, function string, environ ...string) platform.Options {
	return platform.Options{Function: function, Functions: []*extract.Function{w.Connector()}, Followers: []*follow.Function{w.Follower()}, Log: platform.Log(w.Log), Scratch: t.TempDir(), Instance: "test",
		Environ: append([]string{"MILLRACE_WAREHOUSE=test:", "MILLRACE_CHAIN=test:", "MILLRACE_STAGE=gs://" + Bucket + "?endpoint=" + w.Server.URL()}, environ...),
		// One for all functions: a Node that is closed closes it for the others too.
		Warehouse: func(context.Context, string) (*warehouse.Warehouse, error) { return w.Warehouse, nil },
		Chain:     func(context.Context, string) (platform.Chain, error) { return w, nil }}
}

type item struct {
	ID string `field:"id" key:"true"`
}

type vendor struct{ w *World }

// Read implements extract.Source.
func (v vendor) Read(_ context.Context, _ extract.Slice, out *extract.Out) error {
	if v.w.Fail != nil {
		return v.w.Fail
	}
	for i := range 2 {
		if err := out.Row(fmt.Appendf(nil, `{"id":"%d"}`, i)); err != nil {
			return err
		}
	}
	return nil
}

// Connector is the function "items", with one table.
func (w *World) Connector() *extract.Function {
	return &extract.Function{Name: "items", Workers: 1,
		Tables: []extract.Table{{Slices: extract.Scans(24*time.Hour, 0),
			Table: record.Table{Schema: "items", Name: "items", Columns: record.Columns[item](), Key: record.Key[item](), Mode: record.Merge}}},
		Open: func(cfg env.Lookup, _ extract.Invocation) (extract.Source, error) {
			w.Token, _ = cfg("ITEMS_TOKEN")
			return vendor{w}, nil
		}}
}

// Follower is the function "scores", which follows items.items and needs SCORES_TOKEN.
func (w *World) Follower() *follow.Function {
	return &follow.Function{Name: "scores", Doc: "Scores items.",
		Open: func(cfg env.Lookup, in follow.Invocation) (follow.Follower, error) {
			var c struct {
				Token string `envconfig:"TOKEN" required:"true" doc:"the scores' token"`
			}
			if err := env.Load(cfg, "SCORES", &c); err != nil {
				return nil, err
			}
			w.Token = c.Token
			return scores{w, in}, nil
		}}
}

// scores is the follower.
type scores struct {
	w  *World
	in follow.Invocation
}

// Follows implements follow.Follower.
func (s scores) Follows() []string { return []string{"items.items"} }

// Handle implements follow.Follower.
func (s scores) Handle(_ context.Context, start follow.Start) ([]follow.Outcome, error) {
	s.w.mu.Lock()
	s.w.starts = append(s.w.starts, start)
	do := s.w.Follow
	s.w.mu.Unlock()
	if do == nil {
		return nil, nil
	}
	return do(start)
}

// Starts is how "scores" was started so far.
func (w *World) Starts() []follow.Start {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.starts)
}

// Publish implements chain.Publisher.
func (w *World) Publish(_ context.Context, m chain.Message) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.Down != nil {
		return w.Down
	}
	m.ID = fmt.Sprint(len(w.sent) + 1)
	w.sent = append(w.sent, m)
	return nil
}

// Close implements platform.Chain.
func (w *World) Close() error { return nil }

// Sent is the messages of a topic so far.
func (w *World) Sent(topic string) (out []chain.Message) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range w.sent {
		if m.Topic == topic {
			out = append(out, m)
		}
	}
	return out
}

// Objects is what lies in the bucket, by key with the generation.
func (w *World) Objects(t testing.TB) map[string]string {
	t.Helper()
	objects, _, err := w.Server.ListObjectsWithOptions(Bucket, fakestorage.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, o := range objects {
		out[o.Name] = fmt.Sprint(o.Generation)
	}
	return out
}

// Manifest is the one manifest in the bucket, with its generation.
func (w *World) Manifest(t testing.TB) (key, generation string) {
	t.Helper()
	for k, g := range w.Objects(t) {
		if stage.IsManifest(k) {
			key, generation = k, g
		}
	}
	if key == "" {
		t.Fatal("there is no manifest in the bucket")
	}
	return key, generation
}

// Count runs a query of one number.
func (w *World) Count(t testing.TB, query string, args ...any) (n int) {
	t.Helper()
	if err := w.Warehouse.DB().QueryRowContext(t.Context(), query, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// Log keeps what is logged.
type Log struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write implements io.Writer.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

// String is all lines.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}
