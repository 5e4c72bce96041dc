package part_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/klauspost/compress/zstd"
	"go.uber.org/goleak"

	"github.com/millrace-data/millrace/shared/part"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// object is a destination that fails where it is told to.
type object struct {
	bytes.Buffer
	failWrite, failClose error
	closed, aborted      bool
	late                 bool // written to after the end
}

func (o *object) Write(p []byte) (int, error) {
	o.late = o.late || o.aborted || o.closed
	if o.failWrite != nil {
		return 0, o.failWrite
	}
	return o.Buffer.Write(p)
}
func (o *object) Close() error { o.closed = true; return o.failClose }
func (o *object) Abort()       { o.aborted = true }

// bucket makes objects; prepare may change the n-th.
type bucket struct {
	objects []*object
	prepare func(n int, o *object) error
}

func (b *bucket) create(n int) (string, io.WriteCloser, error) {
	o := &object{}
	if b.prepare != nil {
		if err := b.prepare(n, o); err != nil {
			return "", nil, err
		}
	}
	b.objects = append(b.objects, o)
	return fmt.Sprintf("part-%d", n), o, nil
}

func TestWriterRolls(t *testing.T) {
	b := &bucket{}
	w := part.NewWriter(b.create, 100)
	var want bytes.Buffer
	for i := range 25 {
		line := fmt.Appendf(nil, "{\"n\":\"%02d\"}\n", i) // 11 bytes
		want.Write(line)
		if err := w.Line(line); err != nil {
			t.Fatal(err)
		}
	}
	if rows, size := w.Pending(); rows != 5 || size != 55 {
		t.Errorf("pending %d rows, %d bytes; want 5 and 55", rows, size)
	}
	for range 2 {
		if err := w.Roll(); err != nil {
			t.Fatal(err)
		}
	}
	var got []byte
	for i, p := range w.Parts() {
		o := b.objects[i]
		sum := sha256.Sum256(o.Bytes())
		if p.Key != fmt.Sprintf("part-%d", i+1) || p.Bytes != int64(o.Len()) || p.SHA256 != hex.EncodeToString(sum[:]) || !o.closed || o.aborted {
			t.Errorf("part %d: %+v does not describe its object", i, p)
		}
		got = append(got, unzstd(t, o.Bytes())...)
	}
	if !bytes.Equal(got, want.Bytes()) {
		t.Errorf("the parts hold %d bytes, want %d", len(got), want.Len())
	}
	if p := w.Parts(); len(p) != 3 || p[0].Rows != 10 || p[2].Rows != 5 {
		t.Errorf("got parts %+v", p)
	}
}

func unzstd(t *testing.T, b []byte) []byte {
	t.Helper()
	d, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	out, err := d.DecodeAll(b, nil)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestWriterWithoutLines(t *testing.T) {
	b := &bucket{}
	w := part.NewWriter(b.create, 0)
	if err := w.Roll(); err != nil || len(b.objects) != 0 || len(w.Parts()) != 0 {
		t.Errorf("an empty writer made %d objects, error %v", len(b.objects), err)
	}
}

func TestWriterFailures(t *testing.T) {
	boom := errors.New("boom")
	for name, prepare := range map[string]func(n int, o *object) error{
		"create": func(n int, o *object) error {
			if n == 2 {
				return boom
			}
			return nil
		},
		"write": func(n int, o *object) error {
			if n == 2 {
				o.failWrite = boom
			}
			return nil
		},
		"close": func(n int, o *object) error {
			if n == 2 {
				o.failClose = boom
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := &bucket{prepare: prepare}
			w := part.NewWriter(b.create, 10)
			if err := w.Line([]byte("0123456789\n")); err != nil {
				t.Fatal(err)
			}
			err := w.Line([]byte("0123456789\n"))
			if !errors.Is(err, boom) || !errors.Is(w.Line(nil), boom) || !errors.Is(w.Roll(), boom) {
				t.Errorf("got %v, then %v", err, w.Roll())
			}
			if len(w.Parts()) != 1 {
				t.Errorf("parts: %+v", w.Parts())
			}
			if len(b.objects) == 2 && !b.objects[1].aborted {
				t.Error("the failed object was not aborted")
			}
			if b.objects[0].aborted {
				t.Error("the finished object was aborted")
			}
		})
	}
}

func TestWriterAbort(t *testing.T) {
	b := &bucket{}
	w := part.NewWriter(b.create, 1<<20)
	for range 50_000 {
		if err := w.Line([]byte("some line\n")); err != nil {
			t.Fatal(err)
		}
	}
	w.Abort()
	w.Abort()
	if o := b.objects[0]; o.closed || !o.aborted || o.late {
		t.Errorf("closed %v, aborted %v, written to afterwards %v", o.closed, o.aborted, o.late)
	}
	if err := w.Line([]byte("x\n")); err == nil {
		t.Error("a line was taken after Abort")
	}
}
