package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/acme"

	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/config"
	"github.com/enrollgate/enrollgate/probe"
)

// maxProbeFile bounds a file that the command line names, in octets.
const maxProbeFile = 1 << 20

// prepare makes the clients.
func (cmd *probeCmd) prepare(c console) (*canary, error) {
	var cfg *config.Config
	if cmd.Directory == "" && cmd.ESTURL == "" && cmd.SCEPURL == "" {
		var err error
		if cfg, err = cmd.load(); err != nil {
			return nil, err
		}
		if err := cmd.fillBase(cfg); err != nil {
			return nil, err
		}
		if cmd.Dev {
			cmd.devDefaults(cfg)
		}
	}
	anchors := x509.NewCertPool()
	if err := addRoots(anchors, cmd.Root); err != nil {
		return nil, err
	}
	trusted, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("the system's trust anchors: %w", err)
	}
	if err := addRoots(trusted, append(slices.Clone(cmd.Root), cmd.TLSRoot...)); err != nil {
		return nil, err
	}
	client := probe.NewClient(trusted)
	p := &canary{options: probe.Options{Roots: anchors, HTTP: client, Now: time.Now, Revoke: cmd.Revoke, Patience: cmd.Patience},
		timeout: cmd.Timeout, metrics: probe.NewMetrics(), file: cmd.Metrics, json: cmd.JSON, console: c}
	doors := &probedDoors{canary: p, est: probe.ESTOptions{Names: lower(cmd.Name), Roots: trusted},
		scep: probe.SCEPOptions{Names: lower(cmd.Name), HTTP: client, Roots: anchors}}
	o := &doors.acme
	*o = probe.ACMEOptions{Names: lower(cmd.Name), HTTP: client, Solver: cmd.solver(cfg)}
	if o.Key, err = cmd.accountKey(); err != nil {
		return nil, err
	}
	if o.External, err = cmd.external(); err != nil {
		return nil, err
	}
	if err := cmd.targets(doors, cfg); err != nil {
		return nil, err
	}
	for i := range p.targets {
		p.metrics.Start(&p.targets[i])
	}
	return p, nil
}

// devDefaults are what works with `serve --dev` on this machine.
func (cmd *probeCmd) devDefaults(cfg *config.Config) {
	if len(cmd.Root) == 0 {
		cmd.Root = []string{filepath.Join(cmd.Data, "root.pem")}
	}
	if len(cmd.Name) == 0 {
		cmd.Name = []string{"test.localhost"}
	}
	if cmd.HTTP01 == "" {
		cmd.HTTP01 = fmt.Sprintf("127.0.0.1:%d", cfg.ACME.HTTP01.Port)
	}
}

// probedDoors makes targets; what all endpoints of a door share is in its options.
type probedDoors struct {
	*canary
	acme probe.ACMEOptions
	est  probe.ESTOptions
	scep probe.SCEPOptions
}

// add makes one.
func (d *probedDoors) add(t probe.Target, err error) error {
	if err != nil {
		return err
	}
	d.targets = append(d.targets, t)
	return nil
}

func (d *probedDoors) addACME(id, url string) error {
	d.acme.Directory = url
	door, err := probe.NewACME(d.acme)
	return d.add(probe.Target{Endpoint: id, Protocol: string(caller.ACME), URL: url, Door: door}, err)
}

// targets lists the endpoints with a door that can be probed. That of another
// protocol is one more case here with its own implementation of probe.Door.
func (cmd *probeCmd) targets(d *probedDoors, cfg *config.Config) error {
	if cfg == nil {
		return cmd.addressed(d)
	}
	unknown := slices.Clone(cmd.Endpoint)
	for i := range cfg.Endpoints {
		e := &cfg.Endpoints[i]
		if len(cmd.Endpoint) > 0 && !slices.Contains(cmd.Endpoint, e.ID) {
			continue
		}
		unknown = slices.DeleteFunc(unknown, func(id string) bool { return id == e.ID })
		var err error
		switch {
		case e.Door == caller.ACME:
			err = d.addACME(e.ID, cfg.URL(e))
		case e.Door == caller.EST && alone(e, caller.Password):
			err = cmd.addEST(d, e.ID, cfg.URL(e), alone(e, caller.Certificate))
		case e.Door == caller.SCEP && (alone(e, caller.SCEPSecret) || alone(e, caller.StaticSCEPSecret)):
			err = cmd.addSCEP(d, e.ID, cfg.URL(e), alone(e, caller.Certificate))
		}
		if err != nil {
			return err
		}
	}
	if len(unknown) > 0 {
		return fmt.Errorf("%w: there is no endpoint %q; `enrollgate check` and `enrollgate urls` know which there are", errUsage, unknown[0])
	}
	if len(d.targets) == 0 {
		return errNothing
	}
	return nil
}

// addressed takes the endpoints that the command line names by their URLs.
func (cmd *probeCmd) addressed(d *probedDoors) error {
	if cmd.Directory != "" {
		if err := d.addACME(cmd.Directory, cmd.Directory); err != nil {
			return err
		}
	}
	if cmd.ESTURL != "" {
		if err := cmd.addEST(d, cmd.ESTURL, cmd.ESTURL, true); err != nil {
			return err
		}
	}
	if cmd.SCEPURL == "" {
		return nil
	}
	return cmd.addSCEP(d, cmd.SCEPURL, cmd.SCEPURL, true)
}

// solver answers challenges where the gateway asks.
func (cmd *probeCmd) solver(cfg *config.Config) probe.Solver {
	switch {
	case cmd.TLSALPN01 != "":
		return probe.TLSALPN01{Address: cmd.TLSALPN01}
	case cmd.HTTP01 == "" && cfg != nil:
		return probe.HTTP01{Address: fmt.Sprintf(":%d", cfg.ACME.HTTP01.Port)}
	case cmd.HTTP01 == "":
		return probe.HTTP01{Address: ":80"}
	}
	return probe.HTTP01{Address: cmd.HTTP01}
}

// external reads the key of an external account.
func (cmd *probeCmd) external() (*acme.ExternalAccountBinding, error) {
	if cmd.EABKID == "" {
		return nil, nil
	}
	text, err := readProbeFile(cmd.EABKeyFile)
	if err != nil {
		return nil, err
	}
	key, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(strings.TrimSpace(string(text)), "="))
	if err != nil || len(key) == 0 {
		return nil, fmt.Errorf("%s has no key in base64url, as `enrollgate credential create` prints it", cmd.EABKeyFile)
	}
	return &acme.ExternalAccountBinding{KID: cmd.EABKID, Key: key}, nil
}

// accountKey reads the account's key, or makes it.
func (cmd *probeCmd) accountKey() (crypto.Signer, error) {
	if cmd.AccountKey != "" {
		text, err := readProbeFile(cmd.AccountKey)
		if err == nil {
			block, _ := pem.Decode(text)
			if block == nil {
				return nil, fmt.Errorf("%s has no PEM block; remove it, and a key is made", cmd.AccountKey)
			}
			key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
			if signer, ok := key.(crypto.Signer); ok && err == nil {
				return signer, nil
			}
			return nil, fmt.Errorf("%s has no PKCS#8 key; remove it, and one is made", cmd.AccountKey)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil || cmd.AccountKey == "" {
		return key, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return key, writeNew(cmd.AccountKey, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
}

// addRoots adds the certificates of PEM files.
func addRoots(pool *x509.CertPool, files []string) error {
	for _, name := range files {
		text, err := readProbeFile(name)
		if err != nil {
			return err
		}
		if !pool.AppendCertsFromPEM(text) {
			return fmt.Errorf("%s has no certificate in PEM", name)
		}
	}
	return nil
}

func readProbeFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close() // only read from
	text, err := io.ReadAll(io.LimitReader(f, maxProbeFile+1))
	if err == nil && len(text) > maxProbeFile {
		err = fmt.Errorf("%s is longer than %d octets", name, maxProbeFile)
	}
	return text, err
}

// lower writes DNS names as certificates have them.
func lower(names []string) (out []string) {
	for _, n := range names {
		out = append(out, strings.ToLower(n))
	}
	return out
}
