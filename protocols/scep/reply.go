package scep

import (
	"context"
	"crypto"
	"crypto/rand"
	"strconv"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/protocols/internal/cms"
)

// pkiStatus is RFC 8894 section 3.2.1.3.
type pkiStatus int

const (
	success pkiStatus = 0
	failure pkiStatus = 2
	pending pkiStatus = 3
)

func (s pkiStatus) String() string {
	return map[pkiStatus]string{success: "success", failure: "failure", pending: "pending"}[s]
}

// failInfo is RFC 8894 section 3.2.1.4.
type failInfo int

const (
	badAlg          failInfo = 0
	badMessageCheck failInfo = 1
	badRequest      failInfo = 2
	badTime         failInfo = 3 // never said: clocks of devices are wrong, and their messages taken all the same
	badCertID       failInfo = 4
)

func (f failInfo) String() string {
	return [...]string{"badAlg", "badMessageCheck", "badRequest", "badTime", "badCertId"}[f]
}

// nonceSize is that of RFC 8894 section 3.2.1.5, in octets.
const nonceSize = 16

// reply is a CertRep before it is signed (RFC 8894 section 3.3.2).
type reply struct {
	status  pkiStatus
	fail    failInfo
	text    string // failInfoText; empty: none
	content []byte // pkcsPKIEnvelope, DER; nil: none
}

// seal makes the pkiMessage of a reply, signed with the registration authority's
// key under the digest that the request has.
func (a *reply) seal(ctx context.Context, authority RA, to *message, hash crypto.Hash) ([]byte, error) {
	signer, err := signing(ctx, authority)
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, nonceSize)
	rand.Read(nonce) // never fails (crypto/rand)
	attributes := cms.Attributes{
		printable(oidMessageType, strconv.Itoa(int(certRep))),
		printable(oidPKIStatus, strconv.Itoa(int(a.status))),
		printable(oidTransaction, to.transaction),
		octets(oidSenderNonce, nonce),
	}
	if to.nonce != nil {
		attributes = append(attributes, octets(oidRecipientNonce, to.nonce))
	}
	if a.status == failure {
		attributes = append(attributes, printable(oidFailInfo, strconv.Itoa(int(a.fail))))
		if a.text != "" {
			attributes = append(attributes, text(oidFailInfoText, casn1.UTF8String, a.text))
		}
	}
	signer.Hash, signer.Attributes = hash, attributes
	return cms.Sign(cms.OIDData, a.content, [][]byte{signer.Certificate.Raw}, nil, signer)
}

// signing is the registration authority as the signer of a message. rsaEncryption
// alone names its signature algorithm: the oldest clients know no other name of it
// (RFC 3370 section 3.2), and all others take it.
func signing(ctx context.Context, authority RA) (cms.Signer, error) {
	key, err := authority.Current(ctx)
	if err != nil {
		return cms.Signer{}, err
	}
	own, err := cms.ReadCertificate(key.Certificate)
	if err != nil {
		return cms.Signer{}, ca.InternalError(err)
	}
	return cms.Signer{Key: key.Signer, Certificate: own, PlainRSA: true}, nil
}

func printable(id pkix.OID, value string) cms.Attribute {
	return text(id, casn1.PrintableString, value)
}

func text(id pkix.OID, tag casn1.Tag, value string) cms.Attribute {
	return attribute(id, tag, []byte(value))
}

func octets(id pkix.OID, value []byte) cms.Attribute { return attribute(id, casn1.OCTET_STRING, value) }

func attribute(id pkix.OID, tag casn1.Tag, value []byte) cms.Attribute {
	var b cryptobyte.Builder
	b.AddASN1(tag, func(b *cryptobyte.Builder) { b.AddBytes(value) })
	return cms.NewAttribute(id, b.BytesOrPanic()) // a tag with octets always encodes
}
