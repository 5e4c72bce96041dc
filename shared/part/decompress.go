package part

import (
	"bufio"
	"bytes"
	"errors"
	"io"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/klauspost/readahead"

	"github.com/millrace-data/millrace/shared/fault"
)

const (
	aheadBlocks = 4         // read ahead of the reader
	aheadBlock  = 256 << 10 // bytes
)

var (
	gzipMagic = []byte{0x1f, 0x8b}
	zstdMagic = []byte{0x28, 0xb5, 0x2f, 0xfd}
)

// Decompress looks at the first bytes of r and returns plain text: of gzip, of
// zstd, or of r as it is. It decompresses ahead, in a goroutine which Close waits
// for. Data that ends too early or does not match its checksum is fault.Corrupt;
// an error of r itself is returned as it is. Closing r is the caller's business.
func Decompress(r io.Reader) (io.ReadCloser, error) {
	src := &source{r: r}
	in := bufio.NewReaderSize(src, 64<<10)
	head, err := in.Peek(len(zstdMagic))
	if err != nil && err != io.EOF {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(head, gzipMagic):
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, src.explain("gzip", err)
		}
		return newAhead(z, "gzip", src)
	case bytes.HasPrefix(head, zstdMagic):
		z, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(64<<20))
		if err != nil {
			return nil, src.explain("zstd", err)
		}
		return newAhead(z.IOReadCloser(), "zstd", src)
	}
	return io.NopCloser(in), nil
}

// ahead is a decompressor that runs ahead of its reader.
type ahead struct {
	io.ReadCloser
	z      io.Closer
	format string
	src    *source
}

func newAhead(z io.ReadCloser, format string, src *source) (io.ReadCloser, error) {
	r, err := readahead.NewReaderSize(z, aheadBlocks, aheadBlock)
	if err != nil {
		return nil, err
	}
	return &ahead{ReadCloser: r, z: z, format: format, src: src}, nil
}

func (a *ahead) Read(p []byte) (int, error) {
	n, err := a.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		err = a.src.explain(a.format, err)
	}
	return n, err
}

// Close stops the goroutine first, because it uses z.
func (a *ahead) Close() error {
	err := a.ReadCloser.Close()
	if e := a.z.Close(); err == nil && !errors.Is(e, io.ErrUnexpectedEOF) {
		err = e
	}
	return err
}

// source remembers the error of a reader, to tell a broken connection from a
// broken file.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// explain is called after the decompressor has given up, so nothing reads s.r.
func (s *source) explain(format string, err error) error {
	var flateErr flate.CorruptInputError
	switch {
	case s.err != nil:
		return s.err
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return fault.New(fault.Corrupt, "%s ends too early", format)
	case errors.Is(err, gzip.ErrChecksum), errors.Is(err, zstd.ErrCRCMismatch):
		return fault.New(fault.Corrupt, "%s does not match its checksum", format)
	case errors.As(err, &flateErr), errors.Is(err, gzip.ErrHeader), format == "zstd":
		return fault.New(fault.Corrupt, "%s is damaged: %w", format, err)
	}
	return err
}
