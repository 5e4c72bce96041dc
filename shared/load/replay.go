package load

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/gate"
	"github.com/millrace-data/millrace/shared/part"
	"github.com/millrace-data/millrace/shared/record"
	"github.com/millrace-data/millrace/shared/warehouse"
)

// Replay is rejects of one table that are tried again, after its rules or its
// schema were mended.
type Replay struct {
	Function    string
	Ledger      string // the table's name in the ledger
	Slice, Rule string // only these; "" = all
	Now         time.Time
	// Declared is the table as it is declared now, as a slice meets it, and its rules.
	Declared func(slice string) (record.Table, []gate.Rule)
}

// Replayed is how a replay ended.
type Replayed struct {
	Replayed, Left int64
	Mark           time.Time // of the table, after it; zero where nothing was tried
	Why            []string  // per slice that could not be tried: the reason
}

// ReplayRejects encodes the open rejects of committed slices again and judges them by
// the rules of rows as they are now, but for those that only warn. Those that pass are loaded
// beside their slice's rows, the others stay open with the new reason; each slice is
// one transaction (see [warehouse.Staging.Add]). Columns that may not be null must be
// there. Rows whose contents were not kept, ragged records, and records of files
// can only be read again, which the reason says.
func ReplayRejects(ctx context.Context, w *warehouse.Warehouse, r Replay) (out Replayed, err error) {
	kept, err := w.Open(ctx, r.Function, r.Ledger, r.Slice, r.Rule)
	if err != nil {
		return out, err
	}
	for len(kept) > 0 {
		n := slices.IndexFunc(kept, func(k warehouse.Kept) bool { return k.Slice != kept[0].Slice })
		if n < 0 {
			n = len(kept)
		}
		err := r.slice(ctx, w, kept[:n], &out)
		if errors.Is(err, fault.Stale) {
			out.Left += int64(n)
			out.Why = append(out.Why, fmt.Sprintf("slice %s is being read again, which brings its rows", kept[0].Slice))
		} else if err != nil {
			return out, err
		}
		kept = kept[n:]
	}
	return out, nil
}

func (r Replay) slice(ctx context.Context, w *warehouse.Warehouse, kept []warehouse.Kept, out *Replayed) error {
	row, err := w.Slice(ctx, r.Function, r.Ledger, kept[0].Slice)
	if err != nil {
		return err
	}
	if row.State != warehouse.Loaded {
		return fault.New(fault.Stale, "slice %s is %s", row.ID, row.State)
	}
	t, rules := r.Declared(row.ID)
	b, err := encodeKept(t, kept)
	if err != nil {
		return err
	}
	if b.table.File && len(b.ids) > 0 {
		return fault.New(fault.Invalid, "rows of files are not replayed")
	}
	file, err := b.write()
	if err != nil {
		return err
	}
	defer os.Remove(file)
	if _, err := w.Ensure(ctx, b.table); err != nil {
		return err
	}
	row.RowsStaged = int64(len(b.ids))
	s, err := w.Stage(ctx, warehouse.Load{Slice: row, Table: b.table, Files: []string{file}, Now: r.Now})
	if err != nil {
		return err
	}
	defer s.Close()
	replayed, left, err := judgeAgain(ctx, s, rowRules(b.table, rules), b)
	if err != nil {
		return err
	}
	res, err := s.Add(ctx, replayed, left)
	if err != nil {
		return err
	}
	out.Replayed, out.Left, out.Mark = out.Replayed+int64(len(replayed)), out.Left+int64(len(left)), res.Mark.At
	return nil
}

// rowRules are the rules that single rows are judged by, and one for every column
// that may not be null.
func rowRules(t record.Table, rules []gate.Rule) (out []gate.Rule) {
	for _, r := range rules {
		if r.Row() && r.Level != gate.Warn {
			out = append(out, r.At(gate.Quarantine))
		}
	}
	for _, c := range t.Columns {
		if !c.Nullable {
			out = append(out, gate.Require(c.Name))
		}
	}
	return out
}

// judgeAgain takes out the rows that still break a rule.
func judgeAgain(ctx context.Context, s *warehouse.Staging, rules []gate.Rule, b *batch) (replayed []string, left []warehouse.Left, err error) {
	if _, err = s.Quarantine(ctx, rules); err != nil {
		return nil, nil, err
	}
	bad, err := s.Offenders(ctx)
	if err != nil {
		return nil, nil, err
	}
	left = b.left
	gone := map[string]bool{}
	for _, o := range bad {
		id := b.ids[o.Line-1]
		gone[id] = true
		left = append(left, warehouse.Left{ID: id, Reason: "breaks the rule " + o.Rule})
	}
	for _, id := range b.ids {
		if !gone[id] {
			replayed = append(replayed, id)
		}
	}
	return replayed, left, nil
}

// batch is the rejects of a slice, encoded again.
type batch struct {
	table record.Table
	lines []byte
	ids   []string // of the line with that number, less one
	left  []warehouse.Left
}

func encodeKept(t record.Table, kept []warehouse.Kept) (*batch, error) {
	b := &batch{table: t}
	raw, taken := part.NewEncoder(t), part.NewEncoder(ownNames(t))
	for _, k := range kept {
		if t.File || k.Rule == "cells" || k.Rule == "size" || k.Row == "" || k.Row == "{}" {
			b.left = append(b.left, warehouse.Left{ID: k.ID, Reason: "only the vendor has the whole row: read the slice again with millrace run or backfill, --from and --to"})
			continue
		}
		enc := raw
		if strings.Contains(k.Rule, ":") {
			enc = taken
		}
		line, rej, err := enc.JSON(nil, []byte(k.Row))
		switch {
		case err != nil:
			return nil, fmt.Errorf("reject %s of slice %s: %w", k.ID, k.Slice, err)
		case rej != nil:
			b.left = append(b.left, warehouse.Left{ID: k.ID, Reason: rej.Reason})
		default:
			b.ids = append(b.ids, k.ID)
			b.add(line)
		}
	}
	if t.Open {
		b.table.Columns = raw.Columns()
	}
	return b, nil
}

// ownNames is the table for rows that have our names for its columns: those that
// the gate took out.
func ownNames(t record.Table) record.Table {
	t.Columns = slices.Clone(t.Columns)
	for i := range t.Columns {
		t.Columns[i].Field = t.Columns[i].Name
	}
	if !t.Open {
		t.Columns = append(t.Columns, record.Column{Name: record.ColumnExtra, Field: record.ColumnExtra, Type: record.Document, Nullable: true})
	}
	return t
}

// add numbers a line and keeps it.
func (b *batch) add(line []byte) {
	end := len(line) - 2 // "}\n"
	b.lines = append(b.lines, line[:end]...)
	if end > 1 {
		b.lines = append(b.lines, ',')
	}
	b.lines = fmt.Appendf(b.lines, "%q:%d}\n", warehouse.ColumnSeq, len(b.ids))
}

// write makes the one part of the batch, in a file for the caller to remove.
func (b *batch) write() (name string, err error) {
	f, err := os.CreateTemp("", "millrace-replay-*.ndjson.zst")
	if err != nil {
		return "", fault.New(fault.Invalid, "scratch for a replay: %w", err)
	}
	z, err := part.Compress(f)
	if err == nil {
		_, err = z.Write(b.lines)
		err = errors.Join(err, z.Close())
	}
	return f.Name(), errors.Join(err, f.Close())
}
