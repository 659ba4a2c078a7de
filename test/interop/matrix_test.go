package interop

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/enrollgate/enrollgate/test/harness"
)

// ways are the ways to the daemon: each starts one on a store.
var ways = []struct {
	name string
	open func(t *testing.T, storeLines string) *door
}{
	{"directly", directly},
	{"behind nginx", behindNginx},
}

// clients are who walks in.
//
// Account key rollover is missing on purpose: the directory has no keyChange yet.
var clients = []struct {
	name   string
	arrive func(t *testing.T, d *door) client
}{
	{"certbot", newCertbot},
	{"lego", newLego},
	{"x/crypto/acme", newLibrary},
}

// client is an ACME client with an account. Each method is one thing that its user
// asks of it, done with the means that the client offers for it.
type client interface {
	obtain(t *testing.T, method string, names ...string) product // method is http-01 or dns-01
	renew(t *testing.T, p product) product
	revoke(t *testing.T, p product, signer signer, reason reason)
}

// signer says whose key signs a revocation (RFC 8555 section 7.6).
type signer string

const (
	byAccount     signer = "account key"
	byCertificate signer = "certificate key"
)

// reason is a reason for revocation (RFC 5280 section 5.3.1).
type reason struct {
	code int
	name string
}

var (
	keyCompromise = reason{1, "keyCompromise"}
	superseded    = reason{4, "superseded"}
)

// product is what a client's user holds afterwards: PEM files.
type product struct {
	method           string
	names            []string
	certificate, key string
	chain            string // certificate and CAs
}

// door is an endpoint as clients see it.
type door struct {
	*site
	root      string // PEM file that clients trust for TLS
	directory string
	kept      string // folder of what clients were given
}

func directly(t *testing.T, storeLines string) *door {
	t.Helper()
	s := start(t, storeLines)
	return &door{s, s.File("root.pem"), s.directory(t, "privatessl-tls-server"), t.TempDir()}
}

// inToken are the stores and ways on which the CA's key is in SoftHSM and not in
// a file. Of the eight rows that store, way and key have these are four in which
// every client meets every pair of them: each store over each way, each store
// with each key, each key over each way. A fault that shows only in one of the
// others would need all three to meet, and they do so in cmd alone, which only
// wires them: ca/keys imports neither a store nor a door (test/arch), and those
// get signed bytes that do not tell where the key is. The other four rows would
// take some two minutes of processor time, mostly certbot's.
var inToken = map[string]bool{"sqlite behind nginx": true, "postgres directly": true}

// TestClients has every client enroll, renew and revoke over every way on every
// store, with the CA's key in a file or a token. One daemon serves all clients of
// a store and a way, one after the other.
func TestClients(t *testing.T) {
	harness.NeedPrograms(t)
	hsm := harness.SoftHSM(t)
	for store, lines := range stores {
		for _, way := range ways {
			row := store + " " + way.name
			if inToken[row] {
				hsm.Add(row)
			}
			t.Run(row, func(t *testing.T) {
				t.Parallel() // clients mostly wait
				config := lines(t)
				if inToken[row] {
					config += "cas: [{id: issuing, " + tokenKey(t, hsm, row) + "}]\n"
				}
				d := way.open(t, config)
				if _, err := os.Stat(d.File("keys/issuing.pem")); os.IsNotExist(err) != inToken[row] {
					t.Errorf("the issuing key's file: %v", err)
				}
				for _, c := range clients {
					t.Run(c.name, func(t *testing.T) { d.conversation(t, c.arrive(t, d)) })
				}
				if n := d.dns.Queries("wild.example", "A"); n != 0 {
					t.Errorf("dns-01 asked for the host's address %d times", n)
				}
			})
		}
	}
}

// conversation goes through the cells of one client.
func (d *door) conversation(t *testing.T, c client) {
	var host, renewed, wild, wildRenewed product
	d.cell(t, "http-01", func(t *testing.T) {
		host = d.holds(t, c.obtain(t, "http-01", "host.example", "www.host.example"))
	})
	d.cell(t, "renew", func(t *testing.T) {
		renewed = d.holds(t, c.renew(t, host))
		d.differ(t, host, renewed)
	})
	d.cell(t, "revoke by account key", func(t *testing.T) {
		c.revoke(t, renewed, byAccount, superseded)
		d.wantRevoked(t, renewed, superseded, "acme-account:")
		d.wantIssued(t, host)
	})
	// The base name stands in the same order: two TXT records under one name.
	d.cell(t, "dns-01 wildcard", func(t *testing.T) {
		wild = d.holds(t, c.obtain(t, "dns-01", "*.wild.example", "wild.example"))
	})
	d.cell(t, "dns-01 wildcard renew", func(t *testing.T) {
		wildRenewed = d.holds(t, c.renew(t, wild))
		d.differ(t, wild, wildRenewed)
	})
	d.cell(t, "revoke by certificate key", func(t *testing.T) {
		c.revoke(t, wildRenewed, byCertificate, keyCompromise)
		d.wantRevoked(t, wildRenewed, keyCompromise, "certificate-key:")
		d.wantIssued(t, wild)
	})
}

// cell runs one step; the next ones need what it left.
func (d *door) cell(t *testing.T, name string, run func(t *testing.T)) {
	if !t.Run(name, run) {
		t.FailNow()
	}
}

// holds checks with openssl what a client was given: the chain ends in the root,
// the names are those asked for, the key belongs to it. It gives copies of the
// files, since clients overwrite theirs.
func (d *door) holds(t *testing.T, p product) product {
	t.Helper()
	openssl(t, "verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", d.File("root.pem"), "-untrusted", p.chain, p.certificate)
	if a, b := openssl(t, "x509", "-noout", "-pubkey", "-in", p.certificate), openssl(t, "pkey", "-pubout", "-in", p.key); a != b {
		t.Error("the certificate has another key")
	}
	text := openssl(t, "x509", "-noout", "-text", "-in", p.certificate)
	_, names, _ := strings.Cut(text, "X509v3 Subject Alternative Name:")
	names, _, _ = strings.Cut(strings.TrimSpace(names), "\n")
	got := strings.Split(strings.ReplaceAll(names, "DNS:", ""), ", ")
	slices.Sort(got)
	if want := slices.Sorted(slices.Values(p.names)); !slices.Equal(got, want) {
		t.Errorf("the certificate has the names %q, want %q", got, want)
	}
	for _, want := range []string{"Subject: CN = " + p.names[0] + "\n", "TLS Web Server Authentication", "CA Issuers - URI:http://"} {
		if !strings.Contains(text, want) {
			t.Errorf("the certificate lacks %q:\n%s", want, text)
		}
	}
	if s := d.status(t, p); s.State != "issued" {
		t.Errorf("the store says %+v of it", s)
	}
	dir, err := os.MkdirTemp(d.kept, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []*string{&p.certificate, &p.chain, &p.key} {
		kept := filepath.Join(dir, filepath.Base(*file))
		if err := os.WriteFile(kept, []byte(read(t, *file)), 0o600); err != nil {
			t.Fatal(err)
		}
		*file = kept
	}
	return p
}

func (d *door) differ(t *testing.T, a, b product) {
	t.Helper()
	if serial(t, a) == serial(t, b) {
		t.Error("renewal gave the same certificate")
	}
}

// serial is a certificate's number as commands take it.
func serial(t *testing.T, p product) string {
	t.Helper()
	_, number, _ := strings.Cut(openssl(t, "x509", "-noout", "-serial", "-in", p.certificate), "=")
	return strings.ToLower(strings.TrimSpace(number))
}

// shown is what `cert show --json` says of a certificate's status.
type shown struct {
	State      string
	Revocation *struct{ Reason string }
}

func (d *door) status(t *testing.T, p product) (s shown) {
	t.Helper()
	out := enrollgate(t, append([]string{"cert", "show", serial(t, p), "--json"}, d.flags...)...)
	if err := json.Unmarshal(out, &s); err != nil {
		t.Fatalf("cert show: %v\n%s", err, out)
	}
	return s
}

func (d *door) wantIssued(t *testing.T, p product) {
	t.Helper()
	if s := d.status(t, p); s.State != "issued" || s.Revocation != nil {
		t.Errorf("another certificate was meant, but this is %+v", s)
	}
}

// wantRevoked asks the store for state and reason, and the daemon's log for whose
// word it was.
func (d *door) wantRevoked(t *testing.T, p product, why reason, actor string) {
	t.Helper()
	if s := d.status(t, p); s.State != "revoked" || s.Revocation == nil || s.Revocation.Reason != why.name {
		t.Errorf("want it revoked for %s: %+v", why.name, s)
	}
	number := serial(t, p)
	for line := range strings.Lines(d.Stderr()) {
		if strings.Contains(line, "certificate.revoked") && strings.Contains(strings.ToLower(line), number) {
			if !strings.Contains(line, "reason="+why.name) || !strings.Contains(line, actor) {
				t.Errorf("want %s by %s...: %s", why.name, actor, line)
			}
			return
		}
	}
	t.Errorf("no revocation of %s in the log", number)
}
