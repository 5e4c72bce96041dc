package part

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/klauspost/compress/zstd"
)

const (
	rollDefault = 64 << 20  // uncompressed bytes; about 5 to 10 MB compressed
	zstdWindow  = 512 << 10 // bytes; keeps a writer under 5 MiB
)

// errAborted is what a Writer returns after Abort.
var errAborted = errors.New("the writer of this slice's parts was aborted")

// Writer writes lines into zstd-compressed parts and begins a new one whenever
// the open part has reached a size. Compressing runs beside the caller. It is not
// safe for concurrent use. After an error it stays unusable and returns that
// error again; the parts finished before are whole.
type Writer struct {
	create func(n int) (string, io.WriteCloser, error)
	roll   int64
	parts  []Stats
	zstd   *zstd.Encoder
	open   *object // nil between parts
	rows   int64
	bytes  int64
	err    error
}

// object counts and digests what goes into a part's object.
type object struct {
	key  string
	w    io.WriteCloser
	size int64
	sum  hash.Hash
}

func (o *object) Write(p []byte) (int, error) {
	n, err := o.w.Write(p)
	o.size += int64(n)
	o.sum.Write(p[:n])
	return n, err
}

// abort gives the object up; one that cannot be aborted is at least closed.
func (o *object) abort() {
	if a, ok := o.w.(interface{ Abort() }); ok {
		a.Abort()
		return
	}
	_ = o.w.Close()
}

// NewWriter makes a writer whose n-th part, from 1 on, goes to what create
// returns. Closing w commits the object under key; where w has an Abort method it
// is called instead if something fails, and must leave nothing visible. roll is
// in uncompressed bytes; 0 means 64 MiB. Nothing is created before the first line.
func NewWriter(create func(n int) (key string, w io.WriteCloser, err error), roll int64) *Writer {
	if roll <= 0 {
		roll = rollDefault
	}
	return &Writer{create: create, roll: roll}
}

// Line writes one line, which ends with its newline, and is not kept.
func (w *Writer) Line(line []byte) error {
	if w.err == nil && w.open == nil {
		w.err = w.begin()
	}
	if w.err != nil {
		return w.err
	}
	if _, err := w.zstd.Write(line); err != nil {
		return w.fail(err)
	}
	w.rows++
	w.bytes += int64(len(line))
	if w.bytes >= w.roll {
		return w.Roll()
	}
	return nil
}

func (w *Writer) begin() (err error) {
	n := len(w.parts) + 1
	key, dst, err := w.create(n)
	if err != nil {
		return fmt.Errorf("part %d: %w", n, err)
	}
	w.open = &object{key: key, w: dst, sum: sha256.New()}
	if w.zstd != nil {
		w.zstd.Reset(w.open)
		return nil
	}
	if w.zstd, err = Compress(w.open); err != nil {
		return w.fail(err)
	}
	return nil
}

// Compress returns a compressor in a few MiB of memory, where the library's own
// defaults take tens. Close ends the document, and leaves to open.
func Compress(to io.Writer) (*zstd.Encoder, error) {
	return zstd.NewWriter(to,
		zstd.WithEncoderLevel(zstd.SpeedFastest),
		zstd.WithWindowSize(zstdWindow),
		zstd.WithLowerEncoderMem(true),
		zstd.WithEncoderConcurrency(2)) // 2: compress a block while the next one fills
}

// Pending returns the lines and the uncompressed bytes in the open part.
func (w *Writer) Pending() (rows, bytes int64) { return w.rows, w.bytes }

// Roll finishes the open part, if there is one: its object is committed when
// Roll returns nil.
func (w *Writer) Roll() error {
	if w.err != nil || w.open == nil {
		return w.err
	}
	if err := w.zstd.Close(); err != nil {
		return w.fail(err)
	}
	o := w.open
	if err := o.w.Close(); err != nil {
		return w.fail(err)
	}
	w.parts = append(w.parts, Stats{Key: o.key, Rows: w.rows, Bytes: o.size, SHA256: hex.EncodeToString(o.sum.Sum(nil))})
	w.open, w.rows, w.bytes = nil, 0, 0
	return nil
}

// Parts returns the finished parts, in order.
func (w *Writer) Parts() []Stats { return w.parts }

// Abort gives up the open part and leaves nothing of it visible. Finished parts
// stay. It may be called at any time, also after an error or twice.
func (w *Writer) Abort() { _ = w.fail(errAborted) }

// fail ends the writer: it waits for the compressor, then drops the open object.
func (w *Writer) fail(err error) error {
	if w.err == nil {
		w.err = err
	}
	if w.zstd != nil {
		w.zstd.Reset(nil)
	}
	if o := w.open; o != nil {
		w.open, w.rows, w.bytes = nil, 0, 0
		w.err = withKey(w.err, o.key)
		o.abort()
	}
	return w.err
}

func withKey(err error, key string) error {
	if err == errAborted {
		return err
	}
	return fmt.Errorf("part %s: %w", key, err)
}
