package pkix

import (
	"bytes"
	"testing"
)

// Names of every kind print and read as what they say.
func TestOtherNames(t *testing.T) {
	must := func(g GeneralName, err error) GeneralName {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	ldevid := OID{1, 3, 6, 1, 4, 1, 47196, 6, 3, 2, 2}
	for want, g := range map[string]GeneralName{
		"upn:a@corp.example": must(NewUPN("a@corp.example")),
		"hardware:1.3.6.1.4.1.47196.6.3.2.2/PYNXHC2ZGIE11U": must(NewHardwareModule(ldevid, []byte("PYNXHC2ZGIE11U"))),
		"hardware:1.2.3/#00ff":                              must(NewHardwareModule(OID{1, 2, 3}, []byte{0, 0xff})),
		"rid:1.2.840":                                       must(NewRegisteredID(OID{1, 2, 840})),
		"email:a@b.example":                                 NewEmail("a@b.example"),
		"uri:https://a.example":                             NewURI("https://a.example"),
		"other:1.2.3:text":                                  must(NewOtherName(OID{1, 2, 3}, []byte("\x0c\x04text"))),
		"other:1.2.3:#0203010203":                           must(NewOtherName(OID{1, 2, 3}, []byte{2, 3, 1, 2, 3})),
		"otherName:#ff":                                     {Kind: OtherName, Raw: []byte{0xff}},
		"registeredID:#80":                                  {Kind: RegisteredID, Raw: []byte{0x80}},
	} {
		if g.String() != want {
			t.Errorf("printed as %s, want %s", g, want)
		}
		if g.Kind == OtherName && g.Raw[0] == 0xff || g.Kind == RegisteredID && g.Raw[0] == 0x80 {
			if text, ok := g.Text(); ok {
				t.Errorf("%s reads as %q", want, text)
			}
			continue
		}
		der, err := MarshalGeneralNames([]GeneralName{g})
		if err != nil {
			t.Fatal(err)
		}
		back, err := ParseGeneralNames(der)
		if err != nil || !bytes.Equal(back[0].Raw, g.Raw) {
			t.Errorf("%s: %v, %v", want, back, err)
		}
	}
	if _, ok := must(NewUPN("a\x00b")).UPN(); ok {
		t.Error("a user principal name with NUL reads")
	}
	id, serial, err := ParseHardwareModule("1.2.3/#00ff")
	if err != nil || id.String() != "1.2.3" || !bytes.Equal(serial, []byte{0, 0xff}) {
		t.Errorf("hardware module: %v %x %v", id, serial, err)
	}
	for _, text := range []string{"", "x", "1.2.3", "1.2.3/", "x/y", "1.2.3/#0"} {
		if _, _, err := ParseHardwareModule(text); err == nil {
			t.Errorf("%q reads as a hardware module", text)
		}
	}
}

// The Microsoft extensions, octet for octet as Windows writes them.
func TestMicrosoftExtensions(t *testing.T) {
	sid, err := MarshalSecurityID("S-1-5-21-1-2-3-1104")
	if want := "\x30\x25\xa0\x23\x06\x0a\x2b\x06\x01\x04\x01\x82\x37\x19\x02\x01\xa0\x15\x04\x13S-1-5-21-1-2-3-1104"; err != nil || string(sid.Value) != want {
		t.Errorf("security identifier %x (%v), want %x", sid.Value, err, want)
	}
	for _, text := range []string{"", "S-1-5", "s-1-5-21", "S-1-5-21-\n", "S-1-5-21-1 "} {
		if CheckSecurityID(text) == nil {
			t.Errorf("%q passes as a security identifier", text)
		}
	}
	name, err := MarshalMSTemplateName("User")
	if err != nil || string(name.Value) != "\x1e\x08\x00U\x00s\x00e\x00r" {
		t.Errorf("template name %x (%v)", name.Value, err)
	}
	template, err := MarshalMSTemplate(OID{1, 2, 3}, 100, 7)
	if err != nil || string(template.Value) != "\x30\x0a\x06\x02\x2a\x03\x02\x01\x64\x02\x01\x07" {
		t.Errorf("template %x (%v)", template.Value, err)
	}
	policies, err := MarshalPolicies([]Policy{{ID: OID{1, 2, 3}, CPS: []string{"http://a"}, Notice: []string{"n"}}, {ID: OID{1, 2, 4}}})
	if want := "\x30\x35\x30\x2d\x06\x02\x2a\x03\x30\x27\x30\x14\x06\x08\x2b\x06\x01\x05\x05\x07\x02\x01\x16\x08http://a" +
		"\x30\x0f\x06\x08\x2b\x06\x01\x05\x05\x07\x02\x02\x30\x03\x0c\x01n\x30\x04\x06\x02\x2a\x04"; err != nil || string(policies.Value) != want {
		t.Errorf("policies %x (%v), want %x", policies.Value, err, want)
	}
}

func TestNameParts(t *testing.T) {
	c, err := NewAttribute(OID{2, 5, 4, 6}, "US")
	if err != nil {
		t.Fatal(err)
	}
	cn, err := NewAttributeAs(OID{2, 5, 4, 3}, "x", 30)
	if err != nil {
		t.Fatal(err)
	}
	parent, err := MarshalName([]RDN{{c}})
	if err != nil {
		t.Fatal(err)
	}
	holder, err := MarshalName([]RDN{{cn}})
	if err != nil {
		t.Fatal(err)
	}
	whole, err := parent.Join(holder)
	if err != nil || whole.String() != "C=US,CN=x" || !whole.StartsWith(parent) || whole.StartsWith(holder) || !FixedStringType(c.Type) || FixedStringType(cn.Type) {
		t.Errorf("joined as %s (%v)", whole, err)
	}
	if _, err := RawName("x").Join(parent); err == nil {
		t.Error("what is no name was joined")
	}
	for tag, text := range map[uint8]string{19: "a@b", 22: "ä", 30: "\U0001f600", 4: "x"} {
		if _, err := EncodeText(text, tag); err == nil {
			t.Errorf("%q was encoded as string type %d", text, tag)
		}
	}
}
