package extract

import (
	"cmp"
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/part"
	"github.com/millrace-data/millrace/shared/record"
	"github.com/millrace-data/millrace/shared/stage"
)

const restarts = 3 // of one slice; a vendor that needs more is not well

// errUnchanged ends a slice that is loaded as it is.
var errUnchanged = errors.New("nothing changed since the slice was loaded")

// Save stores cursor, and all rows so far, in the ledger before it returns. It is
// for what must not be forgotten, such as a job that the vendor queued; Page is for
// reading on.
func (o *Out) Save(cursor string) error {
	if err := o.settle(); err != nil {
		return err
	}
	o.p.Cursor, o.sincePage = cursor, 0
	if err := o.flush(); err != nil {
		return err
	}
	o.e.point("after_save")
	return nil
}

// Later saves cursor and ends the invocation: the slice goes on after wait, in an
// invocation of its own. Its error is to be returned unchanged.
func (o *Out) Later(cursor string, wait time.Duration) error {
	if err := o.Save(cursor); err != nil {
		return err
	}
	o.wait = wait
	return errContinue
}

// Others returns what the table's other slices have as their cursor, such as a job at
// the vendor's: what they saved, or, once they are read, what they gave to SetCursor.
// Those without one are left out.
func (o *Out) Others() (cursors []string, err error) {
	rows, err := o.e.Warehouse.Slices(o.ctx, o.s.Function, o.s.Table)
	for _, r := range rows {
		c := cmp.Or(cursorOf(r), r.VendorCursor)
		if c == "" && r.Manifest != "" { // read, and not yet loaded
			m, err := o.e.Stage.ReadManifest(o.ctx, r.Manifest)
			if err != nil && !errors.Is(err, fault.NotFound) {
				return nil, err
			}
			if err == nil {
				c = m.Cursor
			}
		}
		if r.ID != o.s.ID && c != "" {
			cursors = append(cursors, c)
		}
	}
	return cursors, err
}

// Restart forgets all that was staged of this slice: it is read from its beginning,
// by this invocation, for example because the vendor forgot a cursor. The fourth
// time in one slice is fault.Transient, with the reason.
func (o *Out) Restart(why string) error {
	if err := o.settle(); err != nil {
		return err
	}
	n := o.p.Restarts + 1
	for _, b := range o.beside {
		b.forget()
	}
	o.forget()
	if n > restarts {
		return errors.Join(fault.New(fault.Transient, "read from its beginning %d times: %s; the next run tries again", n, why), o.flush())
	}
	o.p.Restarts = n
	return o.Save("") // before a part of that name is written again
}

func (o *Out) forget() {
	o.parts.Abort()
	o.rejects.Abort()
	o.p, o.enc = progress{}, part.NewEncoder(o.t.Table)
	o.parts, o.rejects = o.writer("part"), o.writer("reject")
}

// Leave ends a slice for which the vendor has nothing to give, such as a method that
// the tenant does not have: the table stays as it is, and is made where it is not
// there. The reason becomes a warning. No row may have been given.
func (o *Out) Leave(format string, args ...any) {
	_ = o.sync()
	o.t.Mode = record.Append // of no rows
	o.Warn(format, args...)
}

// Unchanged is asked before the first row, with a digest of what the vendor sent.
// Where it is that of the slice's last commit, it is true: the Source returns nil at
// once and the slice stays loaded as it is. Else the digest is kept for the commit.
func (o *Out) Unchanged(digest string) bool {
	o.SetCursor(digest)
	o.same = !o.row.LoadedAt.IsZero() && o.row.VendorCursor == digest
	for _, b := range o.beside {
		o.same = o.same && !b.row.LoadedAt.IsZero()
	}
	return o.same
}

// Keep stores a document as the vendor sent it, which cannot be fetched again, in
// the stage: below raw/, one for each name of the slice. A reader that fails leaves
// nothing.
func (o *Out) Keep(ctx context.Context, name string, r io.Reader) error {
	pr, pw := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		z, err := part.Compress(pw)
		if err == nil {
			_, err = io.Copy(z, r)
		}
		if err == nil {
			err = z.Close()
		}
		pw.CloseWithError(err)
	}()
	err := o.e.Stage.Copy(ctx, o.kept(name), pr)
	pr.CloseWithError(err)
	<-done // r is the caller's again
	return err
}

// Kept reads what Keep stored, in this or an earlier invocation; fault.NotFound
// where there is nothing. The caller closes it.
func (o *Out) Kept(ctx context.Context, name string) (io.ReadCloser, error) {
	r, err := o.e.Stage.Open(ctx, o.kept(name))
	if err != nil {
		return nil, err
	}
	plain, err := part.Decompress(r)
	if err != nil {
		r.Close()
		return nil, err
	}
	return kept{plain, r}, nil
}

// kept closes the object after what reads it.
type kept struct {
	io.ReadCloser
	object io.Closer
}

func (k kept) Close() error { return errors.Join(k.ReadCloser.Close(), k.object.Close()) }

func (o *Out) kept(name string) string {
	dir := stage.Dir(o.s.Function, o.s.Table, o.s.ID, 0)
	return stage.Raw + dir[:strings.LastIndex(dir, "/")+1] + name + ".zst"
}
