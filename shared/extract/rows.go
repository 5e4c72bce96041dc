package extract

import "github.com/millrace-data/millrace/shared/part"

// batchBytes is how much of a page is handed over at once; a page is cut only
// where it is larger. Two such buffers are held.
const batchBytes = 512 << 10

// rows is JSON objects on their way to the encoder, and whether a page ends there.
type rows struct {
	data   []byte
	ends   []int
	extra  [][]part.Field // of each row; empty where no row has any
	page   bool
	cursor string
}

func (r *rows) add(raw []byte, extra []part.Field) {
	r.data = append(r.data, raw...)
	r.ends = append(r.ends, len(r.data))
	if len(extra) > 0 || len(r.extra) > 0 {
		for len(r.extra) < len(r.ends)-1 {
			r.extra = append(r.extra, nil)
		}
		r.extra = append(r.extra, extra)
	}
}

func (r *rows) of(i int) []part.Field {
	if i < len(r.extra) {
		return r.extra[i]
	}
	return nil
}

// backstage encodes and stages one batch while the Source asks the vendor for the
// next page. There is one goroutine per Out and one batch at a time: everything of
// Out belongs to it while busy is set, and to the Source's goroutine else.
type backstage struct {
	filling, spare *rows
	work           chan *rows
	done           chan error
	busy           bool
	err            error // the first one; it is returned from then on
}

// hand gives what was collected to the goroutine, once it is done with what it
// has. The error is of an earlier batch.
func (o *Out) hand(page bool, cursor string) error {
	if err := o.sync(); err != nil {
		return err
	}
	b := &o.back
	if b.work == nil {
		b.work, b.done = make(chan *rows), make(chan error)
		b.spare = &rows{}
		go func(work <-chan *rows, done chan<- error) {
			for r := range work {
				done <- o.stage(r)
			}
			close(done)
		}(b.work, b.done)
	}
	b.filling.page, b.filling.cursor = page, cursor
	b.work <- b.filling
	b.filling, b.spare, b.busy = b.spare, b.filling, true
	*b.filling = rows{data: b.filling.data[:0], ends: b.filling.ends[:0], extra: b.filling.extra[:0]}
	return nil
}

// sync waits for the goroutine and returns the first error there was.
func (o *Out) sync() error {
	if o.back.busy {
		if err := <-o.back.done; o.back.err == nil {
			o.back.err = err
		}
		o.back.busy = false
	}
	return o.back.err
}

func (o *Out) stage(r *rows) error {
	from := 0
	for i, to := range r.ends {
		line, rej, err := o.enc.JSON(o.line[:0], r.data[from:to], r.of(i)...)
		if err == nil {
			err = o.put(line, rej)
		}
		if err != nil {
			return err
		}
		from = to
	}
	if r.page {
		return o.boundary(r.cursor)
	}
	return nil
}

// stop ends the goroutine.
func (o *Out) stop() {
	if o.back.work == nil {
		return
	}
	_ = o.sync() // whoever had to know was told before
	close(o.back.work)
	<-o.back.done
}
