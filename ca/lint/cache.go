package lint

import (
	"crypto/sha256"
	"sync"
)

// maxShapes bounds each of the cache's two halves.
const maxShapes = 4096

// cache remembers what the rules found about shapes. Findings about a shape
// hold nothing of a request's values. When one half is full the other one,
// which is older, is forgotten; what is asked for moves to the newer half.
type cache struct {
	mu            sync.Mutex
	recent, older map[[sha256.Size]byte][]Finding
}

func (c *cache) get(shape [sha256.Size]byte) ([]Finding, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if findings, ok := c.recent[shape]; ok {
		return findings, true
	}
	findings, ok := c.older[shape]
	if ok {
		c.keep(shape, findings)
	}
	return findings, ok
}

func (c *cache) put(shape [sha256.Size]byte, findings []Finding) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keep(shape, findings)
}

// keep is called with mu held.
func (c *cache) keep(shape [sha256.Size]byte, findings []Finding) {
	if len(c.recent) >= maxShapes {
		c.older, c.recent = c.recent, nil
	}
	if c.recent == nil {
		c.recent = map[[sha256.Size]byte][]Finding{}
	}
	c.recent[shape] = findings
}
