package scep

import (
	"bytes"
	"context"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/protocols/internal/cms"
	"github.com/enrollgate/enrollgate/test/fixture"
)

const usualCapabilities = "AES\nPOSTPKIOperation\nSHA-256\nSHA-384\nSHA-512\nRenewal\nSCEPStandard\n"

// TestCapabilities: the text of GetCACaps follows the floor of the endpoint.
func TestCapabilities(t *testing.T) {
	for _, c := range []struct {
		name string
		own  Own
		want string
	}{
		{"usual", Own{}, usualCapabilities},
		{"des3", Own{Legacy: []string{"des3"}}, usualCapabilities + "DES3\n"},
		{"sha1", Own{Legacy: []string{"sha1"}}, usualCapabilities + "SHA-1\n"},
		{"everything", Own{Legacy: LegacyAlgorithms()}, usualCapabilities + "DES3\nSHA-1\n"},
		{"without a word", Own{Legacy: []string{"des", "md5"}}, usualCapabilities},
		{"cisco-ios", Own{Quirks: "cisco-ios"}, usualCapabilities + "DES3\nSHA-1\n"},
		{"juniper", Own{Quirks: "juniper"}, usualCapabilities + "SHA-1\n"},
		{"strongswan", Own{Quirks: "strongswan"}, usualCapabilities},
	} {
		k := only(t, c.own)
		a := k.get(at + "?operation=GetCACaps")
		if string(a.body) != c.want || a.status != http.StatusOK || a.header.Get("Content-Type") != "text/plain" || a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %v %q", c.name, a.status, a.header, a.body)
		}
	}
	if own := capabilities(cms.Floor{}, []string{"DES3", "SHA-1"}); string(own) != "DES3\nSHA-1\n" {
		t.Errorf("lines of a quirk set: %q", own)
	}
}

// TestCACertificates: the registration authority's certificate comes first, which
// clients that look at no key usage encrypt to.
func TestCACertificates(t *testing.T) {
	k := newKit(t, nil)
	issuer, err := k.Issuers.Issuer("one", "issuing")
	if err != nil {
		t.Fatal(err)
	}
	facts := issuer.Facts()
	for bundle, want := range map[Bundle][][]byte{"": append(slices.Clone(facts.Chain), facts.Root), BundleChain: facts.Chain, BundleIssuer: facts.Chain[:1], BundleFull: append(slices.Clone(facts.Chain), facts.Root)} {
		k := only(t, Own{Certificates: bundle})
		a := k.get(at + "?operation=GetCACert")
		all, lists, err := cms.ReadDegenerate(a.body, cms.Limits{})
		if err != nil || a.header.Get("Content-Type") != "application/x-x509-ca-ra-cert" || len(lists) != 0 || !slices.EqualFunc(all, append([][]byte{k.ra.der}, want...), bytes.Equal) {
			t.Errorf("%s: %v %d certificates, %v", bundle, a.header, len(all), err)
		}
	}
	k.ra.err = ca.UnavailableError(http.ErrServerClosed, 7*time.Second)
	if a := k.get(at + "?operation=GetCACert"); a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") != "7" {
		t.Errorf("without an authority: %d %v", a.status, a.header)
	}
	root := BundleFull.of(rootIssuer{&ca.Facts{Root: []byte{1}}})
	if len(root) != 1 || !bytes.Equal(root[0], []byte{1}) {
		t.Errorf("a root that issues: %v", root)
	}
}

type rootIssuer struct{ facts *ca.Facts }

func (r rootIssuer) Facts() *ca.Facts { return r.facts }

func (rootIssuer) Sign(context.Context, ca.Lane, []byte) ([]byte, error) { return nil, nil }

// TestNextCACertificate: it is listed and given while there is one, signed by the
// registration authority of today (RFC 8894 section 4.7).
func TestNextCACertificate(t *testing.T) {
	var staged atomic.Pointer[ca.Facts]
	k := newKit(t, func(k *kit) {
		k.adapt = func(o *Options) {
			o.Generations = func(tenant, id string) []ca.Issuer {
				all := k.Issuers.All(tenant, id)
				if f := staged.Load(); f != nil && tenant == f.Tenant && id == f.CA {
					all = append(all, rootIssuer{f})
				}
				return all
			}
		}
	}, endpointOf("one", "issuing", dual), endpointOf("one", "spare", dual))
	none := func(what, path string) {
		t.Helper()
		if a := k.get(path + "?operation=GetNextCACert"); a.status != http.StatusNotFound || !strings.Contains(string(a.body), "no next certificate") {
			t.Errorf("%s: %d %s", what, a.status, a.body)
		}
		if a := k.get(path + "?operation=GetCACaps"); strings.Contains(string(a.body), "GetNextCACert") {
			t.Errorf("%s: it is listed", what)
		}
	}
	none("none", at)
	next := certificateOf(t, fixture.Key(t), "Next CA", big.NewInt(2))
	facts := &ca.Facts{Tenant: "one", CA: "issuing", Generation: 2, NotAfter: k.Now().Add(time.Hour), Chain: [][]byte{next}}
	staged.Store(facts)
	if a := k.get(at + "?operation=GetCACaps"); string(a.body) != usualCapabilities+"GetNextCACert\n" {
		t.Errorf("%q", a.body)
	}
	a := k.get(at + "?operation=GetNextCACert")
	s, err := cms.ReadSigned(a.body, cms.Limits{})
	if err != nil || a.status != http.StatusOK || a.header.Get("Content-Type") != "application/x-x509-next-ca-cert" {
		t.Fatalf("%d %v %v", a.status, a.header, err)
	}
	signer, err := s.Signer()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Verify(signer, k.ra.key.Public(), cms.Floor{}); err != nil || !signer.Matches(k.ra.own) {
		t.Error("the signature is not the authority's:", err)
	}
	all, _, err := cms.ReadDegenerate(s.Content, cms.Limits{})
	if err != nil || len(all) != 1 || !bytes.Equal(all[0], next) {
		t.Errorf("%d certificates, %v", len(all), err)
	}
	none("another CA", Prefix+"/one/spare/"+dual)
	k.Late(2 * time.Hour)
	none("one that has ended", at)
	k.Late(0)
	today, err := k.Issuers.Issuer("one", "issuing")
	if err != nil {
		t.Fatal(err)
	}
	cross := *facts
	cross.Subject, cross.KeyID = today.Facts().Subject, today.Facts().KeyID
	staged.Store(&cross)
	none("a cross-certificate of the one of today", at)
	past := *facts
	past.Generation = 1
	staged.Store(&past)
	none("the generation of today", at)
}
