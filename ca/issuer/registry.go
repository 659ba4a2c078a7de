package issuer

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/keys"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// Registry holds the issuers of this process: every generation of its CAs, and
// which of them signs. Follow keeps it as the store is, so that a generation
// that is added or activated anywhere is known without a restart.
type Registry struct {
	store    ca.Generations
	ring     *keys.Ring
	bindings []Binding
	now      func() time.Time
	prepare  func(context.Context, ca.Issuer) error
	refresh  sync.Mutex
	loaded   atomic.Pointer[map[string]*authority] // by TENANT/CA
}

// authority is a CA as last read; it is not changed.
type authority struct {
	id          string
	all         []*Local    // by number
	issuers     []ca.Issuer // the same
	activations []ca.Activation
}

// Binding is a CA of the configuration: which secret opens its keys and what
// its certificates may point at.
type Binding struct {
	Tenant, CA string
	Secret     keys.Secret
	URLs       URLs
}

// Load opens the generations of every bound CA. A CA without a generation is an
// error that says how to make one, and so is a key that does not open where it
// is to sign; other keys are asked again by Refresh.
func Load(ctx context.Context, store ca.Generations, ring *keys.Ring, bindings []Binding, now func() time.Time) (*Registry, error) {
	r := &Registry{store: store, ring: ring, bindings: bindings, now: now}
	r.loaded.Store(&map[string]*authority{})
	if _, err := r.Refresh(ctx); err != nil {
		return nil, err
	}
	for name, a := range *r.loaded.Load() {
		if l := a.signing(now()); l == nil || l.closed != nil {
			return nil, fmt.Errorf("CA %s: the generation that signs cannot be used: %w", name, l.unusable())
		}
	}
	return r, nil
}

// Issuer gives the generation of a CA that signs now.
func (r *Registry) Issuer(tenant, id string) (ca.Issuer, error) {
	a := r.authority(tenant, id)
	if a == nil {
		return nil, ca.Errorf(ca.NotFound, "there is no such CA")
	}
	l := a.signing(r.now())
	if l == nil || l.closed != nil {
		return nil, ca.Wrap(ca.Unavailable, l.unusable(), "the CA's new key is not ready here; try again later")
	}
	return l, nil
}

func (r *Registry) authority(tenant, id string) *authority {
	if all := r.loaded.Load(); all != nil {
		return (*all)[tenant+"/"+id]
	}
	return nil
}

func (a *authority) signing(at time.Time) *Local {
	return a.generation(ca.Signing(a.activations, a.id, at))
}

func (a *authority) generation(number int) *Local {
	if a == nil {
		return nil
	}
	for _, l := range a.all {
		if l.facts.Generation == number {
			return l
		}
	}
	return nil
}

// All gives every generation of a CA by number, also those whose keys do not
// open here. It only ever grows, and must not be changed.
func (r *Registry) All(tenant, id string) []ca.Issuer {
	if a := r.authority(tenant, id); a != nil {
		return a.issuers
	}
	return nil
}

// Generations lists the generations of every CA whose keys open here, by CA and
// number: those that can sign their own status, however long ago another took over.
func (r *Registry) Generations() (out []ca.Issuer) {
	all := *r.loaded.Load()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		for _, l := range all[name].all {
			if l.closed == nil {
				out = append(out, l)
			}
		}
	}
	return out
}

// IssuerOf gives the generation that signed a certificate: the first with its
// issuer's name and key identifier. Others may have the same key: see Alternates.
func (r *Registry) IssuerOf(c *ca.Certificate) (ca.Issuer, error) {
	a := r.authority(c.Tenant, c.CA)
	if a == nil {
		return nil, ca.Errorf(ca.NotFound, "there is no such CA")
	}
	if len(a.all) == 1 {
		return a.all[0], nil
	}
	cert, err := pkix.ParseCertificate(c.DER)
	if err != nil {
		return nil, ca.InternalError(err)
	}
	ext, ok := pkix.FindExtension(cert.Extensions, pkix.OIDAuthorityKeyID)
	if !ok {
		return nil, ca.Errorf(ca.NotFound, "the certificate does not say who signed it")
	}
	id, err := pkix.ParseAuthorityKeyID(ext.Value)
	if err != nil {
		return nil, ca.InternalError(err)
	}
	for _, l := range a.all {
		if bytes.Equal(id, l.facts.KeyID) && bytes.Equal(cert.Issuer, l.facts.Subject) {
			return l, nil
		}
	}
	return nil, ca.Errorf(ca.NotFound, "the CA generation that signed the certificate is not known")
}

// Alternates gives other chains for what a CA signed that came with a chain:
// those of generations with the same name and key whose certificates are valid
// now, such as cross-certificates (RFC 8555 section 7.4.2).
func (r *Registry) Alternates(tenant, id string, chain [][]byte) (others [][][]byte) {
	a := r.authority(tenant, id)
	if a == nil || len(a.all) == 1 || len(chain) == 0 {
		return nil
	}
	at := slices.IndexFunc(a.all, func(l *Local) bool { return bytes.Equal(l.certificate, chain[0]) })
	if at < 0 {
		return nil
	}
	f, now := a.all[at].facts, r.now()
	for i, l := range a.all {
		if i != at && bytes.Equal(l.facts.Subject, f.Subject) && bytes.Equal(l.facts.Key.Raw(), f.Key.Raw()) && bytes.Equal(l.facts.KeyID, f.KeyID) &&
			!now.Before(l.facts.NotBefore) && now.Before(l.facts.NotAfter) {
			others = append(others, l.facts.Chain)
		}
	}
	return others
}
