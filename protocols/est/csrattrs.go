package est

import (
	"net/http"
	"strconv"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// csrattrs tells what a request must hold (RFC 7030 section 4.5, RFC 9908).
func (d *Door) csrattrs(w http.ResponseWriter, r *request) error {
	if len(r.endpoint.attributes) == 0 { // RFC 7030 section 4.5.2
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	return r.answer(w, typeAttributes, r.endpoint.attributes)
}

var (
	oidRSA             = pkix.OID{1, 2, 840, 113549, 1, 1, 1}
	oidEC              = pkix.OID{1, 2, 840, 10045, 2, 1}
	oidEd25519         = pkix.OID{1, 3, 101, 112}
	oidTemplate        = pkix.OID{1, 2, 840, 113549, 1, 9, 16, 2, 61} // id-aa-certificationRequestInfoTemplate, RFC 9908 section 3.4
	oidExtensionsAsked = pkix.OID{1, 2, 840, 113549, 1, 9, 16, 2, 62} // id-aa-extensionReqTemplate
	curves             = map[string]pkix.OID{"ecdsa-p256": {1, 2, 840, 10045, 3, 1, 7}, "ecdsa-p384": {1, 3, 132, 0, 34}, "ecdsa-p521": {1, 3, 132, 0, 35}}
)

// marshalAttributes encodes CsrAttrs: the key types, as older clients read them
// (RFC 9908 section 3.2), challengePassword where requests must be bound to their
// connection (RFC 7030 section 3.5), and a template of what else a request must
// say, where there is anything (RFC 9908 section 3.4). It is empty where there is
// nothing to say at all.
func marshalAttributes(o ca.Offer, bound bool) ([]byte, error) {
	var items cryptobyte.Builder
	if bound {
		items.AddASN1ObjectIdentifier(pkix.OIDChallengePassword)
	}
	for _, key := range o.Keys {
		addKeyType(&items, key)
	}
	if len(o.Subject)+len(o.AltNames) > 0 {
		addAttribute(&items, oidTemplate, func(b *cryptobyte.Builder) { addTemplate(b, o) })
	}
	content, err := items.Bytes()
	if err != nil || len(content) == 0 {
		return nil, err
	}
	var out cryptobyte.Builder
	out.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddBytes(content) })
	return out.Bytes()
}

// addKeyType writes one type of keys: EC with its curve, RSA with its least bits.
func addKeyType(b *cryptobyte.Builder, key string) {
	curve, ec := curves[key]
	bits, rsa := rsaBits(key)
	switch {
	case ec:
		addAttribute(b, oidEC, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(curve) })
	case rsa:
		addAttribute(b, oidRSA, func(b *cryptobyte.Builder) { b.AddASN1Int64(bits) })
	case key == "ed25519":
		addAttribute(b, oidEd25519, func(*cryptobyte.Builder) {})
	}
}

// rsaBits reads rsa-N and rsa>=N.
func rsaBits(key string) (int64, bool) {
	digits, ok := strings.CutPrefix(key, "rsa-")
	if !ok {
		if digits, ok = strings.CutPrefix(key, "rsa>="); !ok {
			return 0, false
		}
	}
	n, err := strconv.ParseInt(digits, 10, 32)
	return n, err == nil
}

// addTemplate writes a CertificationRequestInfoTemplate: what stands in it without
// a value is for the client to fill in. Where there is one type of keys, it is there, too.
func addTemplate(b *cryptobyte.Builder, o ca.Offer) {
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(0)
		if len(o.Subject) > 0 {
			b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
				for _, attribute := range o.Subject {
					b.AddASN1(casn1.SET, func(b *cryptobyte.Builder) {
						b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(attribute) })
					})
				}
			})
		}
		if curve, ok := curves[o.Keys[0]]; ok && len(o.Keys) == 1 {
			b.AddASN1(casn1.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
				b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1ObjectIdentifier(oidEC)
					b.AddASN1ObjectIdentifier(curve)
				})
			})
		}
		b.AddASN1(casn1.Tag(1).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
			if len(o.AltNames) == 0 {
				return
			}
			addAttribute(b, oidExtensionsAsked, func(b *cryptobyte.Builder) {
				b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(pkix.OIDSubjectAltName) })
				})
			})
		})
	})
}

// addAttribute writes an attribute with the values that fill writes.
func addAttribute(b *cryptobyte.Builder, id pkix.OID, fill func(*cryptobyte.Builder)) {
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(id)
		b.AddASN1(casn1.SET, fill)
	})
}
