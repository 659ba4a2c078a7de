package interop

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
)

// pebble runs Pebble, put together as its own command does it, and starts a
// conversation with it. It believes every challenge, refuses no good nonce, and
// takes proofs of before again wherever it can.
func pebble(t *testing.T) *conversation {
	t.Helper()
	for name, value := range map[string]string{"PEBBLE_WFE_NONCEREJECT": "0", "PEBBLE_VA_ALWAYS_VALID": "1", "PEBBLE_VA_NOSLEEP": "1",
		"PEBBLE_AUTHZREUSE": "100", "PEBBLE_WFE_ORDERS_PER_PAGE": "1000"} {
		t.Setenv(name, value)
	}
	silent := log.New(io.Discard, "", 0)
	store := db.NewMemoryStore()
	authority := ca.New(silent, store, "", "ecdsa", 0, 1, map[string]ca.Profile{"standard": {Description: "As usual"}})
	front := wfe.New(silent, store, va.New(silent, 0, 0, false, "", store), authority, []string{"ca.example"}, false, false, 3, 5)
	server := httptest.NewTLSServer(front.Handler())
	t.Cleanup(server.Close)
	return converse(t, false, server.Client(), server.URL+wfe.DirectoryPath, func(string, string) {})
}

// enrollgateForPebble gives our door what Pebble's directory has.
const enrollgateForPebble = `
profiles:
  - id: web
    title: Names and addresses
    keys: [ecdsa-p256, ecdsa-p384, rsa-2048]
    key_usage: {bits: [digitalSignature]}
    ext_key_usage: {mode: fixed, values: [serverAuth]}
    validity: {default: P90D}
    subject: {cn_from_first_dns: true}
    subject_alt_name: {dns: {methods: [http-01, dns-01, tls-alpn-01], wildcard: true}, ip: {methods: [http-01, tls-alpn-01], allow: ["127.0.0.0/8", "::1/128"]}}
endpoints:
  - {id: acme-web, protocol: acme, tenant: default, ca: issuing, profile: web, authentication: [[acme-account]], profiles: {standard: web}, caa: [ca.example], terms_of_service: "https://pki.example/terms"}
`

// ourDoor starts the daemon and a conversation with it. Challenges succeed by
// http-01, as the server is told.
func ourDoor(t *testing.T) *conversation {
	t.Helper()
	s := start(t, enrollgateForPebble)
	web := &http01{}
	web.listen(t, s.port)
	return converse(t, true, trusting(t, s.File("root.pem")), s.directory(t, "web"), func(token, key string) {
		web.mu.Lock()
		defer web.mu.Unlock()
		web.answers["/.well-known/acme-challenge/"+token] = key
	})
}

func converse(t *testing.T, ours bool, client *http.Client, directory string, prove func(token, key string)) *conversation {
	t.Helper()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	client.Timeout = time.Minute
	c := &conversation{t: t, ours: ours, http: client, urls: map[string]string{"directory": directory}, prove: prove, seen: map[string]map[string]string{}}
	c.directory()
	return c
}
