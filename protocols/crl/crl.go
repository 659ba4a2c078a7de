// Package crl serves certificate revocation lists where the
// cRLDistributionPoints of issued certificates point (RFC 5280 section
// 4.2.1.13, RFC 2585 section 3): DER over plain http, read-only, from memory.
//
//	/crl/TENANT/CA/gN.crl              every certificate of the CA, signed by its generation N
//	/crl/TENANT/CA/gN-sM.crl           shard M of it
//	/crl/TENANT/CA/gN-delta.crl        what changed since the complete list
//	/crl/TENANT/CA/issuer-KEYID.crl    an imported list of a CA above
//	/crl/TENANT/CA/crl.crl             the complete list of the newest generation
package crl

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
)

// List is one list as it is served.
type List struct {
	DER        []byte
	ETag       string    // quoted
	ThisUpdate time.Time // Last-Modified
	NextUpdate time.Time // no cache may keep the list longer
	Fresh      time.Time // when the next one is expected
}

// Find gives the list of a tenant's CA by its name, the last segment of the
// address without ".crl".
type Find func(tenant, ca, name string) (List, bool)

// Publisher answers requests for lists.
type Publisher struct {
	find Find
	now  func() time.Time
}

// New makes a publisher of what find gives.
func New(find Find, now func() time.Time) *Publisher { return &Publisher{find, now} }

// Routes mounts the publisher under /crl of an http listener.
func (p *Publisher) Routes(r chi.Router) {
	r.Get("/crl/{tenant}/{ca}/{name}", p.serve)
	r.Head("/crl/{tenant}/{ca}/{name}", p.serve)
}

// slowest is how many octets a second a client must take, at least.
const slowest = 64 << 10

func (p *Publisher) serve(w http.ResponseWriter, r *http.Request) {
	name, ok := strings.CutSuffix(chi.URLParam(r, "name"), ".crl")
	var l List
	if ok {
		l, ok = p.find(chi.URLParam(r, "tenant"), chi.URLParam(r, "ca"), name)
	}
	if !ok {
		http.Error(w, "there is no such CRL", http.StatusNotFound)
		return
	}
	now := p.now()
	age := maxAge(l, now)
	w.Header().Set("Content-Type", "application/pkix-crl") // RFC 2585 section 4.2
	w.Header().Set("ETag", l.ETag)
	w.Header().Set("Cache-Control", fmt.Sprintf("public, max-age=%d", int(age.Seconds())))
	w.Header().Set("Expires", now.Add(age).UTC().Format(http.TimeFormat))
	// A writer that has no deadline of its own keeps the listener's.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Minute + time.Duration(len(l.DER)/slowest)*time.Second))
	http.ServeContent(w, r, "", l.ThisUpdate, bytes.NewReader(l.DER))
}

// soon is how long a list that is overdue may be cached.
const soon = time.Minute

// maxAge is how long a cache may keep the list: until the next one is expected,
// and never past its own end.
func maxAge(l List, now time.Time) time.Duration {
	return max(0, min(max(l.Fresh.Sub(now), soon), l.NextUpdate.Sub(now)))
}
