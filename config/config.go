package config

import (
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"reflect"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/keys"
	"github.com/enrollgate/enrollgate/ca/profile"
)

// Config is a configuration in which every check has passed. It holds no
// secret, only where secrets are found.
type Config struct {
	Dev       bool // from Options: checked under the rules of a developer's machine
	Listen    Listen
	BaseURL   BaseURL
	TLS       TLS
	Store     Store
	Seal      keys.Secret // reference to the key-encryption key, see SealKey; zero only in dev
	PKCS11    PKCS11
	Tenants   []Tenant
	CAs       []CA
	Foreign   []ForeignCA
	Profiles  map[string]*profile.Profile // the built-in ones and those of the file, by id
	Endpoints []ca.Endpoint
	ACME      ACME
	Approvals Approvals
	ACMEOf    map[string]ACMEEndpoint // by id: what an ACME endpoint has of its own
	EST       EST
	ESTOf     map[string]ESTEndpoint // by id: what an EST endpoint has of its own
	SCEP      SCEP
	SCEPOf    map[string]SCEPEndpoint // by id: what a SCEP endpoint has of its own
	Retention Retention
	Log       Log
	Admin     Admin
	Drain     time.Duration // how long requests in flight may take after a stop signal

	// Warnings are not errors but deserve a look, each `file:line: field: message`.
	Warnings []string
}

// Approvals says how requests wait for an operator.
type Approvals struct {
	Lifetime time.Duration // until a request that nobody decides about expires
}

// Listen holds the listeners' addresses as host:port; an empty one is not
// opened. An empty host means every address of the machine.
type Listen struct {
	HTTPS, HTTP, EST, Admin string

	TrustedProxies  []netip.Prefix // addresses of proxies that say who their clients are; nil: none
	ForwardedHeader string         // in which they say it: X-Forwarded-For or Forwarded; empty without any
}

// BaseURL holds what clients reach the listeners at: scheme, host and maybe a
// port, without a slash at the end. Empty only where there is no such listener
// and in dev, where the bound address takes its place.
type BaseURL struct{ HTTPS, HTTP, EST string }

// TLS is the certificate of the https and est listeners: one that the operator brings, or
// one that the gateway has issued to itself. All empty only in dev and where no
// https listener is opened.
type TLS struct {
	Certificate string // absolute path of a PEM file, the leaf first
	Key         string // key URI
	KeyPassword keys.Secret

	Issue *TLSIssue // nil where Certificate is set
	Store string    // absolute path of the file that keeps what Issue brought, with its key
}

// TLSIssue says who issues the gateway's own certificate, and for which names.
type TLSIssue struct {
	Tenant, CA string
	Names      []string // DNS names in lower case and IP addresses; not empty
}

// Tenant is a party whose certificates, keys and names are kept apart from all others'.
type Tenant struct{ ID, Name string }

// CA is a certification authority as policy sees it; its certificates are facts
// that the store remembers.
type CA struct {
	ID, Tenant  string
	Key         string // key URI of the next generation, without PIN
	KeyPassword keys.Secret
	Certificate string // absolute path of a PEM file to import, or empty
	CRL         CRL
	OCSP        OCSP
	RA          RA
}

// CRL says how a CA publishes its revocation lists. Everything but Shards and
// DeltaInterval is longer than 0.
type CRL struct {
	Interval      time.Duration // between complete lists
	Lifetime      time.Duration // from thisUpdate to nextUpdate; at least Interval and Overlap together
	Overlap       time.Duration // a list with less life left is late
	OnRevocation  time.Duration // from a revocation to the list that has it
	DeltaInterval time.Duration // between delta lists; 0: none
	DeltaLifetime time.Duration
	Shards        int  // that new certificates are spread over; 0: they name the complete list
	KeepExpired   bool // revoked certificates stay listed after they expired
}

// ACME configures the ACME door (RFC 8555).
type ACME struct {
	HTTP01              HTTP01
	TLSALPN01Port       uint16   // that is asked
	Resolvers           []string // host:port of DNS servers; empty means the system's
	Authoritative       bool     // TXT and CAA records are asked of the zones' own servers
	AllowTargets        []netip.Prefix
	LocalhostToLoopback bool // *.localhost is resolved to loopback without DNS; dev only
	OrderLifetime       time.Duration
	AuthLifetime        time.Duration     // of authorizations
	Terms               map[string]string // URL of the terms of service by endpoint id; those without have none
	MaxContacts         int               // of an account
	RateLimits          RateLimits
}

// ACMEEndpoint is what an ACME endpoint has of its own.
type ACMEEndpoint struct {
	Profiles  []NamedProfile // that an order may name, by name
	Resolvers []string       // instead of ACME's; nil: those
	CAA       []string       // issuer domain names; nil: CAA records are not looked at (RFC 8659)

	Drafts         map[claim.Method]string // challenge types of drafts that are offered, with the revision
	PersistIssuers []string                // issuer domain names that records of dns-persist-01 name
	Attestation    map[string]string       // absolute paths of PEM files with roots, by format; nil: devices attest nothing
	Subdomains     bool                    // names can be proven by one above them (RFC 9444)
	Vantages       [][]string              // resolvers of vantage points, instead of Resolvers; nil: there is one
	Quorum         int                     // vantage points that must agree
}

// NamedProfile is a profile under the name that clients choose it by.
type NamedProfile struct{ Name, Profile string }

// HTTP01 configures validation by http-01 (RFC 8555 section 8.3).
type HTTP01 struct {
	Port    uint16          // that is asked
	Waits   []time.Duration // before each retry; not nil, and empty for a single attempt
	Timeout time.Duration   // of one attempt with all its redirects
}

// Log configures the program's own log on stderr.
type Log struct {
	Level  slog.Level
	Format string // "text" or "json"
}

// Admin configures administration on the machine itself.
type Admin struct {
	Socket string // absolute path of the Unix socket, or empty for none
}

// Options say how a file is checked.
type Options struct {
	// Dev allows what only a developer's machine may do: no seal.key, no tls, no
	// base_url, port 0 and acme.localhost_to_loopback.
	Dev bool
	// Settings are values from flags; they win over every file.
	Settings []Setting
}

// Setting is a value that a flag sets.
type Setting struct {
	Path  string // keys separated by dots, after a list's key the id: "listen.https", "cas.issuing.key"
	Value string
	From  string // what problems name instead of a file: "--https"
}

// Load reads and checks a file of at most 1 MiB. The error is Problems where
// the file could be read.
func Load(path string, o Options) (*Config, error) {
	data, err := ReadFile(path)
	if err != nil {
		return nil, err
	}
	return Parse(path, data, o)
}

// ReadFile reads a configuration file for Parse or ParseOver. It stops after 1
// MiB and a byte, which both refuse.
func ReadFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read the configuration: %w", err)
	}
	defer f.Close() // only read from
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read the configuration: %w", err)
	}
	return data, nil
}

// Parse checks the text of a configuration file; name is what problems call it.
// The error is Problems.
func Parse(name string, data []byte, o Options) (*Config, error) {
	root, problems := parseTree(name, data)
	return finish(root, problems, name, o)
}

// ParseOver checks overlay (nil for none) merged over base: mappings merge key by
// key, the lists whose items have an id merge by it, `enabled: false` takes an
// item out, other lists are replaced. Problems of base name it "(dev defaults)".
func ParseOver(base []byte, name string, overlay []byte, o Options) (*Config, error) {
	root, problems := parseTree(BaseName, base)
	if root != nil && overlay != nil {
		over, more := parseTree(name, overlay)
		problems = append(problems, more...)
		if over == nil {
			return nil, problems.sorted([]string{BaseName, name})
		}
		m := merger{}
		root = m.merge(root, over, "")
		problems = append(problems, m.problems...)
	}
	return finish(root, problems, name, o)
}

// BaseName is what ParseOver calls base in problems and warnings.
const BaseName = "(dev defaults)"

// finish decodes and checks a tree and gives all problems together.
func finish(root *node, problems Problems, name string, o Options) (*Config, error) {
	files := []string{BaseName, name}
	if root == nil {
		return nil, problems.sorted(files)
	}
	m := merger{}
	for _, s := range o.Settings {
		files = append(files, s.From)
		root = m.merge(root, setting(s), "")
	}
	var written writtenFile
	d := newDecoder()
	d.places[""] = position{file: name}
	d.decode(root, reflect.ValueOf(&written).Elem(), "")
	if d.bad[""] { // not a mapping at all: nothing in it is missing
		return nil, append(problems, d.problems...).sorted(files)
	}
	c := &checker{decoder: d, dev: o.Dev}
	config := c.file(&written)
	problems = append(append(problems, m.problems...), d.problems...)
	if len(problems) > 0 {
		return nil, problems.sorted(files)
	}
	return config, nil
}
