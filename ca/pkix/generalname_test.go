package pkix

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
)

// Each choice of GeneralName, as it is on the wire and as it is printed; the
// raw bytes come back as they were.
func TestGeneralNamesRoundTrip(t *testing.T) {
	inner := mustName(t, RDN{attribute(t, "CN", "x")})
	for _, c := range []struct {
		der, printed string
		kind         NameKind
	}{
		{"a010 060a2b060104018237140203 a002 0c00", "", OtherName},
		{"8103 614062", "email:a@b", RFC822Name},
		{"8203 612e62", "dns:a.b", DNSName},
		{"a302 3000", "x400Address:#3000", X400Address},
		{"a40e 300c 310a 3008 0603550403 0c0178", "dirname:CN=x", DirectoryName},
		{"a504 a102 0c00", "ediPartyName:#a1020c00", EDIPartyName},
		{"8608 687474703a2f2f61", "uri:http://a", URI},
		{"8704 c0000201", "ip:192.0.2.1", IPAddress},
		{"8803 2a0304", "rid:1.2.3.4", RegisteredID},
	} {
		one := unhex(t, c.der)
		der := append([]byte{0x30, byte(len(one))}, one...)
		names, err := ParseGeneralNames(der)
		if err != nil || len(names) != 1 || names[0].Kind != c.kind {
			t.Errorf("%s: %v, %v", c.der, names, err)
			continue
		}
		if c.printed != "" && names[0].String() != c.printed {
			t.Errorf("printed as %s, want %s", names[0], c.printed)
		}
		if got := must[[]byte](t)(MarshalGeneralNames(names)); !bytes.Equal(got, der) {
			t.Errorf("%x became %x", der, got)
		}
		if kind, ok := ParseNameKind(c.kind.String()); !ok || kind != c.kind {
			t.Errorf("%s is not found by its name", c.kind)
		}
		if c.kind == DirectoryName && !bytes.Equal(names[0].Raw, inner) {
			t.Errorf("the inner name is %x", names[0].Raw)
		}
	}
	if n := IP(netip.MustParseAddr("::ffff:192.0.2.1")); n.String() != "ip:192.0.2.1" || len(n.Raw) != 4 {
		t.Errorf("a mapped address is %s of %d octets", n, len(n.Raw))
	}
	if _, ok := ParseNameKind("dns"); ok {
		t.Error("an unknown kind was found")
	}
	if got := NameKind(12).String(); got != "generalName(12)" {
		t.Errorf("kind 12 prints as %s", got)
	}
	if DNS("a").Key() == (GeneralName{URI, []byte("a")}).Key() {
		t.Error("two kinds have one key")
	}
}

func TestParseGeneralNamesRefuses(t *testing.T) {
	for name, der := range map[string]string{
		"nothing":            "",
		"empty list":         "3000",
		"trailing":           "3003 820161 00",
		"unknown tag":        "3003 890161",
		"universal tag":      "3003 0c0161",
		"primitive dirname":  "3002 8400",
		"constructed dns":    "3003 a20161",
		"empty dns":          "3002 8200",
		"NUL in dns":         "3005 8203 610062",
		"high bit in dns":    "3004 8202 61e9",
		"NUL in uri":         "3004 8602 6100",
		"five octets":        "3007 8705 0102030405",
		"dirname not a name": "3004 a402 0500",
		"dirname and more":   "3006 a404 3000 0500",
		"cut short":          "3003 820261",
	} {
		if names, err := ParseGeneralNames(unhex(t, der)); err == nil {
			t.Errorf("%s gave %v", name, names)
		}
	}
	if _, err := ParseGeneralNames(must[[]byte](t)(MarshalGeneralNames(repeated(maxGeneralNames + 1)))); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("257 names: %v", err)
	}
	if _, err := ParseGeneralNames(must[[]byte](t)(MarshalGeneralNames(repeated(maxGeneralNames)))); err != nil {
		t.Errorf("256 names: %v", err)
	}
	if _, err := MarshalGeneralNames(nil); err == nil {
		t.Error("an empty list was encoded")
	}
}

func repeated(n int) (names []GeneralName) {
	for range n {
		names = append(names, DNS("a.example"))
	}
	return names
}
