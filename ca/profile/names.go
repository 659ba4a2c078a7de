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

// normalized gives DNS names in lower case (RFC 4343) and addresses in their short form.
func normalized(n pkix.GeneralName) pkix.GeneralName {
	switch n.Kind {
	case pkix.DNSName:
		n.Raw = []byte(lowerASCII(string(n.Raw)))
	case pkix.IPAddress:
		if a, ok := netip.AddrFromSlice(n.Raw); ok && a.Is4In6() {
			n = pkix.IP(a)
		}
	}
	return n
}

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

// decideNames chooses the certificate's subject alternative names: of what was
// proven, what the request asked for in the order it asked, or all of it where
// it asked for none.
func (d *deciding) decideNames() error {
	p := d.profile
	claims := d.provenNames()
	asked := d.request.Asserted.AltNames
	chosen := make([]pkix.GeneralName, 0, len(claims)+1)
	if len(asked) == 0 {
		for _, c := range claims {
			chosen = append(chosen, c.name)
		}
	}
	for _, n := range asked {
		if n = normalized(n); containsName(chosen, n) {
			continue
		}
		if indexProven(claims, n) < 0 {
			return p.denied(clip(n.String()), "subject_alt_name", "control of the name was not proven")
		}
		chosen = append(chosen, n)
	}
	if p.cnFromDNS && len(asked) > 0 { // a CN that names a proven host counts as asked for (RFC 8555 section 7.4)
		for _, cn := range d.assertedCNs {
			if n := nameOfCN(cn); !containsName(chosen, n) && indexProven(claims, n) >= 0 {
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
			d.field("san", c.name.String(), c.claim.Source(), "proven but not asked for")
		}
	}
	return nil
}

// provenNames gives the claims, each name once; where a name was proven twice,
// a proof by a method that the profile accepts goes first.
func (d *deciding) provenNames() []proven {
	claims := make([]proven, 0, len(d.request.Claims))
	for _, c := range d.request.Claims {
		one := proven{normalized(c.Name()), c}
		at := indexProven(claims, one.name)
		if at < 0 {
			claims = append(claims, one)
			continue
		}
		if rule := d.profile.rule(one.name.Kind); rule != nil && !slices.Contains(rule.methods, claims[at].claim.Method()) {
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
	rule, source := p.rule(n.Kind), claims[indexProven(claims, n)].claim
	if !slices.Contains(rule.methods, source.Method()) {
		return p.denied(clip(n.String()), rule.path+".methods", "the name was proven by %s, which does not count here", source.Method())
	}
	d.out.AltNames = append(d.out.AltNames, n)
	d.field(rule.field, n.String(), source.Source(), "")
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
