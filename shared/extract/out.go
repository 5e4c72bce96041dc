package extract

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/part"
	"github.com/millrace-data/millrace/shared/record"
	"github.com/millrace-data/millrace/shared/rest"
	"github.com/millrace-data/millrace/shared/stage"
	"github.com/millrace-data/millrace/shared/warehouse"
)

const (
	rollBytes  = 64 << 20         // of a part, uncompressed: some 10 MiB in the stage, and what a crash may cost
	flushEvery = 20 * time.Second // a part is closed at the first page boundary after this long, so that slow vendors lose little to a crash
	lineMax    = 15 << 20         // bytes; the longest line that every warehouse reads (DuckDB and Snowflake stop at 16 MiB)
)

// errContinue is what Page returns when time is up. It passes through the Source.
var errContinue = errors.New("time is up: the next invocation goes on from here")

// Out takes the rows of one slice from a Source and stages them. It is used by one
// goroutine. Every error it returns ends the slice and is to be returned unchanged.
type Out struct {
	e       *Engine
	ctx     context.Context
	t       Table
	s       Slice
	row     warehouse.Slice
	meter   *rest.Meter
	enc     *part.Encoder
	parts   *part.Writer
	rejects *part.Writer
	line    []byte

	p         progress // as of now
	saved     string   // the progress that the ledger has
	sincePage int64    // source rows since the last page boundary
	flushed   time.Time
	pageAt    time.Time
	slowest   time.Duration // the costliest page so far

	back   backstage
	beside map[string]*Out // of the leading table: those that its slice fills too
	wait   time.Duration   // before the next invocation
	same   bool            // the slice is loaded as it is
}

// progress is what the next invocation must know; JSON in the ledger's cursor.
type progress struct {
	Cursor   string            `json:"cursor,omitempty"`
	Vendor   string            `json:"vendor,omitempty"`
	Parts    []stage.Part      `json:"parts,omitempty"`
	Rejects  []stage.Part      `json:"rejects,omitempty"`
	Source   int64             `json:"source"`
	Staged   int64             `json:"staged"`
	Rejected int64             `json:"rejected"`
	Pages    int64             `json:"pages"`
	Requests int64             `json:"requests"`
	Retries  int64             `json:"retries"`
	Expected *int64            `json:"expected,omitempty"`
	Sums     map[string]string `json:"sums,omitempty"`
	Warnings []string          `json:"warnings,omitempty"`
	New      []string          `json:"new,omitempty"`
	Missing  []string          `json:"missing,omitempty"`
	Resumed  bool              `json:"resumed,omitempty"` // Missing holds what earlier invocations never saw
	Restarts int               `json:"restarts,omitempty"`

	Beside map[string]progress `json:"beside,omitempty"`
}

// open goes on where the ledger says the slice is.
func (e *Engine) open(ctx context.Context, t Table, s Slice, row warehouse.Slice, m *rest.Meter) (*Out, error) {
	o := &Out{e: e, ctx: ctx, t: t, s: s, row: row, meter: m, enc: part.NewEncoder(t.Table), saved: row.Cursor,
		flushed: time.Now(), pageAt: time.Now(), back: backstage{filling: &rows{}}}
	if row.Cursor != "" {
		if err := json.Unmarshal([]byte(row.Cursor), &o.p); err != nil {
			return nil, fault.New(fault.Corrupt, "%s slice %s: its cursor in the ledger is not readable; run the function again, which reads the slice from its beginning: %w", t.FullName(), s.ID, err)
		}
	}
	if s.Replaces != "" && row.Cursor == "" {
		o.Warn("the vendor rewrote %s: its rows replace those of slice %s", s.Object.Name, s.Replaces)
	}
	o.parts = o.writer("part")
	o.rejects = o.writer("reject")
	return o, nil
}

func (o *Out) writer(kind string) *part.Writer {
	dir := stage.Dir(o.s.Function, o.s.Table, o.s.ID, o.row.Fence)
	return part.NewWriter(func(n int) (string, io.WriteCloser, error) {
		key := fmt.Sprintf("%s/%s-%05d.ndjson.zst", dir, kind, n)
		w, err := o.e.Stage.Create(context.WithoutCancel(o.ctx), key)
		return key, w, err
	}, 1<<62) // closed by flush, at page boundaries only
}

// Cursor is where to resume, as given to Page by an earlier invocation; "" is the start.
func (o *Out) Cursor() string { return o.p.Cursor }

// SetCursor names the vendor's cursor to keep with the mark once the slice is
// committed; tails start from it.
func (o *Out) SetCursor(c string) {
	_ = o.sync() // its error is returned by Page or Row
	o.p.Vendor = c
}

// Expect notes how many rows the source says the slice has.
func (o *Out) Expect(rows int64) {
	_ = o.sync()
	o.p.Expected = &rows
}

// Warn notes something that a reader must know about the completeness of the
// slice. It becomes a check with verdict warn. No row contents.
func (o *Out) Warn(format string, args ...any) {
	_ = o.sync()
	const most = 100 // a vendor that misbehaves on every page is told once too often by then
	if len(o.p.Warnings) < most {
		o.p.Warnings = append(o.p.Warnings, fmt.Sprintf(format, args...))
	}
}

// Row stages one JSON object as the vendor sent it. raw is not kept, extra is.
// Rows are encoded behind the Source's back, a page at a time: an error may be of
// a row before this one.
func (o *Out) Row(raw []byte, extra ...part.Field) error {
	if len(raw) == 0 || raw[0] != '{' { // no object: say so while the page is at hand
		if err := o.sync(); err != nil {
			return err
		}
		if _, _, err := o.enc.JSON(nil, raw); err != nil {
			return err
		}
	}
	o.back.filling.add(raw, extra)
	if len(o.back.filling.data) >= batchBytes {
		return o.hand(false, "")
	}
	return nil
}

// put counts a row of the source and stages it, or its reject.
func (o *Out) put(line []byte, rej *part.Reject) (err error) {
	o.p.Source++
	o.sincePage++
	if rej == nil && len(line) > lineMax {
		rej = &part.Reject{Row: []byte(`{}`), Rule: "size", Reason: fmt.Sprintf("row of %d bytes is over the limit of %d; its contents were not kept", len(line), lineMax)}
	}
	if rej != nil {
		o.p.Rejected++
		if o.line, err = rejectLine(rej); err != nil {
			return err
		}
		return o.rejects.Line(o.line)
	}
	o.p.Staged++
	if !o.t.File { // files have _row
		end := len(line) - 2 // "}\n"
		comma := ","
		if line[end-1] == '{' {
			comma = ""
		}
		line = append(line[:end], comma+`"`+warehouse.ColumnSeq+`":`...)
		line = strconv.AppendInt(line, o.p.Staged, 10)
		line = append(line, '}', '\n')
	}
	o.line = line
	return o.parts.Line(line)
}

// rejectLine is a line of a part of rejects. Quoted, a row grows: one that would
// make a line that no warehouse reads is kept without its contents.
func rejectLine(r *part.Reject) ([]byte, error) {
	line, err := json.Marshal(map[string]string{"row": string(r.Row), "reason": r.Reason, "rule": r.Rule})
	if err == nil && len(line) > lineMax {
		reason := fmt.Sprintf("%s; a row of %d bytes, whose contents are too long to be kept", r.Reason, len(r.Row))
		line, err = json.Marshal(map[string]string{"row": "{}", "reason": reason, "rule": r.Rule})
	}
	return append(line, '\n'), err
}

// Page says that all rows so far are complete and that reading can resume at
// cursor. It stores that every now and then, and ends the invocation in time. It
// does not wait for that: its error may be of the page before, and the Source asks
// for one page that is then not used.
func (o *Out) Page(cursor string) error {
	if len(o.back.filling.ends) > 0 && o.beside == nil {
		return o.hand(true, cursor)
	}
	if err := o.settle(); err != nil { // with tables beside, a page is their boundary too
		return err
	}
	return o.boundary(cursor)
}

// boundary is what happens at the end of a page.
func (o *Out) boundary(cursor string) error {
	now := time.Now()
	o.slowest = max(o.slowest, now.Sub(o.pageAt))
	o.p.Cursor, o.sincePage, o.pageAt = cursor, 0, now
	o.p.Pages++
	o.meter.AddPages(1)
	o.report()
	o.e.point("after_page")
	if err := o.ctx.Err(); err != nil {
		return err
	}
	short := false
	if d, ok := o.ctx.Deadline(); ok {
		short = time.Until(d) < 3*o.slowest // the page that is being asked for, another one, and time to spare
	}
	_, bytes := o.parts.Pending()
	if short || bytes >= rollBytes || now.Sub(o.flushed) >= cmp.Or(o.e.FlushEvery, flushEvery) {
		if err := o.flush(); err != nil {
			return err
		}
	}
	if short {
		return errContinue
	}
	return nil
}

func (o *Out) report() {
	if o.e.Progress == nil {
		return
	}
	p := Progress{Function: o.s.Function, Table: o.s.Table, Slice: o.s.ID, Rows: o.p.Source, Pages: o.p.Pages, Requests: o.meter.Requests(), QuotaLeft: -1}
	_, p.Bytes = o.parts.Pending()
	if left, _, _, known := o.meter.Quota(); known {
		p.QuotaLeft = left
	}
	o.e.Progress(p)
}

// Corrupt keeps a page that broke the vendor's contract in the stage, below
// corrupt/, and returns err with its key.
func (o *Out) Corrupt(ctx context.Context, b *rest.Body, err error) error {
	key := "corrupt/" + stage.Dir(o.s.Function, o.s.Table, o.s.ID, o.row.Fence) + "/page"
	w, cerr := o.e.Stage.Create(ctx, key)
	if cerr == nil {
		if _, cerr = io.Copy(w, b.Keep()); cerr == nil {
			cerr = w.Close()
		} else {
			w.Abort()
		}
	}
	if cerr != nil {
		return fmt.Errorf("%w (the page could not be kept: %v)", err, cerr)
	}
	return fmt.Errorf("%w (kept in the stage as %s; run the function again once the vendor has mended it)", err, key)
}

// columns is the table with what was found on the way.
func (o *Out) table() record.Table {
	t := o.t.Table
	t.Columns = o.enc.Columns()
	return t
}
