// Package fault names what can go wrong by its consequence.
//
// There are eight kinds, and each has one consequence, decided in the engines
// and nowhere else. A package that meets an error gives it a kind with [New] or
// [Wrap]; everybody above adds context with %w, and the engine asks
// errors.Is(err, fault.Limited) or [Of]. An error without a kind counts as
// Transient: trying again is safe, because everything here is idempotent.
//
// The package does not log, retry or print: it only carries the decision.
package fault

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// The kinds. Compare with errors.Is; the comment is the consequence.
var (
	Transient = errors.New("transient") // retry with backoff, then fail
	Limited   = errors.New("limited")   // quota or rate; keep what is done, pause until a time
	Auth      = errors.New("auth")      // credentials refused; stop and alert, no retry
	Invalid   = errors.New("invalid")   // we or the user asked for nonsense; stop, no retry
	Corrupt   = errors.New("corrupt")   // the other side broke its contract; keep raw and mark, alert
	Refused   = errors.New("refused")   // a gate or a guard said no
	NotFound  = errors.New("not found") // the caller decides
	Stale     = errors.New("stale")     // somebody holds a newer fence; stop quietly, success
)

var kinds = []error{Limited, Auth, Invalid, Corrupt, Refused, NotFound, Stale, Transient}

// Error is an error with its kind. Until is set for Limited where the other
// side said when to come back, in UTC.
type Error struct {
	Kind  error
	Until time.Time
	Err   error
}

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap makes both the kind and the cause visible to errors.Is and errors.As.
func (e *Error) Unwrap() []error { return []error{e.Kind, e.Err} }

// New makes an error of a kind. The format may wrap a cause with %w.
func New(kind error, format string, args ...any) error {
	return &Error{Kind: kind, Err: fmt.Errorf(format, args...)}
}

// Wrap gives err a kind, unless it is nil or has one already.
func Wrap(kind, err error) error {
	if err == nil || named(err) != nil {
		return err
	}
	return &Error{Kind: kind, Err: err}
}

// LimitedUntil is a Limited error that says when work may go on.
func LimitedUntil(t time.Time, format string, args ...any) error {
	return &Error{Kind: Limited, Until: t.UTC(), Err: fmt.Errorf(format, args...)}
}

// Of returns the kind of err; nil for nil, Transient for an error nobody named.
func Of(err error) error {
	if err == nil {
		return nil
	}
	if k := named(err); k != nil {
		return k
	}
	return Transient
}

// Until returns when a Limited error ends, and whether it said so.
func Until(err error) (time.Time, bool) {
	var e *Error
	for errors.As(err, &e) {
		if !e.Until.IsZero() {
			return e.Until, true
		}
		err, e = e.Err, nil
	}
	return time.Time{}, false
}

// Retryable reports whether the same call may be made again at once.
// A cancelled context is never worth another try.
func Retryable(err error) bool {
	return err != nil && !errors.Is(err, context.Canceled) &&
		!errors.Is(err, context.DeadlineExceeded) && Of(err) == Transient
}

func named(err error) error {
	for _, k := range kinds {
		if errors.Is(err, k) {
			return k
		}
	}
	return nil
}
