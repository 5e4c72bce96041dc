package reverse_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/reverse"
	"github.com/millrace-data/millrace/shared/reverse/reversetest"
	"github.com/millrace-data/millrace/shared/warehouse/snowflake"
	"github.com/millrace-data/millrace/shared/warehouse/snowflake/snowflaketest"
)

// Workers of several processes want to apply plans of one object at once: one at a
// time writes, and no row is written twice.
func TestManyProcesses(t *testing.T) {
	srv := snowflaketest.Start(snowflaketest.Options{})
	t.Cleanup(srv.Close)
	process := func() *world {
		w, err := snowflake.Open(t.Context(), snowflake.Options{DSN: srv.DSN(), Lock: 20 * time.Second, Statement: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { w.Close() })
		return newWorld(t, w)
	}
	first := process()
	var mu sync.Mutex
	writing, most := map[string]int{}, 0 // by plan, from its first request to its last
	other := job(lines(20, 5))
	other.Name = "others"
	ids := []string{first.approved(job(lines(0, 5))).ID, first.approved(other).ID}
	var wg sync.WaitGroup
	for i := range 4 {
		w := process()
		w.mem, w.Poll, w.Owner = first.mem, time.Millisecond, fmt.Sprint("worker ", i)
		id := ids[i%2]
		w.Connect = first.mem.Connector()
		w.Point = func(name string) {
			mu.Lock()
			defer mu.Unlock()
			switch name {
			case "after_write":
				writing[id]++
				most = max(most, len(writing))
			case "after_commit":
				delete(writing, id)
			}
		}
		wg.Go(func() {
			for range 200 {
				p, err := w.Apply(t.Context(), id)
				if err == nil && p.State == reverse.PlanApplied {
					return
				}
				if !errors.Is(err, fault.Stale) {
					t.Errorf("worker %d: %v", i, err)
					return
				}
				time.Sleep(10 * time.Millisecond) // between tries; nothing depends on it
			}
			t.Errorf("worker %d never got its turn", i)
		})
	}
	wg.Wait()
	if most != 1 {
		t.Errorf("%d plans wrote at once", most)
	}
	for _, id := range ids {
		p, err := first.Get(t.Context(), id)
		if err != nil || p.Sent != 5 {
			t.Errorf("plan %s: %v, %v", id, p, err)
		}
		first.inBalance(p)
	}
	if n := len(first.mem.Records("Account", "DW_Key__c")); n != 10 {
		t.Errorf("%d records", n)
	}
}

// While a worker waits for the destination, its lease is renewed beside it.
func TestLeaseIsRenewed(t *testing.T) {
	w := newWorld(t, embedded(t))
	w.Bulk, w.Poll, w.Lease = 1, time.Millisecond, 30*time.Millisecond
	p := w.approved(job(lines(0, 5)))
	w.mem.Before = func(c reversetest.Call, n int) error {
		if c != reversetest.Look || n != 1 {
			return nil
		}
		var first time.Time
		for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
			now, err := w.Get(t.Context(), p.ID)
			if err != nil || !first.IsZero() && now.LeaseUntil.After(first) {
				return err
			}
			first = now.LeaseUntil
		}
		return fault.New(fault.Auth, "the lease stays as it is")
	}
	if got := w.done(p.ID); got.Sent != 5 {
		t.Errorf("%d sent", got.Sent)
	}
}
