package acme

import (
	"net/http"
	"net/netip"
	"strings"

	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/protocols/acme/state"
)

// Types of identifiers (RFC 8555 section 9.7.7, RFC 8738 section 3).
const (
	identifierDNS = string(claim.DNS)
	identifierIP  = string(claim.IP)
)

// maxIdentifiers bounds the names of one order.
const maxIdentifiers = 100

// checkIdentifiers gives the identifiers in their one form and without repeats: DNS
// names in lower case, addresses as RFC 5952 writes them. A name and the wildcard
// below it are two.
func (v *variant) checkIdentifiers(in []state.Identifier) ([]state.Identifier, error) {
	if len(in) == 0 {
		return nil, fail(http.StatusBadRequest, typeMalformed, "an order needs at least one identifier")
	}
	if len(in) > maxIdentifiers {
		return nil, fail(http.StatusBadRequest, typeMalformed, "an order holds at most %d identifiers", maxIdentifiers)
	}
	seen := map[state.Identifier]bool{}
	var out []state.Identifier
	for _, id := range in {
		canonical, err := v.checkIdentifier(id)
		if err != nil {
			return nil, err
		}
		if !seen[canonical] {
			seen[canonical] = true
			out = append(out, canonical)
		}
	}
	return out, nil
}

func (v *variant) checkIdentifier(id state.Identifier) (state.Identifier, error) {
	switch id.Type {
	case identifierDNS:
		id.Value = strings.ToLower(id.Value)
		if err := claim.CheckDNSName(id.Value); err != nil {
			return id, rejected(typeRejectedIdentifier, id, "the name is not a DNS name in A-label form: "+err.Error())
		}
		if len(v.offered(id)) == 0 && strings.HasPrefix(id.Value, "*.") {
			return id, rejected(typeRejectedIdentifier, id, "no challenge that is offered here proves such a name; a wildcard needs dns-01 (RFC 8555 section 8)")
		}
	case identifierIP:
		addr, err := netip.ParseAddr(id.Value)
		if err != nil || addr.Zone() != "" || addr.Is4In6() {
			return id, rejected(typeMalformed, id, "the value is not an IPv4 or IPv6 address in its usual form (RFC 8738 section 3)")
		}
		id.Value = addr.String()
	case identifierPermanent, identifierHardware:
		if _, ok := deviceName(id); !ok {
			return id, rejected(typeMalformed, id, "the value is not VALUE or VALUE/OID of a permanent identifier, nor SERIAL/OID of a hardware module (draft-ietf-acme-device-attest)")
		}
	default:
		return id, rejected(typeUnsupportedIdentifier, id, "only identifiers of the types \"dns\", \"ip\", \"permanent-identifier\" and \"hardware-module\" are known here")
	}
	if len(v.offered(id)) == 0 {
		return id, rejected(typeRejectedIdentifier, id, "identifiers of type \""+id.Type+"\" are not issued under this profile, or no challenge that is offered here proves them")
	}
	return id, nil
}

// offered lists the challenge types that can prove an identifier.
func (v *variant) offered(id state.Identifier) (out []claim.Method) {
	_, wildcard := splitWildcard(id)
	for _, m := range v.offers[kindOf(id.Type)] {
		if c, ok := findChallenge(m); ok && (c.wildcard || !wildcard) {
			out = append(out, m)
		}
	}
	return out
}

// generalName is an identifier as a certificate has it.
func generalName(id state.Identifier) pkix.GeneralName {
	if id.Type == identifierIP {
		if addr, err := netip.ParseAddr(id.Value); err == nil { // it was checked when the order was opened
			return pkix.IP(addr)
		}
	}
	if name, ok := deviceName(id); ok {
		return name
	}
	return pkix.DNS(id.Value)
}

func rejected(typ string, id state.Identifier, detail string) *problem {
	p := fail(http.StatusBadRequest, typ, "%s", detail)
	if len(id.Value) <= 253 && len(id.Type) <= 32 {
		p.Subproblems = []problem{{Type: urn + typ, Detail: detail, Identifier: &id}}
	}
	return p
}

// evidence puts an identifier into the evidence for a claim: a name, an address or
// a device.
func evidence(ev *claim.ValidatedAuthorization, id state.Identifier) {
	if addr, err := netip.ParseAddr(id.Value); err == nil && id.Type == identifierIP {
		ev.IP = addr
		return
	}
	if isDevice(id.Type) {
		ev.Device, _ = deviceName(id) // it was checked when the order was opened; what is no device is no evidence
		return
	}
	ev.Identifier = id.Value
}

// identifierOf gives a name of a CSR as an order has it; ok is false for names
// that cannot be ordered.
func identifierOf(n pkix.GeneralName) (id state.Identifier, ok bool) {
	switch n.Kind {
	case pkix.DNSName:
		return state.Identifier{Type: identifierDNS, Value: strings.ToLower(string(n.Raw))}, true
	case pkix.IPAddress:
		addr, ok := netip.AddrFromSlice(n.Raw)
		return state.Identifier{Type: identifierIP, Value: addr.String()}, ok
	}
	return deviceIdentifier(n)
}

// commonNameIdentifier gives a common name as an order would have it.
func commonNameIdentifier(cn string) state.Identifier {
	if addr, err := netip.ParseAddr(cn); err == nil {
		return state.Identifier{Type: identifierIP, Value: addr.String()}
	}
	return state.Identifier{Type: identifierDNS, Value: strings.ToLower(cn)}
}
