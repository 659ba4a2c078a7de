package chaos

import (
	"bytes"
	"crypto/x509"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
)

// queries read what a store holds. Each row's last column, the key, is
// tenant/ca/serial in lower-case hexadecimal, or the trace id; it is NULL where the
// row belongs to no certificate.
type queries struct {
	certificates string // DER, endpoint, trace, key
	decisions    string // key
	names        string // key
	audits       string // trace
	orders       string // id, certificate id, key: of the valid ones
	transactions string // key
}

var postgresQueries = queries{
	certificates: `select der, endpoint, trace, tenant || '/' || ca || '/' || encode(serial, 'hex') from enrollgate.certificates`,
	decisions:    `select tenant || '/' || ca || '/' || encode(serial, 'hex') from enrollgate.decisions`,
	names:        `select tenant || '/' || ca || '/' || encode(serial, 'hex') from enrollgate.sans`,
	audits:       `select trace from enrollgate.audit where event = 'certificate.issued'`,
	orders:       `select id, coalesce(certificate, ''), tenant || '/' || ca || '/' || encode(serial, 'hex') from enrollgate.acme_orders where status = 'valid'`,
	transactions: `select tenant || '/' || ca || '/' || encode(serial, 'hex') from enrollgate.idempotency`,
}

var sqliteQueries = queries{
	certificates: `SELECT der, endpoint, trace, tenant || '/' || ca || '/' || lower(hex(serial)) FROM certificates`,
	decisions:    `SELECT c.tenant || '/' || c.ca || '/' || lower(hex(c.serial)) FROM decisions d LEFT JOIN certificates c ON c.id = d.certificate`,
	names:        `SELECT c.tenant || '/' || c.ca || '/' || lower(hex(c.serial)) FROM sans s LEFT JOIN certificates c ON c.id = s.certificate`,
	audits:       `SELECT trace FROM audit WHERE event = 'certificate.issued'`,
	orders:       `SELECT id, coalesce(certificate, ''), tenant || '/' || ca || '/' || lower(hex(serial)) FROM acme_orders WHERE status = 'valid'`,
	transactions: `SELECT tenant || '/' || ca || '/' || lower(hex(serial)) FROM idempotency`,
}

type certificateRow struct {
	der             []byte
	endpoint, trace string
	key             string
}

type orderRow struct{ id, certificate, key string }

// record is what a store holds.
type record struct {
	certificates []certificateRow
	orders       []orderRow
	decisions    map[string]int
	names        map[string]int
	audits       map[string]int
	transactions map[string]int
}

// acmeEndpoint is the dev endpoint that clients enroll at.
const acmeEndpoint = "acme-server"

// nameless is how the endpoints of OCSP responders and registration authorities
// begin, whose certificates have no alternative name.
var nameless = regexp.MustCompile("^service-(ocsp|ra)/")

func (s *store) read(t *testing.T) (r record) {
	t.Helper()
	db := s.open(t)
	each := func(query string, into []any, add func()) {
		t.Helper()
		rows, err := db.QueryContext(t.Context(), query)
		if err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		defer rows.Close()
		for rows.Next() {
			if err := rows.Scan(into...); err != nil {
				t.Fatalf("%s: %v", query, err)
			}
			add()
		}
		if err := rows.Err(); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
	}
	count := func(query string) map[string]int {
		t.Helper()
		var key sql.NullString
		n := map[string]int{}
		each(query, []any{&key}, func() { n[key.String]++ })
		return n
	}
	var c certificateRow
	each(s.queries.certificates, []any{&c.der, &c.endpoint, &c.trace, &c.key}, func() {
		c.der = bytes.Clone(c.der)
		r.certificates = append(r.certificates, c)
	})
	var o orderRow
	var key sql.NullString
	each(s.queries.orders, []any{&o.id, &o.certificate, &key}, func() {
		o.key = key.String
		r.orders = append(r.orders, o)
	})
	r.decisions, r.names, r.audits = count(s.queries.decisions), count(s.queries.names), count(s.queries.audits)
	r.transactions = count(s.queries.transactions)
	return r
}

// check holds what clients hold against a record and gives everything that is
// wrong. Clients are at rest: nothing is under way.
func check(clients []held, r record) (wrong []string) {
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	byKey, byDER, traces := map[string]int{}, map[string]string{}, map[string]bool{}
	atACME := map[string]int{} // key to the number of orders that name it
	for _, c := range r.certificates {
		byKey[c.key]++
		byDER[string(c.der)] = c.key
		if c.endpoint == acmeEndpoint {
			atACME[c.key] = 0
		}
		traces[c.trace] = true
		if n := r.decisions[c.key]; n != 1 {
			say("%s has %d decisions", c.key, n)
		}
		if r.names[c.key] < 1 && !nameless.MatchString(c.endpoint) {
			say("%s has no names", c.key)
		}
		if n := r.audits[c.trace]; n != 1 {
			say("%s has %d audit rows", c.key, n)
		}
		if n := r.transactions[c.key]; c.endpoint == acmeEndpoint && n != 1 {
			say("%s belongs to %d transactions", c.key, n)
		}
	}
	for key, n := range byKey {
		if n != 1 {
			say("the serial %s is there %d times", key, n)
		}
	}
	for what, keys := range map[string]map[string]int{"decision": r.decisions, "name": r.names, "transaction": r.transactions} {
		for key := range keys {
			if byKey[key] == 0 {
				say("a %s belongs to %q, which is no certificate", what, key)
			}
		}
	}
	for trace := range r.audits {
		if !traces[trace] {
			say("an audit row tells of a certificate that is not there, trace %s", trace)
		}
	}
	orders, ids := map[string]string{}, map[string]int{}
	for _, o := range r.orders {
		orders[o.id] = o.key
		if ids[o.certificate]++; o.certificate == "" || ids[o.certificate] > 1 {
			say("the order %s has the certificate id %q, used %d times", o.id, o.certificate, ids[o.certificate])
		}
		if _, ours := atACME[o.key]; !ours {
			say("the order %s names %q, which is no certificate", o.id, o.key)
		} else if atACME[o.key]++; atACME[o.key] > 1 {
			say("%s is the certificate of %d orders", o.key, atACME[o.key])
		}
	}
	for key, n := range atACME {
		if n == 0 {
			say("%s is the certificate of no order", key)
		}
	}
	names, inHand := map[string]int{}, map[string]bool{}
	for _, h := range clients {
		key, there := byDER[string(h.der)]
		switch {
		case !there:
			say("%s: the client holds a certificate that has no row", h.name)
		case orders[h.order] != key:
			say("%s: the order %s names %q, the client got %s", h.name, h.order, orders[h.order], key)
		case inHand[key]:
			say("%s is in the hands of two clients", key)
		}
		inHand[key] = true
		names[h.name]++
	}
	for name, n := range names {
		if n > 1 {
			say("%s got %d certificates", name, n)
		}
	}
	for key := range atACME {
		if !inHand[key] {
			say("%s is in nobody's hands", key) // clients insist, so a lost answer is asked for again
		}
	}
	slices.Sort(wrong)
	return wrong
}

// reconcile holds what clients hold against the store of a running site, and
// has the program verify its own trail and show a few of the certificates.
func (s *site) reconcile(clients []held, root string) {
	s.t.Helper()
	r := s.store.read(s.t)
	wrong := check(clients, r)
	if len(wrong) > 0 {
		s.t.Errorf("%d things are wrong:\n%q", len(wrong), wrong[:min(10, len(wrong))])
	}
	for _, h := range clients[:min(rounds(1, 10), len(clients))] {
		cert, err := x509.ParseCertificate(h.der)
		if err != nil {
			s.t.Fatal(err)
		}
		if err := cert.VerifyHostname(h.name); err != nil {
			s.t.Error(err)
		}
		serial := hex.EncodeToString(cert.SerialNumber.FillBytes(make([]byte, 16)))
		if !bytes.Equal(s.show(serial), h.der) {
			s.t.Errorf("cert show %s is not what the client of %s holds", serial, h.name)
		}
	}
	batches := s.verify(root)
	s.t.Logf("%d certificates in hand, %d rows, %d things wrong; the trail is whole over %d batches", len(clients), len(r.certificates), len(wrong), batches)
}

// trust writes the root of trust of the site's audit trail to a file.
func (s *site) trust() (file string) {
	s.t.Helper()
	out, errs, err := s.command("audit", "root")
	if err != nil {
		s.t.Fatalf("audit root: %v\n%s", err, errs)
	}
	file = filepath.Join(s.t.TempDir(), "audit-root.pem")
	if err := os.WriteFile(file, []byte(out), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return file
}

// verify has the program verify the trail and gives how many batches it has.
func (s *site) verify(root string) int64 {
	s.t.Helper()
	out, errs, err := s.command("audit", "verify", "--json", "--root", root)
	if err != nil {
		s.t.Fatalf("audit verify: %v\n%s\n%s", err, out, errs)
	}
	var report struct {
		OK      bool
		Batches int64
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		s.t.Fatal(err)
	}
	if !report.OK || report.Batches == 0 {
		s.t.Errorf("audit verify: %s", out)
	}
	return report.Batches
}
