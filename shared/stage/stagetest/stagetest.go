// Package stagetest holds what every stage must do, whatever it lies on: a folder,
// memory, or a cloud's bucket. [Run] checks it, each property on a fresh store.
package stagetest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/stage"
)

// Run checks the stores that open returns. Each one must be empty and is used by
// one test alone; open cleans up with t.Cleanup.
func Run(t *testing.T, open func(t *testing.T) *stage.Store) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, s *stage.Store)
	}{
		{"an object appears on close", appearsOnClose},
		{"an aborted write leaves nothing", abortedWrite},
		{"a cancelled write leaves nothing", cancelledWrite},
		{"a reader that fails half way leaves nothing", failingReader},
		{"an aborted write keeps the old object", abortedOverwrite},
		{"a missing object is not found", missing},
		{"a key that is not plain is refused", badKeys},
		{"odd names become plain keys", oddNames},
		{"fetch verifies size and digest", fetch},
		{"a manifest comes back as written", manifest},
		{"a folder has one manifest", oneManifest},
		{"an object of several pieces", pieces},
		{"a manifest is decoded strictly", strictManifest},
		{"a manifest's digest covers rows and table", manifestDigest},
		{"announce writes the same bytes again", announce},
		{"sweep keeps what a manifest names", sweep},
		{"sweep leaves a slice with an unreadable manifest alone", sweepUnreadable},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open(t)) })
	}
}

const dir = "vendor/table/2026-01-02/000003"

// keys lists everything in the store.
func keys(t *testing.T, s *stage.Store) (keys []string) {
	t.Helper()
	for o, err := range s.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, o.Key)
	}
	return keys
}

func wantKeys(t *testing.T, s *stage.Store, want ...string) {
	t.Helper()
	if got := keys(t, s); !slices.Equal(got, want) {
		t.Errorf("the stage holds %q, want %q", got, want)
	}
}

func wantKind(t *testing.T, err, kind error, says ...string) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Fatalf("got %v, want a fault that is %v", err, kind)
	}
	for _, s := range says {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("error does not say %q: %v", s, err)
		}
	}
}

func put(t *testing.T, s *stage.Store, key, data string) stage.Part {
	t.Helper()
	if err := s.Put(t.Context(), key, []byte(data)); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(data))
	return stage.Part{Key: key, Rows: 1, Bytes: int64(len(data)), SHA256: hex.EncodeToString(sum[:])}
}

func create(t *testing.T, ctx context.Context, s *stage.Store, key string) *stage.Writer {
	t.Helper()
	w, err := s.Create(ctx, key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, strings.Repeat("half of it\n", 100_000)); err != nil {
		t.Fatal(err)
	}
	return w
}

func appearsOnClose(t *testing.T, s *stage.Store) {
	w := create(t, t.Context(), s, dir+"/part.zst")
	wantKeys(t, s)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	w.Abort() // as a deferred one would
	wantKeys(t, s, dir+"/part.zst")
	if got, err := s.Get(t.Context(), dir+"/part.zst"); err != nil || len(got) != 1_100_000 {
		t.Errorf("got %d bytes, error %v", len(got), err)
	}
	for o := range s.List(t.Context(), "vendor/") {
		if o.Size != 1_100_000 || time.Since(o.Modified) > time.Hour {
			t.Errorf("listed as %+v", o)
		}
	}
	for range 2 {
		if err := s.Delete(t.Context(), dir+"/part.zst"); err != nil {
			t.Fatal(err)
		}
	}
	wantKeys(t, s)
}

func abortedWrite(t *testing.T, s *stage.Store) {
	w := create(t, t.Context(), s, dir+"/part.zst")
	w.Abort()
	w.Abort()
	if w.Close() == nil {
		t.Error("Close after Abort says all is well")
	}
	if _, err := w.Write([]byte("x")); err == nil {
		t.Error("Write after Abort says all is well")
	}
	wantKeys(t, s)
}

func cancelledWrite(t *testing.T, s *stage.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	w := create(t, ctx, s, dir+"/part.zst")
	cancel()
	if err := w.Close(); !errors.Is(err, context.Canceled) {
		t.Errorf("Close under a cancelled context: %v", err)
	}
	wantKeys(t, s)
}

func failingReader(t *testing.T, s *stage.Store) {
	cut := errors.New("cut")
	err := s.Copy(t.Context(), dir+"/raw", io.MultiReader(strings.NewReader(strings.Repeat("x", 1<<20)), iotest.ErrReader(cut)))
	if !errors.Is(err, cut) {
		t.Errorf("got %v, want the reader's error", err)
	}
	wantKeys(t, s)
}

func abortedOverwrite(t *testing.T, s *stage.Store) {
	put(t, s, dir+"/part.zst", "old")
	create(t, t.Context(), s, dir+"/part.zst").Abort()
	if got, err := s.Get(t.Context(), dir+"/part.zst"); err != nil || string(got) != "old" {
		t.Errorf("got %.20q, %v; want the old object", got, err)
	}
}

func missing(t *testing.T, s *stage.Store) {
	_, err := s.Get(t.Context(), "a/b")
	wantKind(t, err, fault.NotFound, "a/b")
	_, _, err = s.Fetch(t.Context(), stage.Part{Key: "a/b"})
	wantKind(t, err, fault.NotFound, "a/b")
	_, err = s.ReadManifest(t.Context(), stage.ManifestKey(dir))
	wantKind(t, err, fault.NotFound)
	wantKind(t, s.Announce(t.Context(), stage.ManifestKey(dir)), fault.NotFound)
}

func badKeys(t *testing.T, s *stage.Store) {
	for _, key := range []string{"", "/a", "a/", "a//b", "../a", "a/./b", "a b", "a\n", "ä", "a\\b", "a__0x2f__", "a.attrs", "a.tmp", ".hidden"} {
		_, err := s.Create(t.Context(), key)
		wantKind(t, err, fault.Invalid)
	}
	wantKeys(t, s)
}

func oddNames(t *testing.T, s *stage.Store) {
	names := []string{"", ".", "..", "a/b", "a~2Fb", "a b", "ä", "\xff", "a__0x2f__", "x.attrs", "x.tmp", "reports/FOCUS Reports/2026/01/02/a.csv.gz", strings.Repeat("n", 500), strings.Repeat("n", 501), "~", "2026-01-02T03:04:05Z..2026", "A", "a=1_b"}
	var want []string
	for _, n := range names {
		key := stage.Dir("f", "t", n, 1) + "/part.zst"
		put(t, s, key, n)
		want = append(want, key)
	}
	for i, n := range names {
		if got, err := s.Get(t.Context(), want[i]); err != nil || string(got) != n {
			t.Errorf("%q under %s came back as %q (%v)", n, want[i], got, err)
		}
	}
	slices.Sort(want)
	wantKeys(t, s, want...)
}

func fetch(t *testing.T, s *stage.Store) {
	p := put(t, s, dir+"/part-1.zst", "the bytes")
	file, release, err := s.Fetch(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(file); err != nil || string(got) != "the bytes" || !strings.HasSuffix(file, "part-1.zst") {
		t.Errorf("%s holds %q (%v)", file, got, err)
	}
	release()
	release()
	if _, err := s.Get(t.Context(), p.Key); err != nil {
		t.Errorf("after release the object is gone: %v", err)
	}
	for _, bad := range []stage.Part{
		{Key: p.Key, Bytes: p.Bytes + 1, SHA256: p.SHA256},
		{Key: p.Key, Bytes: p.Bytes, SHA256: "00" + p.SHA256[2:]},
	} {
		_, release, err := s.Fetch(t.Context(), bad)
		wantKind(t, err, fault.Corrupt, p.Key, bad.SHA256[:12], p.SHA256[:12])
		release()
	}
}

// pieces is more than a driver sends at once, whole and given up half-way.
func pieces(t *testing.T, s *stage.Store) {
	text := strings.Repeat("0123456789abcdef", 20<<20/16)
	p := put(t, s, dir+"/large.zst", text)
	_, release, err := s.Fetch(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	release()
	w := create(t, t.Context(), s, dir+"/given-up.zst")
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	w.Abort()
	wantKeys(t, s, dir+"/large.zst")
}
