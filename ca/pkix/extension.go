package pkix

import (
	"errors"
	"fmt"
	"math/bits"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Extension is one X.509 extension; Value is the DER inside the OCTET STRING.
type Extension struct {
	ID       OID
	Critical bool
	Value    []byte
}

// KeyUsage is the bit set of RFC 5280 section 4.2.1.3; bit i has value 1<<i.
type KeyUsage uint16

const (
	DigitalSignature KeyUsage = 1 << iota
	NonRepudiation            // contentCommitment
	KeyEncipherment
	DataEncipherment
	KeyAgreement
	KeyCertSign
	CRLSign
	EncipherOnly
	DecipherOnly
)

var keyUsageNames = [...]string{"digitalSignature", "nonRepudiation", "keyEncipherment", "dataEncipherment", "keyAgreement", "keyCertSign", "cRLSign", "encipherOnly", "decipherOnly"}

// ParseKeyUsage finds one bit by its ASN.1 name.
func ParseKeyUsage(name string) (KeyUsage, bool) {
	for i, n := range keyUsageNames {
		if n == name || (name == "contentCommitment" && n == "nonRepudiation") {
			return 1 << i, true
		}
	}
	return 0, false
}

// Names lists the set bits in bit order.
func (u KeyUsage) Names() []string {
	var names []string
	for i, n := range keyUsageNames {
		if u&(1<<i) != 0 {
			names = append(names, n)
		}
	}
	return names
}

// MarshalKeyUsage encodes the critical keyUsage extension; an empty set is an error.
func MarshalKeyUsage(u KeyUsage) (Extension, error) {
	if u == 0 {
		return Extension{}, errors.New("key usage: no bit set (RFC 5280 section 4.2.1.3)")
	}
	n := bits.Len16(uint16(u))
	octets := make([]byte, (n+7)/8)
	for i := range n {
		if u&(1<<i) != 0 {
			octets[i/8] |= 0x80 >> (i % 8)
		}
	}
	value := append([]byte{byte(casn1.BIT_STRING), byte(len(octets) + 1), byte(len(octets)*8 - n)}, octets...)
	return Extension{ID: OIDKeyUsage, Critical: true, Value: value}, nil
}

// ParseKeyUsageValue reads the value of a keyUsage extension.
func ParseKeyUsageValue(value []byte) (KeyUsage, error) {
	in := cryptobyte.String(value)
	var bs casn1BitString
	if !bs.read(&in) || !in.Empty() || len(bs.octets) > 2 {
		return 0, errors.New("key usage: malformed BIT STRING")
	}
	var u KeyUsage
	for i := range min(9, len(bs.octets)*8) {
		if bs.octets[i/8]&(0x80>>(i%8)) != 0 {
			u |= 1 << i
		}
	}
	return u, nil
}

type casn1BitString struct{ octets []byte }

func (b *casn1BitString) read(in *cryptobyte.String) bool {
	var content cryptobyte.String
	var unused uint8
	if !in.ReadASN1(&content, casn1.BIT_STRING) || !content.ReadUint8(&unused) || unused > 7 {
		return false
	}
	b.octets = content
	if len(b.octets) == 0 {
		return unused == 0
	}
	return b.octets[len(b.octets)-1]&(1<<unused-1) == 0 // DER: unused bits are zero
}

// MarshalExtKeyUsage encodes extKeyUsage (RFC 5280 section 4.2.1.12).
func MarshalExtKeyUsage(usages []OID, critical bool) (Extension, error) {
	if len(usages) == 0 {
		return Extension{}, errors.New("extended key usage: empty list (RFC 5280 section 4.2.1.12)")
	}
	value, err := sequence(func(b *cryptobyte.Builder) {
		for _, u := range usages {
			b.AddASN1ObjectIdentifier(u)
		}
	})
	return Extension{ID: OIDExtKeyUsage, Critical: critical, Value: value}, err
}

// ParseExtKeyUsage reads the value of an extKeyUsage extension, at most 64 usages.
func ParseExtKeyUsage(value []byte) ([]OID, error) {
	in := cryptobyte.String(value)
	var seq cryptobyte.String
	if !in.ReadASN1(&seq, casn1.SEQUENCE) || !in.Empty() || seq.Empty() {
		return nil, errors.New("extended key usage: not a non-empty SEQUENCE")
	}
	var usages []OID
	for !seq.Empty() {
		var oid OID
		if !seq.ReadASN1ObjectIdentifier((*OID)(&oid)) || len(usages) == 64 {
			return nil, errors.New("extended key usage: malformed or more than 64 usages")
		}
		usages = append(usages, oid)
	}
	return usages, nil
}

// MarshalBasicConstraints encodes the critical basicConstraints extension
// (RFC 5280 section 4.2.1.9). pathLen below 0 means none.
func MarshalBasicConstraints(isCA bool, pathLen int) (Extension, error) {
	if !isCA && pathLen >= 0 {
		return Extension{}, errors.New("basic constraints: path length without cA (RFC 5280 section 4.2.1.9)")
	}
	value, err := sequence(func(b *cryptobyte.Builder) {
		if isCA {
			b.AddASN1Boolean(true)
			if pathLen >= 0 {
				b.AddASN1Int64(int64(pathLen))
			}
		}
	})
	return Extension{ID: OIDBasicConstraints, Critical: true, Value: value}, err
}

// ParseBasicConstraints reads the value of a basicConstraints extension;
// pathLen is -1 where absent.
func ParseBasicConstraints(value []byte) (isCA bool, pathLen int, err error) {
	in := cryptobyte.String(value)
	var seq cryptobyte.String
	pathLen = -1
	if !in.ReadASN1(&seq, casn1.SEQUENCE) || !in.Empty() {
		return false, -1, errors.New("basic constraints: not one SEQUENCE")
	}
	if seq.PeekASN1Tag(casn1.BOOLEAN) && !seq.ReadASN1Boolean(&isCA) {
		return false, -1, errors.New("basic constraints: malformed cA")
	}
	if seq.PeekASN1Tag(casn1.INTEGER) && (!seq.ReadASN1Integer(&pathLen) || pathLen < 0) {
		return false, -1, errors.New("basic constraints: malformed path length")
	}
	if !seq.Empty() {
		return false, -1, errors.New("basic constraints: trailing bytes")
	}
	return isCA, pathLen, nil
}

// MarshalSubjectAltName encodes subjectAltName; it must be critical where the
// subject is empty (RFC 5280 section 4.2.1.6).
func MarshalSubjectAltName(names []GeneralName, critical bool) (Extension, error) {
	value, err := MarshalGeneralNames(names)
	return Extension{ID: OIDSubjectAltName, Critical: critical, Value: value}, err
}

// MarshalSubjectKeyID encodes subjectKeyIdentifier (RFC 5280 section 4.2.1.2).
func MarshalSubjectKeyID(id []byte) (Extension, error) {
	var b cryptobyte.Builder
	b.AddASN1OctetString(id)
	value, err := b.Bytes()
	return Extension{ID: OIDSubjectKeyID, Value: value}, err
}

// MarshalAuthorityKeyID encodes authorityKeyIdentifier with keyIdentifier only
// (RFC 5280 section 4.2.1.1).
func MarshalAuthorityKeyID(id []byte) (Extension, error) {
	value, err := sequence(func(b *cryptobyte.Builder) {
		b.AddASN1(casn1.Tag(0).ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes(id) })
	})
	return Extension{ID: OIDAuthorityKeyID, Value: value}, err
}

// ParseSubjectKeyID reads the value of a subjectKeyIdentifier extension (RFC
// 5280 section 4.2.1.2), which is never empty.
func ParseSubjectKeyID(value []byte) ([]byte, error) {
	in := cryptobyte.String(value)
	var id cryptobyte.String
	if !in.ReadASN1(&id, casn1.OCTET_STRING) || !in.Empty() || id.Empty() {
		return nil, errors.New("malformed subjectKeyIdentifier (RFC 5280 section 4.2.1.2)")
	}
	return id, nil
}

// ParseAuthorityKeyID reads the keyIdentifier of an authorityKeyIdentifier
// extension's value (RFC 5280 section 4.2.1.1), nil where there is none: it may
// name the issuer's issuer and serial number instead.
func ParseAuthorityKeyID(value []byte) ([]byte, error) {
	in := cryptobyte.String(value)
	var seq, id cryptobyte.String
	var present bool
	if !in.ReadASN1(&seq, casn1.SEQUENCE) || !in.Empty() || !seq.ReadOptionalASN1(&id, &present, casn1.Tag(0).ContextSpecific()) {
		return nil, errors.New("malformed authorityKeyIdentifier (RFC 5280 section 4.2.1.1)")
	}
	return id, nil
}

// MarshalAuthorityInfoAccess encodes authorityInfoAccess (RFC 5280 section 4.2.2.1):
// OCSP responders first, then CA issuer URLs.
func MarshalAuthorityInfoAccess(ocsp, issuers []string) (Extension, error) {
	if len(ocsp)+len(issuers) == 0 {
		return Extension{}, errors.New("authority information access: no URL")
	}
	value, err := sequence(func(b *cryptobyte.Builder) {
		add := func(method OID, urls []string) {
			for _, u := range urls {
				b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1ObjectIdentifier(method)
					b.AddASN1(URI.tag(), func(b *cryptobyte.Builder) { b.AddBytes([]byte(u)) })
				})
			}
		}
		add(OIDAccessOCSP, ocsp)
		add(OIDAccessCAIssuers, issuers)
	})
	return Extension{ID: OIDAuthorityInfoAccess, Value: value}, err
}

// MarshalCRLDistributionPoints encodes cRLDistributionPoints (RFC 5280 section
// 4.2.1.13), one DistributionPoint with a fullName for each URL.
func MarshalCRLDistributionPoints(urls []string) (Extension, error) {
	if len(urls) == 0 {
		return Extension{}, errors.New("CRL distribution points: no URL")
	}
	value, err := sequence(func(b *cryptobyte.Builder) {
		for _, u := range urls {
			b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1(explicit(0), func(b *cryptobyte.Builder) { // distributionPoint
					b.AddASN1(explicit(0), func(b *cryptobyte.Builder) { // fullName
						b.AddASN1(URI.tag(), func(b *cryptobyte.Builder) { b.AddBytes([]byte(u)) })
					})
				})
			})
		}
	})
	return Extension{ID: OIDCRLDistPoints, Value: value}, err
}

// ParseCRLDistributionPoints gives the URLs of cRLDistributionPoints (RFC 5280
// section 4.2.1.13), in their order: those of every full name. Points that are
// named in another way, and limits to reasons or another issuer, are passed over.
func ParseCRLDistributionPoints(value []byte) (urls []string, err error) {
	malformed := errors.New("malformed cRLDistributionPoints (RFC 5280 section 4.2.1.13)")
	explicit := casn1.Tag(0).ContextSpecific().Constructed()
	in := cryptobyte.String(value)
	var points cryptobyte.String
	if !in.ReadASN1(&points, casn1.SEQUENCE) || !in.Empty() || points.Empty() {
		return nil, malformed
	}
	for !points.Empty() {
		var point, name, full cryptobyte.String
		var named bool
		if !points.ReadASN1(&point, casn1.SEQUENCE) || !point.ReadOptionalASN1(&name, &named, explicit) {
			return nil, malformed
		}
		if !point.Empty() || !named || !name.PeekASN1Tag(explicit) {
			continue
		}
		if !name.ReadASN1(&full, explicit) {
			return nil, malformed
		}
		for !full.Empty() {
			var one cryptobyte.String
			var tag casn1.Tag
			if !full.ReadAnyASN1(&one, &tag) {
				return nil, malformed
			}
			if tag == URI.tag() {
				urls = append(urls, string(one))
			}
		}
	}
	return urls, nil
}

// MarshalCertificatePolicies encodes certificatePolicies without qualifiers
// (RFC 5280 section 4.2.1.4).
func MarshalCertificatePolicies(policies []OID) (Extension, error) {
	if len(policies) == 0 {
		return Extension{}, errors.New("certificate policies: empty list")
	}
	value, err := sequence(func(b *cryptobyte.Builder) {
		for _, p := range policies {
			b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(p) })
		}
	})
	return Extension{ID: OIDCertificatePolicies, Value: value}, err
}

func sequence(f func(*cryptobyte.Builder)) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(casn1.SEQUENCE, f)
	return b.Bytes()
}

// maxExtensions bounds how many extensions a request or certificate may hold.
const maxExtensions = 64

// ParseExtensions reads the content of an Extensions SEQUENCE, at most 64, and
// refuses duplicates (RFC 5280 section 4.2).
func ParseExtensions(seq cryptobyte.String) ([]Extension, error) {
	var all []Extension
	for !seq.Empty() {
		var e Extension
		var ext cryptobyte.String
		if !seq.ReadASN1(&ext, casn1.SEQUENCE) || !ext.ReadASN1ObjectIdentifier((*OID)(&e.ID)) {
			return nil, errors.New("extensions: malformed extension")
		}
		if ext.PeekASN1Tag(casn1.BOOLEAN) && !ext.ReadASN1Boolean(&e.Critical) {
			return nil, errors.New("extensions: malformed critical flag")
		}
		if !ext.ReadASN1((*cryptobyte.String)(&e.Value), casn1.OCTET_STRING) || !ext.Empty() {
			return nil, fmt.Errorf("extensions: malformed value of %s", e.ID)
		}
		if _, twice := FindExtension(all, e.ID); twice {
			return nil, fmt.Errorf("extensions: %s appears twice (RFC 5280 section 4.2)", e.ID)
		}
		if all = append(all, e); len(all) > maxExtensions {
			return nil, fmt.Errorf("extensions: more than %d", maxExtensions)
		}
	}
	return all, nil
}

// FindExtension gives the extension with this id.
func FindExtension(all []Extension, id OID) (Extension, bool) {
	for _, e := range all {
		if e.ID.Equal(id) {
			return e, true
		}
	}
	return Extension{}, false
}
