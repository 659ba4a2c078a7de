package claim

import (
	"testing"

	"github.com/enrollgate/enrollgate/ca/caller"
)

// Claims of offline tools say what they are, and no door can bring one.
func TestFromOffline(t *testing.T) {
	v := NewOfflineVerifier()
	for kind, values := range map[Kind]struct{ good, printed, bad string }{
		DNS:       {"host.example", "dns:host.example", "Host"},
		IP:        {"192.0.2.1", "ip:192.0.2.1", "fe80::1%eth0"},
		Email:     {"a@b.example", "email:a@b.example", "a b@c.example"},
		URI:       {"urn:x:y", "uri:urn:x:y", "https:"},
		UPN:       {"a@corp", "upn:a@corp", "a\x00@corp"},
		Hardware:  {"1.2.3/A1", "hardware:1.2.3/A1", "A1"},
		Permanent: {"A1/1.2.3", "permanent:A1/1.2.3", "A1/x"},
		Attested:  {"os-version=1", "attested:os-version=1", "os-version="},
		SID:       {"S-1-5-21-1-2-3-4", "sid:S-1-5-21-1-2-3-4", "S-1"},
		Serial:    {"C1", "serial:C1", ""},
		Principal: {"u@REALM", "principal:u@REALM", "u\n"},
		Directory: {"department=IT", "directory:department=IT", "department"},
	} {
		c, err := FromOffline(v, Offline{kind, values.good, DirectoryEntry, now})
		if err != nil || c.String() != values.printed || c.Method() != DirectoryEntry || c.Kind() != kind || c.Key() == "" || !c.Verified() {
			t.Errorf("%s %s: %s, %v", kind, values.good, c, err)
			continue
		}
		if want := values.printed[len(kind)+1:]; c.Text() != want || c.IsName() == (c.Key() == c.Text()) {
			t.Errorf("%s reads as %s", c, c.Text())
		}
		for _, door := range append(caller.Doors(), c.Door()) {
			if Permitted(door, c.Method(), c.Kind()) || door == c.Door() && Permitted(door, HTTP01, DNS) {
				t.Errorf("%s is permitted through %s", c, door)
			}
		}
		if c, err := FromOffline(v, Offline{kind, values.bad, DirectoryEntry, now}); err == nil {
			t.Errorf("%q made the claim %s", values.bad, c)
		}
		if c, err := FromOffline(OfflineVerifier{}, Offline{kind, values.good, DirectoryEntry, now}); err == nil {
			t.Errorf("without a verifier: %s", c)
		}
	}
	for _, ev := range []Offline{{DNS, "host.example", "", now}, {"x", "y", HTTP01, now}, {Kind: DNS, Value: "host.example", Method: HTTP01}} {
		if c, err := FromOffline(v, ev); err == nil {
			t.Errorf("%+v made the claim %s", ev, c)
		}
	}
}

func TestCheckEmailAndURI(t *testing.T) {
	for _, bad := range []string{"", "a", "@b.example", "a@", "a@b@c.example", "a@*.example", "<a@b.example>", "a@192.0.2.1", "ä@b.example"} {
		if CheckEmail(bad) == nil {
			t.Errorf("%q passes as an email address", bad)
		}
	}
	for _, bad := range []string{"", "host.example", "//host.example", "https:", "https://", "https://a b/", "https://b\u00fccher.example/", "https://-a.example/", "https://*.example/", "spiffe:///x"} {
		if CheckURI(bad) == nil {
			t.Errorf("%q passes as a URI", bad)
		}
	}
	for _, good := range []string{"urn:uuid:1", "https://Host.example:8443/x?y#z", "spiffe://corp.example/a", "https://[2001:db8::1]/", "tag:a,2020:b", "file:///x"} {
		if err := CheckURI(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
}
