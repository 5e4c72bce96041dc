package snowflake_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"gocloud.dev/blob/fileblob"

	"github.com/millrace-data/millrace/shared/chain"
	engine "github.com/millrace-data/millrace/shared/load"
	"github.com/millrace-data/millrace/shared/record"
	"github.com/millrace-data/millrace/shared/stage"
	"github.com/millrace-data/millrace/shared/warehouse"
)

type deaf struct{}

func (deaf) Publish(context.Context, chain.Message) error { return nil }

// The load engine fetches nothing where an external stage covers the bucket: it has
// no scratch here, and the warehouse gets the manifest's keys.
func TestEngineLoadsFromTheExternalStage(t *testing.T) {
	dir := t.TempDir()
	bucket, err := fileblob.OpenBucket(dir, &fileblob.Options{NoTempDir: true})
	if err != nil {
		t.Fatal(err)
	}
	defer bucket.Close()
	store := stage.New(bucket, stage.Options{Name: "landing", Scratch: filepath.Join(dir, "there is none")})
	w, _ := open(t, dir)
	table := orders(record.Merge)
	sl := claim(t, w, table)
	folder := stage.Dir(sl.Function, table.FullName(), sl.ID, sl.Fence)
	m := &stage.Manifest{Table: table, Function: sl.Function, Slice: sl.ID, Purpose: "live", From: sl.From, To: sl.To, Fence: sl.Fence, Attempt: 1, CreatedAt: clock, RowsSource: 2, RowsStaged: 2}
	for i, line := range []string{`{"id":"1","_seq":1}`, `{"id":"2","_seq":2}`} {
		data, err := os.ReadFile(part(t, t.TempDir(), i, line))
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(data)
		p := stage.Part{Key: folder + "/" + string(rune('a'+i)) + ".ndjson.zst", Rows: 1, Bytes: int64(len(data)), SHA256: hex.EncodeToString(sum[:])}
		if err := store.Put(t.Context(), p.Key, data); err != nil {
			t.Fatal(err)
		}
		m.Parts, m.Bytes = append(m.Parts, p), m.Bytes+p.Bytes
	}
	key, err := store.WriteManifest(t.Context(), folder, m)
	if err != nil {
		t.Fatal(err)
	}
	e := &engine.Engine{Warehouse: w, Stage: store, Chain: deaf{}, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return clock }}
	for range 2 {
		o, err := e.Handle(t.Context(), key, "")
		if err != nil || o.State != warehouse.Loaded || o.Err != nil {
			t.Fatalf("%s, %v, %v", o.State, o.Err, err)
		}
	}
	if got := ids(t, w); !slices.Equal(got, []string{"1", "2"}) {
		t.Errorf("rows %v, want 1 and 2", got)
	}
}
