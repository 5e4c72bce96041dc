package stage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"gocloud.dev/gcerrors"

	"github.com/millrace-data/millrace/shared/fault"
)

// explain gives a driver's error its kind and says what to do next. A full or a
// read-only stage is not worth a retry, which would read the vendor again.
func (s *Store) explain(verb, key string, err error) error {
	if err == nil {
		return nil
	}
	code, kind := gcerrors.Code(err), s.kind(err)
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("stage: %s %s: %w", verb, s.where(key), err)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fault.New(fault.Invalid, "stage: %s %s: the disk is full; free space or point MILLRACE_STAGE at another place, then run again: %w", verb, s.where(key), err)
	case kind == fault.Auth, errors.Is(err, syscall.EROFS), errors.Is(err, fs.ErrPermission), code == gcerrors.PermissionDenied:
		return fault.New(fault.Auth, "stage: %s %s is not allowed; grant this process read, write, list and delete there, or point MILLRACE_STAGE at another place: %w", verb, s.where(key), err)
	case kind == fault.Invalid, code == gcerrors.NotFound && s.o.Local == nil && (verb == "write" || verb == "list"):
		return fault.New(fault.Invalid, "stage: %s %s: there is no bucket %s, or not in this region; create it or point MILLRACE_STAGE at another place: %w", verb, s.where(key), s.o.Name, err)
	case code == gcerrors.NotFound:
		return fault.New(fault.NotFound, "stage: there is no %s: %w", s.where(key), err)
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.EISDIR):
		return fault.New(fault.Invalid, "stage: %s %s: a file stands where a folder is needed, or the other way round; remove it: %w", verb, s.where(key), err)
	}
	return fmt.Errorf("stage: %s %s: %w", verb, s.where(key), err)
}

// kind asks the driver: its codes say "not found" also where one may not look.
func (s *Store) kind(err error) error {
	if s.o.Kind == nil {
		return nil
	}
	return s.o.Kind(err)
}
