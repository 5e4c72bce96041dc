package rest

import (
	"sync"
	"time"
)

// Meter counts what a reading cost and knows the vendor's quota. It is safe for
// concurrent use and its zero value is ready. One Meter may serve many clients.
type Meter struct {
	mu                       sync.Mutex
	requests, retries, pages int64
	quota                    Quota
	known                    bool
}

// Requests is how many requests were sent, retries included.
func (m *Meter) Requests() int64 { return m.read(&m.requests) }

// Retries is how many requests were a second or later try.
func (m *Meter) Retries() int64 { return m.read(&m.retries) }

// Pages is how many pages were complete.
func (m *Meter) Pages() int64 { return m.read(&m.pages) }

// AddRequest counts one request that is sent.
func (m *Meter) AddRequest() { m.add(&m.requests, 1) }

// AddRetry counts one retry. Its request is counted by AddRequest too.
func (m *Meter) AddRetry() { m.add(&m.retries, 1) }

// AddPages counts n complete pages.
func (m *Meter) AddPages(n int64) { m.add(&m.pages, n) }

// SetQuota notes what the vendor said about its quota: requests left, of how
// many, until when the count begins anew.
func (m *Meter) SetQuota(left, limit int64, reset time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.quota, m.known = Quota{Limit: limit, Left: left, Reset: reset}, true
}

// Quota is what SetQuota was told last; known is false if it never was.
func (m *Meter) Quota() (left, limit int64, reset time.Time, known bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.quota.Left, m.quota.Limit, m.quota.Reset, m.known
}

func (m *Meter) read(n *int64) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return *n
}

func (m *Meter) add(n *int64, by int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	*n += by
}
