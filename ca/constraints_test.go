package ca_test

import (
	"testing"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// authority is a CA certificate as far as bounds look at it.
func authority(t *testing.T, pathLen int, permitted ...string) *pkix.Certificate {
	t.Helper()
	constraints, err := pkix.MarshalBasicConstraints(true, pathLen)
	if err != nil {
		t.Fatal(err)
	}
	c := &pkix.Certificate{Extensions: []pkix.Extension{constraints}}
	names := &pkix.NameConstraints{}
	for _, text := range permitted {
		base, err := pkix.Subtree(pkix.DNSName, text)
		if err != nil {
			t.Fatal(err)
		}
		names.Permitted = append(names.Permitted, base)
	}
	if len(permitted) > 0 {
		e, err := pkix.MarshalNameConstraints(names)
		if err != nil {
			t.Fatal(err)
		}
		c.Extensions = append(c.Extensions, e)
	}
	return c
}

// TestPathLength: what a whole path leaves, to end entities and to CAs.
func TestPathLength(t *testing.T) {
	for name, c := range map[string]struct {
		path []int // the issuer's first
		asks int   // path length of the CA to be issued
		ok   bool
	}{
		"no bound anywhere":         {[]int{-1, -1}, -1, true},
		"the issuer has none":       {[]int{0, -1}, 0, false},
		"room for one":              {[]int{1, -1}, 0, true},
		"room for one, asks more":   {[]int{1, -1}, 1, false},
		"room for one, asks no end": {[]int{1, -1}, -1, false},
		"the root's bound":          {[]int{-1, 1}, 0, false},
		"the root leaves one":       {[]int{-1, 2}, 0, true},
		"the nearer bound wins":     {[]int{1, 9}, 1, false},
	} {
		var path []*pkix.Certificate
		for _, length := range c.path {
			path = append(path, authority(t, length))
		}
		bounds, err := ca.BoundsOf(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := bounds.CheckAuthority(authority(t, c.asks).Extensions); (err == nil) != c.ok || err != nil && !ca.IsKind(err, ca.Denied) {
			t.Errorf("%s: %v", name, err)
		}
		leaf, err := pkix.MarshalBasicConstraints(false, -1)
		if err != nil {
			t.Fatal(err)
		}
		if err := bounds.CheckAuthority([]pkix.Extension{leaf}); err != nil {
			t.Errorf("%s: an end entity: %v", name, err)
		}
	}
}

// TestConstraintsOfPath: every CA of the path has its say.
func TestConstraintsOfPath(t *testing.T) {
	bounds, err := ca.BoundsOf([]*pkix.Certificate{authority(t, 0, "a.example", "b.example"), authority(t, -1, "b.example", "c.example")})
	if err != nil {
		t.Fatal(err)
	}
	for name, ok := range map[string]bool{"host.b.example": true, "a.example": false, "c.example": false} {
		err := bounds.CheckNames(pkix.EmptyName, []pkix.GeneralName{pkix.DNS(name)})
		if (err == nil) != ok || err != nil && (!ca.IsKind(err, ca.Denied) || ca.AsError(err).Field != "san") {
			t.Errorf("%s: %v", name, err)
		}
	}
	broken := authority(t, -1)
	broken.Extensions = append(broken.Extensions, pkix.Extension{ID: pkix.OIDNameConstraints, Value: []byte{0x30, 0}})
	if _, err := ca.BoundsOf([]*pkix.Certificate{broken}); err == nil {
		t.Error("empty name constraints pass")
	}
}
