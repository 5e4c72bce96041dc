package stage

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path"

	"github.com/millrace-data/millrace/shared/fault"
)

// Fetch gives the path of a local file with the part's bytes, whose size and
// digest were verified. Where the stage is a local folder it is the object
// itself, which must not be changed; otherwise a file in Options.Scratch, which
// release removes. release is never nil and may be called twice.
//
// A mismatch is fault.Corrupt, a missing object fault.NotFound.
func (s *Store) Fetch(ctx context.Context, p Part) (file string, release func(), err error) {
	release = func() {}
	r, err := s.bucket.NewReader(ctx, s.Object(p.Key), nil)
	if err != nil {
		return "", release, s.explain("read", p.Key, err)
	}
	defer r.Close()
	if s.o.Local != nil {
		if err := s.verify(p, r, io.Discard); err != nil {
			return "", release, err
		}
		return s.o.Local(p.Key), release, nil
	}
	f, err := os.CreateTemp(s.o.Scratch, "*-"+path.Base(p.Key)) // the ending tells readers the format
	if err != nil {
		return "", release, fault.New(fault.Invalid, "scratch for %s: %w", p.Key, err)
	}
	release = func() { _ = os.Remove(f.Name()) }
	err = s.verify(p, r, f)
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		release()
		return "", release, err
	}
	return f.Name(), release, nil
}

// verify copies an object to w and compares it with what its part says.
func (s *Store) verify(p Part, r io.Reader, w io.Writer) error {
	sum := sha256.New()
	size, err := io.Copy(io.MultiWriter(sum, w), r)
	var local *os.PathError
	if errors.As(err, &local) && s.o.Local == nil {
		return fault.New(fault.Invalid, "scratch for %s: %w", p.Key, err)
	}
	if err != nil {
		return s.explain("read", p.Key, err)
	}
	found := hex.EncodeToString(sum.Sum(nil))
	if size != p.Bytes || found != p.SHA256 {
		return fault.New(fault.Corrupt, "%s is not what its manifest says: expected %d bytes with digest %.12s, found %d with %.12s; read the slice again",
			s.where(p.Key), p.Bytes, p.SHA256, size, found)
	}
	return nil
}
