package rest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
)

const memoryMax = 1 << 20 // bytes of a body that are kept in memory

// Body is a whole response. Close removes what it keeps on disk.
type Body struct {
	Status int
	Header http.Header
	Size   int64 // bytes, after the transport's decompression

	io.ReadSeeker
	small []byte   // the whole body, if it is in memory
	file  *os.File // else
}

// Keep rewinds, so that the body can be read from its start again, for example to
// keep a page that turned out to be corrupt. The reader is the Body itself.
func (b *Body) Keep() io.Reader {
	_, _ = b.Seek(0, io.SeekStart)
	return b
}

// Close removes the scratch file, if there is one. It may be called twice.
func (b *Body) Close() error {
	if b.file == nil {
		return nil
	}
	f := b.file
	b.file = nil
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// scratchError is a fault of our disk, not of the vendor.
type scratchError struct{ err error }

func (e *scratchError) Error() string {
	return fmt.Sprintf("scratch folder: %v: is it writable, is there room?", e.err)
}
func (e *scratchError) Unwrap() error { return e.err }

// drain reads the response to its end. A body shorter than announced is
// io.ErrUnexpectedEOF, also where the transport did not notice.
func drain(resp *http.Response, scratch string) (*Body, error) {
	b := &Body{Status: resp.StatusCode, Header: resp.Header}
	var head bytes.Buffer
	if n := resp.ContentLength; n > 0 {
		head.Grow(int(min(n, memoryMax)) + bytes.MinRead + 1)
	}
	n, err := head.ReadFrom(io.LimitReader(resp.Body, memoryMax+1))
	if err == nil && n > memoryMax {
		n, err = b.spill(io.MultiReader(&head, resp.Body), scratch)
	} else {
		b.small = head.Bytes()
		b.ReadSeeker = bytes.NewReader(b.small)
	}
	if err == nil && resp.ContentLength >= 0 && n != resp.ContentLength {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		b.Close()
		return nil, fmt.Errorf("body cut short after %d bytes: %w", n, err)
	}
	b.Size = n
	return b, nil
}

// spill writes the body into a scratch file and rewinds it.
func (b *Body) spill(r io.Reader, folder string) (int64, error) {
	f, err := os.CreateTemp(folder, "body-*")
	if err != nil {
		return 0, &scratchError{err}
	}
	b.file, b.ReadSeeker = f, f
	n, err := io.Copy(scratchWriter{f}, r)
	if err != nil {
		return n, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return n, &scratchError{err}
	}
	return n, nil
}

// scratchWriter tells our disk's errors from the connection's.
type scratchWriter struct{ f *os.File }

func (w scratchWriter) Write(p []byte) (int, error) {
	n, err := w.f.Write(p)
	if err != nil {
		err = &scratchError{err}
	}
	return n, err
}
