package platform

import (
	"context"
	"sync"
	"time"

	"github.com/millrace-data/millrace/shared/env"
)

// secretLife is how long a fetched secret is used: what a rotation may take to be
// noticed.
const secretLife = 5 * time.Minute

// Cached fetches each secret at most once in life. A fetch that fails is not
// remembered; the old value is not used beyond its life.
func Cached(r env.Resolver, life time.Duration) env.Resolver {
	return &cache{r: r, life: life, now: time.Now, by: map[string]fetched{}}
}

type cache struct {
	r    env.Resolver
	life time.Duration
	now  func() time.Time

	mu sync.Mutex
	by map[string]fetched
}

type fetched struct {
	value string
	at    time.Time
}

// Resolve implements [env.Resolver].
func (c *cache) Resolve(ctx context.Context, ref string) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock() // also while it fetches: many invocations that start at once ask once
	if f, ok := c.by[ref]; ok && c.now().Sub(f.at) < c.life {
		return f.value, nil
	}
	value, err := c.r.Resolve(ctx, ref)
	if err == nil {
		c.by[ref] = fetched{value, c.now()}
	}
	return value, err
}
