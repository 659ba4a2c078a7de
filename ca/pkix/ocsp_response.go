package pkix

import (
	"crypto/sha1"
	"errors"
	"time"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// OCSPResponseStatus is the outcome of a request (RFC 6960 section 4.2.1).
type OCSPResponseStatus uint8

// The statuses that are used; successful comes with an answer.
const (
	OCSPSuccessful       OCSPResponseStatus = 0
	OCSPMalformedRequest OCSPResponseStatus = 1
	OCSPInternalError    OCSPResponseStatus = 2
	OCSPTryLater         OCSPResponseStatus = 3
	OCSPUnauthorized     OCSPResponseStatus = 6
)

// MarshalOCSPError encodes an answer without content (RFC 6960 section 2.3).
func MarshalOCSPError(s OCSPResponseStatus) []byte { return []byte{0x30, 3, 0x0a, 1, byte(s)} }

// OCSPStatus is a CertStatus (RFC 6960 section 4.2.1).
type OCSPStatus uint8

// The statuses of a certificate.
const (
	OCSPGood OCSPStatus = iota
	OCSPRevoked
	OCSPUnknown
)

// OCSPSingle is one SingleResponse (RFC 6960 section 4.2.1). Times are encoded in whole seconds.
type OCSPSingle struct {
	CertID        []byte // the whole SEQUENCE of the request
	Status        OCSPStatus
	RevokedAt     time.Time // revoked only
	Reason        uint8     // CRLReason; 0 (unspecified) is left out, as in a CRL (RFC 5280 section 5.3.1)
	Invalid       time.Time // invalidityDate of a revoked certificate, zero: none (RFC 6960 section 4.4.5)
	ThisUpdate    time.Time
	NextUpdate    time.Time // zero: newer information is always there
	ArchiveCutoff time.Time // zero: none (RFC 6960 section 4.4.4)
}

// OCSPResponderID says who signed: by the SHA-1 hash of the key, or by name
// (RFC 6960 section 4.2.1). Exactly one is set.
type OCSPResponderID struct {
	KeyHash []byte
	Name    RawName
}

// OCSPData is the to-be-signed part of an answer.
type OCSPData struct {
	Responder  OCSPResponderID
	ProducedAt time.Time
	Singles    []OCSPSingle
	Nonce      []byte // echoed, nil: none (RFC 9654)
	// ExtendedRevoke says that revoked also means never issued; it must be set
	// where a single response says so (RFC 6960 section 4.4.8).
	ExtendedRevoke bool
}

// NeverIssued makes a single response say revoked of a certificate that was
// never issued: since 1970-01-01, on hold, and nothing else (RFC 6960 section
// 2.2). The answer must have ExtendedRevoke.
func (s *OCSPSingle) NeverIssued() {
	s.Status, s.RevokedAt, s.Reason, s.Invalid = OCSPRevoked, time.Unix(0, 0), 6, time.Time{}
}

// OCSPKeyHash is the KeyHash of RFC 6960 section 4.2.1: SHA-1 over the bits of
// the subjectPublicKey, without tag, length and unused bits.
func (k PublicKey) OCSPKeyHash() []byte {
	sum := sha1.Sum(k.bits)
	return sum[:]
}

// IssuerHashes gives what a CertID says of an issuer under one hash: of its
// name and of its key's bits (RFC 6960 section 4.1.1).
func IssuerHashes(h OCSPHash, name RawName, key PublicKey) (nameHash, keyHash []byte) {
	digest := func(b []byte) []byte {
		d := h.Hash().New()
		d.Write(b) // a hash never fails
		return d.Sum(nil)
	}
	return digest(name), digest(key.bits)
}

// MarshalTBS encodes the ResponseData (RFC 6960 section 4.2.1).
func (d *OCSPData) MarshalTBS() ([]byte, error) {
	if len(d.Singles) == 0 || (len(d.Responder.KeyHash) == 0) == (len(d.Responder.Name) == 0) || d.ProducedAt.IsZero() {
		return nil, errors.New("OCSP answer: no certificate, no time, or not exactly one responder ID")
	}
	b := cryptobyte.NewBuilder(make([]byte, 0, 256*len(d.Singles)))
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		if len(d.Responder.Name) > 0 {
			b.AddASN1(explicit(1), func(b *cryptobyte.Builder) { b.AddBytes(d.Responder.Name) })
		} else {
			b.AddASN1(explicit(2), func(b *cryptobyte.Builder) { b.AddASN1OctetString(d.Responder.KeyHash) })
		}
		b.AddASN1GeneralizedTime(d.ProducedAt.UTC())
		b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
			for i := range d.Singles {
				d.Singles[i].add(b)
			}
		})
		var extensions []Extension
		if d.Nonce != nil {
			value, err := octetString(d.Nonce)
			if err != nil {
				b.SetError(err)
			}
			extensions = append(extensions, Extension{ID: OIDOCSPNonce, Value: value})
		}
		if d.ExtendedRevoke {
			extensions = append(extensions, Extension{ID: OIDOCSPExtendedRevoke, Value: []byte{0x05, 0x00}})
		}
		if len(extensions) > 0 {
			b.AddASN1(explicit(1), func(b *cryptobyte.Builder) { addExtensions(b, extensions) })
		}
	})
	return b.Bytes()
}

func octetString(content []byte) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1OctetString(content)
	return b.Bytes()
}

func generalizedTime(at time.Time) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1GeneralizedTime(at.UTC())
	return b.Bytes()
}

func (s *OCSPSingle) add(b *cryptobyte.Builder) {
	if len(s.CertID) == 0 || s.ThisUpdate.IsZero() || s.Status == OCSPRevoked && s.RevokedAt.IsZero() || s.Status > OCSPUnknown {
		b.SetError(errors.New("OCSP answer: a single response lacks its certificate, status or time"))
		return
	}
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(s.CertID)
		if s.Status == OCSPRevoked {
			b.AddASN1(explicit(1), func(b *cryptobyte.Builder) {
				b.AddASN1GeneralizedTime(s.RevokedAt.UTC())
				if s.Reason != 0 {
					b.AddASN1(explicit(0), func(b *cryptobyte.Builder) { b.AddASN1Enum(int64(s.Reason)) })
				}
			})
		} else {
			b.AddASN1(casn1.Tag(s.Status).ContextSpecific(), func(*cryptobyte.Builder) {}) // IMPLICIT NULL
		}
		b.AddASN1GeneralizedTime(s.ThisUpdate.UTC())
		if !s.NextUpdate.IsZero() {
			b.AddASN1(explicit(0), func(b *cryptobyte.Builder) { b.AddASN1GeneralizedTime(s.NextUpdate.UTC()) })
		}
		var extensions []Extension
		for _, e := range []struct {
			id OID
			at time.Time
		}{{OIDInvalidityDate, s.Invalid}, {OIDOCSPArchiveCutoff, s.ArchiveCutoff}} {
			if e.at.IsZero() {
				continue
			}
			value, err := generalizedTime(e.at)
			if err != nil {
				b.SetError(err)
			}
			extensions = append(extensions, Extension{ID: e.id, Value: value})
		}
		if len(extensions) > 0 {
			b.AddASN1(explicit(1), func(b *cryptobyte.Builder) { addExtensions(b, extensions) })
		}
	})
}

// AssembleOCSP puts an answer together: OCSPResponse with a BasicOCSPResponse
// (RFC 6960 section 4.2.1). The certificates are those that a client needs to
// check the signature beside the issuer's own.
func AssembleOCSP(tbs []byte, alg *SignatureAlgorithm, signature []byte, certificates [][]byte) ([]byte, error) {
	b := cryptobyte.NewBuilder(make([]byte, 0, len(tbs)+len(signature)+1024))
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Enum(int64(OCSPSuccessful))
		b.AddASN1(explicit(0), func(b *cryptobyte.Builder) {
			b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1ObjectIdentifier(OIDOCSPBasic)
				b.AddASN1(casn1.OCTET_STRING, func(b *cryptobyte.Builder) {
					b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
						b.AddBytes(tbs)
						b.AddBytes(alg.DER())
						b.AddASN1BitString(signature)
						if len(certificates) > 0 {
							b.AddASN1(explicit(0), func(b *cryptobyte.Builder) {
								b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
									for _, der := range certificates {
										b.AddBytes(der)
									}
								})
							})
						}
					})
				})
			})
		})
	})
	return b.Bytes()
}

// MarshalCertID encodes a CertID (RFC 6960 section 4.1.1); serial is positive
// and the content octets of its INTEGER.
func MarshalCertID(h OCSPHash, nameHash, keyHash, serial []byte) []byte {
	var b cryptobyte.Builder
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(ocspHashes[h].der)
		b.AddASN1OctetString(nameHash)
		b.AddASN1OctetString(keyHash)
		b.AddASN1(casn1.INTEGER, func(b *cryptobyte.Builder) { b.AddBytes(serial) })
	})
	return b.BytesOrPanic() // three short strings
}
