package pkcs11uri

import (
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func slot(n uint) *uint { return &n }

func TestParse(t *testing.T) {
	for text, want := range map[string]URI{
		"pkcs11:": {},
		// RFC 7512 section 3, the examples that name what is looked at here.
		"pkcs11:object=my-pubkey;type=private":                               {Object: "my-pubkey"},
		"pkcs11:token=The%20Software%20PKCS%2311%20Softtoken;object=my-key":  {Token: "The Software PKCS#11 Softtoken", Object: "my-key"},
		"pkcs11:serial=DECC0401648;token=x;manufacturer=Snake%20Oil,%20Inc.": {Serial: "DECC0401648", Token: "x", Manufacturer: "Snake Oil, Inc."},
		"pkcs11:slot-id=327;object=k":                                        {SlotID: slot(327), Object: "k"},
		"PKCS11:id=%69%95%3E%5C%F4%BD%EC%91;model=1.0":                       {ID: "\x69\x95\x3e\x5c\xf4\xbd\xec\x91", Model: "1.0"},
		"pkcs11:object=k?module-path=/usr/lib/softhsm/libsofthsm2.so":        {Object: "k", ModulePath: "/usr/lib/softhsm/libsofthsm2.so"},
		"pkcs11:object=a+b=c&d?module-path=/opt/a%3Bb/x.so":                  {Object: "a+b=c&d", ModulePath: "/opt/a;b/x.so"},
		"pkcs11:object=Gr%C3%BCn;id=%00":                                     {Object: "Grün", ID: "\x00"},
	} {
		got, err := Parse(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
		again, err := Parse(got.String())
		if err != nil || !reflect.DeepEqual(got, again) {
			t.Errorf("%s: written as %s, read as %+v, %v", text, got.String(), again, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for text, says := range map[string]string{
		"":                                  "begins with pkcs11:",
		"file:/k":                           "begins with pkcs11:",
		"pkcs11:object=k?pin-value=hunter2": "no pin-value",
		"pkcs11:object=k;pin-value=hunter2": "no pin-value",
		"pkcs11:object=k?pin-source=file:/hunter2":      "no pin-source",
		"pkcs11:object=k?module-name=hunter2":           "module-path=/",
		"pkcs11:object=k;object=k":                      "object stands twice",
		"pkcs11:object=":                                "object of this pkcs11 URI is empty",
		"pkcs11:object":                                 "name=value",
		"pkcs11:object=k;":                              "name=value",
		"pkcs11:hunter 2=k":                             "name=value",
		"pkcs11:object=hunter 2":                        "object of this pkcs11 URI has a character that must be written as %20",
		"pkcs11:object=hunter%2":                        "object of this pkcs11 URI has a % without",
		"pkcs11:object=hunter%zz":                       "object of this pkcs11 URI has a % without",
		"pkcs11:object=hunter%1\x11":                    "object of this pkcs11 URI has a % without",
		"pkcs11:object=a/hunter":                        "must be written as %2F",
		"pkcs11:object=hunter%ff":                       "object of this pkcs11 URI is not UTF-8",
		"pkcs11:token=hunter%00":                        "token of this pkcs11 URI has a control character",
		"pkcs11:token=" + strings.Repeat("a", 33):       "token of this pkcs11 URI has more than 32 octets",
		"pkcs11:slot-id=-1":                             "slot-id of this pkcs11 URI is not a decimal",
		"pkcs11:slot-id=+1":                             "slot-id of this pkcs11 URI is not a decimal",
		"pkcs11:slot-id=4294967296":                     "slot-id of this pkcs11 URI is not a decimal",
		"pkcs11:type=public;object=k":                   "type of this pkcs11 URI is not \"private\"",
		"pkcs11:library-version=2;object=k":             "library-version of this pkcs11 URI is not one that is looked at: token, manufacturer",
		"pkcs11:x-hunter2=1":                            "x-hunter2 of this pkcs11 URI is not one",
		"pkcs11:module-path=/x;object=k":                "module-path stands on the wrong side of the ?",
		"pkcs11:?object=k":                              "object stands on the wrong side of the ?",
		"pkcs11:object=k?module-path=x.so":              "module-path of this pkcs11 URI is not the absolute path",
		"pkcs11:object=k?module-path=/x&module-path=/y": "module-path stands twice",
		"pkcs11:" + strings.Repeat("a", maxLength):      "more than 8192 octets",
	} {
		_, err := Parse(text)
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%.60s: %v", text, err)
		} else if strings.Contains(strings.ReplaceAll(err.Error(), "x-hunter2", ""), "hunter") {
			t.Errorf("%s: the error repeats the value: %v", text, err)
		}
	}
}

func TestCheckKey(t *testing.T) {
	for _, named := range []URI{{Object: "k"}, {ID: "\x01"}} {
		if err := named.CheckKey(); err != nil {
			t.Errorf("%v: %v", named, err)
		}
	}
	if err := (URI{Token: "t", SlotID: slot(1)}).CheckKey(); err == nil {
		t.Error("a token is not a key")
	}
}

// FuzzParseURI: what is read can be written and read again, within its bounds.
func FuzzParseURI(f *testing.F) {
	for _, seed := range []string{"pkcs11:token=a;object=b?module-path=/x.so", "pkcs11:id=%01%ff;slot-id=7;type=private", "pkcs11:;", "pkcs11:?&",
		"pkcs11:object=%", "pkcs11:serial=1;manufacturer=b;model=c", "pkcs11:object=k?pin-value=1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		u, err := Parse(text)
		if err != nil {
			if !reflect.DeepEqual(u, URI{}) {
				t.Errorf("an error and %+v", u)
			}
			return
		}
		if len(u.Token) > 32 || len(u.Serial) > 16 || len(u.Model) > 16 || len(u.Manufacturer) > 32 || len(u.Object) > 255 || len(u.ID) > 255 {
			t.Errorf("longer than the token's fields: %+v", u)
		}
		again, err := Parse(u.String())
		if err != nil || !reflect.DeepEqual(u, again) {
			t.Errorf("%q is written as %q: %+v, %v", text, u.String(), again, err)
		}
	})
}
