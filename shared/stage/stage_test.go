package stage_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"gocloud.dev/blob/fileblob"
	"gocloud.dev/blob/memblob"
	"pgregory.net/rapid"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/record"
	"github.com/millrace-data/millrace/shared/stage"
	"github.com/millrace-data/millrace/shared/stage/stagetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func inMemory(t *testing.T) *stage.Store {
	b := memblob.OpenBucket(nil)
	t.Cleanup(func() { _ = b.Close() })
	return stage.New(b, stage.Options{Name: "memory", Scratch: t.TempDir()})
}

func inFolder(t *testing.T, folder string, arrived func(context.Context, string) error) *stage.Store {
	t.Helper()
	b, err := fileblob.OpenBucket(folder, &fileblob.Options{NoTempDir: true, Metadata: fileblob.MetadataDontWrite})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return stage.New(b, stage.Options{Name: "local", Scratch: t.TempDir(), Arrived: arrived,
		Local: func(key string) string { return filepath.Join(folder, filepath.FromSlash(key)) }})
}

func TestMemory(t *testing.T) { stagetest.Run(t, inMemory) }

// A folder of a bucket is a stage of its own: what lies beside it is not seen.
func TestFolderOfABucket(t *testing.T) {
	stagetest.Run(t, func(t *testing.T) *stage.Store {
		b := memblob.OpenBucket(nil)
		t.Cleanup(func() { _ = b.Close() })
		for _, other := range []string{"top", "landing/a", "raw-landin/a", "raw-landing2/vendor/table/s/000001/part"} {
			if err := b.WriteAll(t.Context(), other, []byte("x"), nil); err != nil {
				t.Fatal(err)
			}
		}
		return stage.New(b, stage.Options{Name: "memory", Prefix: "raw-landing/", Scratch: t.TempDir()})
	})
}

func TestObjectAndKey(t *testing.T) {
	s := stage.New(nil, stage.Options{Prefix: "raw/"})
	if key, ok := s.Key(s.Object("a/b")); key != "a/b" || !ok || s.Object("a/b") != "raw/a/b" {
		t.Errorf("%s is stored as %s", key, s.Object("a/b"))
	}
	if key, ok := s.Key("other/a/b"); ok {
		t.Errorf("an object outside has the key %s", key)
	}
}

func TestFolder(t *testing.T) {
	stagetest.Run(t, func(t *testing.T) *stage.Store { return inFolder(t, t.TempDir(), nil) })
}

func TestFolderPathIsTheKey(t *testing.T) {
	folder := t.TempDir()
	s := inFolder(t, folder, nil)
	key := stage.Dir("f", "a/b__0x2f__", "..", 1) + "/part.zst"
	if err := s.Put(t.Context(), key, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(folder, key)); err != nil || string(got) != "x" {
		t.Errorf("at folder+key: %q, %v", got, err)
	}
}

func TestFolderAbortLeavesNoFile(t *testing.T) {
	folder := t.TempDir()
	w, err := inFolder(t, folder, nil).Create(t.Context(), "a/b/c.zst")
	if err != nil {
		t.Fatal(err)
	}
	w.Abort()
	if found, _ := filepath.Glob(folder + "/a/b/*"); len(found) > 0 {
		t.Errorf("left %q", found)
	}
}

func TestFetchLeavesNoScratch(t *testing.T) {
	scratch := t.TempDir()
	b := memblob.OpenBucket(nil)
	defer b.Close()
	s := stage.New(b, stage.Options{Name: "memory", Scratch: scratch})
	if err := s.Put(t.Context(), "a/part.zst", []byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Fetch(t.Context(), stage.Part{Key: "a/part.zst", Bytes: 2}); !errors.Is(err, fault.Corrupt) {
		t.Errorf("got %v", err)
	}
	if found, _ := os.ReadDir(scratch); len(found) > 0 {
		t.Errorf("left %v", found)
	}
}

func TestArrived(t *testing.T) {
	var keys []string
	fail := errors.New("the loader is away")
	s := inFolder(t, t.TempDir(), func(ctx context.Context, key string) error {
		keys = append(keys, key)
		if len(keys) == 2 {
			return fail
		}
		return nil
	})
	m := &stage.Manifest{Table: record.Table{Schema: "s", Name: "t"}}
	key, err := s.WriteManifest(t.Context(), "f/t/s/000001", m, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	again, err := s.WriteManifest(t.Context(), "f/t/s/000001", m, time.Time{})
	if !errors.Is(err, fail) || again != key {
		t.Errorf("a failed announcement gave %q, %v", again, err)
	}
	if err := s.Announce(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	if want := []string{key, key, key}; fmt.Sprint(keys) != fmt.Sprint(want) {
		t.Errorf("announced %v, want %v", keys, want)
	}
}

func TestFolderErrorsSayWhatToDo(t *testing.T) {
	folder := t.TempDir()
	s := inFolder(t, folder, nil)
	if err := os.WriteFile(filepath.Join(folder, "a"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	err := s.Put(t.Context(), "a/b", nil)
	if !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), folder) {
		t.Errorf("a file in the way: %v", err)
	}
	if err := os.Chmod(folder, 0o500); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(folder, 0o700) })
	if os.WriteFile(filepath.Join(folder, "probe"), nil, 0o600) == nil {
		t.Skip("this user may write into read-only folders; TestExplain covers the words")
	}
	err = s.Put(t.Context(), "c/d", nil)
	if !errors.Is(err, fault.Auth) || !strings.Contains(err.Error(), folder) {
		t.Errorf("a read-only folder: %v", err)
	}
}

// TestDirIsInjective: different slices never share a folder, and a name never
// becomes two.
func TestDirIsInjective(t *testing.T) {
	name := rapid.OneOf(rapid.String(), rapid.StringMatching(`[a~./_0x2Fh]{0,6}`), rapid.StringMatching(`[a ]{70,260}`))
	rapid.Check(t, func(t *rapid.T) {
		a := [3]string{name.Draw(t, "function"), name.Draw(t, "table"), name.Draw(t, "slice")}
		b := [3]string{name.Draw(t, "function2"), name.Draw(t, "table2"), name.Draw(t, "slice2")}
		da, db := stage.Dir(a[0], a[1], a[2], 1), stage.Dir(b[0], b[1], b[2], 1)
		if (da == db) != (a == b) {
			t.Fatalf("%q and %q give %s and %s", a, b, da, db)
		}
		if strings.Count(da, "/") != 3 || len(da) > 400 {
			t.Fatalf("%q gives %s", a, da)
		}
	})
}

func ExampleStore() {
	ctx := context.Background()
	bucket := memblob.OpenBucket(nil)
	defer bucket.Close()
	s := stage.New(bucket, stage.Options{Name: "demo"})

	dir := stage.Dir("clari", "users", "2026-01-02", 7)
	w, err := s.Create(ctx, dir+"/part-0001.ndjson.zst")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer w.Abort() // does nothing after Close
	fmt.Fprintln(w, `{"id":"1"}`)
	if err := w.Close(); err != nil {
		fmt.Println(err)
		return
	}
	for o := range s.List(ctx, "clari/") {
		fmt.Println(o.Key, o.Size)
	}
	// Output: clari/users/2026-01-02/000007/part-0001.ndjson.zst 11
}
