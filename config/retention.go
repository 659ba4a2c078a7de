package config

import (
	"regexp"
	"strconv"
)

// Retention says when records may go.
type Retention struct {
	Certificates int // whole months after the one in which a certificate expires; 0: for ever
}

// maxRetention is a hundred years, in months.
const maxRetention = 1200

// isoMonths is what is read of ISO 8601 where months count: years, months or both.
var isoMonths = regexp.MustCompile(`^(?i:P(?:([0-9]{1,3})Y)?(?:([0-9]{1,4})M)?)$`)

func (c *checker) retention(w writtenRetention, l Listen) (out Retention) {
	const path = "retention.certificates"
	if !c.given(path, w.Certificates) || w.Certificates == "forever" {
		return out
	}
	m := isoMonths.FindStringSubmatch(w.Certificates)
	if m == nil {
		c.choose(path, []string{"P13M", "P7Y", "forever"}, "certificates are kept for whole months or years, or forever")
		return out
	}
	for i, months := range []int{12, 1} {
		if n, err := strconv.Atoi(m[i+1]); err == nil { // else it is not written
			out.Certificates += n * months
		}
	}
	switch {
	case out.Certificates < 1 || out.Certificates > maxRetention:
		c.problem(path, "certificates are kept for 1 to %d months, or forever", maxRetention)
	case l.HTTP == "" && !c.dev:
		c.warn(path, "listen.http is not set, so no CRLs are published here, and no month is dropped before a CRL came out after it")
	}
	return out
}
