package scep

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/http"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/protocols/internal/cms"
	"github.com/enrollgate/enrollgate/protocols/internal/httpx"
)

// messages is every type of message that is answered, with its name; the rest is
// refused before anything else is looked at (design.md, invariant 1).
var messages = map[messageType]struct {
	name  string
	serve func(*Door) func(*request, *opened) (*reply, error)
}{
	pkcsReq:    {"PKCSReq", func(d *Door) func(*request, *opened) (*reply, error) { return d.enroll }},
	renewalReq: {"RenewalReq", func(d *Door) func(*request, *opened) (*reply, error) { return d.enroll }},
	certPoll:   {"CertPoll", func(d *Door) func(*request, *opened) (*reply, error) { return d.poll }},
	getCert:    {"GetCert", func(d *Door) func(*request, *opened) (*reply, error) { return d.find }},
	getCRL:     {"GetCRL", func(d *Door) func(*request, *opened) (*reply, error) { return d.list }},
}

// pkiOperation answers a message (RFC 8894 section 4.3). One that is no message
// has no transaction to answer to, and gets a status of HTTP.
func (d *Door) pkiOperation(w http.ResponseWriter, r *request) error {
	octets, err := body(r)
	if err != nil {
		return err
	}
	m, err := readMessage(octets)
	if err != nil {
		return &httpx.Refusal{Status: http.StatusBadRequest, Text: "this is no pkiMessage (RFC 8894 section 3.2)", Cause: err}
	}
	out, err := d.perform(r, m)
	if err != nil {
		rejected := rejectionOf(err)
		if rejected == nil {
			return err
		}
		out = &reply{status: failure, fail: rejected.fail, text: rejected.text + " [trace " + r.trace + "]"}
		d.log(r, slog.LevelInfo, slog.String("fail", rejected.fail.String()), rejected)
	}
	der, err := out.seal(r.Context(), r.endpoint.ra, m, r.endpoint.digest(m))
	if err != nil {
		return ca.AsError(err)
	}
	if r.outcome = out.status.String(); out.status == failure {
		r.outcome = out.fail.String()
	}
	return send(w, typeMessage, der)
}

// digest is that of the reply: the one of the message, where it is granted.
func (e *endpoint) digest(m *message) crypto.Hash {
	hash := m.signer.Hash
	if hash == crypto.SHA1 && !e.floor.SHA1 || hash == crypto.MD5 && !e.floor.MD5 {
		return crypto.SHA256
	}
	return hash
}

// opened is a message whose signature holds, with what was in its envelope.
type opened struct {
	*message
	cipher  cms.Cipher
	content []byte
	issued  *ca.Certificate // that the signer's certificate is; nil: none that was issued here
}

// perform takes a message through: type, signature, envelope, what it asks.
func (d *Door) perform(r *request, m *message) (*reply, error) {
	row, ok := messages[m.kind]
	if !ok {
		return nil, reject(badRequest, "messages of type %d are not answered here", m.kind)
	}
	r.operation = row.name
	if err := d.verifying.message(m.signed, m.signer, m.certificate.Key.Parsed(), r.endpoint.floor); err != nil {
		if rejected := rejectionOf(err); rejected != nil {
			return nil, rejected
		}
		return nil, &rejection{badMessageCheck, "the signature of the message does not hold", err}
	}
	o := &opened{message: m}
	if d.signs(r.endpoint, m.certificate.Issuer) {
		var err error
		if o.issued, err = ca.Presented(r.Context(), d.Certificates, r.endpoint.Tenant, r.endpoint.CA, m.certificate.Raw); err != nil {
			return nil, err
		}
	}
	if err := d.open(r, o); err != nil {
		return nil, err
	}
	for _, name := range legacyOf(m.signer.Hash, o.cipher) {
		d.Observer.Legacy(&r.endpoint.Endpoint, name)
	}
	return row.serve(d)(r, o)
}

// open decrypts the envelope with the registration authority's key.
func (d *Door) open(r *request, o *opened) error {
	envelope, err := cms.ReadEnveloped(o.signed.Content, limits)
	if err != nil {
		if rejected := rejectionOf(err); rejected != nil {
			return rejected
		}
		return d.spoiled(r, o, err)
	}
	key, err := keyOf(r.Context(), r.endpoint.ra, envelope)
	if err != nil {
		return err
	}
	own, err := cms.ReadCertificate(key.Certificate)
	if err != nil {
		return ca.InternalError(err)
	}
	o.cipher = envelope.Cipher
	o.content, err = envelope.Decrypt(r.endpoint.floor, cms.RSAKey{Certificate: own, Decrypter: key.Decrypter(r.Context())})
	if errors.Is(err, cms.ErrDecrypt) || errors.Is(err, cms.ErrSyntax) {
		return d.spoiled(r, o, err)
	}
	return err // an algorithm that is not taken, or a key that cannot be asked now
}

// keyOf finds the key that one of the recipients of an envelope is named for.
func keyOf(ctx context.Context, authority RA, envelope *cms.Envelope) (*RAKey, error) {
	for _, to := range envelope.Recipients {
		if to.Kind != cms.KeyTransportRecipient {
			continue
		}
		key, err := authority.ByRecipient(ctx, to.Issuer, to.Serial, to.SubjectKeyID)
		if !ca.IsKind(err, ca.NotFound) {
			return key, err
		}
	}
	return nil, reject(badMessageCheck, "the message is encrypted to a certificate that this service does not have; fetch the current one with GetCACert")
}

// spoiled is the end of a message whose content cannot be used. The signature
// of the message is verified once more: as much work as for one whose content has
// a signature to verify.
func (d *Door) spoiled(r *request, o *opened, cause error) error {
	if err := d.verifying.message(o.signed, o.signer, o.certificate.Key.Parsed(), r.endpoint.floor); err != nil {
		return ca.InternalError(err) // it held a moment ago
	}
	return unusable(cause)
}

// signs tells whether a name is that of a generation of the endpoint's CA.
func (d *Door) signs(e *endpoint, issuer pkix.RawName) bool { return d.generation(e, issuer) != nil }

// generation finds the first generation of the endpoint's CA with a name; nil for
// none. Later ones with its key are its cross-certificates.
func (d *Door) generation(e *endpoint, issuer pkix.RawName) ca.Issuer {
	for _, i := range d.Generations(e.Tenant, e.CA) {
		if bytes.Equal(i.Facts().Subject, issuer) {
			return i
		}
	}
	return nil
}

// transactionOf is the id of a transaction in the record: the client's, which is
// unique for its key alone (RFC 8894 section 3.2.1.1), and which key signed it.
// Some clients have the same id for ever.
func transactionOf(m *message) string {
	key := m.certificate.Key.Hash()
	return m.transaction + "." + hex.EncodeToString(key[:sha256.Size/2])
}
