package est

import (
	"errors"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/protocols/internal/cms"
)

// Bounds of what is read and given back, in octets, and of lists.
const (
	maxCMC           = 64 << 10
	maxCMCControls   = 16
	maxCMCNonce      = 256
	maxTransactionID = 64
	maxDataReturn    = 4096
	maxPendToken     = 64
)

// pkiData is what a full PKI request asks (RFC 5272 section 3.2.1): one PKCS #10
// request, or what became of an earlier one.
type pkiData struct {
	transaction []byte // content octets of the INTEGER; nil: none
	nonce       []byte // of the sender; nil: none
	dataReturn  []byte // nil: none
	request     []byte // DER of the PKCS #10 request; nil: none
	part        uint32 // of the request, or of the question
	token       string // of the request that is asked after; "": none
}

// cmcLimits bound a message before it is read.
var cmcLimits = cms.Limits{Size: maxCMC, Elements: 4096, Depth: 32}

// errPKIData says that nothing of a message can be told apart.
var errPKIData = errors.New("not a PKIData (RFC 5272 section 3.2.1)")

// readPKIData reads the content of a full PKI request, BER. With an error it
// gives what was read of the controls that an answer repeats.
func readPKIData(ber []byte) (*pkiData, error) {
	out := &pkiData{}
	der, err := cms.DER(ber, cmcLimits)
	if err != nil {
		return out, malformedCMC(err)
	}
	in := cryptobyte.String(der)
	var data, controls, requests, contents, others cryptobyte.String
	if !in.ReadASN1(&data, casn1.SEQUENCE) || !in.Empty() || !data.ReadASN1(&controls, casn1.SEQUENCE) || !data.ReadASN1(&requests, casn1.SEQUENCE) ||
		!data.ReadASN1(&contents, casn1.SEQUENCE) || !data.ReadASN1(&others, casn1.SEQUENCE) || !data.Empty() {
		return out, malformedCMC(errPKIData)
	}
	seen := map[uint32]bool{0: true} // 0 stands for the message itself (RFC 5272 section 3.2.2)
	var first error
	for n := 0; !controls.Empty(); n++ {
		if n == maxCMCControls {
			return out, faulty(failBadRequest, 0, "the message has more than %d controls", maxCMCControls)
		}
		if err := out.control(&controls, seen); err != nil && first == nil {
			first = err // the others are read all the same: the answer repeats what they hold
		}
	}
	switch {
	case first != nil:
		return out, first
	case !contents.Empty() || !others.Empty():
		return out, unsupported(0, "messages within the message are not read here")
	case requests.Empty() && out.token != "":
		return out, nil
	case requests.Empty() || out.token != "":
		return out, faulty(failBadRequest, 0, "the message holds one request, or asks after one")
	}
	if err := out.tagged(&requests, seen); err != nil {
		return out, err
	}
	if !requests.Empty() {
		return out, unsupported(0, "the message holds more than one request: send one a message")
	}
	return out, nil
}

func malformedCMC(cause error) *fault {
	f := faulty(failBadRequest, 0, "the body is not a full PKI request (RFC 5272 section 3.2)")
	f.Cause = cause
	return f
}

// readPartID reads the id of a body part, which no other has.
func readPartID(in *cryptobyte.String, seen map[uint32]bool) (id uint32, err error) {
	if !in.ReadASN1Integer(&id) {
		return 0, malformedCMC(errPKIData)
	}
	if seen[id] {
		return 0, faulty(failBadRequest, id, "two parts of the message have the id %d, or one has 0", id)
	}
	seen[id] = true
	return id, nil
}

// control reads one TaggedAttribute (RFC 5272 section 3.2.1.1).
func (p *pkiData) control(in *cryptobyte.String, seen map[uint32]bool) error {
	var one, values, value cryptobyte.String
	var kind pkix.OID
	var tag casn1.Tag
	if !in.ReadASN1(&one, casn1.SEQUENCE) {
		*in = nil
		return malformedCMC(errPKIData)
	}
	part, err := readPartID(&one, seen)
	if err != nil {
		return err
	}
	if !one.ReadASN1ObjectIdentifier((*pkix.OID)(&kind)) || !one.ReadASN1(&values, casn1.SET) || !one.Empty() {
		return faulty(failBadRequest, part, "a control of the message is malformed")
	}
	wrong := faulty(failBadRequest, part, "the control %s is not what it should be, stands there twice, or is too long", kind)
	if !values.ReadAnyASN1Element(&value, &tag) || !values.Empty() {
		return wrong
	}
	octets := func(into *[]byte, most int) error {
		var text []byte
		if *into != nil || !value.ReadASN1Bytes(&text, casn1.OCTET_STRING) || !value.Empty() || len(text) > most {
			return wrong
		}
		*into = append([]byte{}, text...)
		return nil
	}
	switch {
	case kind.Equal(oidTransactionID):
		var number []byte
		if minimal := value; p.transaction != nil || !minimal.ReadASN1Integer(new(big.Int)) || !value.ReadASN1Bytes(&number, casn1.INTEGER) || !value.Empty() || len(number) == 0 || len(number) > maxTransactionID {
			return wrong
		}
		p.transaction = number
		return nil
	case kind.Equal(oidSenderNonce):
		return octets(&p.nonce, maxCMCNonce)
	case kind.Equal(oidDataReturn):
		return octets(&p.dataReturn, maxDataReturn)
	case kind.Equal(oidQueryPending):
		var token []byte
		if err := octets(&token, maxPendToken); err != nil || p.token != "" || len(token) == 0 {
			return wrong
		}
		p.token, p.part = string(token), part
		return nil
	case kind.Equal(oidRegInfo): // for people (RFC 5272 section 6.10)
		return nil
	}
	return unsupported(part, "the control %s is not served here", kind)
}

// tagged reads one TaggedRequest (RFC 5272 section 3.2.1.2).
func (p *pkiData) tagged(in *cryptobyte.String, seen map[uint32]bool) error {
	var one, request cryptobyte.String
	var tag casn1.Tag
	if !in.ReadAnyASN1(&one, &tag) {
		return malformedCMC(errPKIData)
	}
	if tag != casn1.Tag(0).ContextSpecific().Constructed() { // crm and orm
		return unsupported(0, "requests in CRMF, or in other formats, are not read here: send PKCS #10")
	}
	part, err := readPartID(&one, seen)
	if err != nil {
		return err
	}
	if p.part = part; !one.ReadASN1Element(&request, casn1.SEQUENCE) || !one.Empty() {
		return faulty(failBadRequest, part, "the request in the message is malformed")
	}
	p.request = request
	return nil
}
