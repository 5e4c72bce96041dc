package platform

import (
	"context"
	"runtime"
	"time"
)

const (
	opening = 2 * time.Minute // for opening what the environment names
	grace   = time.Minute     // beyond the time of an event: leases are given back in it, and what happened is recorded
)

// guard ends the process unless stop is called in time. An invocation that does not
// come back, such as one that waits for a lock that nobody gives back, would keep all
// later ones waiting too, without a word. What it was about is delivered again, to a
// new process; where it stood is in the log.
func (n *Node) guard(ctx context.Context, what string, after time.Duration) (stop func()) {
	t := time.AfterFunc(after, func() {
		stacks := make([]byte, 256<<10)
		stacks = stacks[:runtime.Stack(stacks, true)]
		n.o.Log.ErrorContext(ctx, "an invocation does not come back: the process ends, and the event comes again",
			"function", n.o.Function, "what", what, "after", after.String(), "stacks", string(stacks))
		n.o.Exit(1)
	})
	return func() { t.Stop() }
}
