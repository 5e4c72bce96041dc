package extract

import (
	"io"
	"slices"
	"strconv"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/part"
)

const (
	csvPage  = 50_000    // rows between two points at which a file can be resumed
	csvBatch = 128 << 10 // bytes of cells that the splitter hands over at once
	csvAhead = 4         // batches that may wait; the memory is csvAhead+2 of them
)

// CSV stages a whole CSV file: plain, gzip or zstd, bound by header name. It makes
// its own pages, and resumes by skipping the rows that are staged. The file is
// split into cells on a goroutine of its own while the rows before are encoded.
func (o *Out) CSV(r io.Reader, opts part.CSVOptions) error {
	if err := o.sync(); err != nil {
		return err
	}
	plain, err := part.Decompress(r)
	if err != nil {
		return err
	}
	defer plain.Close()
	c := part.NewCSV(plain)
	if _, _, err := o.header(c, opts); err != nil {
		return err
	}
	done, _ := strconv.ParseInt(o.p.Cursor, 10, 64)
	s := split(c)
	defer s.stop()
	for n := int64(1); ; n++ {
		cells, err := s.next()
		if err == io.EOF {
			return nil
		}
		if err == nil && n > done {
			err = o.cells(cells, n)
		}
		if err == nil && n > done && n%csvPage == 0 {
			err = o.boundary(strconv.FormatInt(n, 10))
		}
		if err != nil {
			return err
		}
	}
}

// CSVRows stages one CSV document with a header of its own as rows of this slice,
// and returns the header and how many rows there were. Where the first record is
// not opts.Header in some order, that is the header and the record is a row: some
// vendors send it with the first page only. Pages are the caller's: call Page when
// one is whole.
func (o *Out) CSVRows(r io.Reader, opts part.CSVOptions) (header []string, rows int64, err error) {
	if err := o.settle(); err != nil {
		return nil, 0, err
	}
	plain, err := part.Decompress(r)
	if err != nil {
		return nil, 0, err
	}
	defer plain.Close()
	c := part.NewCSV(plain)
	header, first, err := o.header(c, opts)
	if err == nil && first != nil {
		rows++
		err = o.cells(first, rows)
	}
	if err != nil {
		return header, rows, err
	}
	s := split(c)
	defer s.stop()
	for {
		cells, err := s.next()
		if err == io.EOF {
			return header, rows, nil
		}
		if err == nil {
			rows++
			err = o.cells(cells, rows)
		}
		if err != nil {
			return header, rows, err
		}
	}
}

// header binds the first record, or opts.Header where that is a row already.
func (o *Out) header(c *part.CSV, opts part.CSVOptions) (names []string, row [][]byte, err error) {
	cells, err := c.Next()
	if err == io.EOF {
		return nil, nil, fault.New(fault.Corrupt, "the file is empty: not even a header")
	}
	if err != nil {
		return nil, nil, err
	}
	for _, cell := range cells {
		names = append(names, string(cell))
	}
	if opts.Header != nil && !slices.Equal(slices.Sorted(slices.Values(names)), slices.Sorted(slices.Values(opts.Header))) {
		names, row = opts.Header, cells
	}
	return names, row, o.enc.Header(names, opts)
}

func (o *Out) cells(cells [][]byte, n int64) error {
	line, rej, err := o.enc.Cells(o.line[:0], cells, n)
	if err == nil {
		err = o.put(line, rej)
	}
	return err
}

// batch is some records: their cells one after the other, where each cell ends,
// and how many cells each record has. err is what came after them.
type batch struct {
	data  []byte
	ends  []int
	cells []int
	err   error
}

// splitter reads records ahead of their use. Its cells are valid until next is
// called again.
type splitter struct {
	full chan *batch
	free chan *batch
	quit chan struct{}
	gone chan struct{} // closed when the goroutine has ended

	b            *batch
	record, cell int
	from         int // where in b.data the next cell begins
	cells        [][]byte
}

func split(c *part.CSV) *splitter {
	s := &splitter{full: make(chan *batch, csvAhead), free: make(chan *batch, csvAhead+2), quit: make(chan struct{}), gone: make(chan struct{})}
	for range csvAhead + 2 {
		s.free <- &batch{}
	}
	go s.run(c)
	return s
}

func (s *splitter) run(c *part.CSV) {
	defer close(s.gone)
	for {
		var b *batch
		select {
		case b = <-s.free:
		case <-s.quit:
			return
		}
		b.fill(c)
		last := b.err != nil // the batch is the consumer's once it is sent
		select {
		case s.full <- b:
		case <-s.quit:
			return
		}
		if last {
			return
		}
	}
}

func (b *batch) fill(c *part.CSV) {
	b.data, b.ends, b.cells, b.err = b.data[:0], b.ends[:0], b.cells[:0], nil
	for len(b.data) < csvBatch && b.err == nil {
		var cells [][]byte
		if cells, b.err = c.Next(); b.err != nil {
			return
		}
		for _, cell := range cells {
			b.data = append(b.data, cell...)
			b.ends = append(b.ends, len(b.data))
		}
		b.cells = append(b.cells, len(cells))
	}
}

// next returns the cells of the next record, or what the splitter ended with.
func (s *splitter) next() ([][]byte, error) {
	for s.b == nil || s.record == len(s.b.cells) {
		if s.b != nil {
			if s.b.err != nil {
				return nil, s.b.err
			}
			s.free <- s.b
		}
		s.b, s.record, s.cell, s.from = <-s.full, 0, 0, 0
	}
	s.cells = s.cells[:0]
	for range s.b.cells[s.record] {
		to := s.b.ends[s.cell]
		s.cells = append(s.cells, s.b.data[s.from:to:to])
		s.cell, s.from = s.cell+1, to
	}
	s.record++
	return s.cells, nil
}

// stop ends the goroutine and waits for it.
func (s *splitter) stop() {
	close(s.quit)
	<-s.gone
}
