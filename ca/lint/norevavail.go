package lint

import (
	"bytes"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/enrollgate/enrollgate/ca/pkix"
)

// checkNoRevAvail: a certificate without revocation information names no place
// for it, and is no CA's.
func checkNoRevAvail(c *certificate) string {
	e, has := pkix.FindExtension(c.Extensions, pkix.OIDNoRevAvail)
	if !has {
		return ""
	}
	_, crl := pkix.FindExtension(c.Extensions, pkix.OIDCRLDistPoints)
	_, freshest := pkix.FindExtension(c.Extensions, pkix.OIDFreshestCRL)
	switch {
	case e.Critical || !bytes.Equal(e.Value, []byte{0x05, 0x00}):
		return "noRevAvail is critical or not NULL"
	case c.isCA:
		return "a CA certificate has noRevAvail"
	case crl || freshest:
		return "cRLDistributionPoints or freshestCRL stand beside noRevAvail"
	case c.namesResponder():
		return "an OCSP responder is named beside noRevAvail"
	}
	return ""
}

// namesResponder tells whether authorityInfoAccess has the access method OCSP.
func (c *certificate) namesResponder() bool {
	aia, _ := pkix.FindExtension(c.Extensions, pkix.OIDAuthorityInfoAccess)
	in := cryptobyte.String(aia.Value)
	var all, one cryptobyte.String
	for in.ReadASN1(&all, casn1.SEQUENCE); all.ReadASN1(&one, casn1.SEQUENCE); {
		var method pkix.OID
		if one.ReadASN1ObjectIdentifier(&method) && method.Equal(pkix.OIDAccessOCSP) {
			return true
		}
	}
	return false
}
