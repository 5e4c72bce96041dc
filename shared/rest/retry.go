package rest

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/retrypolicy"
)

const (
	triesMax   = 6
	dialMax    = 2                      // tries to reach a vendor that never answered: there may be hundreds of slices
	backoff    = 500 * time.Millisecond // doubled with each try
	backoffMax = 30 * time.Second
	waitMax    = 2 * time.Minute // longer than this we do not sit in a function that is paid by the second
)

var errTry = errors.New("no whole answer within the time of one try")

// failure is a try that did not work out: why, and how long to wait before the
// next one. Everything is decided where the error is met, because only there are
// the response and the deadline at hand; the policy below only obeys.
type failure struct {
	err  error
	wait time.Duration
	done bool // another try makes no sense
	sent bool // the vendor may have got the request and done what it asks
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

func retryPolicy(most int) retrypolicy.RetryPolicy[*Body] {
	return retrypolicy.NewBuilder[*Body]().
		WithMaxAttempts(most).
		ReturnLastFailure().
		AbortIf(func(_ *Body, err error) bool {
			var f *failure
			return !errors.As(err, &f) || f.done
		}).
		WithDelayFunc(func(exec failsafe.ExecutionAttempt[*Body]) time.Duration {
			var f *failure
			errors.As(exec.LastError(), &f)
			return f.wait
		}).
		Build()
}

func final(err error) *failure { return &failure{err: err, done: true} }

// again asks for another try after a backoff with full jitter, so that workers
// that failed together do not come back together. Past the deadline there is none.
func again(ctx context.Context, err error, n int) *failure {
	wait := rand.N(min(backoff<<(n-1), backoffMax))
	if !fits(ctx, wait) {
		return final(err)
	}
	return &failure{err: err, wait: wait}
}

// fits reports whether a wait would end before the context does.
func fits(ctx context.Context, wait time.Duration) bool {
	deadline, ok := ctx.Deadline()
	return !ok || time.Now().Add(wait).Before(deadline)
}
