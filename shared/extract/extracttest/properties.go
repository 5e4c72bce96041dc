package extracttest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/millrace-data/millrace/shared/chain"
	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/record"
	"github.com/millrace-data/millrace/shared/rest/resttest"
	"github.com/millrace-data/millrace/shared/stage"
)

// properties in the order in which they run: the first one is what the others are
// compared with.
var properties = []property{
	{"golden rows", goldenRows},
	{"stop after every page", stopped},
	{"killed and resumed", killed},
	{"messages twice, reordered, at once", deliveries},
	{"late data", late},
	{"fault storm", storm},
	{"memory at ten times the rows", memory},
	{"unknown and missing fields", drift},
	{"no secret seen", secrets},
}

func goldenRows(t *testing.T, k *kit) string {
	b := k.bench(t, 1)
	k.points = map[string]int{}
	var mu sync.Mutex
	b.Extract.Point = func(name string) { mu.Lock(); k.points[name]++; mu.Unlock() }
	b.Load.Point = b.Extract.Point
	b.run(t, k.f, b.twin.Now)
	b.good(t, k.f)
	k.clean, k.requests = b.tables(t, k.f, volatile), b.faults.Requests("")
	k.cost = b.Rows(t, `SELECT '| ' || table_name || ' | ' || count(*) || ' | ' || sum(requests) || ' | ' || max(requests) || ' |'
		FROM millrace.runs WHERE step = 'extract' AND outcome IN ('staged', 'loaded', 'planned') GROUP BY table_name ORDER BY table_name`)
	rows := 0
	for _, name := range slices.Sorted(maps.Keys(k.clean)) {
		rows += len(k.clean[name])
		same(t, filepath.Join("testdata", "golden", name+".ndjson"), golden(k.clean[name]))
	}
	if rows == 0 {
		t.Error("the tables are empty: nothing was tested")
	}
	before := k.kept(t, b)
	b.run(t, k.f, b.twin.Now)
	b.good(t, k.f)
	k.again = b.faults.Requests("") - k.requests
	k.equal(t, b)
	differ(t, before, k.kept(t, b))
	return fmt.Sprintf("%d tables, %d rows; a second run, of %d requests, changes nothing", len(k.clean), rows, k.again)
}

// kept is the tables whose rows keep the time of their commit when they are read again.
func (k *kit) kept(t *testing.T, b *bench) map[string][]string {
	all := b.tables(t, k.f, "_slice")
	maps.DeleteFunc(all, func(name string, _ []string) bool {
		i := slices.IndexFunc(k.f.Tables, func(x extract.Table) bool { return x.Name == name })
		return i < 0 || k.f.Tables[i].Mode != record.Merge && k.f.Tables[i].Slices.Kind != "objects"
	})
	return all
}

func stopped(t *testing.T, k *kit) string {
	b := k.bench(t, 1)
	b.Stop = true
	b.run(t, k.f, b.twin.Now)
	b.good(t, k.f)
	k.equal(t, b)
	const each = 3 // the page that was asked for, what the next invocation asks before its first page, and one to spare
	extra := b.faults.Requests("") - k.requests
	if extra > each*b.Stops {
		t.Errorf("%d stops cost %d requests more, want at most %d", b.Stops, extra, each*b.Stops)
	}
	if b.Stops == 0 {
		return "not tested: no slice of the twin has a page boundary"
	}
	return fmt.Sprintf("%d stops, at most %d requests more for each", b.Stops, each)
}

const (
	childDir   = "MILLRACE_KIT_DIR"   // makes this test binary the child that is to be killed
	childPoint = "MILLRACE_KIT_POINT" // NAME:N, the Nth pass of crash point NAME
	childEnv   = "MILLRACE_KIT_ENV"   // JSON, the configuration
)

// child runs the function and kills itself.
func child(t *testing.T, f *extract.Function, twin Twin, dir string) {
	var vars map[string]string
	if err := json.Unmarshal([]byte(os.Getenv(childEnv)), &vars); err != nil {
		t.Fatal(err)
	}
	m, err := Open(t.Context(), dir, env.Map(vars))
	if err != nil {
		t.Fatal(err)
	}
	name, nth, _ := strings.Cut(os.Getenv(childPoint), ":")
	n, _ := strconv.Atoi(nth)
	var left atomic.Int64
	left.Store(int64(n))
	m.Extract.FlushEvery = 1
	m.Extract.Point = func(p string) {
		if p == name && left.Add(-1) == 0 {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // the signal takes a moment
		}
	}
	m.Load.Point = m.Extract.Point
	err = m.Run(t.Context(), f, extract.Request{Now: twin.Now, Tables: twin.Tables})
	t.Fatalf("the child was to die at %s and did not: %v", name, err)
}

func killed(t *testing.T, k *kit) string {
	var kills []string
	for _, name := range slices.Sorted(maps.Keys(k.points)) {
		kills = append(kills, fmt.Sprintf("%s:%d", name, (k.points[name]+1)/2))
	}
	const slack = 4 // the page that was not stored, the one asked for, and what an invocation asks before its first page
	for _, point := range kills {
		t.Run(point, func(t *testing.T) {
			b := k.bench(t, 1)
			b.Warehouse.Close()
			b.die(t, point)
			b.open(t)
			b.arrivals(t)
			b.run(t, k.f, b.twin.Now)
			b.good(t, k.f)
			k.equal(t, b)
			if n, most := b.faults.Requests(""), k.requests+k.again+slack; n > most {
				t.Errorf("%d requests, want at most %d", n, most)
			}
		})
	}
	return fmt.Sprintf("%d kills, one at each crash point, half-way of its passes; at most %d requests more than an undisturbed run and a second one", len(kills), slack)
}

// die runs this binary on the bench's folder until it kills itself.
func (b *bench) die(t *testing.T, point string) {
	t.Helper()
	vars, err := json.Marshal(b.env)
	if err != nil {
		t.Fatal(err)
	}
	top, _, _ := strings.Cut(t.Name(), "/")
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+top+"$")
	cmd.Env = append(os.Environ(), childDir+"="+b.dir, childPoint+"="+point, childEnv+"="+string(vars))
	out, _ := cmd.CombinedOutput()
	if s, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || s.Signal() != syscall.SIGKILL {
		t.Fatalf("the child was to be killed at %s: %.2000s", point, out)
	}
}

// arrivals has every manifest of the stage arrive again.
func (b *bench) arrivals(t *testing.T) {
	t.Helper()
	for o, err := range b.Stage.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		if stage.IsManifest(o.Key) {
			b.Arrivals = append(b.Arrivals, o.Key)
		}
	}
}

func deliveries(t *testing.T, k *kit) string {
	b := k.bench(t, 1)
	if _, err := b.Extract.Tick(t.Context(), k.f, extract.Request{Now: b.twin.Now, Tables: b.twin.Tables}); err != nil {
		t.Fatal(err)
	}
	back := slices.Clone(b.Slices)
	slices.Reverse(back)
	b.Slices = append(back, b.Slices...)
	if err := b.Drain(t.Context(), k.f); err != nil {
		t.Fatal(err)
	}
	b.arrivals(t)
	keys := b.Arrivals
	b.Arrivals = nil
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for _, key := range slices.Backward(keys) {
				if _, err := b.Load.Handle(t.Context(), key, ""); err != nil {
					t.Errorf("%s delivered again: %v", key, err)
				}
			}
		})
	}
	wg.Wait()
	b.good(t, k.f)
	k.equal(t, b)
	k.together(t)
	return fmt.Sprintf("%d slices, %d manifests, each twice; all slices by two workers at once", len(back), len(keys))
}

// together has two workers read all slices at the same time, from both ends.
func (k *kit) together(t *testing.T) {
	b := k.bench(t, 1)
	if _, err := b.Extract.Tick(t.Context(), k.f, extract.Request{Now: b.twin.Now, Tables: b.twin.Tables}); err != nil {
		t.Fatal(err)
	}
	msgs := b.Slices
	b.Slices = nil
	work := func(msgs iter.Seq2[int, chain.Message]) func() {
		return func() {
			for _, msg := range msgs {
				if _, err := b.Extract.Handle(t.Context(), k.f, msg); err != nil && !errors.Is(err, fault.Transient) { // it is the other's: the queue sends it again
					t.Errorf("slice read twice at once: %v", err)
				}
			}
		}
	}
	var wg sync.WaitGroup
	wg.Go(work(slices.All(msgs)))
	wg.Go(work(slices.Backward(msgs)))
	wg.Wait()
	if err := b.Drain(t.Context(), k.f); err != nil {
		t.Fatal(err)
	}
	b.run(t, k.f, b.twin.Now) // reads what both left to the other
	b.good(t, k.f)
	k.equal(t, b)
}

func late(t *testing.T, k *kit) string {
	b := k.bench(t, 1)
	if b.twin.Late == nil {
		return ""
	}
	b.run(t, k.f, b.twin.Now)
	b.run(t, k.f, b.twin.Late())
	b.good(t, k.f)
	if maps.EqualFunc(k.clean, b.tables(t, k.f, volatile), slices.Equal) {
		t.Error("what arrived late is not in the tables")
	}
	return "one arrival"
}

func storm(t *testing.T, k *kit) string {
	b := k.bench(t, 1)
	effects := []resttest.Effect{resttest.RetryAfter(429, 0), resttest.RetryAfter(503, 0), resttest.Cut(100),
		resttest.Refuse(), resttest.Slow(20 * time.Millisecond), resttest.Again()}
	for i, do := range effects {
		b.faults.Inject(resttest.Fault{After: 1 + i*k.requests/len(effects), Do: do})
	}
	b.run(t, k.f, b.twin.Now)
	b.run(t, k.f, b.twin.Now) // a page that came twice stops its slice, which the next run reads
	b.good(t, k.f)
	k.equal(t, b)
	return fmt.Sprintf("%d faults: 429, 503, a cut body, a reset, a slow page, a page twice; all rows right after two runs", b.faults.Fired())
}

func memory(t *testing.T, k *kit) string {
	const more = 8 << 20 // bytes; buffers of encoders and compressors, which do not grow with the data
	small, large := k.peak(t, 1), k.peak(t, 10)
	if large > small+more {
		t.Errorf("the heap grows to %d MiB at ten times the rows, from %d: want at most %d more", large>>20, small>>20, more>>20)
	}
	return fmt.Sprintf("the heap grows by at most %d MiB", more>>20)
}

// peak is how many bytes the heap grew by while the function read, the twin's own
// growth included.
func (k *kit) peak(t *testing.T, size int) int64 {
	b := k.bench(t, size)
	defer debug.SetGCPercent(debug.SetGCPercent(20))
	runtime.GC()
	base, top := heap(), int64(0)
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				top = max(top, heap())
			case <-done:
				return
			}
		}
	}()
	b.run(t, k.f, b.twin.Now)
	close(done)
	<-ended
	b.good(t, k.f)
	return max(top-base, 0)
}

func heap() int64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func drift(t *testing.T, k *kit) string {
	b := k.bench(t, 1)
	var added, missing string
	switch {
	case b.twin.Field != "":
		missing, added = b.twin.Field, b.twin.Field+"Renamed"
		rename := func(body []byte) []byte {
			return bytes.ReplaceAll(body, []byte(`"`+missing+`":`), []byte(`"`+added+`":`))
		}
		b.faults.Inject(resttest.Fault{Times: -1, Do: resttest.Rewrite(rename)})
	case b.twin.Drift != nil:
		added, missing = b.twin.Drift()
	default:
		return b.twin.NoDrift
	}
	b.run(t, k.f, b.twin.Now)
	fields := b.Rows(t, `SELECT DISTINCT field FROM millrace.drift`)
	for _, name := range []string{added, missing} {
		if name != "" && !slices.Contains(fields, name) {
			t.Errorf("field %s is not in millrace.drift, which has %v", name, fields)
		}
	}
	return fmt.Sprintf("added: %s, missing: %s", dash(added), dash(missing))
}

func dash(s string) string {
	if s == "" {
		return "there can be none"
	}
	return s
}

func secrets(t *testing.T, k *kit) string {
	b := k.bench(t, 1)
	b.faults.Inject(resttest.Fault{After: k.requests / 2, Do: resttest.Status(401, strings.Join(b.twin.Secrets, " "))})
	b.run(t, k.f, b.twin.Now)
	places := map[string]string{"the log": b.log.String()}
	for _, o := range b.Outcomes {
		places["errors"] += fmt.Sprintln(o.Err)
	}
	for _, x := range []string{"slices", "runs", "checks", "drift"} {
		places["millrace."+x] = strings.Join(b.Rows(t, `SELECT * FROM millrace.`+x), "\n")
	}
	places["manifests"] = b.manifests(t)
	for place, text := range places {
		for i, s := range b.twin.Secrets {
			if strings.Contains(text, s) {
				t.Errorf("secret %d is in %s", i+1, place)
			}
		}
	}
	return fmt.Sprintf("%d canaries, in log, errors, ledger, runs, checks and manifests, one answer a 401 that repeats them", len(b.twin.Secrets))
}

func (b *bench) manifests(t *testing.T) string {
	t.Helper()
	b.arrivals(t)
	var all strings.Builder
	for _, key := range b.Arrivals {
		r, err := os.Open(filepath.Join(b.dir, "stage", filepath.FromSlash(key)))
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(&all, r)
		r.Close()
	}
	return all.String()
}
