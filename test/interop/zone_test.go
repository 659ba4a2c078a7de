package interop

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/enrollgate/enrollgate/test/harness"
)

// zone keeps the TXT records of the test's DNS, several to a name.
type zone struct {
	dns   *harness.DNSServer
	mu    sync.Mutex
	texts map[string][]string
}

func (z *zone) add(name, value string) {
	z.set(name, func(now []string) []string { return append(now, value) })
}

func (z *zone) remove(name, value string) {
	z.set(name, func(now []string) []string { return slices.DeleteFunc(now, func(v string) bool { return v == value }) })
}

func (z *zone) set(name string, change func([]string) []string) {
	name = strings.TrimSuffix(name, ".")
	z.mu.Lock()
	defer z.mu.Unlock()
	z.texts[name] = change(z.texts[name])
	z.dns.SetTXT(name, z.texts[name]...)
}

// ServeHTTP is the zone's API, as a provider of DNS has one.
func (z *zone) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, value := r.PostFormValue("name"), r.PostFormValue("value")
	switch {
	case name == "" || value == "":
		http.Error(w, "name and value are wanted", http.StatusBadRequest)
	case r.URL.Path == "/add":
		z.add(name, value)
	case r.URL.Path == "/remove":
		z.remove(name, value)
	default:
		http.NotFound(w, r)
	}
}

// hooks gives the arguments that make certbot prove names by dns-01: scripts that
// set and remove records through the API.
func (z *zone) hooks(t *testing.T) []string {
	t.Helper()
	api := httptest.NewServer(z)
	t.Cleanup(api.Close)
	dir := t.TempDir()
	script := func(verb string) string {
		path := filepath.Join(dir, verb)
		text := fmt.Sprintf("#!/bin/sh\nexec curl -fsS --noproxy '*' --data-urlencode \"name=_acme-challenge.$CERTBOT_DOMAIN\" --data-urlencode \"value=$CERTBOT_VALIDATION\" %s/%s\n", api.URL, verb)
		if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return []string{"--manual", "--preferred-challenges", "dns", "--manual-auth-hook", script("add"), "--manual-cleanup-hook", script("remove")}
}
