package extracttest

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/rest/resttest"
)

// Twin is a vendor for [Connector]: a handler that answers as the vendor does, and
// what the kit must know about it. Equal sizes must make equal data. Members that
// are optional let the kit test more; without one the card says "not tested".
type Twin struct {
	Handler http.Handler
	Env     func(baseURL string) map[string]string // the configuration that reaches Handler at a base URL
	Now     time.Time                              // the clock of the runs, UTC
	Secrets []string                               // what must not be seen anywhere: keys, passwords, texts from rows

	Tables []string // optional: the tables that are read, where others are read alike and all would take long

	Count func(table string) int // optional: how many rows a table has, from the twin's own books; negative = it has none
	Late  func() time.Time       // optional: data arrives late, or changes; returns the clock of the run that sees it

	// A vendor that sends one field more and one less; the first that is there counts.
	Field   string                         // optional: a JSON field that the kit renames in all answers
	Drift   func() (added, missing string) // optional: does that from now on; returns their names, "" = there can be none
	NoDrift string                         // optional: what becomes of such fields where the tables have a place for all
}

var update = flag.Bool("update", false, "rewrite golden rows and conformance cards")

// Connector is the whole test of a connector, and writes its conformance card:
//
//	func TestConnector(t *testing.T) { extracttest.Connector(t, Function, newTwin) }
//
// newTwin makes a vendor with data of a size: 1, small (seconds for a whole run),
// and 10, ten times the rows. Each property is a subtest on a vendor and a mill of
// its own; a kill is a SIGKILL of this test binary, started again as a child.
// Golden rows are in testdata/golden, the card is CARD.md, both in the folder of
// the test; with -update they are written, without it they must be equal.
//
// "Nothing changed" means: the rows of every table are equal in all columns but
// _slice and _loaded_at; rows that were merged or are of objects keep their
// _loaded_at, too.
func Connector(t *testing.T, f *extract.Function, newTwin func(size int) Twin) {
	if dir := os.Getenv(childDir); dir != "" {
		child(t, f, newTwin(1), dir)
		return
	}
	ignore := goleak.IgnoreCurrent()
	k := &kit{f: f, newTwin: newTwin}
	for _, p := range properties {
		t.Run(strings.ReplaceAll(p.name, " ", "-"), func(t *testing.T) { k.note(p, p.test(t, k)) })
	}
	if t.Failed() {
		return
	}
	t.Run("no-goroutine-left", func(t *testing.T) { goleak.VerifyNone(t, ignore, goleak.IgnoreTopFunction("testing.(*T).Run")) })
	same(t, "CARD.md", k.card(t))
}

// kit is one run of Connector.
type kit struct {
	f        *extract.Function
	newTwin  func(size int) Twin
	clean    map[string][]string // the tables after an undisturbed run
	requests int                 // of that run
	again    int                 // requests of a second one
	points   map[string]int      // how often the undisturbed run passes each crash point
	cost     []string            // lines of the card
	results  []string            // lines of the card
}

// property is one thing that the kit shows. Its test returns what the card says
// of it, "" = not tested.
type property struct {
	name string
	test func(t *testing.T, k *kit) string
}

func (k *kit) note(p property, said string) {
	if said == "" {
		said = "not tested: the twin cannot show it"
	}
	k.results = append(k.results, fmt.Sprintf("| %s | %s |", p.name, said))
}

// bench is a twin behind faults and a mill that reads it.
type bench struct {
	*Mill
	twin   Twin
	faults *resttest.Faults
	env    map[string]string
	dir    string
	log    *bytes.Buffer
}

func (k *kit) bench(t *testing.T, size int) *bench {
	t.Helper()
	b := &bench{twin: k.newTwin(size), dir: t.TempDir(), log: &bytes.Buffer{}}
	b.faults = resttest.Wrap(b.twin.Handler)
	srv := httptest.NewServer(b.faults)
	t.Cleanup(srv.Close)
	b.env = b.twin.Env(srv.URL)
	b.open(t)
	return b
}

func (b *bench) open(t *testing.T) {
	t.Helper()
	m, err := Open(t.Context(), b.dir, env.Map(b.env))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Warehouse.Close() })
	m.Extract.Log = slog.New(slog.NewJSONHandler(b.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	m.Load.Log = m.Extract.Log
	m.Extract.FlushEvery = 1 // a nanosecond: every page is stored
	b.Mill = m
}

func (b *bench) run(t *testing.T, f *extract.Function, now time.Time) {
	t.Helper()
	if err := b.Run(t.Context(), f, extract.Request{Now: now, Tables: b.twin.Tables}); err != nil {
		t.Fatal(err)
	}
}

// good fails unless every slice is loaded and balanced, and the rows are as many
// as the twin has.
func (b *bench) good(t *testing.T, f *extract.Function) {
	t.Helper()
	if odd := b.Rows(t, `SELECT table_name, slice, state, error FROM millrace.slices
		WHERE state <> 'loaded' OR rows_source <> rows_loaded + rows_rejected OR rows_rejected > 0`); len(odd) > 0 {
		t.Errorf("slices that are not loaded or do not balance: %.2000v", odd)
	}
	if b.twin.Count == nil {
		return
	}
	for _, x := range f.Tables {
		if len(b.twin.Tables) > 0 && !slices.Contains(b.twin.Tables, x.Name) {
			continue
		}
		want := b.twin.Count(x.Name)
		got := b.Rows(t, `SELECT count(*) FROM information_schema.tables WHERE table_schema = ? AND table_name = ?`, x.Schema, x.Name)
		if got[0] != "0" {
			got = b.Rows(t, `SELECT count(*) FROM `+x.FullName())
		}
		if want >= 0 && got[0] != fmt.Sprint(want) {
			t.Errorf("%s has %s rows, the twin %d", x.Name, got[0], want)
		}
	}
}

// tables is what the warehouse holds of the function, as sorted JSON rows; a table
// that should not be there is one more.
func (b *bench) tables(t *testing.T, f *extract.Function, but string) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	for _, full := range b.Rows(t, `SELECT table_schema || '.' || table_name FROM information_schema.tables WHERE table_schema = ?`, f.Tables[0].Schema) {
		rows := b.Rows(t, `SELECT to_json(x) FROM (SELECT * EXCLUDE (`+but+`) FROM `+full+`) x`)
		slices.Sort(rows)
		out[strings.TrimPrefix(full, f.Tables[0].Schema+".")] = rows
	}
	return out
}

const volatile = "_slice, _loaded_at"

// equal fails where the tables differ from those of the undisturbed run.
func (k *kit) equal(t *testing.T, b *bench) {
	t.Helper()
	differ(t, k.clean, b.tables(t, k.f, volatile))
}

// differ names tables, not rows: a failing test may be read by many.
func differ(t testing.TB, want, got map[string][]string) {
	t.Helper()
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s is a table that should not be there", name)
		}
	}
	for name, rows := range want {
		if !slices.Equal(rows, got[name]) {
			t.Errorf("%s: %d rows (%.8s), want %d (%.8s)", name, len(got[name]), digest(got[name]), len(rows), digest(rows))
		}
	}
}

func digest(rows []string) string {
	return fmt.Sprintf("%x", sha256.Sum256([]byte(strings.Join(rows, "\n"))))
}

// golden is the rows themselves where they are few, else their number and digest.
func golden(rows []string) string {
	const few = 40
	if len(rows) <= few {
		return strings.Join(append(slices.Clone(rows), ""), "\n")
	}
	line, _ := json.Marshal(map[string]any{"rows": len(rows), "sha256": digest(rows)})
	return string(line) + "\n"
}

// same fails unless the file holds text; -update makes it so.
func same(t *testing.T, path, text string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if old, err := os.ReadFile(path); err != nil || string(old) != text {
		t.Errorf("%s is out of date: look at what changed, then run: go test -run '^%s$' -update, in the folder of this test", path, strings.Split(t.Name(), "/")[0])
	}
}
