package main

import (
	"context"
	"log/slog"
	"path/filepath"
	"sync"

	"gocloud.dev/blob/fileblob"
	"golang.org/x/sync/errgroup"

	"github.com/millrace-data/millrace/scripts/bench/payments"
	"github.com/millrace-data/millrace/shared/chain"
	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/stage"
	"github.com/millrace-data/millrace/shared/warehouse/duckdb"
)

// mailbox keeps what the engine publishes until the workers take it.
type mailbox struct {
	mu       sync.Mutex
	messages []chain.Message
}

func (m *mailbox) Publish(_ context.Context, msg chain.Message) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.messages = append(m.messages, msg)
	return nil
}

// hop is the first hop of a function.
type hop struct {
	function *extract.Function
	env      map[string]string
	request  extract.Request
	workers  int
}

// read runs the hop alone, as a cloud does in a function of its own:
// vendor to manifests. The ledger is a DuckDB of 32 MiB, which is in the peak.
func (h hop) read(ctx context.Context, home string) (int64, error) {
	bucket := filepath.Join(home, "stage")
	b, err := fileblob.OpenBucket(bucket, &fileblob.Options{CreateDir: true, NoTempDir: true, Metadata: fileblob.MetadataDontWrite})
	if err != nil {
		return 0, err
	}
	defer b.Close()
	w, err := duckdb.Open(ctx, duckdb.Options{Path: filepath.Join(home, "ledger.duckdb"), Memory: "32MiB", Threads: 1})
	if err != nil {
		return 0, err
	}
	defer w.Close()
	var box mailbox
	e := &extract.Engine{Warehouse: w, Chain: &box, Log: slog.New(slog.DiscardHandler), Scratch: home, Owner: "bench",
		Env:   env.Map(h.env),
		Stage: stage.New(b, stage.Options{Name: "bench", Scratch: home})}
	if _, err := e.Tick(ctx, h.function, h.request); err != nil {
		return 0, err
	}
	var rows int64
	var mu sync.Mutex
	work, ctx := errgroup.WithContext(ctx)
	work.SetLimit(h.workers)
	for _, msg := range box.messages {
		work.Go(func() error {
			o, err := e.Handle(ctx, h.function, msg)
			mu.Lock()
			defer mu.Unlock()
			rows += o.Rows
			if err == nil {
				err = o.Err
			}
			return err
		})
	}
	err = work.Wait()
	return rows, err
}

func extractOurs(ctx context.Context, s settings, dir string) (int64, error) {
	return paymentsHop(s.URL, days(s.Days), s.Workers).read(ctx, dir)
}

func extractPage(ctx context.Context, s settings, dir string) (int64, error) {
	return paymentsHop(s.URL+"/big", days(1), 1).read(ctx, dir)
}

func paymentsHop(url string, r extract.Request, workers int) hop {
	return hop{payments.Function(), map[string]string{"PAYMENTS_BASE_URL": url}, r, workers}
}
