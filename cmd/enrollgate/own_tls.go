package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/keys"
	"github.com/enrollgate/enrollgate/ca/service"
	"github.com/enrollgate/enrollgate/config"
)

// certificateSource serves the gateway's TLS certificate to handshakes.
type certificateSource interface {
	Certificate(*tls.ClientHelloInfo) (*tls.Certificate, error)
}

// ownTLS says who issues the gateway's own certificate: what the configuration
// names, and in dev its first CA, for this machine. It is nil where the
// certificate is brought or nobody would see it.
func (d *daemon) ownTLS() *config.TLSIssue {
	t := d.cfg.TLS
	switch {
	case !d.speaksTLS() || t.Certificate != "":
		return nil
	case t.Issue != nil && len(t.Issue.Names) > 0:
		return t.Issue
	case !d.cfg.Dev || len(d.cfg.CAs) == 0:
		return nil
	}
	out := &config.TLSIssue{Tenant: d.cfg.CAs[0].Tenant, CA: d.cfg.CAs[0].ID, Names: []string{"localhost", "127.0.0.1", "::1"}}
	if t.Issue != nil {
		out.Tenant, out.CA = t.Issue.Tenant, t.Issue.CA
	}
	for _, text := range []string{d.cfg.BaseURL.HTTPS, d.cfg.BaseURL.EST} {
		if base, err := url.Parse(text); err == nil && base.Hostname() != "" && !slices.Contains(out.Names, base.Hostname()) {
			out.Names = append(out.Names, base.Hostname())
		}
	}
	return out
}

// speaksTLS tells whether there is a listener that shows a certificate.
func (d *daemon) speaksTLS() bool { return d.sockets["https"] != nil || d.sockets["est"] != nil }

// serviceEndpoint binds the gateway's own TLS certificate to its profile.
func (d *daemon) serviceEndpoint() (ca.Endpoint, bool) {
	issue := d.ownTLS()
	if issue == nil {
		return ca.Endpoint{}, false
	}
	return ca.Endpoint{ID: "service-tls", Door: caller.System, Tenant: issue.Tenant, CA: issue.CA, Profile: "gateway-tls-server",
		Policies: [][]caller.Method{{caller.ServiceItself}}}, true
}

// openTLS loads the configured certificate, or has the gateway enroll its own: into
// tls.store, and in dev into dir where that is not set.
func (d *daemon) openTLS(ctx context.Context, dir string) error {
	if !d.speaksTLS() {
		return nil
	}
	if d.cfg.TLS.Certificate != "" {
		key, err := d.keyring().Open(ctx, d.cfg.TLS.Key, d.cfg.TLS.KeyPassword)
		if err != nil {
			return err
		}
		d.tls, err = service.FromFiles(d.cfg.TLS.Certificate, keys.Standard(key, ca.LaneStatus, "", 10*time.Second))
		return err
	}
	endpoint, ok := d.serviceEndpoint()
	if !ok {
		return errors.New("nobody issues a certificate for the https and est listeners; set tls.certificate and tls.key, or tls.issue")
	}
	issuer := d.signing(endpoint.Tenant, endpoint.CA)
	if _, err := issuer(); err != nil {
		return fmt.Errorf("tls.issue: %w", err)
	}
	file := d.cfg.TLS.Store
	if file == "" {
		file = filepath.Join(dir, "keys", "tls.pem")
	}
	own := &service.TLS{Enroller: d, Endpoint: endpoint.ID, Tenant: endpoint.Tenant, Names: d.ownTLS().Names, File: file,
		Issuer: issuer, Callers: caller.NewVerifier(caller.System), Claims: claim.NewVerifier(caller.System), Log: d.log, Now: time.Now}
	if err := own.Ready(ctx); err != nil {
		return fmt.Errorf("the gateway's own TLS certificate: %w", err)
	}
	d.tls = own
	d.working.Go(func() { own.Keep(d.background) })
	return nil
}

// writeRun records the bound addresses for `enrollgate urls` and for scripts.
func (d *daemon) writeRun(path string) error {
	bound := map[string]string{}
	for name, l := range d.sockets {
		bound[name] = l.Addr().String()
	}
	data, err := json.MarshalIndent(bound, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(data, '\n'), 0o644)
}
