package caller

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func checked() CheckedPassword {
	return CheckedPassword{Tenant: "one", Endpoint: "e", Credential: "u", Name: "u", Binding: Binding{Credential: "u", Subject: "s"}, At: now}
}

func presented() PresentedCertificate {
	return PresentedCertificate{Tenant: "one", Endpoint: "e", Presented: [32]byte{1}, Issued: [32]byte{1}, Serial: "5f", CA: "issuing", State: "issued", At: now}
}

func verified() VerifiedDevice {
	return VerifiedDevice{Tenant: "one", Endpoint: "e", Presented: [32]byte{2}, Leaf: [32]byte{2}, Root: [32]byte{3}, At: now}
}

func TestFromPassword(t *testing.T) {
	c, err := FromPassword(NewVerifier(EST), checked())
	if b, ok := c.Binding(); err != nil || !ok || b.Subject != "s" || c.ID() != "credential:u" || !slices.Equal(c.Methods(), []Method{Password}) {
		t.Fatalf("%s %v %v", c, c.Methods(), err)
	}
	if _, shown := c.Shown(); shown {
		t.Error("it has shown no certificate")
	}
	for name, change := range map[string]func(*CheckedPassword){
		"no tenant":         func(e *CheckedPassword) { e.Tenant = "" },
		"no endpoint":       func(e *CheckedPassword) { e.Endpoint = "" },
		"no credential":     func(e *CheckedPassword) { e.Credential = "" },
		"no time":           func(e *CheckedPassword) { e.At = time.Time{} },
		"another's name":    func(e *CheckedPassword) { e.Name = "v" },
		"another's binding": func(e *CheckedPassword) { e.Binding.Credential = "v" },
		"bound to nothing":  func(e *CheckedPassword) { e.Binding = Binding{} },
	} {
		ev := checked()
		change(&ev)
		if c, err := FromPassword(NewVerifier(EST), ev); err == nil || c.Verified() {
			t.Errorf("%s made %s", name, c)
		}
	}
}

func TestFromCertificate(t *testing.T) {
	c, err := FromCertificate(NewVerifier(EST), presented())
	if hash, ok := c.Shown(); err != nil || !ok || hash != ([32]byte{1}) || c.ID() != "certificate:issuing/5f" || !slices.Equal(c.Methods(), []Method{Certificate}) {
		t.Fatalf("%s %v %v", c, c.Methods(), err)
	}
	for name, change := range map[string]func(*PresentedCertificate){
		"no tenant":     func(e *PresentedCertificate) { e.Tenant = "" },
		"no endpoint":   func(e *PresentedCertificate) { e.Endpoint = "" },
		"no serial":     func(e *PresentedCertificate) { e.Serial = "" },
		"no CA":         func(e *PresentedCertificate) { e.CA = "" },
		"no time":       func(e *PresentedCertificate) { e.At = time.Time{} },
		"nothing shown": func(e *PresentedCertificate) { e.Presented, e.Issued = [32]byte{}, [32]byte{} },
		"another's":     func(e *PresentedCertificate) { e.Presented = [32]byte{2} },
		"revoked":       func(e *PresentedCertificate) { e.State = "revoked" },
		"held":          func(e *PresentedCertificate) { e.State = "held" },
		"no state":      func(e *PresentedCertificate) { e.State = "" },
	} {
		ev := presented()
		change(&ev)
		if c, err := FromCertificate(NewVerifier(EST), ev); err == nil || c.Verified() {
			t.Errorf("%s made %s", name, c)
		}
	}
}

func TestFromDevice(t *testing.T) {
	c, err := FromDevice(NewVerifier(EST), verified())
	if hash, ok := c.Shown(); err != nil || !ok || hash != ([32]byte{2}) || c.ID() != "device:02"+strings.Repeat("00", 31) || !slices.Equal(c.Methods(), []Method{DeviceCertificate}) {
		t.Fatalf("%s %v %v", c, c.Methods(), err)
	}
	for name, change := range map[string]func(*VerifiedDevice){
		"no tenant":     func(e *VerifiedDevice) { e.Tenant = "" },
		"no endpoint":   func(e *VerifiedDevice) { e.Endpoint = "" },
		"no time":       func(e *VerifiedDevice) { e.At = time.Time{} },
		"no root":       func(e *VerifiedDevice) { e.Root = [32]byte{} },
		"nothing shown": func(e *VerifiedDevice) { e.Presented, e.Leaf = [32]byte{}, [32]byte{} },
		"another's":     func(e *VerifiedDevice) { e.Leaf = [32]byte{9} },
	} {
		ev := verified()
		change(&ev)
		if c, err := FromDevice(NewVerifier(EST), ev); err == nil || c.Verified() {
			t.Errorf("%s made %s", name, c)
		}
	}
}

// TestDeviceVerifier: the token of another door makes none of these callers.
func TestDeviceVerifier(t *testing.T) {
	for _, door := range append(Doors(), "") {
		v := NewVerifier(door)
		_, password := FromPassword(v, checked())
		_, certificate := FromCertificate(v, presented())
		_, device := FromDevice(v, verified())
		for _, err := range []error{password, device} {
			if (err == nil) != (door == EST) {
				t.Errorf("door %q: %v", door, err)
			}
		}
		if (certificate == nil) != (door == EST || door == SCEP) {
			t.Errorf("door %q: %v", door, certificate)
		}
	}
}

// TestTogether: two become one where they are at the same place, by different means.
func TestTogether(t *testing.T) {
	make := func(c Caller, err error) Caller {
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	v := NewVerifier(EST)
	password, certificate, device := make(FromPassword(v, checked())), make(FromCertificate(v, presented())), make(FromDevice(v, verified()))
	both := make(Together(certificate, password))
	if b, ok := both.Binding(); !ok || b.Credential != "u" || both.ID() != "certificate:issuing/5f+credential:u" || !slices.Equal(both.Methods(), []Method{Certificate, Password}) {
		t.Errorf("%s %v", both, both.Methods())
	}
	if hash, ok := both.Shown(); !ok || hash != ([32]byte{1}) {
		t.Error("it has shown its certificate")
	}
	if hash, ok := make(Together(password, device)).Shown(); !ok || hash != ([32]byte{2}) {
		t.Error("it has shown its device certificate")
	}
	elsewhere := checked()
	elsewhere.Endpoint = "f"
	for name, pair := range map[string][2]Caller{
		"nobody":             {password, {}},
		"with nobody":        {{}, password},
		"the same way":       {password, password},
		"another endpoint":   {certificate, make(FromPassword(v, elsewhere))},
		"two certificates":   {certificate, device},
		"of different doors": {password, make(FromAccountSignature(NewVerifier(ACME), signature()))},
	} {
		if c, err := Together(pair[0], pair[1]); err == nil || c.Verified() {
			t.Errorf("%s made %s", name, c)
		}
	}
}

// TestRecordedHolders: what holds a caller is in its record, and a password's holder
// has no record without its credential.
func TestRecordedHolders(t *testing.T) {
	v := NewVerifier(EST)
	password, err := FromPassword(v, checked())
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := FromCertificate(v, presented())
	if err != nil {
		t.Fatal(err)
	}
	both, err := Together(certificate, password)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []Caller{password, certificate, both} {
		text, err := Record(c)
		if err != nil {
			t.Fatal(err)
		}
		read, err := FromRecord(text)
		if err != nil || read.ID() != c.ID() || !slices.Equal(read.Methods(), c.Methods()) || read.Endpoint() != "e" || read.Digest() != c.Digest() {
			t.Errorf("%s: %s, %v", c, read, err)
		}
		if _, shown := read.Shown(); shown {
			t.Errorf("%s: a record has shown a certificate", c)
		}
	}
	text, err := Record(password)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := FromRecord([]byte(strings.Replace(string(text), `"binding":`, `"other":`, 1))); err == nil {
		t.Error("a password's holder without a credential")
	}
}
