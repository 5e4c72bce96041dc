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
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/gate"
	"github.com/millrace-data/millrace/shared/record"
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

func example(parts ...stage.Part) *stage.Manifest {
	expected := int64(2)
	return &stage.Manifest{
		Table:    record.Table{Schema: "vendor", Name: "table", Mode: record.Append, Columns: []record.Column{{Name: "id", Field: "id", Type: record.Text}}},
		Rules:    []gate.Rule{gate.Require("id"), gate.FewRejects(3, 0.5)},
		Function: "vendor", Slice: "2026-01-02", Purpose: "live",
		From: time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC), To: time.Date(2026, 1, 3, 0, 0, 0, 0, time.UTC),
		Fence: 3, Attempt: 1, Parts: parts, RowsSource: 2, RowsStaged: 2, Bytes: 99, Cursor: "c\"1", Expected: &expected,
		Warnings: []string{"one"}, Drift: stage.Drift{New: []string{"ä"}}, CreatedAt: time.Date(2026, 1, 4, 5, 6, 7, 8000, time.UTC),
	}
}

func manifest(t *testing.T, s *stage.Store) {
	m := example(put(t, s, dir+"/part.zst", "x"))
	key, err := s.WriteManifest(t.Context(), dir, m, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	if key != stage.ManifestKey(dir) || !stage.IsManifest(key) || stage.IsManifest(dir+"/part.zst") {
		t.Errorf("the manifest's key is %s", key)
	}
	got, err := s.ReadManifest(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(m, got); diff != "" {
		t.Error(diff)
	}
}

// oneManifest: a write that was answered too late is done again, and another worker
// under the same fence is found out.
func oneManifest(t *testing.T, s *stage.Store) {
	m := example(put(t, s, dir+"/part.zst", "x"))
	for range 2 {
		if _, err := s.WriteManifest(t.Context(), dir, m, time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	other := example(put(t, s, dir+"/part-2.zst", "y"))
	key, err := s.WriteManifest(t.Context(), dir, other, time.Time{})
	wantKind(t, err, fault.Corrupt, "other rows")
	if got, err := s.ReadManifest(t.Context(), stage.ManifestKey(dir)); err != nil || got.Digest != m.Digest || key != "" {
		t.Errorf("the manifest is now %+v, %v, under %q", got, err, key)
	}
	later := time.Now().Add(time.Hour) // the slice was claimed anew, by a ledger that begins to count again
	if _, err := s.WriteManifest(t.Context(), dir, other, later); err != nil {
		t.Fatal(err)
	}
	if got, err := s.ReadManifest(t.Context(), stage.ManifestKey(dir)); err != nil || got.Digest != other.Digest {
		t.Errorf("the manifest is now %+v, %v, want the newer one", got, err)
	}
}

// Shared checks a store that many processes write to: of those that write a manifest of
// one folder at the same time, one wins. A folder on a disk is one process's.
func Shared(t *testing.T, s *stage.Store) {
	const writers = 8
	var wg sync.WaitGroup
	errs, digests := make([]error, writers), make([]string, writers)
	for i := range writers {
		wg.Go(func() {
			m := example(stage.Part{Key: "k", Rows: int64(i), Bytes: 3, SHA256: "ab"})
			_, errs[i] = s.WriteManifest(t.Context(), dir, m, time.Time{})
			digests[i] = m.Digest
		})
	}
	wg.Wait()
	m, err := s.ReadManifest(t.Context(), stage.ManifestKey(dir))
	if err != nil {
		t.Fatal(err)
	}
	for i, err := range errs {
		if won := digests[i] == m.Digest; won != (err == nil) || !won && !errors.Is(err, fault.Corrupt) {
			t.Errorf("writer %d: %v, and the manifest is its own: %v", i, err, won)
		}
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

func strictManifest(t *testing.T, s *stage.Store) {
	key, err := s.WriteManifest(t.Context(), dir, example(), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	good, err := s.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	text := string(good)
	for name, bad := range map[string]string{
		"empty":          "",
		"cut":            text[:len(text)-2],
		"unknown member": strings.Replace(text, "{", `{"surprise":1,`, 1),
		"member twice":   strings.Replace(text, "{", `{"fence":3,`, 1),
		"other case":     strings.Replace(text, `"fence"`, `"Fence"`, 1),
		"two documents":  text + text,
		"rows changed":   strings.Replace(text, `"rows_staged": 2`, `"rows_staged": 3`, 1),
		"column changed": strings.Replace(text, `"type": "text"`, `"type": "date"`, 1),
	} {
		if bad == text {
			t.Fatalf("%s: the case changes nothing", name)
		}
		put(t, s, key, bad)
		if _, err := s.ReadManifest(t.Context(), key); !errors.Is(err, fault.Corrupt) {
			t.Errorf("%s: got %v, want fault.Corrupt", name, err)
		}
	}
	put(t, s, key, strings.Replace(text, `"version": 1`, `"later":[], "version": 2`, 1))
	_, err = s.ReadManifest(t.Context(), key)
	wantKind(t, err, fault.Invalid, "version 2")
}

func manifestDigest(t *testing.T, s *stage.Store) {
	digest := func(change func(m *stage.Manifest)) string {
		m := example(stage.Part{Key: "k", Rows: 2, Bytes: 3, SHA256: "ab"})
		change(m)
		key, err := s.WriteManifest(t.Context(), dir, m, time.Time{})
		if err == nil {
			err = s.Delete(t.Context(), key)
		}
		if err != nil {
			t.Fatal(err)
		}
		return m.Digest
	}
	base := digest(func(*stage.Manifest) {})
	for name, same := range map[string]func(m *stage.Manifest){
		"fence":  func(m *stage.Manifest) { m.Fence, m.Parts[0].Key = 4, "other" },
		"clock":  func(m *stage.Manifest) { m.CreatedAt = m.CreatedAt.Add(time.Hour) },
		"digest": func(m *stage.Manifest) { m.Digest = "old" },
	} {
		if digest(same) != base {
			t.Errorf("the digest depends on the %s", name)
		}
	}
	for name, other := range map[string]func(m *stage.Manifest){
		"part":    func(m *stage.Manifest) { m.Parts[0].SHA256 = "ac" },
		"reject":  func(m *stage.Manifest) { m.Rejects, m.Parts = m.Parts, nil },
		"totals":  func(m *stage.Manifest) { m.RowsRejected++ },
		"columns": func(m *stage.Manifest) { m.Table.Columns[0].Nullable = true },
	} {
		if digest(other) == base {
			t.Errorf("the digest does not cover the %s", name)
		}
	}
}

func announce(t *testing.T, s *stage.Store) {
	key, err := s.WriteManifest(t.Context(), dir, example(), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	before, _ := s.Get(t.Context(), key)
	if err := s.Announce(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	after, err := s.Get(t.Context(), key)
	if err != nil || string(before) != string(after) {
		t.Errorf("the bytes changed (%v)", err)
	}
	wantKind(t, s.Announce(t.Context(), dir+"/part.zst"), fault.Invalid)
}

func sweep(t *testing.T, s *stage.Store) {
	old := stage.Dir("vendor", "table", "a", 1)
	now := stage.Dir("vendor", "table", "a", 2)
	other := stage.Dir("vendor", "table", "b", 1)
	kept := []stage.Part{put(t, s, old+"/part-1.zst", "1"), put(t, s, now+"/part-2.zst", "2")}
	bad := put(t, s, now+"/rejects-1.zst", "3")
	put(t, s, old+"/part-9.zst", "of an attempt that died")
	put(t, s, other+"/part-1.zst", "of a slice without a manifest")
	raw := stage.Corrupt + "vendor/table/a/000001/page"
	put(t, s, raw, "kept for a person")
	m := example(kept...)
	m.Rejects = []stage.Part{bad}
	if _, err := s.WriteManifest(t.Context(), now, m, time.Time{}); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Sweep(t.Context(), "", time.Now().Add(-time.Hour)); n != 0 || err != nil {
		t.Errorf("swept %d young objects, error %v", n, err)
	}
	if n, err := s.Sweep(t.Context(), "", time.Now().Add(time.Hour)); n != 2 || err != nil {
		t.Errorf("swept %d, want 2; error %v", n, err)
	}
	wantKeys(t, s, raw, old+"/part-1.zst", stage.ManifestKey(now), now+"/part-2.zst", now+"/rejects-1.zst")
}

func sweepUnreadable(t *testing.T, s *stage.Store) {
	put(t, s, stage.ManifestKey(dir), "{")
	put(t, s, dir+"/part.zst", "x")
	other := stage.Dir("vendor", "table", "2026-01-03", 1)
	put(t, s, other+"/part.zst", "x")
	n, err := s.Sweep(t.Context(), "vendor/", time.Now().Add(time.Hour))
	wantKind(t, err, fault.Corrupt, dir)
	if n != 1 {
		t.Errorf("swept %d, want the other slice's one", n)
	}
	wantKeys(t, s, stage.ManifestKey(dir), dir+"/part.zst")
}
