package main

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/doctor"
	"github.com/enrollgate/enrollgate/ca/issuer"
	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/config"
	"github.com/enrollgate/enrollgate/protocols/ocsp"
)

type doctorCmd struct {
	source
	JSON bool `name:"json" help:"Print one JSON list."`
}

// Run looks everything over, beside the daemon or without it. Warnings are exit code 0.
func (cmd *doctorCmd) Run(c console) (err error) {
	cfg, err := cmd.load()
	if err != nil {
		return err
	}
	if cmd.Dev {
		if err := cmd.fillBase(cfg); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	log := cfg.Log
	log.Level = max(log.Level, 12) // the findings say it all
	e := &examination{daemon: &daemon{cfg: cfg, log: newLog(log, c.err)}}
	if err := e.openStore(ctx); err != nil {
		e.Broken("store", cfg.Store.Engine, "Nothing else can be checked before the store opens.", errors.New(sentence(err)))
	} else {
		err := e.examine(ctx, cmd.Data)
		if err := errors.Join(err, e.store.Close()); err != nil {
			return err
		}
	}
	return e.print(c, cmd.JSON)
}

// examination is a look at an installation.
type examination struct {
	*daemon
	doctor.Findings
}

func (e *examination) examine(ctx context.Context, dir string) (err error) {
	e.LookAtStore(ctx, e.store, e.cfg.Store.UnsafeDurabilityReason, time.Now)
	_, schema, err := e.store.Schema(ctx)
	if err != nil {
		return nil // it was found
	}
	e.LookAtReplicas(ctx, e.store, e.cfg.Digest(), schema)
	if err := e.openSeal(ctx); err != nil {
		e.Broken("keys", "seal.key", "Without it the secrets in the store are lost: see that it is the one that they were sealed with.", errors.New(sentence(err)))
	} else {
		e.Findings = append(e.Findings, doctor.Finding{Area: "keys", What: "seal.key", Status: doctor.OK, Found: "opens every data key"})
	}
	generations, err := e.generations(ctx)
	if err != nil {
		return err
	}
	all := e.signingKeys(generations)
	held, shown, err := e.lookAtRAs(ctx)
	if err != nil {
		return err
	}
	all = append(all, held...)
	ring := e.keyring()
	defer func() { err = errors.Join(err, ring.Close()) }()
	e.LookAtKeys(ctx, ring, all)
	e.LookAtTokens(ctx, e.tokens, e.cfg.PKCS11.Modules, all)
	e.LookAtCertificates(append(e.certificates(generations, dir), shown...), time.Now())
	e.lookOutside(ctx, generations)
	return nil
}

// generations lists those of every CA of the configuration, by CA and number.
func (e *examination) generations(ctx context.Context) (all []ca.Generation, err error) {
	for _, c := range e.cfg.CAs {
		found, err := e.store.Generations(ctx, c.Tenant)
		if err != nil {
			return nil, err
		}
		n := len(all)
		for _, g := range found {
			if g.CA == c.ID {
				all = append(all, g)
			}
		}
		if len(all) == n {
			e.Broken("certificates", "CA "+c.Tenant+"/"+c.ID, "Make one with `enrollgate ca create`.", errors.New("it has no certificate in this store"))
		}
	}
	return all, nil
}

func (e *examination) authority(g *ca.Generation) *config.CA {
	for i := range e.cfg.CAs {
		if c := &e.cfg.CAs[i]; c.Tenant == g.Tenant && c.ID == g.CA {
			return c
		}
	}
	return nil // never: generations takes those of the configuration alone
}

// signingKeys lists the keys of every generation, of OCSP responders and of the https listener.
func (e *examination) signingKeys(generations []ca.Generation) (all []doctor.Key) {
	for i := range generations {
		g := &generations[i]
		all = append(all, doctor.Key{Name: fmt.Sprintf("CA %s/%s, generation %d", g.Tenant, g.CA, g.Number), Tenant: g.Tenant, URI: g.KeyURI,
			Secret: e.authority(g).KeyPassword, Certificate: g.DER})
	}
	for _, c := range e.cfg.CAs {
		if c.OCSP.Key != "" {
			all = append(all, doctor.Key{Name: "OCSP responder of CA " + c.Tenant + "/" + c.ID, Tenant: c.Tenant, URI: c.OCSP.Key, Secret: c.OCSP.KeyPassword})
		}
	}
	if e.cfg.TLS.Key != "" {
		all = append(all, doctor.Key{Name: "the https listener's certificate", URI: e.cfg.TLS.Key, Secret: e.cfg.TLS.KeyPassword})
	}
	return all
}

// certificates lists what the gateway itself depends on. What is kept in a file of
// a running daemon that this user may not read is left to /readyz.
func (e *examination) certificates(generations []ca.Generation, dir string) (all []doctor.Certificate) {
	for _, g := range generations {
		all = append(all, doctor.Certificate{Name: fmt.Sprintf("CA %s/%s, generation %d", g.Tenant, g.CA, g.Number), CA: true, DER: g.DER})
	}
	files := map[string]string{}
	switch t := e.cfg.TLS; {
	case t.Certificate != "":
		files["https listener"] = t.Certificate
	case t.Store != "":
		files["https listener"] = t.Store
	case e.cfg.Dev:
		files["https listener"] = filepath.Join(dir, "keys", "tls.pem")
	}
	for i := range e.cfg.CAs {
		if file := responderFile(e.cfg, &e.cfg.CAs[i], dir); file != "" {
			files["OCSP responder of CA "+e.cfg.CAs[i].Tenant+"/"+e.cfg.CAs[i].ID] = file
		}
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		der, err := firstCertificate(files[name])
		if err != nil {
			e.Findings = append(e.Findings, doctor.Finding{Area: "certificates", What: name, Status: doctor.Warn, Found: err.Error(),
				Do: "It is made when the daemon first starts; run doctor as the user that the daemon runs as."})
			continue
		}
		all = append(all, doctor.Certificate{Name: name, DER: der})
	}
	return all
}

// responderFile is where a delegated responder keeps its certificate; "" where there is none.
func responderFile(cfg *config.Config, c *config.CA, dir string) string {
	switch {
	case !c.OCSP.Enabled || c.OCSP.Signer != "delegated" || cfg.Listen.HTTP == "":
		return ""
	case c.OCSP.Store == "" && cfg.Dev:
		return filepath.Join(dir, "keys", "ocsp-"+c.Tenant+"-"+c.ID+".pem")
	}
	return c.OCSP.Store
}

func firstCertificate(file string) ([]byte, error) {
	data, err := readBounded(file)
	if err != nil {
		return nil, err
	}
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			return block.Bytes, nil
		}
	}
	return nil, fmt.Errorf("%s holds no PEM certificate", file)
}

// lookOutside asks for everything that certificates point at, where they point.
func (e *examination) lookOutside(ctx context.Context, generations []ca.Generation) {
	base := e.cfg.BaseURL.HTTP
	if base == "" || e.cfg.Listen.HTTP == "" {
		e.Findings = append(e.Findings, doctor.Finding{Area: "crl", What: "listen.http", Status: doctor.Warn,
			Found: "there is no http listener, so certificates name no CRL, OCSP responder or CA certificate", Do: "Set listen.http and base_url.http."})
		return
	}
	asking := &doctor.Asking{Store: e.store, Fetch: ask, OpenSSL: doctor.OpenSSL, Now: time.Now()}
	for i := range generations {
		g := &generations[i]
		c := e.authority(g)
		p := &doctor.Published{Tenant: g.Tenant, CA: g.CA, Generation: g.Number, DER: g.DER, AIA: base + issuer.AIAPath(g.Tenant, g.CA, g.Number),
			Overlap: c.CRL.Overlap}
		for shard := range c.CRL.Shards + 1 {
			scope := ca.CRLScope(g.Number, shard)
			p.CRLs = append(p.CRLs, doctor.List{URL: base + ca.CRLPath(g.Tenant, g.CA, scope), Scope: scope})
		}
		if c.CRL.DeltaInterval > 0 && c.CRL.Shards == 0 {
			scope := ca.CRLScope(g.Number, 0)
			p.CRLs = append(p.CRLs, doctor.List{URL: base + ca.DeltaCRLPath(g.Tenant, g.CA, scope), Scope: scope, Delta: true})
		}
		if c.OCSP.Enabled {
			p.OCSP = base + ocsp.Path(g.Tenant, g.CA)
		}
		e.LookAtPublished(ctx, asking, p)
	}
}

// ask asks the operator's own base URL, wherever that leads; it follows no redirect.
func ask(ctx context.Context, url string, body []byte) ([]byte, string, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	method, content := http.MethodGet, io.Reader(http.NoBody)
	if body != nil {
		method, content = http.MethodPost, bytes.NewReader(body)
	}
	r, err := http.NewRequestWithContext(ctx, method, url, content)
	if err != nil {
		return nil, "", err
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/ocsp-request") // RFC 6960 appendix A.1
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := client.Do(r)
	if err != nil {
		return nil, "", err
	}
	defer answer.Body.Close() // only read from
	if answer.StatusCode != http.StatusOK {
		return nil, "", fmt.Errorf("%s %s: %s", method, url, answer.Status)
	}
	data, err := io.ReadAll(io.LimitReader(answer.Body, pkix.MaxCRL+1)) // the parsers have the exact bounds
	return data, answer.Header.Get("Content-Type"), err
}

func (e *examination) print(c console, asJSON bool) error {
	if asJSON {
		if err := printJSON(c.out, e.Findings); err != nil {
			return err
		}
	} else {
		t := newTable(c.out)
		for _, f := range e.Findings {
			t.row(string(f.Status), f.Area, f.What, f.Found)
			if f.Do != "" {
				t.row("", "", "", "-> "+f.Do)
			}
		}
		if err := t.Flush(); err != nil {
			return err
		}
	}
	if e.Failed() {
		return errSaid
	}
	return nil
}
