package config

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/enrollgate/enrollgate/ca/keys/pkcs11uri"
)

// PKCS11 says how tokens are reached.
type PKCS11 struct {
	Modules  []string // absolute paths of the modules that may be loaded; the first is for URIs without module-path
	Sessions int      // workers, with a session each, for each token
}

const (
	defaultSessions = 8
	maxSessions     = 256
)

// pkcs11 checks the modules that are listed. Those that key URIs of this file
// name join them: who writes the file decides what is loaded.
func (c *checker) pkcs11(w writtenPKCS11) PKCS11 {
	out := PKCS11{Sessions: defaultSessions}
	for i, path := range w.Modules {
		item := c.items["pkcs11.modules"][i]
		if !c.given(item, path) {
			continue
		}
		if !filepath.IsAbs(path) || strings.HasSuffix(path, "/") || strings.ContainsRune(path, 0) {
			c.problem(item, "the absolute path of a module is wanted here, such as /usr/lib/softhsm/libsofthsm2.so")
			continue
		}
		out.Modules = append(out.Modules, path)
	}
	c.listed = len(out.Modules) > 0
	if w.Sessions != nil {
		out.Sessions = *w.Sessions
		if *w.Sessions < 1 || *w.Sessions > maxSessions {
			c.problem("pkcs11.sessions", "1 to %d sessions are possible, not %d", maxSessions, *w.Sessions)
		}
	}
	return out
}

// tokenKey checks a pkcs11 URI. Which token there is shows when it is opened.
func (c *checker) tokenKey(path, uri string) {
	u, err := pkcs11uri.Parse(uri)
	if err == nil {
		err = u.CheckKey()
	}
	switch {
	case err != nil:
		c.problem(path, "%s", err)
	case u.ModulePath == "" && !c.listed:
		c.problem(path, "nothing says which PKCS#11 module this key is behind; write pkcs11.modules, or add ?module-path=/path/of/module.so")
	case u.ModulePath != "" && !slices.Contains(c.tokens.Modules, u.ModulePath):
		c.tokens.Modules = append(c.tokens.Modules, u.ModulePath)
	}
}
