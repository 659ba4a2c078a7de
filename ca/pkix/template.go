package pkix

import (
	"errors"
	"fmt"
	"math/big"
	"time"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// NoExpiry is the notAfter of certificates without a well-defined expiration
// date (RFC 5280 section 4.1.2.5).
var NoExpiry = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)

// Template is everything that goes into the to-be-signed certificate.
type Template struct {
	Serial     []byte // big-endian, positive: first bit 0, at most 20 octets (RFC 5280 section 4.1.2.2)
	Signature  *SignatureAlgorithm
	Issuer     RawName
	NotBefore  time.Time // whole seconds are encoded
	NotAfter   time.Time
	Subject    RawName
	Key        PublicKey
	Extensions []Extension // encoded in this order
}

// MarshalTBS encodes the TBSCertificate, version 3 (RFC 5280 section 4.1).
func (t *Template) MarshalTBS() ([]byte, error) {
	if err := t.check(); err != nil {
		return nil, err
	}
	b := cryptobyte.NewBuilder(make([]byte, 0, 1024))
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(explicit(0), func(b *cryptobyte.Builder) { b.AddASN1Int64(2) })
		b.AddASN1BigInt(new(big.Int).SetBytes(t.Serial))
		b.AddBytes(t.Signature.DER())
		b.AddBytes(t.Issuer)
		b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
			addTime(b, t.NotBefore)
			addTime(b, t.NotAfter)
		})
		b.AddBytes(t.Subject)
		b.AddBytes(t.Key.Raw())
		b.AddASN1(explicit(3), func(b *cryptobyte.Builder) {
			addExtensions(b, t.Extensions)
		})
	})
	return b.Bytes()
}

func addExtensions(b *cryptobyte.Builder, extensions []Extension) {
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		for _, e := range extensions {
			b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1ObjectIdentifier(e.ID)
				if e.Critical {
					b.AddASN1Boolean(true)
				}
				b.AddASN1OctetString(e.Value)
			})
		}
	})
}

func (t *Template) check() error {
	switch {
	case len(t.Serial) == 0 || len(t.Serial) > 20 || t.Serial[0] >= 0x80 || new(big.Int).SetBytes(t.Serial).Sign() == 0:
		return errors.New("template: serial is not a positive integer of at most 20 octets (RFC 5280 section 4.1.2.2)")
	case t.Signature == nil || t.Signature.Legacy:
		return errors.New("template: no signature algorithm fit for certificates")
	case len(t.Issuer) == 0 || len(t.Subject) == 0:
		return errors.New("template: issuer or subject is missing; an empty subject is EmptyName")
	case t.Key.IsZero():
		return errors.New("template: no public key")
	case t.NotAfter.Before(t.NotBefore):
		return errors.New("template: notAfter is before notBefore")
	case len(t.Extensions) == 0:
		return errors.New("template: no extension")
	}
	return nil
}

// addTime writes UTCTime through 2049 and GeneralizedTime from 2050 on
// (RFC 5280 section 4.1.2.5).
func addTime(b *cryptobyte.Builder, at time.Time) {
	at = at.UTC()
	switch {
	case at.Year() < 1950 || at.Year() > 9999:
		b.SetError(fmt.Errorf("template: year %d cannot be encoded", at.Year()))
	case at.Year() < 2050:
		b.AddASN1UTCTime(at)
	default:
		b.AddASN1GeneralizedTime(at)
	}
}

// Assemble puts to-be-signed bytes and their signature together as one
// SIGNED{} structure: a certificate, a CRL or a PKCS#10 request.
func Assemble(tbs []byte, alg *SignatureAlgorithm, signature []byte) ([]byte, error) {
	b := cryptobyte.NewBuilder(make([]byte, 0, len(tbs)+len(signature)+64))
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(tbs)
		b.AddBytes(alg.DER())
		b.AddASN1BitString(signature)
	})
	return b.Bytes()
}
