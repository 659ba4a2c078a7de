package core

import (
	"sync"

	"github.com/enrollgate/enrollgate/ca"
)

// Observed counts the replies of a door and its panics.
type Observed struct {
	mu      sync.Mutex
	replies map[string]int
	panics  int
}

// Count counts a reply; the endpoint is nil where the door found none.
func (o *Observed) Count(e *ca.Endpoint, operation, outcome string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	id := "none"
	if e != nil {
		id = e.ID
	}
	if o.replies == nil {
		o.replies = map[string]int{}
	}
	o.replies[id+" "+operation+" "+outcome]++
}

// Panicked counts a panic.
func (o *Observed) Panicked() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.panics++
}

// Replies tells how many replies there were of a kind, "ENDPOINT operation outcome".
func (o *Observed) Replies(kind string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.replies[kind]
}

// Panics tells how many panics there were.
func (o *Observed) Panics() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.panics
}
