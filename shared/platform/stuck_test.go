package platform_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-data/millrace/shared/chain"
	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/follow"
	"github.com/millrace-data/millrace/shared/platform"
	"github.com/millrace-data/millrace/shared/platform/nodetest"
	"github.com/millrace-data/millrace/shared/warehouse"
)

// stuck is a follower that waits for something that does not come by itself.
type stuck struct{ wait func() }

func (s stuck) Follows() []string { return []string{"items.items"} }

func (s stuck) Handle(context.Context, follow.Start) ([]follow.Outcome, error) {
	s.wait()
	return nil, nil
}

// What does not come back, whatever its context says, must not keep later events
// waiting: the process ends, and says where it stood.
func TestStuckInvocationEndsTheProcess(t *testing.T) {
	for name, in := range map[string]struct {
		opening, handling bool
		after             time.Duration
	}{
		"opening":  {opening: true, after: 2 * time.Minute},
		"handling": {handling: true, after: 2*time.Minute - 5*time.Second},
		"neither":  {},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log, free := &nodetest.Log{}, make(chan struct{})
				wait := func(yes bool) {
					if !yes {
						return
					}
					select {
					case <-free:
					case <-time.After(24 * time.Hour): // nobody ended the process
					}
				}
				began, code, after := time.Now(), 0, time.Duration(0)
				n := platform.New(platform.Options{Function: "scores", Log: platform.Log(log), Scratch: t.TempDir(), Instance: "test",
					Environ: []string{"MILLRACE_WAREHOUSE=test:", "MILLRACE_CHAIN=test:", "MILLRACE_DEADLINE=1m"},
					Followers: []*follow.Function{{Name: "scores", Open: func(env.Lookup, follow.Invocation) (follow.Follower, error) {
						return stuck{func() { wait(in.handling) }}, nil
					}}},
					Warehouse: func(context.Context, string) (*warehouse.Warehouse, error) {
						if wait(in.opening); in.opening {
							return nil, errors.New("it was opened too late")
						}
						return &warehouse.Warehouse{}, nil
					},
					Chain: func(context.Context, string) (platform.Chain, error) { return nil, nil },
					Exit:  func(c int) { code, after = c, time.Since(began); close(free) },
				})
				n.Handle(t.Context(), chain.SplitRequest(http.Header{}, []byte(`{"function":"scores","scheduled_time":"2025-01-05T02:00:00Z"}`)))
				said := strings.Contains(log.String(), "does not come back") && strings.Contains(log.String(), "TestStuckInvocationEndsTheProcess")
				if ends := in.opening || in.handling; ends != (code == 1) || ends != said || after != in.after {
					t.Errorf("code %d after %s, log %.300s", code, after, log)
				}
			})
		})
	}
}
