package cms

import (
	"crypto"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/enrollgate/enrollgate/ca/pkix"
)

// How many of each a SignedData may hold.
const (
	maxCertificates = 64
	maxCRLs         = 64
	maxSigners      = 16
)

// SignedData is content with certificates and signatures (RFC 5652 section
// 5.1). That it was read says nothing about its signatures: see Verify.
type SignedData struct {
	ContentType  pkix.OID
	Content      []byte   // nil where there is none
	Certificates [][]byte // X.509, each one element, in their order
	CRLs         [][]byte // X.509, the same
	Signers      []SignerInfo
}

// SignerInfo is one signature (RFC 5652 section 5.3).
type SignerInfo struct {
	Identifier
	Hash       crypto.Hash // the digest algorithm
	Signed     Attributes  // nil where there are none
	Unsigned   Attributes
	Signature  []byte
	algorithm  algorithm
	signedSet  []byte // the content of signedAttrs as it came
	attributes bool   // signedAttrs is there
}

// ReadSigned reads a ContentInfo with a SignedData in it.
func ReadSigned(ber []byte, limits Limits) (*SignedData, error) {
	contentType, content, err := ReadContentInfo(ber, limits)
	if err != nil {
		return nil, err
	}
	if !contentType.Equal(OIDSignedData) {
		return nil, syntaxf("content type %s instead of SignedData", contentType)
	}
	return parseSignedData(content)
}

// ReadSignedData reads a SignedData without a ContentInfo around it, as the
// signed key of RFC 9810 section 5.3.4 is.
func ReadSignedData(ber []byte, limits Limits) (*SignedData, error) {
	der, err := DER(ber, limits)
	if err != nil {
		return nil, err
	}
	return parseSignedData(der)
}

func parseSignedData(der []byte) (*SignedData, error) {
	in := cryptobyte.String(der)
	var seq, content, certificates, crls, signers cryptobyte.String
	var version int
	if !in.ReadASN1(&seq, cbasn1.SEQUENCE) || !in.Empty() || !seq.ReadASN1Integer(&version) || version < 0 || version > 5 ||
		!seq.SkipASN1(cbasn1.SET) || // digestAlgorithms: each signer names its own
		!seq.ReadASN1(&content, cbasn1.SEQUENCE) ||
		!seq.ReadOptionalASN1(&certificates, nil, tag0) || !seq.ReadOptionalASN1(&crls, nil, tag1) ||
		!seq.ReadASN1(&signers, cbasn1.SET) || !seq.Empty() {
		return nil, syntaxf("not a SignedData")
	}
	s := &SignedData{}
	if err := s.readContent(content); err != nil {
		return nil, err
	}
	var err error
	if s.Certificates, err = sequencesOf(certificates, maxCertificates, "certificates"); err != nil {
		return nil, err
	}
	if s.CRLs, err = sequencesOf(crls, maxCRLs, "CRLs"); err != nil {
		return nil, err
	}
	for !signers.Empty() {
		if len(s.Signers) == maxSigners {
			return nil, syntaxf("more than %d signers", maxSigners)
		}
		var one cryptobyte.String
		if !signers.ReadASN1(&one, cbasn1.SEQUENCE) {
			return nil, syntaxf("malformed SignerInfo")
		}
		info, err := readSignerInfo(one)
		if err != nil {
			return nil, err
		}
		s.Signers = append(s.Signers, info)
	}
	return s, nil
}

// readContent reads EncapsulatedContentInfo (RFC 5652 section 5.2). An empty
// [0] counts as none.
func (s *SignedData) readContent(in cryptobyte.String) error {
	var explicit cryptobyte.String
	var octets []byte
	if !in.ReadASN1ObjectIdentifier((*pkix.OID)(&s.ContentType)) || !in.ReadOptionalASN1(&explicit, nil, tag0) || !in.Empty() {
		return syntaxf("malformed content of a SignedData")
	}
	if explicit.Empty() {
		return nil
	}
	if !explicit.ReadASN1Bytes(&octets, cbasn1.OCTET_STRING) || !explicit.Empty() {
		return syntaxf("the content of a SignedData is not an OCTET STRING")
	}
	if s.Content = octets; octets == nil {
		s.Content = []byte{}
	}
	return nil
}

// sequencesOf gives the SEQUENCEs of a set. The other choices of
// CertificateChoices and RevocationInfoChoice have tags of their own (RFC 5652
// sections 10.2.1 and 10.2.2) and are passed over.
func sequencesOf(set cryptobyte.String, limit int, what string) (all [][]byte, err error) {
	for n := 0; !set.Empty(); n++ {
		if n == limit {
			return nil, syntaxf("more than %d %s", limit, what)
		}
		sequence := set.PeekASN1Tag(cbasn1.SEQUENCE)
		var one cryptobyte.String
		if !readElement(&set, &one) {
			return nil, syntaxf("malformed %s", what)
		}
		if sequence {
			all = append(all, one)
		}
	}
	return all, nil
}

func readSignerInfo(in cryptobyte.String) (SignerInfo, error) {
	var s SignerInfo
	var version int
	if !in.ReadASN1Integer(&version) || !s.Identifier.read(&in) {
		return s, syntaxf("malformed identifier of a signer")
	}
	hash, ok := readAlgorithm(&in, cbasn1.SEQUENCE)
	if !ok {
		return s, syntaxf("malformed digest algorithm")
	}
	var set cryptobyte.String
	if !in.ReadOptionalASN1(&set, &s.attributes, tag0) {
		return s, syntaxf("malformed signed attributes")
	}
	s.signedSet = set
	if s.algorithm, ok = readAlgorithm(&in, cbasn1.SEQUENCE); !ok {
		return s, syntaxf("malformed signature algorithm")
	}
	var unsigned cryptobyte.String
	if !in.ReadASN1Bytes(&s.Signature, cbasn1.OCTET_STRING) || !in.ReadOptionalASN1(&unsigned, nil, tag1) || !in.Empty() {
		return s, syntaxf("malformed SignerInfo")
	}
	var err error
	if s.Hash, err = hashOf(hash); err != nil {
		return s, err
	}
	if s.Signed, err = readAttributes(set); err != nil {
		return s, err
	}
	s.Unsigned, err = readAttributes(unsigned)
	return s, err
}

// Signer gives the one signer of a message that must have exactly one, as
// SCEP's have (RFC 8894 section 3.2).
func (s *SignedData) Signer() (*SignerInfo, error) {
	if len(s.Signers) != 1 {
		return nil, syntaxf("%d signers instead of one", len(s.Signers))
	}
	return &s.Signers[0], nil
}

// SignerCertificate finds the certificate a signer is named by among those of
// the message. Nothing says yet that it signed: see Verify. Certificates that
// do not parse are passed over; with none that fits the error is ErrSyntax.
func (s *SignedData) SignerCertificate(signer *SignerInfo) (Certificate, error) {
	for _, der := range s.Certificates {
		if c, err := ReadCertificate(der); err == nil && signer.Matches(c) {
			return c, nil
		}
	}
	return Certificate{}, syntaxf("the certificate of the signer is not in the message")
}
