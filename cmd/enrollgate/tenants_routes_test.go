package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"golang.org/x/crypto/ocsp"

	"github.com/enrollgate/enrollgate/ca"
	core "github.com/enrollgate/enrollgate/ca/admin"
	"github.com/enrollgate/enrollgate/protocols/admin"
	"github.com/enrollgate/enrollgate/protocols/est"
	"github.com/enrollgate/enrollgate/protocols/scep"
)

// routeSwap is two paths of tenant two: one with an id that tenant one has, and
// one with an id that nobody has; or why there is nothing to swap.
type routeSwap struct {
	nothing      string
	paths        [][2]string
	unauthorized bool // OCSP's way to refuse (RFC 6960 section 2.3), which goes with status 200
}

const acmeRoutes = "/acme/{tenant}/{ca}/{profile}"

var elsewhereSwap = routeSwap{paths: [][2]string{{"/acme/two/alpha/privatessl-tls-server/directory", "/acme/two/nowhere/privatessl-tls-server/directory"},
	{"/aia/two/alpha.cer", "/aia/two/nowhere.cer"}, {"/crl/two/alpha/g1.crl", "/crl/two/nowhere/g1.crl"}, {"/ocsp/two/alpha", "/ocsp/two/nowhere"},
	{"/.well-known/est/two/alpha/est-digital-signature/cacerts", "/.well-known/est/two/nowhere/est-digital-signature/cacerts"},
	{"/scep/two/alpha/scep-digital-signature/?operation=GetCACert", "/scep/two/nowhere/scep-digital-signature/?operation=GetCACert"},
	{"/certsrv/mscep/alpha", "/certsrv/mscep/nowhere"}}}

// scepSwap names tenant one's CA in the name of tenant two, in the ways that a path
// of the SCEP door can.
func scepSwap(after string) routeSwap {
	return routeSwap{paths: [][2]string{{"/scep/two/alpha/scep-digital-signature" + after, "/scep/two/nowhere/scep-digital-signature" + after},
		{"/scep/one%2Falpha/x/scep-digital-signature" + after, "/scep/one%2Fnowhere/x/scep-digital-signature" + after},
		{"/scep/ONE/alpha/scep-digital-signature" + after, "/scep/three/alpha/scep-digital-signature" + after}}}
}

// estSwap names tenant one's CA in the name of tenant two, in both ways that a
// path of the EST door can; what callers own is swapped by the door's own test.
func estSwap(operation string) map[string]routeSwap {
	end := "/" + operation
	return map[string]routeSwap{
		"est /.well-known/est" + end:         {nothing: "the default endpoint's, for everybody"},
		"est /.well-known/est/{label}" + end: {paths: [][2]string{{"/.well-known/est/two_alpha_est-digital-signature" + end, "/.well-known/est/two_nowhere_est-digital-signature" + end}}},
		"est /.well-known/est/{tenant}/{ca}/{profile}" + end: {paths: [][2]string{{"/.well-known/est/two/alpha/est-digital-signature" + end, "/.well-known/est/two/nowhere/est-digital-signature" + end},
			{"/.well-known/est/one%2Fissuing/x/est-digital-signature" + end, "/.well-known/est/one%2Fnowhere/x/est-digital-signature" + end},
			{"/.well-known/est/TWO/issuing/est-digital-signature" + end, "/.well-known/est/three/issuing/est-digital-signature" + end}}},
	}
}

// everyRouteSwap is routeSwaps with the EST door's.
func everyRouteSwap() map[string]routeSwap {
	all := maps.Clone(routeSwaps)
	for _, operation := range est.Operations() {
		maps.Copy(all, estSwap(operation))
	}
	for listener, paths := range map[string][]int{"est": {0, 1, 2, 3, 5, 6}, "https": {4}, "http": {4, 5, 6}, "admin": {4, 5, 6}} {
		for _, i := range paths {
			prefix := []string{"/acme", "/aia", "/crl", "/ocsp", est.Prefix, scep.Prefix, ndesPrefix}[i]
			all[listener+" "+prefix+"/*"] = routeSwap{paths: elsewhereSwap.paths[i : i+1]}
		}
	}
	for _, listener := range []string{"http", "https"} {
		all[listener+" /scep/{tenant}/{ca}/{profile}"], all[listener+" /scep/{tenant}/{ca}/{profile}/*"] = scepSwap("?operation=GetCACert"), scepSwap("/pkiclient.exe?operation=GetCACert")
	}
	all["http /certsrv/mscep_admin/*"] = routeSwap{nothing: "is on https, for everybody"}
	return all
}

var traced = regexp.MustCompile(`\[trace [0-9A-Z]{10}\]`)

// routeSwaps classifies every route of every listener but ACME's resources: a new one must be put here.
var routeSwaps = map[string]routeSwap{
	"https /aia/*":              {paths: elsewhereSwap.paths[1:2]},
	"https /crl/*":              {paths: elsewhereSwap.paths[2:3]},
	"https /ocsp/*":             {paths: elsewhereSwap.paths[3:4]},
	"http /acme/*":              {paths: elsewhereSwap.paths[:1]},
	"http /aia/{tenant}/{file}": {paths: [][2]string{{"/aia/two/alpha.cer", "/aia/two/nowhere.cer"}, {"/aia/TWO/issuing.cer", "/aia/three/issuing.cer"}, {"/aia/one%2Falpha/x.cer", "/aia/one%2Fnowhere/x.cer"}}},
	"admin /acme/*":             {paths: elsewhereSwap.paths[:1]},
	"http /crl/{tenant}/{ca}/{name}": {paths: [][2]string{{"/crl/two/alpha/g1.crl", "/crl/two/nowhere/g1.crl"}, {"/crl/two/alpha/crl.crl", "/crl/two/nowhere/crl.crl"},
		{"/crl/TWO/issuing/g1.crl", "/crl/three/issuing/g1.crl"}, {"/crl/one%2Fissuing/x/g1.crl", "/crl/one%2Fnowhere/x/g1.crl"}, {"/crl/two/..%2Fone/issuing.crl", "/crl/two/..%2Fthree/issuing.crl"}}},
	"admin /aia/*":   {paths: elsewhereSwap.paths[1:2]},
	"admin /crl/*":   {paths: elsewhereSwap.paths[2:3]},
	"admin /ocsp/*":  {paths: elsewhereSwap.paths[3:4]},
	"http /ocsp/*":   {unauthorized: true, paths: [][2]string{{"/ocsp/two/alpha", "/ocsp/two/nowhere"}, {"/ocsp/one%2Fissuing", "/ocsp/one%2Fnowhere"}, {"/ocsp/TWO/issuing", "/ocsp/three/issuing"}}},
	"admin /healthz": {nothing: "says that the process answers"},
	"admin /readyz":  {nothing: "the installation's state, for its operators"},
	"admin /metrics": {nothing: "the installation's figures, for its operators; tenants are labels"},
}

// operationSwap is what an operation is asked about tenant two: with an id, or a
// file, that tenant one has, and with one that nobody has. What the question
// itself says is no news in its answer.
type operationSwap struct {
	counts       bool // what is not there is counted, not refused
	nothing      string
	real, madeUp func(s *twoTenants) (in any, says string)
}

// socketSwaps classifies every operation of the administrative socket.
var socketSwaps = map[string]operationSwap{
	sealRotatePath: {nothing: "data keys belong to the installation"},
	auditSignPath:  {nothing: "the trail is the installation's"},

	retentionDropPath: {nothing: "a month holds every tenant's certificates"},
	reloadPath:        {nothing: "the configuration is the installation's"},
	certRevokePath: {
		real:   func(s *twoTenants) (any, string) { return revokeOfTwo(s.serial) },
		madeUp: func(*twoTenants) (any, string) { return revokeOfTwo(ca.NewSerial(time.Now()).String()) },
	},
	requestApprovePath: {
		real:   func(s *twoTenants) (any, string) { return requestIn{"two", s.parked, "x"}, s.parked },
		madeUp: func(*twoTenants) (any, string) { id := ca.OrderedID(time.Now()); return requestIn{"two", id, "x"}, id },
	},
	requestDenyPath: {
		real:   func(s *twoTenants) (any, string) { return requestIn{"two", s.parked, "x"}, s.parked },
		madeUp: func(*twoTenants) (any, string) { id := ca.OrderedID(time.Now()); return requestIn{"two", id, "x"}, id },
	},
	certSweepPath: {
		counts: true,
		real:   func(s *twoTenants) (any, string) { return sweepOfTwo(s.serial) },
		madeUp: func(*twoTenants) (any, string) { return sweepOfTwo(ca.NewSerial(time.Now()).String()) },
	},
	credentialCreatePath: {
		real:   func(*twoTenants) (any, string) { return credentialOfTwo("acme-one"), "acme-one" },
		madeUp: func(*twoTenants) (any, string) { return credentialOfTwo("acme-none"), "acme-none" },
	},
	credentialRevokePath: {
		real:   func(s *twoTenants) (any, string) { return credentialRevokeIn{"two", s.credential}, s.credential },
		madeUp: func(*twoTenants) (any, string) { id := ca.RandomID(16); return credentialRevokeIn{"two", id}, id },
	},
	crlPublishPath: {
		real:   func(*twoTenants) (any, string) { return crlPublishIn{"two", "alpha"}, "alpha" },
		madeUp: func(*twoTenants) (any, string) { return crlPublishIn{"two", "nowhere"}, "nowhere" },
	},
	crlImportPath: {
		real:   func(s *twoTenants) (any, string) { return crlImportIn{"two", s.read(s.laterList)}, s.rootName },
		madeUp: func(s *twoTenants) (any, string) { return crlImportIn{"two", s.read(s.strangerList)}, s.rootName },
	},
}

func credentialOfTwo(endpoint string) credentialCreateIn {
	return credentialCreateIn{Tenant: "two", Protocol: "acme", Endpoints: []string{endpoint}, Uses: 1, TTL: "P1D"}
}

func revokeOfTwo(serial string) (in any, says string) {
	return certRevokeIn{Tenant: "two", Serial: serial, Reason: "keyCompromise"}, serial
}

func sweepOfTwo(serial string) (in any, says string) {
	return certSweepIn{selection: selection{Tenant: "two"}, Serials: []string{serial}, Reason: "keyCompromise", Job: ca.NewTrace()}, serial
}

func (s *twoTenants) read(file string) []byte {
	s.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		s.Fatal(err)
	}
	return data
}

// TestTenantRoutes swaps tenants on every route of every listener and on every
// operation of the socket, as the routers of a running daemon list them.
func TestTenantRoutes(t *testing.T) {
	for store, lines := range tenantStores {
		t.Run(store, func(t *testing.T) {
			s := installTenants(t, lines)
			t.Cleanup(s.end)
			routers := map[string]chi.Routes{"https": s.policy.Load().https, "est": s.policy.Load().est}
			for name, r := range s.mounted() {
				routers[name] = r
			}
			if len(routers) != len(s.sockets) {
				t.Errorf("%d routers of %d listeners", len(routers), len(s.sockets))
			}
			found, swaps := map[string]bool{}, everyRouteSwap()
			routers["http of the policy"] = s.policy.Load().scep
			for listener, router := range routers {
				listener, _, _ = strings.Cut(listener, " ")
				err := chi.Walk(router, func(method, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
					if resource, ok := strings.CutPrefix(route, acmeRoutes); ok && listener == "https" {
						s.swappedByDoor(method + " " + resource)
						return nil
					}
					found[listener+" "+route] = true
					s.swapRoute(swaps, listener, method, route)
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			for name := range swaps {
				if !found[name] {
					t.Errorf("there is no route %s", name)
				}
			}
			s.untouched("every route")
			s.asksForCertificates()
			s.publishes()
			s.servesLists()
			s.answersStatus()
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

func (s *twoTenants) swapRoute(swaps map[string]routeSwap, listener, method, route string) {
	s.Helper()
	c, ok := swaps[listener+" "+route]
	if !ok || (c.nothing == "") == (c.paths == nil) {
		s.Errorf("listener %s, route %s %s is not classified: swap tenants on it, or say why nothing can be swapped", listener, method, route)
		return
	}
	for _, p := range c.paths {
		got, want := s.answer(listener, method, p[0]), s.answer(listener, method, p[1])
		refused := strings.HasPrefix(got, "4") || c.unauthorized && strings.HasPrefix(got, "200") && (method == "HEAD" || strings.HasSuffix(got, string(ocsp.UnauthorizedErrorResponse)))
		if got != want || !refused {
			s.Errorf("listener %s, %s %s:\n%s\nwhat nobody owns is answered\n%s", listener, method, p[0], got, want)
		}
		s.leaks(method+" "+p[0], got)
	}
}

// answer is all that a client sees but the time.
func (s *twoTenants) answer(listener, method, path string) string {
	s.Helper()
	base := map[string]string{"https": s.cfg.BaseURL.HTTPS, "http": s.cfg.BaseURL.HTTP, "est": s.cfg.BaseURL.EST, "admin": "http://" + s.cfg.Listen.Admin}[listener]
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
	return fmt.Sprintf("%d %v %s", answer.StatusCode, answer.Header, traced.ReplaceAll(body, nil))
}

// asksForCertificates: the est listener does, the https listener never: macOS ends
// a SCEP renewal when it is asked for one.
func (s *twoTenants) asksForCertificates() {
	s.Helper()
	for base, want := range map[string]bool{s.cfg.BaseURL.HTTPS: false, s.cfg.BaseURL.EST: true} {
		asked := false
		config := s.client.Transport.(*http.Transport).TLSClientConfig.Clone()
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			asked = true
			return &tls.Certificate{}, nil
		}
		r, err := (&http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}).Get(base + "/scep/one/alpha/scep-digital-signature/?operation=GetCACaps")
		if err != nil {
			s.Fatal(err)
		}
		r.Body.Close()
		if asked != want {
			s.Errorf("%s asks for a client certificate: %v", base, asked)
		}
	}
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
		if !ok || (c.nothing == "") == (c.real == nil) {
			s.Errorf("operation %s is not classified: swap tenants on it, or say why nothing can be swapped", op.Path)
			continue
		}
		if c.real == nil {
			continue
		}
		ask := func(in any, says string) string {
			var out json.RawMessage
			err := admin.Call(s.Context(), s.cfg.Admin.Socket, op.Path, in, &out)
			if c.counts {
				if err != nil || !bytes.Contains(out, []byte(`"matched":1,"changed":0,"already":0,"failed":1`)) {
					s.Errorf("%s: %s, %v", op.Path, out, err)
				}
				return strings.ReplaceAll(string(out), says, "ID")
			}
			var e *ca.Error
			if !errors.As(err, &e) || e.Kind != ca.NotFound {
				s.Errorf("%s: %s, %v", op.Path, out, err)
				return ""
			}
			return strings.ReplaceAll(e.Public, says, "ID")
		}
		got, want := ask(c.real(s)), ask(c.madeUp(s))
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
	for path, in := range map[string]any{crlPublishPath: crlPublishIn{"one", "alpha"}, crlImportPath: crlImportIn{"one", s.read(s.laterList)}} {
		var out crlOut
		if err := admin.Call(context.Background(), s.cfg.Admin.Socket, path, in, &out); err != nil || len(out.CRLs) != 1 || out.CRLs[0].Tenant != "one" {
			s.Errorf("the owner, %s: %+v, %v", path, out, err)
		}
	}
}
