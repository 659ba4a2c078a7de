package scep

import (
	"strconv"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/protocols/internal/cms"
)

// messageType is RFC 8894 section 3.2.1.2.
type messageType int

const (
	certRep    messageType = 3
	renewalReq messageType = 17
	pkcsReq    messageType = 19
	certPoll   messageType = 20
	getCert    messageType = 21
	getCRL     messageType = 22
)

// Attributes of a message (RFC 8894 section 3.2.1); they are in VeriSign's arc
// since the first drafts.
var (
	oidMessageType    = pkix.OID{2, 16, 840, 1, 113733, 1, 9, 2}
	oidPKIStatus      = pkix.OID{2, 16, 840, 1, 113733, 1, 9, 3}
	oidFailInfo       = pkix.OID{2, 16, 840, 1, 113733, 1, 9, 4}
	oidSenderNonce    = pkix.OID{2, 16, 840, 1, 113733, 1, 9, 5}
	oidRecipientNonce = pkix.OID{2, 16, 840, 1, 113733, 1, 9, 6}
	oidTransaction    = pkix.OID{2, 16, 840, 1, 113733, 1, 9, 7}
	oidFailInfoText   = pkix.OID{1, 3, 6, 1, 5, 5, 7, 24, 1}
)

// Bounds of a message. The largest request, in an envelope, in a signature with a
// client's certificate chain, is well below maxMessage.
const (
	maxMessage     = 128 << 10 // octets
	maxTransaction = 255       // characters
	maxNonce       = 64        // octets; RFC 8894 section 3.2.1.5 has 16
)

var limits = cms.Limits{Size: maxMessage, Elements: 4096, Depth: 24}

// message is a pkiMessage (RFC 8894 section 3.2) that was read. That it was read
// says nothing about its signature.
type message struct {
	kind        messageType
	transaction string
	nonce       []byte // senderNonce; nil: none
	signed      *cms.SignedData
	signer      *cms.SignerInfo
	certificate cms.Certificate // that the signer is named by
}

// readMessage reads a pkiMessage with exactly one signer whose certificate is in
// it. Its errors are for the log: without a transaction id there is nothing to
// answer to in the protocol.
func readMessage(body []byte) (*message, error) {
	signed, err := cms.ReadSigned(body, limits)
	if err != nil {
		return nil, err
	}
	m := &message{signed: signed}
	if m.signer, err = signed.Signer(); err != nil {
		return nil, err
	}
	if m.transaction, err = textAttribute(m.signer.Signed, oidTransaction, maxTransaction); err != nil {
		return nil, err
	}
	kind, err := textAttribute(m.signer.Signed, oidMessageType, 3)
	if err != nil {
		return nil, err
	}
	number, err := strconv.ParseUint(kind, 10, 8)
	if err != nil {
		return nil, malformed("the messageType is no number")
	}
	m.kind = messageType(number)
	if value, ok := m.signer.Signed.Value(oidSenderNonce); ok { // some clients send none
		in := cryptobyte.String(value)
		var nonce cryptobyte.String
		if !in.ReadASN1(&nonce, casn1.OCTET_STRING) || !in.Empty() || len(nonce) > maxNonce {
			return nil, malformed("the senderNonce is no OCTET STRING of a sensible length")
		}
		m.nonce = nonce
	}
	m.certificate, err = signed.SignerCertificate(m.signer)
	return m, err
}

// textAttribute reads a string of printable characters, which is a
// PrintableString (RFC 8894 section 3.2.1) and in some clients another one.
func textAttribute(all cms.Attributes, id pkix.OID, limit int) (string, error) {
	value, ok := all.Value(id)
	in := cryptobyte.String(value)
	var text cryptobyte.String
	var tag casn1.Tag
	if !ok || !in.ReadAnyASN1(&text, &tag) || !in.Empty() || tag != casn1.PrintableString && tag != casn1.UTF8String && tag != casn1.IA5String {
		return "", malformed("the attribute " + id.String() + " is missing or no text")
	}
	if len(text) == 0 || len(text) > limit || strings.ContainsFunc(string(text), func(c rune) bool { return c < 0x20 || c > 0x7e }) {
		return "", malformed("the attribute " + id.String() + " is too long, or has other than printable characters")
	}
	return string(text), nil
}

// malformed is why a message cannot be read.
type malformed string

func (m malformed) Error() string { return string(m) }
