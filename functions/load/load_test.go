package load_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"gocloud.dev/blob/memblob"

	"github.com/millrace-data/millrace/functions/load"
	"github.com/millrace-data/millrace/shared/chain"
	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/extract/extracttest"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/record"
	"github.com/millrace-data/millrace/shared/stage"
	"github.com/millrace-data/millrace/shared/warehouse"
)

type sale struct {
	ID string `field:"id" key:"true"`
}

// one is a vendor with one row a day.
type one struct{}

func (one) Read(_ context.Context, s extract.Slice, out *extract.Out) error {
	return errors.Join(out.Row([]byte(`{"id":"1"}`)), out.Page("end"))
}

var june = time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)

// staged is a mill in which one manifest arrived and nothing is loaded.
func staged(t *testing.T) (m *extracttest.Mill, manifest string) {
	t.Helper()
	f := &extract.Function{Name: "shop", Workers: 1, Tables: []extract.Table{{Slices: extract.Windows(24*time.Hour, 0, 0, june),
		Table: record.Table{Schema: "shop", Name: "sales", Columns: record.Columns[sale](), Key: record.Key[sale](), Mode: record.Merge}}},
		Open: func(env.Lookup, extract.Invocation) (extract.Source, error) { return one{}, nil }}
	m = extracttest.New(t, env.Map(nil))
	if _, err := m.Extract.Tick(t.Context(), f, extract.Request{Now: june.AddDate(0, 0, 1)}); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Extract.Handle(t.Context(), f, m.Slices[0]); err != nil {
		t.Fatal(err)
	}
	if len(m.Arrivals) != 1 {
		t.Fatalf("%d manifests arrived, want 1", len(m.Arrivals))
	}
	return m, m.Arrivals[0]
}

func TestHandle(t *testing.T) {
	m, manifest := staged(t)
	event := chain.ArrivalEvent("bucket", manifest, "17", june)
	for i, again := range []bool{false, true} {
		out, err := load.Handle(t.Context(), m.Load, event)
		if err != nil || len(out) != 1 || out[0].State != warehouse.Loaded || out[0].Again != again || out[0].Rows != 1 {
			t.Errorf("delivery %d: got %+v, %v", i+1, out, err)
		}
	}
	if got := m.Rows(t, "SELECT count(*) FROM shop.sales"); got[0] != "1" {
		t.Errorf("got %s rows, want 1", got[0])
	}
}

// A bucket announces parts as well; they are nothing to do, and no error.
func TestPartsAreIgnored(t *testing.T) {
	m, manifest := staged(t)
	part := strings.TrimSuffix(manifest, manifest[strings.LastIndex(manifest, "/"):]) + "/part-00000.ndjson.zst"
	out, err := load.Handle(t.Context(), m.Load, chain.ArrivalEvent("bucket", part, "1", june))
	if err != nil || len(out) != 0 {
		t.Errorf("got %+v, %v", out, err)
	}
}

// A stage that is a folder of a bucket leaves what lies beside it alone: it may be
// another stage.
func TestBesideTheStage(t *testing.T) {
	m, manifest := staged(t)
	b := memblob.OpenBucket(nil)
	defer b.Close()
	m.Load.Stage = stage.New(b, stage.Options{Name: "bucket", Prefix: "raw/"})
	for _, object := range []string{manifest, "raw2/" + manifest, "other/raw/" + manifest} {
		out, err := load.Handle(t.Context(), m.Load, chain.ArrivalEvent("bucket", object, "1", june))
		if err != nil || len(out) != 0 {
			t.Errorf("%s: got %+v, %v", object, out, err)
		}
	}
}

func TestForeign(t *testing.T) {
	m, _ := staged(t)
	message := chain.MessageEvent(chain.Message{Topic: chain.TopicLoaded, ID: "1"}, "p", "s", june)
	for _, event := range [][]byte{message, []byte("{}"), nil} {
		if _, err := load.Handle(t.Context(), m.Load, event); !errors.Is(err, fault.Invalid) {
			t.Errorf("got %v, want invalid", err)
		}
	}
}
