// Package platformtest drives the whole path of a deployment through a cloud's
// handlers: a tick, slices, parts and manifests in a bucket, loads into a stand-in of
// Snowflake, messages about what was loaded, a model of it, and a sync that carries the
// model into a twin of Salesforce. Every function is a process of its own,
// which a test may have killed; every event is delivered as the cloud does it: once or
// twice, in any order, and again when it was not dealt with.
//
// [Run] is the same for both clouds. What differs, and is each cloud's own test, is how
// a process is started and how an event reaches it.
package platformtest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	loadfunction "github.com/millrace-data/millrace/functions/load"
	"github.com/millrace-data/millrace/functions/salesforcesync"
	"github.com/millrace-data/millrace/functions/thoughtindustries"
	"github.com/millrace-data/millrace/shared/chain"
	"github.com/millrace-data/millrace/shared/load"
	"github.com/millrace-data/millrace/shared/platform"
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
	// Objects are those in the bucket, each with its generation or what tells two
	// writings of one key apart; Arrival is the event of one of them.
	Objects(t *testing.T) []string
	Arrival(object string) []byte
	// Published are the messages of a topic so far, Message the event of one of them.
	Published(t *testing.T, topic string) []chain.Message
	Message(m chain.Message) []byte
	// Read decodes an event as a function of this cloud would.
	Read(t *testing.T, event []byte) []chain.Delivery
	// Tick is the event of a schedule.
	Tick(function string, tables []string, at time.Time) []byte
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

// Options are those of a function's process in a test.
func Options(function string) platform.Options {
	return platform.Options{Function: function, Environ: os.Environ(), Log: platform.Log(os.Stderr), Warehouse: Warehouse,
		Scratch: os.TempDir(), Point: Point(), Lease: time.Second, Followers: followers}
}

// Vendor is a small academy: several pages of people, logins of some days. Where the
// way back is to be one large job, there are more people.
func (c Case) Vendor() *twin.Server {
	return twin.New(twin.Options{Events: 20, Users: max(c.Users, 250), Others: 1})
}

// TickBody is what a schedule is set up to send.
func TickBody(function string, tables []string) []byte {
	body, _ := json.Marshal(map[string]any{"function": function, "tables": tables})
	return body
}

// Child is the process of a function.
type Child struct {
	cmd   *exec.Cmd
	stdin io.Closer
	gone  chan struct{}
}

// Begin starts a process that ends with its standard input.
func Begin(cmd *exec.Cmd) (*Child, error) {
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	c := &Child{cmd: cmd, stdin: in, gone: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // how it ended is in what it left
		close(c.gone)
	}()
	return c, nil
}

// Gone reports whether the process has ended.
func (c *Child) Gone() bool {
	select {
	case <-c.gone:
		return true
	default:
		return false
	}
}

// Done is closed once the process has ended.
func (c *Child) Done() <-chan struct{} { return c.gone }

// Stop ends the process and waits for it.
func (c *Child) Stop() {
	_ = c.stdin.Close()
	_ = c.cmd.Process.Kill()
	<-c.gone
}

// Logged collects what a process says, and shows it where the test fails.
func Logged(t *testing.T, function string) io.Writer {
	b := new(lockedBuffer)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s said:\n%s", function, b.String())
		}
	})
	return b
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// String is the end of what was written.
func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	const most = 8000
	return string(l.b.Bytes()[max(0, l.b.Len()-most):])
}

// Warehouse opens MILLRACE_WAREHOUSE in a function's process.
func Warehouse(ctx context.Context, place string) (*warehouse.Warehouse, error) {
	return snowflake.Open(ctx, snowflake.Options{DSN: strings.TrimPrefix(place, "snowflake:"), Lookup: os.LookupEnv, Lock: 20 * time.Second})
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
	died    map[string]int
	crm     *crm
	follows map[string]int // what the following function did, by table and slice
	inbox   map[string]bool
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
		time.Sleep(min(time.Duration(d.tries)*20*time.Millisecond, time.Second)) // as a cloud backs off
	}
}

// send hands an event to a function's process, which is started where there is none.
func (w *world) send(d delivery) bool {
	if d.function == follower {
		w.follow(d.event)
		return true
	}
	p := w.procs[d.function]
	if p == nil || p.Gone() {
		if p != nil {
			w.died[d.function]++
		}
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
	for _, m := range w.cloud.Published(w.t, chain.TopicSlices) {
		w.once("slice "+m.ID, thoughtindustries.Function.Name, w.cloud.Message(m))
	}
	for _, m := range w.cloud.Published(w.t, chain.TopicLoaded) { // every function has its own subscription
		for _, f := range []string{follower, learners.Name, salesforcesync.Function.Name} {
			w.once("loaded "+m.ID+" for "+f, f, w.cloud.Message(m))
		}
	}
	for _, o := range w.cloud.Objects(w.t) {
		w.once("object "+o, loadfunction.Name, w.cloud.Arrival(o))
	}
}

// follower is a function that depends on the tables. It does something once for each
// message, whose id it remembers, and finds what that is about in the message.
const follower = "follower"

func (w *world) follow(event []byte) {
	for _, d := range w.cloud.Read(w.t, event) {
		if d.Err != nil || len(d.Events) != 1 || d.Events[0].Message == nil {
			w.t.Errorf("the following function cannot read what was loaded: %v", d.Err)
			return
		}
		m := d.Events[0].Message
		if w.inbox[m.ID] {
			continue
		}
		w.inbox[m.ID] = true
		var body load.Loaded
		if err := json.Unmarshal(m.Data, &body); err != nil {
			w.t.Errorf("a loaded message cannot be read: %v", err)
		}
		w.follows[body.Table+" "+body.Slice]++
	}
}

func (w *world) once(id, function string, event []byte) {
	if w.seen[id] {
		return
	}
	w.seen[id] = true
	times := 1
	if w.rng.IntN(4) == 0 { // whatever comes twice, its consequences do, too: more would be mostly those
		times = 2
	}
	for range times {
		w.queue = append(w.queue, delivery{function: function, event: event})
	}
}

// Run drives a case and compares what is in the warehouse with what the vendor has.
func Run(t *testing.T, c Case, cloud Cloud, vendor *twin.Server, vendorURL string) {
	sf := snowflaketest.Start(snowflaketest.Options{Idle: time.Second}) // a killed process leaves its transaction open: the service ends it when others wait
	t.Cleanup(sf.Close)
	w := &world{t: t, cloud: cloud, rng: rand.New(rand.NewPCG(c.Seed, 0)), sf: sf, vendor: vendor, procs: map[string]Process{}, seen: map[string]bool{}, died: map[string]int{}, follows: map[string]int{}, inbox: map[string]bool{},
		kills: maps.Clone(c.kills()), crm: newCRM(t, c.CRM)}
	w.environ = append([]string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + t.TempDir(), "MILLRACE_WAREHOUSE=snowflake:" + sf.DSN(), "MILLRACE_DEADLINE=30s",
		"THOUGHT_INDUSTRIES_BASE_URL=" + vendorURL, "THOUGHT_INDUSTRIES_API_KEY=" + twin.DefaultKey}, append(cloud.Environ(), w.crm.environ...)...)
	t.Cleanup(func() {
		for _, p := range w.procs {
			p.Stop()
		}
	})
	for _, f := range c.Faults {
		sf.Inject(f)
	}
	tick := cloud.Tick(thoughtindustries.Function.Name, []string{"users", "logins"}, now)
	w.once("tick", thoughtindustries.Function.Name, tick)
	w.settle()
	w.once("the next tick", thoughtindustries.Function.Name, tick) // reads what a killed process left to nobody
	w.settle()
	for function, at := range c.kills() {
		if (at != "") != (w.died[function] > 0) {
			t.Errorf("%s was to be killed at %q, and %d of its processes died", function, at, w.died[function])
		}
	}
	if n := sf.Pending(); n > 0 {
		t.Errorf("%d of the faults never happened", n)
	}
	w.compare()
}

// compare holds the tables against the vendor's own books, and what the following
// function heard against the ledger.
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
	if n := count(`SELECT count(*) FROM "millrace"."slices"`); len(w.follows) != n || n == 0 {
		w.t.Errorf("%d slices are loaded, and the following function heard of %d", n, len(w.follows))
	}
	w.check(count)
}
