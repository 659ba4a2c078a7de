package pkix

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

func TestNameRoundTrip(t *testing.T) {
	cn, ou := OID{2, 5, 4, 3}, OID{2, 5, 4, 11}
	for want, rdns := range map[string][]RDN{
		"":                           nil,
		"OU=a,CN=b":                  {{{ou, 12, []byte("a")}}, {{cn, 12, []byte("b")}}},
		"CN=a+OU=bb":                 {{{ou, 12, []byte("bb")}, {cn, 12, []byte("a")}}}, // sorted as a SET OF
		`CN=Gr\, üße`:                {{{cn, 12, []byte("Gr, üße")}}},
		"CN=Größe":                   {{{cn, 30, []byte("\x00G\x00r\x00\xf6\x00\xdf\x00e")}}}, // BMPString
		"CN=é":                       {{{cn, 20, []byte{0xe9}}}},                              // T61String
		"CN=12 3":                    {{{cn, 18, []byte("12 3")}}},                            // NumericString
		"CN=#0001":                   {{{cn, 4, []byte{0, 1}}}},                               // an OCTET STRING is no text
		"CN=#00":                     {{{cn, 30, []byte{0}}}},                                 // half a character
		"CN=#ff":                     {{{cn, 12, []byte{0xff}}}},                              // not UTF-8
		`CN=\#a\\\"\00\ `:            {{{cn, 12, []byte("#a\\\"\x00 ")}}},
		"1.2.3=x":                    {{{OID{1, 2, 3}, 12, []byte("x")}}},
		"Email=a@b,DC=example,UID=u": {{{OID{1, 2, 840, 113549, 1, 9, 1}, 22, []byte("a@b")}}, {{OID{0, 9, 2342, 19200300, 100, 1, 25}, 22, []byte("example")}}, {{OID{0, 9, 2342, 19200300, 100, 1, 1}, 12, []byte("u")}}},
	} {
		raw := mustName(t, rdns...)
		if raw.String() != want {
			t.Errorf("printed as %s, want %s", raw, want)
		}
		again := mustName(t, must[[]RDN](t)(ParseName(raw))...)
		if !bytes.Equal(raw, again) {
			t.Errorf("%s: %x became %x", want, raw, again)
		}
		if raw.Empty() != (want == "") {
			t.Errorf("%s: Empty is %v", want, raw.Empty())
		}
	}
}

func TestParseNameRefuses(t *testing.T) {
	for name, der := range map[string]string{
		"nothing":         "",
		"not a SEQUENCE":  "3100",
		"trailing":        "3000 00",
		"RDN not a SET":   "3002 3000",
		"empty RDN":       "3002 3100",
		"no value":        "3007 3105 3003 0603 55",
		"bytes in an ATV": "300f 310d 300b 0603550403 0c0161 0c0162",
		"indefinite":      "3080 0000",
	} {
		if _, err := ParseName(unhex(t, der)); err == nil {
			t.Errorf("%s was accepted", name)
		}
		if got := RawName(unhex(t, der)).String(); der != "" && !strings.HasPrefix(got, "#") {
			t.Errorf("%s prints as %s", name, got)
		}
	}
	var many []RDN
	for range maxNameAttributes + 1 {
		many = append(many, RDN{{OID{2, 5, 4, 3}, 12, []byte("x")}})
	}
	if _, err := ParseName(mustName(t, many...)); err == nil {
		t.Error("65 attributes were accepted")
	}
	if _, err := ParseName(mustName(t, many[1:]...)); err != nil {
		t.Errorf("64 attributes: %v", err)
	}
	if _, err := MarshalName([]RDN{{{OID{9, 9}, 12, []byte("x")}}}); err == nil {
		t.Error("an impossible OID was encoded")
	}
}

func TestNewAttribute(t *testing.T) {
	for _, c := range []struct {
		name, text string
		tag        uint8 // 0: refused
	}{
		{"CN", "host.example", 12}, {"commonname", strings.Repeat("ü", 64), 12}, {"CN", strings.Repeat("x", 65), 0}, {"CN", "", 0}, {"CN", "a\x00b", 0}, {"CN", "\xff", 0},
		{"C", "DE", 19}, {"C", "DEU", 0}, {"SERIALNUMBER", "A-1", 19}, {"SERIALNUMBER", "A_1", 0}, {"Email", "a@b.example", 22}, {"Email", "ü@b.example", 0}, {"1.2.3.4", "any", 12},
	} {
		oid, ok := AttributeOID(c.name)
		if !ok {
			t.Fatalf("no attribute %s", c.name)
		}
		a, err := NewAttribute(oid, c.text)
		if (err == nil) != (c.tag != 0) || (err == nil && (a.Tag != c.tag || a.Check() != nil)) {
			t.Errorf("%s=%.10q gave tag %d, %v", c.name, c.text, a.Tag, err)
		}
	}
	if _, ok := AttributeOID("nothing"); ok {
		t.Error("an unknown attribute was found")
	}
	if len(AttributeNames()) != 35 {
		t.Errorf("%d attributes, want the 34 of the catalogue and dnQualifier", len(AttributeNames()))
	}
	for _, n := range AttributeNames() {
		if oid, ok := AttributeOID(n); !ok || AttributeName(oid) != n {
			t.Errorf("%s does not find itself", n)
		}
	}
}

func TestAttributeCheck(t *testing.T) {
	cn := OID{2, 5, 4, 3}
	for _, c := range []struct {
		a    Attribute
		good bool
	}{
		{Attribute{cn, 12, []byte("ok")}, true}, {Attribute{cn, 30, []byte("\x00o")}, true}, {Attribute{cn, 20, []byte("ok")}, true}, {Attribute{cn, 18, []byte("1 2")}, true},
		{Attribute{cn, 12, nil}, false}, {Attribute{cn, 12, []byte("a\x00")}, false}, {Attribute{cn, 20, []byte{0x85}}, false}, {Attribute{cn, 19, []byte("a@b")}, false},
		{Attribute{cn, 18, []byte("a")}, false}, {Attribute{cn, 22, []byte{0xe9}}, false}, {Attribute{cn, 4, []byte("a")}, false}, {Attribute{cn, 12, bytes.Repeat([]byte("x"), 65)}, false},
	} {
		if err := c.a.Check(); (err == nil) != c.good {
			t.Errorf("%+v: %v", c.a, err)
		}
	}
}

func TestCommonNames(t *testing.T) {
	cn := OID{2, 5, 4, 3}
	got := CommonNames([]RDN{{{cn, 12, []byte("a")}, {OID{2, 5, 4, 10}, 12, []byte("o")}}, {{cn, 4, []byte("raw")}}, {{cn, 19, []byte("b")}}})
	if fmt.Sprint(got) != "[a b]" {
		t.Errorf("%v", got)
	}
}
