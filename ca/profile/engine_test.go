package profile

import (
	"testing"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

func TestPermit(t *testing.T) {
	w := minimal()
	w.SubjectAltName.DNS.Allow, w.SubjectAltName.DNS.Max = []string{"*.example.com"}, number(2)
	w.SubjectAltName.IP = &WrittenNames{Methods: []string{"service"}, Allow: []string{"192.0.2.0/24"}}
	p := compiled(t, w)
	good := append(dns("A.example.com", "b.example.com", "a.example.com"), pkix.GeneralName{Kind: pkix.IPAddress, Raw: []byte{192, 0, 2, 1}})
	if err := p.Permit(good); err != nil {
		t.Error(err)
	}
	for field, names := range map[string][]pkix.GeneralName{
		"dns:a.example.org":   dns("a.example.com", "a.example.org"),
		"dns:*.a.example.com": dns("*.a.example.com"),
		"dns:a..example.com":  dns("a..example.com"),
		"san.dns":             dns("a.example.com", "b.example.com", "c.example.com"),
		"email:a@example.com": {{Kind: pkix.RFC822Name, Raw: []byte("a@example.com")}},
		"ip:198.51.100.1":     {{Kind: pkix.IPAddress, Raw: []byte{198, 51, 100, 1}}},
		"iPAddress:#01":       {{Kind: pkix.IPAddress, Raw: []byte{1}}},
	} {
		if err := p.Permit(names); !ca.IsKind(err, ca.Denied) || ca.AsError(err).Field != field {
			t.Errorf("%v: %v, want Denied about %s", names, err, field)
		}
	}
}

func TestEngine(t *testing.T) {
	p := builtin(t, "privatessl-tls-server")
	e, err := NewEngine(map[string]*Profile{"one": p, "two": p})
	if err != nil {
		t.Fatal(err)
	}
	var policy ca.Policy = e
	at := &ca.Endpoint{ID: "one", Profile: p.ID()}
	if _, err := policy.Decide(at, request(t, "a.example"), facts(t), now); err != nil {
		t.Error(err)
	}
	if err := policy.Permit(at, dns("a.example")); err != nil {
		t.Error(err)
	}
	if got := e.Profiles(); len(got) != 1 || got[0] != p {
		t.Errorf("profiles %v", got)
	}
	for _, bad := range []*ca.Endpoint{{ID: "three", Profile: p.ID()}, {ID: "one", Profile: "another"}} {
		if _, err := policy.Decide(bad, request(t, "a.example"), facts(t), now); !ca.IsKind(err, ca.Denied) {
			t.Errorf("%+v: %v", bad, err)
		}
		if err := policy.Permit(bad, nil); !ca.IsKind(err, ca.Denied) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	if _, err := NewEngine(map[string]*Profile{"one": nil}); err == nil {
		t.Error("an endpoint without profile was bound")
	}
	w := minimal()
	w.ID = p.ID()
	if _, err := NewEngine(map[string]*Profile{"one": p, "two": compiled(t, w)}); err == nil {
		t.Error("two profiles of one id were bound")
	}
}
