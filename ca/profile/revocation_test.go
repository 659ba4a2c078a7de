package profile

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/enrollgate/enrollgate/ca/pkix"
)

// short is minimal without revocation.
func short() Written {
	w := minimal()
	w.Validity.Default, w.Revocation = "P7D", "none"
	return w
}

// TestNoRevocation: the certificate says that nobody need ask for its status,
// and names no place for it (RFC 9608).
func TestNoRevocation(t *testing.T) {
	f := facts(t)
	f.CDP, f.OCSP = []string{"http://pki.example/crl/issuing.crl"}, []string{"http://pki.example/ocsp/issuing"}
	for revocation, none := range map[string]bool{"none": true, "published": false, "": false} {
		w := short()
		w.Revocation = revocation
		d, err := compiled(t, w).Decide(request(t, "a.example"), f, now)
		if err != nil {
			t.Fatal(err)
		}
		e, has := pkix.FindExtension(d.Extensions, pkix.OIDNoRevAvail)
		if has != none || none && (e.Critical || !bytes.Equal(e.Value, []byte{5, 0})) || (fieldOf(d, "no_rev_avail").Value == "true") != none {
			t.Errorf("%q: noRevAvail %v %v", revocation, has, e)
		}
		_, crl := pkix.FindExtension(d.Extensions, pkix.OIDCRLDistPoints)
		aia, issuer := pkix.FindExtension(d.Extensions, pkix.OIDAuthorityInfoAccess)
		if ocsp := bytes.Contains(aia.Value, []byte("ocsp/issuing")); crl == none || ocsp == none || !issuer {
			t.Errorf("%q: a CRL is named: %v, a responder: %v, the issuer: %v", revocation, crl, ocsp, issuer)
		}
	}
}

// TestPublishedIsNotWritten: texts and hashes from before the setting stay.
func TestPublishedIsNotWritten(t *testing.T) {
	written := minimal()
	written.Revocation = "published"
	if a, b := compiled(t, minimal()), compiled(t, written); a.Hash() != b.Hash() || bytes.Contains(a.Text(), []byte("revocation")) {
		t.Errorf("the default changes the text:\n%s", b.Text())
	}
	if text := compiled(t, short()).Text(); !bytes.Contains(text, []byte("revocation: none")) {
		t.Errorf("the setting is not in the text:\n%s", text)
	}
}

func TestNoRevocationRefuses(t *testing.T) {
	yes := true
	for name, c := range map[string]struct {
		change     func(*Written)
		path, says string
	}{
		"a choice that is none": {func(w *Written) { w.Revocation = "never" }, "revocation", "not a choice"},
		"eleven days":           {func(w *Written) { w.Validity.Default = "P11D" }, "revocation", "ten days"},
		"a long maximum":        {func(w *Written) { w.Validity.Maximum, w.Validity.Requested = "P1M", "within" }, "revocation", "ten days"},
		"as long as the issuer": {func(w *Written) { w.Validity.Default = issuerExpiry }, "revocation", "ten days"},
		"a CRL":                 {func(w *Written) { w.URLs.CRL = &yes }, "urls.crl", "RFC 9608"},
		"a responder":           {func(w *Written) { w.URLs.OCSP = &yes }, "urls.ocsp", "RFC 9608"},
		"a CA": {func(w *Written) {
			w.Kind, w.KeyUsage.Bits, w.Subject = KindCA, []string{"keyCertSign"}, WrittenSubject{Template: []map[string]string{{"CN": "x"}}}
		}, "revocation", "CA certificate"},
	} {
		w := short()
		c.change(&w)
		_, err := Compile(w)
		var problems Problems
		found := false
		errors.As(err, &problems)
		for _, p := range problems {
			found = found || strings.Join(p.Path, ".") == c.path && strings.Contains(p.Message, c.says)
		}
		if !found {
			t.Errorf("%s: %v, want %q at %s", name, err, c.says, c.path)
		}
	}
}
