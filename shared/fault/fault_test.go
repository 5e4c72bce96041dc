package fault_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/millrace-data/millrace/shared/fault"
)

func TestOf(t *testing.T) {
	for _, tc := range []struct {
		name string
		err  error
		want error
	}{
		{"nil", nil, nil},
		{"nobody named it", io.EOF, fault.Transient},
		{"made", fault.New(fault.Auth, "key refused"), fault.Auth},
		{"wrapped by callers", fmt.Errorf("deals: %w", fault.New(fault.Corrupt, "page 2: %w", io.ErrUnexpectedEOF)), fault.Corrupt},
		{"the first name stays", fault.Wrap(fault.Transient, fault.New(fault.Invalid, "no such column")), fault.Invalid},
		{"named late", fault.Wrap(fault.NotFound, io.EOF), fault.NotFound},
		{"of two the graver", errors.Join(io.EOF, fault.New(fault.Refused, "gate")), fault.Refused},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := fault.Of(tc.err); got != tc.want {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
	if !errors.Is(fault.New(fault.Corrupt, "page: %w", io.ErrUnexpectedEOF), io.ErrUnexpectedEOF) {
		t.Error("the cause is lost")
	}
	if fault.Wrap(fault.Auth, nil) != nil {
		t.Error("nothing became an error")
	}
}

func TestUntil(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)
	err := fmt.Errorf("users: %w", fault.LimitedUntil(at.In(time.FixedZone("", 3600)), "quota used up"))
	if got, ok := fault.Until(err); !ok || !got.Equal(at) || got.Location() != time.UTC {
		t.Errorf("until %v, %t; want %v", got, ok, at)
	}
	if _, ok := fault.Until(fault.New(fault.Limited, "nobody knows")); ok {
		t.Error("a time out of nowhere")
	}
}

func TestRetryable(t *testing.T) {
	for err, want := range map[error]bool{
		nil: false, io.EOF: true, context.Canceled: false, context.DeadlineExceeded: false,
		fault.New(fault.Transient, "busy"): true, fault.New(fault.Invalid, "no"): false,
	} {
		if got := fault.Retryable(err); got != want {
			t.Errorf("Retryable(%v) = %t", err, got)
		}
	}
}

func ExampleOf() {
	err := fmt.Errorf("deals after 2026-01-02: %w", fault.New(fault.Auth, "the vendor refuses the key"))
	switch fault.Of(err) {
	case fault.Auth, fault.Invalid:
		fmt.Println("stop:", err)
	case fault.Transient:
		fmt.Println("try again:", err)
	}
	// Output: stop: deals after 2026-01-02: the vendor refuses the key
}
