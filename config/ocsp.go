package config

import (
	"time"

	"github.com/enrollgate/enrollgate/ca/keys"
)

// OCSP configures the responder of one CA (RFC 6960). It answers on the http
// listener; where there is none, there is no responder.
type OCSP struct {
	Enabled       bool
	Signer        string // "delegated" or "direct"
	Key           string // key URI of the delegated responder; empty: it makes its own
	KeyPassword   keys.Secret
	Store         string // absolute path of the file that keeps its own key and certificate; empty: memory
	ByName        bool   // answers name the responder by its subject
	Unknown       string // what is said of what was never issued: "unknown", "good" or "revoked"
	Nonce         bool
	Lifetime      time.Duration // nextUpdate - thisUpdate
	MaxAge        time.Duration // for HTTP caches
	ArchiveCutoff bool
}

type writtenOCSP struct {
	Enabled       *bool  `yaml:"enabled"`
	Signer        string `yaml:"signer"`
	Key           string `yaml:"key"`
	KeyPassword   string `yaml:"key_password"`
	Store         string `yaml:"store"`
	ResponderID   string `yaml:"responder_id"`
	Unknown       string `yaml:"unknown"`
	Nonce         bool   `yaml:"nonce"`
	Lifetime      string `yaml:"lifetime"`
	MaxAge        string `yaml:"max_age"`
	ArchiveCutoff bool   `yaml:"archive_cutoff"`
}

var (
	ocspTimes  = span{8 * time.Hour, 5 * time.Minute, 4 * day}
	ocspCached = span{5 * time.Minute, 0, day}
)

func (c *checker) ocsp(path string, w writtenOCSP) OCSP {
	out := OCSP{
		Enabled:     enabled(w.Enabled),
		Signer:      c.oneOf(path+".signer", w.Signer, "delegated", []string{"delegated", "direct"}),
		Key:         w.Key,
		KeyPassword: c.secret(path+".key_password", w.KeyPassword),
		Store:       c.absolute(path+".store", w.Store),
		ByName:      c.responderID(path, w.ResponderID),
		Unknown:     c.oneOf(path+".unknown", w.Unknown, "unknown", []string{"unknown", "good", "revoked"}),
		Nonce:       w.Nonce, ArchiveCutoff: w.ArchiveCutoff,
	}
	out.Lifetime, out.MaxAge = c.ocspLife(path, w.Lifetime, w.MaxAge)
	if c.given(path+".key", w.Key) {
		c.keyURI(path+".key", w.Key)
	}
	_, key := c.places[path+".key"]
	_, password := c.places[path+".key_password"]
	_, store := c.places[path+".store"]
	switch {
	case out.Signer == "direct" && (key || password || store):
		c.problem(path+".signer", "direct signs with the CA's key: key, key_password and store belong to delegated; remove them")
	case key && store:
		c.problem(path+".store", "it keeps a key that the gateway makes, and key names one that exists; remove one")
	case password && !key:
		c.problem(path+".key_password", "it belongs to key, which is missing")
	}
	return out
}

// responderID reads how answers name the responder; true: by its subject.
func (c *checker) responderID(path, text string) (byName bool) {
	return c.oneOf(path+".responder_id", text, "key", []string{"key", "name"}) == "name"
}

// ocspLife reads how long answers are good and how long caches keep them.
func (c *checker) ocspLife(path, lifetime, maxAge string) (life, age time.Duration) {
	life = c.duration(path+".lifetime", lifetime, ocspTimes)
	cached := ocspCached
	cached.def = min(cached.def, life/4)
	age = c.duration(path+".max_age", maxAge, cached)
	if maxAge != "" && age > life/4 {
		c.problem(path+".max_age", "at most a quarter of the lifetime, or caches hand out answers that are about to end")
	}
	return life, age
}

// ocspServed: a responder that is asked for in so many words needs a listener.
func (c *checker) ocspServed(written []writtenCA, l Listen) {
	for i, w := range written {
		if l.HTTP == "" && !c.dev && w.OCSP.Enabled != nil && *w.OCSP.Enabled {
			c.problem(c.items["cas"][i]+".ocsp.enabled", "listen.http is not set, so nobody would reach the responder")
		}
	}
}
