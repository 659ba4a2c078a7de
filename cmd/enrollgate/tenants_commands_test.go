package main

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"github.com/enrollgate/enrollgate/ca"
)

// commandSwap is what a command is asked about tenant two with what tenant one
// has, or why it belongs to no tenant.
type commandSwap struct {
	nothing string
	tries   func(s *twoTenants) []commandTry
}

// commandTry is a command line; ID in it stands for what tenant one has, and then
// for what nobody has.
type commandTry struct {
	line         string
	real, madeUp string
	code         int
}

// commandSwaps classifies every command: a new one must be put here.
var commandSwaps = map[string]commandSwap{
	"serve":            {nothing: "serves every tenant"},
	"check":            {nothing: "reads the configuration of every tenant"},
	"migrate":          {nothing: "the tables are every tenant's"},
	"profile list":     {nothing: "profiles are the configuration's, not a tenant's"},
	"profile show":     {nothing: "profiles are the configuration's, not a tenant's"},
	"profile lint":     {nothing: "profiles are the configuration's, not a tenant's"},
	"profile test":     {nothing: "decides offline, with a CA that it makes up"},
	"seal rotate":      {nothing: "data keys belong to the installation; what they seal is bound to its tenant"},
	"retention list":   {nothing: "a month holds every tenant's certificates"},
	"retention drop":   {nothing: "a month holds every tenant's certificates"},
	"audit verify":     {nothing: "one trail for the installation"},
	"audit checkpoint": {nothing: "one trail for the installation"},
	"audit root":       {nothing: "one trail for the installation"},
	"reload":           {nothing: "the configuration is the installation's"},
	"backup create":    {nothing: "one store for the installation"},
	"doctor":           {nothing: "looks at the whole installation"},
	"probe":            {nothing: "a client: it knows no store, and what it may ask its account decides"},
	"backup verify":    {nothing: "reads a file, no installation"},
	"restore":          {nothing: "one store for the installation"},
	"urls":             {nothing: "lists the configuration, each line with its tenant"},
	"version":          {nothing: "knows no installation"},
	"ca root":          {nothing: "an offline root has no installation"},
	"ca sign":          {nothing: "an offline root has no installation"},
	"ca crl":           {nothing: "an offline root has no installation"},
	"ca csr": {tries: func(*twoTenants) []commandTry {
		return []commandTry{{"ca csr --ca ID --name Two", "alpha", "nowhere", exitUsage}}
	}},
	"ca import": {tries: func(*twoTenants) []commandTry {
		return []commandTry{{"ca import --ca ID --root root.pem --certificate ca.pem", "alpha", "nowhere", exitUsage}}
	}},
	"ca activate": {tries: func(*twoTenants) []commandTry {
		return []commandTry{{"ca activate --ca ID --generation 1", "alpha", "nowhere", exitUsage}}
	}},
	"ca list": {tries: func(*twoTenants) []commandTry {
		return []commandTry{{"ca list", "", "", exitOK}, {"ca list --json", "", "", exitOK}}
	}},
	"ca create": {tries: func(s *twoTenants) []commandTry {
		return []commandTry{{"ca create --ca ID --name Two --root-key file:" + filepath.Join(s.TempDir(), "root.pem"), "alpha", "nowhere", exitUsage}}
	}},
	"cert list": {tries: func(s *twoTenants) (all []commandTry) {
		serial := ca.NewSerial(time.Now()).String()
		for flag, id := range map[string][2]string{"--serial": {s.serial, serial}, "--subject": {"CN=localhost", "CN=nobody"}, "--name": {"dns:localhost", "dns:nobody"},
			"--name-end": {"dns:host", "dns:nobody"}, "--requester": {"service:tls", "service:none"}, "--key-id": {s.facts[0], strings.Repeat("0a", 20)},
			"--profile": {"gateway-tls-server", "none"}, "--state": {"issued", "held"}} {
			all = append(all, commandTry{"cert list " + flag + " ID", id[0], id[1], exitOK}, commandTry{"cert list --json " + flag + " ID", id[0], id[1], exitOK})
		}
		return append(all, commandTry{"cert list --ca ID", "alpha", "nowhere", exitFailed}, commandTry{"cert list --page ID/" + s.serial, "alpha", "nowhere", exitUsage},
			commandTry{"cert list --page issuing/ID", s.serial, serial, exitOK})
	}},
	"cert show": {tries: func(s *twoTenants) []commandTry {
		return s.bySerial("cert show ID", "cert show ID --ca issuing", "cert show ID --pem", "cert show ID --json")
	}},
	"cert revoke": {tries: func(s *twoTenants) []commandTry {
		serial, other := ca.NewSerial(time.Now()).String(), ca.NewSerial(time.Now()).String()
		all := append(s.bySelection("cert revoke", "--reason superseded"), commandTry{"cert revoke ID " + serial + " --reason superseded --dry-run --json", s.serial, other, exitOK},
			commandTry{"cert revoke --proof ID --yes", s.proofs[0], s.proofs[1], exitFailed}, commandTry{"cert revoke --json --proof ID --dry-run", s.proofs[0], s.proofs[1], exitOK})
		return append(all, s.bySerial("cert revoke ID --reason superseded --yes", "cert revoke ID --reason keyCompromise --yes --ca issuing", "cert revoke ID --reason superseded --yes --json",
			"cert revoke ID --reason superseded")...) // not even the question is asked
	}},
	"cert unhold": {tries: func(s *twoTenants) []commandTry {
		return append(s.bySelection("cert unhold", ""), s.bySerial("cert unhold ID --yes", "cert unhold ID --yes --json", "cert unhold ID")...)
	}},
	"cert renew": {tries: func(s *twoTenants) []commandTry {
		return append(s.bySelection("cert renew", "--within 24h"), commandTry{"cert renew ID --within P1D --dry-run --json", s.serial, ca.NewSerial(time.Now()).String(), exitOK})
	}},
	"crl list": {tries: func(*twoTenants) []commandTry {
		return []commandTry{{"crl list", "", "", exitOK}, {"crl list --json", "", "", exitOK}}
	}},
	"crl publish": {tries: func(*twoTenants) []commandTry {
		return []commandTry{{"crl publish --ca ID", "alpha", "nowhere", exitFailed}, {"crl publish --ca ID --json", "alpha", "nowhere", exitFailed}}
	}},
	"crl import": {tries: func(s *twoTenants) []commandTry {
		return []commandTry{{"crl import --file ID", s.rootList, s.strangerList, exitFailed}, {"crl import --json --file ID", s.laterList, s.strangerList, exitFailed}}
	}},
	"request list": {tries: func(*twoTenants) []commandTry {
		return []commandTry{{"request list", "", "", exitOK}, {"request list --json", "", "", exitOK}}
	}},
	"request show": {tries: func(s *twoTenants) []commandTry {
		return []commandTry{{"request show ID", s.parked, ca.OrderedID(time.Now()), exitFailed}, {"request show ID --json", s.parked, ca.OrderedID(time.Now()), exitFailed}}
	}},
	"request approve": {tries: func(s *twoTenants) []commandTry {
		return []commandTry{{"request approve ID --reason x", s.parked, ca.OrderedID(time.Now()), exitFailed}, {"request approve ID --reason x --json", s.parked, ca.OrderedID(time.Now()), exitFailed}}
	}},
	"request deny": {tries: func(s *twoTenants) []commandTry {
		return []commandTry{{"request deny ID --reason x", s.parked, ca.OrderedID(time.Now()), exitFailed}, {"request deny ID --reason x --json", s.parked, ca.OrderedID(time.Now()), exitFailed}}
	}},
	"credential create": {tries: func(*twoTenants) []commandTry {
		return []commandTry{{"credential create --protocol acme --endpoint ID", "acme-one", "acme-none", exitFailed},
			{"credential create --protocol acme --profile ID --json", "gateway-tls-server", "nothing", exitFailed}}
	}},
	"credential list": {tries: func(*twoTenants) []commandTry {
		return []commandTry{{"credential list", "", "", exitOK}, {"credential list --json", "", "", exitOK}}
	}},
	"credential revoke": {tries: func(s *twoTenants) []commandTry {
		return []commandTry{{"credential revoke ID", s.credential, ca.RandomID(16), exitFailed}, {"credential revoke --json ID", s.credential, ca.RandomID(16), exitFailed}}
	}},
	"profile diff": {tries: func(*twoTenants) []commandTry {
		return []commandTry{{"profile diff gateway-tls-server gateway-tls-server", "", "", exitOK}, {"profile diff gateway-tls-server privatessl-tls-server --json", "", "", exitOK}}
	}},
	"explain": {tries: func(s *twoTenants) []commandTry {
		all := s.bySerial("explain ID", "explain ID --json", "explain ID --profile")
		for _, trace := range []string{s.issued, s.refused} {
			all = append(all, commandTry{"explain ID", trace, ca.NewTrace(), exitFailed}, commandTry{"explain ID --json", trace, ca.NewTrace(), exitFailed})
		}
		return all
	}},
}

// bySelection asks with every way to say which certificates are meant.
func (s *twoTenants) bySelection(command, reason string) (all []commandTry) {
	for flag, id := range map[string][2]string{"--subject": {"CN=localhost", "CN=nobody"}, "--name": {"dns:localhost", "dns:nobody"}, "--name-end": {"dns:host", "dns:nobody"},
		"--requester": {"service:tls", "service:none"}, "--key-id": {s.facts[0], strings.Repeat("0a", 20)}, "--profile": {"gateway-tls-server", "none"},
		"--all --ca": {"alpha", "nowhere"}} {
		count := exitOK
		if flag == "--all --ca" {
			count = exitFailed
		}
		line := command + " " + flag + " ID " + reason
		all = append(all, commandTry{line + " --dry-run", id[0], id[1], count}, commandTry{line + " --yes", id[0], id[1], exitFailed})
	}
	return all
}

func (s *twoTenants) bySerial(lines ...string) (all []commandTry) {
	for _, line := range lines {
		all = append(all, commandTry{line, s.serial, ca.NewSerial(time.Now()).String(), exitFailed})
	}
	return all
}

// TestTenantCommands asks every command about tenant two with what tenant one
// has, with a daemon and without: the answer is that to what nobody has.
func TestTenantCommands(t *testing.T) {
	parser, err := kong.New(&commands{})
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, leaf := range parser.Model.Leaves(true) {
		name := strings.TrimPrefix(leaf.FullPath(), parser.Model.Name+" ")
		known[name] = true
		c, ok := commandSwaps[name]
		if !ok || (c.nothing == "") == (c.tries == nil) {
			t.Errorf("command %s is not classified: ask it about another tenant, or say why it belongs to none", name)
		}
		takes := false
		for _, flag := range leaf.Flags {
			takes = takes || flag.Name == "tenant"
		}
		if takes != (c.tries != nil) {
			t.Errorf("command %s has --tenant: %v; it is said to belong to a tenant: %v", name, takes, c.tries != nil)
		}
	}
	for name := range commandSwaps {
		if !known[name] {
			t.Errorf("there is no command %s", name)
		}
	}
	for store, lines := range tenantStores {
		t.Run(store, func(t *testing.T) {
			s := installTenants(t, lines)
			s.brief = store != "sqlite"
			s.swapCommands("beside the daemon", func(string) bool { return true })
			s.withoutTenant()
			s.end()
			if !s.brief { // what a command asks without a daemon it asks by the same queries
				s.swapCommands("without a daemon", func(name string) bool { // the others never ask it
					return name == "cert revoke" || name == "cert unhold" || name == "crl publish" || name == "crl import" || name == "request approve" || name == "request deny"
				})
			}
			s.must("cert", "revoke", s.serial, "--tenant", "one", "--reason", "superseded", "--yes") // the owner may
		})
	}
}

var sinceWhen = regexp.MustCompile(`\d{4}-\d\d-\d\d[T ][0-9:.]+Z`)

func (s *twoTenants) swapCommands(when string, which func(name string) bool) {
	s.Helper()
	for name, c := range commandSwaps {
		if c.tries == nil || !which(name) {
			continue
		}
		for _, try := range c.tries(s) {
			if s.brief && strings.Contains(try.line, "--json") {
				continue // the same queries, printed in another way
			}
			ask := func(id string) string {
				args := strings.Fields(strings.ReplaceAll(try.line, "ID", id) + " --tenant two")
				out, errs, code := s.command(args...)
				if code != try.code {
					s.Errorf("%s: %v: exit code %d, want %d\n%s%s", when, args, code, try.code, out, errs)
				}
				text := out + errs
				if id != "" {
					text = strings.ReplaceAll(text, id, "ID")
				}
				if name == "crl import" {
					text = strings.ReplaceAll(text, s.rootName, "NAME") // the list says it itself
				}
				if name == "profile diff" {
					text = sinceWhen.ReplaceAllString(text, "WHEN") // it looks back from the moment it runs
				}
				s.leaks(try.line, text)
				return fmt.Sprintf("%d %s", code, text)
			}
			if got, want := ask(try.real), ask(try.madeUp); got != want {
				s.Errorf("%s: %s:\n%s\nabout what nobody has:\n%s", when, try.line, got, want)
			}
		}
	}
	s.untouched("the commands " + when)
}

// withoutTenant: an operator who names no tenant asks about the installation, and
// reads whose record it is; lists want a tenant, and one that is not there is refused.
func (s *twoTenants) withoutTenant() {
	s.Helper()
	for _, id := range []string{s.serial, s.issued, s.refused} {
		if out := s.must("explain", id); !strings.Contains(out, "  tenant") || !strings.Contains(out, " one\n") {
			s.Errorf("explain %s does not say whose it is:\n%s", id, out)
		}
	}
	if _, errs, code := s.command("cert", "list"); code != exitUsage || !strings.Contains(errs, "one of one, two") {
		s.Errorf("cert list: %d %s", code, errs)
	}
	for _, line := range []string{"cert list", "cert show " + s.serial, "cert revoke --yes --reason superseded " + s.serial, "explain " + s.serial, "ca list", "crl list"} {
		if _, errs, code := s.command(append(strings.Fields(line), "--tenant", "three")...); code != exitUsage || !strings.Contains(errs, "no tenant three; there is one, two") {
			s.Errorf("%s in no tenant: %d %s", line, code, errs)
		}
	}
}
