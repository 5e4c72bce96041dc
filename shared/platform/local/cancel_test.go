package local_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace-data/millrace/functions/thoughtindustries"
	"github.com/millrace-data/millrace/functions/thoughtindustries/thoughtindustriestest"
	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/platform/local"
	"github.com/millrace-data/millrace/shared/warehouse"
)

// A cancelled run stops at once and says so; what it left is taken up by the next.
func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var once atomic.Bool
	v := &shop{}
	v.fail = func(s extract.Slice) error {
		if once.CompareAndSwap(false, true) {
			cancel()
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	}
	m := env.Map(vars(t))
	f := v.function(1)
	c, err := local.Open(ctx, local.Options{Env: m, Functions: []*extract.Function{f}})
	if err != nil {
		t.Fatal(err)
	}
	rep, err := c.Run(ctx, local.Request{Function: "shop", Request: extract.Request{Now: noon}})
	// Without a report where it was cancelled while slices were still being sent.
	if !errors.Is(err, context.Canceled) || rep != nil && rep.Outcome != local.Failed {
		t.Errorf("got %+v, %v", rep, err)
	}
	if err := c.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	next := open(t, local.Options{Env: m, Functions: []*extract.Function{f}})
	if rep := run(t, next, extract.Request{}); rep.Outcome != local.OK || count(t, next, "shop.sales") != 3 || count(t, next, "shop.refunds") != 3 {
		t.Errorf("after it: got %+v", rep)
	}
	rows, err := next.Warehouse().Slices(t.Context(), "shop", "")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range rows {
		if s.State != warehouse.Loaded {
			t.Errorf("slice %s of %s is %s", s.ID, s.Table, s.State)
		}
	}
}

// The real connector against the vendor's twin, over HTTP, events and all.
func TestTwin(t *testing.T) {
	twin := thoughtindustriestest.New(thoughtindustriestest.Options{Events: 120, Users: 150, Others: 5})
	server := httptest.NewServer(twin)
	defer server.Close()
	c := open(t, local.Options{Functions: []*extract.Function{thoughtindustries.Function}, Env: env.Map(vars(t,
		"THOUGHT_INDUSTRIES_BASE_URL", server.URL, "THOUGHT_INDUSTRIES_API_KEY", thoughtindustriestest.DefaultKey))})
	rep, err := c.Run(t.Context(), local.Request{Function: "thoughtindustries",
		Request: extract.Request{Now: time.Date(2025, 1, 8, 6, 0, 0, 0, time.UTC), Tables: []string{"logins", "users"}}})
	if err != nil || rep.Outcome != local.OK {
		t.Fatalf("got %+v, %v", rep, err)
	}
	for _, table := range rep.Tables {
		if want := int64(twin.Count(table.Table)); table.RowsLoaded != want || int64(count(t, c, "thought_industries."+table.Table)) != want {
			t.Errorf("%s: got %+v, the vendor has %d rows", table.Table, table, want)
		}
	}
	if rep.Requests == 0 {
		t.Error("no request was counted")
	}
	server.CloseClientConnections()
}
