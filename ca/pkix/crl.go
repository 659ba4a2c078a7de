package pkix

import (
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// CRLEntry is one line of a certificate revocation list (RFC 5280 section 5.3).
type CRLEntry struct {
	Serial  []byte    // content octets of a positive INTEGER, at most 20
	Revoked time.Time // whole seconds are encoded
	Reason  uint8     // CRLReason; 0, unspecified, is left out (RFC 5280 section 5.3.1)
	Invalid time.Time // invalidityDate; zero: none
}

// CRLReason removeFromCRL stands in delta CRLs alone (RFC 5280 section 5.3.1).
const removeFromCRL = 8

// CRLHeader is what a list says beside its entries.
type CRLHeader struct {
	Signature  *SignatureAlgorithm
	Issuer     RawName
	ThisUpdate time.Time // whole seconds are encoded
	NextUpdate time.Time
	Extensions []Extension // encoded in this order
	Delta      bool        // entries may remove others; Extensions must hold deltaCRLIndicator
}

// CRLWriter encodes a version 2 list into one buffer: an entry is written once
// where it will stay, the header is put in front of the entries when their
// length is known, and the signature behind them. Nothing is copied.
type CRLWriter struct {
	header CRLHeader
	buf    []byte
	room   int // octets before the entries
	count  int
}

// headerRoom is what five lengths of at most 5 octets, their tags, the version
// and two times take, with some to spare.
const headerRoom = 96

// NewCRLWriter checks the header. size is about how many octets the entries
// will take, 0 where nobody knows.
func NewCRLWriter(h CRLHeader, size int) (*CRLWriter, error) {
	_, delta := FindExtension(h.Extensions, OIDDeltaCRLIndicator)
	_, numbered := FindExtension(h.Extensions, OIDCRLNumber)
	_, keyed := FindExtension(h.Extensions, OIDAuthorityKeyID)
	switch {
	case h.Signature == nil || h.Signature.Legacy:
		return nil, errors.New("CRL: no signature algorithm fit for CRLs")
	case len(h.Issuer) == 0 || string(h.Issuer) == string(EmptyName):
		return nil, errors.New("CRL: the issuer has no name (RFC 5280 section 5.1.2.3)")
	case !h.NextUpdate.After(h.ThisUpdate):
		return nil, errors.New("CRL: nextUpdate is not after thisUpdate (RFC 5280 section 5.1.2.5)")
	case !numbered || !keyed:
		return nil, errors.New("CRL: cRLNumber or authorityKeyIdentifier is missing (RFC 5280 sections 5.2.1, 5.2.3)")
	case delta != h.Delta:
		return nil, errors.New("CRL: deltaCRLIndicator belongs into delta CRLs and nowhere else (RFC 5280 section 5.2.4)")
	}
	w := &CRLWriter{header: h, room: headerRoom + len(h.Signature.DER()) + len(h.Issuer)}
	w.buf = make([]byte, w.room, w.room+size+2048)
	return w, nil
}

// Add appends an entry.
func (w *CRLWriter) Add(e CRLEntry) error {
	n := len(e.Serial)
	switch {
	case n == 0 || n > 20 || e.Serial[0] >= 0x80 || n > 1 && e.Serial[0] == 0 && e.Serial[1] < 0x80:
		return errors.New("CRL: a serial is not the content of a positive INTEGER of at most 20 octets (RFC 5280 section 4.1.2.2)")
	case e.Reason > 10 || e.Reason == 7:
		return fmt.Errorf("CRL: %d is no reason (RFC 5280 section 5.3.1)", e.Reason)
	case e.Reason == removeFromCRL && !w.header.Delta:
		return errors.New("CRL: removeFromCRL outside of a delta CRL (RFC 5280 section 5.3.1)")
	}
	at := len(w.buf)
	b := append(w.buf, 0x30, 0, byte(casn1.INTEGER), byte(n)) // an entry is always shorter than 128 octets
	b = append(b, e.Serial...)
	b, ok := appendTime(b, e.Revoked)
	if !ok {
		return fmt.Errorf("CRL: year %d cannot be encoded", e.Revoked.Year())
	}
	if e.Reason != 0 || !e.Invalid.IsZero() {
		list := len(b)
		b = append(b, 0x30, 0)
		if e.Reason != 0 {
			b = append(b, 0x30, 10, 6, 3, 0x55, 0x1d, 21, 4, 3, byte(casn1.ENUM), 1, e.Reason)
		}
		if !e.Invalid.IsZero() { // always GeneralizedTime (RFC 5280 section 5.3.2)
			if year := e.Invalid.UTC().Year(); year < 0 || year > 9999 {
				return fmt.Errorf("CRL: year %d cannot be encoded", year)
			}
			b = append(b, 0x30, 24, 6, 3, 0x55, 0x1d, 24, 4, 17, byte(casn1.GeneralizedTime), 15)
			b = e.Invalid.UTC().AppendFormat(b, "20060102150405Z")
		}
		b[list+1] = byte(len(b) - list - 2)
	}
	b[at+1] = byte(len(b) - at - 2)
	w.buf, w.count = b, w.count+1
	return nil
}

// Count tells how many entries there are.
func (w *CRLWriter) Count() int { return w.count }

// appendTime is addTime for a buffer of our own.
func appendTime(b []byte, at time.Time) ([]byte, bool) {
	at = at.UTC()
	switch year := at.Year(); {
	case year < 1950 || year > 9999:
		return b, false
	case year < 2050:
		return at.AppendFormat(append(b, byte(casn1.UTCTime), 13), "060102150405Z"), true
	default:
		return at.AppendFormat(append(b, byte(casn1.GeneralizedTime), 15), "20060102150405Z"), true
	}
}

// Sign completes the list: sign gets the to-be-signed bytes, which it must not
// keep, and gives the signature. The writer is used up.
func (w *CRLWriter) Sign(sign func(tbs []byte) ([]byte, error)) ([]byte, error) {
	h := &w.header
	start := w.room
	front := func(part []byte) { start -= copy(w.buf[start-len(part):start], part) }
	if w.count > 0 { // an empty list is left out (RFC 5280 section 5.1.2.6)
		front(lengthOf(casn1.SEQUENCE, len(w.buf)-w.room))
	}
	times, ok := appendTime(nil, h.ThisUpdate)
	times, fits := appendTime(times, h.NextUpdate)
	if !ok || !fits {
		return nil, errors.New("CRL: thisUpdate or nextUpdate cannot be encoded")
	}
	front(times)
	front(h.Issuer)
	front(h.Signature.DER())
	front([]byte{byte(casn1.INTEGER), 1, 1}) // version 2
	extensions, err := w.extensions()
	if err != nil {
		return nil, err
	}
	w.buf = append(w.buf, extensions...)
	front(lengthOf(casn1.SEQUENCE, len(w.buf)-start))
	signature, err := sign(w.buf[start:len(w.buf):len(w.buf)])
	if err != nil {
		return nil, err
	}
	var b cryptobyte.Builder
	b.AddBytes(h.Signature.DER())
	b.AddASN1BitString(signature)
	tail, err := b.Bytes()
	if err != nil {
		return nil, err
	}
	w.buf = append(w.buf, tail...)
	front(lengthOf(casn1.SEQUENCE, len(w.buf)-start))
	der := w.buf[start:]
	w.buf = nil
	return der, nil
}

func (w *CRLWriter) extensions() ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(explicit(0), func(b *cryptobyte.Builder) { addExtensions(b, w.header.Extensions) })
	return b.Bytes()
}

// lengthOf is a tag with the length of what follows, in DER.
func lengthOf(tag casn1.Tag, n int) []byte {
	if n < 128 {
		return []byte{byte(tag), byte(n)}
	}
	octets := big.NewInt(int64(n)).Bytes()
	return slices.Concat([]byte{byte(tag), 0x80 | byte(len(octets))}, octets)
}

// MarshalCRLNumber encodes cRLNumber (RFC 5280 section 5.2.3).
func MarshalCRLNumber(number int64) (Extension, error) {
	value, err := crlNumber(number)
	return Extension{ID: OIDCRLNumber, Value: value}, err
}

// MarshalDeltaCRLIndicator encodes the critical deltaCRLIndicator with the
// number of the complete CRL that the delta starts from (RFC 5280 section 5.2.4).
func MarshalDeltaCRLIndicator(base int64) (Extension, error) {
	value, err := crlNumber(base)
	return Extension{ID: OIDDeltaCRLIndicator, Critical: true, Value: value}, err
}

func crlNumber(number int64) ([]byte, error) {
	if number < 0 {
		return nil, errors.New("CRL number: negative (RFC 5280 section 5.2.3)")
	}
	var b cryptobyte.Builder
	b.AddASN1Int64(number)
	return b.Bytes()
}

// MarshalFreshestCRL encodes freshestCRL: where delta CRLs are (RFC 5280
// sections 4.2.1.15, 5.2.6).
func MarshalFreshestCRL(urls []string) (Extension, error) {
	e, err := MarshalCRLDistributionPoints(urls)
	e.ID = OIDFreshestCRL
	return e, err
}

// MarshalExpiredCertsOnCRL encodes expiredCertsOnCRL: revoked certificates that
// expired since then stay listed (X.509 section 9.5.2.8).
func MarshalExpiredCertsOnCRL(since time.Time) (Extension, error) {
	var b cryptobyte.Builder
	b.AddASN1GeneralizedTime(since.UTC())
	value, err := b.Bytes()
	return Extension{ID: OIDExpiredCertsOnCRL, Value: value}, err
}

// MarshalIssuingDistributionPoint encodes the critical issuingDistributionPoint
// of a list that covers only the certificates whose cRLDistributionPoints names
// one of urls (RFC 5280 section 5.2.5). The URLs are alternative names of one
// point, octet for octet as in the certificates.
func MarshalIssuingDistributionPoint(urls []string) (Extension, error) {
	if len(urls) == 0 {
		return Extension{}, errors.New("issuing distribution point: no URL")
	}
	value, err := sequence(func(b *cryptobyte.Builder) {
		b.AddASN1(explicit(0), func(b *cryptobyte.Builder) { // distributionPoint
			b.AddASN1(explicit(0), func(b *cryptobyte.Builder) { // fullName
				for _, u := range urls {
					b.AddASN1(URI.tag(), func(b *cryptobyte.Builder) { b.AddBytes([]byte(u)) })
				}
			})
		})
	})
	return Extension{ID: OIDIssuingDistPoint, Critical: true, Value: value}, err
}
