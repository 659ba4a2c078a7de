package pkix

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/crypto/cryptobyte"
)

// Values of keyUsage as RFC 5280 and DER want them: trailing zero bits off.
func TestKeyUsage(t *testing.T) {
	for usage, want := range map[KeyUsage]string{
		DigitalSignature:                   "03020780",
		DigitalSignature | KeyEncipherment: "030205a0",
		KeyCertSign | CRLSign:              "03020106",
		EncipherOnly:                       "03020001",
		DecipherOnly:                       "0303070080",
		KeyAgreement | DecipherOnly:        "0303070880",
		0x1ff:                              "030307ff80",
	} {
		e := must[Extension](t)(MarshalKeyUsage(usage))
		if !e.Critical || !bytes.Equal(e.Value, unhex(t, want)) {
			t.Errorf("%v gave %x, want %s", usage.Names(), e.Value, want)
		}
		if got := must[KeyUsage](t)(ParseKeyUsageValue(e.Value)); got != usage {
			t.Errorf("%v came back as %v", usage.Names(), got.Names())
		}
		for _, n := range usage.Names() {
			if bit, ok := ParseKeyUsage(n); !ok || usage&bit == 0 {
				t.Errorf("%s is not found by its name", n)
			}
		}
	}
	if bit, ok := ParseKeyUsage("contentCommitment"); !ok || bit != NonRepudiation {
		t.Error("contentCommitment is not nonRepudiation")
	}
	if _, err := MarshalKeyUsage(0); err == nil {
		t.Error("an empty set was encoded")
	}
	for _, bad := range []string{"", "0300", "030108", "030101", "03020781", "0304000000 00", "04020780", "0302078000", "03050000000000"} {
		if u, err := ParseKeyUsageValue(unhex(t, bad)); err == nil {
			t.Errorf("%s gave %v", bad, u.Names())
		}
	}
}

func TestBasicConstraints(t *testing.T) {
	for _, c := range []struct {
		isCA    bool
		pathLen int
		want    string
	}{{false, -1, "3000"}, {true, -1, "30030101ff"}, {true, 0, "30060101ff020100"}, {true, 3, "30060101ff020103"}} {
		e := must[Extension](t)(MarshalBasicConstraints(c.isCA, c.pathLen))
		isCA, pathLen, err := ParseBasicConstraints(e.Value)
		if !bytes.Equal(e.Value, unhex(t, c.want)) || !e.Critical || isCA != c.isCA || pathLen != c.pathLen || err != nil {
			t.Errorf("%+v: %x, back as %v %d %v", c, e.Value, isCA, pathLen, err)
		}
	}
	if _, err := MarshalBasicConstraints(false, 0); err == nil {
		t.Error("a path length without cA was encoded")
	}
	for _, bad := range []string{"", "3003010101", "3003020180", "300300", "3000 00", "30050101ff0500", "3006020100 0101ff"} {
		if _, _, err := ParseBasicConstraints(unhex(t, bad)); err == nil {
			t.Errorf("%s was accepted", bad)
		}
	}
}

func TestExtKeyUsage(t *testing.T) {
	e := must[Extension](t)(MarshalExtKeyUsage([]OID{ExtKeyUsages["clientAuth"], {2, 5, 29, 37, 0}}, true))
	if !e.Critical || !bytes.Equal(e.Value, unhex(t, "3010 06082b06010505070302 0604551d2500")) {
		t.Errorf("%x", e.Value)
	}
	if got := must[[]OID](t)(ParseExtKeyUsage(e.Value)); fmt.Sprint(got) != "[1.3.6.1.5.5.7.3.2 2.5.29.37.0]" {
		t.Errorf("%v", got)
	}
	many := bytes.Repeat([]byte{6, 1, 0x2a}, 65)
	for _, bad := range [][]byte{nil, {0x30, 0}, {0x30, 2, 5, 0}, {0x30, 3, 6, 1, 0x2a, 0}, append([]byte{0x30, 0x81, byte(len(many))}, many...)} {
		if got, err := ParseExtKeyUsage(bad); err == nil {
			t.Errorf("%x gave %v", bad, got)
		}
	}
}

func TestEmptyListsAreNotEncoded(t *testing.T) {
	for name, err := range map[string]error{
		"extKeyUsage":           second(MarshalExtKeyUsage(nil, false)),
		"authorityInfoAccess":   second(MarshalAuthorityInfoAccess(nil, nil)),
		"cRLDistributionPoints": second(MarshalCRLDistributionPoints(nil)),
		"certificatePolicies":   second(MarshalCertificatePolicies(nil)),
		"subjectAltName":        second(MarshalSubjectAltName(nil, false)),
	} {
		if err == nil {
			t.Errorf("an empty %s was encoded", name)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestParseExtensions(t *testing.T) {
	for name, c := range map[string]struct{ der, says string }{
		"one":              {"3007 06022a03 0401 00", ""},
		"critical":         {"300a 06022a03 0101ff 0401 00", ""},
		"two":              {"3006 06022a03 0400 3006 06022a04 0400", ""},
		"twice":            {"3006 06022a03 0400 3006 06022a03 0400", "twice"},
		"critical is 1":    {"300a 06022a03 010101 0401 00", "critical"},
		"no value":         {"3004 06022a03", "malformed value"},
		"value and more":   {"3008 06022a03 0400 0500", "malformed value"},
		"not an extension": {"0500", "malformed extension"},
	} {
		_, err := ParseExtensions(unhex(t, c.der))
		if (err == nil) != (c.says == "") || (err != nil && !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
	var many cryptobyte.String
	for i := range maxExtensions + 1 {
		many = append(many, 0x30, 6, 6, 2, 0x2a, byte(i), 4, 0)
	}
	if _, err := ParseExtensions(many); err == nil {
		t.Error("65 extensions were accepted")
	}
}

func TestKeyIDs(t *testing.T) {
	for _, id := range [][]byte{{1}, bytes.Repeat([]byte{7}, 20), bytes.Repeat([]byte{7}, 200)} {
		subject, authority := must[Extension](t)(MarshalSubjectKeyID(id)), must[Extension](t)(MarshalAuthorityKeyID(id))
		if got := must[[]byte](t)(ParseSubjectKeyID(subject.Value)); !bytes.Equal(got, id) {
			t.Errorf("%x came back as %x", id, got)
		}
		if got := must[[]byte](t)(ParseAuthorityKeyID(authority.Value)); !bytes.Equal(got, id) {
			t.Errorf("%x came back as %x", id, got)
		}
	}
	if id, err := ParseAuthorityKeyID(unhex(t, "3003820101")); id != nil || err != nil { // a serial number alone
		t.Errorf("no keyIdentifier gave %x, %v", id, err)
	}
	for _, bad := range []string{"", "0400", "0402 01", "0401 0102", "0481 01 01", "3003800101"} {
		if id, err := ParseSubjectKeyID(unhex(t, bad)); err == nil {
			t.Errorf("%s gave %x", bad, id)
		}
	}
	for _, bad := range []string{"", "30", "3003800201", "300380010100", "0401 01"} {
		if id, err := ParseAuthorityKeyID(unhex(t, bad)); err == nil {
			t.Errorf("%s gave %x", bad, id)
		}
	}
}

func TestCRLDistributionPoints(t *testing.T) {
	for _, urls := range [][]string{{"http://a.example/x.crl"}, {"http://a.example/x.crl", "ldap://b.example/"}} {
		e := must[Extension](t)(MarshalCRLDistributionPoints(urls))
		if got := must[[]string](t)(ParseCRLDistributionPoints(e.Value)); strings.Join(got, " ") != strings.Join(urls, " ") {
			t.Errorf("%q came back as %q", urls, got)
		}
	}
	// A relative name, one for some reasons alone, and one with a name that is no URL.
	for _, other := range []string{"3006 3004 a002 a100", "300d 300b a005 a003 860161 8102 0780", "3009 3007 a005 a003 820161"} {
		if got, err := ParseCRLDistributionPoints(unhex(t, other)); got != nil || err != nil {
			t.Errorf("%s gave %q, %v", other, got, err)
		}
	}
	for _, bad := range []string{"", "3000", "3002 3001", "3009 3007 a005 a003 8602 61", "3009 3007 a005 a003 860161 00"} {
		if got, err := ParseCRLDistributionPoints(unhex(t, bad)); err == nil {
			t.Errorf("%s gave %q", bad, got)
		}
	}
}

func TestParseOID(t *testing.T) {
	for text, want := range map[string]bool{"1.2": true, "2.5.29.17": true, "2.999": true, "1": false, "": false, "1.40": false, "3.1": false, "1.02": false, "1.-2": false, "1.x": false, "1.2147483648": false, "1..2": false, strings.Repeat("1.", 41) + "1": false} {
		if oid, ok := ParseOID(text); ok != want || (ok && oid.String() != text) {
			t.Errorf("%.20s gave %v, %v", text, oid, ok)
		}
	}
}
