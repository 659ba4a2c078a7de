package ca

import (
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// subjectOf makes a subject of one organization and these CNs.
func subjectOf(t *testing.T, cns ...string) pkix.RawName {
	t.Helper()
	rdns := []pkix.RDN{{{Type: pkix.OID{2, 5, 4, 10}, Tag: 12, Value: []byte("evil.example")}}}
	for _, cn := range cns {
		a, err := pkix.NewAttribute(pkix.OID{2, 5, 4, 3}, cn)
		if err != nil {
			t.Fatal(err)
		}
		rdns = append(rdns, pkix.RDN{a})
	}
	name, err := pkix.MarshalName(rdns)
	if err != nil {
		t.Fatal(err)
	}
	return name
}

func boundAccount(t *testing.T, b caller.Binding) caller.Caller {
	t.Helper()
	b.Credential = "kid"
	c, err := caller.FromAccountSignature(caller.NewVerifier(caller.ACME), caller.AccountSignature{Tenant: "default", Endpoint: "e", Account: "a", Status: "valid",
		KeyThumbprint: [32]byte{1}, AccountKey: [32]byte{1}, Binding: &b, At: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestBoundSubject: a CN that the credential does not name is none that a host
// could be taken for by.
func TestBoundSubject(t *testing.T) {
	raw := func(tag uint8, value string) pkix.RawName {
		name, err := pkix.MarshalName([]pkix.RDN{{{Type: pkix.OID{2, 5, 4, 3}, Tag: tag, Value: []byte(value)}}})
		if err != nil {
			t.Fatal(err)
		}
		return name
	}
	names := caller.Binding{Names: []string{"*.a.example", "host.b.example", "10.1.0.0/16", "2001:db8::1"}}
	exact := caller.Binding{CommonName: "router-7"}
	both := caller.Binding{CommonName: "router-7", Names: names.Names}
	for _, c := range []struct {
		what    string
		binding caller.Binding
		subject pkix.RawName
		ok      bool
	}{
		{"nothing bound", caller.Binding{Profile: "p", Device: "d"}, subjectOf(t, "anything", "else"), true},
		{"no CN", names, subjectOf(t), true},
		{"no subject", names, nil, true},
		{"an empty one", names, pkix.EmptyName, true},
		{"a name below", names, subjectOf(t, "x.y.a.example"), true},
		{"in capitals", names, subjectOf(t, "HOST.B.example"), true},
		{"two names", names, subjectOf(t, "host.b.example", "x.a.example"), true},
		{"an address", names, subjectOf(t, "10.1.2.3"), true},
		{"an address of 128 bits", names, subjectOf(t, "2001:db8:0::1"), true},
		{"as BMPString", names, raw(30, "\x00h\x00o\x00s\x00t\x00.\x00b\x00.\x00e\x00x\x00a\x00m\x00p\x00l\x00e"), true},
		{"another name", names, subjectOf(t, "host.c.example"), false},
		{"another in second place", names, subjectOf(t, "host.b.example", "host.c.example"), false},
		{"another in first place", names, subjectOf(t, "host.c.example", "host.b.example"), false},
		{"the parent", names, subjectOf(t, "a.example"), false},
		{"no host name", names, subjectOf(t, "router 7"), false},
		{"one that ends well", names, subjectOf(t, "evil.example/.a.example"), false},
		{"one that ends well, after a blank", names, subjectOf(t, "evil.example .a.example"), false},
		{"an address elsewhere", names, subjectOf(t, "10.2.0.1"), false},
		{"an address with a zone", names, subjectOf(t, "2001:db8::1%eth0"), false},
		{"no text", names, raw(4, "host.b.example"), false},
		{"broken text", names, raw(12, "host.b.example\xff"), false},

		{"the CN", exact, subjectOf(t, "router-7"), true},
		{"the CN beside names", both, subjectOf(t, "router-7"), true},
		{"another CN", exact, subjectOf(t, "router-8"), false},
		{"the CN in capitals", exact, subjectOf(t, "Router-7"), false},
		{"the CN with a blank", exact, subjectOf(t, "router-7 "), false},
		{"the CN twice", exact, subjectOf(t, "router-7", "router-7"), false},
		{"the CN and another", exact, subjectOf(t, "router-7", "router-8"), false},
		{"without the CN", exact, subjectOf(t), false},
		{"without a subject", exact, nil, false},
		{"an empty subject", exact, pkix.EmptyName, false},
		{"a name in place of the CN", both, subjectOf(t, "host.b.example"), false},
		{"the CN as octets", exact, raw(4, "router-7"), false},
	} {
		err := boundSubject(boundAccount(t, c.binding), c.subject)
		if (err == nil) != c.ok || err != nil && (!IsKind(err, Denied) || AsError(err).Field != "subject.CN" || AsError(err).Rule != "credential kid") {
			t.Errorf("%s: %v", c.what, err)
		}
	}
	if err := boundSubject(boundAccount(t, names), pkix.RawName("x")); !IsKind(err, Internal) {
		t.Errorf("a subject that cannot be read: %v", err)
	}
	if err := boundSubject(boundAccount(t, caller.Binding{Names: []string{"no pattern"}}), subjectOf(t, "a.example")); !IsKind(err, Internal) {
		t.Errorf("a pattern that cannot be read: %v", err)
	}
	if err := boundSubject(account(t, "e", "a"), subjectOf(t, "x")); err != nil {
		t.Errorf("no credential: %v", err)
	}
}

// TestBoundSubjectRefused: the core refuses what the profile decided; a check
// without a key knows no subject yet.
func TestBoundSubjectRefused(t *testing.T) {
	key := ecKey(t)
	c := &crooked{t: t, key: key, facts: factsOf(t, key)} // the policy gives it the CA's subject
	c.sign = func(tbs []byte) []byte {
		t.Error("it was signed")
		return c.honest(tbs)
	}
	a := c.authority()
	who := boundAccount(t, caller.Binding{CommonName: "router-7"})
	asked := &Request{Trace: "T", Endpoint: "e", Operation: Enroll, Caller: who, Asserted: Asserted{AltNames: []pkix.GeneralName{pkix.DNS("a.example")}}}
	if _, err := a.Check(t.Context(), asked); err != nil {
		t.Errorf("without a key: %v", err)
	}
	asked.Possession, asked.Claims = fixedKey(t), []claim.Claim{authorization(t, who, "a.example")}
	if _, err := a.Check(t.Context(), asked); !IsKind(err, Denied) || AsError(err).Field != "subject.CN" {
		t.Errorf("checked: %v", err)
	}
	if r := a.Enroll(t.Context(), asked)[0]; !IsKind(r.Err, Denied) || AsError(r.Err).Field != "subject.CN" || AsError(r.Err).Rule != "credential kid" {
		t.Errorf("enrolled: %v", r.Err)
	}
}
