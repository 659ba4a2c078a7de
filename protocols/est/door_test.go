package est

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/credential"
	"github.com/enrollgate/enrollgate/ca/profile"
	"github.com/enrollgate/enrollgate/test/fixture"
)

// TestPaths: tenant, CA and profile in three segments, in one, or not at all.
func TestPaths(t *testing.T) {
	k := newKit(t, nil)
	root := func(path string) string {
		r := k.do(sent{method: "GET", path: path + "/cacerts"})
		if r.status != http.StatusOK {
			return fmt.Sprint(r.status)
		}
		all := k.certificates(r)
		return all[0].Subject.CommonName
	}
	for path, want := range map[string]string{
		"":                                "Test one Issuing CA issuing",
		"/one/issuing/" + signing:         "Test one Issuing CA issuing",
		"/one/spare/" + signing:           "Test one Issuing CA spare",
		"/two/issuing/" + signing:         "Test two Issuing CA issuing",
		"/two_issuing_" + signing:         "Test two Issuing CA issuing",
		"/one_spare_" + signing:           "Test one Issuing CA spare",
		"/two/spare/" + signing:           "404",
		"/two_spare_" + signing:           "404",
		"/ONE/issuing/" + signing:         "404",
		"/one/issuing":                    "404",
		"/one_issuing_" + signing + "/x":  "404",
		"/one%2Fissuing%2F" + signing:     "404",
		"/one/issuing/" + signing + "/x":  "404",
		"/one/issuing/" + signing + "//":  "404",
		"/two/issuing/" + signing + "/..": "404",
	} {
		if got := root(path); got != want {
			t.Errorf("%q: %s, want %s", path, got, want)
		}
	}
	nameless := newKit(t, func(k *kit) { k.adapt = func(o *Options) { o.Default = "" } })
	nameless.refused("no default", nameless.do(sent{method: "GET", path: "/cacerts"}), http.StatusNotFound, "no such EST endpoint")
}

// TestDefaultDeny: what is not in the table is refused, by every method and
// whoever asks.
func TestDefaultDeny(t *testing.T) {
	k := newKit(t, nil)
	u := k.user("one", credential.Unlimited)
	listed := map[string]string{}
	for _, o := range operations {
		listed[o.name] = o.method
	}
	for _, operation := range append(Operations(), "serverkeygen", "fullcmc", "crls", "CACERTS", "") {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"} {
			for _, who := range []user{{}, u} {
				r := k.do(sent{method: method, path: at + "/" + operation, user: who})
				want := 404
				if allowed, ok := listed[operation]; ok && allowed == method {
					continue
				} else if ok {
					want = 405
					if r.header.Get("Allow") != allowed {
						t.Errorf("%s %s: Allow %q", method, operation, r.header.Get("Allow"))
					}
				}
				if r.status != want || method != "HEAD" && !traced.MatchString(r.body) {
					t.Errorf("%s %s: %d %q, want %d", method, operation, r.status, r.body, want)
				}
			}
		}
	}
}

// TestCACerts: anybody gets the CA with its root, in this order.
func TestCACerts(t *testing.T) {
	k := newKit(t, nil)
	r := k.do(sent{method: "GET", path: at + "/cacerts"})
	if r.header.Get("Content-Type") != "application/pkcs7-mime" || r.header.Get("Content-Transfer-Encoding") != "base64" || r.header.Get("Content-Length") == "" {
		t.Errorf("%v", r.header)
	}
	all := k.certificates(r)
	if len(all) != 2 || all[0].CheckSignatureFrom(all[1]) != nil || all[1].CheckSignatureFrom(all[1]) != nil {
		t.Errorf("%d certificates", len(all))
	}
}

// TestUnfolded: an endpoint may answer in one line.
func TestUnfolded(t *testing.T) {
	k := newKit(t, func(k *kit) { k.adapt = func(o *Options) { o.Own[o.Endpoints[0].ID] = Own{Unfolded: true} } })
	for path, want := range map[string]bool{at: false, "/two/issuing/" + signing: true} {
		if r := k.do(sent{method: "GET", path: path + "/cacerts"}); strings.Contains(r.body, "\n") != want {
			t.Errorf("%s: %q", path, r.body)
		}
	}
}

// TestAttributes: what a profile wants of a request, as RFC 9908 writes it.
func TestAttributes(t *testing.T) {
	key := func(id asn1.ObjectIdentifier, value any) []byte {
		return marshal(t, struct {
			Type   asn1.ObjectIdentifier
			Values []any `asn1:"set"`
		}{id, []any{value}})
	}
	ec, p256, rsa := asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}, asn1.ObjectIdentifier{1, 2, 840, 10045, 3, 1, 7}, asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
	challenge := marshal(t, asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 7})
	// SEQUENCE {version 0, SEQUENCE OF RDN {CN, no value}, [0] {ecPublicKey, P-256}, [1] {extensionReqTemplate {subjectAltName, no value}}}
	template, err := hex.DecodeString("3052060b2a864886f70d010910023d314330410201003009310730050603550403a015301306072a8648ce3d020106082a8648ce3d030107a11a3018060b2a864886f70d010910023e3109300730050603551d11")
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		change func(*profile.Written)
		own    Own
		want   [][]byte // nil: 204
	}{
		"keys": {func(w *profile.Written) { w.Keys = []string{"ecdsa-p256", "rsa>=3072"} }, Own{}, [][]byte{key(ec, p256), key(rsa, 3072)}},
		"an RSA size, and bound": {func(w *profile.Written) { w.Keys = []string{"rsa-2048"} }, Own{Binding: BindingRequired},
			[][]byte{challenge, key(rsa, 2048)}},
		"Ed25519": {func(w *profile.Written) { w.Keys = []string{"ed25519"} }, Own{Binding: BindingAccepted},
			[][]byte{marshal(t, struct {
				Type   asn1.ObjectIdentifier
				Values []any `asn1:"set"`
			}{asn1.ObjectIdentifier{1, 3, 101, 112}, nil})}},
		"a subject and a name": {func(w *profile.Written) {
			w.Keys, w.SubjectAltName.DNS.Min = []string{"ecdsa-p256"}, 1
			w.Subject.Asserted[0].Attribute = "CN"
			w.Subject.Template = []map[string]string{{"O": "Example"}, {"CN": "<CN>"}}
		}, Own{}, [][]byte{key(ec, p256), template}},
		"what may be missing": {func(w *profile.Written) {
			w.Keys, w.Subject.Asserted[0].Attribute = []string{"ecdsa-p256"}, "CN"
			w.Subject.Template = []map[string]string{{"O": "Example"}, {"CN": "<CN?>"}}
		}, Own{}, [][]byte{key(ec, p256)}},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKit(t, func(k *kit) {
				k.change = test.change
				k.adapt = func(o *Options) { o.Own[o.Endpoints[0].ID] = test.own }
			}, endpointOf("one", "issuing", signing))
			r := k.do(sent{method: "GET", path: at + "/csrattrs"})
			var got []asn1.RawValue
			der, err := base64.StdEncoding.DecodeString(r.body)
			if err != nil || r.status != 200 || r.header.Get("Content-Type") != "application/csrattrs" {
				t.Fatal(r, err)
			}
			if _, err := asn1.Unmarshal(der, &got); err != nil {
				t.Fatal(err)
			}
			var items [][]byte
			for _, v := range got {
				items = append(items, v.FullBytes)
			}
			if diff := cmp.Diff(test.want, items); diff != "" {
				t.Errorf("%x\n%s", items, diff)
			}
		})
	}
	k := newKit(t, nil)
	k.door.standard.attributes = nil
	if r := k.do(sent{method: "GET", path: "/csrattrs"}); r.status != http.StatusNoContent || r.body != "" {
		t.Errorf("nothing to say: %d %q", r.status, r.body)
	}
	if empty, err := marshalAttributes(ca.Offer{}, false); err != nil || len(empty) != 0 {
		t.Errorf("%x %v", empty, err)
	}
}

func marshal(t *testing.T, v any) []byte {
	t.Helper()
	der, err := asn1.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// TestStatuses: every kind of error has a status, and the text of a fault of ours
// stays in the log.
func TestStatuses(t *testing.T) {
	for _, kind := range ca.Kinds() {
		a := refusalOf(ca.Wrap(kind, errors.New("cause"), "text"))
		if a.Status < 202 || a.Status > 599 || a.Text != "text" || (a.Status == http.StatusAccepted) != (kind == ca.Pending) || (a.Status >= 500) != (kind == ca.Internal || kind == ca.Unavailable) {
			t.Errorf("%s: %+v", kind, a)
		}
	}
	if a := refusalOf(errors.New("secret")); a.Status != 500 || strings.Contains(a.Text, "secret") {
		t.Errorf("%+v", a)
	}
}

// TestFaults: a fault of the core and a panic are answered as such, and counted.
func TestFaults(t *testing.T) {
	k := newKit(t, nil)
	u := k.user("one", credential.Unlimited)
	for name, test := range map[string]struct {
		core   broken
		status int
	}{
		"unavailable":  {broken{err: ca.UnavailableError(errors.New("token"), 5*time.Second)}, 503},
		"rate limited": {broken{err: &ca.Error{Kind: ca.RateLimited, Public: "slow down", RetryAfter: time.Minute}}, 429},
		"panic":        {broken{}, 500},
	} {
		k.door.Core = test.core
		r := k.enroll(fixture.CSR(t, fixture.Key(t), "x"), u)
		k.refused(name, r, test.status, "")
		if want := map[int]string{503: "5", 429: "60", 500: ""}[test.status]; r.header.Get("Retry-After") != want || strings.Contains(r.body, "token") {
			t.Errorf("%s: %v %s", name, r.header, r.body)
		}
	}
	if n := k.seen.Panics(); n != 1 {
		t.Errorf("%d panics", n)
	}
}

// broken is a core that fails.
type broken struct {
	Core
	err error
}

func (b broken) Enroll(_ context.Context, _ ...*ca.Request) []ca.Result {
	if b.err == nil {
		panic("a bug")
	}
	return []ca.Result{{Err: b.err}}
}

func TestNewRefuses(t *testing.T) {
	k := newKit(t, nil)
	good := k.door.Options
	for name, change := range map[string]func(*Options){
		"no core":                 func(o *Options) { o.Core = nil },
		"no credentials":          func(o *Options) { o.Credentials = nil },
		"another door's endpoint": func(o *Options) { o.Endpoints = []ca.Endpoint{{ID: "x", Door: caller.ACME}} },
		"the same path twice":     func(o *Options) { o.Endpoints = append(o.Endpoints[:1:1], o.Endpoints[0]) },
		"the same label twice": func(o *Options) {
			e := o.Endpoints[0]
			e.Tenant, e.CA = "one_x", "issuing"
			f := e
			f.Tenant, f.CA = "one", "x_issuing"
			o.Endpoints, o.Default = []ca.Endpoint{e, f}, ""
		},
		"an unknown default":     func(o *Options) { o.Default = "x" },
		"an unknown binding":     func(o *Options) { o.Own = map[string]Own{o.Endpoints[0].ID: {Binding: "maybe"}} },
		"roots for nothing":      func(o *Options) { o.Own = map[string]Own{o.Endpoints[0].ID: {DeviceRoots: []*x509.Certificate{{}}}} },
		"devices without roots":  func(o *Options) { o.Endpoints = []ca.Endpoint{endpointOf("one", "issuing", signing, byDevice)} },
		"an endpoint of nowhere": func(o *Options) { e := o.Endpoints[0]; e.ID = "x"; o.Endpoints = []ca.Endpoint{e} },
	} {
		o := good
		change(&o)
		if _, err := New(o); err == nil {
			t.Errorf("%s passes", name)
		}
	}
}

// FuzzDecode: what is read as DER comes back as it was, whatever form it had.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{"", "MIIB", "MII=\r\n", "-----BEGIN CERTIFICATE REQUEST-----\nMIIB\n-----END CERTIFICATE REQUEST-----", "0\x82\x01\x00", "0\x82\x00\x01\n", "-----BEGIN ", "=", "\x00"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		der, err := decode(body, "CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST")
		if err != nil {
			return
		}
		if len(der) == 0 || len(der) > len(body) || isDER(body) && !bytes.Equal(der, body) {
			t.Fatalf("%d octets of %d", len(der), len(body))
		}
		for _, unfolded := range []bool{true, false} {
			if again, err := decode(encode(der, unfolded)); err != nil || !bytes.Equal(again, der) {
				t.Fatalf("%x became %x, %v", der, again, err)
			}
		}
	})
}
