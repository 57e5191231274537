package restaurant

import "sync"

// recent remembers which record has an order's meal, for the orders of late. It only saves the question: who is not
// found is asked of the store. Safe for concurrent use; the zero value is ready.
type recent struct {
	mu       sync.Mutex
	now, old map[string]string
}

const recentMost = 20_000 // of now, and as many of old

func (r *recent) note(orderID, id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.now == nil || len(r.now) >= recentMost {
		r.now, r.old = make(map[string]string), r.now
	}
	r.now[orderID] = id
}

func (r *recent) find(orderID string) (id string, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if id, ok = r.now[orderID]; !ok {
		id, ok = r.old[orderID]
	}
	return id, ok
}
