package attest

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/protocols/acme/state"
	"github.com/enrollgate/enrollgate/protocols/acme/va"
)

// Verifier validates device-attest-01 challenges. It is safe for concurrent use
// and asks nobody.
type Verifier struct {
	roots map[string]*x509.CertPool // by format
	now   func() time.Time
}

// check is what a format does with a statement.
type check func(v *Verifier, roots *x509.CertPool, s *statement, q *va.Question) (*device, error)

var formats = map[string]check{"apple": checkApple, "tpm": checkTPM, "packed": checkPacked, "step": checkStep}

// Formats lists the formats that can be configured.
func Formats() []string { return slices.Sorted(maps.Keys(formats)) }

// New makes a Verifier of the formats that roots are given for.
func New(roots map[string][]*x509.Certificate, now func() time.Time) (*Verifier, error) {
	if len(roots) == 0 || now == nil {
		return nil, errors.New("attest: no format has roots")
	}
	v := &Verifier{roots: map[string]*x509.CertPool{}, now: now}
	for format, certificates := range roots {
		if formats[format] == nil || len(certificates) == 0 {
			return nil, fmt.Errorf("attest: format %q is not known, or has no root", format)
		}
		v.roots[format] = x509.NewCertPool()
		for _, c := range certificates {
			if err := checkKey(c.PublicKey); err != nil {
				return nil, fmt.Errorf("attest: a root for format %q has %w", format, err)
			}
			v.roots[format].AddCert(c)
		}
	}
	return v, nil
}

// device is what an attestation stated.
type device struct {
	key        crypto.PublicKey // the attested one
	permanent  []string         // identifiers as orders write them: VALUE or VALUE/ASSIGNER
	modules    []string         // hardware modules as orders write them: SERIAL/TYPE
	serial     string
	properties map[string]string
}

// Validate checks the attestation object in the answer to the challenge against
// the identifier of the authorization, "permanent-identifier" or "hardware-module",
// and the key authorization. Record.Attestation is what it stated. The error is a
// *va.Problem that names no attested value (section 7 of the draft).
func (v *Verifier) Validate(_ context.Context, q va.Question) (va.Record, error) {
	if q.Token == "" || !strings.HasPrefix(q.KeyAuthorization, q.Token+".") {
		return va.Record{}, &va.Problem{Type: va.TypeServerInternal, Detail: "there is no key authorization of this token to compare with"}
	}
	data, err := attObj(q.Response)
	if err != nil {
		return va.Record{}, bad(err)
	}
	format, s, err := parseObject(data)
	if err != nil {
		return va.Record{}, bad(err)
	}
	roots := v.roots[format]
	if roots == nil {
		return va.Record{}, bad(fmt.Errorf("the attestation format is not one of those that are taken here: %s", strings.Join(slices.Sorted(maps.Keys(v.roots)), ", ")))
	}
	d, err := formats[format](v, roots, s, &q)
	if err != nil {
		return va.Record{}, bad(err)
	}
	if err := checkKey(d.key); err != nil {
		return va.Record{}, bad(fmt.Errorf("the attestation is of %w", err))
	}
	spki, err := pkix.NewPublicKey(d.key)
	if err != nil {
		return va.Record{}, bad(errors.New("the attested key is not a point of its curve, or not one that certificates hold"))
	}
	attested := d.permanent
	if q.Type == "hardware-module" {
		attested = d.modules
	}
	if !slices.Contains(attested, q.Identifier) { // octet by octet, sections 3.2 and 4.2
		return va.Record{}, bad(fmt.Errorf("the attestation names no %s, or another one than the order", q.Type))
	}
	hash := spki.Hash()
	return va.Record{Attestation: &state.Attestation{Format: format, Key: hash[:], Serial: d.serial, Properties: d.properties}}, nil
}

// bad makes the problem that ends the challenge: no attempt after this one, since
// the client's answer stays the same.
func bad(err error) *va.Problem {
	return &va.Problem{Type: va.TypeBadAttestation, Detail: err.Error()}
}

// named reads identifiers from the alternative names of an attesting certificate.
func (d *device) named(names []pkix.GeneralName) {
	for _, n := range names {
		if value, assigner, ok := n.PermanentIdentifier(); ok {
			if assigner != nil {
				value += "/" + assigner.String()
			}
			d.permanent = append(d.permanent, value)
		}
		if hardware, serial, ok := n.HardwareModule(); ok && !slices.Contains(serial, '/') {
			d.modules = append(d.modules, string(serial)+"/"+hardware.String())
		}
	}
}

// say keeps a property that is a short text of printable ASCII.
func (d *device) say(key, value string) {
	if !printable(value) {
		return
	}
	if d.properties == nil {
		d.properties = map[string]string{}
	}
	d.properties[key] = value
}

// printable tells whether a text is 1 to 128 characters of printable ASCII.
func printable(text string) bool {
	return text != "" && len(text) <= 128 && strings.IndexFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) < 0
}
