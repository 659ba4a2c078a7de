package status

import (
	"bytes"
	"sync"
	"time"

	"github.com/enrollgate/enrollgate/ca/pkix"
)

// issuerHashes are what CertIDs say of one issuer (RFC 6960 section 4.1.1).
type issuerHashes struct{ name, key map[pkix.OCSPHash][]byte }

func hashesOf(name pkix.RawName, key pkix.PublicKey) issuerHashes {
	h := issuerHashes{map[pkix.OCSPHash][]byte{}, map[pkix.OCSPHash][]byte{}}
	for _, algorithm := range []pkix.OCSPHash{pkix.OCSPSHA1, pkix.OCSPSHA1Bare, pkix.OCSPSHA256, pkix.OCSPSHA256Bare} {
		h.name[algorithm], h.key[algorithm] = pkix.IssuerHashes(algorithm, name, key)
	}
	return h
}

// match tells whether a CertID names the issuer.
func (h *issuerHashes) match(id *pkix.CertID) bool {
	return id.Algorithm != pkix.OCSPHashUnknown && bytes.Equal(h.key[id.Algorithm], id.KeyHash) && bytes.Equal(h.name[id.Algorithm], id.NameHash)
}

// bucket bounds one CA's answers about certificates that strangers can make up.
type bucket struct {
	mu     sync.Mutex
	tokens float64
	filled time.Time
}

// take takes one of liveEvery a second; the first second's are there at once.
func (b *bucket) take(now time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.filled.IsZero() {
		b.tokens, b.filled = liveEvery, now
	}
	b.tokens = min(liveEvery, b.tokens+now.Sub(b.filled).Seconds()*liveEvery)
	b.filled = now
	if b.tokens < 1 {
		return errNeeds
	}
	b.tokens--
	return nil
}
