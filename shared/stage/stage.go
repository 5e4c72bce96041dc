// Package stage is the place between vendor and warehouse: parts of rows, the
// manifests that describe them, and raw pages kept for a person to look at.
//
// A [Store] sits on a gocloud.dev bucket, which is a cloud's or a folder; the
// platform opens it. Every object appears whole or not at all. A slice's attempt
// writes its parts into a folder of its own (see [Dir]) and its [Manifest] last;
// the manifest's arrival is the event that loads, and a loader reads what the
// manifest names and never a listing. What no manifest names is swept.
//
// The package reads no rows, decides nothing about slices, and retries nothing
// beyond what the driver does.
package stage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"path/filepath"
	"strings"
	"time"

	"gocloud.dev/blob"

	"github.com/millrace-data/millrace/shared/fault"
)

// The prefixes of what is kept as the vendor sent it; Sweep leaves it alone.
const (
	Corrupt = "corrupt/" // pages that broke a contract, for a person
	Raw     = "raw/"     // documents that cannot be fetched again
)

// uploadBuffer is the size of an upload's pieces: S3 takes no smaller ones, and
// one piece per open writer is what a small function can afford.
const uploadBuffer = 5 << 20

// Options says what a Store needs to know beside its bucket.
type Options struct {
	Name    string                                      // bucket name, as in events
	Prefix  string                                      // folder in the bucket that is the stage, as "raw/"; "" = the whole bucket
	Kind    func(err error) error                       // the driver's: fault.Auth, fault.Invalid (there is no such bucket), or nil; may be nil
	Local   func(key string) string                     // the path of an object, where the stage is a local folder; else nil
	Scratch string                                      // folder for what Fetch downloads; "" = the system's
	Arrived func(ctx context.Context, key string) error // called once a manifest is visible, where no cloud does it; else nil
}

// Store is a stage. It is safe for concurrent use.
type Store struct {
	bucket *blob.Bucket
	o      Options
}

// Info is one listed object.
type Info struct {
	Key      string
	Size     int64     // bytes
	Modified time.Time // UTC
}

// New makes a store on b, which the caller closes. A fileblob bucket must be
// opened without metadata and without a temporary folder (NoTempDir): that
// folder may lie on another file system, where nothing can be renamed from.
func New(b *blob.Bucket, o Options) *Store { return &Store{bucket: b, o: o} }

// Name is the bucket's name, as events carry it.
func (s *Store) Name() string { return s.o.Name }

// Object is the name in the bucket of what lies under key.
func (s *Store) Object(key string) string { return s.o.Prefix + key }

// Key is the key of an object of the bucket, as events name it. What lies outside of
// the stage's folder has none.
func (s *Store) Key(object string) (key string, ok bool) {
	return strings.CutPrefix(object, s.o.Prefix)
}

// Writer writes one object, which appears when Close returns nil.
type Writer struct {
	store  *Store
	key    string
	w      *blob.Writer
	cancel context.CancelFunc
	err    error // the first one; the object is then given up
}

var errAborted = errors.New("the write was aborted")

// Create begins an object; an existing one stays as it is until Close. The
// caller must call Close or Abort. Keys consist of what [Dir] makes and plain
// names: another one is fault.Invalid. Cancelling ctx aborts the write.
func (s *Store) Create(ctx context.Context, key string) (*Writer, error) {
	return s.create(ctx, key, false)
}

// create begins an object; with once, Close fails where there is one by then.
func (s *Store) create(ctx context.Context, key string, once bool) (*Writer, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	// Cancelling is the one way to end a driver's write without publishing it.
	ctx, cancel := context.WithCancel(ctx)
	w, err := s.bucket.NewWriter(ctx, s.Object(key), &blob.WriterOptions{
		BufferSize: uploadBuffer, MaxConcurrency: 1,
		ContentType: "application/octet-stream", DisableContentTypeDetection: true, IfNotExist: once,
	})
	if err != nil {
		cancel()
		return nil, s.explain("write", key, err)
	}
	return &Writer{store: s, key: key, w: w, cancel: cancel}, nil
}

// Write adds bytes. After an error the object is given up.
func (w *Writer) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	n, err := w.w.Write(p)
	if err != nil {
		w.end(w.store.explain("write", w.key, err))
	}
	return n, w.err
}

// Close publishes the object. An error means that nothing new is visible.
func (w *Writer) Close() error {
	if w.err != nil {
		return w.err
	}
	w.err = fault.New(fault.Invalid, "%s: the writer is closed", w.key)
	err := w.w.Close()
	w.cancel()
	return w.store.explain("write", w.key, err)
}

// Abort gives the object up. After Close it does nothing.
func (w *Writer) Abort() { w.end(errAborted) }

// end closes the driver's writer under a cancelled context, so that it drops what
// it has.
func (w *Writer) end(err error) {
	if w.err != nil {
		return
	}
	w.err = err
	w.cancel()
	_ = w.w.Close()
}

// Put writes one object.
func (s *Store) Put(ctx context.Context, key string, data []byte) error {
	return s.put(ctx, key, data, false)
}

func (s *Store) put(ctx context.Context, key string, data []byte, once bool) error {
	w, err := s.create(ctx, key, once)
	if err != nil {
		return err
	}
	if _, err := w.Write(data); err != nil {
		return err
	}
	return w.Close()
}

// Copy writes one object from r. An error of r is returned as it is, and leaves
// nothing visible.
func (s *Store) Copy(ctx context.Context, key string, r io.Reader) error {
	w, err := s.Create(ctx, key)
	if err != nil {
		return err
	}
	// Hiding the writer's own ReadFrom keeps both sides' errors apart.
	if _, err := io.Copy(struct{ io.Writer }{w}, r); err != nil {
		w.Abort()
		return err
	}
	return w.Close()
}

// Get reads one object whole; fault.NotFound where there is none.
func (s *Store) Get(ctx context.Context, key string) ([]byte, error) {
	data, err := s.bucket.ReadAll(ctx, s.Object(key))
	return data, s.explain("read", key, err)
}

// Open reads one object; fault.NotFound where there is none. The caller closes it.
func (s *Store) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	r, err := s.bucket.NewReader(ctx, s.Object(key), nil)
	if err != nil {
		return nil, s.explain("read", key, err)
	}
	return r, nil
}

// List yields the objects whose key begins with prefix, in the order of keys.
// The only pair with an error is the last one.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		for info, err := range s.list(ctx, prefix) {
			if err == nil && unfinished(info.Key) {
				continue
			}
			if !yield(info, err) {
				return
			}
		}
	}
}

// unfinished tells the file in which a local stage collects an object.
func unfinished(key string) bool { return strings.HasSuffix(key, ".tmp") }

func (s *Store) list(ctx context.Context, prefix string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		for it := s.bucket.List(&blob.ListOptions{Prefix: s.Object(prefix)}); ; {
			o, err := it.Next(ctx)
			if err == io.EOF {
				return
			}
			if err != nil {
				yield(Info{}, s.explain("list", prefix, err))
				return
			}
			key, _ := s.Key(o.Key)
			if !yield(Info{Key: key, Size: o.Size, Modified: o.ModTime.UTC()}, nil) {
				return
			}
		}
	}
}

// Delete removes one object. That it is gone already is no error.
func (s *Store) Delete(ctx context.Context, key string) error {
	err := s.explain("delete", key, s.bucket.Delete(ctx, s.Object(key)))
	if errors.Is(err, fault.NotFound) {
		return nil
	}
	return err
}

// Check writes, reads, lists and deletes one small object, so that a right that is
// missing shows before a run needs it.
func (s *Store) Check(ctx context.Context) error {
	key := fmt.Sprintf("check/%d", time.Now().UnixNano())
	if err := s.Put(ctx, key, []byte("ok")); err != nil {
		return err
	}
	_, err := s.Get(ctx, key)
	for _, lerr := range s.List(ctx, key) {
		err = errors.Join(err, lerr)
	}
	return errors.Join(err, s.Delete(ctx, key))
}

// where is how an error names an object: by path, or by bucket and key.
func (s *Store) where(key string) string {
	if s.o.Local != nil {
		return filepath.Clean(s.o.Local(key))
	}
	return s.o.Name + "/" + s.Object(key)
}
