package ca

import (
	"bytes"
	"errors"
	"net/netip"
	"slices"
	"strings"

	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// bound holds what would be certified against the credential that the caller was
// let in by. Names are all that the certificate would have; key is zero where it
// is not known yet.
func bound(c caller.Caller, profile string, names []pkix.GeneralName, key pkix.PublicKey) error {
	b, ok := c.Binding()
	if !ok {
		return nil
	}
	if b.Profile != "" && b.Profile != profile {
		return unbound(b, "profile", "is for another profile")
	}
	if hash := key.Hash(); !key.IsZero() && len(b.KeyHash) > 0 && !bytes.Equal(b.KeyHash, hash[:]) {
		return unbound(b, "key", "is for another key")
	}
	allowed, err := boundNames(b)
	if err != nil {
		return err
	}
	for _, n := range names {
		if !allowed(n) {
			return unbound(b, n.String(), "does not allow the name")
		}
	}
	return nil
}

// boundSubject holds the subject that would be certified against the credential.
// Who reads a certificate without SANs takes its CN for a name, so that a CN that
// nobody bound must be one of the names that the credential allows (CERT/CC VU#971035).
func boundSubject(c caller.Caller, subject pkix.RawName) error {
	b, ok := c.Binding()
	if !ok || b.CommonName == "" && len(b.Names) == 0 {
		return nil
	}
	cns, err := commonNames(subject)
	if err != nil {
		return err
	}
	if b.CommonName != "" {
		if len(cns) != 1 || cns[0] != b.CommonName {
			return unbound(b, "subject.CN", "is for another CN")
		}
		return nil
	}
	allowed, err := boundNames(b)
	if err != nil {
		return err
	}
	for _, cn := range cns {
		if n, ok := hostName(cn); !ok || !allowed(n) {
			return unbound(b, "subject.CN", "does not allow the CN")
		}
	}
	return nil
}

func unbound(b caller.Binding, field, text string) error {
	err := Errorf(Denied, "the credential of this caller %s", text)
	err.Field, err.Rule = field, "credential "+b.Credential
	return err
}

// boundNames tells which names a credential allows.
func boundNames(b caller.Binding) (func(pkix.GeneralName) bool, error) {
	patterns := make([]claim.Pattern, len(b.Names))
	for i, text := range b.Names {
		var err error
		if patterns[i], err = claim.ParsePattern(text); err != nil {
			return nil, InternalError(errors.Join(errors.New("a stored credential has a name pattern that cannot be read"), err))
		}
	}
	return func(n pkix.GeneralName) bool {
		return len(patterns) == 0 || slices.ContainsFunc(patterns, func(p claim.Pattern) bool { return p.Matches(n) })
	}, nil
}

// commonNames gives every CN of a name; "" for one that is no text.
func commonNames(name pkix.RawName) (cns []string, err error) {
	if name.Empty() {
		return nil, nil
	}
	rdns, err := pkix.ParseName(name)
	if err != nil {
		return nil, InternalError(err)
	}
	for _, a := range slices.Concat(rdns...) {
		if a.Type.Equal(pkix.OID{2, 5, 4, 3}) {
			text, ok := a.Text()
			if !ok {
				text = ""
			}
			cns = append(cns, text)
		}
	}
	return cns, nil
}

// hostName reads a CN as the address or the DNS name that it would be taken for.
func hostName(cn string) (n pkix.GeneralName, ok bool) {
	if a, err := netip.ParseAddr(cn); err == nil {
		return pkix.IP(a), a.Zone() == ""
	}
	return pkix.DNS(cn), claim.CheckDNSName(strings.ToLower(cn)) == nil
}
