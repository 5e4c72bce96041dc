package part_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/zstd"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/part"
)

func gzipped(text string) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = io.WriteString(z, text)
	_ = z.Close()
	return b.Bytes()
}

func zstded(t *testing.T, text string) []byte {
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return z.EncodeAll([]byte(text), nil)
}

func decompress(r io.Reader) (string, error) {
	z, err := part.Decompress(r)
	if err != nil {
		return "", err
	}
	defer z.Close()
	b, err := io.ReadAll(z)
	return string(b), err
}

func TestDecompress(t *testing.T) {
	text := strings.Repeat("2026,01,vendor data\n", 200_000)
	for name, in := range map[string][]byte{
		"plain": []byte(text), "gzip": gzipped(text), "zstd": zstded(t, text),
		"two gzip members": append(gzipped(text[:1000]), gzipped(text[1000:])...),
	} {
		for _, r := range []io.Reader{bytes.NewReader(in), iotest.HalfReader(bytes.NewReader(in))} {
			if got, err := decompress(r); err != nil || got != text {
				t.Errorf("%s: %d bytes, error %v; want %d", name, len(got), err, len(text))
			}
		}
	}
	for _, short := range []string{"", "a", "\x1f"} {
		if got, err := decompress(strings.NewReader(short)); err != nil || got != short {
			t.Errorf("%q: got %q, %v", short, got, err)
		}
	}
}

func TestDecompressCorrupt(t *testing.T) {
	text := strings.Repeat("2026,01,vendor data\n", 20_000)
	flipped := gzipped(text)
	flipped[len(flipped)-6] ^= 1
	damaged := gzipped(text)
	damaged[12] ^= 0xff
	for name, c := range map[string]struct {
		in   []byte
		says string
	}{
		"gzip cut":         {gzipped(text)[:100], "gzip ends too early"},
		"gzip trailer cut": {gzipped(text)[:len(gzipped(text))-1], "gzip ends too early"},
		"gzip header cut":  {gzipped(text)[:5], "gzip ends too early"},
		"gzip checksum":    {flipped, "checksum"},
		"gzip damaged":     {damaged, "damaged"},
		"zstd cut":         {zstded(t, text)[:60], "zstd ends too early"},
	} {
		_, err := decompress(bytes.NewReader(c.in))
		if !errors.Is(err, fault.Corrupt) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want fault.Corrupt that says %q", name, err, c.says)
		}
	}
}

// A connection that is cut looks like a file that is cut, but is worth a retry.
func TestDecompressKeepsTheReadersError(t *testing.T) {
	text := strings.Repeat("2026,01,vendor data\n", 20_000)
	for _, cut := range []error{errors.New("connection reset"), io.ErrUnexpectedEOF} {
		for _, in := range [][]byte{gzipped(text), zstded(t, text)} {
			_, err := decompress(io.MultiReader(bytes.NewReader(in[:len(in)-8]), iotest.ErrReader(cut)))
			if !errors.Is(err, cut) || errors.Is(err, fault.Corrupt) {
				t.Errorf("got %v, want the reader's own error %v", err, cut)
			}
		}
	}
}

func TestDecompressClosedEarly(t *testing.T) {
	for _, in := range [][]byte{gzipped(strings.Repeat("x\n", 5<<20)), zstded(t, strings.Repeat("x\n", 5<<20))} {
		z, err := part.Decompress(bytes.NewReader(in))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := z.Read(make([]byte, 10)); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil { // goleak sees whether it waited
			t.Error(err)
		}
	}
}
