package profile

import (
	"bytes"
	"net/netip"
	"slices"
	"strings"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// lowerASCII folds A-Z alone: other letters that lower to ASCII (the Kelvin
// sign) must not turn into it.
func lowerASCII(s string) string {
	if strings.IndexFunc(s, func(r rune) bool { return 'A' <= r && r <= 'Z' }) < 0 {
		return s
	}
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, s)
}

// nameOfCN reads a common name as the name or address that it stands for.
func nameOfCN(cn string) pkix.GeneralName {
	if a, err := netip.ParseAddr(cn); err == nil && a.Zone() == "" {
		return pkix.IP(a)
	}
	return pkix.DNS(lowerASCII(cn))
}

func indexProven(claims []proven, n pkix.GeneralName) int {
	return slices.IndexFunc(claims, func(c proven) bool { return sameName(c.name, n) })
}

func containsName(names []pkix.GeneralName, n pkix.GeneralName) bool {
	return slices.ContainsFunc(names, func(have pkix.GeneralName) bool { return sameName(have, n) })
}

func sameName(a, b pkix.GeneralName) bool { return a.Kind == b.Kind && bytes.Equal(a.Raw, b.Raw) }

// proven is a claim with its normalized name.
type proven struct {
	name  pkix.GeneralName
	claim claim.Claim
}

// noteNotIssued is the record's note on what was proven where the request named
// nothing.
const noteNotIssued = "proven, and of a type that is not issued here"

// decideNames chooses the certificate's subject alternative names: of what was
// proven or granted, what the request asked for in the order it asked, or all
// that was proven where it asked for none.
func (d *deciding) decideNames() error {
	p := d.profile
	claims := d.provenNames()
	asked := d.request.Asserted.AltNames
	chosen := make([]pkix.GeneralName, 0, len(claims)+len(asked)+1)
	if len(asked) == 0 {
		for _, c := range claims {
			if p.rule(c.name) == nil && c.name.Kind != pkix.DNSName && c.name.Kind != pkix.IPAddress {
				continue // a fact about the holder that this profile does not issue as a name
			}
			chosen = append(chosen, c.name)
		}
	}
	for _, n := range asked {
		if n = normalized(n); containsName(chosen, n) {
			continue
		}
		if indexProven(claims, n) < 0 {
			rule := p.rule(n)
			switch {
			case rule != nil && isSecurityIDURI(n):
				d.field(rule.field, clip(n.String()), "asserted", "a security identifier never comes from a request, left out")
				continue
			case rule != nil && d.grants(rule, n):
			case rule != nil && rule.asserted.written() && d.hears():
				return p.denied(clip(n.String()), rule.path+".asserted", "the name was not proven, and it is not one that a request may name here")
			default:
				return p.denied(clip(n.String()), "subject_alt_name", "control of the name was not proven")
			}
		}
		chosen = append(chosen, n)
	}
	if p.cnFromDNS && len(asked) > 0 { // a CN that names a proven host counts as asked for (RFC 8555 section 7.4)
		for _, cn := range d.assertedCNs {
			n := nameOfCN(cn)
			if at := indexProven(claims, n); !containsName(chosen, n) && at >= 0 && p.rule(n) != nil && slices.Contains(p.rule(n).methods, claims[at].claim.Method()) {
				chosen = append(chosen, n)
			}
		}
	}
	for _, n := range chosen {
		if err := d.takeName(n, claims); err != nil {
			return err
		}
	}
	for _, c := range claims {
		if !containsName(chosen, c.name) {
			note := "proven but not asked for"
			if len(asked) == 0 {
				note = noteNotIssued
			}
			d.field("san", c.name.String(), c.claim.Source(), note)
		}
	}
	return nil
}

// grants tells whether the profile takes a name on this caller's word.
func (d *deciding) grants(rule *nameRule, n pkix.GeneralName) bool {
	return d.hears() && checkName(n, rule.kind) == nil && rule.asserted.match(n)
}

// provenNames gives the claims that are names, each name once; where a name was
// proven twice, a proof by a method that the profile accepts goes first.
func (d *deciding) provenNames() []proven {
	claims := make([]proven, 0, len(d.request.Claims))
	for _, c := range d.request.Claims {
		if !c.IsName() {
			continue
		}
		one := proven{normalized(c.Name()), c}
		at := indexProven(claims, one.name)
		if at < 0 {
			claims = append(claims, one)
			continue
		}
		if rule := d.profile.rule(one.name); rule != nil && !slices.Contains(rule.methods, claims[at].claim.Method()) {
			claims[at] = one
		}
	}
	return claims
}

func (d *deciding) takeName(n pkix.GeneralName, claims []proven) error {
	p := d.profile
	if err := p.permit(n); err != nil {
		return err
	}
	rule, source := p.rule(n), ""
	at := indexProven(claims, n)
	switch {
	case at >= 0 && slices.Contains(rule.methods, claims[at].claim.Method()):
		source = claims[at].claim.Source()
	case len(d.request.Asserted.AltNames) > 0 && d.grants(rule, n):
		source = rule.source
	default:
		return p.denied(clip(n.String()), rule.path+".methods", "the name was proven by %s, which does not count here", claims[at].claim.Method())
	}
	d.out.AltNames = append(d.out.AltNames, n)
	d.field(rule.field, n.String(), source, "")
	return nil
}

// copyCNs adds each CN that is a DNS name to the dNSNames. What stands in the
// subject was granted there; the rule for DNS names holds besides.
func (d *deciding) copyCNs() error {
	p := d.profile
	rdns, err := pkix.ParseName(d.out.Subject)
	if err != nil {
		return ca.InternalError(err)
	}
	for _, cn := range pkix.CommonNames(rdns) {
		n := pkix.DNS(lowerASCII(cn))
		if containsName(d.out.AltNames, n) {
			continue
		}
		if claim.CheckDNSName(string(n.Raw)) != nil {
			d.field("san.dns", "", p.source.copyCN, "the CN is not a DNS name and was not copied")
			continue
		}
		if err := p.permit(n); err != nil {
			return err
		}
		d.out.AltNames = append(d.out.AltNames, n)
		d.field("san.dns", n.String(), p.source.copyCN, "")
	}
	return nil
}
