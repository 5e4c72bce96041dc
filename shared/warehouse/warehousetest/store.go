package warehousetest

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/gate"
	"github.com/millrace-data/millrace/shared/record"
	"github.com/millrace-data/millrace/shared/warehouse"
)

// start is the kit's clock: each load is a minute later than the one before.
var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

const function = "kit"

// row is a staged line; a column that is absent is null.
type row map[string]string

// store is one fresh warehouse with helpers that fail the test.
type store struct {
	*testing.T
	w   *warehouse.Warehouse
	ctx context.Context
	now time.Time
	dir string
	n   int // files written
}

func newStore(t *testing.T, w *warehouse.Warehouse) *store {
	return &store{T: t, w: w, ctx: t.Context(), now: start, dir: t.TempDir()}
}

func (s *store) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// is fails unless err is of the kind and says each of the words.
func (s *store) is(err, kind error, words ...string) {
	s.Helper()
	if !errors.Is(err, kind) {
		s.Fatalf("got error %v, want one that is %v", err, kind)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			s.Errorf("error %q does not say %q", err, w)
		}
	}
}

func equal[T any](s *store, what string, got, want T) {
	s.Helper()
	if g, w := fmt.Sprintf("%v", got), fmt.Sprintf("%v", want); g != w {
		s.Errorf("%s:\n got %s\nwant %s", what, g, w)
	}
}

// table is the kit's usual table: id is its key, part its partition.
func table(mode record.Mode) record.Table {
	t := record.Table{Schema: "kit", Name: "t_" + string(mode), Mode: mode, Key: []string{"id"}, Columns: []record.Column{
		{Name: "id", Field: "id", Type: record.Text},
		{Name: "name", Field: "name", Type: record.Text, Nullable: true},
		{Name: "amount", Field: "amount", Type: record.Number, Precision: 38, Scale: 9, Nullable: true},
		{Name: "part", Field: "part", Type: record.Text, Nullable: true},
	}}
	if mode == record.ReplacePartition {
		t.Partition = "part"
	}
	return t
}

// people makes rows of the usual table from "id:name" pairs.
func people(pairs ...string) []row {
	var out []row
	for _, p := range pairs {
		id, name, _ := strings.Cut(p, ":")
		out = append(out, row{"id": id, "name": name})
	}
	return out
}

// write makes one zstd NDJSON file of lines.
func (s *store) write(lines ...string) string {
	s.Helper()
	s.n++
	path := filepath.Join(s.dir, fmt.Sprintf("part-%03d.ndjson.zst", s.n))
	z, err := zstd.NewWriter(nil)
	s.must(err)
	text := strings.Join(lines, "\n")
	if text != "" {
		text += "\n"
	}
	s.must(os.WriteFile(path, z.EncodeAll([]byte(text), nil), 0o600))
	return path
}

// part writes rows as a part, its lines numbered from first on where the table
// is no file; a file's rows bring their own _row.
func (s *store) part(t record.Table, first int, rows []row) string {
	s.Helper()
	lines := make([]string, len(rows))
	for i, r := range rows {
		line := map[string]any{}
		for k, v := range r {
			line[k] = v
		}
		if !t.File {
			line[warehouse.ColumnSeq] = first + i
		}
		b, err := json.Marshal(line)
		s.must(err)
		lines[i] = string(b)
	}
	return s.write(lines...)
}

// attempt is one staged attempt at a slice, with what a manifest would say of it.
func (s *store) attempt(t record.Table, sl warehouse.Slice, rows []row) warehouse.Load {
	s.Helper()
	s.now = s.now.Add(time.Minute)
	sl.RowsSource, sl.RowsStaged, sl.RowsRejected, sl.Bytes = int64(len(rows)), int64(len(rows)), 0, 100
	sl.Manifest = fmt.Sprintf("kit/%s/%s/%d/manifest.json", sl.Table, sl.ID, sl.Fence)
	sl.Digest = fmt.Sprintf("%s-%d-%d", sl.ID, sl.Fence, len(rows))
	l := warehouse.Load{Slice: sl, Table: t, Now: s.now}
	for first := 0; first < len(rows); first += 2 { // several small parts
		l.Files = append(l.Files, s.part(t, first+1, rows[first:min(first+2, len(rows))]))
	}
	return l
}

// claim plans the slice where it is new, and claims it.
func (s *store) claim(t record.Table, sl warehouse.Slice) warehouse.Slice {
	s.Helper()
	sl.Function, sl.Table = function, t.FullName()
	if sl.Purpose == "" {
		sl.Purpose = "live"
	}
	s.must(s.w.Plan(s.ctx, []warehouse.Slice{sl}))
	got, err := s.w.Claim(s.ctx, sl.Function, sl.Table, sl.ID, "kit", time.Minute)
	s.must(err)
	got.VendorCursor = sl.VendorCursor
	return got
}

// prepare claims the slice and makes an attempt of it whose manifest is written.
func (s *store) prepare(t record.Table, sl warehouse.Slice, rows []row) warehouse.Load {
	s.Helper()
	_, err := s.w.Ensure(s.ctx, t)
	s.must(err)
	l := s.attempt(t, s.claim(t, sl), rows)
	s.must(s.w.Staged(s.ctx, l.Slice))
	return l
}

func (s *store) stage(l warehouse.Load) *warehouse.Staging {
	s.Helper()
	st, err := s.w.Stage(s.ctx, l)
	s.must(err)
	return st
}

// commit stages, measures, quarantines and commits as the load engine does.
func (s *store) commit(l warehouse.Load, rules ...gate.Rule) warehouse.Result {
	s.Helper()
	st := s.stage(l)
	defer st.Close()
	rows, measures, err := st.Measure(s.ctx, rules)
	s.must(err)
	equal(s, "rows measured", rows, l.Slice.RowsStaged)
	var checks []gate.Check
	var broken []gate.Rule
	for i, r := range rules {
		c := gate.Judge(r, measures[i])
		if checks = append(checks, c); c.Verdict == gate.Quarantined {
			broken = append(broken, r)
		}
	}
	if len(broken) > 0 {
		_, err = st.Quarantine(s.ctx, broken)
		s.must(err)
	}
	res, err := st.Commit(s.ctx, checks)
	s.must(err)
	return res
}

// load does all of it under a new fence.
func (s *store) load(t record.Table, sl warehouse.Slice, rows []row, rules ...gate.Rule) warehouse.Result {
	s.Helper()
	return s.commit(s.prepare(t, sl, rows), rules...)
}

// query returns rows as texts joined by "|", null as "-", sorted.
func (s *store) query(q string, args ...any) []string {
	s.Helper()
	rows, err := s.w.DB().QueryContext(s.ctx, q, args...)
	s.must(err)
	defer rows.Close()
	cols, err := rows.Columns()
	s.must(err)
	out := []string{}
	for rows.Next() {
		cells, dest := make([]sql.NullString, len(cols)), make([]any, len(cols))
		for i := range cells {
			dest[i] = &cells[i]
		}
		s.must(rows.Scan(dest...))
		texts := make([]string, len(cols))
		for i, c := range cells {
			// Some databases write the fraction of whole seconds, others do not.
			if texts[i] = strings.TrimSuffix(c.String, ".000000"); !c.Valid {
				texts[i] = "-"
			}
		}
		out = append(out, strings.Join(texts, "|"))
	}
	s.must(rows.Err())
	slices.Sort(out)
	return out
}

// rows reads columns of a table as text; all their names are quoted here.
func (s *store) rows(t record.Table, cols ...string) []string {
	s.Helper()
	list := make([]string, len(cols))
	for i, c := range cols {
		list[i] = "CAST(" + ident(c) + " AS VARCHAR)"
	}
	return s.query("SELECT " + strings.Join(list, ", ") + " FROM " + full(t))
}

// control reads columns of a control table for the kit's function.
func (s *store) control(name string, cols ...string) []string {
	s.Helper()
	return s.rows(record.Table{Schema: "millrace", Name: name}, cols...)
}

func (s *store) ledger(l warehouse.Load) warehouse.Slice {
	s.Helper()
	got, err := s.w.Slice(s.ctx, l.Slice.Function, l.Slice.Table, l.Slice.ID)
	s.must(err)
	return got
}

func ident(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

func full(t record.Table) string { return ident(t.Schema) + "." + ident(t.Name) }

// day is the nth day of the kit's calendar.
func day(n int) time.Time { return start.AddDate(0, 0, n) }

// window is the slice of days [from, to).
func window(from, to int) warehouse.Slice {
	return warehouse.Slice{ID: fmt.Sprintf("w%03d-%03d", from, to), From: day(from), To: day(to)}
}

// scan is a scan of the nth day.
func scan(n int) warehouse.Slice {
	return warehouse.Slice{ID: fmt.Sprintf("scan-%03d", n), From: day(n), To: day(n)}
}

// object is a slice that is a file.
func object(name string) warehouse.Slice {
	return warehouse.Slice{ID: name, Source: name}
}

var errGate = fault.New(fault.Refused, "too few rows")

// windowIn is one day, told in another zone.
func windowIn(zone *time.Location) warehouse.Slice {
	w := window(1, 2)
	w.From, w.To = w.From.In(zone), w.To.In(zone)
	return w
}
