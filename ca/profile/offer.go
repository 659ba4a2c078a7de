package profile

import (
	"slices"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
)

// Offer says what the profile wants and takes of requests through a door. What a
// request merely may bring, and what the profile says itself, is not in it.
func (p *Profile) Offer(door caller.Door) ca.Offer {
	out := ca.Offer{Keys: slices.Clone(p.written.Keys), Made: p.ServerKeys(), Manual: p.life.manual}
	for _, rdn := range p.subject.template {
		for _, program := range rdn {
			for _, part := range program.parts {
				if part.kind == asserted && !part.optional && !slices.ContainsFunc(out.Subject, part.oid.Equal) {
					out.Subject = append(out.Subject, part.oid)
				}
			}
		}
	}
	if !slices.Contains(p.assertedBy, door) {
		out.Subject = nil
		return out
	}
	for _, rule := range p.rules {
		if rule.min > 0 && rule.asserted.written() {
			out.AltNames = append(out.AltNames, rule.kind.String())
		}
	}
	return out
}

// Offer implements ca.Policy.
func (e *Engine) Offer(at *ca.Endpoint) (ca.Offer, error) {
	p, err := e.find(at)
	if err != nil {
		return ca.Offer{}, err
	}
	return p.Offer(at.Door), nil
}
