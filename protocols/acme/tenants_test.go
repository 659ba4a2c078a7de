package acme

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"log/slog"
	"math/big"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/protocols/acme/state"
	"github.com/enrollgate/enrollgate/store/postgres"
	"github.com/enrollgate/enrollgate/test/fixture"
	"github.com/enrollgate/enrollgate/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// openStores are the drivers that the tenants are swapped on.
var openStores = map[string]func(*testing.T) benchStore{"sqlite": openSQLite, "postgres": openPostgres}

func openPostgres(t *testing.T) benchStore {
	t.Helper()
	owner, runtime := harness.Postgres(t).Database(t)
	role, err := url.Parse(runtime)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := postgres.Migrate(t.Context(), owner, role.User.Username()); err != nil {
		t.Fatal(err)
	}
	store, err := postgres.Open(t.Context(), postgres.Options{URL: runtime, Replica: "test", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// swap says what of a tenant's is used at a resource in the name of another
// tenant, or why there is nothing to use.
type swap struct {
	nothing string
	tries   func(s *swapped) []try
}

// try is a request that names what another tenant owns, and the same with what nobody owns.
type try struct {
	what         string
	real, madeUp func() reply
}

// swaps classifies every resource of the door: a new one must be put here.
var swaps = map[string]swap{
	"GET /directory":  {nothing: "says what is configured, to anybody"},
	"HEAD /directory": {nothing: "says what is configured, to anybody"},
	"GET /new-nonce":  {nothing: "nonces belong to the installation: what they are signed into names the tenant"},
	"HEAD /new-nonce": {nothing: "nonces belong to the installation: what they are signed into names the tenant"},
	"POST /directory": {tries: func(s *swapped) []try { return s.everyWay("/directory", "", "") }},
	"POST /new-nonce": {tries: func(s *swapped) []try { return s.everyWay("/new-nonce", "", "") }},
	"POST /account/{id}/orders": {tries: func(s *swapped) []try {
		return s.everyWay("/account/{id}/orders", s.idOf(s.a.kid), "")
	}},
	"POST /account/{id}/orders/{after}": {tries: func(s *swapped) []try {
		return s.everyWay("/account/{id}/orders/0", s.idOf(s.a.kid), "")
	}},
	"POST /key-change": {tries: (*swapped).keyChanges},
	"POST /new-authz": {tries: func(s *swapped) []try {
		return s.everyWay("/new-authz", "", `{"identifier":{"type":"dns","value":"ready.example"}}`)
	}},
	"POST /new-account": {tries: func(s *swapped) []try {
		return []try{{"a key that has an account there",
			func() reply {
				return s.second.at(s.b.base, "").post(s.b.base+"/new-account", `{"onlyReturnExisting":true}`)
			},
			func() reply { return s.client(s.tenantB).post(s.b.base+"/new-account", `{"onlyReturnExisting":true}`) }}}
	}},
	"POST /account/{id}": {tries: func(s *swapped) []try {
		return s.everyWay("/account/{id}", s.idOf(s.a.kid), "", `{"status":"deactivated"}`, `{"contact":["mailto:b@example.com"]}`)
	}},
	"POST /new-order": {tries: func(s *swapped) []try {
		replaces := func(id string) func() reply {
			return func() reply {
				return s.b.post(s.b.base+"/new-order", `{"identifiers":[{"type":"dns","value":"issued.example"}],"replaces":"`+id+`"}`)
			}
		}
		ids := s.renewalIDs()
		return append([]try{{"its certificate to replace", replaces(ids[0]), replaces(ids[1])}}, s.everyWay("/new-order", "", `{"identifiers":[{"type":"dns","value":"ready.example"}]}`)...)
	}},
	"POST /order/{id}": {tries: func(s *swapped) []try {
		return slices.Concat(s.everyWay("/order/{id}", s.idOf(s.pending), ""), s.everyWay("/order/{id}", s.idOf(s.issued), ""))
	}},
	"POST /order/{id}/finalize": {tries: func(s *swapped) []try {
		csr := func(name string) string { return `{"csr":"` + s.a.csr("", name) + `"}` }
		return slices.Concat(s.everyWay("/order/{id}/finalize", s.idOf(s.ready), csr("ready.example")),
			s.everyWay("/order/{id}/finalize", s.idOf(s.issued), csr("issued.example")))
	}},
	"POST /authorization/{id}": {tries: func(s *swapped) []try {
		return slices.Concat(s.everyWay("/authorization/{id}", s.idOf(s.proven), "", `{"status":"deactivated"}`),
			s.everyWay("/authorization/{id}", s.idOf(s.open), "", `{"status":"deactivated"}`))
	}},
	"POST /challenge/{id}/{type}": {tries: func(s *swapped) []try {
		return s.everyWay("/challenge/{id}/{type}", s.idOf(s.open), "", "{}")
	}},
	"POST /certificate/{id}": {tries: func(s *swapped) []try {
		return s.everyWay("/certificate/{id}", s.idOf(s.certificate), "")
	}},
	"POST /certificate/{id}/{chain}": {tries: func(s *swapped) []try {
		return s.everyWay("/certificate/{id}/1", s.idOf(s.certificate), "")
	}},
	"POST /revoke-cert":       {tries: (*swapped).revocations},
	"GET /renewal-info/{id}":  {tries: func(s *swapped) []try { return s.renewals(http.MethodGet) }},
	"HEAD /renewal-info/{id}": {tries: func(s *swapped) []try { return s.renewals(http.MethodHead) }},
}

// TestTenantSwap uses what one tenant owns in the name of another one, at every
// resource of the door: each answers, octet for octet, as if it did not exist, and
// nothing of the owner's changes. The tenants have a CA and a profile of the same
// ids, and the two accounts have the same key.
func TestTenantSwap(t *testing.T) {
	known := map[string]bool{}
	for _, r := range resources {
		name := r.method + " " + r.path
		known[name] = true
		if c, ok := swaps[name]; !ok || (c.nothing == "") == (c.tries == nil) {
			t.Errorf("resource %s is not classified: swap tenants at it, or say why nothing can be swapped", name)
		}
	}
	for name := range swaps {
		if !known[name] {
			t.Errorf("there is no resource %s", name)
		}
	}
	for store, open := range openStores {
		t.Run(store, func(t *testing.T) {
			b := newBenchOn(t, open(t))
			for i, owner := range tenants {
				t.Run(owner+"'s", func(t *testing.T) {
					s := prepareSwap(t, b, owner, tenants[1-i])
					before := s.snapshot()
					tried := 0
					for name, c := range swaps {
						if c.tries == nil {
							continue
						}
						for _, try := range c.tries(s) {
							tried++
							got, want := seen(try.real()), seen(try.madeUp())
							if got != want || !strings.HasPrefix(got, "4") {
								t.Errorf("%s, %s:\n%s\nwhat nobody owns is answered\n%s", name, try.what, got, want)
							}
							if after := s.snapshot(); after != before {
								t.Fatalf("%s, %s changed what the owner has, from\n%s\nto\n%s", name, try.what, before, after)
							}
						}
					}
					if tried < 50 {
						t.Errorf("%d requests were tried", tried)
					}
					s.finish()
				})
			}
		})
	}
}

// swapped is what tenant A owns, and an account of tenant B with the same key.
type swapped struct {
	*bench
	a, b                   *client
	second                 *client // another account of A, whose key B does not have
	tenantB                string
	pending, ready, issued string // URLs of orders
	open, proven           string // of an authorization each, pending and valid
	certificate            string // its URL
	der                    []byte
	key                    *ecdsa.PrivateKey // the certificate's
}

func prepareSwap(t *testing.T, shared *bench, owner, other string) *swapped {
	t.Helper()
	b := *shared
	b.t = t
	s := &swapped{bench: &b, tenantB: other, key: fixture.Key(t)}
	s.a = b.registered(owner)
	var order orderObject
	s.pending, order = s.a.order("pending.example")
	s.open = order.Authorizations[0]
	s.ready, order = s.a.order("ready.example")
	s.proven = order.Authorizations[0]
	s.a.prove(s.ready, order)
	s.issued, order = s.a.order("issued.example")
	order = s.a.prove(s.issued, order)
	if r := s.a.post(order.Finalize, `{"csr":"`+s.a.csrWith(s.key, "", "issued.example")+`"}`); r.status != http.StatusOK {
		t.Fatalf("%d %s", r.status, r.body)
	}
	s.certificate = s.a.settled(s.issued).Certificate
	s.der = decodePEM(s.a.post(s.certificate, "").body)[0]
	s.second = b.registered(owner)
	s.b = b.client(other)
	s.b.key = s.a.key
	r := s.b.post(s.b.base+"/new-account", `{}`)
	if s.b.kid = r.header.Get("Location"); r.status != http.StatusCreated || s.idOf(s.b.kid) == s.idOf(s.a.kid) {
		t.Fatalf("the same key at another tenant: %d %s %s", r.status, s.b.kid, r.body)
	}
	return s
}

// idOf gives the id in a URL of A's.
func (s *swapped) idOf(url string) string { return url[strings.LastIndex(url, "/")+1:] }

// at is the client with its key at another directory, under an account URL.
func (c *client) at(base, kid string) *client {
	return &client{b: c.b, base: base, key: c.key, kid: kid}
}

// everyWay makes the tries of a resource: A's id at B's URL for B's account, and
// A's account itself at B's URL, named as what it is and as if it were B's.
func (s *swapped) everyWay(path, id string, payloads ...string) (all []try) {
	s.t.Helper()
	fill := func(id string) string { return strings.NewReplacer("{id}", id, "{type}", "http-01").Replace(path) }
	for _, payload := range payloads {
		post := func(base, kid, id string) func() reply {
			return func() reply { return s.b.at(base, kid).post(base+fill(id), payload) }
		}
		account := func(base, id string) string { return base + "/account/" + id }
		accountA, nobody := s.idOf(s.a.kid), ca.RandomID(20)
		if id != "" {
			all = append(all, try{"its id with " + payload, post(s.b.base, s.b.kid, id), post(s.b.base, s.b.kid, ca.RandomID(20))})
		}
		all = append(all,
			try{"its account with " + payload, post(s.b.base, s.a.kid, id), post(s.b.base, account(s.a.base, nobody), id)},
			try{"its account's id with " + payload, post(s.b.base, account(s.b.base, accountA), id), post(s.b.base, account(s.b.base, nobody), id)},
			try{"another account at its URL with " + payload, post(s.a.base, s.b.kid, id), post(s.a.base, account(s.b.base, nobody), id)},
			try{"another account's id at its URL with " + payload, post(s.a.base, account(s.a.base, s.idOf(s.b.kid)), id), post(s.a.base, account(s.a.base, nobody), id)})
	}
	return all
}

// revocations: A's certificate at B's directory, by B's account and by its own
// key, against one that nobody issued.
func (s *swapped) revocations() (all []try) {
	s.t.Helper()
	serial := ca.NewSerial(time.Now().Add(time.Hour))
	template := &x509.Certificate{SerialNumber: new(big.Int).SetBytes(serial[:]), Subject: pkix.Name{CommonName: "x"}, DNSNames: []string{"issued.example"},
		NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)}
	key := fixture.Key(s.t)
	madeUp, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, extra := range []string{"", `,"reason":1`} {
		all = append(all,
			try{"its certificate" + extra, func() reply { return s.b.revoke(s.der, extra) }, func() reply { return s.b.revoke(madeUp, extra) }},
			try{"its certificate's key" + extra, func() reply { return s.b.holder(s.key).revoke(s.der, extra) }, func() reply { return s.b.holder(key).revoke(madeUp, extra) }})
	}
	return append(all, s.everyWay("/revoke-cert", "", fmt.Sprintf(`{"certificate":%q}`, encodeDER(s.der)))...)
}

// keyChanges: B's account and A's, each with a key that only the other one has.
func (s *swapped) keyChanges() (all []try) {
	s.t.Helper()
	account := func(base, id string) string { return base + "/account/" + id }
	nobody := ca.RandomID(20)
	change := func(base, kid string) func() reply {
		return func() reply { return s.b.at(base, kid).changeKey(s.b.key, fixture.Key(s.t), kid) }
	}
	return []try{
		{"its account", change(s.b.base, s.a.kid), change(s.b.base, account(s.a.base, nobody))},
		{"its account's id", change(s.b.base, account(s.b.base, s.idOf(s.a.kid))), change(s.b.base, account(s.b.base, nobody))},
		{"another account at its URL", change(s.a.base, s.b.kid), change(s.a.base, account(s.b.base, nobody))},
		{"another account's id at its URL", change(s.a.base, account(s.a.base, s.idOf(s.b.kid))), change(s.a.base, account(s.a.base, nobody))},
	}
}

// renewalIDs are the ids of A's certificate, and of one that nobody issued.
func (s *swapped) renewalIDs() [2]string {
	s.t.Helper()
	return [2]string{renewalIDOf(s.t, s.der), renewalID([]byte("nobody's key"), ca.NewSerial(time.Now().Add(time.Hour)))}
}

func (s *swapped) renewals(method string) []try {
	ask := func(id string) func() reply {
		return func() reply { return s.ask(method, s.b.base+"/renewal-info/"+id) }
	}
	ids := s.renewalIDs()
	return []try{{"its certificate's id", ask(ids[0]), ask(ids[1])}}
}

// snapshot is all that A can see, and what the installation did.
func (s *swapped) snapshot() string {
	s.t.Helper()
	var out strings.Builder
	for _, url := range []string{s.a.kid, s.pending, s.ready, s.issued, s.open, s.proven, s.certificate} {
		r := s.a.post(url, "")
		fmt.Fprintf(&out, "%s %d %s\n", url, r.status, r.body)
	}
	fmt.Fprintln(&out, s.bench.revocations(), len(s.validator.asked))
	return out.String()
}

var traceID = regexp.MustCompile(`\[trace [0-9A-Z]{10}\]`)

// seen is what a client sees of an answer, apart from what differs every time.
func seen(r reply) string {
	header := r.header.Clone()
	header.Del("Replay-Nonce")
	header.Del("Date")
	return fmt.Sprintf("%d %v %s", r.status, header, traceID.ReplaceAll(r.body, []byte("[trace]")))
}

// finish: A's own requests of the same form all succeed, so what was refused was
// refused for the tenant alone.
func (s *swapped) finish() {
	s.t.Helper()
	var order orderObject
	s.a.post(s.pending, "").into(s.t, &order)
	if order = s.a.prove(s.pending, order); order.Status != state.Ready {
		s.t.Errorf("the pending order became %s", order.Status)
	}
	s.a.post(s.ready, "").into(s.t, &order)
	for _, r := range []reply{
		s.a.post(order.Finalize, `{"csr":"`+s.a.csr("", "ready.example")+`"}`),
		s.a.post(s.certificate, ""),
		s.a.post(s.proven, `{"status":"deactivated"}`),
		s.a.revoke(s.der, ""),
		s.a.post(s.a.kid, `{"contact":["mailto:a@example.com"]}`),
		s.a.post(s.a.kid, `{"status":"deactivated"}`),
	} {
		if r.status != http.StatusOK {
			s.t.Errorf("the owner is answered %d %s", r.status, r.body)
		}
	}
}
