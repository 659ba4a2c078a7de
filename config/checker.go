package config

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/enrollgate/enrollgate/ca/keys"
)

// checker turns the written type into the validated one. Its decoder knows
// where values stand and collects the problems.
type checker struct {
	*decoder
	dev      bool
	tokens   PKCS11 // grows by the modules that key URIs name
	listed   bool   // pkcs11.modules names a module
	warnings []string
}

// file checks everything, whatever was found wrong before.
func (c *checker) file(w *writtenFile) *Config {
	config := &Config{Dev: c.dev}
	config.Tenants = c.tenants(w.Tenants)
	c.tokens = c.pkcs11(w.PKCS11)
	config.CAs = c.authorities(w.CAs, config.Tenants)
	config.Profiles = c.profiles(w.Profiles)
	config.Endpoints = c.endpoints(w.Endpoints, config)
	config.Listen = c.listen(w.Listen, config.Endpoints)
	c.ocspServed(w.CAs, config.Listen)
	config.Foreign = c.foreignCAs(w.ForeignCAs, config)
	config.BaseURL = c.baseURL(w.BaseURL, config.Listen)
	config.TLS = c.tls(w.TLS, config)
	config.PKCS11 = c.tokens
	config.Store = c.store(w.Store)
	config.Seal = c.secret("seal.key", w.Seal.Key)
	if !c.dev {
		c.required("seal.key", w.Seal.Key, "it protects the secrets in the store; make one with `openssl rand -base64 32`")
	}
	config.ACME = c.acme(w.ACME)
	config.EST = c.est(w, config)
	config.SCEP = c.scep(w, config)
	config.Approvals.Lifetime = c.duration("approvals.lifetime", w.Approvals.Lifetime, orderTimes)
	c.accounts(w, &config.ACME)
	config.Retention = c.retention(w.Retention, config.Listen)
	config.Log = c.log(w.Log)
	config.Admin = Admin{Socket: c.socket("admin.socket", w.Admin.Socket)}
	config.Drain = c.duration("drain_timeout", w.DrainTimeout, drainTimes)
	config.Warnings = c.warnings
	return config
}

// at gives where a path is written, or the nearest thing around it.
func (c *checker) at(path string) position {
	for {
		if at, ok := c.places[path]; ok {
			return at
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
}

// socket checks the path of a Unix socket (unix(7)). A longer one is possible in
// dev, where it only means that there is no socket.
func (c *checker) socket(path, value string) string {
	if c.absolute(path, value) != "" && len(value) > 107 && !c.dev {
		c.problem(path, "the path of a Unix socket has at most 107 octets")
	}
	return value
}

func (c *checker) problem(path, format string, args ...any) {
	c.choose(path, nil, format, args...)
}

// choose notes a problem with the values that would be right.
func (c *checker) choose(path string, allowed []string, format string, args ...any) {
	at, message := c.at(path), fmt.Sprintf(format, args...)
	if len(allowed) > maxAllowed { // only the profiles are so many
		message += fmt.Sprintf("; `enrollgate profile list` prints the %d that there are", len(allowed))
		allowed = nil
	}
	c.problems = append(c.problems, Problem{File: at.file, Line: at.line, Field: path, Message: message, Allowed: allowed})
}

func (c *checker) warn(path, format string, args ...any) {
	at := c.at(path)
	c.warnings = append(c.warnings, Problem{File: at.file, Line: at.line, Field: path, Message: fmt.Sprintf(format, args...)}.Error())
}

// given tells whether a text was written and is worth checking. A text that is
// written but empty is a problem.
func (c *checker) given(path, value string) bool {
	if _, written := c.places[path]; value == "" && written && !c.bad[path] {
		c.problem(path, "the text is empty; write a value or remove the key")
		c.bad[path] = true
	}
	return value != ""
}

// required is given, and a problem where the key is missing. why says what it is for.
func (c *checker) required(path, value, why string) bool {
	if _, written := c.places[path]; !written {
		c.problem(path, "the key is missing: %s", why)
		return false
	}
	return c.given(path, value)
}

// oneOf checks a text against a closed list; def is its default.
func (c *checker) oneOf(path, value, def string, allowed []string) string {
	if !c.given(path, value) {
		return def
	}
	if !slices.Contains(allowed, value) {
		c.choose(path, allowed, "%s is not known%s", quote(value), suggest(value, allowed))
		return def
	}
	return value
}

// secret reads a secret reference. The text is never repeated.
func (c *checker) secret(path, ref string) keys.Secret {
	if !c.given(path, ref) {
		return keys.Secret{}
	}
	s, err := keys.ParseSecret(ref)
	if err != nil {
		c.choose(path, []string{"file:/absolute/path", "env:NAME", "credential:NAME"}, "this is not a reference to a secret; never write the secret itself here")
	}
	return s
}

// absolute checks the path of a file.
func (c *checker) absolute(path, value string) string {
	if c.given(path, value) && (!filepath.IsAbs(value) || strings.HasSuffix(value, "/") || strings.ContainsRune(value, 0)) {
		c.problem(path, "the absolute path of a file is wanted here, such as /etc/enrollgate/tls.pem")
	}
	return value
}
