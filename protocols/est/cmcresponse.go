package est

import (
	"crypto/rand"
	"strings"
	"time"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/enrollgate/enrollgate/ca/pkix"
)

// pkiResponse is what a full PKI response says (RFC 5272 section 3.2.2).
type pkiResponse struct {
	to      *pkiData // what is answered
	status  cmcStatus
	info    failInfo // of a failure
	part    uint32   // what the status is about; 0: the message
	text    string   // "": none
	pending string   // token to ask after the request by; "": it does not wait
	until   time.Time
}

// maxStatusText bounds the text of a status in octets.
const maxStatusText = 1024

// marshal encodes it: a status, and what is repeated of the request (RFC 5272
// sections 6.1, 6.4 and 6.6).
func (p *pkiResponse) marshal() ([]byte, error) {
	nonce := make([]byte, 16)
	rand.Read(nonce) // never fails (crypto/rand)
	octets := func(text []byte) func(*cryptobyte.Builder) {
		return func(b *cryptobyte.Builder) { b.AddASN1OctetString(text) }
	}
	id := int64(0)
	add := func(b *cryptobyte.Builder, kind pkix.OID, value func(*cryptobyte.Builder)) {
		id++
		b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1Int64(id)
			b.AddASN1ObjectIdentifier(kind)
			b.AddASN1(casn1.SET, value)
		})
	}
	var out cryptobyte.Builder
	out.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
			add(b, oidStatusInfoV2, p.addStatus)
			if p.to.transaction != nil {
				add(b, oidTransactionID, func(b *cryptobyte.Builder) {
					b.AddASN1(casn1.INTEGER, func(b *cryptobyte.Builder) { b.AddBytes(p.to.transaction) })
				})
			}
			if p.to.nonce != nil {
				add(b, oidRecipientNonce, octets(p.to.nonce))
				add(b, oidSenderNonce, octets(nonce))
			}
			if p.to.dataReturn != nil {
				add(b, oidDataReturn, octets(p.to.dataReturn))
			}
		})
		b.AddASN1(casn1.SEQUENCE, func(*cryptobyte.Builder) {}) // cmsSequence
		b.AddASN1(casn1.SEQUENCE, func(*cryptobyte.Builder) {}) // otherMsgSequence
	})
	return out.Bytes()
}

// addStatus writes CMCStatusInfoV2 (RFC 5272 section 6.1.1).
func (p *pkiResponse) addStatus(b *cryptobyte.Builder) {
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(int64(p.status))
		b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1Int64(int64(p.part)) })
		if p.text != "" {
			b.AddASN1(casn1.UTF8String, func(b *cryptobyte.Builder) {
				b.AddBytes([]byte(strings.ToValidUTF8(p.text[:min(len(p.text), maxStatusText)], "")))
			})
		}
		switch p.status {
		case cmcSuccess:
		case cmcPending:
			b.AddASN1(casn1.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
				b.AddASN1OctetString([]byte(p.pending))
				b.AddASN1GeneralizedTime(p.until.UTC().Truncate(time.Second))
			})
		default:
			b.AddASN1Int64(int64(p.info))
		}
	})
}
