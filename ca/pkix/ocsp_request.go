package pkix

import (
	"crypto"
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Identifiers of OCSP (RFC 6960 section 4 and appendix B.1).
var (
	OIDOCSPBasic           = OID{1, 3, 6, 1, 5, 5, 7, 48, 1, 1}
	OIDOCSPNonce           = OID{1, 3, 6, 1, 5, 5, 7, 48, 1, 2}
	OIDOCSPResponse        = OID{1, 3, 6, 1, 5, 5, 7, 48, 1, 4} // AcceptableResponses
	OIDOCSPArchiveCutoff   = OID{1, 3, 6, 1, 5, 5, 7, 48, 1, 6}
	OIDOCSPServiceLocator  = OID{1, 3, 6, 1, 5, 5, 7, 48, 1, 7}
	OIDOCSPPreferredSigAlg = OID{1, 3, 6, 1, 5, 5, 7, 48, 1, 8}
	OIDOCSPExtendedRevoke  = OID{1, 3, 6, 1, 5, 5, 7, 48, 1, 9}
)

// Bounds of an OCSP request.
const (
	MaxOCSPRequest = 16 << 10 // octets
	MaxOCSPCertIDs = 16       // certificates asked for at once
	maxOCSPNonce   = 128      // RFC 9654 section 2.1
	maxOCSPSerial  = 64       // octets; a certificate's has at most 20 (RFC 5280 section 4.1.2.2)
)

// OCSPHash is a hash algorithm of a CertID as it stands on the wire: with NULL
// parameters or without any, so that an answer repeats what was asked.
type OCSPHash uint8

// The hash algorithms of issuers that requests may use.
const (
	OCSPHashUnknown OCSPHash = iota
	OCSPSHA1                 // with NULL parameters, as most clients write it
	OCSPSHA1Bare
	OCSPSHA256
	OCSPSHA256Bare
)

var ocspHashes = [...]struct {
	hash crypto.Hash
	der  []byte
}{
	OCSPHashUnknown: {},
	OCSPSHA1:        {crypto.SHA1, []byte{0x30, 9, 6, 5, 0x2b, 14, 3, 2, 26, 5, 0}},
	OCSPSHA1Bare:    {crypto.SHA1, []byte{0x30, 7, 6, 5, 0x2b, 14, 3, 2, 26}},
	OCSPSHA256:      {crypto.SHA256, []byte{0x30, 13, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1, 5, 0}},
	OCSPSHA256Bare:  {crypto.SHA256, []byte{0x30, 11, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1}},
}

// Hash gives the hash function, 0 for OCSPHashUnknown.
func (h OCSPHash) Hash() crypto.Hash { return ocspHashes[h].hash }

// CertID names a certificate by hashes of its issuer's name and key and by its
// serial number (RFC 6960 section 4.1.1).
type CertID struct {
	Raw       []byte // the whole SEQUENCE, which an answer repeats
	Algorithm OCSPHash
	NameHash  []byte
	KeyHash   []byte
	Serial    []byte // content octets of the INTEGER
}

// OCSPRequest is a parsed OCSPRequest. A signature and a requestorName are
// read over: nothing here depends on who asks.
type OCSPRequest struct {
	CertIDs []CertID // 1 to MaxOCSPCertIDs
	Nonce   []byte   // content of the nonce, nil where there is none (RFC 9654)
}

var errOCSPRequest = errors.New("OCSP request: not a DER OCSPRequest (RFC 6960 section 4.1.1)")

// ParseOCSPRequest reads a DER OCSPRequest (RFC 6960 section 4.1) of at most
// MaxOCSPRequest octets. What it keeps refers to der. Every error stands for
// malformedRequest.
func ParseOCSPRequest(der []byte) (*OCSPRequest, error) {
	if len(der) > MaxOCSPRequest {
		return nil, fmt.Errorf("OCSP request: longer than %d octets", MaxOCSPRequest)
	}
	in := cryptobyte.String(der)
	var outer, tbs, signature cryptobyte.String
	var signed bool
	if !in.ReadASN1(&outer, casn1.SEQUENCE) || !in.Empty() || !outer.ReadASN1(&tbs, casn1.SEQUENCE) ||
		!outer.ReadOptionalASN1(&signature, &signed, explicit(0)) || !outer.Empty() {
		return nil, errOCSPRequest
	}
	if signed && !wellFormedOCSPSignature(signature) {
		return nil, errOCSPRequest
	}
	return parseOCSPTBS(tbs)
}

func explicit(n uint8) casn1.Tag { return casn1.Tag(n).ContextSpecific().Constructed() }

// wellFormedOCSPSignature reads over a Signature (RFC 6960 section 4.1.1).
func wellFormedOCSPSignature(in cryptobyte.String) bool {
	var body, alg, certs, list cryptobyte.String
	var bits []byte
	var has bool
	if !in.ReadASN1(&body, casn1.SEQUENCE) || !in.Empty() || !body.ReadASN1(&alg, casn1.SEQUENCE) ||
		!body.ReadASN1BitStringAsBytes(&bits) || !body.ReadOptionalASN1(&certs, &has, explicit(0)) || !body.Empty() {
		return false
	}
	return !has || certs.ReadASN1(&list, casn1.SEQUENCE) && certs.Empty()
}

func parseOCSPTBS(tbs cryptobyte.String) (*OCSPRequest, error) {
	var version, name, list, extensions cryptobyte.String
	var versioned, named, extended bool
	if !tbs.ReadOptionalASN1(&version, &versioned, explicit(0)) || !tbs.ReadOptionalASN1(&name, &named, explicit(1)) ||
		!tbs.ReadASN1(&list, casn1.SEQUENCE) || !tbs.ReadOptionalASN1(&extensions, &extended, explicit(2)) || !tbs.Empty() {
		return nil, errOCSPRequest
	}
	if versioned {
		var n int64
		if !version.ReadASN1Integer(&n) || !version.Empty() || n != 0 {
			return nil, errors.New("OCSP request: not version 1 (RFC 6960 section 4.1.1)")
		}
	}
	if named {
		var general cryptobyte.String
		var tag casn1.Tag
		if !name.ReadAnyASN1(&general, &tag) || !name.Empty() {
			return nil, errOCSPRequest
		}
	}
	r := &OCSPRequest{CertIDs: make([]CertID, 0, 1)}
	for !list.Empty() {
		if len(r.CertIDs) == MaxOCSPCertIDs {
			return nil, fmt.Errorf("OCSP request: asks for more than %d certificates", MaxOCSPCertIDs)
		}
		var one, single cryptobyte.String
		var id CertID
		var has bool
		if !list.ReadASN1(&one, casn1.SEQUENCE) || !readCertID(&one, &id) || !one.ReadOptionalASN1(&single, &has, explicit(0)) || !one.Empty() {
			return nil, errOCSPRequest
		}
		if has {
			if _, err := readOCSPExtensions(single); err != nil {
				return nil, err
			}
		}
		r.CertIDs = append(r.CertIDs, id)
	}
	if len(r.CertIDs) == 0 {
		return nil, errors.New("OCSP request: asks for no certificate")
	}
	if extended {
		var err error
		if r.Nonce, err = readOCSPExtensions(extensions); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func readCertID(in *cryptobyte.String, id *CertID) bool {
	var whole, alg, name, key, serial cryptobyte.String
	if !in.ReadASN1Element(&whole, casn1.SEQUENCE) {
		return false
	}
	id.Raw = whole
	var body cryptobyte.String
	if !whole.ReadASN1(&body, casn1.SEQUENCE) || !body.ReadASN1Element(&alg, casn1.SEQUENCE) || !body.ReadASN1(&name, casn1.OCTET_STRING) ||
		!body.ReadASN1(&key, casn1.OCTET_STRING) || !body.ReadASN1(&serial, casn1.INTEGER) || !body.Empty() {
		return false
	}
	if len(serial) == 0 || len(serial) > maxOCSPSerial || len(serial) > 1 && (serial[0] == 0 && serial[1] < 0x80 || serial[0] == 0xff && serial[1] >= 0x80) {
		return false // not the shortest form (X.690 section 8.3.2)
	}
	for h := OCSPSHA1; int(h) < len(ocspHashes); h++ {
		if string(ocspHashes[h].der) == string(alg) {
			id.Algorithm = h
		}
	}
	if h := id.Algorithm.Hash(); h != 0 && (len(name) != h.Size() || len(key) != h.Size()) {
		return false
	}
	if !wellFormedAlgorithm(alg) {
		return false
	}
	id.NameHash, id.KeyHash, id.Serial = name, key, serial
	return true
}

func wellFormedAlgorithm(der cryptobyte.String) bool {
	var body, parameters cryptobyte.String
	var oid OID
	var tag casn1.Tag
	if !der.ReadASN1(&body, casn1.SEQUENCE) || !body.ReadASN1ObjectIdentifier((*OID)(&oid)) {
		return false
	}
	return body.Empty() || body.ReadAnyASN1(&parameters, &tag) && body.Empty()
}

// readOCSPExtensions gives the nonce. What is not known is ignored unless it is
// critical (RFC 6960 section 4.4).
func readOCSPExtensions(in cryptobyte.String) (nonce []byte, err error) {
	var list cryptobyte.String
	if !in.ReadASN1(&list, casn1.SEQUENCE) || !in.Empty() {
		return nil, errOCSPRequest
	}
	all, err := ParseExtensions(list)
	if err != nil {
		return nil, fmt.Errorf("OCSP request: %w", err)
	}
	for _, e := range all {
		switch {
		case e.ID.Equal(OIDOCSPNonce):
			value := cryptobyte.String(e.Value)
			var content cryptobyte.String
			if !value.ReadASN1(&content, casn1.OCTET_STRING) || !value.Empty() || len(content) == 0 || len(content) > maxOCSPNonce {
				return nil, errors.New("OCSP request: the nonce does not have 1 to 128 octets (RFC 9654 section 2.1)")
			}
			nonce = content
		case e.ID.Equal(OIDOCSPResponse), e.ID.Equal(OIDOCSPServiceLocator), e.ID.Equal(OIDOCSPPreferredSigAlg):
		case e.Critical:
			return nil, fmt.Errorf("OCSP request: extension %s is critical and not known", e.ID)
		}
	}
	return nonce, nil
}
