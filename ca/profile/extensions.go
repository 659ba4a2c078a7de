package profile

import (
	"bytes"
	"encoding/hex"
	"errors"
	"slices"
	"strings"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// decideExtensions builds the extensions in encoding order.
func (d *deciding) decideExtensions() error {
	p, f, key := d.profile, d.facts, d.request.Possession.Key()
	out := make([]pkix.Extension, 0, 10)
	out = append(out, p.constraints)
	d.field("basic_constraints", p.constraintText, p.source.kind, "")

	fam, _ := familyOf(key)
	out = append(out, p.keyUsage[fam].extension)
	d.field("key_usage", p.keyUsage[fam].value, p.source.keyUsage, p.keyUsage[fam].note)

	usage, err := d.decideExtKeyUsage()
	if err != nil {
		return err
	}
	if usage != nil {
		out = append(out, *usage)
	}
	id := key.KeyID()
	d.field("subject_key_id", hex.EncodeToString(id), "key", "")
	out = append(out, subjectKeyID(id))
	if len(f.KeyID) == 0 || len(f.KeyID) > 64 {
		return ca.InternalError(errors.New("the issuer has no usable key identifier"))
	}
	if p.kind != KindCA || !bytes.Equal(key.Raw(), f.Key.Raw()) { // RFC 5280 section 4.2.1.1: a self-signed certificate needs none
		out = append(out, authorityKeyID(f.KeyID))
		d.field("authority_key_id", hex.EncodeToString(f.KeyID), "issuer", "")
	}

	if out, err = d.addURLs(out); err != nil {
		return err
	}
	if p.policies != nil {
		out = append(out, *p.policies)
		if p.policyNote == "" {
			d.field("policies", p.policyText, p.source.policies, "")
		} else {
			d.field("extension.certificatePolicies", clip(hex.EncodeToString(p.policies.Value)), p.source.policies, p.policyNote)
		}
	}
	if len(d.out.AltNames) > 0 {
		// RFC 5280 section 4.2.1.6: critical exactly where the subject is empty
		san, err := pkix.MarshalSubjectAltName(d.out.AltNames, d.out.Subject.Empty())
		if err != nil {
			return ca.InternalError(err)
		}
		out = append(out, san)
	}
	if p.kind == KindResponder && p.ocsp {
		out = append(out, noCheck)
		d.field("ocsp_no_check", "true", p.source.kind, "")
	}
	if p.noRevocation {
		out = append(out, noRevAvail)
		d.field("no_rev_avail", "true", p.source.revocation, "")
	}
	if out, err = d.addOwnExtensions(out); err != nil {
		return err
	}
	d.out.Extensions, err = d.addRequested(out)
	return err
}

var noCheck = pkix.Extension{ID: pkix.OIDOCSPNoCheck, Value: []byte{0x05, 0x00}} // RFC 6960 section 4.2.2.2.1

// subjectKeyID is pkix.MarshalSubjectKeyID for the 20 octets of our key identifiers.
func subjectKeyID(id []byte) pkix.Extension {
	return pkix.Extension{ID: pkix.OIDSubjectKeyID, Value: append([]byte{0x04, byte(len(id))}, id...)}
}

// authorityKeyID is pkix.MarshalAuthorityKeyID for an identifier of at most 64 octets.
func authorityKeyID(id []byte) pkix.Extension {
	return pkix.Extension{ID: pkix.OIDAuthorityKeyID, Value: append([]byte{0x30, byte(len(id) + 2), 0x80, byte(len(id))}, id...)}
}

// addURLs adds the URLs that the issuer's publisher serves.
func (d *deciding) addURLs(out []pkix.Extension) ([]pkix.Extension, error) {
	p, f := d.profile, d.facts
	var issuers, responders []string
	if p.aia {
		issuers = f.AIA
	}
	if p.ocsp && p.kind != KindResponder {
		responders = f.OCSP
	}
	if len(issuers)+len(responders) > 0 {
		aia, err := pkix.MarshalAuthorityInfoAccess(responders, issuers)
		if err != nil {
			return nil, ca.InternalError(err)
		}
		out = append(out, aia)
	}
	if p.crl && len(f.CDP) > 0 {
		cdp, err := pkix.MarshalCRLDistributionPoints(f.CDP)
		if err != nil {
			return nil, ca.InternalError(err)
		}
		out = append(out, cdp)
		d.field("urls.crl", strings.Join(f.CDP, " "), "issuer", "")
	}
	if len(responders) > 0 {
		d.field("urls.ocsp", strings.Join(responders, " "), "issuer", "")
	}
	if len(issuers) > 0 {
		d.field("urls.aia", strings.Join(issuers, " "), "issuer", "")
	}
	return out, nil
}

// decideExtKeyUsage gives the extension, nil for none.
func (d *deciding) decideExtKeyUsage() (*pkix.Extension, error) {
	p := d.profile
	rule := &p.extKeyUsage
	asked, isAsked := pkix.FindExtension(d.request.Asserted.Extensions, pkix.OIDExtKeyUsage)
	if !rule.requested || !isAsked {
		switch {
		case rule.fixed == nil:
			d.field("ext_key_usage", "", p.source.extKeyUsage, "left out: the certificate is good for any purpose")
		case isAsked:
			d.field("ext_key_usage", rule.value, p.source.extKeyUsage, noteUsagesUnused)
		default:
			d.field("ext_key_usage", rule.value, p.source.extKeyUsage, "")
		}
		return rule.fixed, nil
	}
	usages, err := pkix.ParseExtKeyUsage(asked.Value)
	if err != nil {
		return nil, ca.Wrap(ca.BadRequest, err, "the extended key usage of the request is malformed")
	}
	var taken, dropped []pkix.OID
	for _, u := range usages {
		switch {
		case slices.ContainsFunc(taken, u.Equal):
		case slices.ContainsFunc(rule.allowed, u.Equal):
			taken = append(taken, u)
		default:
			dropped = append(dropped, u)
		}
	}
	if len(taken) == 0 {
		return nil, p.denied("ext_key_usage", "ext_key_usage.values", "none of the requested extended key usages is granted by the profile")
	}
	extension, err := pkix.MarshalExtKeyUsage(taken, rule.critical)
	if err != nil {
		return nil, ca.InternalError(err)
	}
	note := ""
	if len(dropped) > 0 {
		note = noteUsagesLeft + clip(PrintUsages(dropped))
	}
	d.field("ext_key_usage", PrintUsages(taken), "asserted, granted by "+p.source.extKeyUsage, note)
	return &extension, nil
}

// addRequested adds the extensions that the profile takes from a request and
// notes the others.
func (d *deciding) addRequested(out []pkix.Extension) ([]pkix.Extension, error) {
	p := d.profile
	for _, e := range d.request.Asserted.Extensions {
		if e.ID.Equal(pkix.OIDSubjectAltName) || e.ID.Equal(pkix.OIDExtKeyUsage) {
			continue // decided with the names and the usages
		}
		at := slices.IndexFunc(p.requestable, func(a requestedExtension) bool { return a.id.Equal(e.ID) })
		_, taken := pkix.FindExtension(out, e.ID)
		switch {
		case at < 0:
			d.field("extension."+ExtensionName(e.ID), "", "asserted", "not taken from requests, left out")
			continue
		case taken:
			d.field("extension."+ExtensionName(e.ID), "", "asserted", "the certificate has it already, left out")
			continue
		}
		name := "extension." + p.requestable[at].name
		if err := checkRequested(e); err != nil {
			return nil, p.denied(name, "request_extensions", "the requested extension %s %v", p.requestable[at].name, err)
		}
		if e.ID.Equal(pkix.OIDMSApplicationPolicy) {
			ok, err := policiesAreUsages(e.Value, out)
			if err != nil {
				return nil, p.denied(name, "request_extensions", "%v", err)
			}
			if !ok {
				d.field(name, "", "asserted", "names a usage that the certificate does not have, left out")
				continue
			}
		}
		e.Critical = false
		out = append(out, e)
		d.field(name, clip(hex.EncodeToString(e.Value)), p.source.requestExtensions, "")
	}
	return out, nil
}

// policiesAreUsages tells whether requested application policies stay within
// the extended key usages of the certificate. Windows reads them in place of
// those, so that any others would be usages on the requester's word
// (CVE-2024-49019). Beside a certificate for any purpose, usages that never
// come from a request do not come this way either.
func policiesAreUsages(value []byte, out []pkix.Extension) (bool, error) {
	asked, err := policyIDs(value)
	if err != nil {
		return false, err
	}
	var usages []pkix.OID
	extension, limited := pkix.FindExtension(out, pkix.OIDExtKeyUsage)
	if limited {
		if usages, err = pkix.ParseExtKeyUsage(extension.Value); err != nil {
			return false, err
		}
	}
	for _, id := range asked {
		_, grave := neverRequested[id.String()]
		if limited && !slices.ContainsFunc(usages, id.Equal) || !limited && grave {
			return false, nil
		}
	}
	return true, nil
}
