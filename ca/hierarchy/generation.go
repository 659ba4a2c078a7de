package hierarchy

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/issuer"
	"github.com/enrollgate/enrollgate/ca/keys"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// Target is the CA that an operation is about, and who asks for it.
type Target struct {
	Tenant, CA string
	Actor      caller.Caller
	Now        time.Time
	Log        *Log // nil: none
}

func (t *Target) check() error {
	if !t.Actor.Verified() || t.Actor.Tenant() != t.Tenant {
		return ca.Errorf(ca.BadProof, "this needs an operator of the tenant")
	}
	return nil
}

// Generations lists those of one CA, by number.
func Generations(ctx context.Context, store ca.Generations, tenant, id string) (own []ca.Generation, err error) {
	all, err := store.Generations(ctx, tenant)
	for _, g := range all {
		if g.CA == id {
			own = append(own, g)
		}
	}
	return own, err
}

// Place is what an imported certificate becomes.
type Place int

const (
	First Place = iota // the CA's first certificate
	Next               // one that waits to be activated
	Cross              // another certificate for a key and name that the CA has, for other chains
)

// Import is a certificate that another CA made.
type Import struct {
	Target
	Place       Place
	Key         Key // Cross: of the generation it is for
	Certificate []byte
	Chain       [][]byte // what is between certificate and root, in any order
	Root        []byte
}

// Accept verifies the certificate, its key and its chain, and records it as a
// generation. BadRequest says what is wrong with them, Conflict that the CA has
// this certificate already or is not where Place says.
func Accept(ctx context.Context, store ca.Generations, ring *keys.Ring, in Import) (*ca.Generation, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	chain, err := order(in.Certificate, in.Chain, in.Root)
	if err != nil {
		return nil, err
	}
	existing, err := Generations(ctx, store, in.Tenant, in.CA)
	if err != nil {
		return nil, err
	}
	g := &ca.Generation{Tenant: in.Tenant, CA: in.CA, Number: len(existing) + 1, KeyURI: in.Key.URI, DER: in.Certificate, Chain: chain, Root: in.Root}
	if err := in.place(g, existing); err != nil {
		return nil, err
	}
	key, public, err := OpenOrMake(ctx, ring, g.KeyURI, "", in.Key.Secret)
	if err != nil {
		return nil, err
	}
	in.Log.key("key", g.KeyURI, public)
	if err := accept(ctx, g, key, in.Now); err != nil {
		return nil, err
	}
	return g, record(ctx, store, in.Target, g, "ca.imported")
}

// place holds the certificate against the generations that there are.
func (in *Import) place(g *ca.Generation, existing []ca.Generation) error {
	cert, err := pkix.ParseCertificate(g.DER)
	if err != nil {
		return ca.Errorf(ca.BadRequest, "the certificate cannot be read: %v", err)
	}
	same := ""
	for _, old := range existing {
		if bytes.Equal(old.DER, g.DER) {
			return ca.Errorf(ca.Conflict, "CA %s has this certificate already, as generation %d; nothing was changed", g.CA, old.Number)
		}
		c, err := pkix.ParseCertificate(old.DER)
		if err != nil {
			return ca.InternalError(err)
		}
		if same == "" && bytes.Equal(c.Key.Raw(), cert.Key.Raw()) && bytes.Equal(c.Subject, cert.Subject) {
			same = old.KeyURI
		}
	}
	switch {
	case in.Place == First && len(existing) > 0:
		return ca.Errorf(ca.Conflict, "CA %s has a certificate already; import this one with --next to have it sign later, or with --cross for another chain of the same key", g.CA)
	case in.Place != First && len(existing) == 0:
		return ca.Errorf(ca.Conflict, "CA %s has no certificate yet; import its first one without --next or --cross", g.CA)
	case in.Place == Cross && same == "":
		return ca.Errorf(ca.BadRequest, "a cross-certificate is for a key and a subject that the CA has; this one is for another key, or for the subject %s", cert.Subject)
	case in.Place == Cross:
		g.KeyURI = same
	}
	return nil
}

// record adds a generation with its audit row.
func record(ctx context.Context, store ca.Generations, t Target, g *ca.Generation, event string) error {
	cert, err := pkix.ParseCertificate(g.DER)
	if err != nil {
		return ca.InternalError(err)
	}
	root, err := pkix.ParseCertificate(g.Root)
	if err != nil {
		return ca.InternalError(err)
	}
	detail, err := json.Marshal(map[string]any{"ca": g.CA, "generation": g.Number, "subject": cert.Subject.String(), "issuer": cert.Issuer.String(),
		"root": root.Subject.String(), "key": cert.Key.Algorithm(), "key_id": fmt.Sprintf("%x", cert.Key.KeyID())})
	if err != nil {
		return ca.InternalError(err)
	}
	if err := store.AddGeneration(ctx, g, ca.Audit{Tenant: t.Tenant, Event: event, Actor: t.Actor.ID(), Trace: ca.NewTrace(), Detail: detail}); err != nil {
		return err
	}
	t.Log.Certificate("certificate", g.DER)
	t.Log.Certificate("root", g.Root)
	t.Log.Note("recorded", "generation %d of CA %s of tenant %s", g.Number, g.CA, g.Tenant)
	return nil
}

// NewGeneration asks for the next certificate of a CA whose root is at hand.
type NewGeneration struct {
	Target
	Name    string // organization in the subject
	Issuing Key
	Root    Key // the one that signed the CA's newest certificate directly
}

// Stage makes the CA's next generation with a key of its own, signed by the
// same root. It waits to be activated.
func Stage(ctx context.Context, store ca.Generations, ring *keys.Ring, linter ca.Linter, in NewGeneration) (*ca.Generation, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	existing, err := Generations(ctx, store, in.Tenant, in.CA)
	if err != nil {
		return nil, err
	}
	if len(existing) == 0 {
		return nil, ca.Errorf(ca.Conflict, "CA %s has no certificate yet; make its first one without --next", in.CA)
	}
	last := existing[len(existing)-1]
	anchor, err := pkix.ParseCertificate(last.Root)
	if err != nil {
		return nil, ca.InternalError(err)
	}
	signer, rootPublic, err := OpenOrMake(ctx, ring, in.Root.URI, "", in.Root.Secret)
	if err != nil {
		return nil, fmt.Errorf("root key: %w", err)
	}
	if !bytes.Equal(rootPublic.Raw(), anchor.Key.Raw()) {
		return nil, ca.Errorf(ca.BadRequest, "the key at --root-key is not that of the CA's root, %s", anchor.Subject)
	}
	_, public, err := OpenOrMake(ctx, ring, in.Issuing.URI, in.Issuing.Algorithm, in.Issuing.Secret)
	if err != nil {
		return nil, fmt.Errorf("issuing key: %w", err)
	}
	for _, g := range existing {
		if c, err := pkix.ParseCertificate(g.DER); err != nil || bytes.Equal(c.Key.Raw(), public.Raw()) {
			return nil, ca.Errorf(ca.Conflict, "generation %d has the key at %s already; name a new one in cas[].key", g.Number, in.Issuing.URI)
		}
	}
	in.Log.key("root key", in.Root.URI, rootPublic)
	in.Log.key("issuing key", in.Issuing.URI, public)
	number := last.Number + 1
	subject, err := Name(in.Name, IssuingName(in.Name, in.CA, number))
	if err != nil {
		return nil, err
	}
	maker, err := makerOf(signer, anchor, linter)
	if err != nil {
		return nil, err
	}
	start := in.Now.UTC().Add(-time.Minute).Truncate(time.Second)
	points, err := pointsOf(last.DER)
	if err != nil {
		return nil, err
	}
	der, err := maker.Make(ctx, Order{Subject: subject, Key: public, CDP: points, NotBefore: start, NotAfter: earlier(start.AddDate(IssuingYears, 0, 0), anchor.NotAfter)})
	if err != nil {
		return nil, fmt.Errorf("issuing certificate: %w", err)
	}
	g := &ca.Generation{Tenant: in.Tenant, CA: in.CA, Number: number, KeyURI: in.Issuing.URI, DER: der, Root: last.Root}
	return g, record(ctx, store, in.Target, g, "ca.staged")
}

// pointsOf gives the URLs at which a certificate's issuer publishes its list:
// the next certificate that it signs names the same.
func pointsOf(der []byte) ([]string, error) {
	cert, err := pkix.ParseCertificate(der)
	if err != nil {
		return nil, ca.InternalError(err)
	}
	e, ok := pkix.FindExtension(cert.Extensions, pkix.OIDCRLDistPoints)
	if !ok {
		return nil, nil
	}
	return pkix.ParseCRLDistributionPoints(e.Value)
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// Activate decides that a generation signs from a time on; the zero time is
// now. Its key must open and sign here. A later decision takes this one back.
func Activate(ctx context.Context, store ca.Generations, ring *keys.Ring, t Target, number int, secret keys.Secret, from time.Time) (*ca.Activation, error) {
	if err := t.check(); err != nil {
		return nil, err
	}
	if from.Before(t.Now) {
		from = t.Now
	}
	from = from.UTC().Truncate(time.Second)
	own, err := Generations(ctx, store, t.Tenant, t.CA)
	if err != nil {
		return nil, err
	}
	if number < 1 || number > len(own) {
		return nil, ca.Errorf(ca.NotFound, "CA %s has no generation %d; `enrollgate ca list` shows those it has", t.CA, number)
	}
	g := own[number-1]
	cert, err := pkix.ParseCertificate(g.DER)
	if err != nil {
		return nil, ca.InternalError(err)
	}
	if from.Before(cert.NotBefore) || !from.Before(cert.NotAfter) {
		return nil, ca.Errorf(ca.BadRequest, "generation %d is valid from %s to %s, not at %s", number, cert.NotBefore.UTC().Format(time.RFC3339),
			cert.NotAfter.UTC().Format(time.RFC3339), from.Format(time.RFC3339))
	}
	key, err := ring.Open(ctx, g.KeyURI, secret)
	if err != nil {
		return nil, err
	}
	if _, err := issuer.NewLocal(&g, key, issuer.URLs{}); err != nil {
		return nil, err
	}
	if _, err := signWith(ctx, key, t.Tenant, cert.Key, []byte("enrollgate activation: the key of this CA answers")); err != nil {
		return nil, err
	}
	all, err := store.Activations(ctx, t.Tenant)
	if err != nil {
		return nil, err
	}
	a := &ca.Activation{Tenant: t.Tenant, CA: t.CA, Position: 1, Generation: number, From: from}
	for _, old := range all {
		if old.CA == t.CA {
			a.Position = old.Position + 1
		}
	}
	detail, err := json.Marshal(map[string]any{"ca": t.CA, "generation": number, "from": from.Format(time.RFC3339)})
	if err != nil {
		return nil, ca.InternalError(err)
	}
	err = store.Activate(ctx, a, ca.Audit{Tenant: t.Tenant, Event: "ca.activated", Actor: t.Actor.ID(), Trace: ca.NewTrace(), Detail: detail})
	return a, err
}
