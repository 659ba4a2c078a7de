package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/enrollgate/enrollgate/ca/hierarchy"
	"github.com/enrollgate/enrollgate/ca/lint"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

type caRootCmd struct {
	offline
	ceremony
	firstCRL
	Name      string `required:"" help:"Organization name in the subject."`
	Algorithm string `help:"Key algorithm, where the key is to be made." default:"ecdsa-p384"`
	PathLen   int    `name:"path-length" help:"How many CAs may follow one another below the root; -1: any number." default:"-1"`
	Years     int    `help:"How long the certificate is valid." default:"20"`
	JSON      bool   `name:"json" help:"Print one JSON object."`
}

// Run makes a root that stays where it is: no configuration, no store, no network.
func (cmd *caRootCmd) Run(c console) error {
	if cmd.Years < 1 || cmd.Years > hierarchy.RootYears || cmd.PathLen == 0 || cmd.PathLen < -1 {
		return fmt.Errorf("%w: --years is 1 to %d, and --path-length -1 or at least 1, for the CA below", errUsage, hierarchy.RootYears)
	}
	file, err := cmd.place(cmd.Key)
	switch {
	case err != nil:
		return err
	case file == "":
		return fmt.Errorf("%w: say with --crl where the root's first CRL goes; its key is in no file that it could go beside", errUsage)
	}
	return cmd.record("ca root", func(log *hierarchy.Log) error {
		key, ring, err := cmd.open(cmd.Algorithm)
		if err != nil {
			return err
		}
		defer ring.Close()
		subject, err := hierarchy.Name(cmd.Name, cmd.Name+" Root CA")
		if err != nil {
			return fmt.Errorf("%w: --name: %w", errUsage, err)
		}
		der, err := hierarchy.MakeRoot(context.Background(), ring, lint.Linter{}, key, subject, cmd.PathLen, cmd.Years, time.Now(), log)
		if err != nil {
			return err
		}
		list, err := hierarchy.FirstListOf(context.Background(), ring, key, der, time.Now(), cmd.Days, log)
		if err != nil {
			return err
		}
		if err := writeList(file, list); err != nil {
			return err
		}
		fmt.Fprintf(c.err, "the root's first CRL is in %s\n", file)
		return printPEM(c, cmd.JSON, "CERTIFICATE", der, map[string]string{"subject": subject.String(), "key": key.URI, "certificate": pemOf(der), "crl": pemBlock("X509 CRL", list)})
	})
}

type caSignCmd struct {
	offline
	ceremony
	Certificate string   `required:"" help:"The root's certificate, PEM or DER." type:"path" placeholder:"FILE"`
	CSR         string   `required:"" name:"csr" help:"The request, PEM or DER; only its subject and key count." type:"path" placeholder:"FILE"`
	PathLen     int      `name:"path-length" help:"How many CAs may follow below the new one; -1: any number." default:"0"`
	Years       int      `help:"How long the certificate is valid; it ends with the root's at the latest." default:"10"`
	Permit      []string `help:"Names that the CA may certify: dns:example.com, ip:192.0.2.0/24, email:example.com, uri:host.example.com; may be given often." placeholder:"NAME"`
	Exclude     []string `help:"Names that it may not certify." placeholder:"NAME"`
	CRL         []string `name:"crl-url" help:"Where the root's CRL is published." placeholder:"URL"`
	JSON        bool     `name:"json" help:"Print one JSON object."`
}

// Run signs a sub-CA's request with a root's key.
func (cmd *caSignCmd) Run(c console) error {
	if cmd.Years < 1 || cmd.Years > hierarchy.RootYears || cmd.PathLen < -1 {
		return fmt.Errorf("%w: --years is 1 to %d, and --path-length -1 or more", errUsage, hierarchy.RootYears)
	}
	names, err := constraintsOf(cmd.Permit, cmd.Exclude)
	if err != nil {
		return err
	}
	return cmd.record("ca sign", func(log *hierarchy.Log) error {
		in := hierarchy.Signing{PathLen: cmd.PathLen, Years: cmd.Years, Names: names, CDP: cmd.CRL, Now: time.Now(), Log: log}
		var err error
		if in.Certificate, err = readOne(cmd.Certificate, "CERTIFICATE"); err != nil {
			return err
		}
		if in.CSR, err = readOne(cmd.CSR, "CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"); err != nil {
			return err
		}
		key, ring, err := cmd.open("")
		if err != nil {
			return err
		}
		defer ring.Close()
		in.Root = key
		der, err := hierarchy.Sign(context.Background(), ring, lint.Linter{}, in)
		if err != nil {
			return err
		}
		return printPEM(c, cmd.JSON, "CERTIFICATE", der, map[string]string{"certificate": pemOf(der)})
	})
}

// constraintsOf reads the name constraints of the flags; nil for none.
func constraintsOf(permitted, excluded []string) (*pkix.NameConstraints, error) {
	if len(permitted)+len(excluded) == 0 {
		return nil, nil
	}
	kinds := map[string]pkix.NameKind{"dns": pkix.DNSName, "ip": pkix.IPAddress, "email": pkix.RFC822Name, "uri": pkix.URI}
	read := func(texts []string) (out []pkix.GeneralName, err error) {
		for _, text := range texts {
			kind, value, found := strings.Cut(text, ":")
			k, known := kinds[kind]
			if !found || !known {
				return nil, fmt.Errorf("%w: %q is not dns:, ip:, email: or uri: with a name", errUsage, text)
			}
			base, err := pkix.Subtree(k, value)
			if err != nil {
				return nil, fmt.Errorf("%w: %w", errUsage, err)
			}
			out = append(out, base)
		}
		return out, nil
	}
	var c pkix.NameConstraints
	var err error
	if c.Permitted, err = read(permitted); err != nil {
		return nil, err
	}
	c.Excluded, err = read(excluded)
	return &c, err
}
