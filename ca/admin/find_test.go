package admin

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca"
)

// shelf is a tenant's certificates by CA; what it does not implement panics.
type shelf struct {
	Records
	certificates map[string][]ca.Certificate
}

func (s shelf) Generations(_ context.Context, tenant string) (all []ca.Generation, err error) {
	for id := range s.certificates {
		all = append(all, ca.Generation{Tenant: tenant, CA: id, Number: 1}, ca.Generation{Tenant: tenant, CA: id, Number: 2})
	}
	return all, nil
}

func (s shelf) FindCertificates(_ context.Context, f *ca.Filter) (found []ca.Certificate, err error) {
	if err := f.Check(); err != nil {
		return nil, err
	}
	first, last := f.Serials()
	for _, c := range s.certificates[f.CA] {
		if string(c.Serial[:]) >= string(first[:]) && string(c.Serial[:]) <= string(last[:]) && len(found) < f.Limit {
			found = append(found, c)
		}
	}
	return found, nil
}

// TestListPages: pages of any size, over CAs that are full or empty, give every
// certificate once, and only the last page has no next.
func TestListPages(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"host.example"}, NotAfter: time.Now()}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	s := shelf{certificates: map[string][]ca.Certificate{}}
	var all []string
	for id, n := range map[string]int{"a": 3, "b": 0, "c": 2, "d": 0} {
		s.certificates[id] = nil
		for i := range n {
			s.certificates[id] = append(s.certificates[id], ca.Certificate{Tenant: "t", CA: id, Serial: ca.Serial{0x5f, byte(i)}, DER: der})
			all = append(all, fmt.Sprintf("%s/%s", id, ca.Serial{0x5f, byte(i)}))
		}
	}
	slices.Sort(all)
	for limit := 1; limit <= 6; limit++ {
		var got []string
		pages := 0
		for q := (Query{Filter: ca.Filter{Tenant: "t", Limit: limit}}); ; pages++ {
			page, err := List(t.Context(), s, q)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range page.Certificates {
				got = append(got, c.CA+"/"+c.Serial)
			}
			if q.Page = page.Next; q.Page == "" || pages > 9 {
				break
			}
			if len(page.Certificates) != limit {
				t.Errorf("a page of %d with a next has %d rows", limit, len(page.Certificates))
			}
		}
		if !slices.Equal(got, all) || pages+1 != (len(all)+limit-1)/limit {
			t.Errorf("in %d pages of %d: %v", pages+1, limit, got)
		}
	}
	for _, q := range []Query{
		{Filter: ca.Filter{Tenant: "t"}}, {Filter: ca.Filter{Tenant: "t", Limit: ca.MaxFound + 1}},
		{Filter: ca.Filter{Tenant: "t", Limit: 1}, Page: "a"}, {Filter: ca.Filter{Tenant: "t", Limit: 1}, Page: "z/" + strings.Repeat("5f", 16)},
		{Filter: ca.Filter{Tenant: "t", CA: "c", Limit: 1}, Page: all[0]},
	} {
		if _, err := List(t.Context(), s, q); !ca.IsKind(err, ca.BadRequest) {
			t.Errorf("%+v: %v, want bad request", q, err)
		}
	}
	if _, err := List(t.Context(), s, Query{Filter: ca.Filter{Tenant: "t", CA: "z", Limit: 1}}); !ca.IsKind(err, ca.NotFound) {
		t.Errorf("a CA that there never was: %v", err)
	}
}
