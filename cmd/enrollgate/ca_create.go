package main

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/admin"
	"github.com/enrollgate/enrollgate/ca/audit"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/hierarchy"
	"github.com/enrollgate/enrollgate/ca/keys"
	"github.com/enrollgate/enrollgate/ca/keys/pkcs11uri"
	"github.com/enrollgate/enrollgate/ca/lint"
	"github.com/enrollgate/enrollgate/config"
)

type caCmd struct {
	Create   caCreateCmd   `cmd:"" help:"Make a root and an issuing CA, keys included."`
	CSR      caCSRCmd      `cmd:"" name:"csr" help:"Make a CA's key and print the request for its certificate, for a root elsewhere."`
	Import   caImportCmd   `cmd:"" help:"Take a CA's certificate that was made elsewhere."`
	Activate caActivateCmd `cmd:"" help:"Decide which generation of a CA signs."`
	Root     caRootCmd     `cmd:"" help:"Make a root that stays offline: its key and its certificate."`
	Sign     caSignCmd     `cmd:"" help:"Sign a CA's request with an offline root."`
	CRL      caCRLCmd      `cmd:"" name:"crl" help:"Sign the next CRL of an offline root, with what it revokes."`
	List     caListCmd     `cmd:"" help:"List the CAs with their generations: subject, key, validity."`
}

type caCreateCmd struct {
	source
	ceremony
	firstCRL
	Tenant    string `required:"" help:"Tenant of the CA."`
	CA        string `required:"" name:"ca" help:"Id of the issuing CA, as in the configuration; its key is made at cas[].key."`
	Name      string `required:"" help:"Organization name in both subjects."`
	RootKey   string `required:"" help:"Where the root's key is made: file:/PATH, or pkcs11:token=LABEL;object=LABEL. Keep it offline afterwards." placeholder:"URI"`
	RootPIN   string `name:"root-key-password" help:"Where the password or PIN of the root's key is found: file:/PATH, env:NAME or credential:NAME. Default: that of cas[].key, for a root key of the same kind." placeholder:"REFERENCE"`
	Algorithm string `help:"Key algorithm: ecdsa-p256, ecdsa-p384, ecdsa-p521, rsa-2048, rsa-3072, rsa-4096 or ed25519." default:"ecdsa-p256"`
	Next      bool   `help:"Make the next certificate of a CA that has one, with the new key at cas[].key. It signs once it is activated."`
	JSON      bool   `name:"json" help:"Print one JSON object."`
}

// createdCA is what `ca create --json` prints.
type createdCA struct {
	*admin.Authority
	Certificate string `json:"certificate"`        // PEM
	TrustAnchor string `json:"trust_anchor"`       // PEM, what clients must trust
	RootCRL     string `json:"root_crl,omitempty"` // PEM, of a root that was made
}

// Run makes the hierarchy and prints the root certificate. It works beside a
// running daemon and never through it: the root's key is to go offline and must
// not be made in a process that talks to the network, no daemon writes a file
// that somebody names over a socket, and a daemon that runs could not use the
// new CA before its next start (cas need one). The commit is of a replica of its
// own, with its own audit chain, in the name of whoever runs this process; a CA
// that the daemon has cannot be made again.
func (cmd *caCreateCmd) Run(c console) error {
	return cmd.record("ca create --tenant "+cmd.Tenant+" --ca "+cmd.CA, func(log *hierarchy.Log) error { return cmd.make(c, log) })
}

func (cmd *caCreateCmd) make(c console, log *hierarchy.Log) error {
	cfg, err := cmd.load()
	if err != nil {
		return err
	}
	target, err := caOf(cfg, cmd.Tenant, cmd.CA)
	if err != nil {
		return err
	}
	root, err := cmd.rootKey(cfg, target)
	if err != nil {
		return err
	}
	list := ""
	if !cmd.Next {
		if list, err = cmd.place(root.uri); err != nil {
			return err
		}
	}
	ctx := context.Background()
	d := &daemon{cfg: cfg, log: newLog(cfg.Log, c.err)}
	if err := d.openStore(ctx); err != nil {
		return err
	}
	defer d.store.Close()
	defer d.keyring().Close()
	if err := d.openSeal(ctx); err != nil {
		return err
	}
	if cmd.Next {
		actor, err := localOperator(cmd.Tenant)
		if err != nil {
			return err
		}
		g, err := hierarchy.Stage(ctx, d.store, d.keyring(), lint.Linter{}, hierarchy.NewGeneration{
			Target: hierarchy.Target{Tenant: cmd.Tenant, CA: cmd.CA, Actor: actor, Now: time.Now(), Log: log}, Name: cmd.Name,
			Issuing: hierarchy.Key{URI: target.Key, Secret: target.KeyPassword, Algorithm: cmd.Algorithm}, Root: hierarchy.Key{URI: root.uri, Secret: root.secret}})
		if err != nil {
			return err
		}
		return printGeneration(ctx, c, d, g, cmd.JSON)
	}
	g, err := d.createCA(ctx, *target, cmd.Name, root, cmd.Algorithm, cmd.Days)
	if g != nil {
		err = errors.Join(err, writeList(list, g.RootList))
	}
	if err != nil {
		return err
	}
	log.Note("keys", "root %s, issuing %s", root.uri, g.KeyURI)
	log.Certificate("root", g.Root)
	log.Certificate("certificate", g.DER)
	log.List("first CRL", g.RootList)
	log.Note("recorded", "generation %d of CA %s of tenant %s", g.Number, g.CA, g.Tenant)
	if err := d.tellAuditRoot(ctx, c); err != nil {
		return err
	}
	if cmd.JSON {
		made, err := admin.DescribeAuthority(g.Generation, time.Now())
		if err != nil {
			return err
		}
		made.Current = true
		return printJSON(c.out, createdCA{made, pemOf(g.DER), pemOf(g.Root), pemBlock("X509 CRL", g.RootList)})
	}
	if list != "" {
		fmt.Fprintf(c.err, "the root's first CRL is in %s\n", list)
	}
	fmt.Fprintf(c.err, "made CA %s of tenant %s; clients must trust this root:\n", g.CA, g.Tenant)
	return pem.Encode(c.out, &pem.Block{Type: "CERTIFICATE", Bytes: g.Root})
}

// tellAuditRoot prints the root of trust of the audit trail, with the first CA.
func (d *daemon) tellAuditRoot(ctx context.Context, c console) error {
	anchor, err := d.signer.Root(ctx)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.err, "keep this public key outside of the store; `enrollgate audit verify --root FILE` holds the audit trail against it:\n%s", audit.EncodeRoot(anchor))
	return err
}

// keyAt is where a key is and what opens it.
type keyAt struct {
	uri    string
	secret keys.Secret
}

// rootKey reads the flags for the root's key. A PIN is too weak for a file that
// can be carried away, so it is not taken for one by default.
func (cmd *caCreateCmd) rootKey(cfg *config.Config, target *config.CA) (keyAt, error) {
	scheme := func(uri string) string { s, _, _ := strings.Cut(uri, ":"); return strings.ToLower(s) }
	root := keyAt{cmd.RootKey, target.KeyPassword}
	if cmd.RootPIN != "" {
		var err error
		if root.secret, err = keys.ParseSecret(cmd.RootPIN); err != nil {
			return keyAt{}, fmt.Errorf("%w: --root-key-password: %w", errUsage, err)
		}
	} else if scheme(root.uri) != scheme(target.Key) {
		return keyAt{}, fmt.Errorf("%w: one key is in a file and the other in a token; give the root's own secret with --root-key-password", errUsage)
	}
	if scheme(root.uri) == "pkcs11" {
		u, err := pkcs11uri.Parse(root.uri)
		if err != nil {
			return keyAt{}, fmt.Errorf("%w: --root-key: %w", errUsage, err)
		}
		if u.ModulePath != "" { // whoever runs this may name a module as the configuration does
			cfg.PKCS11.Modules = append(cfg.PKCS11.Modules, u.ModulePath)
		}
	}
	return root, nil
}

// createCA makes a root and an issuing CA in the name of whoever runs this process.
func (d *daemon) createCA(ctx context.Context, c config.CA, name string, root keyAt, algorithm string, listDays int) (*admin.Hierarchy, error) {
	actor, err := localOperator(c.Tenant)
	if err != nil {
		return nil, err
	}
	generations, err := d.store.Generations(ctx, c.Tenant)
	if err != nil {
		return nil, err
	}
	for _, g := range generations {
		if g.CA == c.ID {
			return nil, ca.Errorf(ca.Conflict, "CA %s has a certificate already; its id stays taken. For its next one: --next", c.ID)
		}
	}
	base, err := listsAt(d.cfg)
	if err != nil {
		return nil, err
	}
	return admin.CreateHierarchy(ctx, d.store, d.keyring(), lint.Linter{}, admin.NewHierarchy{Tenant: c.Tenant, CA: c.ID, Name: name,
		RootKey: root.uri, RootSecret: root.secret, IssuingKey: c.Key, Algorithm: algorithm, Secret: c.KeyPassword,
		BaseURL: base, ListDays: listDays, Actor: actor, Now: time.Now()})
}

// localOperator is whoever runs this process.
func localOperator(tenant string) (caller.Caller, error) {
	return caller.FromOperator(caller.NewVerifier(caller.Operator), caller.OperatorIdentity{Tenant: tenant, User: operatorName(), UID: os.Getuid(), At: time.Now()})
}

func operatorName() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return fmt.Sprint(os.Getuid())
}

// ensureDevCA makes the dev CA on the first start.
func (d *daemon) ensureDevCA(ctx context.Context, dir string) error {
	for _, c := range d.cfg.CAs {
		if c.Tenant != devTenant || c.ID != devCA {
			continue
		}
		secret, err := keys.ParseSecret("file:" + filepath.Join(dir, "secrets", "ca-password"))
		if err != nil {
			return err
		}
		root := keyAt{"file:" + filepath.Join(dir, "keys", "root.pem"), secret}
		made, err := d.createCA(ctx, c, "Enrollgate Development", root, keys.Algorithms()[0], hierarchy.FirstListDays)
		if ca.IsKind(err, ca.Conflict) {
			continue // it was made at an earlier start
		}
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, "root.crl"), []byte(pemBlock("X509 CRL", made.RootList)), 0o644); err != nil {
			return err
		}
	}
	return nil
}
