// Package extracttest runs functions in tests: a whole mill on one goroutine, with
// a warehouse, a stage and a queue of messages that a test can look into, repeat,
// drop and reorder.
//
// It is a kit for tests and no platform: nothing here is concurrent or durable
// beyond its folder, so that what a test sees is what the engines did.
package extracttest

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gocloud.dev/blob/fileblob"

	"github.com/millrace-data/millrace/shared/chain"
	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/load"
	"github.com/millrace-data/millrace/shared/stage"
	"github.com/millrace-data/millrace/shared/warehouse"
	"github.com/millrace-data/millrace/shared/warehouse/duckdb"
)

// Mill is engines over a folder. Its queues are plain slices.
type Mill struct {
	Extract   *extract.Engine
	Load      *load.Engine
	Warehouse *warehouse.Warehouse
	Stage     *stage.Store
	Slices    []chain.Message // published, not yet handled
	Loaded    []chain.Message // published by load
	Arrivals  []string        // manifests that arrived, not yet loaded
	Outcomes  []extract.Outcome
	Loads     []load.Outcome

	Deadline time.Duration // of one invocation; 0 = none
	Stop     bool          // interrupt every invocation at its first page boundary, and go on in another

	mu    sync.Mutex // of what engines publish, which tests may do from several goroutines
	Stops int        // invocations that Stop interrupted
}

// Open opens a mill in dir, which may be one that an earlier Mill used.
func Open(ctx context.Context, dir string, lookup env.Lookup) (*Mill, error) {
	bucket := filepath.Join(dir, "stage")
	scratch := filepath.Join(dir, "scratch")
	if err := os.MkdirAll(scratch, 0o755); err != nil {
		return nil, err
	}
	b, err := fileblob.OpenBucket(bucket, &fileblob.Options{CreateDir: true, NoTempDir: true, Metadata: fileblob.MetadataDontWrite})
	if err != nil {
		return nil, err
	}
	w, err := duckdb.Open(ctx, duckdb.Options{Path: filepath.Join(dir, "warehouse.duckdb"), Memory: "512MiB", Threads: 1})
	if err != nil {
		return nil, err
	}
	m := &Mill{Warehouse: w}
	m.Stage = stage.New(b, stage.Options{Name: "stage", Scratch: scratch,
		Local:   func(key string) string { return filepath.Join(bucket, filepath.FromSlash(key)) },
		Arrived: func(_ context.Context, key string) error { m.arrive(key); return nil }})
	log := slog.New(slog.DiscardHandler)
	m.Extract = &extract.Engine{Warehouse: w, Stage: m.Stage, Chain: m, Log: log, Env: lookup, Scratch: scratch, Owner: "test"}
	m.Load = &load.Engine{Warehouse: w, Stage: m.Stage, Chain: m, Log: log, Now: time.Now}
	return m, nil
}

// New opens a mill for the length of a test.
func New(t testing.TB, lookup env.Lookup) *Mill {
	t.Helper()
	m, err := Open(t.Context(), t.TempDir(), lookup)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Warehouse.Close() })
	return m
}

func (m *Mill) arrive(key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.Arrivals = append(m.Arrivals, key)
}

// Publish queues a message.
func (m *Mill) Publish(_ context.Context, msg chain.Message) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if msg.Topic == chain.TopicLoaded {
		m.Loaded = append(m.Loaded, msg)
	} else {
		m.Slices = append(m.Slices, msg)
	}
	return nil
}

// Run ticks the function and works until nothing is left to do.
func (m *Mill) Run(ctx context.Context, f *extract.Function, r extract.Request) error {
	if _, err := m.Extract.Tick(ctx, f, r); err != nil {
		return err
	}
	return m.Drain(ctx, f)
}

// Drain handles what is queued, and what that leads to.
func (m *Mill) Drain(ctx context.Context, f *extract.Function) error {
	for len(m.Slices)+len(m.Arrivals) > 0 {
		if len(m.Arrivals) > 0 {
			key := m.Arrivals[0]
			m.Arrivals = m.Arrivals[1:]
			o, err := m.Load.Handle(ctx, key, "")
			if err != nil {
				return err
			}
			m.Loads = append(m.Loads, o)
			continue
		}
		msg := m.Slices[0]
		m.Slices = m.Slices[1:]
		if err := m.read(ctx, f, msg); err != nil {
			return err
		}
	}
	return nil
}

func (m *Mill) read(ctx context.Context, f *extract.Function, msg chain.Message) error {
	if m.Deadline > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, m.Deadline)
		defer cancel()
	}
	if m.Stop {
		return m.stopping(ctx, f, msg)
	}
	o, err := m.Extract.Handle(ctx, f, msg)
	m.Outcomes = append(m.Outcomes, o)
	return err
}

const stopsMost = 500 // pages of all slices that a test reads one by one

// stopping reads a slice over as many invocations as it has pages. One without a
// page ends it: it made no progress, or is done.
func (m *Mill) stopping(ctx context.Context, f *extract.Function, msg chain.Message) error {
	point := m.Extract.Point
	defer func() { m.Extract.Point = point }()
	for {
		one, cancel := context.WithCancel(ctx)
		stopped := false
		m.Extract.Point = func(name string) {
			if name == "after_page" {
				stopped = true
				cancel()
			}
		}
		o, err := m.Extract.Handle(one, f, msg)
		cancel()
		m.Outcomes = append(m.Outcomes, o)
		if err != nil || !stopped || o.State != warehouse.Planned {
			return err
		}
		m.Stops++
		if m.Stops > stopsMost {
			return fmt.Errorf("slice %s is not read after %d invocations of a page each: it does not move on", msg.Key, stopsMost)
		}
	}
}

// Rows runs a query and returns its rows, each as the texts of its columns joined
// by |, a null as null.
func (m *Mill) Rows(t testing.TB, query string, args ...any) []string {
	t.Helper()
	rows, err := m.Warehouse.DB().QueryContext(t.Context(), `SELECT CAST(COLUMNS(*) AS VARCHAR) FROM (`+query+`)`, args...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	cols, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for rows.Next() {
		cells, dest := make([]sql.NullString, len(cols)), make([]any, len(cols))
		for i := range cells {
			dest[i] = &cells[i]
		}
		if err := rows.Scan(dest...); err != nil {
			t.Fatal(err)
		}
		texts := make([]string, len(cols))
		for i, c := range cells {
			if texts[i] = c.String; !c.Valid {
				texts[i] = "null"
			}
		}
		out = append(out, strings.Join(texts, "|"))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}
