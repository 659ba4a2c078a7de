package main

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/hierarchy"
	"github.com/enrollgate/enrollgate/ca/keys"
	"github.com/enrollgate/enrollgate/ca/keys/pkcs11"
	"github.com/enrollgate/enrollgate/ca/keys/pkcs11uri"
	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/config"
)

// ceremony is the flag of every command that makes or takes CA keys and
// certificates.
type ceremony struct {
	Log string `name:"ceremony-log" help:"Append what is done, with fingerprints and without secrets, to this file." type:"path" placeholder:"FILE"`
}

// record carries out a command with its ceremony log.
func (l ceremony) record(command string, do func(*hierarchy.Log) error) (err error) {
	if l.Log == "" {
		return do(nil)
	}
	f, err := os.OpenFile(l.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	log := hierarchy.NewLog(f, time.Now, command+", enrollgate "+programVersion(), operatorName(), host)
	outcome := do(log)
	return errors.Join(outcome, log.End(outcome), f.Sync())
}

// caOf finds a CA of the configuration.
func caOf(cfg *config.Config, tenant, id string) (*config.CA, error) {
	for i := range cfg.CAs {
		if cfg.CAs[i].Tenant == tenant && cfg.CAs[i].ID == id {
			return &cfg.CAs[i], nil
		}
	}
	return nil, fmt.Errorf("%w: the configuration has no CA %s of tenant %s", errUsage, id, tenant)
}

// target is the CA that a command is about.
type target struct {
	source
	Tenant string `required:"" help:"Tenant of the CA." placeholder:"ID"`
	CA     string `required:"" name:"ca" help:"Id of the CA, as in the configuration." placeholder:"ID"`
}

// open opens the store for a command about one CA, in the name of whoever runs
// it, beside a daemon that may run: every replica reads generations by itself.
func (t *target) open(c console, log *hierarchy.Log, do func(context.Context, *daemon, *config.CA, hierarchy.Target) error) (err error) {
	cfg, err := t.load()
	if err != nil {
		return err
	}
	made, err := caOf(cfg, t.Tenant, t.CA)
	if err != nil {
		return err
	}
	actor, err := localOperator(t.Tenant)
	if err != nil {
		return err
	}
	ctx := context.Background()
	d := &daemon{cfg: cfg, log: newLog(cfg.Log, c.err)}
	if err := d.openStore(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.keyring().Close(), d.store.Close()) }()
	return do(ctx, d, made, hierarchy.Target{Tenant: t.Tenant, CA: t.CA, Actor: actor, Now: time.Now(), Log: log})
}

// offline is a root's key, for commands that need neither configuration nor store.
type offline struct {
	Key      string `required:"" help:"The root's key: file:/PATH, or pkcs11:token=LABEL;object=LABEL?module-path=/PATH." placeholder:"URI"`
	Password string `required:"" name:"key-password" help:"Where the password or PIN of the key is found: file:/PATH, env:NAME or credential:NAME." placeholder:"REFERENCE"`
}

// open gives what opens the key.
func (o offline) open(algorithm string) (hierarchy.Key, *keys.Ring, error) {
	secret, err := keys.ParseSecret(o.Password)
	if err != nil {
		return hierarchy.Key{}, nil, fmt.Errorf("%w: --key-password: %w", errUsage, err)
	}
	var modules []string
	if strings.HasPrefix(strings.ToLower(o.Key), "pkcs11:") {
		u, err := pkcs11uri.Parse(o.Key)
		if err != nil {
			return hierarchy.Key{}, nil, fmt.Errorf("%w: --key: %w", errUsage, err)
		}
		if u.ModulePath == "" {
			return hierarchy.Key{}, nil, fmt.Errorf("%w: --key: say which module to load with module-path", errUsage)
		}
		modules = append(modules, u.ModulePath)
	}
	ring := keys.NewRing(pkcs11.With(pkcs11.New(pkcs11.Options{Modules: modules})))
	return hierarchy.Key{URI: o.Key, Secret: secret, Algorithm: algorithm}, ring, nil
}

// maxPEM bounds a file of certificates.
const maxPEM = 1 << 20

// readPEM reads the blocks of one type of a file, or a single DER value.
func readPEM(path string, labels ...string) (all [][]byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxPEM+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxPEM {
		return nil, ca.Errorf(ca.BadRequest, "%s is larger than 1 MiB", path)
	}
	if len(text) > 0 && text[0] == 0x30 {
		return [][]byte{text}, nil
	}
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			break
		}
		for _, label := range labels {
			if block.Type == label {
				all = append(all, block.Bytes)
			}
		}
		text = rest
	}
	if len(all) == 0 {
		return nil, ca.Errorf(ca.BadRequest, "%s has no %s in PEM or DER", path, labels[0])
	}
	return all, nil
}

// readOne reads a file that holds one value.
func readOne(path string, labels ...string) ([]byte, error) {
	all, err := readPEM(path, labels...)
	if err == nil && len(all) > 1 {
		err = ca.Errorf(ca.BadRequest, "%s has %d values of type %s; give one", path, len(all), labels[0])
	}
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// printPEM prints a value in PEM, or as the given JSON object.
func printPEM(c console, asJSON bool, label string, der []byte, object any) error {
	if asJSON {
		return printJSON(c.out, object)
	}
	return pem.Encode(c.out, &pem.Block{Type: label, Bytes: der})
}

// subjectOf is the subject of a CA that has a certificate for this key already,
// or the one made of the organization's name.
func subjectOf(own []ca.Generation, key pkix.PublicKey, organization, id string) (pkix.RawName, error) {
	for _, g := range own {
		cert, err := pkix.ParseCertificate(g.DER)
		if err != nil {
			return nil, err
		}
		if bytes.Equal(cert.Key.Raw(), key.Raw()) {
			return cert.Subject, nil
		}
	}
	return hierarchy.Name(organization, hierarchy.IssuingName(organization, id, len(own)+1))
}

func pemBlock(label string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der}))
}
