package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/enrollgate/enrollgate/ca"
	core "github.com/enrollgate/enrollgate/ca/admin"
	"github.com/enrollgate/enrollgate/protocols/admin"
)

// routeSwap is two paths of tenant two: one with an id that tenant one has, and
// one with an id that nobody has; or why there is nothing to swap.
type routeSwap struct {
	nothing string
	paths   [][2]string
}

const acmeRoutes = "/acme/{tenant}/{ca}/{profile}"

var elsewhereSwap = routeSwap{paths: [][2]string{{"/acme/two/alpha/privatessl-tls-server/directory", "/acme/two/nowhere/privatessl-tls-server/directory"},
	{"/aia/two/alpha.cer", "/aia/two/nowhere.cer"}}}

// routeSwaps classifies every route of every listener but ACME's resources: a new one must be put here.
var routeSwaps = map[string]routeSwap{
	"https /aia/*":                {paths: elsewhereSwap.paths[1:]},
	"http /acme/*":                {paths: elsewhereSwap.paths[:1]},
	"http /aia/{tenant}/{ca}.cer": {paths: [][2]string{{"/aia/two/alpha.cer", "/aia/two/nowhere.cer"}, {"/aia/TWO/issuing.cer", "/aia/three/issuing.cer"}, {"/aia/one%2Falpha/x.cer", "/aia/one%2Fnowhere/x.cer"}}},
	"admin /acme/*":               {paths: elsewhereSwap.paths[:1]},
	"admin /aia/*":                {paths: elsewhereSwap.paths[1:]},
	"admin /healthz":              {nothing: "says that the process answers"},
	"admin /readyz":               {nothing: "the installation's state, for its operators"},
	"admin /metrics":              {nothing: "the installation's figures, for its operators; tenants are labels"},
}

// socketSwaps classifies every operation of the administrative socket.
var socketSwaps = map[string]struct {
	nothing string
	tries   func(s *twoTenants, serial string) (in any)
	counts  bool // what is not there is counted, not refused
}{
	sealRotatePath: {nothing: "data keys belong to the installation"},
	auditSignPath:  {nothing: "the trail is the installation's"},
	reloadPath:     {nothing: "the configuration is the installation's"},
	certRevokePath: {tries: func(_ *twoTenants, serial string) any {
		return certRevokeIn{Tenant: "two", Serial: serial, Reason: "keyCompromise"}
	}},
	certSweepPath: {counts: true, tries: func(_ *twoTenants, serial string) any {
		return certSweepIn{selection: selection{Tenant: "two"}, Serials: []string{serial}, Reason: "keyCompromise", Job: ca.NewTrace()}
	}},
}

// TestTenantRoutes swaps tenants on every route of every listener and on every
// operation of the socket, as the routers of a running daemon list them.
func TestTenantRoutes(t *testing.T) {
	for store, lines := range tenantStores {
		t.Run(store, func(t *testing.T) {
			s := installTenants(t, lines)
			t.Cleanup(s.end)
			routers := map[string]chi.Routes{"https": s.policy.Load().https}
			for name, r := range s.mounted() {
				routers[name] = r
			}
			if len(routers) != len(s.sockets) {
				t.Errorf("%d routers of %d listeners", len(routers), len(s.sockets))
			}
			found := map[string]bool{}
			for listener, router := range routers {
				err := chi.Walk(router, func(method, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
					if resource, ok := strings.CutPrefix(route, acmeRoutes); ok && listener == "https" {
						s.swappedByDoor(method + " " + resource)
						return nil
					}
					found[listener+" "+route] = true
					s.swapRoute(listener, method, route)
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			for name := range routeSwaps {
				if !found[name] {
					t.Errorf("there is no route %s", name)
				}
			}
			s.untouched("every route")
			s.publishes()
			s.swapOperations()
		})
	}
}

// end stops the daemon.
func (s *twoTenants) end() {
	if err := s.stop(10 * time.Second); err != nil {
		s.Error(err)
	}
}

// swappedByDoor: the ACME door's own test tries every resource that is mounted.
func (s *twoTenants) swappedByDoor(resource string) {
	s.Helper()
	text, err := os.ReadFile("../../protocols/acme/tenants_test.go")
	if err != nil {
		s.Fatal(err)
	}
	if !strings.Contains(string(text), "func TestTenantSwap(") || !strings.Contains(string(text), fmt.Sprintf("\t%q:", resource)) {
		s.Errorf("TestTenantSwap of protocols/acme does not know the resource %s", resource)
	}
}

func (s *twoTenants) swapRoute(listener, method, route string) {
	s.Helper()
	c, ok := routeSwaps[listener+" "+route]
	if !ok || (c.nothing == "") == (c.paths == nil) {
		s.Errorf("listener %s, route %s %s is not classified: swap tenants on it, or say why nothing can be swapped", listener, method, route)
		return
	}
	for _, p := range c.paths {
		got, want := s.answer(listener, method, p[0]), s.answer(listener, method, p[1])
		if got != want || !strings.HasPrefix(got, "4") {
			s.Errorf("listener %s, %s %s:\n%s\nwhat nobody owns is answered\n%s", listener, method, p[0], got, want)
		}
		s.leaks(method+" "+p[0], got)
	}
}

// answer is all that a client sees but the time.
func (s *twoTenants) answer(listener, method, path string) string {
	s.Helper()
	base := map[string]string{"https": s.cfg.BaseURL.HTTPS, "http": s.cfg.BaseURL.HTTP, "admin": "http://" + s.cfg.Listen.Admin}[listener]
	r, err := http.NewRequestWithContext(s.Context(), method, base+path, nil)
	if err != nil {
		s.Fatal(err)
	}
	answer, err := s.client.Do(r)
	if err != nil {
		s.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		s.Fatal(err)
	}
	answer.Header.Del("Date")
	return fmt.Sprintf("%d %v %s", answer.StatusCode, answer.Header, body)
}

// publishes: CAs of the same id are two, and each tenant's path gives its own.
func (s *twoTenants) publishes() {
	s.Helper()
	own := s.answer("http", "GET", "/aia/one/issuing.cer")
	for _, path := range []string{"/aia/one/alpha.cer", "/aia/two/issuing.cer"} {
		if got := s.answer("http", "GET", path); !strings.HasPrefix(got, "200") || got == own {
			s.Errorf("%s: %.60q", path, got)
		}
	}
	if !strings.HasPrefix(own, "200") {
		s.Errorf("tenant one's CA: %.60q", own)
	}
}

func (s *twoTenants) swapOperations() {
	s.Helper()
	known := map[string]bool{}
	for _, op := range s.operations() {
		known[op.Path] = true
		c, ok := socketSwaps[op.Path]
		if !ok || (c.nothing == "") == (c.tries == nil) {
			s.Errorf("operation %s is not classified: swap tenants on it, or say why nothing can be swapped", op.Path)
			continue
		}
		if c.tries == nil {
			continue
		}
		ask := func(serial string) string {
			if c.counts {
				var out json.RawMessage
				if err := admin.Call(s.Context(), s.cfg.Admin.Socket, op.Path, c.tries(s, serial), &out); err != nil || !bytes.Contains(out, []byte(`"matched":1,"changed":0,"already":0,"failed":1`)) {
					s.Errorf("%s: %s, %v", op.Path, out, err)
				}
				return strings.ReplaceAll(string(out), serial, "SERIAL")
			}
			err := admin.Call(s.Context(), s.cfg.Admin.Socket, op.Path, c.tries(s, serial), &core.Revoked{})
			var e *ca.Error
			if !errors.As(err, &e) || e.Kind != ca.NotFound {
				s.Errorf("%s: %v", op.Path, err)
				return ""
			}
			return strings.ReplaceAll(e.Public, serial, "SERIAL")
		}
		got, want := ask(s.serial), ask(ca.NewSerial(time.Now()).String())
		if got != want {
			s.Errorf("%s: %s; what nobody owns is answered %s", op.Path, got, want)
		}
		s.leaks(op.Path, got)
		s.untouched(op.Path)
	}
	for path := range socketSwaps {
		if !known[path] {
			s.Errorf("there is no operation %s", path)
		}
	}
	// With its own tenant it works: what was refused was refused for the tenant alone.
	var done core.Revoked
	in := certRevokeIn{Tenant: "one", Serial: s.serial, Reason: "superseded"}
	if err := admin.Call(context.Background(), s.cfg.Admin.Socket, certRevokePath, in, &done); err != nil || done.Tenant != "one" || done.Serial != s.serial {
		s.Errorf("the owner: %+v, %v", done, err)
	}
}
