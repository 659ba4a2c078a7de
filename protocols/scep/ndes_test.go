package scep

import (
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/go-chi/chi/v5"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/credential"
)

// ndesKit serves tenant one's CA issuing in the shape of NDES.
func ndesKit(t *testing.T) *kit {
	return newKit(t, func(k *kit) {
		k.adapt = func(o *Options) { o.NDES = &NDES{Endpoint: "one-issuing-" + dual, Lifetime: time.Hour} }
	})
}

// basic makes a user of the registry, and gives the header that it sends.
func (k *kit) basic(change ...func(*credential.Credential)) []string {
	k.Helper()
	made, secret := k.Register(credential.Credential{Tenant: "one", ID: ca.RandomID(16), Kind: credential.Password, Door: caller.SCEP, Granted: credential.Unlimited, Left: credential.Unlimited, Expires: k.Now().Add(24 * time.Hour)}, change...)
	return authorization(made.ID, secret.Text())
}

func authorization(user, password string) []string {
	return []string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))}
}

// The words that management products search the page for.
var shown = regexp.MustCompile(`The enrollment challenge password is: <B> (\S+) </B>`)

// fetch reads a secret from the page.
func (k *kit) fetch(header []string) string {
	k.Helper()
	a := k.get(adminPath+"/", header...)
	if a.status != http.StatusOK || len(a.body)%2 != 0 || a.header.Get("Content-Type") != "text/html; charset=UTF-16LE" || a.header.Get("Cache-Control") != "no-store" {
		k.Fatalf("%d %v %s", a.status, a.header, a.body)
	}
	units := make([]uint16, len(a.body)/2)
	for i := range units {
		units[i] = binary.LittleEndian.Uint16(a.body[2*i:])
	}
	found := shown.FindStringSubmatch(string(utf16.Decode(units)))
	if found == nil {
		k.Fatalf("%s", string(utf16.Decode(units)))
	}
	return found[1]
}

// TestAdministratorsPage: every fetch gives another secret, which is good for one
// certificate, at the address of NDES and at the endpoint's own.
func TestAdministratorsPage(t *testing.T) {
	k := ndesKit(t)
	user := k.basic()
	seen := map[string]bool{}
	for _, path := range []string{ndesPath, ndesPath + "/", ndesPath + "/pkiclient.exe", at} {
		secret := k.fetch(user)
		if seen[secret] || len(secret) != 26 {
			t.Errorf("%q", secret)
		}
		seen[secret] = true
		c := k.newClient(1)
		c.path = path
		c.issued(c.enroll(with(secret)))
		c.transaction += "1"
		k.refused("again", c.enroll(with(secret)), badMessageCheck, "used already")
	}
	elsewhere := k.newClient(1)
	elsewhere.path = atStatic
	k.refused("at another endpoint", elsewhere.enroll(with(k.fetch(user))), badMessageCheck, "for another endpoint")
	late := k.fetch(user)
	k.Late(time.Hour + time.Minute)
	k.refused("late", k.newClient(1).enroll(with(late)), badMessageCheck, "is expired")
	if a := k.get(ndesPath + "?operation=GetCACaps&message=ca"); string(a.body) != usualCapabilities {
		t.Errorf("%d %q", a.status, a.body)
	}
	if a := k.get(adminPath+"/mscep.dll", user...); a.status != http.StatusOK {
		t.Errorf("mscep.dll: %d", a.status)
	}
	if a := k.get(adminPath+"/other", user...); a.status != http.StatusNotFound {
		t.Errorf("other: %d", a.status)
	}
	if n := k.seen.Replies("one-issuing-" + dual + " mscep_admin http 2xx"); n != 7 {
		t.Errorf("%d were counted", n)
	}
}

// TestAdministrators: who may read the page.
func TestAdministrators(t *testing.T) {
	k := ndesKit(t)
	revoked := k.basic(func(c *credential.Credential) { c.ID = "REVOKED000000000" })
	if err := k.Registry.RevokeCredential(t.Context(), "one", "REVOKED000000000", ca.Audit{Tenant: "one", Event: "credential.revoked", Actor: "operator:x", Detail: []byte("{}")}); err != nil {
		t.Fatal(err)
	}
	_, secret := k.Register(credential.Credential{Tenant: "one", ID: "CODE000000000000", Kind: credential.Code, Door: caller.SCEP, Granted: 1, Left: 1})
	before := k.events()["credential.created"]
	for what, header := range map[string][]string{
		"none": nil, "another scheme": {"Authorization", "Bearer x"}, "no base64": {"Authorization", "Basic ***"}, "unknown": authorization("UNKNOWN000000000", "x"), "a name that a person chose": authorization("admin", "x"), "nobody": authorization("", ""),
		"revoked": revoked, "an enrollment code": authorization("CODE000000000000", secret.Text()),
		"wrong password":  authorization(wasID(t, k.basic()), "wrong"),
		"expired":         k.basic(func(c *credential.Credential) { c.Expires = k.Now().Add(-time.Minute) }),
		"another tenant":  k.basic(ofTwo),
		"EST's":           k.basic(func(c *credential.Credential) { c.Door = caller.EST }),
		"ACME's":          k.basic(func(c *credential.Credential) { c.Door = caller.ACME }),
		"other endpoints": k.basic(func(c *credential.Credential) { c.Endpoints = []string{"one-issuing-" + other} }),
		"other profiles":  k.basic(bound(func(b *caller.Binding) { b.Profile = other })),
	} {
		a := k.get(adminPath, header...)
		if a.status != http.StatusUnauthorized || a.header.Get("WWW-Authenticate") != `Basic realm="SCEP"` || strings.Contains(string(a.body), "The enrollment") {
			t.Errorf("%s: %d %v %s", what, a.status, a.header, a.body)
		}
	}
	user := k.basic()
	if n := k.events()["credential.created"] - before; n != 8 { // the users above, and this one
		t.Errorf("%d credentials were made", n)
	}
	for _, method := range []string{http.MethodPost, http.MethodPut} {
		if a := k.do(method, adminPath, nil, user...); a.status != http.StatusMethodNotAllowed || a.header.Get("Allow") != "GET" {
			t.Errorf("%s: %d %v", method, a.status, a.header)
		}
	}
	k.fetch(k.basic(func(c *credential.Credential) { c.Endpoints = []string{"one-issuing-" + dual} }))
}

// wasID is the user name in a header.
func wasID(t *testing.T, header []string) string {
	t.Helper()
	text, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(header[1], "Basic "))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(string(text), ":")[0]
}

// TestPagesLastRestarts: a secret is a row of the registry: another door over the
// same store takes it, and there is no cache that fills up.
func TestPagesLastRestarts(t *testing.T) {
	k := ndesKit(t)
	user := k.basic()
	var secrets []string
	for range 40 {
		secrets = append(secrets, k.fetch(user))
	}
	again, err := New(k.door.Options)
	if err != nil {
		t.Fatal(err)
	}
	router := chi.NewRouter()
	again.Routes(router)
	k.server.Close()
	k.server = httptest.NewServer(router)
	t.Cleanup(k.server.Close)
	for _, secret := range []string{secrets[0], secrets[39]} {
		c := k.newClient(1)
		c.issued(c.enroll(with(secret)))
	}
	if a := k.get(adminPath, user...); a.status != http.StatusNotFound {
		t.Errorf("the page is on a listener that has none: %d", a.status)
	}
}

// TestAdministratorsBinding: what a user is bound to goes to the secrets that it fetches.
func TestAdministratorsBinding(t *testing.T) {
	k := ndesKit(t)
	secret := k.fetch(k.basic(bound(func(b *caller.Binding) { b.Names = []string{"*.example"} })))
	k.refused("another name", k.newClient(1).enroll(with(secret), named("a.other", "a.other")), badRequest, "does not allow")
}
