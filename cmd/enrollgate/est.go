package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/credential"
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
		own[e.ID] = est.Own{DeviceRoots: roots, Binding: est.Binding(written.ChannelBinding), Unfolded: written.Unfolded}
		endpoints = append(endpoints, e)
	}
	if len(endpoints) == 0 {
		p.est = d.routes(func(chi.Router) {}, elsewhere...)
		return nil
	}
	door, err := est.New(est.Options{Endpoints: endpoints, Default: p.cfg.EST.Default, Own: own, Core: p.authority, Issuers: d.issuers, Generations: d.issuers.All,
		Certificates: d.store, Credentials: credential.NewRegistry(d.store, d.sealing), Callers: caller.NewVerifier(caller.EST), Claims: claim.NewVerifier(caller.EST),
		Log: d.log, Now: time.Now, Observer: d.metrics.EST()})
	if err != nil {
		return err
	}
	p.est = d.routes(door.Routes, elsewhere...)
	return nil
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
