package extract

import (
	"errors"
	"sync"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/rest"
)

const (
	unreachedMax = 2                // slices in a row whose vendor could not be reached
	unreachedFor = 30 * time.Second // then none is tried for so long
)

// breakers spare slices the wait for a vendor that just could not be reached: there
// may be hundreds of them, and each would wait for its own connection.
type breakers struct {
	mu sync.Mutex
	by map[string]circuitbreaker.CircuitBreaker[any] // by function
}

func (b *breakers) of(function string) circuitbreaker.CircuitBreaker[any] {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.by == nil {
		b.by = map[string]circuitbreaker.CircuitBreaker[any]{}
	}
	if b.by[function] == nil {
		b.by[function] = circuitbreaker.NewBuilder[any]().WithFailureThreshold(unreachedMax).WithDelay(unreachedFor).Build()
	}
	return b.by[function]
}

// enter is an error while the function's vendor is not to be tried.
func (b *breakers) enter(function string) error {
	if b.of(function).TryAcquirePermit() {
		return nil
	}
	return fault.New(fault.Transient, "the vendor could not be reached a moment ago and was not asked for this slice; run the function again once it can be")
}

// leave notes how a reading ended.
func (b *breakers) leave(function string, err error) {
	if errors.Is(err, rest.ErrUnreached) {
		b.of(function).RecordFailure()
	} else {
		b.of(function).RecordSuccess()
	}
}
