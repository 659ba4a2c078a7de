package pkix

import (
	"encoding/asn1"
	"strconv"
	"strings"
)

// OID is an object identifier.
type OID = asn1.ObjectIdentifier

// Extension identifiers (RFC 5280 section 4.2 unless said otherwise).
var (
	OIDSubjectKeyID        = OID{2, 5, 29, 14}
	OIDKeyUsage            = OID{2, 5, 29, 15}
	OIDSubjectAltName      = OID{2, 5, 29, 17}
	OIDBasicConstraints    = OID{2, 5, 29, 19}
	OIDCRLNumber           = OID{2, 5, 29, 20}
	OIDReasonCode          = OID{2, 5, 29, 21}
	OIDInvalidityDate      = OID{2, 5, 29, 24}
	OIDDeltaCRLIndicator   = OID{2, 5, 29, 27} // RFC 5280 section 5.2.4
	OIDFreshestCRL         = OID{2, 5, 29, 46}
	OIDExpiredCertsOnCRL   = OID{2, 5, 29, 60} // X.509 section 9.5.2.8
	OIDIssuingDistPoint    = OID{2, 5, 29, 28}
	OIDNameConstraints     = OID{2, 5, 29, 30}
	OIDCRLDistPoints       = OID{2, 5, 29, 31}
	OIDCertificatePolicies = OID{2, 5, 29, 32}
	OIDAuthorityKeyID      = OID{2, 5, 29, 35}
	OIDExtKeyUsage         = OID{2, 5, 29, 37}
	OIDAuthorityInfoAccess = OID{1, 3, 6, 1, 5, 5, 7, 1, 1}
	OIDOCSPNoCheck         = OID{1, 3, 6, 1, 5, 5, 7, 48, 1, 5} // RFC 6960 section 4.2.2.2.1
	OIDNoRevAvail          = OID{2, 5, 29, 56}                  // RFC 9608
	OIDMSSecurityID        = OID{1, 3, 6, 1, 4, 1, 311, 25, 2}
	OIDMSTemplateName      = OID{1, 3, 6, 1, 4, 1, 311, 20, 2}
	OIDMSTemplate          = OID{1, 3, 6, 1, 4, 1, 311, 21, 7}
	OIDMSApplicationPolicy = OID{1, 3, 6, 1, 4, 1, 311, 21, 10}
	OIDSMIMECapabilities   = OID{1, 2, 840, 113549, 1, 9, 15}
)

// Other identifiers.
var (
	OIDExtensionRequest   = OID{1, 2, 840, 113549, 1, 9, 14} // RFC 2985 section 5.4.2
	OIDMSExtensionRequest = OID{1, 3, 6, 1, 4, 1, 311, 2, 1, 14}
	OIDAccessOCSP         = OID{1, 3, 6, 1, 5, 5, 7, 48, 1}
	OIDAccessCAIssuers    = OID{1, 3, 6, 1, 5, 5, 7, 48, 2}
)

// ExtKeyUsages names the extended key usages that configuration may use.
var ExtKeyUsages = map[string]OID{
	"serverAuth":          {1, 3, 6, 1, 5, 5, 7, 3, 1},
	"clientAuth":          {1, 3, 6, 1, 5, 5, 7, 3, 2},
	"codeSigning":         {1, 3, 6, 1, 5, 5, 7, 3, 3},
	"emailProtection":     {1, 3, 6, 1, 5, 5, 7, 3, 4},
	"timeStamping":        {1, 3, 6, 1, 5, 5, 7, 3, 8},
	"OCSPSigning":         {1, 3, 6, 1, 5, 5, 7, 3, 9},
	"ipsecIKE":            {1, 3, 6, 1, 5, 5, 7, 3, 17},
	"msSmartcardLogon":    {1, 3, 6, 1, 4, 1, 311, 20, 2, 2},
	"anyExtendedKeyUsage": {2, 5, 29, 37, 0},
}

// ParseOID reads the dotted form: at least two arcs, each below 2^31.
func ParseOID(s string) (OID, bool) {
	parts := strings.Split(s, ".")
	if len(parts) < 2 || len(parts) > 40 {
		return nil, false
	}
	oid := make(OID, len(parts))
	for i, p := range parts {
		n, err := strconv.ParseInt(p, 10, 32)
		if err != nil || n < 0 || (len(p) > 1 && p[0] == '0') {
			return nil, false
		}
		oid[i] = int(n)
	}
	if oid[0] > 2 || (oid[0] < 2 && oid[1] > 39) {
		return nil, false
	}
	return oid, true
}
