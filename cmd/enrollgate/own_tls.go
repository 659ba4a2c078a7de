package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
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
)

// certificateSource serves the gateway's TLS certificate to handshakes.
type certificateSource interface {
	Certificate(*tls.ClientHelloInfo) (*tls.Certificate, error)
}

// serviceEndpoint binds the gateway's own TLS certificate to a profile where
// the configuration brings none.
func (d *daemon) serviceEndpoint() (ca.Endpoint, bool) {
	if d.cfg.TLS.Certificate != "" || len(d.cfg.CAs) == 0 {
		return ca.Endpoint{}, false
	}
	issuer := d.cfg.CAs[0]
	return ca.Endpoint{ID: "service-tls", Door: caller.System, Tenant: issuer.Tenant, CA: issuer.ID, Profile: "gateway-tls-server",
		Policies: [][]caller.Method{{caller.ServiceItself}}}, true
}

// openTLS loads the configured certificate, or has the gateway enroll its own
// into dir.
func (d *daemon) openTLS(ctx context.Context, dir string) error {
	if d.sockets["https"] == nil {
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
		return nil
	}
	names := []string{"localhost", "127.0.0.1", "::1"}
	if base, err := url.Parse(d.cfg.BaseURL.HTTPS); err == nil && !slices.Contains(names, base.Hostname()) {
		names = append(names, base.Hostname())
	}
	own := &service.TLS{Enroller: d, Endpoint: endpoint.ID, Tenant: endpoint.Tenant, Names: names,
		File:    filepath.Join(dir, "keys", "tls.pem"),
		Callers: caller.NewVerifier(caller.System), Claims: claim.NewVerifier(caller.System), Log: d.log, Now: time.Now}
	if err := own.Ready(ctx); err != nil {
		return err
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
