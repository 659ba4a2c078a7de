package est

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/enrollgate/enrollgate/ca/credential"
	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/ca/profile"
	"github.com/enrollgate/enrollgate/protocols/internal/cms"
	"github.com/enrollgate/enrollgate/test/fixture"
)

// written is a PKIData to write.
type written struct {
	controls []writtenControl
	requests [][]byte // whole TaggedRequests
	contents []byte
}

type writtenControl struct {
	part  int64
	kind  pkix.OID
	value []byte
}

// tcr is a TaggedRequest with a PKCS #10 request.
func tcr(part int64, csr []byte) []byte {
	var b cryptobyte.Builder
	b.AddASN1(casn1.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
		b.AddASN1Int64(part)
		b.AddBytes(csr)
	})
	return b.BytesOrPanic()
}

func (w written) marshal() []byte {
	var out cryptobyte.Builder
	out.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
			for _, c := range w.controls {
				b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1Int64(c.part)
					b.AddASN1ObjectIdentifier(c.kind)
					b.AddASN1(casn1.SET, func(b *cryptobyte.Builder) { b.AddBytes(c.value) })
				})
			}
		})
		b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
			for _, one := range w.requests {
				b.AddBytes(one)
			}
		})
		b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddBytes(w.contents) })
		b.AddASN1(casn1.SEQUENCE, func(*cryptobyte.Builder) {})
	})
	return out.BytesOrPanic()
}

// message signs a PKIData with a key; the certificate goes into the message.
func message(t *testing.T, content []byte, key crypto.Signer, certificate []byte) []byte {
	t.Helper()
	own, err := cms.ReadCertificate(certificate)
	if err != nil {
		t.Fatal(err)
	}
	der, err := cms.Sign(oidPKIData, content, [][]byte{certificate}, nil, cms.Signer{Key: key, Certificate: own})
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// fullcmc posts a message in the usual form.
func (k *kit) fullcmc(der []byte, u user, with *tls.Certificate) reply {
	return k.do(sent{method: "POST", path: at + "/fullcmc", body: []byte(base64.StdEncoding.EncodeToString(der)), mediaType: "application/pkcs7-mime; smime-type=CMC-request", user: u, certificate: with})
}

// answered is what a full PKI response says.
type answered struct {
	status       int
	parts        []int
	text         string
	info         int // -1: none
	pendToken    string
	controls     map[string][]byte // DER of the values
	certificates [][]byte
}

// response reads a full PKI response and verifies its signature.
func (k *kit) response(what string, r reply, status int) (out answered) {
	k.Helper()
	if r.status != status || r.header.Get("Content-Type") != "application/pkcs7-mime; smime-type=CMC-response" || r.header.Get("Content-Length") != strconv.Itoa(len(r.body)) {
		k.Fatalf("%s: %d %v %s, want %d", what, r.status, r.header, r.body, status)
	}
	der, err := base64.StdEncoding.DecodeString(r.body)
	if err != nil {
		k.Fatal(err)
	}
	signed, err := cms.ReadSigned(der, cms.Limits{})
	if err != nil {
		k.Fatal(err)
	}
	signer, err := signed.Signer()
	if err != nil {
		k.Fatal(err)
	}
	if err := signed.Verify(signer, ra.signatory.Key.Public(), cms.Floor{}); err != nil || !signed.ContentType.Equal(oidPKIResponse) {
		k.Fatal(signed.ContentType, err)
	}
	var content struct {
		Controls []struct {
			ID     int
			Kind   asn1.ObjectIdentifier
			Values asn1.RawValue
		}
		Contents, Others []asn1.RawValue
	}
	if rest, err := asn1.Unmarshal(signed.Content, &content); err != nil || len(rest) > 0 {
		k.Fatal(rest, err)
	}
	out.controls, out.certificates, out.info = map[string][]byte{}, signed.Certificates, -1
	for _, c := range content.Controls {
		out.controls[c.Kind.String()] = c.Values.Bytes
	}
	in := cryptobyte.String(out.controls[oidStatusInfoV2.String()])
	var info, parts, text, pending cryptobyte.String
	var there bool
	if !in.ReadASN1(&info, casn1.SEQUENCE) || !info.ReadASN1Integer(&out.status) || !info.ReadASN1(&parts, casn1.SEQUENCE) || !info.ReadOptionalASN1(&text, &there, casn1.UTF8String) {
		k.Fatal("no status")
	}
	for !parts.Empty() {
		var one int
		if !parts.ReadASN1Integer(&one) {
			k.Fatal("no body part id")
		}
		out.parts = append(out.parts, one)
	}
	out.text = string(text)
	if info.PeekASN1Tag(casn1.INTEGER) && !info.ReadASN1Integer(&out.info) {
		k.Fatal("no failInfo")
	}
	if info.ReadASN1(&pending, casn1.Tag(0).ContextSpecific().Constructed()) {
		var token cryptobyte.String
		var until time.Time
		if !pending.ReadASN1(&token, casn1.OCTET_STRING) || !pending.ReadASN1GeneralizedTime(&until) || !until.After(k.Now().Add(-time.Minute)) {
			k.Fatal("no pendInfo")
		}
		out.pendToken = string(token)
	}
	if !info.Empty() {
		k.Fatal("more than a status")
	}
	return out
}

// issuedIn is the one certificate of a response that is not the signer's.
func (k *kit) issuedIn(a answered) *x509.Certificate {
	k.Helper()
	if a.status != 0 || a.info != -1 || len(a.certificates) != 2 || !bytes.Equal(a.certificates[1], ra.signatory.Certificates[0]) {
		k.Fatalf("%+v", a)
	}
	c, err := x509.ParseCertificate(a.certificates[0])
	if err != nil {
		k.Fatal(err)
	}
	return c
}

func integer(n int64) []byte {
	var b cryptobyte.Builder
	b.AddASN1Int64(n)
	return b.BytesOrPanic()
}

// TestFullCMC: a full PKI request with one PKCS #10 request, signed by its key, is
// answered with a full PKI response; what it says of itself comes back.
func TestFullCMC(t *testing.T) {
	k := newKit(t, nil)
	u := k.user("one", 2)
	key := fixture.Key(t)
	csr := fixture.CSR(t, key, "device-1", "device-1.example")
	data := written{controls: []writtenControl{{2, oidTransactionID, integer(77)}, {3, oidSenderNonce, octets("nonce")}, {4, oidDataReturn, octets("mine")}, {5, oidRegInfo, octets("x")}}, requests: [][]byte{tcr(9, csr)}}
	der := message(t, data.marshal(), key, ownCertificate(t, key, 0))
	got := k.response("first", k.fullcmc(der, u, nil), http.StatusOK)
	c := k.issuedIn(got)
	if !key.PublicKey.Equal(c.PublicKey) || c.Subject.CommonName != "device-1" || len(got.parts) != 1 || got.parts[0] != 9 {
		t.Errorf("%s, about %v", c.Subject, got.parts)
	}
	for control, want := range map[string][]byte{oidTransactionID.String(): integer(77), oidRecipientNonce.String(): octets("nonce"), oidDataReturn.String(): octets("mine")} {
		if !bytes.Equal(got.controls[control], want) {
			t.Errorf("control %s: %x, want %x", control, got.controls[control], want)
		}
	}
	if len(got.controls) != 5 || len(got.controls[oidSenderNonce.String()]) != 18 {
		t.Errorf("controls %v", got.controls)
	}
	if again := k.issuedIn(k.response("the same request", k.fullcmc(der, u, nil), http.StatusOK)); !again.Equal(c) {
		t.Error("the same request gets another certificate")
	}
	// The key is named by its identifier, and no certificate is in the message.
	bare := ownCertificate(t, key, 0)
	own, err := cms.ReadCertificate(bare)
	if err != nil {
		t.Fatal(err)
	}
	keyed, err := cms.Sign(oidPKIData, written{requests: [][]byte{tcr(1, fixture.CSR(t, key, "device-1"))}}.marshal(), nil, nil, cms.Signer{Key: key, Certificate: own, ByKeyID: true})
	if err != nil {
		t.Fatal(err)
	}
	k.issuedIn(k.response("named by its key", k.fullcmc(keyed, u, nil), http.StatusOK))
	k.refused("no password", k.fullcmc(der, user{}, nil), http.StatusUnauthorized, "user name")
	used := k.response("used up", k.fullcmc(message(t, written{requests: [][]byte{tcr(1, fixture.CSR(t, key, "device-2"))}}.marshal(), key, bare), u, nil), http.StatusUnauthorized)
	if used.info != int(failBadIdentity) || !strings.Contains(used.text, "used already") {
		t.Errorf("%+v", used)
	}
}

// TestSimpleCMC: a PKCS #10 request alone is answered with certificates alone, and
// refused in a full PKI response (RFC 5272 section 3.1).
func TestSimpleCMC(t *testing.T) {
	k := newKit(t, nil)
	u := k.user("one", credential.Unlimited)
	post := func(body []byte, mediaType string) reply {
		return k.do(sent{method: "POST", path: at + "/fullcmc", body: body, mediaType: mediaType, user: u})
	}
	csr := fixture.CSR(t, fixture.Key(t), "device-1")
	k.issued(post(csr, "application/pkcs10"))
	spoilt := bytes.Clone(csr)
	spoilt[len(spoilt)-1] ^= 1
	bad := k.response("not signed by its key", post(spoilt, "application/pkcs10"), http.StatusBadRequest)
	if bad.status != int(cmcFailed) || bad.info != int(failPOPFailed) || len(bad.parts) != 1 || bad.parts[0] != 1 || !strings.Contains(bad.text, "[trace ") {
		t.Errorf("%+v", bad)
	}
	k.refused("another type", post(csr, "text/plain"), http.StatusUnsupportedMediaType, "application/pkcs7-mime")
	k.refused("too long", post(make([]byte, maxBody+1), "application/pkcs7-mime"), http.StatusRequestEntityTooLarge, "longer")
	k.refused("no registration authority", k.do(sent{method: "POST", path: "/one/spare/" + signing + "/fullcmc", body: csr, mediaType: "application/pkcs10", user: u}), http.StatusNotFound, "no such EST endpoint or operation")
}

// TestCMCRenewal: the client certificate of the connection is renewed, by a
// message that its key or the new one signed, and by no other.
func TestCMCRenewal(t *testing.T) {
	k := newKit(t, nil)
	held := k.holder("device-1", k.user("one", 1))
	old := held.PrivateKey.(*ecdsa.PrivateKey)
	next, stranger := fixture.Key(t), fixture.Key(t)
	data := written{requests: [][]byte{tcr(1, fixture.CSR(t, next, ""))}}.marshal()
	renewed := k.issuedIn(k.response("signed by the old key", k.fullcmc(message(t, data, old, held.Leaf.Raw), user{}, held), http.StatusOK))
	if !next.PublicKey.Equal(renewed.PublicKey) || renewed.Subject.String() != held.Leaf.Subject.String() {
		t.Errorf("renewed as %s", renewed.Subject)
	}
	k.issuedIn(k.response("signed by the new key", k.fullcmc(message(t, data, next, ownCertificate(t, next, 0)), user{}, held), http.StatusOK))
	for what, der := range map[string][]byte{
		"signed by somebody else":    message(t, data, stranger, ownCertificate(t, stranger, 0)),
		"signed in somebody's name":  message(t, data, stranger, held.Leaf.Raw),
		"signed as the key in there": message(t, data, stranger, ownCertificate(t, next, 0)),
	} {
		if got := k.response(what, k.fullcmc(der, user{}, held), map[bool]int{true: http.StatusForbidden, false: http.StatusBadRequest}[what == "signed by somebody else"]); got.status != int(cmcFailed) ||
			got.info != int(failBadIdentity) && got.info != int(failBadMessageCheck) {
			t.Errorf("%s: %+v", what, got)
		}
	}
	other := k.response("another name", k.fullcmc(message(t, written{requests: [][]byte{tcr(1, fixture.CSR(t, next, "device-2"))}}.marshal(), old, held.Leaf.Raw), user{}, held), http.StatusForbidden)
	if !strings.Contains(other.text, "keeps the subject") {
		t.Errorf("%+v", other)
	}
}

// What a message may not hold is refused in its own terms, and nothing is issued.
func TestCMCRefused(t *testing.T) {
	k := newKit(t, nil)
	u := k.user("one", credential.Unlimited)
	key := fixture.Key(t)
	own, csr := ownCertificate(t, key, 0), fixture.CSR(t, key, "device-1")
	one := [][]byte{tcr(9, csr)}
	nonce := writtenControl{2, oidSenderNonce, octets("nonce")}
	spoilt := bytes.Clone(csr)
	spoilt[len(spoilt)-1] ^= 1
	crmf := tcr(9, csr)
	crmf[0] = 0xa1
	for what, test := range map[string]struct {
		content []byte
		status  cmcStatus
		info    failInfo
		part    int
	}{
		"no PKIData":              {[]byte("\x30\x00"), cmcFailed, failBadRequest, 0},
		"nothing asked":           {written{}.marshal(), cmcFailed, failBadRequest, 0},
		"two requests":            {written{requests: [][]byte{tcr(1, csr), tcr(2, csr)}}.marshal(), cmcNoSupport, failBadRequest, 0},
		"CRMF":                    {written{requests: [][]byte{crmf}}.marshal(), cmcNoSupport, failBadRequest, 0},
		"a message in it":         {written{requests: one, contents: integer(1)}.marshal(), cmcNoSupport, failBadRequest, 0},
		"an identity proof":       {written{controls: []writtenControl{{3, cmcControl(34), octets("x")}, nonce}, requests: one}.marshal(), cmcNoSupport, failBadRequest, 3},
		"a revocation":            {written{controls: []writtenControl{{3, cmcControl(17), octets("x")}, nonce}}.marshal(), cmcNoSupport, failBadRequest, 3},
		"an id twice":             {written{controls: []writtenControl{{9, oidSenderNonce, octets("nonce")}}, requests: one}.marshal(), cmcFailed, failBadRequest, 9},
		"the id 0":                {written{requests: [][]byte{tcr(0, csr)}}.marshal(), cmcFailed, failBadRequest, 0},
		"a control twice":         {written{controls: []writtenControl{nonce, {3, oidSenderNonce, octets("x")}}, requests: one}.marshal(), cmcFailed, failBadRequest, 3},
		"a control of two values": {written{controls: []writtenControl{{3, oidDataReturn, append(octets("a"), octets("b")...)}, nonce}, requests: one}.marshal(), cmcFailed, failBadRequest, 3},
		"a long nonce":            {written{controls: []writtenControl{{3, oidSenderNonce, octets(strings.Repeat("x", 257))}}, requests: one}.marshal(), cmcFailed, failBadRequest, 3},
		"no INTEGER":              {written{controls: []writtenControl{{3, oidTransactionID, octets("x")}, nonce}, requests: one}.marshal(), cmcFailed, failBadRequest, 3},
		"a question and request":  {written{controls: []writtenControl{{3, oidQueryPending, octets("x")}, nonce}, requests: one}.marshal(), cmcFailed, failBadRequest, 0},
		"no PKCS #10":             {written{requests: [][]byte{tcr(9, integer(1))}}.marshal(), cmcFailed, failBadRequest, 9},
		"another key's":           {written{requests: [][]byte{tcr(9, spoilt)}}.marshal(), cmcFailed, failPOPFailed, 9},
	} {
		got := k.response(what, k.fullcmc(message(t, test.content, key, own), u, nil), http.StatusBadRequest)
		if got.status != int(test.status) || got.info != int(test.info) || len(got.parts) != 1 || got.parts[0] != test.part || !strings.HasSuffix(got.text, "]") || len(got.certificates) != 1 {
			t.Errorf("%s: %+v", what, got)
		}
		if bytes.Contains(test.content, octets("nonce")) && !bytes.Equal(got.controls[oidRecipientNonce.String()], octets("nonce")) {
			t.Errorf("%s: the nonce does not come back", what)
		}
	}
	for what, body := range map[string][]byte{"no CMS": []byte("hello"), "a certs-only message": certsOnly(t, own), "another content": otherContent(t, key, own)} {
		if got := k.response(what, k.fullcmc(body, u, nil), http.StatusBadRequest); got.info != int(failBadRequest) {
			t.Errorf("%s: %+v", what, got)
		}
	}
	if unknown := k.response("an unknown request", k.fullcmc(message(t, written{controls: []writtenControl{{3, oidQueryPending, octets("x")}}}.marshal(), key, own), u, nil), http.StatusNotFound); unknown.info != int(failBadCertID) {
		t.Errorf("%+v", unknown)
	}
	if strings.Contains(k.logged.String(), "certificate.issued") {
		t.Error("something was issued")
	}
}

func certsOnly(t *testing.T, certificate []byte) []byte {
	t.Helper()
	der, err := cms.Degenerate([][]byte{certificate}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func otherContent(t *testing.T, key crypto.Signer, certificate []byte) []byte {
	t.Helper()
	own, err := cms.ReadCertificate(certificate)
	if err != nil {
		t.Fatal(err)
	}
	der, err := cms.Sign(cms.OIDData, []byte("x"), [][]byte{certificate}, nil, cms.Signer{Key: key, Certificate: own})
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// TestCMCPending: a request waits for an operator, and is asked after by its token
// or by being sent again (RFC 5272 sections 6.1.2 and 6.12).
func TestCMCPending(t *testing.T) {
	k := newKit(t, func(k *kit) { k.change = func(w *profile.Written) { w.Approval = "manual" } })
	u, other := k.user("one", credential.Unlimited), k.user("one", credential.Unlimited)
	key := fixture.Key(t)
	own := ownCertificate(t, key, 0)
	der := message(t, written{requests: [][]byte{tcr(1, fixture.CSR(t, key, "device-1"))}}.marshal(), key, own)
	r := k.fullcmc(der, u, nil)
	waiting := k.response("waiting", r, http.StatusAccepted)
	if waiting.status != int(cmcPending) || waiting.pendToken == "" || r.header.Get("Retry-After") == "" {
		t.Fatalf("%+v %v", waiting, r.header)
	}
	question := message(t, written{controls: []writtenControl{{5, oidQueryPending, octets(waiting.pendToken)}}}.marshal(), key, own)
	if again := k.response("asked after", k.fullcmc(question, u, nil), http.StatusAccepted); again.status != int(cmcPending) || again.pendToken != waiting.pendToken || again.parts[0] != 5 {
		t.Errorf("%+v", again)
	}
	k.response("asked after by somebody else", k.fullcmc(question, other, nil), http.StatusNotFound)
	k.Decide(waiting.pendToken, true)
	k.Settle()
	c := k.issuedIn(k.response("issued", k.fullcmc(question, u, nil), http.StatusOK))
	if again := k.issuedIn(k.response("sent again", k.fullcmc(der, u, nil), http.StatusOK)); !again.Equal(c) || !key.PublicKey.Equal(c.PublicKey) {
		t.Error("another certificate")
	}
}

// FuzzPKIData: whatever comes, nothing is read beyond its bounds, and what is
// read can be answered.
func FuzzPKIData(f *testing.F) {
	csr, err := base64.StdEncoding.DecodeString("MIHHMG4CAQAwDDEKMAgGA1UEAwwBeDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABA==")
	if err != nil {
		f.Fatal(err)
	}
	for _, w := range []written{
		{},
		{requests: [][]byte{tcr(1, csr)}},
		{controls: []writtenControl{{2, oidTransactionID, integer(1 << 40)}, {3, oidSenderNonce, octets("nonce")}, {4, oidDataReturn, octets("x")}}, requests: [][]byte{tcr(9, integer(1))}},
		{controls: []writtenControl{{5, oidQueryPending, octets("token")}, {6, oidRegInfo, octets("x")}, {7, cmcControl(34), octets("x")}}},
	} {
		f.Add(w.marshal())
	}
	f.Add([]byte("\x30\x80\x30\x00\x30\x00\x30\x00\x30\x00\x00\x00")) // BER
	f.Fuzz(func(t *testing.T, ber []byte) {
		p, err := readPKIData(ber)
		if p == nil {
			t.Fatal("nothing to answer to")
		}
		if len(p.nonce) > maxCMCNonce || len(p.dataReturn) > maxDataReturn || len(p.transaction) > maxTransactionID || len(p.token) > maxPendToken {
			t.Fatalf("over a bound: %+v", p)
		}
		if err == nil && (p.request == nil) == (p.token == "") {
			t.Fatalf("%+v", p)
		}
		der, err := (&pkiResponse{to: p, status: cmcFailed, part: p.part}).marshal()
		if err != nil {
			t.Fatal(err)
		}
		var back asn1.RawValue
		if rest, err := asn1.Unmarshal(der, &back); err != nil || len(rest) > 0 {
			t.Fatalf("%x: %v", der, err)
		}
	})
}
