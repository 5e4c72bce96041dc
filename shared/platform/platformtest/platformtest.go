// Package platformtest drives the whole path of a deployment through a cloud's
// handlers: a tick, slices, parts and manifests in a bucket, loads into a stand-in of
// Snowflake, messages about what was loaded. Every function is a process of its own,
// which a test may have killed; every event is delivered as the cloud does it: once or
// twice, in any order, and again when it was not dealt with.
//
// [Run] is the same for both clouds. What differs, and is each cloud's own test, is how
// a process is started and how an event reaches it.
package platformtest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	loadfunction "github.com/millrace-data/millrace/functions/load"
	"github.com/millrace-data/millrace/functions/thoughtindustries"
	"github.com/millrace-data/millrace/shared/chain"
	"github.com/millrace-data/millrace/shared/stage"
	"github.com/millrace-data/millrace/shared/warehouse"
	"github.com/millrace-data/millrace/shared/warehouse/snowflake"
	"github.com/millrace-data/millrace/shared/warehouse/snowflake/snowflaketest"

	twin "github.com/millrace-data/millrace/functions/thoughtindustries/thoughtindustriestest"
)

// The variables by which a test binary is told to be a function.
const (
	Function = "MILLRACE_TEST_FUNCTION"
	kill     = "MILLRACE_TEST_KILL" // POINT:N, the pass at which the process kills itself
)

// Cloud is what is a cloud's own. Its fakes live in the test's process.
type Cloud interface {
	// Environ is what a function of this cloud finds in its environment, beside what
	// all have.
	Environ() []string
	// Start starts this test binary as a function, with more variables.
	Start(t *testing.T, function string, environ []string) Process
	// Keys are the objects in the bucket, Arrival the event of one of them.
	Keys(t *testing.T) []string
	Arrival(key string) []byte
	// Published are the messages of a topic so far, as events of who subscribes to it.
	Published(t *testing.T, topic string) [][]byte
	// Tick is the event of a schedule.
	Tick(t chain.Tick) []byte
}

// Process is a running function.
type Process interface {
	// Send delivers an event; false means that it was not dealt with, perhaps because
	// the process is gone.
	Send(t *testing.T, event []byte) bool
	Gone() bool
	Stop()
}

// Point is the crash point of a process that is to be killed, nil for others.
func Point() func(name string) {
	name, nth, ok := strings.Cut(os.Getenv(kill), ":")
	if !ok {
		return nil
	}
	n, _ := strconv.Atoi(nth)
	var left atomic.Int64
	left.Store(int64(n))
	return func(p string) {
		if p == name && left.Add(-1) == 0 {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // the signal takes a moment
		}
	}
}

// Warehouse opens MILLRACE_WAREHOUSE in a function's process.
func Warehouse(ctx context.Context, place string) (*warehouse.Warehouse, error) {
	return snowflake.Open(ctx, snowflake.Options{DSN: strings.TrimPrefix(place, "snowflake:"), Lookup: os.LookupEnv, Lock: 20 * time.Second})
}

// Case is one way to disturb the path.
type Case struct {
	Name         string
	Seed         uint64 // of the order and the repetitions
	Reader, Load string // where the first process of each is killed, POINT:N
	Faults       []snowflaketest.Fault
}

// Cases disturb what the promises rest on.
var Cases = []Case{
	{Name: "undisturbed", Seed: 1},
	{Name: "killed while reading", Seed: 2, Reader: "after_page:2"},
	{Name: "killed with the manifest written", Seed: 3, Reader: "after_manifest:1"},
	{Name: "killed in the transaction", Seed: 4, Load: "in_tx_before_data:2"},
	{Name: "killed after the commit", Seed: 5, Load: "after_commit_before_publish:1"},
	{Name: "the answer to a commit is lost", Seed: 6, Faults: []snowflaketest.Fault{
		{On: "COMMIT", Kind: snowflaketest.Lose, Skip: 3}, {On: "COMMIT", Kind: snowflaketest.DropAfter, Skip: 2}}},
	{Name: "Snowflake is away for a moment", Seed: 7, Faults: []snowflaketest.Fault{
		{On: "COPY INTO", Kind: snowflaketest.Unavailable}, {On: "COMMIT", Kind: snowflaketest.DropBefore, Skip: 1}}},
}

var now = time.Date(2025, 3, 4, 2, 0, 0, 0, time.UTC)

// world is one deployment.
type world struct {
	t       *testing.T
	cloud   Cloud
	rng     *rand.Rand
	sf      *snowflaketest.Server
	vendor  *twin.Server
	environ []string
	procs   map[string]Process
	kills   map[string]string
	queue   []delivery
	seen    map[string]bool
}

type delivery struct {
	function string
	event    []byte
	tries    int
}

// settle delivers what there is until nothing is left.
func (w *world) settle() {
	const most = 3000
	for n := 0; ; n++ {
		w.gather()
		if len(w.queue) == 0 {
			return
		}
		if n > most {
			w.t.Fatalf("after %d deliveries there are still %d events", most, len(w.queue))
		}
		i := w.rng.IntN(len(w.queue))
		d := w.queue[i]
		w.queue = slices.Delete(w.queue, i, i+1)
		if w.send(d) {
			continue
		}
		const tries = 30
		if d.tries++; d.tries > tries {
			w.t.Fatalf("an event for %s was not dealt with in %d deliveries: %s", d.function, tries, d.event)
		}
		w.queue = append(w.queue, d)
	}
}

// send hands an event to a function's process, which is started where there is none.
func (w *world) send(d delivery) bool {
	p := w.procs[d.function]
	if p == nil || p.Gone() {
		environ := w.environ
		if at := w.kills[d.function]; at != "" {
			environ = append(slices.Clone(environ), kill+"="+at)
			delete(w.kills, d.function)
		}
		p = w.cloud.Start(w.t, d.function, environ)
		w.procs[d.function] = p
	}
	return p.Send(w.t, d.event)
}

// gather queues what was published and what arrived, some of it twice.
func (w *world) gather() {
	for _, e := range w.cloud.Published(w.t, chain.TopicSlices) {
		w.once("slice "+string(e), thoughtindustries.Function.Name, e)
	}
	for _, key := range w.cloud.Keys(w.t) {
		w.once("object "+key, loadfunction.Name, w.cloud.Arrival(key))
	}
}

func (w *world) once(id, function string, event []byte) {
	if w.seen[id] {
		return
	}
	w.seen[id] = true
	for range 1 + w.rng.IntN(2) {
		w.queue = append(w.queue, delivery{function: function, event: event})
	}
}

// Run drives a case and compares what is in the warehouse with what the vendor has.
func Run(t *testing.T, c Case, cloud Cloud, vendor *twin.Server, vendorURL string) {
	sf := snowflaketest.Start(snowflaketest.Options{})
	t.Cleanup(sf.Close)
	w := &world{t: t, cloud: cloud, rng: rand.New(rand.NewPCG(c.Seed, 0)), sf: sf, vendor: vendor, procs: map[string]Process{}, seen: map[string]bool{},
		kills: map[string]string{thoughtindustries.Function.Name: c.Reader, loadfunction.Name: c.Load}}
	w.environ = append([]string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + t.TempDir(), "MILLRACE_WAREHOUSE=snowflake:" + sf.DSN(),
		"THOUGHT_INDUSTRIES_BASE_URL=" + vendorURL, "THOUGHT_INDUSTRIES_API_KEY=" + twin.DefaultKey}, cloud.Environ()...)
	t.Cleanup(func() {
		for _, p := range w.procs {
			p.Stop()
		}
	})
	for _, f := range c.Faults {
		sf.Inject(f)
	}
	tick := cloud.Tick(chain.Tick{Function: thoughtindustries.Function.Name, Tables: []string{"users", "logins"}, At: now})
	w.once("tick", thoughtindustries.Function.Name, tick)
	w.settle()
	w.once("the next tick", thoughtindustries.Function.Name, tick) // reads what a killed process left to nobody
	w.settle()
	if n := sf.Pending(); n > 0 {
		t.Errorf("%d of the faults never happened", n)
	}
	w.compare()
}

// compare holds the tables against the vendor's own books, and the messages against
// what is loaded.
func (w *world) compare() {
	wh, err := Warehouse(w.t.Context(), "snowflake:"+w.sf.DSN())
	if err != nil {
		w.t.Fatal(err)
	}
	defer wh.Close()
	count := func(query string) (n int) {
		if err := wh.DB().QueryRowContext(w.t.Context(), query).Scan(&n); err != nil {
			w.t.Fatalf("%s: %v", query, err)
		}
		return n
	}
	for table, key := range map[string]string{"users": "id", "logins": "_key"} {
		rows := count(fmt.Sprintf(`SELECT count(*) FROM "thought_industries"."%s"`, table))
		keys := count(fmt.Sprintf(`SELECT count(DISTINCT "%s") FROM "thought_industries"."%s"`, key, table))
		if want := w.vendor.Count(table); rows != want || keys != want || want == 0 {
			w.t.Errorf("%s has %d rows of %d keys, the vendor %d", table, rows, keys, want)
		}
	}
	if n := count(`SELECT count(*) FROM "millrace"."slices" WHERE "state" <> 'loaded' OR "rows_source" <> "rows_loaded" + "rows_rejected"`); n > 0 {
		w.t.Errorf("%d slices are not loaded, or do not balance", n)
	}
	told := map[string]bool{}
	for _, e := range w.cloud.Published(w.t, chain.TopicLoaded) {
		events, err := chain.Decode(e)
		if err != nil || len(events) != 1 || events[0].Message == nil {
			w.t.Fatalf("a loaded message cannot be read: %v", err)
		}
		told[string(events[0].Message.Data)] = true
	}
	if n := count(`SELECT count(*) FROM "millrace"."slices"`); len(told) < n {
		w.t.Errorf("%d slices are loaded, and %d were announced", n, len(told))
	}
}

// Manifests are the keys that are manifests.
func Manifests(keys []string) []string {
	return slices.DeleteFunc(slices.Clone(keys), func(k string) bool { return !stage.IsManifest(k) })
}
