package everydoor_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/ca/profile"
	"github.com/enrollgate/enrollgate/test/fixture"
)

// evidence is what is known of an identity.
type evidence string

const (
	byWord      evidence = "word"       // who asks has a password; names are its word
	bySecret    evidence = "secret"     // the same with a challengePassword
	byDevice    evidence = "device"     // who asks has a device certificate, which proves some names
	byChallenge evidence = "challenges" // who asks has an account with a credential, and each name was proven
)

// identity is who asks for a certificate, and what for.
type identity struct {
	evidence evidence
	holder   int                // of the credential, see holders
	device   int                // of the device certificate
	proven   []pkix.GeneralName // of byChallenge, in the order of the order

	subject    pkix.RawName
	names      []pkix.GeneralName // asserted
	extensions []pkix.Extension   // beside subjectAltName
	sanAt      int                // its place among them
	notBefore  time.Time          // zero: not asked
	notAfter   time.Time
	keyType    string
}

// by is the same identity where who asks has other evidence, and nothing is proven.
func (i *identity) by(e evidence) *identity {
	said := *i
	said.evidence, said.proven = e, nil
	return &said
}

// requested are the extensions of a CSR.
func (i *identity) requested(t *testing.T) []pkix.Extension {
	if len(i.names) == 0 {
		return i.extensions
	}
	return slices.Insert(slices.Clone(i.extensions), i.sanAt, fixture.Must(pkix.MarshalSubjectAltName(i.names, i.subject.Empty()))(t))
}

// newIdentity draws one that the profile would often issue to.
func (d dice) newIdentity(t *testing.T, p *profile.Profile) *identity {
	t.Helper()
	w := p.Written()
	i := &identity{evidence: pick(d, byWord, byWord, byWord, byChallenge, byChallenge, byDevice), holder: pick(d, 0, 0, 1, 1, 2, 2, 3, 3, 4, 5), device: d.IntN(devices), keyType: d.keyType(&w)}
	issued := grantedKinds(&w)
	if i.evidence == byChallenge && !d.challenged(t, i, p) {
		i.evidence = byWord
	}
	if i.evidence != byChallenge {
		for range pick(d, 0, 1, 1, 2, 2, 3) {
			kind := pick(d, issued...)
			if d.one(25) {
				kind = pick(d, append(kindsOfNames, "other", "sid", "x400")...)
			}
			if n := d.name(t, kind); !slices.ContainsFunc(i.names, func(have pkix.GeneralName) bool { return have.Key() == n.Key() }) || d.one(10) {
				i.names = append(i.names, n)
			}
		}
		cn := pick(d, "device-7", "device-7", "d", "Ada Lovelace", "host1.corp.example")
		if at := slices.IndexFunc(i.names, func(n pkix.GeneralName) bool { return n.Kind == pkix.DNSName }); at >= 0 && (w.Subject.CNFromFirstDNS || d.one(3)) {
			cn = string(i.names[at].Raw)
		} else if w.Subject.CNFromFirstDNS && !d.one(6) {
			cn = ""
		}
		i.subject = d.subject(t, cn)
	}
	i.extensions = d.extensions(t)
	i.sanAt = d.IntN(len(i.extensions) + 1)
	return i
}

// grantedKinds are the types of names that a profile takes on somebody's word.
func grantedKinds(w *profile.Written) (kinds []string) {
	for at, names := range []*profile.WrittenNames{w.SubjectAltName.DNS, w.SubjectAltName.IP, w.SubjectAltName.Email, w.SubjectAltName.URI, w.SubjectAltName.RID,
		w.SubjectAltName.DirName, w.SubjectAltName.UPN, w.SubjectAltName.Hardware, w.SubjectAltName.Permanent} {
		if names != nil && len(names.Asserted) > 0 {
			kinds = append(kinds, kindsOfNames[at])
		}
	}
	if len(w.SubjectAltName.Other) > 0 {
		kinds = append(kinds, "other")
	}
	if len(kinds) == 0 {
		kinds = []string{"dns"}
	}
	return kinds
}

// challenged gives an identity names that challenges prove, and a request for
// exactly those (RFC 8555 section 7.4); ok is false where the profile counts none.
func (d dice) challenged(t *testing.T, i *identity, p *profile.Profile) (ok bool) {
	t.Helper()
	kinds := slices.DeleteFunc([]string{"dns", "dns", "dns", "ip", "hardware", "permanent"}, func(kind string) bool {
		_, _, offered := challengeOf(p, d.name(t, kind))
		return !offered
	})
	if d.one(20) {
		kinds = append(kinds, "dns", "ip", "hardware")
	}
	if len(kinds) == 0 {
		return false
	}
	for range 1 + d.IntN(3) {
		n := d.name(t, pick(d, kinds...))
		if n.Kind == pkix.DNSName {
			n = pkix.DNS(strings.ToLower(string(n.Raw)))
		}
		if !slices.ContainsFunc(i.proven, func(have pkix.GeneralName) bool { return have.Key() == n.Key() }) {
			i.proven = append(i.proven, n)
		}
	}
	i.names = some(d, len(i.proven), len(i.proven), i.proven...)
	var cn string
	for at, n := range i.names {
		if n.Kind != pkix.DNSName {
			continue
		}
		if d.one(3) {
			cn = string(n.Raw)
		}
		if d.one(8) {
			i.names[at] = pkix.DNS(strings.ToUpper(string(n.Raw)))
		}
	}
	if d.one(10) { // asks for whatever is proven
		i.names, cn = nil, ""
	}
	i.subject = d.subject(t, cn)
	if d.one(6) {
		i.notAfter = now.Add(time.Duration(1+d.IntN(2000)) * time.Hour)
		if d.one(3) {
			i.notBefore = now.Add(time.Duration(d.IntN(60)) * time.Minute)
		}
	}
	return true
}

// keyType is one that the profile certifies, most often.
func (d dice) keyType(w *profile.Written) string {
	fit := slices.DeleteFunc([]string{"ecdsa-p256", "ecdsa-p384", "ed25519", "rsa-2048"}, func(k string) bool {
		return !slices.Contains(w.Keys, k) && !(k == "rsa-2048" && slices.Contains(w.Keys, "rsa>=2048"))
	})
	signs := slices.ContainsFunc(w.KeyUsage.Bits, func(bit string) bool {
		return bit == "digitalSignature" || bit == "nonRepudiation" || bit == "keyCertSign"
	})
	switch {
	case d.one(40):
		return pick(d, "ecdsa-p256", "ecdsa-p384", "ed25519", "rsa-2048")
	case !signs && slices.Contains(fit, "rsa-2048"):
		return "rsa-2048"
	case slices.Contains(fit, "ecdsa-p256") && !d.one(12) || len(fit) == 0:
		return "ecdsa-p256"
	}
	return pick(d, fit...)
}

// hosts and addresses are few, so that an account need not prove them for every order.
var (
	hosts = []string{"host0.corp.example", "host1.corp.example", "host2.corp.example", "a.b.c.corp.example", "xn--bcher-kva.corp.example", "other.example", "n.test",
		strings.Repeat("long.", 14) + "corp.example"}
	addresses = []string{"10.0.0.1", "10.1.2.3", "192.0.2.7", "2001:db8::1", "2001:db8:ffff::2"}
)

func (d dice) name(t *testing.T, kind string) pkix.GeneralName {
	t.Helper()
	switch kind {
	case "dns":
		if d.one(12) {
			return pkix.DNS("*." + pick(d, hosts[:3]...))
		}
		if d.one(12) {
			return pkix.DNS(strings.ToUpper(pick(d, hosts[:3]...)))
		}
		return pkix.DNS(pick(d, hosts...))
	case "ip":
		return pkix.IP(netip.MustParseAddr(pick(d, addresses...)))
	case "email":
		return pkix.NewEmail(pick(d, "d@corp.example", "Ada.L@corp.example", "d@CORP.example", "x@other.example", "not a mailbox"))
	case "uri":
		return pkix.NewURI(pick(d, "spiffe://corp.example/d", "spiffe://corp.example/a/b", "https://other.example/?q=1", "urn:uuid:6ba7b810-9dad-11d1-80b4-00c04fd430c8"))
	case "rid":
		return fixture.Must(pkix.NewRegisteredID(pick(d, pkix.OID{1, 3, 6, 1, 4, 1, 5}, pkix.OID{1, 2, 3})))(t)
	case "dirname":
		return pkix.NewDirectoryName(pick(d, fixture.Name(t, fixture.Printable(t, "C", "DE"), fixture.UTF8(t, "O", "x")), fixture.Name(t, fixture.Printable(t, "O", "y"))))
	case "upn":
		return fixture.Must(pkix.NewUPN(pick(d, "d@corp.example", "ada@corp.example", "dä@corp.example")))(t)
	case "hardware":
		return fixture.Must(pkix.NewHardwareModule(pick(d, pkix.OID{1, 3, 6, 1, 4, 1, 47196, 1}, pkix.OID{1, 3, 6, 1, 4, 1, 99999, 6}), []byte(pick(d, serialOf(0), serialOf(1), serialOf(2), "S-77"))))(t)
	case "permanent":
		return fixture.Must(pkix.NewPermanentIdentifier(pick(d, "A-1", "A-2", "B 3"), pick(d, pkix.OID(nil), pkix.OID{1, 2, 3, 4})))(t)
	case "other":
		return fixture.Must(pkix.NewOtherName(pkix.OID{1, 3, 6, 1, 4, 1, 99999, 1}, pick(d, []byte("\x0c\x08device-1"), []byte("\x1e\x04\x00d\x00e"), []byte("\x04\x02ab"))))(t)
	case "sid":
		return pkix.NewURI("tag:microsoft.com,2022-09-14:sid:S-1-5-21-1-500")
	}
	return pkix.GeneralName{Kind: pkix.X400Address, Raw: []byte{0x30, 0}}
}

// subject draws a name with string types, values and multi-valued RDNs as clients
// send them; cn is one of its common names, where it is not empty.
func (d dice) subject(t *testing.T, cn string) pkix.RawName {
	t.Helper()
	var rdns []pkix.RDN
	values := map[string][]string{"O": {"Acme", "Müller & Söhne", "d"}, "OU": {"dept", "d1", "Abteilung 東京"}, "C": {"DE", "US"}, "L": {"Berlin"}, "SERIALNUMBER": {"FCZ123", "d-9"},
		"DC": {"corp", "example"}, "Email": {"d@corp.example"}, "T": {"Dr."}, "STREET": {"Weg 1"}, "UID": {"u1"}}
	for _, name := range some(d, 0, 4, "O", "OU", "OU", "C", "L", "SERIALNUMBER", "DC", "Email", "T", "STREET", "UID", "1.2.3.4") {
		text := "free"
		if known := values[name]; known != nil {
			text = pick(d, known...)
		}
		rdns = append(rdns, pkix.RDN{d.attribute(t, name, text)})
	}
	if cn != "" && !d.one(6) {
		rdns = slices.Insert(rdns, d.IntN(len(rdns)+1), pkix.RDN{d.attribute(t, "CN", cn)})
	}
	if len(rdns) > 1 && d.one(4) { // one multi-valued RDN of two
		rdns = append(rdns[:len(rdns)-2], append(slices.Clone(rdns[len(rdns)-2]), rdns[len(rdns)-1]...))
	}
	return fixture.Must(pkix.MarshalName(rdns))(t)
}

// attribute encodes a value, often in another string type than the usual one.
func (d dice) attribute(t *testing.T, name, text string) pkix.Attribute {
	t.Helper()
	id, ok := pkix.AttributeOID(name)
	if !ok {
		t.Fatalf("no attribute %s", name)
	}
	tag := pick[uint8](d, 0, 0, 0, 12, 12, 12, 12, 19, 19, 30, 20)
	switch {
	case d.one(40): // whatever the standard says
		return pkix.Attribute{Type: id, Tag: pick[uint8](d, 12, 19, 22, 18), Value: []byte(text)}
	case tag == 20 && name != "CN" && !pkix.FixedStringType(id): // TeletexString, as Latin-1
		return pkix.Attribute{Type: id, Tag: tag, Value: []byte("T\xe4st " + id.String())}
	case !pkix.FixedStringType(id):
		if a, err := pkix.NewAttributeAs(id, text, tag); err == nil {
			return a
		}
	}
	if a, err := pkix.NewAttribute(id, text); err == nil {
		return a
	}
	return pkix.Attribute{Type: id, Tag: 12, Value: []byte(text)} // longer than it may be
}

// extensions draws what a request asks for beside its names; much of it no profile takes.
func (d dice) extensions(t *testing.T) []pkix.Extension {
	t.Helper()
	if d.one(2) {
		return nil
	}
	all := some(d, 1, 3,
		fixture.Must(pkix.MarshalExtKeyUsage(some(d, 1, 3, pkix.ExtKeyUsages["clientAuth"], pkix.ExtKeyUsages["serverAuth"], pkix.ExtKeyUsages["emailProtection"], pkix.ExtKeyUsages["codeSigning"]), d.one(4)))(t),
		fixture.Must(pkix.MarshalKeyUsage(pkix.DigitalSignature|pkix.KeyCertSign))(t),
		fixture.Must(pkix.MarshalBasicConstraints(true, -1))(t),
		fixture.Must(pkix.MarshalCertificatePolicies([]pkix.OID{{1, 3, 6, 1, 4, 1, 99999, 20}}))(t),
		fixture.Must(pkix.MarshalSMIMECapabilities([]pkix.OID{{2, 16, 840, 1, 101, 3, 4, 1, 42}}))(t),
		fixture.Must(pkix.MarshalSubjectKeyID([]byte("mine")))(t),
		fixture.Must(pkix.MarshalMSTemplateName("User"))(t),
		pkix.Extension{ID: pkix.OID{1, 3, 6, 1, 4, 1, 99999, 2}, Critical: d.one(3), Value: []byte{0x0c, 2, 'o', 'k'}})
	return all
}

// challengeOf is the challenge by which a name is proven: the first that the
// profile takes, in the order in which the door offers them.
func challengeOf(p *profile.Profile, n pkix.GeneralName) (kind claim.Kind, method claim.Method, offered bool) {
	kind, all := claim.DNS, []claim.Method{claim.HTTP01, claim.DNS01, claim.TLSALPN01}
	switch {
	case n.Kind == pkix.DNSName && strings.HasPrefix(string(n.Raw), "*."):
		all = []claim.Method{claim.DNS01}
	case n.Kind == pkix.IPAddress:
		kind, all = claim.IP, []claim.Method{claim.HTTP01, claim.TLSALPN01}
	case n.Kind == pkix.OtherName:
		kind, all = claim.Permanent, []claim.Method{claim.DeviceAttest01}
		if _, _, ok := n.HardwareModule(); ok {
			kind = claim.Hardware
		}
	}
	for _, m := range all {
		if slices.Contains(p.Methods(kind), m) {
			return kind, m, true
		}
	}
	return kind, all[0], false
}
