package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/keys"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// rootSigner signs with a root's key as crypto/x509 wants it.
type rootSigner struct {
	keys.Signer
	ctx context.Context
}

func (k rootSigner) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return k.Signer.Sign(k.ctx, ca.LaneStatus, "one", digest, opts)
}

// ownLists has tenant one import a list of its root, and finds out what lists it has.
func (s *twoTenants) ownLists(root *x509.Certificate) {
	s.Helper()
	key, err := s.keyring().Open(s.Context(), "file:"+filepath.Join(filepath.Dir(s.file), "oneissuing-root.pem"), s.cfg.CAs[0].KeyPassword)
	if err != nil {
		s.Fatal(err)
	}
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		s.Fatal(err)
	}
	parsed, err := pkix.ParseCertificate(root.Raw)
	if err != nil {
		s.Fatal(err)
	}
	s.rootName = parsed.Subject.String()
	s.above = ca.ImportedCRLScope(root.SubjectKeyId)
	ours := rootSigner{key, s.Context()}
	s.rootList, s.laterList = s.writeList("first", 1, root, ours), s.writeList("later", 2, root, ours)
	template := *root // signed by another key, it names the same issuer
	template.PublicKey = stranger.Public()
	s.strangerList = s.writeList("stranger", 1, &template, stranger)
	s.must("crl", "import", "--tenant", "one", "--file", s.rootList)
	if err := s.shelf.Refresh(s.Context()); err != nil {
		s.Fatal(err)
	}
	s.facts = append(s.facts, s.above)
	for _, l := range s.listed("one") {
		s.facts = append(s.facts, l.SHA256)
	}
	s.listsStand("nothing")
}

// writeList makes a list of a root and gives the file that it is in.
func (s *twoTenants) writeList(name string, number int64, root *x509.Certificate, key crypto.Signer) string {
	s.Helper()
	template := &x509.RevocationList{Number: big.NewInt(number), ThisUpdate: time.Now().Add(time.Duration(number) * time.Second).Add(-time.Minute),
		NextUpdate: time.Now().Add(time.Hour)}
	der, err := x509.CreateRevocationList(rand.Reader, template, root, key)
	if err != nil {
		s.Fatal(err)
	}
	file := filepath.Join(filepath.Dir(s.file), name+".crl")
	write(s.T, file, string(der))
	return file
}

func (s *twoTenants) listed(tenant string) (all []describedCRL) {
	s.Helper()
	if err := json.Unmarshal([]byte(s.must("crl", "list", "--tenant", tenant, "--json")), &all); err != nil {
		s.Fatal(err)
	}
	return all
}

// listsStand fails where a tenant's lists are not those that it made or imported.
func (s *twoTenants) listsStand(what string) {
	s.Helper()
	alpha, two := s.rootScope("one", "alpha"), s.rootScope("two", "issuing") // their first lists, by `ca create`
	for tenant, want := range map[string][]string{"one": {"alpha/g1", "alpha/" + alpha, "issuing/g1", "issuing/" + s.above}, "two": {"issuing/g1", "issuing/" + two}} {
		var names []string
		for _, l := range s.listed(tenant) {
			names = append(names, l.CA+"/"+l.List)
			if l.Tenant != tenant || l.RevokesCA || l.Entries != 0 {
				s.Errorf("after %s a list of tenant %s is %+v", what, tenant, l)
			}
		}
		if slices.Sort(names); !slices.Equal(names, want) {
			s.Errorf("after %s tenant %s has lists %v, want %v", what, tenant, names, want)
		}
	}
}

// rootScope names the list of the root above a CA.
func (s *twoTenants) rootScope(tenant, id string) string {
	s.Helper()
	issuer, err := s.issuers.Issuer(tenant, id)
	if err != nil {
		s.Fatal(err)
	}
	root, err := x509.ParseCertificate(issuer.Facts().Root)
	if err != nil {
		s.Fatal(err)
	}
	return ca.ImportedCRLScope(root.SubjectKeyId)
}

// servesLists: the lists of CAs of the same id are two, and each tenant's path
// gives its own; what one imported, the other's paths do not have.
func (s *twoTenants) servesLists() {
	s.Helper()
	own := s.answer("http", "GET", "/crl/one/issuing/g1.crl")
	for _, path := range []string{"/crl/one/alpha/crl.crl", "/crl/two/issuing/g1.crl", "/crl/one/issuing/" + s.above + ".crl"} {
		if got := s.answer("http", "GET", path); !strings.HasPrefix(got, "200") || got == own {
			s.Errorf("%s: %.60q", path, got)
		}
	}
	if !strings.HasPrefix(own, "200") {
		s.Errorf("tenant one's list: %.60q", own)
	}
	path := fmt.Sprintf("/crl/two/issuing/%s.crl", s.above)
	if got, want := s.answer("http", "GET", path), s.answer("http", "GET", "/crl/two/issuing/issuer-00.crl"); got != want || !strings.HasPrefix(got, "404") {
		s.Errorf("%s:\n%s\nwhat nobody owns is answered\n%s", path, got, want)
	}
}
