package profile

import (
	"time"

	"github.com/enrollgate/enrollgate/ca/pkix"
)

// noRevocation is the choice for certificates that end before anybody could
// learn that they were revoked (RFC 9608).
const noRevocation = "none"

// shortLived is how long such a certificate may live. RFC 9608 gives no figure;
// it is the most that the CA/Browser Forum ever took for short-lived.
const shortLived = 10 * 24 * time.Hour

// noRevAvail says that no revocation information is published: NULL, and not
// critical (RFC 9608 section 2).
var noRevAvail = pkix.Extension{ID: pkix.OIDNoRevAvail, Value: []byte{0x05, 0x00}}

// compileRevocation checks `revocation: none`, which takes the places away
// where a status would be found (RFC 9608 section 3).
func (p *Profile) compileRevocation(w *Written, problems *problemList) {
	path := []string{"revocation"}
	if oneOf(w.Revocation, path, []string{"published", noRevocation}, problems); w.Revocation != noRevocation {
		w.Revocation = "" // the default is not written, so that texts from before keep their hash
		return
	}
	p.noRevocation = true
	if w.Kind != KindEndEntity && w.Kind != KindRA {
		problems.add(path, "none is for certificates of kind end-entity or ra: a CA certificate must not have it (RFC 9608 section 3)")
	}
	reference := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	if m := p.validity.maximum; m.withIssuer || m.period.From(reference).Sub(reference) > shortLived {
		problems.add(path, "none is for certificates that live for at most ten days: a longer validity.maximum would leave a lost key good until it ends")
	}
	for name, on := range map[string]**bool{"crl": &w.URLs.CRL, "ocsp": &w.URLs.OCSP} {
		if *on != nil && **on {
			problems.add([]string{"urls", name}, "the certificate says that there is no revocation information, so it cannot name a place for it (RFC 9608 section 3)")
		}
		no := false
		*on = &no
	}
}
