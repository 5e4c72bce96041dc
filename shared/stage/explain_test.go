package stage

import (
	"context"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/millrace-data/millrace/shared/fault"
)

func TestExplain(t *testing.T) {
	s := New(nil, Options{Name: "bucket"})
	for _, c := range []struct {
		err  error
		kind error
		says string
	}{
		{&os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}, fault.Invalid, "free space"},
		{&os.PathError{Op: "open", Path: "x", Err: syscall.EROFS}, fault.Auth, "grant"},
		{&os.PathError{Op: "open", Path: "x", Err: syscall.EACCES}, fault.Auth, "grant"},
		{context.DeadlineExceeded, fault.Transient, "write"},
		{errors.New("connection reset"), fault.Transient, "write"},
	} {
		got := s.explain("write", "a/b", c.err)
		if fault.Of(got) != c.kind || !strings.Contains(got.Error(), c.says) || !strings.Contains(got.Error(), "bucket/a/b") || !errors.Is(got, c.err) {
			t.Errorf("%v: got %v (%v), want %v that says %q", c.err, got, fault.Of(got), c.kind, c.says)
		}
	}
}

func TestExplainAsksTheDriver(t *testing.T) {
	err := errors.New("no")
	for _, kind := range []error{fault.Auth, fault.Invalid, nil} {
		s := New(nil, Options{Name: "bucket", Kind: func(error) error { return kind }})
		want := kind
		if want == nil {
			want = fault.Transient
		}
		if got := s.explain("read", "a/b", err); fault.Of(got) != want || !errors.Is(got, err) {
			t.Errorf("got %v (%v), want %v", got, fault.Of(got), want)
		}
	}
}
