package main

import (
	"context"
	"fmt"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/admin"
	"github.com/enrollgate/enrollgate/ca/hierarchy"
	"github.com/enrollgate/enrollgate/config"
)

type caCSRCmd struct {
	target
	ceremony
	Name      string `required:"" help:"Organization name in the subject. A key that has a certificate keeps that one's subject."`
	Algorithm string `help:"Key algorithm, where the key is to be made." default:"ecdsa-p256"`
	PathLen   int    `name:"path-length" help:"How many CAs below this one the request asks for." default:"0"`
	JSON      bool   `name:"json" help:"Print one JSON object."`
}

// Run makes or opens the key at cas[].key and prints a request for its
// certificate. The CA then waits: nothing is recorded before `ca import`.
func (cmd *caCSRCmd) Run(c console) error {
	if cmd.PathLen < 0 {
		return fmt.Errorf("%w: --path-length is 0 or more", errUsage)
	}
	return cmd.record("ca csr --tenant "+cmd.Tenant+" --ca "+cmd.CA, func(log *hierarchy.Log) error {
		return cmd.open(c, log, func(ctx context.Context, d *daemon, at *config.CA, t hierarchy.Target) error {
			own, err := hierarchy.Generations(ctx, d.store, t.Tenant, t.CA)
			if err != nil {
				return err
			}
			_, public, err := hierarchy.OpenOrMake(ctx, d.keyring(), at.Key, cmd.Algorithm, at.KeyPassword)
			if err != nil {
				return err
			}
			subject, err := subjectOf(own, public, cmd.Name, t.CA)
			if err != nil {
				return err
			}
			der, err := hierarchy.Request(ctx, d.keyring(), hierarchy.Key{URI: at.Key, Secret: at.KeyPassword}, subject, cmd.PathLen, log)
			if err != nil {
				return err
			}
			return printPEM(c, cmd.JSON, "CERTIFICATE REQUEST", der, map[string]string{"tenant": t.Tenant, "ca": t.CA, "subject": subject.String(),
				"key": at.Key, "key_algorithm": public.Algorithm(), "key_id": fmt.Sprintf("%x", public.KeyID()), "csr": pemBlock("CERTIFICATE REQUEST", der)})
		})
	})
}

type caImportCmd struct {
	target
	ceremony
	Certificate string `required:"" help:"The CA's certificate, PEM or DER." type:"path" placeholder:"FILE"`
	Chain       string `help:"Certificates between it and the root, PEM, in any order." type:"path" placeholder:"FILE"`
	Root        string `required:"" help:"The root that clients trust, PEM or DER." type:"path" placeholder:"FILE"`
	Next        bool   `help:"It is the next certificate of the CA, and signs once it is activated." xor:"place"`
	Cross       bool   `help:"It is another certificate for a key and subject that the CA has; clients are offered its chain, too." xor:"place"`
	JSON        bool   `name:"json" help:"Print one JSON object."`
}

// Run takes the certificate that another CA made for the key at cas[].key.
func (cmd *caImportCmd) Run(c console) error {
	in := hierarchy.Import{Place: hierarchy.First}
	switch {
	case cmd.Next:
		in.Place = hierarchy.Next
	case cmd.Cross:
		in.Place = hierarchy.Cross
	}
	return cmd.record("ca import --tenant "+cmd.Tenant+" --ca "+cmd.CA, func(log *hierarchy.Log) error {
		return cmd.open(c, log, func(ctx context.Context, d *daemon, at *config.CA, t hierarchy.Target) (err error) {
			if in.Certificate, err = readOne(cmd.Certificate, "CERTIFICATE"); err != nil {
				return err
			}
			if in.Root, err = readOne(cmd.Root, "CERTIFICATE"); err != nil {
				return err
			}
			if cmd.Chain != "" {
				if in.Chain, err = readPEM(cmd.Chain, "CERTIFICATE"); err != nil {
					return err
				}
			}
			in.Target, in.Key = t, hierarchy.Key{URI: at.Key, Secret: at.KeyPassword}
			if err := d.openSeal(ctx); err != nil {
				return err
			}
			g, err := hierarchy.Accept(ctx, d.store, d.keyring(), in)
			if err != nil {
				return err
			}
			if in.Place == hierarchy.First {
				if err := d.tellAuditRoot(ctx, c); err != nil {
					return err
				}
			}
			return printGeneration(ctx, c, d, g, cmd.JSON)
		})
	})
}

// printGeneration says what was recorded and what comes next.
func printGeneration(ctx context.Context, c console, d *daemon, g *ca.Generation, asJSON bool) error {
	activations, err := d.store.Activations(ctx, g.Tenant)
	if err != nil {
		return err
	}
	made, err := admin.DescribeAuthority(g, time.Now())
	if err != nil {
		return err
	}
	made.Current = g.Number == ca.Signing(activations, g.CA, time.Now())
	if asJSON {
		return printJSON(c.out, createdCA{Authority: made, Certificate: pemOf(g.DER), TrustAnchor: pemOf(g.Root)})
	}
	fmt.Fprintf(c.out, "generation %d of CA %s of tenant %s: %s\n", g.Number, g.CA, g.Tenant, printable(made.Subject))
	if !made.Current {
		fmt.Fprintf(c.out, "it does not sign; to have it sign: enrollgate ca activate --tenant %s --ca %s --generation %d\n", g.Tenant, g.CA, g.Number)
	}
	return nil
}

type caActivateCmd struct {
	target
	ceremony
	Generation int       `required:"" help:"Number of the generation, as in ca list." placeholder:"N"`
	At         time.Time `help:"When it begins to sign, such as 2026-12-01T00:00:00Z; default: now." placeholder:"TIME"`
	JSON       bool      `name:"json" help:"Print one JSON object."`
}

// Run decides which generation signs. Replicas follow by themselves; what older
// generations issued keeps its chain.
func (cmd *caActivateCmd) Run(c console) error {
	return cmd.record(fmt.Sprintf("ca activate --tenant %s --ca %s --generation %d", cmd.Tenant, cmd.CA, cmd.Generation), func(log *hierarchy.Log) error {
		return cmd.open(c, log, func(ctx context.Context, d *daemon, at *config.CA, t hierarchy.Target) error {
			a, err := hierarchy.Activate(ctx, d.store, d.keyring(), t, cmd.Generation, at.KeyPassword, cmd.At)
			if err != nil {
				return err
			}
			log.Note("activated", "generation %d of CA %s of tenant %s, from %s", a.Generation, a.CA, a.Tenant, a.From.Format(time.RFC3339))
			if cmd.JSON {
				return printJSON(c.out, map[string]any{"tenant": a.Tenant, "ca": a.CA, "generation": a.Generation, "from": a.From})
			}
			_, err = fmt.Fprintf(c.out, "generation %d of CA %s of tenant %s signs from %s\n", a.Generation, a.CA, a.Tenant, a.From.Format(time.RFC3339))
			return err
		})
	})
}
