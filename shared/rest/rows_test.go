package rest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/millrace-data/millrace/shared/fault"
)

func collect(doc, key string) (rows []string, info []string, err error) {
	m, err := Rows(iotest.HalfReader(strings.NewReader(doc)), key, func(raw []byte) error {
		rows = append(rows, string(raw))
		return nil
	})
	for _, k := range slices.Sorted(maps.Keys(m)) {
		info = append(info, k+"="+string(m[k]))
	}
	return rows, info, err
}

func TestRows(t *testing.T) {
	for name, c := range map[string]struct{ doc, key, rows, info string }{
		"top":            {`{"a":1,"users":[{"x":1.10}, 2 ,"s"],"pageInfo":{"next":"c","l":[1, {}]}}`, "users", `{"x":1.10}|2|"s"`, `a=1|pageInfo={"next":"c","l":[1,{}]}`},
		"empty":          {`{"users":[]}`, "users", ``, ``},
		"data":           {`{"data":{"pageInfo":{"n":null},"users":[{}]},"cursor":"z"}`, "users", `{}`, `cursor="z"|pageInfo={"n":null}`},
		"data and one":   {`{"data":{"q":{"cursor":"in","nodes":[1]},"cost":3},"cursor":"out"}`, "nodes", `1`, `cost=3|cursor="out"`},
		"data itself":    {`{"data":[1,2]}`, "data", `1|2`, ``},
		"bare array":     {`[1,[2],{"a":[]}]`, "", `1|[2]|{"a":[]}`, ``},
		"same name deep": {`{"meta":{"users":[9]},"users":[1]}`, "users", `1`, `meta={"users":[9]}`},
		"twice a name":   {`{"users":[{"a":1,"a":2}]}`, "users", `{"a":1,"a":2}`, ``},
		"bom":            {"\ufeff" + ` {"users":[1]}`, "users", `1`, ``},
		"big member":     {`{"big":["` + strings.Repeat("x", infoMax) + `"],"users":[1],"ok":1}`, "users", `1`, `ok=1`},
	} {
		rows, info, err := collect(c.doc, c.key)
		if err != nil || strings.Join(rows, "|") != c.rows || strings.Join(info, "|") != c.info {
			t.Errorf("%s: got %v, %v, %v; want %s, %s", name, rows, info, err, c.rows, c.info)
		}
	}
}

func TestRowsCorrupt(t *testing.T) {
	for name, c := range map[string]struct{ doc, says string }{
		"html":        {"\n <!DOCTYPE html><html>secret</html>", "HTML"},
		"empty":       {"", "ends too early"},
		"mid page":    {`{"users":[{"a":1},{"a":secret}]}`, "at byte 23"},
		"cut":         {`{"users":[{"a":1},{"a`, "ends too early"},
		"cut between": {`{"users":[{"a":1}`, "ends too early"},
		"no such":     {`{"items":[1],"data":{"people":[2]}}`, "data, items, people"},
		"null":        {`{"users":null}`, "users"},
		"no object":   {`"secret"`, "no members"},
		"twice":       {`{"users":[1],"data":{"x":1},"users":[2]}`, "twice"},
		"after":       {`{"users":[1]} {"users":[2]}`, "goes on"},
		"after junk":  {`{"users":[1]}secret`, "goes on"},
		"utf8":        {"{\"users\":[\"\xff\"]}", "at byte"},
	} {
		_, _, err := collect(c.doc, "users")
		if !errors.Is(err, fault.Corrupt) || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: got %v, want corrupt with %q", name, err, c.says)
		}
	}
}

// What is returned by others comes through as it is, without the kind Corrupt.
func TestRowsForeignErrors(t *testing.T) {
	mine := io.ErrUnexpectedEOF
	if _, err := Rows(strings.NewReader(`{"r":[1]}`), "r", func([]byte) error { return mine }); err != mine {
		t.Errorf("got %v, want row's own error", err)
	}
	disk := errors.New("disk")
	r := io.MultiReader(strings.NewReader(`{"r":[`+strings.Repeat("1,", 1000)), iotest.ErrReader(disk))
	if _, err := Rows(r, "r", func([]byte) error { return nil }); !errors.Is(err, disk) || errors.Is(err, fault.Corrupt) {
		t.Errorf("got %v, want the reader's error", err)
	}
}

// page is a JSON document of about n bytes that needs no memory.
func page(n int) io.Reader {
	return io.MultiReader(strings.NewReader(`{"rows":[`),
		io.LimitReader(new(repeat), int64(n/len(pageRow)*len(pageRow))),
		strings.NewReader(`0],"pageInfo":{"hasMore":false}}`))
}

const pageRow = `{"id":"0123456789012345678901234567890123456789","name":"Jane Doe","n":1.25},`

// repeat is pageRow without end.
type repeat struct{ at int }

func (r *repeat) Read(p []byte) (int, error) {
	n := copy(p, pageRow[r.at:])
	r.at = (r.at + n) % len(pageRow)
	return n, nil
}

// A page of any size costs a scratch file and no memory.
func TestLargePageIsFlat(t *testing.T) {
	const size = 64 << 20
	var scratch string
	c, _ := serve(t, func(w http.ResponseWriter, r *http.Request) { io.Copy(w, page(size)) },
		func(o *Options) { scratch = o.Scratch })
	b, err := c.Get(t.Context(), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	rows, peak := 0, uint64(0)
	info, err := Rows(b, "rows", func([]byte) error {
		if rows++; rows%100_000 == 0 {
			peak = max(peak, heap())
		}
		return nil
	})
	if err != nil || rows != size/len(pageRow)+1 || len(info) != 1 {
		t.Errorf("got %d rows, %d members, %v; want %d rows, 1 member", rows, len(info), err, size/len(pageRow)+1)
	}
	if peak > 24<<20 {
		t.Errorf("heap %d MB while reading %d MB", peak>>20, size>>20)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if left, _ := os.ReadDir(scratch); len(left) != 0 {
		t.Errorf("%d files left in scratch", len(left))
	}
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapInuse
}

func FuzzRows(f *testing.F) {
	for _, doc := range []string{`{"r":[1,{"a":[]}],"b":{}}`, `{"data":{"x":{"r":[1]}}}`, `[1]`, `<p>`, `{"r":[`, `{"data":{"r":1}}`} {
		f.Add([]byte(doc), "r")
	}
	f.Fuzz(func(t *testing.T, doc []byte, key string) {
		_, err := Rows(bytes.NewReader(doc), key, func(raw []byte) error {
			if len(raw) == 0 || len(raw) > len(doc) {
				t.Fatalf("row of %d bytes", len(raw))
			}
			return nil
		})
		if err != nil && !errors.Is(err, fault.Corrupt) {
			t.Fatalf("not corrupt: %v", err)
		}
	})
}

func BenchmarkRows(b *testing.B) {
	row := fmt.Sprintf(`{"id":"%s","name":"Jane \"J\" Doe","n":12.50,"at":"2026-01-02T03:04:05Z","ok":true,"tags":["a","b"],"pad":"%s"}`,
		strings.Repeat("a", 24), strings.Repeat("p", 101))
	doc := []byte(`{"rows":[` + strings.TrimSuffix(strings.Repeat(row+",", 1000), ",") + `],"pageInfo":{"hasMore":true}}`)
	b.SetBytes(int64(len(doc)))
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		if _, err := Rows(bytes.NewReader(doc), "rows", func([]byte) error { n++; return nil }); err != nil || n != 1000 {
			b.Fatal(n, err)
		}
	}
}
