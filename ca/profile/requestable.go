package profile

import (
	"errors"
	"fmt"
	"slices"
	"sort"
	"strconv"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/enrollgate/enrollgate/ca/pkix"
)

// requestable names the extensions that profiles usually let a request bring.
var requestable = map[string]pkix.OID{
	"applicationPolicies": pkix.OIDMSApplicationPolicy,
	"certificatePolicies": pkix.OIDCertificatePolicies,
	"pivInterimIndicator": {2, 16, 840, 1, 101, 3, 6, 9, 1},
	"smimeCapabilities":   pkix.OIDSMIMECapabilities,
}

// forbidden lists the extensions that no profile can let a request bring. They
// say who the subject is, what the certificate may do, or where its status is
// found: that is decided here and never copied.
var forbidden = map[string]string{
	pkix.OIDAuthorityKeyID.String():      "authorityKeyIdentifier",
	pkix.OIDBasicConstraints.String():    "basicConstraints",
	pkix.OIDCRLDistPoints.String():       "cRLDistributionPoints",
	pkix.OIDCRLNumber.String():           "cRLNumber",
	pkix.OIDIssuingDistPoint.String():    "issuingDistributionPoint",
	pkix.OIDInvalidityDate.String():      "invalidityDate",
	pkix.OIDReasonCode.String():          "reasonCode",
	pkix.OIDSubjectKeyID.String():        "subjectKeyIdentifier",
	pkix.OIDSubjectAltName.String():      "subjectAltName",
	pkix.OIDKeyUsage.String():            "keyUsage",
	pkix.OIDExtKeyUsage.String():         "extKeyUsage",
	pkix.OIDNameConstraints.String():     "nameConstraints",
	pkix.OIDAuthorityInfoAccess.String(): "authorityInfoAccess",
	pkix.OIDOCSPNoCheck.String():         "ocspNoCheck",
	pkix.OIDNoRevAvail.String():          "noRevAvail",
	pkix.OIDMSSecurityID.String():        "the Microsoft security identifier",
	pkix.OIDMSTemplateName.String():      "msTemplateName",
	pkix.OIDMSTemplate.String():          "msTemplateOID",
	"2.5.29.9":                           "subjectDirectoryAttributes",
	"2.5.29.18":                          "issuerAltName",
	"2.5.29.27":                          "deltaCRLIndicator",
	"2.5.29.29":                          "certificateIssuer",
	"2.5.29.33":                          "policyMappings",
	"2.5.29.36":                          "policyConstraints",
	"2.5.29.46":                          "freshestCRL",
	"2.5.29.54":                          "inhibitAnyPolicy",
	"1.3.6.1.5.5.7.1.11":                 "subjectInfoAccess",
	"1.3.6.1.4.1.11129.2.4.2":            "signed certificate timestamps",
	"1.3.6.1.4.1.11129.2.4.3":            "the precertificate poison",
	"1.2.840.113533.7.65.0":              "entrustVersInfo",
	"2.16.840.1.113730.1.1":              "netscapeCertType",
	"2.16.840.1.113730.1.3":              "netscapeRevocationUrl",
}

// maxRequested bounds the value of an extension taken from a request, in octets.
const maxRequested = 4 << 10

// requestedExtension is one extension that the profile lets in.
type requestedExtension struct {
	id   pkix.OID
	name string
}

func compileRequestExtensions(written []string, problems *problemList) (allowed []requestedExtension) {
	names := make([]string, 0, len(requestable))
	for name := range requestable {
		names = append(names, name)
	}
	sort.Strings(names)
	for i, text := range written {
		path := []string{"request_extensions", strconv.Itoa(i)}
		id, ok := requestable[text]
		if !ok {
			id, ok = pkix.ParseOID(text)
		}
		name, never := forbidden[id.String()]
		if !ok {
			name, never = forbiddenName(text)
		}
		switch {
		case never:
			problems.add(path, "%s can never come from a request", name)
		case !ok:
			problems.choose(path, append(names, "a dotted OID"), "%q is not an extension", clip(text))
		case slices.ContainsFunc(allowed, func(a requestedExtension) bool { return a.id.Equal(id) }):
			problems.add(path, "%q is listed twice", clip(text))
		default:
			allowed = append(allowed, requestedExtension{id, text})
		}
	}
	return allowed
}

// forbiddenName finds a forbidden extension that was written by its name.
func forbiddenName(text string) (string, bool) {
	if text == "ntdsSecurityIdentifier" {
		return "the Microsoft security identifier", true
	}
	for _, name := range forbidden {
		if name == text {
			return name, true
		}
	}
	return "", false
}

// ExtensionName names an extension as the decision record does: by its name where
// there is one, else by its dotted OID.
func ExtensionName(id pkix.OID) string {
	text := id.String()
	if name, ok := forbidden[text]; ok {
		return name
	}
	for name, known := range requestable {
		if known.Equal(id) {
			return name
		}
	}
	return text
}

// checkRequested refuses a value that is not what its extension says, so that
// no malformed certificate is signed.
func checkRequested(e pkix.Extension) error {
	if len(e.Value) > maxRequested {
		return fmt.Errorf("is longer than %d octets", maxRequested)
	}
	in := cryptobyte.String(e.Value)
	var body cryptobyte.String
	var tag casn1.Tag
	if !in.ReadAnyASN1(&body, &tag) || !in.Empty() {
		return errors.New("is not one DER value")
	}
	if !e.ID.Equal(pkix.OIDCertificatePolicies) && !e.ID.Equal(pkix.OIDMSApplicationPolicy) {
		return nil
	}
	if tag != casn1.SEQUENCE || !isPolicyList(body) {
		return errors.New("is not a list of different policies (RFC 5280 section 4.2.1.4)")
	}
	return nil
}

// policyIDs reads the policies of a certificatePolicies or applicationPolicies value.
func policyIDs(value []byte) (ids []pkix.OID, err error) {
	in := cryptobyte.String(value)
	var body cryptobyte.String
	malformed := errors.New("the requested policies are malformed")
	if !in.ReadASN1(&body, casn1.SEQUENCE) || !in.Empty() {
		return nil, malformed
	}
	for !body.Empty() {
		var policy cryptobyte.String
		var id pkix.OID
		if !body.ReadASN1(&policy, casn1.SEQUENCE) || !policy.ReadASN1ObjectIdentifier(&id) {
			return nil, malformed
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// isPolicyList reads a non-empty list of PolicyInformation, each policy once;
// qualifiers are only held to be one SEQUENCE.
func isPolicyList(body cryptobyte.String) bool {
	var seen []pkix.OID
	for !body.Empty() {
		var policy, qualifiers cryptobyte.String
		var id pkix.OID
		var qualified bool
		if !body.ReadASN1(&policy, casn1.SEQUENCE) || !policy.ReadASN1ObjectIdentifier(&id) ||
			!policy.ReadOptionalASN1(&qualifiers, &qualified, casn1.SEQUENCE) || !policy.Empty() || slices.ContainsFunc(seen, id.Equal) {
			return false
		}
		seen = append(seen, id)
	}
	return len(seen) > 0
}
