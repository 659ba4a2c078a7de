package probe

import (
	"crypto/x509"
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/enrollgate/enrollgate/ca/pkix"
)

var (
	oidSignedData = pkix.OID{1, 2, 840, 113549, 1, 7, 2}
	oidData       = pkix.OID{1, 2, 840, 113549, 1, 7, 1}
)

// certsOnly reads a SignedData of certificates alone, in DER (RFC 5652 section 5.2,
// RFC 5272 section 4.1): the gateway's code is not asked, because a mistake
// there shall be seen here.
func certsOnly(der []byte) (all []*x509.Certificate, err error) {
	var content, wrapped, signed, encapsulated, certificates cryptobyte.String
	var version int64
	in := cryptobyte.String(der)
	if !in.ReadASN1(&content, casn1.SEQUENCE) || !in.Empty() || !readOID(&content, oidSignedData) ||
		!content.ReadASN1(&wrapped, explicit(0)) || !content.Empty() || !wrapped.ReadASN1(&signed, casn1.SEQUENCE) || !wrapped.Empty() {
		return nil, errors.New("the answer is no SignedData")
	}
	if !signed.ReadASN1Integer(&version) || version != 1 || !emptySet(&signed) {
		return nil, errors.New("the SignedData is not one of version 1 without digests")
	}
	if !signed.ReadASN1(&encapsulated, casn1.SEQUENCE) || !readOID(&encapsulated, oidData) || !encapsulated.Empty() {
		return nil, errors.New("the SignedData has content")
	}
	var crls cryptobyte.String
	var listed bool
	if !signed.ReadASN1(&certificates, explicit(0)) || !signed.ReadOptionalASN1(&crls, &listed, explicit(1)) || !emptySet(&signed) || !signed.Empty() {
		return nil, errors.New("the SignedData does not hold certificates without signers")
	}
	for !certificates.Empty() {
		var one cryptobyte.String
		if !certificates.ReadASN1Element(&one, casn1.SEQUENCE) {
			return nil, errors.New("the SignedData holds something else than certificates")
		}
		c, err := x509.ParseCertificate(one)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", len(all)+1, err)
		}
		all = append(all, c)
	}
	if len(all) == 0 {
		return nil, errors.New("the SignedData holds no certificate")
	}
	return all, nil
}

func explicit(n uint8) casn1.Tag { return casn1.Tag(n).Constructed().ContextSpecific() }

func emptySet(in *cryptobyte.String) bool {
	var set cryptobyte.String
	return in.ReadASN1(&set, casn1.SET) && set.Empty()
}

// readOID takes one OBJECT IDENTIFIER, which must be this one.
func readOID(in *cryptobyte.String, id pkix.OID) bool {
	var got pkix.OID
	return in.ReadASN1ObjectIdentifier(&got) && got.Equal(id)
}
