package snowflaketest

import (
	"context"
	"sync"
	"time"
)

// maxWaiters is how many statements may wait for one table; the service's limit.
const maxWaiters = 20

// locks is who holds which table. UPDATE, DELETE and MERGE take it, and hold it
// to the end of their transaction; INSERT and COPY do not.
type locks struct {
	mu      sync.Mutex
	held    map[table]*session
	waiting map[*session]table
	freed   chan struct{} // closed and made anew at each release
	idle    time.Duration // that an owner may do nothing while others wait
}

func newLocks(idle time.Duration) *locks {
	return &locks{idle: idle, held: map[table]*session{}, waiting: map[*session]table{}, freed: make(chan struct{})}
}

// take waits for the table's lock; fresh says that the session did not have it.
func (l *locks) take(ctx context.Context, s *session, t table, timeout time.Duration) (fresh bool, err error) {
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	for {
		l.mu.Lock()
		owner := l.held[t]
		if owner == nil || owner == s {
			l.held[t] = s
			delete(l.waiting, s)
			l.mu.Unlock()
			return owner == nil, nil
		}
		if err := l.wait(s, t); err != nil {
			l.mu.Unlock()
			return false, err
		}
		freed := l.freed
		l.mu.Unlock()
		select {
		case <-freed:
		case <-time.After(owner.patience(l.idle)):
			owner.abandon(l.idle)
		case <-timer.C:
			err = lockFailed(t, "it was held longer than LOCK_TIMEOUT")
		case <-ctx.Done():
			err = ctx.Err()
		}
		if err != nil {
			l.mu.Lock()
			delete(l.waiting, s)
			l.mu.Unlock()
			return false, err
		}
	}
}

// wait puts the session in the queue, unless that is full or the wait would never end.
func (l *locks) wait(s *session, t table) error {
	n := 0
	for other, at := range l.waiting {
		if other != s && at == t {
			n++
		}
	}
	if n >= maxWaiters {
		return lockFailed(t, "the number of waiters for this lock exceeds the 20 statements limit")
	}
	for at, ok := t, true; ok; {
		owner := l.held[at]
		if owner == s {
			return lockFailed(t, "its owner waits for this transaction: a deadlock")
		}
		at, ok = l.waiting[owner]
	}
	l.waiting[s] = t
	return nil
}

func lockFailed(t table, why string) error {
	return fail("000625", "57014", "Another transaction has locked table '%s' and this lock has not yet been released. Your statement was aborted because %s.", t.words(), why)
}

// release gives all of a session's locks back.
func (l *locks) release(s *session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.waiting, s)
	for t, owner := range l.held {
		if owner == s {
			delete(l.held, t)
		}
	}
	close(l.freed)
	l.freed = make(chan struct{})
}

// holders tells who has which table.
func (l *locks) holders() map[table]int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := map[table]int64{}
	for t, s := range l.held {
		out[t] = s.id
	}
	return out
}
