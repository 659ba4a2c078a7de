package scep

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/protocols/internal/cms"
)

// reach is how far a message of a type gets: nowhere, to the core, or to a certificate.
type reach int

const (
	nowhere reach = iota
	asked         // the core was asked, and has issued nothing
	issues
)

// stance is one state of authentication.
type stance struct {
	name    string
	secret  func(*kit) string // nil: none
	signer  string            // of the certificates that certified makes; "": its own
	path    string            // "": at
	late    bool              // long after the certificate has ended
	pkcs    reach
	renewal reach
}

const (
	staticSecret = "the secret of every device"
	atStatic     = Prefix + "/one/issuing/" + other
	atAddress    = Prefix + "/one/spare/" + dual
	atTwo        = Prefix + "/two/issuing/" + dual
)

// stances are made new for each message: secrets are used up.
var stances = []stance{
	{name: "no secret"},
	{name: "wrong secret", secret: func(*kit) string { return "00000000000000000000000000" }},
	{name: "spent secret", secret: (*kit).spent, pkcs: asked},
	{name: "one-time secret", secret: func(k *kit) string { return k.secret() }, pkcs: issues},
	{name: "static secret", secret: func(*kit) string { return staticSecret }, path: atStatic, pkcs: issues},
	{name: "wrong static secret", secret: func(*kit) string { return staticSecret + "." }, path: atStatic},
	{name: "static secret elsewhere", secret: func(*kit) string { return staticSecret }},
	{name: "admitted address", path: atAddress, pkcs: issues},
	{name: "certificate in force", signer: "in force", pkcs: issues, renewal: issues},
	{name: "certificate in force, spent secret", signer: "in force", secret: (*kit).spent, pkcs: issues, renewal: issues},
	{name: "certificate revoked", signer: "revoked"},
	{name: "certificate revoked, one-time secret", signer: "revoked", secret: func(k *kit) string { return k.secret() }},
	{name: "certificate of another tenant", signer: "tenant two"},
	{name: "certificate of another CA", signer: "CA spare"},
	{name: "certificate of another profile", signer: "other profile"},
	{name: "certificate expired", signer: "expired", late: true, pkcs: asked, renewal: asked},
	{name: "certificate made up", signer: "made up"},
}

// stanceKit serves an endpoint for each policy, and makes the certificates that
// messages are signed by.
func stanceKit(t *testing.T) (*kit, map[string]*client) {
	k := newKit(t, func(k *kit) {
		k.adapt = func(o *Options) {
			o.Own["one-issuing-"+other] = Own{StaticSecret: []byte(staticSecret)}
			o.Own["one-spare-"+dual] = Own{Addresses: loopback}
		}
	}, endpointOf("one", "issuing", dual), endpointOf("two", "issuing", dual), endpointOf("one", "issuing", other, byStatic), endpointOf("one", "spare", dual, byAddress))
	k.lists["issuing"] = []byte{0x30, 0}
	certified := map[string]*client{"": k.newClient(1), "made up": k.newClient(1)}
	for _, from := range []struct {
		name, path, secret string
		key                int
	}{{"in force", at, k.secret(), 2}, {"revoked", at, k.secret(), 1}, {"expired", at, k.secret(), 1},
		{"tenant two", atTwo, k.secret(ofTwo), 1}, {"CA spare", atAddress, "", 1}, {"other profile", atStatic, staticSecret, 3}} {
		c := k.newClient(from.key)
		c.path = from.path
		c.certificate = c.issued(c.enroll(with(from.secret))).Raw
		c.path = at
		certified[from.name] = c
	}
	k.Revoke(parsed(t, certified["revoked"].certificate).SerialNumber.Bytes(), ca.Superseded)
	certified["made up"].certificate = certificateLike(t, rsaKey(t, 1), parsed(t, certified["in force"].certificate))
	return k, certified
}

// stand gives the client of a stance and the request that it sends.
func (s *stance) stand(k *kit, certified map[string]*client) (*client, []byte) {
	c := *certified[s.signer]
	c.transaction = ca.RandomID(16)
	if s.path != "" {
		c.path = s.path
	}
	if k.Late(0); s.late {
		k.Late(time.Until(parsed(k, c.certificate).NotAfter) + time.Hour)
	}
	secret := ""
	if s.secret != nil {
		secret = s.secret(k)
	}
	return &c, c.csr(with(secret))
}

// listed is every messageType that is answered.
var listed = []messageType{renewalReq, pkcsReq, certPoll, getCert, getCRL}

// TestListedTypes: which pairs of a listed messageType and a state of
// authentication get to the core, and which of them to a certificate.
func TestListedTypes(t *testing.T) {
	k, certified := stanceKit(t)
	for _, s := range stances {
		for _, kind := range listed {
			c, content := s.stand(k, certified)
			want := map[messageType]reach{pkcsReq: s.pkcs, renewalReq: s.renewal}[kind]
			switch kind {
			case certPoll:
				content = k.about("device-1")
			case getCert, getCRL:
				content = number(k, certified["in force"].certificate)
			}
			issued, burnt, enroll, poll := k.events(), k.burnt("one"), k.reached.enroll.Load(), k.reached.poll.Load()
			r := c.ask(kind, content)
			if got := k.reached.enroll.Load() - enroll; (got > 0) != (want > nowhere) || got > 1 {
				t.Errorf("%s, %s: the core was asked %d times", s.name, messages[kind].name, got)
			}
			if got := k.reached.poll.Load() - poll; (got > 0) != (kind == certPoll) || got > 2 {
				t.Errorf("%s, %s: the core was polled %d times", s.name, messages[kind].name, got)
			}
			after, found := k.events(), (kind == getCert || kind == getCRL) && s.mayRead()
			if got := after["certificate.issued"] - issued["certificate.issued"]; (got == 1) != (want == issues) || got > 1 || (r.status == success) != (want == issues || found) {
				t.Errorf("%s, %s: %s %s %q, %d issued", s.name, messages[kind].name, r.status, r.fail, r.text, got)
			}
			used := want == issues && s.name == "one-time secret"
			if got := k.burnt("one") - burnt; (got == 1) != used || after["request.parked"] != 0 {
				t.Errorf("%s, %s: %d secrets were used", s.name, messages[kind].name, got)
			}
		}
	}
	if k.seen.Panics() != 0 {
		t.Error("a panic")
	}
}

// mayRead tells whether GetCert and GetCRL are answered: a certificate of the CA
// that is in force has signed, whatever its profile is.
func (s *stance) mayRead() bool { return s.signer == "in force" || s.signer == "other profile" }

// TestUnlistedTypes: a type that is not listed is refused in every state of
// authentication before its signature, its envelope or its certificate are looked
// at (design.md, invariant 1). The message is signed for type 19 and its type then
// changed, so that nothing else is wrong with it.
func TestUnlistedTypes(t *testing.T) {
	k, certified := stanceKit(t)
	for _, s := range stances {
		c, csr := s.stand(k, certified)
		raw := c.message(pkcsReq, c.envelope(csr))
		right, forged := k.message(raw), k.message(raw)
		forged.signer.Signature[9] ^= 1 // what is refused first is not the signature
		events, burnt, reached, uses := k.events(), k.burnt("one"), k.reached.total(), k.ra.uses.Load()
		for kind := range messageType(256) {
			if _, ok := messages[kind]; ok {
				continue
			}
			for _, m := range []*message{right, forged} {
				m.kind = kind
				out, err := k.door.perform(k.request(c.path), m)
				if r := rejectionOf(err); out != nil || r == nil || r.fail != badRequest || r.text != fmt.Sprintf("messages of type %d are not answered here", kind) {
					t.Errorf("%s, %d: %v", s.name, kind, err)
				}
			}
		}
		if after := k.events(); k.reached.total() != reached || k.ra.uses.Load() != uses || k.burnt("one") != burnt || after["certificate.issued"] != events["certificate.issued"] {
			t.Errorf("%s: something was looked at", s.name)
		}
	}
	if len(messages) != len(listed) {
		t.Errorf("%d types are listed", len(messages))
	}
}

// TestTypesByHTTP: the same from end to end, for who has all that can be had: a
// certificate in force and a right secret.
func TestTypesByHTTP(t *testing.T) {
	k, certified := stanceKit(t)
	c := *certified["in force"]
	envelope := c.envelope(c.csr(with(k.secret())))
	events, reached, uses := k.events(), k.reached.total(), k.ra.uses.Load()
	for kind := range messageType(256) {
		if _, ok := messages[kind]; !ok {
			k.refused(strconv.Itoa(int(kind)), c.read(k.post(at, c.message(kind, envelope))), badRequest, fmt.Sprintf("type %d are not answered", kind))
		}
	}
	if k.reached.total() != reached || k.ra.uses.Load() != uses || k.events()["certificate.issued"] != events["certificate.issued"] {
		t.Error("something was looked at")
	}
	if n := k.seen.Replies("one-issuing-" + dual + " PKIOperation badRequest"); n != 256-len(listed) {
		t.Errorf("%d were counted", n)
	}
}

// TestFormsOfTheType: a messageType that is no number from 0 to 255 is no message.
func TestFormsOfTheType(t *testing.T) {
	k, certified := stanceKit(t)
	c := certified["in force"]
	envelope := c.envelope(c.csr(with(k.secret())))
	transaction, sender := printable(oidTransaction, c.transaction), octets(oidSenderNonce, nonce)
	integer := func(n int64) cms.Attribute {
		var b cryptobyte.Builder
		b.AddASN1Int64(n)
		return cms.NewAttribute(oidMessageType, b.BytesOrPanic())
	}
	two := printable(oidMessageType, "19")
	two.Values = append(two.Values, printable(oidMessageType, "2").Values...)
	reached, uses := k.reached.total(), k.ra.uses.Load()
	for what, kind := range map[string]cms.Attributes{
		"missing": nil, "empty": {printable(oidMessageType, "")}, "words": {printable(oidMessageType, "PKC")}, "256": {printable(oidMessageType, "256")}, "999": {printable(oidMessageType, "999")},
		"four digits": {printable(oidMessageType, "0019")}, "signed": {printable(oidMessageType, "+19")}, "negative": {printable(oidMessageType, "-1")}, "blank": {printable(oidMessageType, " 19")},
		"hexadecimal": {printable(oidMessageType, "x13")}, "fraction": {printable(oidMessageType, "1.9")}, "with an end": {printable(oidMessageType, "19\x00")},
		"integer": {integer(19)}, "octets": {octets(oidMessageType, []byte("19"))}, "two values": {two}, "no value": {{Type: oidMessageType}},
		"arabic digits": {text(oidMessageType, casn1.UTF8String, "١٩")}, "BMPString": {text(oidMessageType, casn1.Tag(30), "\x001\x009")},
	} {
		if a := k.post(at, c.signed(envelope, append(kind, transaction, sender))); a.status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", what, a.status, a.body)
		}
	}
	if k.reached.total() != reached || k.ra.uses.Load() != uses {
		t.Error("something was looked at")
	}
	for what, kind := range map[string]cms.Attribute{"UTF8String": text(oidMessageType, casn1.UTF8String, "19"), "IA5String": text(oidMessageType, casn1.IA5String, "19")} {
		if r := c.read(k.post(at, c.signed(envelope, cms.Attributes{kind, transaction, sender}))); r.status != success {
			t.Errorf("%s: %s %s", what, r.fail, r.text)
		}
	}
}

// spent is a secret that has got its one certificate.
func (k *kit) spent() string {
	k.Helper()
	secret := k.secret()
	c := k.newClient(3)
	c.issued(c.enroll(with(secret), named("spender")))
	return secret
}

// message reads one.
func (k *kit) message(raw []byte) *message {
	k.Helper()
	m, err := readMessage(raw)
	if err != nil {
		k.Fatal(err)
	}
	return m
}

// request is one at a path, without a network.
func (k *kit) request(path string) *request {
	k.Helper()
	hr := httptest.NewRequestWithContext(k.Context(), http.MethodPost, path+"?operation=PKIOperation", nil)
	hr.RemoteAddr = "127.0.0.1:1"
	e := k.door.paths[path[len(Prefix)+1:]]
	if e == nil {
		k.Fatal(path)
	}
	return &request{Request: hr, endpoint: e, trace: ca.NewTrace(), operation: unlisted}
}
