package part_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/millrace-data/millrace/shared/part"
)

// TestWriterMemory: a function holds several writers at once in 256 MB.
func TestWriterMemory(t *testing.T) {
	const writers, most = 8, 10 << 20
	before := heap()
	var open []*part.Writer
	for range writers {
		w := part.NewWriter(toNowhere, 0)
		open = append(open, w)
		for i := range 50_000 {
			if err := w.Line(fmt.Appendf(nil, "{\"id\":\"%d\",\"text\":\"a line of some length, number %x\"}\n", i, i*i)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if each := (heap() - before) / writers; each > most {
		t.Errorf("a writer holds %d bytes, want at most %d", each, most)
	} else {
		t.Logf("a writer holds %d bytes", each)
	}
	for _, w := range open {
		w.Abort()
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
