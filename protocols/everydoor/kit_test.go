package everydoor_test

import (
	"testing"

	"github.com/enrollgate/enrollgate/ca/pkix"
)

// try gives what a call made, and ends the test where it failed.
func try[T any](made T, err error) func(t testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
}

// attribute is one of a subject: its name, its text and the ASN.1 tag of its string type.
type attribute struct {
	name, text string
	tag        uint8
}

func rdn(t testing.TB, a attribute) pkix.Attribute {
	t.Helper()
	id, ok := pkix.AttributeOID(a.name)
	if !ok {
		t.Fatalf("no attribute %s", a.name)
	}
	return pkix.Attribute{Type: id, Tag: a.tag, Value: []byte(a.text)}
}

// nameOf makes a name of an RDN each.
func nameOf(t testing.TB, all ...attribute) pkix.RawName {
	t.Helper()
	var rdns []pkix.RDN
	for _, a := range all {
		rdns = append(rdns, pkix.RDN{rdn(t, a)})
	}
	return try(pkix.MarshalName(rdns))(t)
}
