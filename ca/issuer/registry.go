package issuer

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/keys"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// Registry holds the issuers of this process. It is built once and only read.
type Registry struct {
	current map[string]*Local   // by TENANT/CA: the newest generation
	all     map[string][]*Local // every generation, newest last
}

// Binding is a CA of the configuration: which secret opens its keys and what
// its certificates may point at.
type Binding struct {
	Tenant, CA string
	Secret     keys.Secret
	URLs       URLs
}

// Load opens the generations of every bound CA. A CA without a generation is an
// error that says how to make one.
func Load(ctx context.Context, store ca.Generations, ring *keys.Ring, bindings []Binding) (*Registry, error) {
	r := &Registry{map[string]*Local{}, map[string][]*Local{}}
	for _, b := range bindings {
		name := b.Tenant + "/" + b.CA
		generations, err := store.Generations(ctx, b.Tenant)
		if err != nil {
			return nil, err
		}
		for _, g := range generations {
			if g.CA != b.CA {
				continue
			}
			key, err := ring.Open(ctx, g.KeyURI, b.Secret)
			if err != nil {
				return nil, fmt.Errorf("CA %s: key of generation %d: %w", name, g.Number, err)
			}
			local, err := NewLocal(&g, key, b.URLs)
			if err != nil {
				return nil, err
			}
			r.current[name], r.all[name] = local, append(r.all[name], local)
		}
		if r.current[name] == nil {
			return nil, fmt.Errorf("CA %s has no certificate in this store; make one with `enrollgate ca create --tenant %s --ca %s`", name, b.Tenant, b.CA)
		}
	}
	return r, nil
}

// Issuer gives the newest generation of a CA.
func (r *Registry) Issuer(tenant, id string) (ca.Issuer, error) {
	if l := r.current[tenant+"/"+id]; l != nil {
		return l, nil
	}
	return nil, ca.Errorf(ca.NotFound, "there is no such CA")
}

// All gives every generation of a CA, the newest first.
func (r *Registry) All(tenant, id string) (all []ca.Issuer) {
	for _, l := range slices.Backward(r.all[tenant+"/"+id]) {
		all = append(all, l)
	}
	return all
}

// IssuerOf gives the generation that signed a certificate, by its authority key
// identifier.
func (r *Registry) IssuerOf(c *ca.Certificate) (ca.Issuer, error) {
	all := r.all[c.Tenant+"/"+c.CA]
	if len(all) == 1 {
		return all[0], nil
	}
	cert, err := pkix.ParseCertificate(c.DER)
	if err != nil {
		return nil, ca.InternalError(err)
	}
	ext, ok := pkix.FindExtension(cert.Extensions, pkix.OIDAuthorityKeyID)
	if !ok {
		return nil, ca.Errorf(ca.NotFound, "the certificate does not say who signed it")
	}
	for _, l := range all {
		if bytes.Equal(authorityKeyID(ext.Value), l.facts.KeyID) {
			return l, nil
		}
	}
	return nil, ca.Errorf(ca.NotFound, "the CA generation that signed the certificate is not known")
}

// authorityKeyID reads the keyIdentifier field (RFC 5280 section 4.2.1.1).
func authorityKeyID(value []byte) []byte {
	in := cryptobyte.String(value)
	var seq, id cryptobyte.String
	if !in.ReadASN1(&seq, casn1.SEQUENCE) || !seq.ReadASN1(&id, casn1.Tag(0).ContextSpecific()) {
		return nil
	}
	return id
}

// Generations lists every generation of every CA, by CA and number.
func (r *Registry) Generations() []ca.Issuer {
	var out []ca.Issuer
	for _, name := range slices.Sorted(maps.Keys(r.all)) {
		for _, l := range r.all[name] {
			out = append(out, l)
		}
	}
	return out
}

// Certificates lists every generation's certificate by the name that the AIA
// publisher serves it under: TENANT/CA, the newest generation's.
func (r *Registry) Certificates() map[string][]byte {
	out := map[string][]byte{}
	for name, l := range r.current {
		if len(l.facts.Chain) > 0 {
			out[name] = l.facts.Chain[0]
		} else {
			out[name] = l.facts.Root
		}
	}
	return out
}

// AIAPath is where a CA certificate is published (design: /aia/TENANT/CA.cer).
func AIAPath(tenant, id string) string {
	return strings.Join([]string{"/aia", tenant, id + ".cer"}, "/")
}
