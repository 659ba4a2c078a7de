package main

import (
	"context"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"

	"github.com/enrollgate/enrollgate/test/harness"
)

// site is a running daemon on a store of its own.
type site struct {
	store   store
	daemon  *harness.Process
	pid     int
	answers *responder
	address string
	admin   string
	host    string
	roots   *x509.CertPool
	est     estSite
	scep    scepSite
}

const directoryPath = "/acme/default/issuing/privatessl-tls-server/directory"

// start runs the daemon as built from this tree, without the race detector,
// on its dev defaults: every check on, full durability.
func start(h *host, s store, answers *responder) *site {
	file := filepath.Join(h.TempDir(), "enrollgate.yaml")
	h.check("write the configuration", os.WriteFile(file, []byte(s.lines()+answers.lines()), 0o600))
	daemon := harness.StartDev(h, "--config", file)
	out := &site{store: s, daemon: daemon, pid: daemon.PID(), answers: answers, address: daemon.Addresses().HTTPS, admin: daemon.Addresses().Admin,
		roots: x509.NewCertPool()}
	root, err := os.ReadFile(daemon.File("root.pem"))
	h.check("read the trust anchor", err)
	if !out.roots.AppendCertsFromPEM(root) {
		h.Fatalf("root.pem holds no certificate")
	}
	_, port, _ := cutLast(out.address, ":")
	out.host = "localhost:" + port
	out.est, out.scep = newESTSite(h, daemon, file), newSCEPSite(h, daemon, file)
	return out
}

// clients makes n that can go through a flow.
func (s *site) clients(f flow, n int) ([]client, error) {
	all := make([]client, n)
	for i := range all {
		var err error
		switch f.door {
		case estDoor:
			all[i], err = s.device(f.shows)
		case scepDoor:
			all[i], err = s.gear()
		default:
			all[i], err = register(newWire(s.address, s.host, s.roots), "https://"+s.host+directoryPath)
		}
		if err != nil {
			return nil, fmt.Errorf("client %d: %w", i+1, err)
		}
	}
	return all, nil
}

// warm runs flows that nobody measures.
func (s *site) warm(ctx context.Context, clients []client, f flow, each int) error {
	_, err := s.run(ctx, clients, load{flows: each * len(clients), flow: f})
	return err
}
