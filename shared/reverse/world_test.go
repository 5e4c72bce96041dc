package reverse_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-data/millrace/shared/reverse"
	"github.com/millrace-data/millrace/shared/reverse/reversetest"
	"github.com/millrace-data/millrace/shared/warehouse"
	"github.com/millrace-data/millrace/shared/warehouse/duckdb"
	"github.com/millrace-data/millrace/shared/warehouse/snowflake"
	"github.com/millrace-data/millrace/shared/warehouse/snowflake/snowflaketest"
)

var clock = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

// world is a warehouse, a destination, and the engine between them.
type world struct {
	testing.TB
	*reverse.Engine
	mem   *reversetest.Memory
	now   time.Time
	whole bool // all records are read at once
}

// everywhere runs a test in both warehouses and with both ways to read what stands
// at the destination.
func everywhere(t *testing.T, test func(w *world)) {
	t.Run("DuckDB", func(t *testing.T) { test(newWorld(t, embedded(t))) })
	t.Run("DuckDB, all records", func(t *testing.T) {
		w := newWorld(t, embedded(t))
		w.whole = true
		test(w)
	})
	if testing.Short() {
		return
	}
	t.Run("Snowflake", func(t *testing.T) { test(newWorld(t, standIn(t))) })
	t.Run("Snowflake, all records", func(t *testing.T) {
		w := newWorld(t, standIn(t))
		w.whole = true
		test(w)
	})
}

// standIn is a warehouse that speaks Snowflake's protocol.
func standIn(t testing.TB) *warehouse.Warehouse {
	t.Helper()
	srv := snowflaketest.Start(snowflaketest.Options{})
	t.Cleanup(srv.Close)
	w, err := snowflake.Open(t.Context(), snowflake.Options{DSN: srv.DSN(), Lock: 20 * time.Second, Statement: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

// account is an object with a field of every type.
func account() reverse.Object {
	field := func(name string, is reverse.FieldType) reverse.Field {
		return reverse.Field{Name: name, Type: is, Nullable: true, Creatable: true, Updatable: true}
	}
	key := field("DW_Key__c", reverse.TextType)
	key.Key, key.Unique, key.Length = true, true, 20
	score := field("Score__c", reverse.NumberType)
	score.Precision, score.Scale = 18, 2
	tier := field("Tier__c", reverse.PicklistType)
	tier.Restricted, tier.Values = true, []string{"A", "B", "C"}
	name := field("Name", reverse.TextType)
	name.Length = 40
	parent := field("ParentId", reverse.IDType)
	parent.References = []string{"Account"}
	return reverse.Object{Name: "Account", Creatable: true, Updatable: true, Deletable: true, Readable: true, Prefix: "001",
		Fields: []reverse.Field{key, score, tier, name, parent, field("Active__c", reverse.BooleanType), field("Day__c", reverse.DateType), field("Seen__c", reverse.TimestampType), field("Tags__c", reverse.MultiType)}}
}

func newWorld(t testing.TB, w *warehouse.Warehouse) *world {
	t.Helper()
	wd := &world{TB: t, mem: reversetest.New(account()), now: clock}
	wd.Engine = &reverse.Engine{Warehouse: w, Connect: wd.mem.Connector(), Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return wd.now }, Owner: "test"}
	return wd
}

func embedded(t testing.TB) *warehouse.Warehouse {
	t.Helper()
	w, err := duckdb.Open(t.Context(), duckdb.Options{Path: filepath.Join(t.TempDir(), "w.duckdb"), Memory: "512MiB", Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

func (w *world) exec(q string, args ...any) {
	w.Helper()
	if _, err := w.Warehouse.DB().ExecContext(w.Context(), q, args...); err != nil {
		w.Fatalf("%s: %v", q, err)
	}
}

func (w *world) count(q string, args ...any) (n int64) {
	w.Helper()
	if err := w.Warehouse.DB().QueryRowContext(w.Context(), q, args...).Scan(&n); err != nil {
		w.Fatalf("%s: %v", q, err)
	}
	return n
}

// rows is a query of constant rows: key, score, tier.
func rows(lines ...string) string {
	out := make([]string, len(lines))
	for i, l := range lines {
		cells := strings.Split(l, ",")
		for j, c := range cells {
			if cells[j] = "'" + strings.ReplaceAll(c, "'", "''") + "'"; c == "-" {
				cells[j] = "CAST(NULL AS VARCHAR)"
			}
		}
		out[i] = fmt.Sprintf(`SELECT %s AS "k", %s AS "score", %s AS "tier"`, cells[0], cells[1], cells[2])
	}
	return strings.Join(out, " UNION ALL ")
}

func job(query string) reverse.Job {
	return reverse.Job{Name: "scores", Owner: "ops@example.com", Query: query, Object: "Account", Operation: reverse.Upsert, ExternalID: "DW_Key__c", Key: "k",
		Fields: map[string]string{"score": "Score__c", "tier": "Tier__c"}, Guards: reverse.Guards{Writes: &reverse.Limit{Max: new(int64)}}}
}

func (w *world) plan(j reverse.Job, o reverse.PlanOptions) *reverse.Plan {
	w.Helper()
	limit := int64(1 << 40)
	j.Guards.Writes = &reverse.Limit{Max: &limit}
	make := w.Plan
	if w.whole {
		make = w.PlanWhole
	}
	p, err := make(w.Context(), j, o)
	if err != nil {
		w.Fatal(err)
	}
	return p
}

// said is a plan's changes in short: key kind field before→after.
func (w *world) said(p *reverse.Plan) (out []string) {
	w.Helper()
	show := func(s *string) string {
		if s == nil {
			return "∅"
		}
		return *s
	}
	for c, err := range w.Changes(w.Context(), p.ID) {
		if err != nil {
			w.Fatal(err)
		}
		line := c.Key + " " + string(c.Kind)
		for _, f := range c.Fields {
			line += " " + f.Field + " " + show(f.Before) + "→" + show(f.After)
		}
		out = append(out, line)
	}
	return out
}

// apply does what a plan says, as if every row were accepted.
func (w *world) apply(p *reverse.Plan) {
	w.Helper()
	for c, err := range w.Changes(w.Context(), p.ID) {
		if err != nil {
			w.Fatal(err)
		}
		fields := reversetest.Fields{}
		for _, f := range c.Fields {
			fields[f.Field] = ""
			if f.After != nil {
				fields[f.Field] = *f.After
			}
		}
		switch c.Kind {
		case reverse.KindCreate:
			fields[p.Job.ExternalID] = c.Key
			c.ID = w.mem.Add(p.Object, fields)
		case reverse.KindUpdate:
			w.mem.Edit(p.Object, "Id", c.ID, fields)
		case reverse.KindDelete:
			w.mem.Remove(p.Object, "Id", c.ID)
		}
		if c.Accepted != nil {
			w.exec(`DELETE FROM "millrace"."sync_sent" WHERE "sync" = ? AND "key" = ?`, p.Sync, c.Key)
			w.exec(`INSERT INTO "millrace"."sync_sent" ("sync", "object", "key", "destination_id", "accepted", "plan", "sent_at") VALUES (?, ?, ?, ?, ?, ?, ?)`, p.Sync, p.Object, c.Key, c.ID, *c.Accepted, p.ID, w.now)
		}
	}
	w.exec(`UPDATE "millrace"."sync_plans" SET "state" = 'applied' WHERE "plan" = ?`, p.ID)
}

// rejects are the open rejects as key rule.
func (w *world) rejects(state string) (out []string) {
	w.Helper()
	rows, err := w.Warehouse.DB().QueryContext(w.Context(), `SELECT "rule", "row" FROM "millrace"."rejects" WHERE "function" = 'salesforcesync' AND "state" = ? ORDER BY 1, 2`, state)
	if err != nil {
		w.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var rule string
		var row any // DuckDB decodes documents
		if err := rows.Scan(&rule, &row); err != nil {
			w.Fatal(err)
		}
		if text, ok := row.(string); ok {
			if err := json.Unmarshal([]byte(text), &row); err != nil {
				w.Fatal(err)
			}
		}
		text, _ := json.Marshal(row)
		out = append(out, rule+" "+string(text))
	}
	slices.Sort(out)
	return out
}

func (w *world) want(what string, got, want any) {
	w.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		w.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// balanced checks that every row of the query is accounted for.
func (w *world) balanced(p *reverse.Plan, rows int64) {
	w.Helper()
	if p.Writes()+p.Rejected+p.Unchanged != rows {
		w.Errorf("%d writes, %d rejected, %d unchanged of %d rows", p.Writes(), p.Rejected, p.Unchanged, rows)
	}
}

// ways are the two ways that rows take: bulk jobs of a few rows, and requests.
var ways = map[string]func(w *world){
	"bulk":  func(w *world) { w.Bulk, w.Part = 1, 4 },
	"write": func(*world) {},
}

func eachWay(t *testing.T, test func(t *testing.T, w *world)) {
	for name, set := range ways {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, embedded(t))
			w.Poll = time.Millisecond
			set(w)
			test(t, w)
		})
	}
}

// everyWay is eachWay in both warehouses.
func everyWay(t *testing.T, test func(t *testing.T, w *world)) {
	eachWay(t, test)
	if testing.Short() {
		return
	}
	for name, set := range ways {
		t.Run("Snowflake "+name, func(t *testing.T) {
			w := newWorld(t, standIn(t))
			w.Poll = time.Millisecond
			set(w)
			test(t, w)
		})
	}
}

// approved plans and approves.
func (w *world) approved(j reverse.Job) *reverse.Plan {
	w.Helper()
	p := w.plan(j, reverse.PlanOptions{})
	if p, err := w.Approve(w.Context(), p.ID, "ann@example.com", p.Hash); err != nil || p.State != reverse.PlanApproved {
		w.Fatalf("approve: %v, %v", p, err)
	}
	return p
}

// done applies a plan to its end.
func (w *world) done(id string) *reverse.Plan {
	w.Helper()
	p, err := w.Apply(w.Context(), id)
	if err != nil || p.State != reverse.PlanApplied {
		w.Fatalf("apply of plan %s, now %s: %v", id, p.State, err)
	}
	w.inBalance(p)
	return p
}

// inBalance makes sure that every row of an applied plan has ended, and that the
// destination took each but once.
func (w *world) inBalance(p *reverse.Plan) {
	w.Helper()
	if p.Sent+p.Failed+p.Unprocessed != p.Writes() {
		w.Errorf("%d sent, %d failed, %d unprocessed of %d", p.Sent, p.Failed, p.Unprocessed, p.Writes())
	}
	for key, n := range w.mem.Accepted() {
		if n != 1 {
			w.Errorf("row %s was written %d times", key, n)
		}
	}
	for _, j := range w.mem.Jobs() {
		if j.Uploads > 1 {
			w.Errorf("job %s was uploaded to %d times", j.ID, j.Uploads)
		}
	}
	if n := w.count(`SELECT count(*) FROM "millrace"."sync_jobs" WHERE "plan" = ? AND "state" NOT IN ('ended', 'aborted')`, p.ID); n > 0 {
		w.Errorf("%d parts have not ended", n)
	}
	if n := w.count(`SELECT count(*) FROM "millrace"."sync_jobs" WHERE "plan" = ? AND "state" = 'ended' AND "sent" + "failed" + "unprocessed" <> "rows"`, p.ID); n > 0 {
		w.Errorf("%d parts do not balance", n)
	}
	if n := w.count(`SELECT count(*) FROM "millrace"."sync_plans" WHERE "lease_until" IS NOT NULL`); n > 0 {
		w.Errorf("%d plans still have a lease", n)
	}
}

// lines is a query of n rows: key kN, score N, tier A, from i on.
func lines(from, n int) string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("k%02d,%d,A", from+i, from+i)
	}
	return rows(out...)
}
