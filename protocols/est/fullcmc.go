package est

import (
	"bytes"
	"errors"
	"net/http"
	"strconv"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/protocols/internal/cms"
	"github.com/enrollgate/enrollgate/protocols/internal/httpx"
)

// Media types of full CMC (RFC 7030 section 4.3, RFC 5273 section 3).
const (
	typeCMC         = "application/pkcs7-mime"
	typeCMCResponse = "application/pkcs7-mime; smime-type=CMC-response"
)

// fullcmc answers a full PKI request with a full PKI response, and a simple one,
// which is a PKCS #10 request alone, with certificates alone (RFC 7030 section
// 4.3, RFC 5272 sections 3.1 and 3.2). Who asks is found out as everywhere; the
// signature of the message is verified besides. A client with a certificate of
// ours renews it.
func (d *Door) fullcmc(w http.ResponseWriter, r *request) error {
	if r.endpoint.signer == nil { // nobody here could sign a response
		return missing()
	}
	renewing, err := d.renews(r)
	if err != nil {
		return err
	}
	id, err := d.authenticate(r, renewing)
	if err != nil {
		return err
	}
	// RFC 5272 section 3.1: a simple request has the body part id 1.
	asked, simple := &pkiData{part: 1}, false
	switch mediaType(r.Request) {
	case "application/pkcs10":
		simple = true
		asked.request, err = readRequest(r.Request)
	case typeCMC:
		var der []byte
		if der, err = readBody(r.Request, "CMS", "PKCS7"); err == nil {
			asked, err = d.readFull(r, der)
		}
	default:
		return httpx.Fail(http.StatusUnsupportedMediaType, "the content type of a full PKI request is application/pkcs7-mime (RFC 7030 section 4.3.1)")
	}
	var status *httpx.Refusal
	if errors.As(err, &status) && status.Status == http.StatusRequestEntityTooLarge {
		return err
	}
	var result ca.Result
	if err == nil {
		result, err = d.cmcIssue(r, id, asked, renewing)
	}
	switch {
	case err != nil:
		return d.refuseCMC(w, r, asked, result, err)
	case simple:
		der, err := cms.Degenerate([][]byte{result.Certificate.DER}, nil)
		if err != nil {
			return ca.InternalError(err)
		}
		return r.answer(w, typeCertificate, der)
	}
	der, err := d.respond(r, &pkiResponse{to: asked, status: cmcSuccess, part: asked.part}, result.Certificate.DER)
	if err != nil {
		return err
	}
	return r.answer(w, typeCMCResponse, der)
}

// readFull reads a full PKI request and verifies its signature.
func (d *Door) readFull(r *request, der []byte) (*pkiData, error) {
	signed, err := cms.ReadSigned(der, cmcLimits)
	if err != nil {
		return &pkiData{}, malformedCMC(err)
	}
	if !signed.ContentType.Equal(oidPKIData) {
		return &pkiData{}, malformedCMC(errPKIData)
	}
	asked, err := readPKIData(signed.Content)
	if err != nil {
		return asked, err
	}
	return asked, r.verify(signed, asked)
}

// verify checks that a message is signed by the key of its request, or by that
// of the TLS client certificate (RFC 5272 section 3.2). Without a request it may
// be signed by whom it names: who asks was found out before.
func (r *request) verify(signed *cms.SignedData, asked *pkiData) error {
	signer, err := signed.Signer()
	if err != nil {
		return malformedCMC(err)
	}
	key, err := r.signerKey(signed, signer, asked)
	if err != nil {
		return err
	}
	err = signed.Verify(signer, key.Parsed(), cms.Floor{})
	if errors.Is(err, cms.ErrAlgorithm) {
		f := faulty(failBadAlg, 0, "the message is signed with an algorithm that is not granted here")
		f.Cause = err
		return f
	}
	if err != nil {
		f := faulty(failBadMessageCheck, 0, "the signature of the message does not verify")
		f.Cause = err
		return f
	}
	return nil
}

// signerKey finds the key that a message must be signed by.
func (r *request) signerKey(signed *cms.SignedData, signer *cms.SignerInfo, asked *pkiData) (key pkix.PublicKey, err error) {
	if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		if c, err := cms.ReadCertificate(r.TLS.PeerCertificates[0].Raw); err == nil && signer.Matches(c) {
			return c.Key, nil
		}
	}
	named, found := signed.SignerCertificate(signer)
	if asked.request == nil && found == nil {
		return named.Key, nil
	}
	if asked.request != nil {
		csr, err := pkix.ParseCSR(asked.request)
		if err != nil {
			return key, faulty(failBadRequest, asked.part, "%s", err)
		}
		// Without a certificate the key is named by an identifier (RFC 5272 section
		// 4.2), however that was computed: the signature says whose it is.
		if found == nil && bytes.Equal(named.Key.Raw(), csr.Key.Raw()) || found != nil && len(signer.SubjectKeyID) > 0 {
			return csr.Key, nil
		}
	}
	f := faulty(failBadIdentity, 0, "the message must be signed by the key of its request, or by the key of the TLS client certificate")
	f.Status = http.StatusForbidden
	return key, f
}

// cmcIssue has the request of a message answered, or tells what became of one.
func (d *Door) cmcIssue(r *request, id *identity, asked *pkiData, renewing bool) (ca.Result, error) {
	if asked.token != "" {
		result := d.Core.Poll(r.Context(), id.caller, asked.token)
		return result, result.Refusal()
	}
	csr, possession, err := claim.VerifyCSR(asked.request, false)
	if err != nil {
		info := failBadRequest
		if csr != nil { // it was read, and is not signed by its key
			info = failPOPFailed
		}
		return ca.Result{}, faulty(info, asked.part, "%s", err)
	}
	q, err := d.requestOf(r, id, csr, possession)
	if err != nil {
		return ca.Result{}, err
	}
	q.Operation = ca.Enroll
	if renewing {
		if err := d.renewal(q, id); err != nil {
			return ca.Result{}, err
		}
	}
	return d.issue(r, q)
}

// respond signs a response.
func (d *Door) respond(r *request, p *pkiResponse, issued ...[]byte) ([]byte, error) {
	content, err := p.marshal()
	if err != nil {
		return nil, ca.InternalError(err)
	}
	signer, certificates, err := sign(r.Context(), r.endpoint.signer)
	if err != nil {
		return nil, err
	}
	signer.SigningTime = d.Now()
	der, err := cms.Sign(oidPKIResponse, content, append(issued, certificates...), nil, signer)
	if err != nil {
		return nil, ca.AsError(err)
	}
	return der, nil
}

// refuseCMC answers with a full PKI response, whose text is that of every other
// refusal (RFC 7030 section 4.3.2). Where it cannot be signed the refusal goes
// out as everywhere.
func (d *Door) refuseCMC(w http.ResponseWriter, r *request, asked *pkiData, result ca.Result, err error) error {
	p := &pkiResponse{to: asked, status: cmcFailed, info: failBadRequest, part: asked.part}
	var f *fault
	var lost *ca.LostEffect
	var core *ca.Error
	switch {
	case errors.As(err, &f):
		p.status, p.info, p.part = f.status, f.info, f.part
	case errors.As(err, &lost):
		p.info = failBadIdentity
	case errors.As(err, &core) && core.Kind == ca.Pending:
		p.status, p.pending, p.until = cmcPending, result.Request, d.Now().Add(core.RetryAfter)
	case errors.As(err, &core):
		p.info = infoOf[core.Kind]
	}
	p.text = refusalOf(err).Text + " [trace " + r.trace + "]"
	der, failed := d.respond(r, p)
	if failed != nil {
		return errors.Join(err, failed)
	}
	a := d.refused(w, r, err)
	body := encode(der, r.endpoint.Unfolded)
	h := w.Header()
	h.Set("Content-Type", typeCMCResponse)
	h.Set("Content-Transfer-Encoding", "base64")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(a.Status)
	w.Write(body) // an error means that the client is gone
	return nil
}
