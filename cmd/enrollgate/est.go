package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"slices"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/credential"
	"github.com/enrollgate/enrollgate/ca/keygen"
	"github.com/enrollgate/enrollgate/ca/keys"
	"github.com/enrollgate/enrollgate/ca/seal"
	"github.com/enrollgate/enrollgate/config"
	"github.com/enrollgate/enrollgate/protocols/est"
	"github.com/enrollgate/enrollgate/protocols/scep"
)

// assembleEST builds the EST door of a policy and the routes of its listener.
func (d *daemon) assembleEST(p *policy) error {
	elsewhere := []string{"/acme", "/aia", "/crl", "/ocsp", scep.Prefix, ndesPrefix}
	var endpoints []ca.Endpoint
	own := map[string]est.Own{}
	for _, e := range p.cfg.Endpoints {
		if e.Door != caller.EST {
			continue
		}
		written := p.cfg.ESTOf[e.ID]
		roots, err := deviceRoots(written.DeviceRoots)
		if err != nil {
			return fmt.Errorf("endpoint %s: %w", e.ID, err)
		}
		own[e.ID] = est.Own{DeviceRoots: roots, Binding: est.Binding(written.ChannelBinding), Unfolded: written.Unfolded, ServerKeygen: written.ServerKeygen}
		endpoints = append(endpoints, e)
	}
	if len(endpoints) == 0 {
		p.est = d.routes(func(chi.Router) {}, elsewhere...)
		return nil
	}
	door, err := est.New(est.Options{Endpoints: endpoints, Default: p.cfg.EST.Default, Own: own, Core: p.authority, Issuers: d.issuers, Generations: d.issuers.All,
		Certificates: d.store, Credentials: credential.NewRegistry(d.store, d.sealing), Callers: caller.NewVerifier(caller.EST), Claims: claim.NewVerifier(caller.EST),
		Log: d.log, Now: time.Now, Observer: d.metrics.EST(),
		Keys: keygen.New(claim.NewVerifier(caller.EST), runtime.GOMAXPROCS(0)/2), Replies: d.store, Sealing: replySeal{d.sealing}, Archive: d.store, Signer: d.estSigner,
		Waiting: p.cfg.Approvals.Lifetime})
	if err != nil {
		return err
	}
	p.est = d.routes(door.Routes, elsewhere...)
	return nil
}

// replySeal seals kept replies with the data keys of their purpose.
type replySeal struct{ ring *seal.Keyring }

// Seal implements ca.Sealing.
func (s replySeal) Seal(ctx context.Context, tenant, id string, plaintext []byte) ([]byte, error) {
	return s.ring.Seal(ctx, seal.Reply, tenant, id, plaintext)
}

// Open implements ca.Sealing.
func (s replySeal) Open(ctx context.Context, tenant, id string, sealed []byte) ([]byte, error) {
	return s.ring.Open(ctx, seal.Reply, tenant, id, sealed)
}

// estSigner is the registration authority of a CA; nil where it has none.
func (d *daemon) estSigner(tenant, id string) est.Signer {
	if !slices.ContainsFunc(d.cfg.CAs, func(c config.CA) bool { return c.Tenant == tenant && c.ID == id && c.RA.Enabled }) {
		return nil
	}
	return estSigner{d, tenant, id}
}

// estSigner signs with the certificate that a registration authority has now.
type estSigner struct {
	d      *daemon
	tenant string
	ca     string
}

// signTimeout bounds how long a signature of a registration authority may take.
const signTimeout = 10 * time.Second

// Signatory implements est.Signer.
func (s estSigner) Signatory(ctx context.Context) (*est.Signatory, error) {
	for _, r := range s.d.ras {
		if r.Tenant != s.tenant || r.CA != s.ca {
			continue
		}
		k, err := r.Current(ctx)
		if err != nil {
			return nil, err
		}
		return &est.Signatory{Certificates: append([][]byte{k.Certificate.Raw}, k.Chain...), Key: keys.Standard(k.Key, ca.LaneEnrollment, s.tenant, signTimeout)}, nil
	}
	return nil, ca.UnavailableError(errors.New("the registration authority is not open yet"), time.Second)
}

// maxRootsFile bounds a file of roots, in octets.
const maxRootsFile = 1 << 20

// deviceRoots reads PEM files of CA certificates.
func deviceRoots(files []string) (all []*x509.Certificate, err error) {
	for _, name := range files {
		some, err := readRoots(name)
		if err != nil {
			return nil, fmt.Errorf("device_roots: %s: %w", name, err)
		}
		all = append(all, some...)
	}
	return all, nil
}

func readRoots(name string) (all []*x509.Certificate, err error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close() // only read from
	data, err := io.ReadAll(io.LimitReader(f, maxRootsFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxRootsFile {
		return nil, fmt.Errorf("longer than %d octets", maxRootsFile)
	}
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		if !c.IsCA {
			return nil, fmt.Errorf("the certificate of %s is not a CA's", c.Subject)
		}
		all = append(all, c)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("there is no certificate in it")
	}
	return all, nil
}

// serveEST answers a request of the est listener under the policy in force.
func (d *daemon) serveEST(w http.ResponseWriter, r *http.Request) {
	p := d.enter()
	defer p.leave()
	p.est.ServeHTTP(w, r)
}

// estTLS asks for client certificates and takes whatever comes: what one is good
// for is found out on every request, and says so in the protocol. There are no
// session tickets, so that every connection begins with a signature by the
// certificate's key, and none of another listener is taken.
func (d *daemon) estTLS() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: d.tls.Certificate, ClientAuth: tls.RequestClientCert,
		SessionTicketsDisabled: true, NextProtos: []string{"http/1.1"}}
}
