package doctor

import (
	"time"

	"github.com/enrollgate/enrollgate/ca/pkix"
)

// caSoon is when the end of a CA's certificate is worth a warning: the next one
// must be signed, and be trusted wherever this one is.
const caSoon = 90 * 24 * time.Hour

// Certificate is one that the installation itself depends on.
type Certificate struct {
	Name string
	CA   bool   // it signs others; else it is a service's own, which is renewed at two thirds of its life
	DER  []byte // nil: there is none yet
}

// LookAtCertificates says how long each is good.
func (f *Findings) LookAtCertificates(all []Certificate, now time.Time) {
	for _, c := range all {
		cert, err := pkix.ParseCertificate(c.DER)
		if err != nil {
			f.add("certificates", c.Name, Fail, "Look at the file or row that it came from.", "%v", err)
			continue
		}
		left, life := cert.NotAfter.Sub(now), cert.NotAfter.Sub(cert.NotBefore)
		switch {
		case left <= 0:
			f.add("certificates", c.Name, Fail, "Have it replaced now.", "it ended at %s", cert.NotAfter.UTC().Format(time.RFC3339))
		case now.Before(cert.NotBefore):
			f.add("certificates", c.Name, Fail, "Set this machine's clock.", "it begins at %s", cert.NotBefore.UTC().Format(time.RFC3339))
		case c.CA && left < caSoon:
			f.add("certificates", c.Name, Warn, "Make the CA's next generation.", "%s left", days(left))
		case !c.CA && left < life/4:
			f.add("certificates", c.Name, Warn, "It was not renewed in time: look for service.renewal in the log, or renew it where it comes from.", "%s left of %s", days(left), days(life))
		default:
			f.add("certificates", c.Name, OK, "", "%s left", days(left))
		}
	}
}
