package probe

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"time"
)

// Door is one way to a certificate, bound to one endpoint and to names.
type Door interface {
	// Enroll gets a certificate for a new key, taking each of its steps with s. It
	// checks that the protocol was kept, and nothing about the certificate. It
	// ends with ctx, and leaves nothing open.
	Enroll(ctx context.Context, s *Steps) (*Enrolled, error)

	// Revoke revokes what Enroll gave, with one step; errors.ErrUnsupported, and no
	// step, where the protocol has no revocation by clients (EST, SCEP).
	Revoke(ctx context.Context, s *Steps, e *Enrolled) error
}

// Renewer is a Door whose certificates renew themselves.
type Renewer interface {
	// Renew gets another certificate for the same names and another key, which the
	// one that Enroll gave authenticates. It leaves nothing open.
	Renew(ctx context.Context, e *Enrolled) (*Enrolled, error)
}

// Enrolled is what a client got.
type Enrolled struct {
	Chain [][]byte         // DER, the leaf first, as the gateway gave them
	Key   crypto.PublicKey // that was asked for
	Names []string         // DNS names that were asked for
}

// Target is an endpoint that is probed.
type Target struct {
	Endpoint string // a metric's label: the endpoint's id, or its URL
	Protocol string // "acme", "est", "scep"
	URL      string
	Door     Door
	Renew    bool // the certificate by itself, too, where Door is a Renewer
}

// Options say what certificates are held against.
type Options struct {
	Roots    *x509.CertPool // trust anchors of the certificates
	HTTP     Getter         // asks what the certificate names; see NewClient
	Now      func() time.Time
	Revoke   bool          // revoke at the end, and see it
	Patience time.Duration // for the revocation to be seen
}

// Result is one run.
type Result struct {
	Endpoint string    `json:"endpoint"`
	Protocol string    `json:"protocol"`
	URL      string    `json:"url"`
	OK       bool      `json:"ok"`
	At       time.Time `json:"at"`
	Seconds  float64   `json:"seconds"`
	Serial   string    `json:"serial,omitempty"` // hexadecimal
	NotAfter time.Time `json:"not_after,omitzero"`
	Steps    []Taken   `json:"steps"`
}

// Run probes a target once. A run ends with the first step that fails, but for
// ocsp and crl, which are both looked at: of the two relying parties ask either.
func Run(ctx context.Context, t *Target, o *Options) *Result {
	s := &Steps{now: o.Now}
	out := &Result{Endpoint: t.Endpoint, Protocol: t.Protocol, URL: t.URL, At: o.Now().UTC()}
	err := out.run(ctx, t, o, s)
	out.OK, out.Steps, out.Seconds = err == nil, s.taken, o.Now().Sub(out.At).Seconds()
	return out
}

func (out *Result) run(ctx context.Context, t *Target, o *Options, s *Steps) error {
	e, err := t.Door.Enroll(ctx, s)
	if err != nil {
		return err
	}
	var p *path
	if err := s.Do(Chain, func() (note string, err error) {
		p, note, err = o.check(e)
		return note, err
	}); err != nil {
		return err
	}
	out.Serial, out.NotAfter = p.leaf.SerialNumber.Text(16), p.leaf.NotAfter.UTC()
	err = errors.Join(s.Do(OCSP, func() (string, error) { return o.good(ctx, p) }),
		s.Do(CRL, func() (string, error) { return o.notListed(ctx, p) }))
	if r, ok := t.Door.(Renewer); ok && t.Renew && err == nil {
		err = s.Do(Renew, func() (string, error) { return o.renew(ctx, r, e) })
	}
	if !o.Revoke {
		return err
	}
	revoking := t.Door.Revoke(ctx, s, e) // also what a check has failed for: nobody shall keep it
	switch {
	case errors.Is(revoking, errors.ErrUnsupported):
		return err
	case revoking != nil:
		return errors.Join(err, revoking)
	}
	return errors.Join(err, s.Do(Revoked, func() (string, error) { return o.seeRevoked(ctx, p) }))
}

// renew gets another certificate and checks it as the first one.
func (o *Options) renew(ctx context.Context, r Renewer, e *Enrolled) (note string, err error) {
	next, err := r.Renew(ctx, e)
	if err != nil {
		return "", err
	}
	p, note, err := o.check(next)
	if err != nil {
		return "", err
	}
	return "certificate " + p.leaf.SerialNumber.Text(16) + ", " + note, nil
}
