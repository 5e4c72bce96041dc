package snowflake_test

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/record"
	"github.com/millrace-data/millrace/shared/warehouse"
	"github.com/millrace-data/millrace/shared/warehouse/snowflake/snowflaketest"
)

// ids is the keys in the table, sorted, repeated where a row is doubled.
func ids(t *testing.T, w *warehouse.Warehouse) []string {
	t.Helper()
	return column(t, w.DB(), `SELECT "id" FROM "shop"."orders" ORDER BY "id"`)
}

func column(t *testing.T, db *sql.DB, q string) (out []string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			t.Fatal(err)
		}
		out = append(out, s)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// try stages and commits, as a delivery of the arrival does.
func try(t *testing.T, w *warehouse.Warehouse, l warehouse.Load) (warehouse.Result, error) {
	t.Helper()
	s, err := w.Stage(t.Context(), l)
	if err != nil {
		return warehouse.Result{}, err
	}
	defer s.Close()
	return s.Commit(t.Context(), nil)
}

// Whatever happens to a statement of a load, it fails as transient or succeeds, and
// when it is delivered again the rows are there once.
func TestFaultsOfALoad(t *testing.T) {
	for _, mode := range []record.Mode{record.Append, record.Merge, record.ReplaceAll} {
		for _, f := range []struct {
			name string
			snowflaketest.Fault
			first bool // the first delivery succeeds
		}{
			{"COMMIT lost after it was done", snowflaketest.Fault{On: "COMMIT", Kind: snowflaketest.Lose}, true},
			{"answer to COMMIT dropped", snowflaketest.Fault{On: "COMMIT", Kind: snowflaketest.DropAfter}, true},
			{"COMMIT never arrives", snowflaketest.Fault{On: "COMMIT", Kind: snowflaketest.Gone}, false},
			{"503 at COPY", snowflaketest.Fault{On: "COPY", Kind: snowflaketest.Unavailable}, true},
			{"token expires in the transaction", snowflaketest.Fault{On: `UPDATE "millrace"."slices" SET "state"`, Kind: snowflaketest.Expire}, true},
			{"session gone in the transaction", snowflaketest.Fault{On: `UPDATE "millrace"."slices" SET "state"`, Kind: snowflaketest.Gone}, false},
			{"lock not released", snowflaketest.Locked(`UPDATE "millrace"."slices" SET "fence"`), false},
		} {
			t.Run(string(mode)+" "+f.name, func(t *testing.T) {
				t.Parallel()
				srv := start(t, "")
				w := connect(t, srv, "")
				l := load(t, w, orders(mode), `{"id":"1","_seq":1}`, `{"id":"2","_seq":2}`)
				srv.Inject(f.Fault)
				res, err := try(t, w, l)
				if srv.Pending() != 0 {
					t.Fatal("the fault did not happen")
				}
				if f.first && err != nil || !f.first && !fault.Retryable(err) {
					t.Fatalf("first delivery: %v", err)
				}
				if f.first && (res.Slice.State != warehouse.Loaded || res.Again || res.Mark.At != l.Slice.To) {
					t.Errorf("first delivery: %s, again %v, mark %s", res.Slice.State, res.Again, res.Mark.At)
				}
				if !f.first && len(ids(t, w)) != 0 {
					t.Errorf("rows after a load that failed: %v", ids(t, w))
				}
				res, err = try(t, w, l)
				if err != nil || res.Again != f.first {
					t.Fatalf("second delivery: again %v, %v", res.Again, err)
				}
				if got := ids(t, w); !slices.Equal(got, []string{"1", "2"}) {
					t.Errorf("rows %v, want 1 and 2", got)
				}
			})
		}
	}
}

// two opens the warehouse twice, as two processes do: no mutex is shared.
func two(t *testing.T) (srv *snowflaketest.Server, both [2]*warehouse.Warehouse) {
	srv = start(t, "")
	return srv, [2]*warehouse.Warehouse{connect(t, srv, ""), connect(t, srv, "")}
}

func TestTwoProcessesPlanASliceOnce(t *testing.T) {
	_, both := two(t)
	var wg sync.WaitGroup
	for _, w := range both {
		wg.Go(func() {
			for i := range 10 {
				if err := w.Plan(t.Context(), []warehouse.Slice{{Function: "f", Table: "s.t", ID: fmt.Sprint(i), Purpose: "live"}}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	all, err := both[0].Slices(t.Context(), "f", "")
	if err != nil || len(all) != 10 {
		t.Errorf("%d slices, %v; want 10", len(all), err)
	}
}

func TestTwoProcessesLoadOneManifest(t *testing.T) {
	for _, mode := range []record.Mode{record.Append, record.Merge, record.ReplaceAll, record.History} {
		t.Run(string(mode), func(t *testing.T) {
			_, both := two(t)
			l := load(t, both[0], orders(mode), `{"id":"1","_seq":1}`, `{"id":"2","_seq":2}`)
			var wg sync.WaitGroup
			var again [2]bool
			for i, w := range both {
				wg.Go(func() {
					res, err := try(t, w, l)
					if again[i] = res.Again; err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if again[0] == again[1] {
				t.Errorf("again %v, want one of the two", again)
			}
			if got := ids(t, both[0]); !slices.Equal(got, []string{"1", "2"}) {
				t.Errorf("rows %v, want 1 and 2", got)
			}
		})
	}
}

// Slices of one table whose rows have the same keys: in Snowflake two MERGEs that
// find nothing to match would both insert.
func TestTwoProcessesMergeTheSameKeys(t *testing.T) {
	_, both := two(t)
	table := orders(record.Merge)
	var loads [2]warehouse.Load
	for i, w := range both {
		l := load(t, w, table, `{"id":"1","_seq":1}`, `{"id":"2","_seq":2}`)
		sl := warehouse.Slice{Function: "shop", Table: table.FullName(), ID: fmt.Sprint("s", i), Purpose: "live"}
		if err := w.Plan(t.Context(), []warehouse.Slice{sl}); err != nil {
			t.Fatal(err)
		}
		claimed, err := w.Claim(t.Context(), sl.Function, sl.Table, sl.ID, "worker", 0)
		if err != nil {
			t.Fatal(err)
		}
		claimed.RowsSource, claimed.RowsStaged, claimed.Manifest, claimed.Digest = 2, 2, sl.ID, sl.ID
		l.Slice = claimed
		loads[i] = l
	}
	var wg sync.WaitGroup
	for i, w := range both {
		wg.Go(func() {
			if _, err := try(t, w, loads[i]); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := ids(t, both[0]); !slices.Equal(got, []string{"1", "2"}) {
		t.Errorf("rows %v, want 1 and 2", got)
	}
}

// While a table is replaced, readers see the old rows or the new ones.
func TestReadersNeverSeeAnEmptyTable(t *testing.T) {
	srv, both := two(t)
	table := orders(record.ReplaceAll)
	if _, err := try(t, both[0], load(t, both[0], table, `{"id":"1","_seq":1}`)); err != nil {
		t.Fatal(err)
	}
	sl := claimAgain(t, both[0], table)
	l := warehouse.Load{Slice: sl, Table: table, Now: clock.AddDate(0, 0, 1), Files: []string{part(t, t.TempDir(), 0, `{"id":"2","_seq":1}`)}}
	l.Slice.RowsSource, l.Slice.RowsStaged, l.Slice.Manifest, l.Slice.Digest = 1, 1, "m2", "d2"
	var seen []string
	l.Point = func(name string) {
		if name == "in_tx_before_fence" { // the table is replaced, and not committed
			seen = ids(t, both[1])
		}
	}
	if _, err := try(t, both[0], l); err != nil {
		t.Fatal(err)
	}
	if got := ids(t, both[1]); !slices.Equal(seen, []string{"1"}) || !slices.Equal(got, []string{"2"}) {
		t.Errorf("a reader saw %v during the load and %v after it, want 1 and 2", seen, got)
	}
	for _, q := range srv.Statements() {
		if strings.Contains(q, "SWAP") || strings.Contains(q, "TRUNCATE") {
			t.Errorf("this commits the transaction: %s", q)
		}
	}
}

func claimAgain(t *testing.T, w *warehouse.Warehouse, table record.Table) warehouse.Slice {
	t.Helper()
	sl, err := w.Claim(t.Context(), "shop", table.FullName(), "2026-01-01", "worker", 0)
	if err != nil {
		t.Fatal(err)
	}
	return sl
}

// Between BEGIN and COMMIT there is no statement that would commit.
func TestNoDDLInATransaction(t *testing.T) {
	srv := start(t, "")
	w := connect(t, srv, "")
	for _, mode := range []record.Mode{record.Append, record.Merge, record.ReplaceAll, record.ReplacePartition, record.History} {
		table := orders(mode)
		table.Name += string(mode)
		commit(t, w, load(t, w, table, `{"id":"1","_seq":1}`))
	}
	inside := false
	for _, q := range srv.Statements() {
		verb, _, _ := strings.Cut(q, " ")
		switch verb {
		case "BEGIN":
			inside = true
		case "COMMIT", "ROLLBACK":
			inside = false
		case "SELECT", "INSERT", "UPDATE", "DELETE", "MERGE":
		default:
			if inside {
				t.Errorf("in a transaction: %s", q)
			}
		}
	}
}

func TestWrongPassword(t *testing.T) {
	srv := start(t, "")
	srv.Inject(snowflaketest.Fault{On: "/session/v1/login-request", Kind: snowflaketest.Refuse, Code: "390144", Message: "JWT token is invalid."})
	_, err := openDSN(t, srv.DSN())
	if !errors.Is(err, fault.Auth) || strings.Contains(err.Error(), "any") {
		t.Errorf("got %v, want fault.Auth", err)
	}
}

// A session that ended while nobody used it is replaced without a word.
func TestEndedSessionsAreReplaced(t *testing.T) {
	srv := start(t, "")
	w := connect(t, srv, "")
	claim(t, w, orders(record.Append))
	for range 3 {
		srv.Inject(snowflaketest.Fault{On: "SELECT", Kind: snowflaketest.Gone})
		if all, err := w.Slices(t.Context(), "shop", ""); err != nil || len(all) != 1 {
			t.Errorf("%d slices, %v; want 1", len(all), err)
		}
	}
	if srv.Pending() != 0 {
		t.Error("no session ended")
	}
}

// A MERGE whose source has a key twice fails in Snowflake (100090), and would for
// ever: of such rows the last one counts.
func TestMergeSourceIsUnique(t *testing.T) {
	w := connect(t, start(t, ""), "")
	table := orders(record.Merge)
	commit(t, w, load(t, w, table, `{"id":"1","amount":"1","_seq":1}`))
	l := warehouse.Load{Slice: claimAgain(t, w, table), Table: table, Now: clock.AddDate(0, 0, 1)}
	dir := t.TempDir()
	for i, line := range []string{`{"id":"1","amount":"2","_seq":1}`, `{"id":"1","amount":"3","_seq":2}`} {
		l.Files = append(l.Files, part(t, dir, i, line))
	}
	l.Slice.RowsSource, l.Slice.RowsStaged, l.Slice.Manifest, l.Slice.Digest = 2, 2, "m2", "d2"
	if _, err := try(t, w, l); err != nil {
		t.Fatal(err)
	}
	if got := column(t, w.DB(), `SELECT CAST("amount" AS VARCHAR) FROM "shop"."orders"`); !slices.Equal(got, []string{"3.00"}) {
		t.Errorf("amounts %v, want 3.00", got)
	}
}

// The client holds large files in memory while it sends them.
func TestLargePartsAreNotPut(t *testing.T) {
	w := connect(t, start(t, ""), "")
	l := load(t, w, orders(record.Append), `{"id":"1","_seq":1}`)
	if err := os.Truncate(l.Files[0], 64<<20+1); err != nil {
		t.Fatal(err)
	}
	if _, err := try(t, w, l); !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "external stage") {
		t.Errorf("got %v, want fault.Invalid that says what to do", err)
	}
}

// A part that the manifest names and the bucket lacks is the slice's fault.
func TestMissingPart(t *testing.T) {
	bucket := t.TempDir()
	w, _ := open(t, bucket)
	l := load(t, w, orders(record.Append), `{"id":"1","_seq":1}`)
	l.Remote, l.Files = true, []string{"shop/orders/none.ndjson.zst"}
	if _, err := try(t, w, l); !errors.Is(err, fault.Corrupt) {
		t.Errorf("got %v, want fault.Corrupt", err)
	}
}
