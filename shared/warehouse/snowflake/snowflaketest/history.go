package snowflaketest

import "sync"

// history is which file was loaded into which table: a file is known by its path
// and its content, and one already loaded is not loaded again.
type history struct {
	mu     sync.Mutex
	loaded map[table]map[string]bool
}

func newHistory() *history { return &history{loaded: map[table]map[string]bool{}} }

func (h *history) has(t table, file string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.loaded[t][file]
}

func (h *history) add(t table, file string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.loaded[t] == nil {
		h.loaded[t] = map[string]bool{}
	}
	h.loaded[t][file] = true
}

// forget is what dropping or recreating a table does.
func (h *history) forget(t table) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.loaded, t)
}

// swap lets the history go with the data.
func (h *history) swap(a, b table) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.loaded[a], h.loaded[b] = h.loaded[b], h.loaded[a]
}
