package rest

import (
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/millrace-data/millrace/shared/fault"
)

// pace makes requests wait: by what the vendor says is left, and while that is
// unknown, by a token bucket.
type pace struct {
	bucket *rate.Limiter

	mu    sync.Mutex
	quota Quota // counts only until its Reset
}

func newPace(r Rate) *pace {
	if r.Every <= 0 {
		return &pace{bucket: rate.NewLimiter(rate.Inf, 1)}
	}
	return &pace{bucket: rate.NewLimiter(rate.Every(r.Every), max(1, r.Burst))}
}

func (p *pace) set(q Quota) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.quota = q
}

// wait returns when the next request may be sent, or with fault.Limited when that
// is too far away to sit and wait for it.
func (p *pace) wait(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	now := time.Now()
	if q := p.spend(); now.Before(q.Reset) {
		if err := pause(ctx, now, q.share(now)); err != nil {
			return err
		}
		if q.Left > 0 {
			return nil
		}
	}
	return p.take(ctx)
}

// spend takes one request off the quota and returns what it was before, so that
// workers that ask at the same time do not all count on the last one.
func (p *pace) spend() Quota {
	p.mu.Lock()
	defer p.mu.Unlock()
	q := p.quota
	p.quota.Left = max(0, q.Left-1)
	return q
}

// share is how long to wait so that the last tenth of a quota lasts until Reset:
// others at the tenant live on it too.
func (q Quota) share(now time.Time) time.Duration {
	left := q.Reset.Sub(now)
	switch {
	case q.Left <= 0:
		return left
	case q.Left < q.Limit/10:
		return left / time.Duration(q.Left+1)
	}
	return 0
}

// take waits for a token of the bucket, and gives it back if that takes too long.
func (p *pace) take(ctx context.Context) error {
	now := time.Now()
	token := p.bucket.ReserveN(now, 1)
	err := pause(ctx, now, token.DelayFrom(now))
	if err != nil {
		token.Cancel()
	}
	return err
}

func pause(ctx context.Context, now time.Time, wait time.Duration) error {
	if wait <= 0 {
		return nil
	}
	if wait > waitMax || !fits(ctx, wait) {
		return fault.LimitedUntil(now.Add(wait), "the pace allows the next request at %s", now.Add(wait).UTC().Format(time.RFC3339))
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
