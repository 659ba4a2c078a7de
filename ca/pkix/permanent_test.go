package pkix

import "testing"

func TestPermanentIdentifier(t *testing.T) {
	for text, assigner := range map[string]string{"C02XG0": "", "C02XG0/1.2.3.4": "1.2.3.4", "Gerät 7": ""} {
		value, id, err := ParsePermanentIdentifier(text)
		if err != nil || (id == nil) != (assigner == "") || id != nil && id.String() != assigner {
			t.Fatalf("%s: %s, %v", text, id, err)
		}
		name, err := NewPermanentIdentifier(value, id)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := name.Text(); !ok || got != text || name.String() != "permanent:"+text {
			t.Errorf("%s is printed as %s", text, name)
		}
		again, of, ok := name.PermanentIdentifier()
		if !ok || again != value || !of.Equal(id) {
			t.Errorf("%s reads as %q of %s", text, again, of)
		}
	}
	for _, bad := range []string{"", "/1.2.3", "a/b", "a/1.2/3", "a\nb", "\xff"} {
		if _, _, err := ParsePermanentIdentifier(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	for what, value := range map[string][]byte{
		"no value":      {0x30, 0x00},
		"assigner only": {0x30, 0x04, 0x06, 0x02, 0x2a, 0x03},
		"a slash":       {0x30, 0x05, 0x0c, 0x03, 'a', '/', 'b'},
		"more behind":   {0x30, 0x06, 0x0c, 0x01, 'a', 0x0c, 0x01, 'b'},
		"no sequence":   {0x0c, 0x01, 'a'},
	} {
		name, err := NewOtherName(OIDPermanentIdentifier, value)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, ok := name.PermanentIdentifier(); ok {
			t.Errorf("%s: reads", what)
		}
		if _, ok := name.Text(); ok {
			t.Errorf("%s: has a text", what)
		}
	}
}
