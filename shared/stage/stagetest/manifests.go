package stagetest

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/gate"
	"github.com/millrace-data/millrace/shared/record"
	"github.com/millrace-data/millrace/shared/stage"
)

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
