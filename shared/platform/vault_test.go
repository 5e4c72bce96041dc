package platform_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace-data/millrace/shared/chain"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/platform"
	"github.com/millrace-data/millrace/shared/platform/nodetest"
	"github.com/millrace-data/millrace/shared/warehouse"
	"github.com/millrace-data/millrace/shared/warehouse/duckdb"
)

// store is a secret store that counts.
type store struct {
	mu     sync.Mutex
	values map[string]string
	err    error
	asked  int
}

func (s *store) Resolve(_ context.Context, ref string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	if s.err != nil {
		return "", s.err
	}
	return s.values[ref], nil
}

func (s *store) set(ref, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.values[ref] = value
}

func TestVaultMembers(t *testing.T) {
	s := &store{values: map[string]string{"secret://a": `{"user":"u","port":5}`, "secret://b": "hush"}}
	v := &platform.Vault{From: s, Now: time.Now, Lifetime: time.Hour}
	for ref, want := range map[string]string{"secret://a#user": "u", "secret://a#port": "5", "secret://b": "hush"} {
		if got, err := v.Resolve(t.Context(), ref); err != nil || got != want {
			t.Errorf("%s: got %q, %v", ref, got, err)
		}
	}
	if s.asked != 2 {
		t.Errorf("asked %d times for two secrets", s.asked)
	}
	for _, ref := range []string{"secret://a#none", "secret://b#user"} {
		if _, err := v.Resolve(t.Context(), ref); !errors.Is(err, fault.Invalid) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: got %v", ref, err)
		}
	}
}

func TestVaultLifetime(t *testing.T) {
	now := time.Now()
	s := &store{values: map[string]string{"secret://a": "1"}}
	v := &platform.Vault{From: s, Now: func() time.Time { return now }, Lifetime: time.Minute}
	get := func() string { got, _ := v.Resolve(t.Context(), "secret://a"); return got }
	get()
	s.set("secret://a", "2")
	now = now.Add(59 * time.Second)
	if got := get(); got != "1" || s.asked != 1 {
		t.Errorf("within its life: %q, asked %d times", got, s.asked)
	}
	now = now.Add(time.Second)
	if got := get(); got != "2" {
		t.Errorf("after its life: %q", got)
	}
	s.set("secret://a", "3")
	v.Forget()
	if got := get(); got != "3" {
		t.Errorf("forgotten: %q", got)
	}
	now = now.Add(time.Hour)
	s.err = fault.New(fault.Transient, "away")
	if got := get(); got != "3" {
		t.Errorf("while the service is away: %q", got)
	}
	now = now.Add(time.Hour)
	s.err = fault.New(fault.Auth, "no")
	if _, err := v.Resolve(t.Context(), "secret://a"); !errors.Is(err, fault.Auth) {
		t.Errorf("a secret that may no longer be read: %v", err)
	}
}

// A secret that the vendor refuses is read again before the next event, and what it
// opened is opened anew with it; the old one is closed.
func TestRotation(t *testing.T) {
	w := nodetest.New(t)
	s := &store{values: map[string]string{"secret://token": "old"}}
	o := w.Options(t, "items", "ITEMS_TOKEN=secret://token", "MILLRACE_SECRET_LIFETIME=1h")
	o.Secrets = s
	var opened []*warehouse.Warehouse
	o.Warehouse = func(ctx context.Context, _ string) (*warehouse.Warehouse, error) {
		wh, err := duckdb.Open(ctx, duckdb.Options{Path: t.TempDir() + "/w.duckdb", Memory: "128MiB", Threads: 1})
		opened = append(opened, wh)
		return wh, err
	}
	n := platform.New(o)
	t.Cleanup(n.Close)
	tick := func() platform.Answer {
		return n.Handle(t.Context(), chain.SplitRequest(http.Header{}, []byte(`{"function":"items"}`)))
	}
	want(t, "the first tick", tick(), "ok", platform.Ticked)
	s.set("secret://token", "new")
	tick()
	if w.Token != "old" || len(opened) != 1 || s.asked != 1 {
		t.Fatalf("within the lifetime: token %q, opened %d times, asked %d times", w.Token, len(opened), s.asked)
	}
	w.Fail = fault.New(fault.Auth, "the token was refused")
	handle(t, n, chain.MessageEvent(w.Sent(chain.TopicSlices)[0], "p", "s", time.Now()))
	w.Fail = nil
	want(t, "the next tick", tick(), "ok", platform.Ticked)
	if w.Token != "new" || len(opened) != 2 {
		t.Errorf("after a refusal: token %q, opened %d times", w.Token, len(opened))
	}
	if opened[0].DB().PingContext(t.Context()) == nil {
		t.Error("what the old secret opened is still open")
	}
	tick()
	if len(opened) != 2 {
		t.Error("it was opened again without a reason")
	}
}
